package gossip

import (
	"bytes"
	"cmp"
	"slices"
	"time"

	"golang.org/x/time/rate"

	"peerchat/peer/wire"
)

// This file is the links with neighbours: what is known of each, and what begins and ends with it.

// link is a neighbour.
type link struct {
	peer   wire.PeerID
	busy   bool
	cut    bool // a fault was reported that ends the link: nothing of it counts any more
	named  []wire.Room
	shares []*share      // by room
	known  int           // heads in all shares
	asks   int           // questions that are out
	short  bool          // some question found no place among them
	claims int           // logs that exist because of it
	waste  *rate.Limiter // see wasteRate
	silent int           // questions for older events that it has not answered, since the last that it has

	answered time.Time // when an event came that it was asked for
	unkept   int       // moments at which what it offered did not come, since a question was answered
	unkeptAt time.Time // the last of them
	heardAt  time.Time // when it last said anything

	rtt       time.Duration
	swing     time.Duration // how far round trips are from rtt
	timed     bool          // rtt is measured
	loss      float64       // share of own events that were not acknowledged in time, of late
	hedges    []hedge
	doubt     doubt
	again     time.Time // when it last sent a live event of which a copy had come from it
	suspected bool      // see suspect
	serves    []serve

	serveAt time.Time
	answers *rate.Limiter // bytes, at serveRate
	tells   *rate.Limiter // of what is held before holes, see tellRate

	strikes  int // see strike
	struckAt time.Time
}

// share is a room that is shared with a neighbour.
type share struct {
	link      *link
	room      *room
	slot      int8 // its place in the room; -1: none is left
	known     map[wire.LogID]span
	parts     map[wire.LogID][]span // what it holds before known, see apart.go
	vain      map[wire.LogID]vain   // of known: what it was asked for and did not send
	greeted   bool                  // it has told all that it held when the share began
	digested  uint64                // the room's clock when it was last told all that is here
	held      uint64                // own events that the neighbour is known to hold
	claims    []claim               // see vanished.go
	spot      spot                  // the event that was asked for to be compared
	doubted   bool                  // it passed nothing on when it should have: see examine
	unshown   int                   // questions for what it says to hold that it did not answer since then
	lagging   bool                  // a live event was not sent: nothing live is, until the neighbour has caught up
	acks      []*authorLog          // of which events are to be acknowledged
	acked     time.Time
	ackAt     time.Time
	elsewhere time.Time // when it last offered a live event of a third that was not offered to it before
	answered  time.Time // when it was last sent such an event because it asked, as by a digest: what it acknowledges then looks the same
}

func (m *Machine) linkUp(now time.Time, in LinkUp, out *Output) {
	if in.Peer == m.self {
		return
	}
	l := m.links[in.Peer]
	if l == nil {
		l = &link{peer: in.Peer, rtt: firstRTT, swing: firstSwing,
			waste: rate.NewLimiter(wasteRate*wasteUnit, wasteBurst*wasteUnit), answers: rate.NewLimiter(serveRate, serveBurst),
			tells: rate.NewLimiter(tellRate, tellBurst)}
		m.links[in.Peer] = l
		at, _ := slices.BinarySearchFunc(m.linkList, in.Peer, func(l *link, id wire.PeerID) int {
			return bytes.Compare(l.peer[:], id[:])
		})
		m.linkList = slices.Insert(m.linkList, at, l)
	}
	if in.RTT > 0 && !l.timed {
		l.rtt, l.swing, l.timed = in.RTT, in.RTT/2, true
	}
	l.named = slices.Clone(in.Rooms)
	for _, r := range m.roomList {
		if slices.Contains(l.named, r.name) {
			m.begin(now, l, r, out)
		} else {
			m.end(now, l, r, out)
		}
	}
	for _, r := range m.roomList { // what was asked of this neighbour before may be asked of others
		if len(r.behind) > 0 {
			m.repairSoon(r, now)
		}
	}
}

// begin shares a room with a neighbour, and compares logs.
func (m *Machine) begin(now time.Time, l *link, r *room, out *Output) {
	if l.share(r) != nil {
		return
	}
	s := &share{link: l, room: r, known: make(map[wire.LogID]span)}
	r.seat(s)
	if r.linked = now; !r.loseAt.IsZero() {
		m.loseSoon(now, r)
	}
	at, _ := slices.BinarySearchFunc(l.shares, r.name, func(s *share, n wire.Room) int { return cmp.Compare(s.room.name, n) })
	l.shares = slices.Insert(l.shares, at, s)
	m.digest(now, l, s, false, nil, out)
}

// end stops sharing a room with a neighbour.
func (m *Machine) end(now time.Time, l *link, r *room, out *Output) {
	s := l.share(r)
	if s == nil {
		return
	}
	m.leaves(r, s)
	l.known -= len(s.known)
	m.troubled(now, r)
	l.shares = slices.DeleteFunc(l.shares, func(x *share) bool { return x == s })
	l.hedges = slices.DeleteFunc(l.hedges, func(h hedge) bool { return h.share == s })
	l.serves = slices.DeleteFunc(l.serves, func(v serve) bool { return v.share == s })
	for _, a := range r.behind {
		if a.ask != nil && a.ask.to == l {
			a.drop()
		}
	}
	for _, a := range slices.Clone(r.asked) {
		if a.older.to == l {
			m.dropOlder(r, a)
		}
	}
	m.fillSoon(r, now) // ask another, or know that there is none
	m.unseat(now, r, s, out)
	m.forget(r)
}

func (m *Machine) linkDown(now time.Time, peer wire.PeerID, out *Output) {
	l := m.links[peer]
	if l == nil {
		return
	}
	delete(m.links, peer)
	m.linkList = slices.DeleteFunc(m.linkList, func(x *link) bool { return x == l })
	for _, r := range m.roomList {
		m.end(now, l, r, out)
		if len(r.behind) > 0 {
			m.repairSoon(r, now)
		}
	}
}

func (m *Machine) linkBusy(now time.Time, in LinkBusy, out *Output) {
	l := m.links[in.Peer]
	if l == nil || l.busy == in.Busy {
		return
	}
	l.busy = in.Busy
	if l.busy {
		l.hedges = l.hedges[:0]
		return
	}
	for _, s := range l.shares {
		m.digest(now, l, s, false, nil, out)
	}
	if len(l.serves) > 0 {
		l.serveAt = now
		m.at(now)
	}
	for _, r := range m.roomList {
		if len(r.behind) > 0 {
			m.repairSoon(r, now)
		}
		if r.lacking > 0 || r.demand != nil {
			m.fillSoon(r, now)
		}
	}
}

func (l *link) share(r *room) *share {
	for _, s := range l.shares {
		if s.room == r {
			return s
		}
	}
	return nil
}
