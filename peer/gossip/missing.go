package gossip

import (
	"math"

	"peerchat/peer/wire"
)

// Missing is how many events of a room are wanted and not here, though a neighbour says that it holds them, or did when
// its link ended. It is an estimate: what a neighbour only claims to have counts until it was asked for in vain, and
// what one claimed who is absent for some minutes.
func (m *Machine) Missing(name wire.Room) int {
	r := m.rooms[name]
	if r == nil {
		return 0
	}
	n := min(r.lacking, math.MaxInt32)
	for _, a := range r.behind {
		n += m.missingOf(r, a)
	}
	open := uint64(max(0, m.windowed()-r.held())) // for logs of which nothing is here
	for i, x := range r.absent {
		for id := range x.holds {
			if r.isCounted(id, i) {
				continue
			}
			if a := r.logs[id]; a != nil && a.begun() {
				n += m.missingOf(r, a)
			} else {
				top, least := r.beyond(id, id.Start(), id.Start(), math.MaxUint64)
				missing := min(open, top-min(least, top))
				n += missing
				open -= missing
			}
		}
	}
	return int(min(n, math.MaxInt32))
}

// isCounted tells whether a log was counted before the i-th of those who are absent.
func (r *room) isCounted(id wire.LogID, i int) bool {
	if a := r.logs[id]; a != nil && a.isBehind {
		return true
	}
	for _, x := range r.absent[:i] {
		if _, ok := x.holds[id]; ok {
			return true
		}
	}
	return false
}

// missingOf is how many events above the head of a log are missing.
func (m *Machine) missingOf(r *room, a *authorLog) uint64 {
	top, least := r.beyond(a.id, a.head, a.head, math.MaxUint64)
	for _, l := range m.linkList {
		if s := l.share(r); s != nil && !l.cut {
			if k := s.known[a.id]; k.seq > max(a.head, k.base) {
				top, least = max(top, k.seq), min(least, k.base)
			}
		}
	}
	from := max(a.head, min(least, top))
	missing := top - min(from, top)
	if !a.unstored {
		for seq := range a.pending {
			if from < seq && seq <= top {
				missing--
			}
		}
	}
	if !a.begun() {
		most := uint64(max(1, m.windowed()))
		if a.joined {
			most = min(most, endOfLog)
		}
		missing = min(missing, most)
	}
	return min(missing, math.MaxInt32)
}
