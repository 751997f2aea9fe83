package peer

import (
	"hash/fnv"
	"slices"
	"time"

	"peerchat/peer/wire"
	"peerchat/signaling"
)

// This file is signaling over links: offers and answers go through the mesh, from neighbour to neighbour. So the mesh
// grows and mends itself while there is no tracker, or one that only some can reach.

// signal sends half of a negotiation: the way that the other half came; an offer through the mesh if a way is known,
// else through the tracker, and by turns if that fails. In a small room the tracker goes first: who is to be linked
// there has just come, and what is known of the way to it is from before.
func (c *Core) signal(l *link, data []byte, out *CoreOutput) {
	by, known := c.way(l)
	mesh := (known && !c.inSmallRoom(l.peer)) == (l.tries%2 == 1)
	if l.replies {
		mesh = l.replyBy != wire.PeerID{}
	}
	if by != nil && len(data) <= wire.MaxSignal && (mesh || !c.connected() || l.untracked) {
		c.counters["signal.by_neighbour"]++
		c.send(by, wire.Signal{To: l.peer, From: c.self, Data: data}, false, out)
		return
	}
	out.Ops = append(out.Ops, opSignal{to: l.peer, data: data}) // it waits a while for a connection
}

// inSmallRoom reports whether a peer is in a room whose members all have links with each other.
func (c *Core) inSmallRoom(id wire.PeerID) bool {
	p := c.roster.people[id]
	for name, r := range c.rooms {
		if r.small && p != nil && p.in(name) {
			return true
		}
	}
	return false
}

// way is the neighbour to begin with on the way to a peer: the one that its last signal came from, or that the peer is
// heard of by. Otherwise it is not known, but any neighbour in a room of the peer's may do; another one with each
// session that failed.
func (c *Core) way(l *link) (by *link, known bool) {
	if by := c.links[l.replyBy]; by != nil && by.up && !by.silent && by != l {
		return by, true
	}
	if by := c.via(l.peer); by != nil && by != l {
		return by, true
	}
	some := slices.DeleteFunc(c.near(l.peer), func(o *link) bool { return o.silent || o == l })
	if len(some) == 0 {
		return nil, false
	}
	return some[(int(l.peer[0])+l.tries)%len(some)], false
}

// pass takes a Signal: one that is for this peer counts like one that the tracker relayed, others are passed on towards
// whom they are for, within what a neighbour may send.
func (c *Core) pass(now time.Time, from wire.PeerID, s wire.Signal, out *CoreOutput) {
	if !c.conductOf(now, from).passes.AllowN(now, 1) {
		c.counters["signal.limited"]++
		return
	}
	if s.To == c.self {
		c.relayed(now, signaling.Signaled{From: s.From, Data: s.Data}, from, out)
		return
	}
	to := c.next(now, from, s)
	if to == nil || s.From == c.self || s.Hops+1 >= wire.MaxHops {
		c.counters["signal.not_passed"]++
		return
	}
	c.trails.leave(now, trail{s.From, s.To}, step{from, printOf(s.Data)})
	c.counters["signal.passed"]++
	s.Hops++
	c.send(to, s, false, out)
}

// next is the neighbour that a Signal which came from another goes on to: whom it is for; or the one that a signal the
// other way came from lately, for an answer has to find back, and what is known of the way there may be another; or the
// one that the peer is heard of by. Who is heard of by the very neighbour that asks, or not at all any more, since
// links end and others are made, may still be known elsewhere: so it goes to any other neighbour in a room of the
// peer's then, for a few steps.
func (c *Core) next(now time.Time, from wire.PeerID, s wire.Signal) *link {
	fit := func(l *link) bool { return l != nil && l.up && !l.silent && l.peer != from && l.peer != s.From }
	if l := c.links[s.To]; l != nil && l.up {
		if s.To == from {
			return nil
		}
		return l
	}
	astray := c.trails.last(now, trail{s.From, s.To}).print == printOf(s.Data) // it has been here before
	if l := c.links[c.trails.last(now, trail{s.To, s.From}).by]; fit(l) && !astray {
		return l
	}
	if l := c.via(s.To); fit(l) && !astray {
		return l
	}
	if s.Hops >= detourHops {
		return nil
	}
	some := slices.DeleteFunc(c.near(s.To), func(l *link) bool { return !fit(l) })
	if len(some) == 0 {
		return nil
	}
	c.counters["signal.detour"]++
	l := some[c.rand.IntN(len(some))]
	c.trails.leave(now, trail{s.To, s.From}, step{by: l.peer}) // what follows is not to overtake it
	return l
}

// near are the neighbours in rooms of a peer's.
func (c *Core) near(id wire.PeerID) (some []*link) {
	p := c.roster.people[id]
	if p == nil {
		return nil
	}
	for _, near := range c.linkIDs() {
		in := func(name wire.Room) bool { return c.joined(name) && c.rooms[name].near[near] && p.in(name) }
		if o := c.links[near]; o.up && slices.ContainsFunc(o.rooms, in) {
			some = append(some, o)
		}
	}
	return some
}

const (
	// detourHops is how many links a signal has travelled when it makes no more detours.
	detourHops = 16
	// A trail is good for half of trailLife to trailLife, or fewer if there are more than maxTrails of them.
	trailLife = 20 * time.Second
	maxTrails = 512
)

// trail is that one peer signalled to another.
type trail struct{ from, to wire.PeerID }

// step is the neighbour that a signal came from, or went to, and a hash of what it said.
type step struct {
	by    wire.PeerID
	print uint64
}

func printOf(data []byte) uint64 {
	h := fnv.New64a()
	_, _ = h.Write(data) // it never fails
	return h.Sum64()
}

// trails are the last steps of the signals for others that passed here lately. The zero value is ready.
type trails struct {
	now, before map[trail]step
	since       time.Time // of now
}

func (t *trails) leave(now time.Time, tr trail, s step) {
	t.age(now)
	if len(t.now) >= maxTrails/2 {
		t.now, t.before, t.since = nil, t.now, now
	}
	if t.now == nil {
		t.now = map[trail]step{}
	}
	t.now[tr] = s
}

// last is the latest step; zero: nobody knows.
func (t *trails) last(now time.Time, tr trail) step {
	t.age(now)
	if s, ok := t.now[tr]; ok {
		return s
	}
	return t.before[tr]
}

func (t *trails) age(now time.Time) {
	switch age := now.Sub(t.since); {
	case age >= trailLife:
		t.now, t.before, t.since = nil, nil, now
	case age >= trailLife/2:
		t.now, t.before, t.since = nil, t.now, now
	}
}
