package peer

import (
	"slices"
	"time"

	"peerchat/peer/wire"
	"peerchat/signaling"
)

// This file is signaling over links: where no tracker knows both sides of a link that is to be made, a common neighbour passes
// their offers and answers on. So the mesh mends itself while there is no tracker, or one that only some can reach.

// mendFor is how long a link that broke is tried again without any word that its peer is still there.
const mendFor = time.Minute

// signal sends half of a negotiation: through the tracker, or where that does not know the peer, by way of a neighbour.
func (c *Core) signal(l *link, data []byte, out *CoreOutput) {
	if c.connected() && !l.untracked || len(data) > wire.MaxSignal {
		out.Ops = append(out.Ops, opSignal{to: l.peer, data: data})
		return
	}
	if by := c.relay(l); by != nil {
		c.counters["signal.by_neighbour"]++
		c.send(by, wire.Signal{Peer: l.peer, Data: data}, false, out)
		return
	}
	out.Ops = append(out.Ops, opSignal{to: l.peer, data: data}) // it waits a while for a connection
}

// relay is the neighbour by which a peer is to be reached: one that is in a room of that peer's, and so is likely to have a link
// with it. It stays the same as long as it is there, to keep the order; another one is tried when a session has failed.
func (c *Core) relay(l *link) *link {
	p := c.roster.people[l.peer]
	in := func(r wire.Room) bool { return slices.Contains(l.had, r) || p != nil && p.in(r) }
	var known []*link
	for _, id := range c.linkIDs() {
		o := c.links[id]
		if o.up && o != l && slices.ContainsFunc(o.rooms, in) {
			known = append(known, o)
		}
	}
	if len(known) == 0 {
		return nil
	}
	return known[(int(l.peer[0])+l.tries)%len(known)]
}

// pass takes a Signal: one that is for this peer counts like one that the tracker relayed, one that is for a neighbour is passed
// on, within what a peer may send anyway.
func (c *Core) pass(now time.Time, from wire.PeerID, s wire.Signal, out *CoreOutput) {
	if !c.conductOf(now, from).passes.take(now, signalsTaken) {
		c.counters["signal.limited"]++
		return
	}
	if s.Passed {
		c.relayed(now, signaling.Signaled{From: s.Peer, Data: s.Data}, out)
		return
	}
	to := c.links[s.Peer]
	if to == nil || !to.up || s.Peer == from {
		c.counters["signal.not_passed"]++
		return
	}
	c.counters["signal.passed"]++
	c.send(to, wire.Signal{Passed: true, Peer: from, Data: s.Data}, false, out)
}
