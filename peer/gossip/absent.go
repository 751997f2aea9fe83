package gossip

import (
	"slices"
	"time"

	"peerchat/peer/wire"
)

// What a neighbour held that is wanted here is missing when its link has ended, too, though nobody can be asked for it
// now. So it is remembered until it is here, or the neighbour is back and says what it holds, or the author of a log
// says that it is not so long. Else, as it may be a lie, it is forgotten when others were linked for absentLife who did
// not have it; as long as nobody is, nobody can know better. What one claimed who does not send what it offers is not
// remembered, unless it has said nothing else either, as the dead do; nor what one claimed whose link was ended for a
// fault.

const (
	absentLife    = 5 * time.Minute
	deadSilence   = 2 * time.Second // how long nothing was heard of a neighbour that was asked, before it is no liar but dead
	maxAbsent     = 8               // of a room; of more the first is forgotten
	maxAbsentLogs = 1024            // of each
)

// absent is a neighbour whose link has ended, and what it held that was wanted.
type absent struct {
	peer  wire.PeerID
	holds map[wire.LogID]span
	until time.Time // when it is forgotten; zero: while nobody is linked
}

// leaves is told that a share ends.
func (m *Machine) leaves(r *room, s *share) {
	l := s.link
	at := slices.IndexFunc(r.absent, func(x *absent) bool { return x.peer == l.peer })
	var x *absent
	if at >= 0 {
		x = r.absent[at] // it has not said yet what it holds now
		r.absent = slices.Delete(r.absent, at, at+1)
	}
	if dead := l.unkeptAt.Sub(l.heardAt) > deadSilence; l.cut || l.lies() && !dead {
		return
	}
	for _, a := range r.sorted {
		k := s.known[a.id]
		if !m.lacksOf(r, a, k) || x != nil && len(x.holds) >= maxAbsentLogs {
			continue
		}
		if x == nil {
			x = &absent{peer: l.peer, holds: make(map[wire.LogID]span)}
		}
		x.holds[a.id] = k
	}
	if x == nil {
		return
	}
	if x.until = (time.Time{}); len(r.absent) >= maxAbsent {
		r.absent = slices.Delete(r.absent, 0, 1)
	}
	r.absent = append(r.absent, x)
}

// lacksOf tells whether one that holds k has something of a log that is wanted here.
func (m *Machine) lacksOf(r *room, a *authorLog, k span) bool {
	switch {
	case a == r.own:
		return false
	case k.seq > max(a.head, k.base):
		return k.seq-a.head <= farAhead
	}
	return a.reaches(k) && (a.hole.open || !r.filled && !a.ended || m.misses(r, a))
}

// returns is told that a neighbour has named all that it holds: that counts now.
func (m *Machine) returns(now time.Time, r *room, peer wire.PeerID) {
	if at := slices.IndexFunc(r.absent, func(x *absent) bool { return x.peer == peer }); at >= 0 {
		r.absent = slices.Delete(r.absent, at, at+1)
		m.lookSoon(now, r)
	}
}

// reviewAbsent forgets what is here, or known not to be there, and those who are away for long while others are linked.
// It is done in each round of anti-entropy.
func (m *Machine) reviewAbsent(now time.Time, r *room) {
	if len(r.absent) == 0 {
		return
	}
	linked := slices.ContainsFunc(m.linkList, func(l *link) bool { s := l.share(r); return s != nil && s.greeted })
	r.absent = slices.DeleteFunc(r.absent, func(x *absent) bool {
		switch {
		case !linked:
			x.until = time.Time{}
		case x.until.IsZero():
			x.until = now.Add(absentLife)
		case !x.until.After(now):
			m.lookSoon(now, r)
			return true
		}
		for id, k := range x.holds {
			if a := r.logs[id]; a != nil && (!m.lacksOf(r, a, k) || m.refuted(r, a, k)) {
				delete(x.holds, id)
				m.lookSoon(now, r)
			}
		}
		return len(x.holds) == 0
	})
}

// refuted tells whether the author of a log says that it does not go as far as one who is absent had said. One that
// goes on in another log may have lost this one.
func (m *Machine) refuted(r *room, a *authorLog, k span) bool {
	if l := m.links[a.author]; l != nil && !a.over {
		s := l.share(r)
		return s != nil && s.greeted && s.known[a.id].seq < k.seq
	}
	return false
}

// beyond is up to where those who are absent held a log, and after what the first of them did; neither is of use if it
// is not beyond the head.
func (r *room) beyond(id wire.LogID, head, top, least uint64) (uint64, uint64) {
	for _, x := range r.absent {
		if k := x.holds[id]; k.seq > max(head, k.base) {
			top, least = max(top, k.seq), min(least, k.base)
		}
	}
	return top, least
}

// before is after what those who are absent held what comes before a log.
func (r *room) before(a *authorLog) (base uint64) {
	base = a.base
	for _, x := range r.absent {
		if k := x.holds[a.id]; a.reaches(k) {
			base = min(base, k.base)
		}
	}
	return base
}
