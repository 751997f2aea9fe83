package peer

import (
	"bytes"
	"slices"
	"time"

	"peerchat/peer/gossip"
	"peerchat/peer/wire"
)

// This file is how an author learns who has its messages. Its neighbours tell it, as gossip needs that anyway; what the
// others have goes back the way that the messages came, and whoever is on that way puts together what it gets.

const (
	// maxAccounted is the largest room whose members all tell the author what they have. In a larger one only
	// neighbours do, and a message counts as delivered when they have it.
	maxAccounted = 64
	// holdersEvery is how long what is to be told waits for more.
	holdersEvery = 100 * time.Millisecond
	// holdersPause is how long it waits after the last, where much is said.
	holdersPause = 400 * time.Millisecond
	// maxDebts bounds the authors of a room that are told something.
	maxDebts = 1024
)

// debts are what the authors of a room are to be told.
type debts map[wire.PeerID]*debt

// debt is what one author is to be told.
type debt struct {
	via     wire.PeerID            // the neighbour that its events came from last
	holders map[wire.PeerID]uint64 // who holds its events up to which; empty: nothing is to be told
}

// owe notes that this peer holds an event now.
func (c *Core) owe(now time.Time, r *room, d gossip.Deliver) {
	author := d.Event.Author
	if author == c.self || d.From == c.self || r.size > maxAccounted {
		return
	}
	o := r.debts[author]
	if o == nil {
		if len(r.debts) >= maxDebts {
			return
		}
		o = &debt{holders: map[wire.PeerID]uint64{}}
		r.debts[author] = o
	}
	o.via = d.From
	if d.From != author { // else gossip tells it
		o.holders[c.self] = max(o.holders[c.self], d.Event.Seq)
		c.oweSoon(now)
	}
}

func (c *Core) oweSoon(now time.Time) {
	if c.owedAt.IsZero() {
		c.owedAt = now.Add(holdersEvery)
		if next := c.owed.Add(holdersPause); next.After(c.owedAt) {
			c.owedAt = next
		}
	}
}

// heardHolders takes what a neighbour tells of who holds what: it is for this peer, or on its way through it.
func (c *Core) heardHolders(now time.Time, l *link, h wire.Holders, out *CoreOutput) {
	r := c.rooms[h.Room]
	if r == nil || !c.conductOf(now, l.peer).holders.AllowN(now, 1) {
		c.counters["holders.refused"]++
		return
	}
	if h.Author == c.self {
		for _, o := range h.Holders {
			// What a neighbour holds it says itself, and nobody holds what was not said yet.
			if p := c.roster.people[o.Peer]; p != nil && p.in(h.Room) && !r.near[o.Peer] {
				c.held(now, gossip.Held{Room: h.Room, Peer: o.Peer, Seq: min(o.Seq, r.said)})
			}
		}
		return
	}
	o := r.debts[h.Author]
	if o == nil || o.via == l.peer { // else it might go in circles
		c.counters["holders.refused"]++
		return
	}
	for _, holder := range h.Holders {
		if _, known := o.holders[holder.Peer]; known || len(o.holders) < wire.MaxHolders {
			o.holders[holder.Peer] = max(o.holders[holder.Peer], holder.Seq)
		}
	}
	c.oweSoon(now)
}

// tellHolders sends what is owed.
func (c *Core) tellHolders(now time.Time, out *CoreOutput) {
	if c.owedAt.IsZero() || now.Before(c.owedAt) {
		return
	}
	c.owedAt, c.owed = time.Time{}, now
	for _, name := range c.order {
		r := c.rooms[name]
		for _, author := range r.debts.authors() {
			o := r.debts[author]
			l := c.links[o.via]
			if l == nil || !l.up || len(o.holders) == 0 {
				continue // it is told when another event of that author comes, or the link is back
			}
			c.send(l, o.frame(name, author), false, out)
			clear(o.holders)
		}
	}
}

// authors are those that are to be told something, in a stable order.
func (d debts) authors() []wire.PeerID {
	var list []wire.PeerID
	for author, o := range d {
		if len(o.holders) > 0 {
			list = append(list, author)
		}
	}
	slices.SortFunc(list, comparePeers)
	return list
}

func (o *debt) frame(room wire.Room, author wire.PeerID) wire.Holders {
	f := wire.Holders{Room: room, Author: author}
	for id, seq := range o.holders {
		f.Holders = append(f.Holders, wire.Holder{Peer: id, Seq: seq})
	}
	slices.SortFunc(f.Holders, func(a, b wire.Holder) int { return bytes.Compare(a.Peer[:], b.Peer[:]) })
	return f
}
