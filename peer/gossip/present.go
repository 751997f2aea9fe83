package gossip

import "math"

// The window is about what was said before this peer came. What is said while it is here is never left out, however
// much it is, and however late it is heard of, as in a flood that begins a room. There are two ways to know it. What a
// neighbour did not name in the digest that it began with was said since then: such a log is fetched from there on, in
// order. A neighbour that is met in the middle of a flood names more: of that the window's part is fetched first, and
// then what is older until it was said, by its author's clock, before this peer came. A clock that is ahead shows when
// what comes was said later than now: by so much, at least, it is put right.

// meet is told that a neighbour has named a log, up to seq, in the digest that it began with or, once that is whole, in
// other ways. The first word of a log tells how much of it is older than this peer's being here. What comes on the fast
// channel may overtake the digest, and tells nothing.
func (r *room) meet(s *share, a *authorLog, seq uint64, digest bool) {
	switch {
	case a.marked:
		return
	case s.greeted:
		a.mark, a.joined = a.id.Start(), a.joined && a.begun()
	case digest:
		a.mark = seq
	default:
		return
	}
	a.marked = true
}

// old is up to where a log may be older than this peer's being here.
func (a *authorLog) old() uint64 {
	if !a.marked {
		return math.MaxUint64
	}
	return a.mark
}

// misses tells whether a log begins here with what was said while this peer was here, and more of that may come before:
// what was pruned was seen.
func (m *Machine) misses(r *room, a *authorLog) bool {
	if a.whole() || a.head == a.base || !a.unseen.has(a.base) || a.before || a.barred {
		return false
	}
	m.begins(r, a)
	return a.firstKnown() && a.first.time.Add(-a.fast).After(r.entered)
}

// fixed tells whether events are wanted wherever the window ends.
func (p purpose) fixed() bool { return p == forHole || p == forNow }
