package gossip

import (
	"math"
	"slices"
	"time"

	"peerchat/peer/wire"
)

// All that somebody said may be driven out before any of it has come here. A neighbour that says so of its own lines is
// believed, if it said them since the link began. Others are not: one that came into the room a moment ago has heard of
// logs that were said and driven out long before, and names them, too.

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

// vanishes is told that a neighbour names a log of which nothing is here and it holds nothing any more, and reports
// whether that has to be looked at.
func (s *share) vanishes(id wire.LogID) bool {
	if id.Author != s.link.peer || !s.greeted {
		return false
	}
	s.claim(id, id.Start())
	return true
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
		}
	}
	return lost
}

// isHeld tells whether a neighbour, or one who is absent, has an event of a log of which nothing is here.
func (m *Machine) isHeld(r *room, id wire.LogID) bool {
	top, _ := r.beyond(id, id.Start(), id.Start(), math.MaxUint64)
	return top > id.Start() || slices.ContainsFunc(m.linkList, func(l *link) bool {
		s := l.share(r)
		return s != nil && s.known[id].seq > s.known[id].base
	})
}
