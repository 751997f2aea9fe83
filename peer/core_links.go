package peer

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"peerchat/peer/election"
	"peerchat/peer/gossip"
	"peerchat/peer/negotiate"
	"peerchat/peer/wire"
)

// link is what a Core knows of its connection with one peer: the negotiation of it, and, while it is up, the session in
// use. There is one for every peer that a connection is wanted with, or that wants one with us.
type link struct {
	peer      wire.PeerID
	pair      *negotiate.Machine
	wanted    bool
	wake      time.Time // of pair
	idleUntil time.Time // when to close it because it serves no room; zero: it does

	up      bool
	session uuid.UUID // the one that sends go to
	since   time.Time // of up or of not being up
	path    Path
	busy    bool
	silent  bool        // it does not acknowledge what it is sent, and may be dead
	rooms   []wire.Room // the peer's rooms by its last Presence

	untracked bool          // the tracker does not know the peer
	tries     int           // sessions that were offered
	replies   bool          // the last signal was the peer's, not an own offer
	replyBy   wire.PeerID   // the neighbour that the peer's last signal came through; zero: the tracker
	purpose   bool          // it is being closed, by one side or the other
	run       uuid.UUID     // the peer's process that it is with, or was with last
	said      wire.Presence // the newest of that process
	presence  wire.Presence // the last of those that came too fast
	presentAt time.Time     // when it counts; zero: there is none
}

// session is one attempt at a connection, from its Offer or Accept until Closed.
type session struct {
	peer  wire.PeerID
	open  bool          // by the transport
	hello bool          // the other side's Hello has come
	said  wire.Presence // in it, or since then, until it works
	works bool          // its pair has taken it: it may be the link's
	told  uint64        // the Seq of the own Presence that was told over it
	path  Path
	busy  bool
}

var errTaken = errors.New("its session ID is taken")

// linkIDs are the peers of all links in a stable order, so that a run can be repeated from its seed.
func (c *Core) linkIDs() []wire.PeerID {
	return slices.SortedFunc(maps.Keys(c.links), comparePeers)
}

// wantLinks makes the links that the rooms need, and lets go of those that none needs. Eager links are offered at once;
// for the others the newcomer is given the time to offer.
func (c *Core) wantLinks(now time.Time, eager bool, out *CoreOutput) {
	if c.stopping {
		return
	}
	c.resize(now, out)
	for _, id := range c.roster.ids() {
		if c.needed(id) {
			c.wantLink(now, id, eager, out)
		}
	}
	for _, id := range c.linkIDs() {
		c.checkUse(now, c.links[id], out)
	}
}

func (c *Core) wantLink(now time.Time, id wire.PeerID, eager bool, out *CoreOutput) {
	l := c.links[id]
	if l != nil && l.wanted {
		l.idleUntil = time.Time{}
		return
	}
	if l == nil {
		if until, avoid := c.avoided(now, id); avoid {
			c.againAt(until)
			return
		}
		if !c.makePlace(now, id, out) {
			c.counters["links.refused"]++
			c.lacking = true
			return
		}
		l = c.newLink(now, id)
	}
	l.wanted = true
	l.idleUntil = time.Time{}
	c.negotiate(now, l, negotiate.Want{Eager: eager}, out)
}

func (c *Core) newLink(now time.Time, id wire.PeerID) *link {
	l := &link{peer: id, since: now, pair: negotiate.New(negotiate.Config{
		Self: c.self, Remote: id, Instance: c.run, NewID: c.cfg.NewID, Pace: &c.pace, Rand: c.rand,
	})}
	c.links[id] = l
	return l
}

// checkUse ends a link that is of no use: at once if it is not up, after a grace if it is, because its peer may be
// about to join a room, or may be asked to be a neighbour.
func (c *Core) checkUse(now time.Time, l *link, out *CoreOutput) {
	switch {
	case l == nil || c.links[l.peer] != l: // dropped already
	case c.needed(l.peer), l.up && c.useful(l):
		l.idleUntil = time.Time{}
	case l.up:
		if l.idleUntil.IsZero() {
			l.idleUntil = now.Add(strangerGrace)
			if slices.ContainsFunc(l.rooms, c.joined) {
				l.idleUntil = now.Add(spareGrace)
			}
		}
	case l.wanted:
		c.dropLink(now, l, NotNeeded, out)
	case l.idleUntil.IsZero():
		l.idleUntil = now.Add(strangerGrace)
	}
}

// dropLink closes everything with a peer and forgets the link.
func (c *Core) dropLink(now time.Time, l *link, reason string, out *CoreOutput) {
	c.endLink(now, l, reason, reason, out)
}

// endLink is dropLink with a reason for the other side, and one for people here.
func (c *Core) endLink(now time.Time, l *link, code, reason string, out *CoreOutput) {
	if c.links[l.peer] != l {
		return
	}
	if l.up {
		c.send(l, wire.Bye{Reason: code}, false, out)
	}
	l.purpose, l.wanted = true, false
	c.linkDown(now, l, reason, false, out)
	l.purpose = true
	c.negotiate(now, l, negotiate.Unwant{}, out)
	for _, id := range slices.SortedFunc(maps.Keys(c.sessions), compareIDs) {
		if c.sessions[id].peer == l.peer {
			out.Ops = append(out.Ops, opClose{session: id})
			delete(c.sessions, id)
		}
	}
	delete(c.links, l.peer)
	if c.lacking {
		c.lacking = false
		c.againAt(now)
	}
}

func compareIDs(a, b uuid.UUID) int { return bytes.Compare(a[:], b[:]) }

func comparePeers(a, b wire.PeerID) int { return bytes.Compare(a[:], b[:]) }

// negotiate gives a pair's machine an input and does what it puts out.
func (c *Core) negotiate(now time.Time, l *link, in negotiate.Input, out *CoreOutput) {
	var o negotiate.Output
	l.pair.Step(now, in, &o)
	l.wake = o.Wake
	for _, m := range o.Signals {
		m.Sign(c.cfg.Key, l.peer)
		data, err := m.Append(nil)
		if err != nil {
			c.counters["signal.unsendable"]++
			continue
		}
		c.signal(l, data, out)
	}
	for _, a := range o.Actions {
		switch a := a.(type) {
		case negotiate.Offer:
			l.tries++
			l.replies, l.replyBy = false, wire.PeerID{}
			c.sessions[a.Session] = &session{peer: l.peer}
			out.Ops = append(out.Ops, opOffer{session: a.Session, remote: l.peer})
		case negotiate.Accept:
			if c.sessions[a.Session] != nil {
				// The offering side chose the ID. The tracker knows those of others, and may have told it.
				c.counters["session.taken"]++
				c.negotiate(now, l, negotiate.Closed{Session: a.Session, Err: errTaken}, out)
				continue
			}
			c.sessions[a.Session] = &session{peer: l.peer}
			out.Ops = append(out.Ops, opAccept{session: a.Session, remote: l.peer, offer: a.Offer})
		case negotiate.Answer:
			out.Ops = append(out.Ops, opAnswer{session: a.Session, answer: a.Answer})
		case negotiate.AddCandidate:
			out.Ops = append(out.Ops, opCandidate{session: a.Session, candidate: a.Candidate})
		case negotiate.CloseSession:
			delete(c.sessions, a.Session) // what it still carries counts no more
			out.Ops = append(out.Ops, opClose{session: a.Session})
		}
	}
	for _, ch := range o.Changes {
		switch ch := ch.(type) {
		case negotiate.LinkUp:
			c.linkUp(now, l, ch.Session, out)
		case negotiate.LinkMoved:
			// What was on its way on the old session may be lost: compare the logs again.
			c.stepGossip(now, gossip.LinkDown{Peer: l.peer}, out)
			l.session, l.busy = ch.Session, false
			c.voices.stale = true
			if s := c.sessions[ch.Session]; s != nil {
				l.path, l.busy = s.path, s.busy
				c.learn(now, l, l.pair.Instance(ch.Session), s.said, out)
			}
			c.share(now, l, out)
			c.tellMissed(now, l, out)
			c.elect(now, election.NeighbourDown{Peer: l.peer}, out)
			c.elect(now, election.NeighbourUp{Peer: l.peer}, out)
		case negotiate.LinkDown:
			c.linkDown(now, l, ch.Reason, false, out)
			if !c.needed(l.peer) { // else the pair would make another, which the other side may not need either
				c.dropLink(now, l, NotNeeded, out)
			}
		}
	}
}

// linkUp begins to use a link: its session has carried the Hello of both sides.
func (c *Core) linkUp(now time.Time, l *link, id uuid.UUID, out *CoreOutput) {
	l.session, l.up, l.since, l.busy, l.silent, l.idleUntil = id, true, now, false, false, time.Time{}
	c.voices.stale = true
	c.conductOf(now, l.peer).comings.AllowN(now, 1)
	if s := c.sessions[id]; s != nil {
		l.path, l.busy = s.path, s.busy
		c.learn(now, l, l.pair.Instance(id), s.said, out)
	}
	out.Events = append(out.Events, LinkChanged{Person: c.roster.person(l.peer), Up: true, Path: l.path})
	c.meet(now, l, out)
	c.share(now, l, out)
	c.tellMissed(now, l, out)
	c.elect(now, election.NeighbourUp{Peer: l.peer}, out)
	c.scout(now, out)
	c.checkUse(now, l, out)
	c.suspectNames(now, l, out)
}

// linkDown ends the use of a link. Leaving says that its peer told us that it goes for good.
func (c *Core) linkDown(now time.Time, l *link, reason string, leaving bool, out *CoreOutput) {
	if !l.up {
		return
	}
	l.up, l.since, l.rooms, l.presentAt = false, now, nil, time.Time{}
	c.voices.stale = true
	c.stepGossip(now, gossip.LinkDown{Peer: l.peer}, out)
	out.Events = append(out.Events, LinkChanged{Person: c.roster.person(l.peer), Path: l.path, Reason: reason})
	l.purpose = l.purpose || leaving
	c.meet(now, l, out)
	c.share(now, l, out)
	forget := leaving || !l.purpose && !c.connected()
	c.notePlaces(now)
	c.elect(now, election.NeighbourDown{Peer: l.peer}, out)
	c.scout(now, out)
	c.roster.unlinked(now, l.peer, forget, leaving, c.joined, &out.Events)
	c.hearVoice(now, l.peer, out)
	l.purpose = false
	c.unclaimed = true // how many of a room hold a message may have changed
}

// transported takes what the transport reports.
func (c *Core) transported(now time.Time, ev TransportEvent, out *CoreOutput) {
	switch ev := ev.(type) {
	case Described:
		c.toPair(now, ev.Session, negotiate.Described{Session: ev.Session, Description: ev.Description}, out)
	case Gathered:
		c.toPair(now, ev.Session, negotiate.Gathered{Session: ev.Session, Candidate: ev.Candidate}, out)
	case Opened:
		if s := c.sessions[ev.Session]; s != nil {
			s.open, s.path, s.told = true, ev.Path, c.changed
			c.sendTo(ev.Session, c.hello(ev.Session), false, out)
			c.opened(now, ev.Session, s, out)
		}
	case Received:
		c.received(now, ev, out)
	case Pressure:
		if s := c.sessions[ev.Session]; s != nil {
			s.busy = ev.High
			if l := c.links[s.peer]; l != nil && l.up && l.session == ev.Session {
				c.setBusy(now, l, ev.High, out)
			}
		}
	case Measured:
		if s := c.sessions[ev.Session]; s != nil {
			s.path = ev.Path
			if l := c.links[s.peer]; l != nil && l.up && l.session == ev.Session {
				l.path = ev.Path
				out.Events = append(out.Events, LinkMeasured{Peer: l.peer, Path: ev.Path})
			}
		}
	case Closed:
		c.toPair(now, ev.Session, negotiate.Closed{Session: ev.Session, Err: ev.Err}, out)
		delete(c.sessions, ev.Session)
	}
}

// toPair gives the machine of a session's pair an input. Sessions that are forgotten are closed.
func (c *Core) toPair(now time.Time, id uuid.UUID, in negotiate.Input, out *CoreOutput) {
	s := c.sessions[id]
	if s == nil {
		return
	}
	if l := c.links[s.peer]; l != nil {
		c.negotiate(now, l, in, out)
	}
}

// opened tells the pair that a session works, once the transport is open and the other's Hello is there.
func (c *Core) opened(now time.Time, id uuid.UUID, s *session, out *CoreOutput) {
	if !s.open || !s.hello {
		return
	}
	c.toPair(now, id, negotiate.Opened{Session: id}, out)
	if l := c.links[s.peer]; l != nil && l.up && c.sessions[id] == s { // it was not too late
		s.works = true
		c.present(now, l, l.pair.Instance(id), s.said, out)
	}
}

func (c *Core) setBusy(now time.Time, l *link, busy bool, out *CoreOutput) {
	if l.busy != busy {
		l.busy = busy
		c.stepGossip(now, gossip.LinkBusy{Peer: l.peer, Busy: busy}, out)
		c.tellBusy(now, l, out)
	}
}

func (c *Core) hello(id uuid.UUID) wire.Hello {
	return wire.Hello{Version: wire.Version, Peer: c.self, Session: id, Agent: c.cfg.Agent, Presence: c.presence()}
}

// received takes a frame from the network: the first is a Hello, all are checked.
func (c *Core) received(now time.Time, ev Received, out *CoreOutput) {
	s := c.sessions[ev.Session]
	if s == nil {
		return
	}
	l := c.links[s.peer]
	if l == nil {
		return
	}
	c.counters["frames.received"]++
	c.counters["bytes.received"] += uint64(len(ev.Data))
	frame, err := wire.DecodeFrame(ev.Data)
	if err != nil {
		c.counters["frames.bad"]++
		c.misbehaved(now, misdeed{peer: l.peer, code: "protocol", text: err.Error(), drop: true}, out)
		return
	}
	if hello, ok := frame.(wire.Hello); ok {
		c.greeted(now, ev.Session, s, l, hello, out)
		return
	}
	if !s.hello {
		// The fast channel may overtake the Hello. What it carries is repaired later.
		c.counters["frames.early"]++
		return
	}
	switch f := frame.(type) {
	case wire.Presence:
		c.heard(now, ev.Session, s, l, f, out)
	case wire.Bye:
		c.byed(now, ev.Session, l, f, out)
	case wire.Signal:
		if l.up {
			c.pass(now, s.peer, f, out)
		}
	case wire.Overlay, wire.Members:
		if l.up {
			c.meshed(now, l, f, out)
		}
	case wire.Holders:
		if l.up {
			c.heardHolders(now, l, f, out)
		}
	case wire.Election:
		if l.up {
			c.elect(now, election.Receive{From: s.peer, Data: f.Data}, out)
		}
	default:
		if l.up {
			c.stepGossip(now, gossip.Receive{From: s.peer, Frame: frame}, out)
		}
	}
}

// greeted takes the first frame of a session. The DTLS fingerprint that the peer signed is what makes it true.
func (c *Core) greeted(now time.Time, id uuid.UUID, s *session, l *link, h wire.Hello, out *CoreOutput) {
	switch {
	case s.hello:
		c.counters["frames.bad"]++
		return
	case h.Version != wire.Version:
		c.offend(now, l, "", "version", fmt.Sprintf("%s speaks version %d of the link protocol (%s), this program version %d: use the same release on both sides", h.Name, h.Version, h.Agent, wire.Version), out)
		return
	case h.Peer != s.peer || h.Session != id:
		c.offend(now, l, "", "forged", fmt.Sprintf("the peer at the link to %s says that it is somebody else", c.called(s.peer)), out)
		return
	}
	s.hello, s.said = true, h.Presence
	c.opened(now, id, s, out)
}

// byed takes a neighbour's goodbye.
func (c *Core) byed(now time.Time, id uuid.UUID, l *link, b wire.Bye, out *CoreOutput) {
	if b.Leaving {
		// It says so over the link that its identity authenticates, so the tracker's word need not be awaited.
		if l.up {
			c.linkDown(now, l, "left", true, out)
		}
		c.roster.unlinked(now, l.peer, true, true, c.joined, &out.Events)
		c.dropLink(now, l, "left", out)
		return
	}
	reason := "the other side ended it"
	switch b.Reason {
	case "":
	case NotNeeded:
		reason = NotNeeded
	default:
		reason += " (" + b.Reason + ")" // or it would read as if that side had done what it complains of
	}
	l.purpose = true
	c.breakSession(now, id, c.sessions[id], reason, out)
	l.purpose = false
}

// breakSession closes one session for a reason; its pair makes another if the link is still wanted.
func (c *Core) breakSession(now time.Time, id uuid.UUID, s *session, reason string, out *CoreOutput) {
	if s == nil {
		return
	}
	c.counters["session.broken"]++
	c.toPair(now, id, negotiate.Closed{Session: id, Err: fmt.Errorf("%s", reason)}, out)
	delete(c.sessions, id)
	out.Ops = append(out.Ops, opClose{session: id})
}

// encodedFrame remembers the last encoding, because the same frame usually goes to many.
type encodedFrame struct {
	events *wire.Event
	n      int
	hops   uint8
	live   bool
	data   []byte
}

func (c *Core) encode(f wire.Frame) ([]byte, error) {
	e, ok := f.(wire.Events)
	if !ok || len(e.Events) == 0 {
		return wire.AppendFrame(nil, f)
	}
	if m := &c.encoded; m.events == &e.Events[0] && m.n == len(e.Events) && m.hops == e.Hops && m.live == e.Live {
		return m.data, nil
	}
	data, err := wire.AppendFrame(nil, f)
	if err == nil {
		c.encoded = encodedFrame{events: &e.Events[0], n: len(e.Events), hops: e.Hops, live: e.Live, data: data}
	}
	return data, err
}

func (c *Core) send(l *link, f wire.Frame, fast bool, out *CoreOutput) {
	c.sendTo(l.session, f, fast, out)
}

func (c *Core) sendTo(id uuid.UUID, f wire.Frame, fast bool, out *CoreOutput) {
	data, err := c.encode(f)
	if err != nil {
		c.counters["frames.unsendable"]++
		return
	}
	c.counters["frames.sent"]++
	c.counters["bytes.sent"] += uint64(len(data))
	out.Ops = append(out.Ops, opSend{session: id, frame: data, fast: fast && len(data) <= wire.MaxFastFrame})
}
