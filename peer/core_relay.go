package peer

import (
	"slices"
	"time"

	"peerchat/peer/wire"
	"peerchat/signaling"
)

// This file is signaling over links: offers and answers go through the mesh, from neighbour to neighbour. So the mesh grows and
// mends itself while there is no tracker, or one that only some can reach.

// signal sends half of a negotiation: the way that the other half came; an offer through the mesh if a way is known, else through
// the tracker, and by turns if that fails. In a small room the tracker goes first: who is to be linked there has just come, and
// what is known of the way to it is from before.
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

// way is the neighbour to begin with on the way to a peer: the one that its last signal came from, or that the peer is heard of
// by. Otherwise it is not known, but any neighbour in a room of the peer's may do; another one with each session that failed.
func (c *Core) way(l *link) (by *link, known bool) {
	if by := c.links[l.replyBy]; by != nil && by.up && !by.silent && by != l {
		return by, true
	}
	if by := c.via(l.peer); by != nil && by != l {
		return by, true
	}
	var some []*link
	p := c.roster.people[l.peer]
	for _, id := range c.linkIDs() {
		in := func(name wire.Room) bool { return c.joined(name) && c.rooms[name].near[id] && p.in(name) }
		if o := c.links[id]; o.up && !o.silent && o != l && p != nil && slices.ContainsFunc(o.rooms, in) {
			some = append(some, o)
		}
	}
	if len(some) == 0 {
		return nil, false
	}
	return some[(int(l.peer[0])+l.tries)%len(some)], false
}

// pass takes a Signal: one that is for this peer counts like one that the tracker relayed, others are passed on towards whom
// they are for, within what a neighbour may send.
func (c *Core) pass(now time.Time, from wire.PeerID, s wire.Signal, out *CoreOutput) {
	if !c.conductOf(now, from).passes.take(now, signalsTaken) {
		c.counters["signal.limited"]++
		return
	}
	if s.To == c.self {
		c.relayed(now, signaling.Signaled{From: s.From, Data: s.Data}, from, out)
		return
	}
	to := c.links[s.To]
	if to == nil || !to.up {
		to = c.via(s.To)
	}
	if to == nil || to.peer == from || s.From == c.self || s.Hops+1 >= wire.MaxHops {
		c.counters["signal.not_passed"]++
		return
	}
	c.counters["signal.passed"]++
	s.Hops++
	c.send(to, s, false, out)
}
