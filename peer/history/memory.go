package history

import (
	"bytes"
	"slices"

	"peerchat/peer/wire"
)

// Memory is a Store in memory. Close keeps its content, so that a test can go on with it as after a restart.
type Memory struct {
	keep  int
	rooms map[wire.Room]*memoryRoom
}

type memoryRoom struct {
	lamport uint64
	logs    map[wire.PeerID]*memoryLog
	count   int // events, those below bases included
}

type memoryLog struct {
	base, head uint64
	events     []wire.Event // base+1 to head
	old        []wire.Event // from before the base, as Rebase left them
}

// NewMemory makes an empty Memory that keeps DefaultKeep events a room.
func NewMemory() *Memory { return NewMemoryKeeping(DefaultKeep) }

// NewMemoryKeeping makes one that keeps another number, at least 1.
func NewMemoryKeeping(keep int) *Memory {
	return &Memory{keep: max(1, keep), rooms: make(map[wire.Room]*memoryRoom)}
}

// Append implements Store.
func (m *Memory) Append(events []wire.Event) error {
	type place struct {
		room   wire.Room
		author wire.PeerID
	}
	var heads map[place]uint64
	head := func(e *wire.Event) uint64 {
		if r := m.rooms[e.Room]; r != nil && r.logs[e.Author] != nil {
			return r.logs[e.Author].head
		}
		return 0
	}
	for i := range events {
		e := &events[i]
		if i > 0 && e.Author == events[i-1].Author && e.Room == events[i-1].Room && e.Seq == events[i-1].Seq+1 && heads == nil {
			continue
		}
		if i > 0 && heads == nil { // more than one log: follow them all
			heads = make(map[place]uint64)
			last := &events[i-1]
			heads[place{last.Room, last.Author}] = last.Seq
		}
		h := head(e)
		if x, ok := heads[place{e.Room, e.Author}]; ok {
			h = x
		}
		if e.Seq != h+1 {
			return gapError(e, h)
		}
		if heads != nil {
			heads[place{e.Room, e.Author}] = e.Seq
		}
	}
	for i := range events {
		e := events[i]
		e.Body = bytes.Clone(e.Body)
		e.Proof.Path = slices.Clone(e.Proof.Path)
		r := m.room(e.Room)
		l := r.log(e.Author)
		l.events = append(l.events, e)
		l.head = e.Seq
		r.lamport = max(r.lamport, e.Lamport)
		r.count++
	}
	for i := range events {
		if r := m.rooms[events[i].Room]; r.count > m.keep+slack(m.keep) {
			r.prune(m.keep)
		}
	}
	return nil
}

func (m *Memory) room(name wire.Room) *memoryRoom {
	r := m.rooms[name]
	if r == nil {
		r = &memoryRoom{logs: make(map[wire.PeerID]*memoryLog)}
		m.rooms[name] = r
	}
	return r
}

func (r *memoryRoom) log(author wire.PeerID) *memoryLog {
	l := r.logs[author]
	if l == nil {
		l = &memoryLog{}
		r.logs[author] = l
	}
	return l
}

// prune removes the oldest events so that keep remain, or a few less.
func (r *memoryRoom) prune(keep int) {
	oldest := r.all(nil)
	upTo := make(map[*memoryLog]uint64)
	for _, e := range oldest[:max(0, len(oldest)-keep)] {
		upTo[r.logs[e.Author]] = max(upTo[r.logs[e.Author]], e.Seq)
	}
	r.count = 0
	for _, l := range r.logs {
		gone := func(e wire.Event) bool { return e.Seq <= upTo[l] }
		l.old = slices.DeleteFunc(l.old, gone)
		l.events = slices.Clone(slices.DeleteFunc(l.events, gone))
		l.base = max(l.base, upTo[l])
		r.count += len(l.old) + len(l.events)
	}
}

// all returns the events that pass the filter in display order.
func (r *memoryRoom) all(pass func(*wire.Event) bool) []wire.Event {
	var events []wire.Event
	for _, l := range r.logs {
		for _, part := range [][]wire.Event{l.old, l.events} {
			for i := range part {
				if pass == nil || pass(&part[i]) {
					events = append(events, part[i])
				}
			}
		}
	}
	slices.SortFunc(events, func(a, b wire.Event) int { return order(&a, &b) })
	return events
}

// Range implements Store.
func (m *Memory) Range(room wire.Room, author wire.PeerID, from, to uint64, limit int) ([]wire.Event, error) {
	r := m.rooms[room]
	if r == nil || r.logs[author] == nil {
		return nil, nil
	}
	l := r.logs[author]
	from = max(from, l.base+1)
	to = min(to, l.head)
	if from > to || limit < 1 {
		return nil, nil
	}
	return slices.Clone(l.events[from-l.base-1:][:min(to-from+1, uint64(limit))]), nil
}

// Heads implements Store.
func (m *Memory) Heads(room wire.Room) (heads []wire.Head, lamport uint64, err error) {
	r := m.rooms[room]
	if r == nil {
		return nil, 0, nil
	}
	for author, l := range r.logs {
		heads = append(heads, wire.Head{Author: author, Base: l.base, Seq: l.head})
	}
	slices.SortFunc(heads, func(a, b wire.Head) int { return bytes.Compare(a.Author[:], b.Author[:]) })
	return heads, r.lamport, nil
}

// Rebase implements Store.
func (m *Memory) Rebase(room wire.Room, author wire.PeerID, base uint64) error {
	l := m.room(room).log(author)
	if base <= l.head {
		return rebaseError(room, author, base, l.head)
	}
	l.old = append(l.old, l.events...)
	l.events, l.base, l.head = nil, base, base
	return nil
}

// Recent implements Store.
func (m *Memory) Recent(room wire.Room, limit int) ([]wire.Event, error) {
	return m.newest(room, nil, limit)
}

// Before implements Store.
func (m *Memory) Before(room wire.Room, lamport uint64, author wire.PeerID, limit int) ([]wire.Event, error) {
	return m.newest(room, func(e *wire.Event) bool {
		return e.Lamport < lamport || (e.Lamport == lamport && e.Author.Less(author))
	}, limit)
}

func (m *Memory) newest(room wire.Room, pass func(*wire.Event) bool, limit int) ([]wire.Event, error) {
	r := m.rooms[room]
	if r == nil || limit < 1 {
		return nil, nil
	}
	events := r.all(pass)
	return events[max(0, len(events)-limit):], nil
}

// Rooms implements Store.
func (m *Memory) Rooms() ([]wire.Room, error) {
	var rooms []wire.Room
	for name := range m.rooms {
		rooms = append(rooms, name)
	}
	slices.Sort(rooms)
	return rooms, nil
}

// Close implements Store.
func (m *Memory) Close() error { return nil }
