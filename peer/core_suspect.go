package peer

import (
	"slices"
	"time"

	"peerchat/peer/gossip"
	"peerchat/peer/overlay"
	"peerchat/peer/wire"
)

// This file is what a Core does when many die at once: its gossip sees who is silent, long before the links are seen to
// end, and its overlays look for others; when they know nobody any more, they are told of members that may be left.

const (
	// maxHelp is how many members an overlay is told of that has run out of those it knows, and helpEvery the least
	// time between. A member that was named is not named again for helpAgain, if there are others.
	maxHelp   = 8
	helpEvery = time.Second
	helpAgain = 30 * time.Second
)

// doubt tells the overlays of the rooms that a link is used for whether its peer is silent.
func (c *Core) doubt(now time.Time, s gossip.Suspicion, out *CoreOutput) {
	l := c.links[s.Peer]
	if l == nil || l.silent == s.Suspected {
		return
	}
	l.silent = s.Suspected
	in := overlay.Input(overlay.Trust{Peer: s.Peer})
	if s.Suspected {
		c.counters["links.suspected"]++
		in = overlay.Suspect{Peer: s.Peer}
	}
	for _, name := range slices.Clone(c.order) {
		if r := c.rooms[name]; r != nil && r.met[s.Peer] {
			c.stepOverlay(now, r, in, out)
		}
	}
}

// help names members of a room to its overlay, which has asked all that it knows of, or has too many neighbours at one
// address. Those that the tracker knows come first, as it sees at once who is gone; of them those of whom the
// neighbours do not tell. The others are known by their own word, which outlives them.
func (c *Core) help(now time.Time, r *room, out *CoreOutput) {
	if r.small || now.Sub(r.helped) < helpEvery {
		return
	}
	r.helped = now
	if len(r.named) > 4*maxTold {
		for id, at := range r.named {
			if now.Sub(at) >= helpAgain {
				delete(r.named, id)
			}
		}
	}
	var apart, likely, others, again []wire.PeerID
	for _, p := range c.roster.members(r.name) {
		l := c.links[p.Peer]
		at, named := r.named[p.Peer]
		switch known := c.roster.people[p.Peer]; {
		case l != nil && l.up:
		case named && now.Sub(at) < helpAgain:
			again = append(again, p.Peer)
		case known.tracker[r.name] && c.connected() && !known.rumor[r.name]: // the neighbours may be keeping them from this peer
			apart = append(apart, p.Peer)
		case known.tracker[r.name] && c.connected():
			likely = append(likely, p.Peer)
		default:
			others = append(others, p.Peer)
		}
	}
	var contacts []overlay.Contact
	for _, list := range [][]wire.PeerID{apart, likely, others, again} {
		c.rand.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
		for _, id := range list[:min(len(list), maxHelp-len(contacts))] {
			contacts = append(contacts, overlay.Contact{Peer: id})
			r.named[id] = now
		}
	}
	if len(contacts) > 0 {
		c.stepOverlay(now, r, overlay.Contacts{Peers: contacts}, out)
	}
}
