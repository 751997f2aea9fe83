package history

import (
	"bytes"
	"cmp"
	"context"
	"io"
	"math"
	"slices"
	"time"

	"peerchat/peer/wire"
)

// Memory is a Store in memory. Close keeps its content, so that a test can go on with it as after a restart.
type Memory struct {
	limits  Limits // filled
	rooms   map[wire.Room]*memoryRoom
	count   int // of all rooms
	encoded int64
	buf     []byte
}

type memoryRoom struct {
	lamport uint64
	logs    map[wire.LogID]*memoryLog
	count   int // events, those below bases included
	encoded int64
}

func (r *memoryRoom) size() int64 { return sizeOf(r.count, r.encoded) }

type memoryLog struct {
	base, head uint64
	events     []wire.Event // base+1 to head
	old        []wire.Event // from before the base, as Rebase left them
	holes      holes
}

// NewMemory makes an empty Memory with the default Limits.
func NewMemory() *Memory { return NewMemoryWith(Limits{}) }

// NewMemoryWith makes one with other Limits. It forgets no authors, because it is never opened again.
func NewMemoryWith(limits Limits) *Memory {
	return &Memory{limits: limits.filled(), rooms: make(map[wire.Room]*memoryRoom)}
}

// logName names a log of any room.
type logName struct {
	room wire.Room
	log  wire.LogID
}

// Append implements Store.
func (m *Memory) Append(events []wire.Event) error {
	var heads map[logName]uint64
	var begun map[wire.Room]int
	for i := range events {
		e := &events[i]
		if i > 0 && e.Author == events[i-1].Author && e.Room == events[i-1].Room && e.Seq == events[i-1].Seq+1 && logOf(e) == logOf(&events[0]) && heads == nil {
			continue
		}
		if i > 0 && heads == nil { // more than one log: follow them all
			heads = make(map[logName]uint64)
			last := &events[i-1]
			heads[logName{last.Room, logOf(last)}] = last.Seq
		}
		h, followed := heads[logName{e.Room, logOf(e)}]
		if !followed {
			var err error
			if h, err = m.head(e.Room, logOf(e), &begun); err != nil {
				return err
			}
		}
		if e.Seq != h+1 {
			return gapError(e, h)
		}
		if heads != nil {
			heads[logName{e.Room, logOf(e)}] = e.Seq
		}
	}
	for i := range events {
		e := cloned(&events[i])
		r := m.room(e.Room)
		l := r.log(logOf(&e))
		l.events = append(l.events, e)
		l.head = e.Seq
		m.add(r, &e, 1)
	}
	for i := range events {
		if i == 0 || events[i].Room != events[i-1].Room {
			m.bound(m.rooms[events[i].Room])
		}
	}
	return nil
}

// head is where a log stands. begun counts, by room, those that are made for the same Append.
func (m *Memory) head(room wire.Room, log wire.LogID, begun *map[wire.Room]int) (uint64, error) {
	logs := (*begun)[room]
	if r := m.rooms[room]; r != nil {
		if l := r.logs[log]; l != nil {
			return l.head, nil
		}
		logs += len(r.logs)
	}
	if logs >= 2*m.limits.Authors {
		return 0, &crowdError{room, log.Author}
	}
	if *begun == nil {
		*begun = make(map[wire.Room]int)
	}
	(*begun)[room]++
	return log.Start(), nil
}

// cloned is a copy of e that shares no memory with it.
func cloned(e *wire.Event) wire.Event {
	c := *e
	c.Body = bytes.Clone(e.Body)
	c.Proof.Path = slices.Clone(e.Proof.Path)
	return c
}

func (m *Memory) room(name wire.Room) *memoryRoom {
	r := m.rooms[name]
	if r == nil {
		r = &memoryRoom{logs: make(map[wire.LogID]*memoryLog)}
		m.rooms[name] = r
	}
	return r
}

func (r *memoryRoom) log(id wire.LogID) *memoryLog {
	l := r.logs[id]
	if l == nil {
		l = &memoryLog{base: id.Start(), head: id.Start()}
		r.logs[id] = l
	}
	return l
}

// add counts n events like e, which came into r, or left it if n is negative.
func (m *Memory) add(r *memoryRoom, e *wire.Event, n int) {
	r.lamport = max(r.lamport, e.Lamport)
	r.count, m.count = r.count+n, m.count+n
	m.buf = wire.AppendEvent(m.buf[:0], e)
	size := int64(n * len(m.buf))
	r.encoded, m.encoded = r.encoded+size, m.encoded+size
}

// Prepend implements Store.
func (m *Memory) Prepend(events []wire.Event) error {
	if len(events) == 0 {
		return nil
	}
	last := &events[len(events)-1]
	var l *memoryLog
	base := uint64(0)
	r := m.rooms[last.Room]
	if r != nil {
		if l = r.logs[logOf(last)]; l != nil {
			base = l.base
		}
	}
	if err := checkPrepend(events, base); err != nil {
		return err
	}
	held := make(map[uint64]wire.Event)
	for _, e := range l.old {
		held[e.Seq] = e
	}
	var before []wire.Event
	for i := range events {
		e, ok := held[events[i].Seq]
		if !ok {
			e = cloned(&events[i])
			m.add(r, &e, 1)
		}
		before = append(before, e)
	}
	for l.base = events[0].Seq - 1; l.base > 0; l.base-- { // what was held is of the same log
		e, ok := held[l.base]
		if !ok {
			break
		}
		before = append([]wire.Event{e}, before...)
	}
	l.events = append(before, l.events...)
	l.old = slices.DeleteFunc(l.old, func(e wire.Event) bool { return e.Seq > l.base })
	l.holes = l.holes.filled(l.base)
	m.bound(r)
	return nil
}

// Insert implements Store.
func (m *Memory) Insert(events []wire.Event) error {
	if len(events) == 0 {
		return nil
	}
	first, last := &events[0], &events[len(events)-1]
	base := m.Base(last.Room, logOf(last))
	if r := m.rooms[last.Room]; r == nil || r.logs[logOf(last)] == nil {
		base = 0
	}
	if err := checkInsert(events, base); err != nil {
		return err
	}
	r := m.rooms[last.Room]
	l := r.logs[logOf(last)]
	next := base + 1
	for _, e := range l.old {
		if e.Seq > last.Seq {
			next = min(next, e.Seq)
		}
	}
	for i := range events {
		if !slices.ContainsFunc(l.old, func(e wire.Event) bool { return e.Seq == events[i].Seq }) {
			e := cloned(&events[i])
			m.add(r, &e, 1)
			l.old = append(l.old, e)
		}
	}
	slices.SortFunc(l.old, func(a, b wire.Event) int { return cmp.Compare(a.Seq, b.Seq) })
	l.holes = l.holes.inserted(first.Seq, last.Seq, next)
	m.bound(r)
	return nil
}

// Parts implements Store.
func (m *Memory) Parts(room wire.Room, log wire.LogID) (parts []wire.Head, err error) {
	r := m.rooms[room]
	if r == nil || r.logs[log] == nil {
		return nil, nil
	}
	for _, e := range slices.Backward(r.logs[log].old) {
		if n := len(parts); n > 0 && parts[n-1].Base == e.Seq {
			parts[n-1].Base--
		} else {
			parts = append(parts, wire.Head{Author: e.Author, Base: e.Seq - 1, Seq: e.Seq})
		}
	}
	return parts, nil
}

// bound prunes a room that has become too big, and all of them if they have together.
func (m *Memory) bound(r *memoryRoom) {
	l := &m.limits
	if r.count > l.Events+slack(l.Events) || r.size() > l.Room {
		keep := l.Room
		if r.size() > l.Room {
			keep -= l.Room / 8
		}
		m.prune(r, l.Events, keep)
	}
	if sizeOf(m.count, m.encoded) <= l.File {
		return
	}
	var sizes []int64
	for _, r := range m.rooms {
		sizes = append(sizes, r.size())
	}
	level := waterLevel(sizes, l.File-l.File/8)
	for _, r := range m.rooms {
		if r.size() > level {
			m.prune(r, l.Events, level)
		}
	}
}

// prune removes the oldest events so that no more than these remain.
func (m *Memory) prune(r *memoryRoom, events int, bytes int64) {
	upTo := make(map[wire.LogID]uint64)
	count, encoded := r.count, r.encoded
	oldest := r.all(nil)
	for i := range oldest {
		if count <= events && sizeOf(count, encoded) <= bytes {
			break
		}
		e := &oldest[i]
		upTo[logOf(e)] = max(upTo[logOf(e)], e.Seq)
		count--
		encoded -= int64(len(wire.AppendEvent(m.buf[:0], e)))
	}
	m.drop(r, upTo)
}

// drop removes the events of logs up to a number each.
func (m *Memory) drop(r *memoryRoom, upTo map[wire.LogID]uint64) {
	for id, seq := range upTo {
		l := r.logs[id]
		gone := func(e wire.Event) bool {
			if e.Seq > seq {
				return false
			}
			m.add(r, &e, -1)
			return true
		}
		l.old = slices.DeleteFunc(l.old, gone)
		l.events = slices.Clone(slices.DeleteFunc(l.events, gone))
		l.base, l.holes = max(l.base, seq), l.holes.pruned(seq)
	}
}

// Expire implements Store.
func (m *Memory) Expire(now time.Time) error {
	if m.limits.Age <= 0 {
		return nil
	}
	for _, r := range m.rooms {
		a := newAging[wire.LogID](now.Add(-m.limits.Age))
		for _, e := range r.all(nil) {
			a.see(logOf(&e), e.Seq, e.Time)
		}
		m.drop(r, a.upTo)
	}
	return nil
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
	r, id := m.rooms[room], wire.LogOf(author, from)
	if r == nil || r.logs[id] == nil {
		return nil, nil
	}
	l := r.logs[id]
	if to <= l.base {
		parts, _ := m.Parts(room, id) // cannot fail
		var events []wire.Event
		if part, ok := partWith(parts, from); ok {
			for _, e := range l.old {
				if from <= e.Seq && e.Seq <= min(to, part.Seq) && len(events) < limit {
					events = append(events, e)
				}
			}
		}
		return events, nil
	}
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
	for id, l := range r.logs {
		heads = append(heads, wire.Head{Author: id.Author, Base: l.base, Seq: l.head})
	}
	slices.SortFunc(heads, func(a, b wire.Head) int { return a.Log().Compare(b.Log()) })
	return heads, r.lamport, nil
}

// Base implements Store.
func (m *Memory) Base(room wire.Room, log wire.LogID) uint64 {
	if r := m.rooms[room]; r != nil && r.logs[log] != nil {
		return r.logs[log].base
	}
	return log.Start()
}

// Rebase implements Store.
func (m *Memory) Rebase(room wire.Room, log wire.LogID, base, missing uint64) error {
	if err := checkRebase(room, log, base); err != nil {
		return err
	}
	head, err := m.head(room, log, new(map[wire.Room]int))
	if err != nil {
		return err
	}
	if base <= head {
		return rebaseError(room, log, base, head)
	}
	l := m.room(room).log(log)
	l.holes = l.holes.rebased(l.base, l.head, base, missing)
	l.old = append(l.old, l.events...)
	l.events, l.base, l.head = nil, base, base
	return nil
}

// Forget implements Store.
func (m *Memory) Forget(room wire.Room, log wire.LogID) error {
	if r := m.rooms[room]; r != nil && r.logs[log] != nil {
		m.drop(r, map[wire.LogID]uint64{log: math.MaxUint64})
		delete(r.logs, log)
	}
	return nil
}

// Recent implements View.
func (m *Memory) Recent(room wire.Room, limit int) ([]wire.Event, error) {
	return m.Before(room, math.MaxInt64, wire.PeerID{}, limit)
}

// Before implements View.
func (m *Memory) Before(room wire.Room, lamport uint64, author wire.PeerID, limit int) ([]wire.Event, error) {
	events := m.page(sqlBefore, room, lamport, author)
	return events[max(0, len(events)-max(0, limit)):], nil
}

// After implements View.
func (m *Memory) After(room wire.Room, lamport uint64, author wire.PeerID, limit int) ([]wire.Event, error) {
	events := m.page(sqlAfter, room, lamport, author)
	return events[:max(0, min(len(events), limit))], nil
}

// Around implements View.
func (m *Memory) Around(room wire.Room, lamport uint64, author wire.PeerID, limit int) ([]wire.Event, error) {
	if limit < 1 {
		return nil, nil
	}
	return around(m.page(sqlBefore, room, lamport, author), m.page(sqlFrom, room, lamport, author), limit), nil
}

// page are all events that pass, in display order.
func (m *Memory) page(sql string, room wire.Room, lamport uint64, author wire.PeerID) []wire.Event {
	if r := m.rooms[room]; r != nil {
		return r.all(func(e *wire.Event) bool { return passes(sql, e, lamport, author) })
	}
	return nil
}

// Stats implements View.
func (m *Memory) Stats(room wire.Room) (Stats, error) {
	r := m.rooms[room]
	if r == nil {
		return Stats{}, nil
	}
	st := Stats{Events: r.count, Bytes: r.size(), Authors: authorsOf(r.logs)}
	if events := r.all(nil); len(events) > 0 {
		st.Oldest, st.Newest = events[0].Time, events[len(events)-1].Time
	}
	return st, nil
}

// authorsOf is how many authors logs have.
func authorsOf[Log any](logs map[wire.LogID]Log) int {
	authors := make(map[wire.PeerID]bool, len(logs))
	for id := range logs {
		authors[id.Author] = true
	}
	return len(authors)
}

// Search implements View. It has no numbers that say when an event came here: one that counts as said late moves all
// after it.
func (m *Memory) Search(ctx context.Context, room wire.Room, query string, from Cursor, limit int) (Results, error) {
	f := newFinder(query, from, limit)
	for _, name := range m.named(room) {
		r, g := m.rooms[name], gap{to: maxSecond}
		if r == nil {
			continue
		}
		for _, e := range r.all(nil) {
			f.take(&e, g.put(e.Lamport, counted(e.Time, e.Time)))
		}
	}
	return f.results(), ctx.Err()
}

// named is a room, or all.
func (m *Memory) named(room wire.Room) []wire.Room {
	if room != "" {
		return []wire.Room{room}
	}
	rooms, _ := m.Rooms() // cannot fail
	return rooms
}

// Export implements View.
func (m *Memory) Export(ctx context.Context, w io.Writer, room wire.Room, format Format) error {
	before := func(e *wire.Event) (uint64, error) { return m.rooms[e.Room].logs[logOf(e)].holes.before(e.Seq), nil }
	return export(w, m.named(room), format, before, func(room wire.Room, each func(*wire.Event) error) error {
		r := m.rooms[room]
		if r == nil {
			return ctx.Err()
		}
		for _, e := range r.all(nil) {
			if err := each(&e); err != nil {
				return err
			}
		}
		return ctx.Err()
	})
}

// Rooms implements View.
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
