package peer

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"time"

	"peerchat/peer/gossip"
	"peerchat/peer/overlay"
	"peerchat/peer/presence"
	"peerchat/peer/wire"
)

// This file is a Core's place in the meshes of its rooms: which links a room needs, and who is known to be in it. In a
// room of few everybody has a link with everybody. In a larger one the overlay decides on a handful of neighbours for
// each, and what the others are comes along the mesh. Either way one link serves all that two peers have in common.

const (
	// smallRoom is how many people, oneself included, all have links with each other.
	smallRoom = 6
	// looseRoom is how many may be in a room in which links are kept that were made while it was smaller. Without it a
	// room to which a seventh comes, and goes again, and comes, would close links and make them each time.
	looseRoom = 8
	// apartEvery is how often a large room is looked through for members that the tracker knows and the mesh does not,
	// though they have been there for as long: then the room is in two parts. A few of them are tried.
	apartEvery = 10 * time.Second
	maxApart   = 4
	// maxTold bounds the members that the overlay of a room is told of at a time as those who may let it in.
	maxTold = 32
)

// mesh is the part of a room that knows its links.
type mesh struct {
	overlay  *overlay.Machine
	presence *presence.Machine

	small bool                 // everybody has a link with everybody
	size  int                  // as the overlay was told
	met   map[wire.PeerID]bool // peers in the room with a link, as the overlay was told
	needs map[wire.PeerID]bool // links that the overlay asked for
	near  map[wire.PeerID]bool // peers that the room's gossip uses the links of
	told  map[wire.PeerID]bool // members that the overlay was told of
	// untold are members that it may not have been told of, a few of which it is told at a time.
	untold []wire.PeerID

	named  map[wire.PeerID]time.Time // when the overlay was told of members because it knew nobody any more
	helped time.Time                 // the last time

	overlayWake, presenceWake time.Time
	apartAt                   time.Time // when to look for members apart; zero: the room is small
}

// newMesh makes the machines of a room.
func (c *Core) newMesh(name wire.Room) (mesh, error) {
	// A link costs more here than the machine takes for granted: it is given time, and asked for again at a calm pace,
	// but not too calm for one that is left with few; and one neighbour too many is better than links that are made to
	// be refused.
	timing := overlay.Timing{Connect: 10 * time.Second, Shuffle: 20 * time.Second, FillMax: 20 * time.Second, Ping: c.cfg.Patience}
	m := mesh{small: true, met: map[wire.PeerID]bool{}, needs: map[wire.PeerID]bool{}, near: map[wire.PeerID]bool{}, told: map[wire.PeerID]bool{},
		named: map[wire.PeerID]time.Time{}}
	var err error
	if m.overlay, err = overlay.New(overlay.Config{Self: c.self, Slack: 1, Rand: c.rand, Timing: timing}); err != nil {
		return m, err
	}
	m.presence, err = presence.New(presence.Config{Key: c.cfg.Key, Room: name, Rand: c.rand})
	return m, err
}

// neighbourly reports whether a room uses the link with a peer that is in it.
func (r *room) neighbourly(id wire.PeerID) bool { return r.small || r.overlay.Neighbor(id) }

// needed reports whether a link with a peer is needed: by the overlay of a room, by a small room, or for voice.
func (c *Core) needed(id wire.PeerID) bool {
	return c.inRoomNeeds(id) || c.voices.self.Room != "" && c.voices.of[id].Room == c.voices.self.Room
}

// inRoomNeeds is the same without voice.
func (c *Core) inRoomNeeds(id wire.PeerID) bool {
	for _, r := range c.rooms {
		if r.needs[id] {
			return true
		}
	}
	return c.inSmallRoom(id)
}

// useful reports whether a link that is there is needed, or may be soon: in a room that is not much too large for all
// to have links.
func (c *Core) useful(l *link) bool {
	return c.needed(l.peer) || slices.ContainsFunc(l.rooms, func(name wire.Room) bool {
		r := c.rooms[name]
		return r != nil && r.size <= looseRoom
	})
}

// stepOverlay gives the overlay of a room an input and does what it puts out.
func (c *Core) stepOverlay(now time.Time, r *room, in overlay.Input, out *CoreOutput) {
	var o overlay.Output
	r.overlay.Step(now, in, &o)
	r.overlayWake = o.Wake
	for _, s := range o.Sends {
		l := c.links[s.To]
		if l == nil || !l.up {
			continue
		}
		data, err := overlay.AppendMessage(nil, s.Message)
		if err != nil {
			c.counters["frames.unsendable"]++
			continue
		}
		c.send(l, wire.Overlay{Room: r.name, Data: data}, s.Fast, out)
	}
	for _, f := range o.Faults {
		c.misbehaved(now, misdeed{peer: f.Peer, room: r.name, code: f.Code, text: f.Text, drop: f.Drop}, out)
	}
	// To do one may make the overlay want others, which are to come after those that it wanted before.
	for _, a := range o.Actions {
		c.wishes = append(c.wishes, wish{r, a})
	}
	if o.NeedContacts {
		c.help(now, r, out)
	}
	if c.granting {
		return
	}
	c.granting = true
	for len(c.wishes) > 0 {
		w := c.wishes[0]
		c.wishes = c.wishes[1:]
		c.grant(now, w, out)
	}
	c.granting = false
}

// wish is what the overlay of a room wants done.
type wish struct {
	room   *room
	action overlay.Action
}

func (c *Core) grant(now time.Time, w wish, out *CoreOutput) {
	r := w.room
	switch a := w.action.(type) {
	case overlay.Connect:
		r.needs[a.Peer] = true
		if c.joined(r.name) && !c.stopping {
			c.wantLink(now, a.Peer, true, out)
		}
	case overlay.Release:
		delete(r.needs, a.Peer)
		c.checkUse(now, c.links[a.Peer], out)
	case overlay.NeighborUp:
		r.needs[a.Peer] = true
		c.share(now, c.links[a.Peer], out)
	case overlay.NeighborDown:
		c.share(now, c.links[a.Peer], out)
	}
}

// stepPresence gives the presence of a room an input and does what it puts out.
func (c *Core) stepPresence(now time.Time, r *room, in presence.Input, out *CoreOutput) {
	var o presence.Output
	r.presence.Step(now, in, &o)
	r.presenceWake = o.Wake
	for _, s := range o.Sends {
		if l := c.links[s.To]; l != nil && l.up {
			c.send(l, wire.Members{Room: r.name, Data: s.Data}, false, out)
		}
	}
	for _, ch := range o.Changes {
		c.rumored(now, r, ch, out)
	}
	for _, f := range o.Faults {
		c.misbehaved(now, misdeed{peer: f.Peer, about: f.Subject, room: r.name, code: string(f.Code), text: f.Text, drop: f.Drop}, out)
	}
}

// rumored takes what the presence of a room tells of a member.
func (c *Core) rumored(now time.Time, r *room, ch presence.Changed, out *CoreOutput) {
	id := ch.Member.Peer
	here := ch.What != presence.Left
	c.roster.rumored(now, r.name, id, ch.Member.Name, here, c.joined, &out.Events)
	if ch.Cause == presence.Said || ch.Cause == presence.Died && !c.connected() { // the tracker's word is older
		c.roster.trackerLeft(now, r.name, id, c.joined, &out.Events)
	}
	if p := c.roster.people[id]; p != nil {
		switch v := ch.Member.Voice; {
		case here && v.In:
			p.rumoredVoice = wire.Voice{Room: r.name, Muted: v.Muted, Deaf: v.Deaf}
		case p.rumoredVoice.Room == r.name:
			p.rumoredVoice = wire.Voice{}
		}
		c.hearVoice(now, id, out)
	}
	c.checkUse(now, c.links[id], out)
	c.unclaimed = true
}

// unreachable tells the overlays that nobody knows the way to a peer.
func (c *Core) unreachable(now time.Time, id wire.PeerID, out *CoreOutput) {
	for _, name := range slices.Clone(c.order) {
		if r := c.rooms[name]; r != nil && r.needs[id] {
			c.stepOverlay(now, r, overlay.LinkFailed{Peer: id}, out)
		}
	}
}

// sayMyself tells the presence of all rooms what this peer says of itself.
func (c *Core) sayMyself(now time.Time, out *CoreOutput) {
	for _, name := range c.order {
		r := c.rooms[name]
		self := presence.Self{Name: c.roster.self.Name}
		if v := c.voices.self; v.Room == name {
			self.Voice = presence.Voice{In: true, Muted: v.Muted, Deaf: v.Deaf}
		}
		c.stepPresence(now, r, self, out)
	}
}

// meet tells the meshes of the own rooms which of them the peer of a link is in.
func (c *Core) meet(now time.Time, l *link, out *CoreOutput) {
	for _, name := range slices.Clone(c.order) {
		r := c.rooms[name]
		in := l.up && slices.Contains(l.rooms, name)
		switch {
		case r == nil:
		case l.up && !in && !r.met[l.peer] && r.needs[l.peer]: // it was in the room when the overlay heard of it
			c.stepOverlay(now, r, overlay.LinkFailed{Peer: l.peer}, out)
		case in == r.met[l.peer]:
		case in:
			r.met[l.peer] = true
			c.stepOverlay(now, r, overlay.LinkUp{Peer: l.peer, Origin: originOf(l.path), RTT: l.path.RTT}, out)
		default:
			delete(r.met, l.peer)
			c.stepOverlay(now, r, overlay.LinkDown{Peer: l.peer}, out)
		}
	}
}

// originOf is where a path leads, as far as one party may have many such for nothing: an IPv4 address, an IPv6 network;
// but not the network that this peer is in itself, or people in one house would look for others as long as they are in
// the room. Of this machine, by whatever address it reaches itself, nothing is said. Only a local candidate of the kind
// "host" is an address of this machine: that of another is a NAT's or a relay's, which strangers have, too.
func originOf(p Path) string {
	ap, err := netip.ParseAddrPort(p.Remote)
	if err != nil {
		return ""
	}
	a := ap.Addr().Unmap().WithZone("")
	own := netip.Addr{}
	if ap, err := netip.ParseAddrPort(p.Local); err == nil {
		own = ap.Addr().Unmap().WithZone("")
	}
	switch n, err := a.Prefix(64); {
	case a.IsLoopback() || p.Kind == "host" && a == own:
		return ""
	case a.Is4() || err != nil:
	case a.IsLinkLocalUnicast():
	case !n.Contains(own):
		return n.String()
	}
	return a.String()
}

// share tells the gossip and the presence of the rooms which of them use a link now.
func (c *Core) share(now time.Time, l *link, out *CoreOutput) {
	if l == nil {
		return
	}
	var rooms []wire.Room
	for _, name := range c.order {
		r := c.rooms[name]
		use := l.up && slices.Contains(l.rooms, name) && r.neighbourly(l.peer)
		if use {
			rooms = append(rooms, name)
		}
		if use == r.near[l.peer] {
			continue
		}
		if use {
			r.near[l.peer] = true
			c.stepPresence(now, r, presence.NeighborUp{Peer: l.peer}, out)
		} else {
			delete(r.near, l.peer)
			c.stepPresence(now, r, presence.NeighborDown{Peer: l.peer, Died: !l.up && !l.purpose}, out)
		}
	}
	if !l.up {
		return
	}
	c.stepGossip(now, gossip.LinkUp{Peer: l.peer, Rooms: rooms, RTT: l.path.RTT}, out)
	if l.busy {
		c.stepGossip(now, gossip.LinkBusy{Peer: l.peer, Busy: true}, out)
	}
	c.tellBusy(now, l, out)
}

// tellBusy tells the presence of the rooms whether a link takes more now: what it tells can wait.
func (c *Core) tellBusy(now time.Time, l *link, out *CoreOutput) {
	for _, name := range c.order {
		if r := c.rooms[name]; r.near[l.peer] {
			c.stepPresence(now, r, presence.Busy{Peer: l.peer, Busy: l.busy}, out)
		}
	}
}

// resize follows how many there are in each room: it tells the overlays of newcomers, and which links a room uses that
// is no longer small, or small again.
func (c *Core) resize(now time.Time, out *CoreOutput) {
	if c.resized == c.roster.changes {
		return
	}
	c.resized = c.roster.changes
	for _, a := range c.roster.came {
		if r := c.rooms[a.room]; r != nil {
			r.untold = append(r.untold, a.peer)
		}
	}
	c.roster.came = nil
	for _, name := range slices.Clone(c.order) {
		r := c.rooms[name]
		if r == nil {
			continue
		}
		was := r.size
		if n := c.roster.count(name); n != r.size {
			r.size = n
			c.stepOverlay(now, r, overlay.RoomSize{N: n}, out)
		}
		c.introduce(now, r, out)
		if small := r.size <= smallRoom; small != r.small {
			r.small, r.apartAt = small, time.Time{}
			if !small {
				r.apartAt = now.Add(apartEvery)
			}
			c.shareAll(now, out)
		}
		if r.size > smallRoom && r.size != was {
			for _, id := range c.linkIDs() {
				c.checkUse(now, c.links[id], out)
			}
		}
	}
}

// rejoin tells the overlay of members that should have been heard of in the mesh by now.
func (c *Core) rejoin(now time.Time, r *room, out *CoreOutput) {
	r.apartAt = now.Add(apartEvery)
	var apart []overlay.Contact
	for _, id := range c.roster.ids() {
		p := c.roster.people[id]
		if p.tracker[r.name] && !p.rumor[r.name] && p.mesh == nil && now.Sub(p.since) >= apartEvery {
			apart = append(apart, overlay.Contact{Peer: id})
		}
	}
	c.rand.Shuffle(len(apart), func(i, j int) { apart[i], apart[j] = apart[j], apart[i] })
	if len(apart) > 0 {
		c.stepOverlay(now, r, overlay.Contacts{Peers: apart[:min(len(apart), maxApart)], Apart: true}, out)
	}
}

// introduce tells the overlay of a room of members that it was not told of yet, a few at a time.
func (c *Core) introduce(now time.Time, r *room, out *CoreOutput) {
	var contacts []overlay.Contact
	n := 0 // looked at
	for _, id := range r.untold {
		if len(contacts) == maxTold {
			break
		}
		n++
		if p := c.roster.people[id]; p != nil && p.in(r.name) && !r.told[id] {
			r.told[id] = true
			contacts = append(contacts, overlay.Contact{Peer: id})
		}
	}
	r.untold = r.untold[n:]
	if len(contacts) == 0 {
		return
	}
	slices.SortFunc(contacts, func(a, b overlay.Contact) int { return comparePeers(a.Peer, b.Peer) })
	if len(r.told) > 2*r.size+maxTold {
		maps.DeleteFunc(r.told, func(id wire.PeerID, _ bool) bool { p := c.roster.people[id]; return p == nil || !p.in(r.name) })
	}
	c.stepOverlay(now, r, overlay.Contacts{Peers: contacts}, out)
}

// meshWake is the earliest time at which a room's machine wants to be called.
func (c *Core) meshWake() (wake time.Time) {
	for _, r := range c.rooms {
		for _, t := range []time.Time{r.overlayWake, r.presenceWake, r.apartAt} {
			if !t.IsZero() && (wake.IsZero() || t.Before(wake)) {
				wake = t
			}
		}
	}
	return wake
}

// tickMeshes calls the machines whose time has come.
func (c *Core) tickMeshes(now time.Time, out *CoreOutput) {
	for _, name := range slices.Clone(c.order) {
		r := c.rooms[name]
		if r != nil && !r.overlayWake.IsZero() && !now.Before(r.overlayWake) {
			c.stepOverlay(now, r, overlay.Tick{}, out)
		}
		if r != nil && !r.presenceWake.IsZero() && !now.Before(r.presenceWake) {
			c.stepPresence(now, r, presence.Tick{}, out)
		}
		if r != nil && !r.apartAt.IsZero() && !now.Before(r.apartAt) {
			c.rejoin(now, r, out)
		}
	}
}

// meshed takes a frame of a room's mesh.
func (c *Core) meshed(now time.Time, l *link, f wire.Frame, out *CoreOutput) {
	switch f := f.(type) {
	case wire.Overlay:
		r := c.rooms[f.Room]
		if r == nil || !r.met[l.peer] {
			c.counters["overlay.stray"]++ // it was on its way when one of the two left the room
			return
		}
		m, err := overlay.DecodeMessage(f.Data)
		if err != nil {
			c.misbehaved(now, misdeed{peer: l.peer, room: f.Room, code: "protocol", text: err.Error(), drop: true}, out)
			return
		}
		c.stepOverlay(now, r, overlay.Receive{From: l.peer, Message: m}, out)
	case wire.Members:
		if r := c.rooms[f.Room]; r != nil && r.near[l.peer] {
			c.stepPresence(now, r, presence.Receive{From: l.peer, Data: f.Data}, out)
		} else {
			c.counters["presence.stray"]++
		}
	}
}

// leaveMesh tells a room that this peer leaves it.
func (c *Core) leaveMesh(now time.Time, r *room, out *CoreOutput) {
	c.stepPresence(now, r, presence.Leave{}, out)
	c.stepOverlay(now, r, overlay.Leave{}, out)
}

// via is the neighbour by which a peer is heard of, in a room of both; nil if there is none, or if it is silent.
func (c *Core) via(id wire.PeerID) *link {
	var best *link
	for _, name := range c.order {
		if by, ok := c.rooms[name].presence.Via(id); ok {
			if l := c.links[by]; l != nil && l.up && !l.silent && (best == nil || cmp.Compare(l.path.RTT, best.path.RTT) < 0) {
				best = l
			}
		}
	}
	return best
}
