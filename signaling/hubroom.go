package signaling

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"peerchat/peer/wire"
)

// This file is the hub's part in rooms: members, samples of them, and who is told.

func (p *hubPeer) index(room wire.Room) int {
	for i := range p.rooms {
		if p.rooms[i].room.name == room {
			return i
		}
	}
	return -1
}

func (h *Hub) join(p *hubPeer, r *JoinRequest, out *HubOutput) {
	i := p.index(r.Room)
	fresh := i < 0
	if fresh {
		room := h.rooms[r.Room]
		switch {
		case len(p.rooms) >= h.cfg.Limits.RoomsPeer:
			h.answer(out, p.conn, r, RateLimited, fmt.Sprintf(
				"in too many rooms: at most %d are allowed; leave one first", h.cfg.Limits.RoomsPeer))
			return
		case room == nil && len(h.rooms) >= h.cfg.Limits.Rooms:
			h.answer(out, p.conn, r, RateLimited, fmt.Sprintf(
				"this tracker holds %d rooms and opens no more; join one that exists", len(h.rooms)))
			return
		case room == nil:
			room = &hubRoom{name: r.Room}
			h.rooms[r.Room] = room
		}
		i = len(p.rooms)
		p.rooms = append(p.rooms, membership{room: room, at: len(room.members)})
		room.members = append(room.members, p)
	}
	p.rooms[i].session = p.session
	room := p.rooms[i].room
	out.Send = append(out.Send, HubSend{p.conn, &MembersAnswer{Op: "join", Re: r.ID, Room: room.name,
		Members: h.sample(room, p), Count: len(room.members)}})
	if fresh {
		h.tell(room, p, &JoinedNote{Room: room.name, Member: Member{p.id, p.name}, Count: len(room.members)}, out)
	}
}

// part takes p out of p.rooms[i] and tells the room. An empty room vanishes.
func (h *Hub) part(p *hubPeer, i int, out *HubOutput) {
	room, at := p.rooms[i].room, p.rooms[i].at
	p.rooms = slices.Delete(p.rooms, i, i+1)
	if len(p.rooms) == 0 {
		p.rooms = nil
	}
	last := len(room.members) - 1
	if moved := room.members[last]; moved != p {
		room.members[at] = moved
		moved.rooms[moved.index(room.name)].at = at
	}
	room.members[last] = nil
	room.members = room.members[:last]
	if last == 0 {
		delete(h.rooms, room.name)
		return
	}
	if cap(room.members) > 64 && last < cap(room.members)/4 {
		room.members = append(make([]*hubPeer, 0, 2*last), room.members...)
	}
	h.tell(room, p, &LeftNote{Room: room.name, Peer: p.id, Count: last}, out)
}

func (h *Hub) rename(p *hubPeer, name string, out *HubOutput) {
	if name == p.name {
		return
	}
	p.name = name
	note := &RenamedNote{Member: Member{p.id, name}}
	told := make(map[ConnID]bool)
	for _, m := range p.rooms {
		for _, i := range h.pick(m.room, p) {
			if to := m.room.members[i]; to.conn != 0 && !told[to.conn] {
				told[to.conn] = true
				out.Send = append(out.Send, HubSend{to.conn, note})
			}
		}
	}
}

// tell sends a note about p to its room: to everybody in a small one, to a sample of a large one.
func (h *Hub) tell(room *hubRoom, p *hubPeer, note Message, out *HubOutput) {
	for _, i := range h.pick(room, p) {
		if to := room.members[i]; to.conn != 0 {
			out.Send = append(out.Send, HubSend{to.conn, note})
		}
	}
}

func (h *Hub) sample(room *hubRoom, but *hubPeer) []Member {
	picked := h.pick(room, but)
	out := make([]Member, len(picked))
	for n, i := range picked {
		out[n] = Member{room.members[i].id, room.members[i].name}
	}
	return out
}

// pick chooses at most Sample members of a room other than but, uniformly, as indices into members. All are chosen,
// in order, where there are no more. The slice is the hub's and good until the next call.
func (h *Hub) pick(room *hubRoom, but *hubPeer) []int {
	h.picked = h.picked[:0]
	n := len(room.members)
	others := n
	if but.index(room.name) >= 0 {
		others--
	}
	if others <= h.cfg.Sample {
		for i, m := range room.members {
			if m != but {
				h.picked = append(h.picked, i)
			}
		}
		return h.picked
	}
	// Rejection: there is always somebody left to draw; the bound on draws makes the end certain, not only likely.
	for tries := 0; len(h.picked) < h.cfg.Sample && tries < 64*h.cfg.Sample; tries++ {
		i := h.rng.IntN(n)
		if room.members[i] != but && !slices.Contains(h.picked, i) {
			h.picked = append(h.picked, i)
		}
	}
	return h.picked
}

// roomCache keeps the sorted list of many rooms for a second, because sorting is all that a tracker does in time that
// grows with their number.
type roomCache struct {
	rooms []Room
	at    time.Time
}

func (h *Hub) listRooms(now time.Time) []Room {
	c := &h.list
	age := now.Sub(c.at)
	if c.rooms != nil && len(h.rooms) > MaxListed && age >= 0 && age < time.Second {
		return c.rooms
	}
	all := make([]Room, 0, len(h.rooms))
	for name, r := range h.rooms {
		all = append(all, Room{Room: name, Members: len(r.members)})
	}
	slices.SortFunc(all, func(a, b Room) int {
		return cmp.Or(cmp.Compare(b.Members, a.Members), cmp.Compare(a.Room, b.Room))
	})
	if len(all) > MaxListed {
		all = slices.Clone(all[:MaxListed])
	}
	c.rooms, c.at = all, now
	return all
}
