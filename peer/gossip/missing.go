package gossip

import (
	"math"

	"peerchat/peer/wire"
)

// Missing is how many events of a room are wanted and not here, though a neighbour says that it holds them. It is an estimate: what a
// neighbour only claims to have counts until it was asked for in vain.
func (m *Machine) Missing(name wire.Room) int {
	r := m.rooms[name]
	if r == nil {
		return 0
	}
	n := min(r.lacking, math.MaxInt32)
	for _, a := range r.behind {
		top, least := a.head, uint64(math.MaxUint64)
		for _, l := range m.linkList {
			if s := l.share(r); s != nil && !l.cut {
				if k := s.known[a.id]; k.seq > max(a.head, k.base) {
					top, least = max(top, k.seq), min(least, k.base)
				}
			}
		}
		from := max(a.head, min(least, top))
		missing := top - min(from, top)
		for seq := range a.pending {
			if from < seq && seq <= top {
				missing--
			}
		}
		if !a.begun() {
			most := uint64(max(1, m.windowed()))
			if a.joined {
				most = min(most, endOfLog)
			}
			missing = min(missing, most)
		}
		n += min(missing, math.MaxInt32)
	}
	return int(min(n, math.MaxInt32))
}
