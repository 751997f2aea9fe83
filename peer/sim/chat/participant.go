package chat

import (
	"encoding/binary"
	"fmt"
	"math"
	"time"

	"github.com/google/uuid"

	"peerchat/peer/gossip"
	"peerchat/peer/overlay"
	"peerchat/peer/presence"
	"peerchat/peer/sim"
	"peerchat/peer/sim/member"
	"peerchat/peer/wire"
)

const (
	// maxLearned is how many members the overlay is told of in one Step.
	maxLearned = 32
	// apartEvery is how often what a tracker tells is compared with what presence knows, and how long somebody must
	// have been there to be missed, as in package peer.
	apartEvery = 10 * time.Second
	// maxHelp is how many members it names to the overlay that has run out of those it knows, and helpEvery the least
	// time between, as there.
	maxHelp   = 8
	helpEvery = time.Second
)

// participant is one life of one peer: what rides on the overlay.
type participant struct {
	room     *Room
	i, life  int
	self     wire.PeerID
	gossip   *gossip.Machine
	presence *presence.Machine // nil in a bare room
	store    *store

	gossipWake, presenceWake time.Time
	apartAt                  time.Time // when to look for members that are apart; zero: never
	gout                     gossip.Output
	pout                     presence.Output
	helped                   time.Time
	near, busy               map[wire.PeerID]bool
	size                     int                    // of the room, as the overlay was told
	joined                   []overlay.Contact      // of whom it was not told yet
	doubts                   []overlay.Input        // likewise, of neighbours that are silent or not any more
	apart                    []overlay.Contact      // whom only the tracker knows
	delivered                map[event]bool         // to the user, in this life
	shown                    map[wire.PeerID]uint64 // the last event of each author that was, older ones aside
}

// spoil is a bug that a test plants into all participants. Fields may be nil or false.
type spoil struct {
	gossipIn    func(*participant, gossip.Input) gossip.Input // nil drops it
	gossipOut   func(*participant, *gossip.Output)
	presenceIn  func(*participant, presence.Input) presence.Input
	presenceOut func(*participant, *presence.Output)
	presence    func(*presence.Config)
	overlay     func(*overlay.Config)
	before      func(*member.Member, overlay.Input) overlay.Input
	after       func(*member.Member, overlay.Input, *overlay.Output)
	log         func(gossip.Log) gossip.Log
	verify      func(*wire.Event) error
	careless    bool // who has lost its log does not know
	lonely      bool // who is alone is told of nobody
}

func newParticipant(r *Room, i int, seed uint64) *participant {
	p := &r.peers[i]
	x := &participant{room: r, i: i, life: p.lives, self: r.ID(i), store: p.store, near: make(map[wire.PeerID]bool),
		busy: make(map[wire.PeerID]bool), delivered: make(map[event]bool), shown: make(map[wire.PeerID]uint64)}
	heads, _, err := x.store.Heads(name)
	must(err)
	for _, h := range heads {
		x.shown[h.Author] = max(x.shown[h.Author], h.Seq)
	}
	events, err := x.store.Recent(name, math.MaxInt) // the user sees them first
	must(err)
	for k := range events {
		x.delivered[event{events[k].Author, events[k].Seq}] = true
	}
	ids := uint64(0)
	chance := sim.Source(seed)
	cfg := gossip.Config{Window: r.cfg.Window, Key: p.key, Log: x.store, Run: p.run, Rand: chance, Verify: r.proof,
		NewID: func() (id uuid.UUID) {
			ids++
			binary.BigEndian.PutUint64(id[:], seed)
			binary.BigEndian.PutUint64(id[8:], ids)
			id[6], id[8] = 0x70|id[6]&0xf, 0x80|id[8]&0x3f
			return id
		}}
	if s := r.cfg.spoil; s != nil {
		if s.log != nil {
			cfg.Log = s.log(cfg.Log)
		}
		if s.verify != nil {
			cfg.Verify = s.verify
		}
	}
	x.gossip, err = gossip.New(cfg)
	must(err)
	if !r.cfg.Bare {
		x.attend(presence.Config{Key: p.key, Room: name, Rand: chance, Shared: r.shared})
	}
	return x
}

// attend gives it a presence.
func (x *participant) attend(cfg presence.Config) {
	if s := x.room.cfg.spoil; s != nil && s.presence != nil {
		s.presence(&cfg)
	}
	var err error
	x.presence, err = presence.New(cfg)
	must(err)
}

// must is for what cannot go wrong, as all that a machine is given is ours.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

// Start is member.Starter's: the peer takes part from now on.
func (x *participant) Start(now time.Time, out *sim.Output) {
	x.stepGossip(now, gossip.Subscribe{Room: name}, out)
	if x.presence != nil {
		x.stepPresence(now, presence.Self{Name: "p"}, out)
		if s := x.room.cfg.spoil; !x.room.cfg.Alone && !(s != nil && s.lonely) {
			x.apartAt = now.Add(apartEvery)
		}
	}
}

// say lets it say n lines.
func (x *participant) say(now time.Time, n int, out *sim.Output) []*Line {
	r := x.room
	lines := make([]*Line, n)
	for k := range lines {
		lines[k] = &Line{Author: x.i, Said: r.Elapsed(), gone: make(map[[2]int32]bool), reached: make(map[int]bool), text: text(len(r.Lines) + 1)}
		r.Lines = append(r.Lines, lines[k])
	}
	x.stepGossip(now, gossip.Publish{Room: name, Name: "p", Drafts: drafts(lines)}, out)
	x.stepGossip(now, gossip.Flush{}, out)
	return lines
}

// stepGossip gives the broadcast an input and does what it puts out.
func (x *participant) stepGossip(now time.Time, in gossip.Input, out *sim.Output) {
	s := x.room.cfg.spoil
	if s != nil && s.gossipIn != nil {
		if in = s.gossipIn(x, in); in == nil {
			return
		}
	}
	o := &x.gout
	clear(o.Sends)
	clear(o.Delivers)
	*o = gossip.Output{Sends: o.Sends[:0], Delivers: o.Delivers[:0], Held: o.Held[:0], Faults: o.Faults[:0], Refused: o.Refused[:0],
		Fetched: o.Fetched[:0], Suspicions: o.Suspicions[:0], Looks: o.Looks[:0]}
	must(x.gossip.Step(now, in, o))
	x.gossipWake = o.Wake
	if s != nil && s.gossipOut != nil {
		s.gossipOut(x, o)
	}
	for i := range o.Delivers {
		x.room.deliver(x, &o.Delivers[i])
	}
	for _, send := range o.Sends {
		x.send(send.To, send.Frame, send.Fast, out)
	}
	for range o.Looks {
		x.doubts = append(x.doubts, overlay.Look{})
	}
	for _, s := range o.Suspicions {
		if s.Suspected {
			x.doubts = append(x.doubts, overlay.Suspect{Peer: s.Peer})
		} else {
			x.doubts = append(x.doubts, overlay.Trust{Peer: s.Peer})
		}
	}
	for _, f := range o.Faults {
		x.blame(f.Code, f.Text, f.Drop)
	}
	for _, f := range o.Refused {
		x.room.breach(Durable, "peer %d could not say a line: %v", x.i, f.Err)
	}
}

// stepPresence does the same for presence.
func (x *participant) stepPresence(now time.Time, in presence.Input, out *sim.Output) {
	s := x.room.cfg.spoil
	if s != nil && s.presenceIn != nil {
		if in = s.presenceIn(x, in); in == nil {
			return
		}
	}
	o := &x.pout
	o.Reset()
	x.presence.Step(now, in, o)
	x.presenceWake = o.Wake
	if s != nil && s.presenceOut != nil {
		s.presenceOut(x, o)
	}
	for _, send := range o.Sends {
		x.send(send.To, wire.Members{Room: name, Data: send.Data}, false, out)
	}
	for _, c := range o.Changes {
		if c.What == presence.Joined && len(x.joined) < maxLearned {
			x.joined = append(x.joined, overlay.Contact{Peer: c.Member.Peer})
		}
	}
	for _, f := range o.Faults {
		x.blame(string(f.Code), f.Text, f.Drop)
	}
}

// blame takes a machine's word that another peer did what it should not. What it only remarks on, honest peers may do:
// they come in crowds, and, while something is wrong with the network, do not get through with what they offered.
func (x *participant) blame(code, text string, drop bool) {
	unheard := code == "claims" || code == "silent"
	if drop || unheard && x.room.calm || !unheard && code != string(presence.Crowd) {
		x.room.breach(Blameless, "peer %d reports %s: %s", x.i, code, text)
	}
}

// send puts a frame on a link.
func (x *participant) send(to wire.PeerID, f wire.Frame, fast bool, out *sim.Output) {
	b, err := wire.AppendFrame(x.room.buf[:0], f)
	must(err)
	x.room.buf = b
	out.Sends = append(out.Sends, sim.Send{To: to, Message: Frame{f, len(b)}, Fast: fast})
}

// Learned is member.Informer's: what presence tells of the room is what the overlay knows of it, and what gossip tells
// of silent neighbours.
func (x *participant) Learned() (list []overlay.Input) {
	list, x.doubts = x.doubts, nil
	if x.presence == nil {
		return list
	}
	if n := x.presence.Count(); n != x.size {
		x.size = n
		list = append(list, overlay.RoomSize{N: n})
	}
	if len(x.joined) > 0 {
		list = append(list, overlay.Contacts{Peers: x.joined})
		x.joined = nil
	}
	if len(x.apart) > 0 {
		list = append(list, overlay.Contacts{Peers: x.apart, Apart: true})
		x.apart = nil
	}
	return list
}

// compare looks whether a tracker knows members that should have been heard of by now: then the room is in parts.
func (x *participant) compare(now time.Time) {
	x.apartAt = now.Add(apartEvery)
	r := x.room
	for _, c := range r.Sample(x.i) {
		k, _ := r.Index(c.Peer)
		if _, known := x.presence.Lookup(c.Peer); !known && r.Elapsed()-r.peers[k].born >= apartEvery {
			x.apart = append(x.apart, c)
		}
	}
}

// help is what the overlay is told when it has asked all that it knows of: some members whom a tracker knows, or else
// some that this peer has heard of, who may be dead by now. In a bare room it has heard of everybody who ever was
// there.
func (x *participant) help(now time.Time, tracker []overlay.Contact) []overlay.Contact {
	if now.Sub(x.helped) < helpEvery {
		return nil
	}
	x.helped = now
	list, r := tracker, x.room
	if x.presence == nil {
		for range maxHelp {
			if k := r.Rand().IntN(r.Len()); k != x.i {
				list = append(list, overlay.Contact{Peer: r.ID(k)})
			}
		}
		return list
	}
	members := x.presence.Members()
	for k := range min(maxHelp, len(members)) {
		j := k + r.Rand().IntN(len(members)-k)
		members[k], members[j] = members[j], members[k]
		if id := members[k].Peer; id != x.self {
			list = append(list, overlay.Contact{Peer: id})
		}
	}
	return list
}

// NeighborUp is member.Rider's, as are the others.
func (x *participant) NeighborUp(now time.Time, peer wire.PeerID, out *sim.Output) {
	x.near[peer] = true
	if x.presence != nil {
		x.stepPresence(now, presence.NeighborUp{Peer: peer}, out)
	}
	x.stepGossip(now, gossip.LinkUp{Peer: peer, Rooms: []wire.Room{name}}, out)
	if x.busy[peer] {
		x.Busy(now, peer, true, out)
	}
}

// NeighborDown takes a neighbour away.
func (x *participant) NeighborDown(now time.Time, peer wire.PeerID, broken bool, out *sim.Output) {
	delete(x.near, peer)
	if x.presence != nil {
		x.stepPresence(now, presence.NeighborDown{Peer: peer, Died: broken}, out)
	}
	x.stepGossip(now, gossip.LinkDown{Peer: peer}, out)
}

// Busy tells that a link has more to carry than it can.
func (x *participant) Busy(now time.Time, peer wire.PeerID, busy bool, out *sim.Output) {
	if busy {
		x.busy[peer] = true
	} else {
		delete(x.busy, peer)
	}
	if x.presence != nil {
		x.stepPresence(now, presence.Busy{Peer: peer, Busy: busy}, out)
	}
	x.stepGossip(now, gossip.LinkBusy{Peer: peer, Busy: busy}, out)
}

// Receive takes a frame.
func (x *participant) Receive(now time.Time, from wire.PeerID, msg sim.Message, out *sim.Output) {
	frame := msg.(Frame).Frame
	if f, ok := frame.(wire.Members); ok {
		if x.presence != nil {
			x.stepPresence(now, presence.Receive{From: from, Data: f.Data}, out)
		}
		return
	}
	x.stepGossip(now, gossip.Receive{From: from, Frame: frame}, out)
	x.stepGossip(now, gossip.Flush{}, out)
}

// Tick lets time pass.
func (x *participant) Tick(now time.Time, out *sim.Output) {
	if due(x.gossipWake, now) {
		x.stepGossip(now, gossip.Tick{}, out)
	}
	if due(x.presenceWake, now) {
		x.stepPresence(now, presence.Tick{}, out)
	}
	if due(x.apartAt, now) {
		x.compare(now)
	}
}

func due(at, now time.Time) bool { return !at.IsZero() && !at.After(now) }

// Wake is when the machines want that.
func (x *participant) Wake() (wake time.Time) {
	for _, at := range [...]time.Time{x.gossipWake, x.presenceWake, x.apartAt} {
		if !at.IsZero() && (wake.IsZero() || at.Before(wake)) {
			wake = at
		}
	}
	return wake
}

// check says which of its machines' bounds are not kept.
func (x *participant) check(m *member.Member) error {
	if err := m.Overlay().Check(); err != nil {
		return fmt.Errorf("overlay: %w", err)
	}
	if err := x.gossip.Check(); err != nil {
		return fmt.Errorf("gossip: %w", err)
	}
	if n := x.gossip.Links(); n != len(x.near) {
		return fmt.Errorf("gossip: it keeps %d links, of %d neighbours", n, len(x.near))
	}
	if x.presence == nil {
		return nil
	}
	if err := x.presence.Check(); err != nil {
		return fmt.Errorf("presence: %w", err)
	}
	if n := x.presence.Neighbors(); n != len(x.near) {
		return fmt.Errorf("presence: it keeps %d neighbours of %d", n, len(x.near))
	}
	return nil
}
