package peer

import (
	"maps"
	"slices"
	"time"

	"peerchat/peer/wire"
	"peerchat/signaling"
)

// maxPeople bounds how many others a roster remembers, maxGone how many of them may be gone.
const (
	maxPeople = 20_000
	maxGone   = 256
)

// roster is who is where, as far as this peer knows. There are three sources: what the tracker says, what a linked peer
// says of itself, and what members say of themselves to all of a room. Somebody is in a room when one of them says so,
// so that neither a restarted tracker nor a broken link alone makes people vanish from the screen.
//
// It is pure: it tells changes by appending Events.
type roster struct {
	self   Person
	people map[wire.PeerID]*person
	// tracked is the tracker's count of a room's members, for rooms too large to know everybody of.
	tracked map[wire.Room]int
	gone    []wire.PeerID // in the order they went
	counts  map[wire.Room]int
	changes uint64 // counts who comes into rooms and goes, and what the tracker counts
	// came are those who came into the rooms that are listened to, in that order, since the meshes were told.
	came []arrival
}

// arrival is that somebody came into a room.
type arrival struct {
	room wire.Room
	peer wire.PeerID
}

type person struct {
	Person
	tracker      map[wire.Room]bool // rooms by the tracker's word
	mesh         map[wire.Room]bool // rooms by its own word, over a link; nil while not linked
	rumor        map[wire.Room]bool // rooms by its own word to all of them
	rumoredVoice wire.Voice         // the same
	since        time.Time          // when the state that PeerInfo shows began
}

func newRoster(self Person) *roster {
	return &roster{self: self, people: map[wire.PeerID]*person{}, tracked: map[wire.Room]int{}, counts: map[wire.Room]int{}}
}

func (p *person) in(room wire.Room) bool { return p.tracker[room] || p.mesh[room] || p.rumor[room] }

func (p *person) rooms() []wire.Room {
	set := maps.Clone(p.tracker)
	if set == nil {
		set = map[wire.Room]bool{}
	}
	maps.Copy(set, p.mesh)
	maps.Copy(set, p.rumor)
	return slices.Sorted(maps.Keys(set))
}

// get returns the person of id, made if need be; nil when the roster is full.
func (r *roster) get(now time.Time, id wire.PeerID, name string) *person {
	p := r.people[id]
	if p == nil {
		if len(r.people) >= maxPeople || id == r.self.Peer {
			return nil
		}
		p = &person{Person: Person{Peer: id, Name: name}, tracker: map[wire.Room]bool{}, rumor: map[wire.Room]bool{}, since: now}
		r.people[id] = p
	}
	return p
}

// name is what to call id, its tag when nothing better is known.
func (r *roster) name(id wire.PeerID) string {
	if id == r.self.Peer {
		return r.self.Name
	}
	if p := r.people[id]; p != nil && p.Name != "" {
		return p.Name
	}
	return id.Tag()
}

func (r *roster) person(id wire.PeerID) Person { return Person{Peer: id, Name: r.name(id)} }

// members are the others who are in room, by ID.
func (r *roster) members(room wire.Room) []Person {
	var list []Person
	for _, p := range r.people {
		if p.in(room) {
			list = append(list, p.Person)
		}
	}
	slices.SortFunc(list, func(a, b Person) int { return slices.Compare(a.Peer[:], b.Peer[:]) })
	return list
}

// count is everybody in room with oneself: those who are known, or the tracker's figure where that is larger because
// it tells only a sample.
func (r *roster) count(room wire.Room) int {
	n := 1 + r.counts[room]
	if t := r.tracked[room]; t > signaling.DefaultSample && t > n {
		return t
	}
	return n
}

// change runs f on p and tells what that changed in the rooms that are listened to.
func (r *roster) change(now time.Time, p *person, mine func(wire.Room) bool, events *[]Event, f func()) {
	before := p.rooms()
	f()
	after := p.rooms()
	for _, room := range before {
		if !p.in(room) {
			r.counts[room]--
			if r.counts[room] == 0 {
				delete(r.counts, room)
			}
			r.changes++
		}
	}
	for _, room := range after {
		if !slices.Contains(before, room) {
			r.counts[room]++
			r.changes++
		}
	}
	for _, room := range before {
		if !p.in(room) && mine(room) {
			*events = append(*events, MemberLeft{Room: room, Person: p.Person, Members: r.count(room)})
		}
	}
	for _, room := range after {
		if !slices.Contains(before, room) && mine(room) {
			r.came = append(r.came, arrival{room, p.Peer})
			*events = append(*events, MemberJoined{Room: room, Person: p.Person, Members: r.count(room)})
		}
	}
	if len(before) == 0 && len(after) > 0 {
		p.since = now
		if i := slices.Index(r.gone, p.Peer); i >= 0 {
			r.gone = slices.Delete(r.gone, i, i+1)
		}
	}
	if len(after) == 0 && p.mesh == nil {
		p.since = now
		if !slices.Contains(r.gone, p.Peer) {
			r.gone = append(r.gone, p.Peer)
		}
		if len(r.gone) > maxGone {
			delete(r.people, r.gone[0])
			r.gone = slices.Delete(r.gone, 0, 1)
		}
	}
}

// rename gives p its new name, and tells it in the rooms p is in.
func (r *roster) rename(p *person, name string, mine func(wire.Room) bool, events *[]Event) {
	if name == "" || p.Name == name {
		return
	}
	was := p.Name
	p.Name = name
	if was == "" {
		return
	}
	for _, room := range p.rooms() {
		if mine(room) {
			*events = append(*events, MemberRenamed{Room: room, Person: p.Person, Was: was, Members: r.count(room)})
		}
	}
}

// trackerJoined is the tracker's word that somebody is in a room.
func (r *roster) trackerJoined(now time.Time, room wire.Room, m signaling.Member, mine func(wire.Room) bool, events *[]Event) {
	p := r.get(now, m.Peer, m.Name)
	if p == nil {
		return
	}
	if p.mesh == nil { // a linked peer's own word goes before the tracker's
		r.rename(p, m.Name, mine, events)
	}
	r.change(now, p, mine, events, func() { p.tracker[room] = true })
}

// trackerLeft is the tracker's word that somebody left a room.
func (r *roster) trackerLeft(now time.Time, room wire.Room, id wire.PeerID, mine func(wire.Room) bool, events *[]Event) {
	if p := r.people[id]; p != nil {
		r.change(now, p, mine, events, func() { delete(p.tracker, room) })
	}
}

// trackerRoom is the tracker's answer to a join: a sample of the room, or all of it. If it is all, whoever is not in it
// is not there any more by the tracker's word.
func (r *roster) trackerRoom(now time.Time, room wire.Room, sample []signaling.Member, count int, mine func(wire.Room) bool, events *[]Event) {
	r.tracked[room] = count
	r.changes++
	if len(sample)+1 >= count {
		for _, id := range r.ids() {
			listed := slices.ContainsFunc(sample, func(m signaling.Member) bool { return m.Peer == id })
			if !listed && r.people[id].tracker[room] {
				r.trackerLeft(now, room, id, mine, events)
			}
		}
	}
	for _, m := range sample {
		r.trackerJoined(now, room, m, mine, events)
	}
}

// presence is a linked peer's own word.
func (r *roster) presence(now time.Time, id wire.PeerID, said wire.Presence, mine func(wire.Room) bool, events *[]Event) {
	p := r.get(now, id, said.Name)
	if p == nil {
		return
	}
	r.rename(p, said.Name, mine, events)
	r.change(now, p, mine, events, func() {
		if p.mesh == nil {
			p.since = now
		}
		p.mesh = map[wire.Room]bool{}
		for _, room := range said.Rooms {
			p.mesh[room] = true
		}
		// The tracker may be behind: what a peer says of itself is newer.
		for room := range p.tracker {
			if !p.mesh[room] {
				delete(p.tracker, room)
			}
		}
		for room := range p.rumor {
			if !p.mesh[room] {
				delete(p.rumor, room)
			}
		}
	})
}

// rumored is what somebody said to a whole room: that it is there, or not any more; or what the room found out about
// it.
func (r *roster) rumored(now time.Time, room wire.Room, id wire.PeerID, name string, here bool, mine func(wire.Room) bool, events *[]Event) {
	p := r.people[id]
	if p == nil && here {
		p = r.get(now, id, name)
	}
	if p == nil {
		return
	}
	if here && p.mesh == nil { // a linked peer's own word goes before
		r.rename(p, name, mine, events)
	}
	r.change(now, p, mine, events, func() {
		if !here {
			delete(p.rumor, room)
		} else if p.mesh == nil || p.mesh[room] {
			p.rumor[room] = true
		}
	})
}

// unlinked ends a peer's own word. If forget, the tracker's word about it ends too: the peer said that it leaves, or
// there is no tracker that would say so. If leaves, it said so.
func (r *roster) unlinked(now time.Time, id wire.PeerID, forget, leaves bool, mine func(wire.Room) bool, events *[]Event) {
	p := r.people[id]
	if p == nil {
		return
	}
	r.change(now, p, mine, events, func() {
		if p.mesh != nil {
			p.since = now
		}
		p.mesh = nil
		if forget {
			clear(p.tracker)
		}
		if leaves {
			clear(p.rumor)
		}
	})
}

// trackerGone ends the tracker's word about everybody who is not linked, after it has been away for long.
func (r *roster) trackerGone(now time.Time, mine func(wire.Room) bool, events *[]Event) {
	for _, id := range r.ids() {
		if p := r.people[id]; p.mesh == nil && len(p.tracker) > 0 {
			r.change(now, p, mine, events, func() { clear(p.tracker) })
		}
	}
	clear(r.tracked)
}

// forget ends the tracker's word about a room that was left: it tells no more of it.
func (r *roster) forget(now time.Time, room wire.Room) {
	nobody := func(wire.Room) bool { return false }
	for _, id := range r.ids() {
		if p := r.people[id]; p.tracker[room] || p.rumor[room] {
			r.change(now, p, nobody, nil, func() { delete(p.tracker, room); delete(p.rumor, room) })
		}
	}
	delete(r.tracked, room)
}

// ids are all people in a stable order.
func (r *roster) ids() []wire.PeerID {
	return slices.SortedFunc(maps.Keys(r.people), func(a, b wire.PeerID) int { return slices.Compare(a[:], b[:]) })
}
