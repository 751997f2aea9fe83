package peer

import (
	"cmp"
	"maps"
	"slices"

	"peerchat/peer/wire"
	"peerchat/signaling"
)

// maxQueries bounds the room lists that are asked of the tracker at a time.
const maxQueries = 16

// peers lists everybody this peer knows of: linked ones first, then by name.
func (c *Core) peers() []PeerInfo {
	list := make([]PeerInfo, 0, len(c.roster.people))
	for id, p := range c.roster.people {
		info := PeerInfo{Person: p.Person, Rooms: p.rooms(), Since: p.since, State: "known"}
		l := c.links[id]
		switch {
		case l != nil && l.up:
			info.State, info.Path, info.Since, info.Voice = "linked", l.path, l.since, l.said.Voice
		case l != nil && l.wanted:
			info.State, info.Since = "linking", l.since
		case len(info.Rooms) == 0:
			info.State = "gone"
		}
		list = append(list, info)
	}
	rank := map[string]int{"linked": 0, "linking": 1, "known": 2, "gone": 3}
	slices.SortFunc(list, func(a, b PeerInfo) int {
		return cmp.Or(rank[a.State]-rank[b.State], cmp.Compare(a.Name, b.Name), slices.Compare(a.Peer[:], b.Peer[:]))
	})
	return list
}

func (c *Core) net() NetAnswer {
	n := NetAnswer{
		Self: c.roster.self, Voice: c.voices.self, Tracker: c.tracker, Term: c.elections.state.Term, Candidates: c.candidates(), STUN: slices.Clone(c.stun), Observed: c.observed,
		Peers: c.peers(), Counters: maps.Clone(c.counters),
	}
	for _, p := range n.Peers {
		if p.State == "linked" {
			n.Linked++
		}
		if p.State != "gone" {
			n.Known++
		}
	}
	return n
}

// listRooms asks the tracker for its rooms; what is known here is added to its answer.
func (c *Core) listRooms(ref any, out *CoreOutput) {
	if !c.connected() || len(c.refs) >= maxQueries {
		out.Events = append(out.Events, Answer{Ref: ref, Value: c.knownRooms(nil)})
		return
	}
	c.nextRef++
	c.refs[c.nextRef] = ref
	out.Ops = append(out.Ops, opList{ref: c.nextRef})
}

func (c *Core) answerRooms(ev signaling.RoomList, out *CoreOutput) {
	n, _ := ev.Ref.(uint64)
	ref, ok := c.refs[n]
	if !ok {
		return
	}
	delete(c.refs, n)
	if ev.Err != nil {
		c.failure("", "tracker", "asking the tracker for its rooms: "+ev.Err.Error()+"; listed are those that the neighbours know", out)
	}
	out.Events = append(out.Events, Answer{Ref: ref, Value: c.knownRooms(ev.Rooms)})
}

// knownRooms merges the tracker's list with what the neighbours say.
func (c *Core) knownRooms(tracker []signaling.Room) RoomsAnswer {
	counts := map[wire.Room]int{}
	for _, r := range tracker {
		counts[r.Room] = r.Members
	}
	known := map[wire.Room]int{} // one pass over the people, of whom and of whose rooms there may be many
	for _, p := range c.roster.people {
		for _, r := range p.rooms() {
			known[r]++
		}
	}
	for _, r := range c.order {
		known[r]++
	}
	for r, n := range known {
		counts[r] = max(counts[r], n)
	}
	var a RoomsAnswer
	for name, n := range counts {
		info := RoomInfo{Room: name, Members: n, Joined: c.joined(name)}
		if info.Joined {
			info.Topic = c.rooms[name].topic.text
		}
		a.Rooms = append(a.Rooms, info)
	}
	slices.SortFunc(a.Rooms, func(x, y RoomInfo) int {
		if x.Joined != y.Joined {
			if x.Joined {
				return -1
			}
			return 1
		}
		return cmp.Or(cmp.Compare(y.Members, x.Members), cmp.Compare(x.Room, y.Room))
	})
	return a
}
