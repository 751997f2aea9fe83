package gossip

import (
	"maps"
	"math"
	"slices"
	"time"

	"peerchat/peer/wire"
)

// All that somebody said may be driven out before any of it has come here. A neighbour that says so of its own lines is
// believed, if it said them since the link began. Of others it counts what a neighbour names that has been here for a
// while, and had not named it before; half of the neighbours have to name it. Who came a moment ago names what was said
// and driven out long before, too; and so does, in its first moments, who is new here itself.

// maxUnheard bounds the logs of a room that others have named since, and of which nothing is here.
const maxUnheard = 256

// unheard is what neighbours have named of a log since they came, of which nothing is here.
type unheard struct {
	from uint64 // up to here it was named before
	up   uint64
}

// claim is up to where a neighbour said that a log of its own went when the link began, or what was told as lost of it
// since.
type claim struct {
	log wire.LogID
	up  uint64
}

// claim notes up to where a log of the neighbour is accounted for. Of many runs only the first are looked at.
func (s *share) claim(id wire.LogID, up uint64) {
	if at := s.claimOf(id); at >= 0 {
		s.claims[at].up = max(s.claims[at].up, up)
	} else if len(s.claims) < maxRuns {
		s.claims = append(s.claims, claim{id, up})
	}
}

func (s *share) claimOf(id wire.LogID) int {
	return slices.IndexFunc(s.claims, func(c claim) bool { return c.log == id })
}

// vanishes is told that a neighbour names a log of which nothing is here, and reports whether that is its own and it
// holds nothing of it any more.
func (s *share) vanishes(id wire.LogID, k span) bool {
	if id.Author != s.link.peer || !s.greeted || k.base < k.seq {
		return false
	}
	s.claim(id, id.Start())
	return true
}

// hears is told that a neighbour names a log of another, of which nothing is here, up to seq, when it had named it up
// to was, and reports whether somebody has named it that had not before.
func (m *Machine) hears(now time.Time, s *share, id wire.LogID, was, seq uint64) bool {
	r := s.room
	u := r.unheard[id]
	if id.Author == s.link.peer || id.Author == m.self || !s.greeted || r.met.IsZero() || now.Sub(r.met) <= lostMost || seq <= was {
		return u != nil
	}
	if u == nil {
		if len(r.unheard) >= maxUnheard {
			r.dropHeard()
		}
		if len(r.unheard) >= maxUnheard {
			return false
		}
		u = &unheard{from: max(was, id.Start())}
		for _, l := range m.linkList {
			if x := l.share(r); x != nil && x != s {
				u.from = max(u.from, x.known[id].seq)
			}
		}
		if r.unheard == nil {
			r.unheard = make(map[wire.LogID]*unheard)
		}
		r.unheard[id] = u
	}
	u.up = max(u.up, seq)
	return true
}

// dropHeard forgets the logs of which something has come.
func (r *room) dropHeard() {
	for id := range r.unheard {
		if a := r.logs[id]; a != nil && a.claimed == nil {
			delete(r.unheard, id)
		}
	}
}

// vanished tells what neighbours have said themselves since the link began, of logs of which nothing ever came here and
// nobody keeps anything. Some of it they may have got back from others, after a loss of their own.
func (m *Machine) vanished(now time.Time, r *room) (lost []LostOf) {
	for _, l := range m.linkList {
		s := l.share(r)
		if s == nil || l.cut || l.lies() {
			continue
		}
		for i := range s.claims {
			c := &s.claims[i]
			k := s.known[c.log]
			a := r.logs[c.log]
			if a != nil && a.claimed == nil || k.seq <= c.up || k.seq-c.up > farAhead || k.base < k.seq || !s.greeted {
				continue
			}
			if m.isHeld(r, c.log) {
				m.loseSoon(now, r)
				continue
			}
			if a != nil {
				a.named = max(a.named, k.seq) // it is told once
			}
			lost = append(lost, LostOf{Author: l.peer, Events: k.seq - c.up, Perhaps: true})
			c.up = k.seq
			delete(r.unheard, c.log)
		}
	}
	r.dropHeard()
	for _, id := range slices.SortedFunc(maps.Keys(r.unheard), wire.LogID.Compare) {
		u := r.unheard[id]
		end := min(m.agreed(r, id), u.up)
		switch {
		case end <= u.from || end-u.from > farAhead:
			continue // until more of them name it
		case m.isHeld(r, id):
			m.loseSoon(now, r)
			continue
		}
		if a := r.logs[id]; a != nil {
			a.named = max(a.named, end)
		}
		if l := m.links[id.Author]; l != nil && l.share(r) != nil {
			l.share(r).claim(id, end)
		}
		lost = append(lost, LostOf{Author: id.Author, Events: end - u.from, Perhaps: true})
		delete(r.unheard, id)
	}
	return lost
}

// agreed is up to where half of the neighbours at least name a log; 0 if they do not.
func (m *Machine) agreed(r *room, id wire.LogID) uint64 {
	var ends []uint64
	for _, l := range m.linkList {
		if s := l.share(r); s != nil && !l.cut && !l.lies() && s.greeted {
			ends = append(ends, s.known[id].seq)
		}
	}
	if len(ends) == 0 {
		return 0
	}
	slices.Sort(ends)
	return ends[len(ends)/2]
}

// isHeld tells whether a neighbour, or one who is absent, has an event of a log of which nothing is here.
func (m *Machine) isHeld(r *room, id wire.LogID) bool {
	top, _ := r.beyond(id, id.Start(), id.Start(), math.MaxUint64)
	return top > id.Start() || slices.ContainsFunc(m.linkList, func(l *link) bool {
		s := l.share(r)
		return s != nil && s.known[id].seq > s.known[id].base
	})
}
