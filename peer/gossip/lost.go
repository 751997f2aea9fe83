package gossip

import (
	"time"

	"peerchat/peer/wire"
)

// In a flood of more than histories keep, all may have let go of what a slow peer has not fetched yet. Its log then goes on past that (see
// choose), and what was said while it was here is told as lost, unless somebody who has it is known. What was said before it came, or was pruned
// here, is not.

const (
	lostQuiet = 5 * time.Second  // how long nothing more of a room must be lost until that is told
	lostMost  = 30 * time.Second // the longest
)

// torn is what a log went on past that was said while this peer was here: the events after from, up to up; none if these are equal. Of several the last is
// remembered, of the others how many were in those that are not told of.
type torn struct {
	from, up uint64
	others   uint64
	told     bool
}

func (t torn) len() uint64 { return t.up - t.from }

func (t torn) untold() uint64 {
	if t.told {
		return t.others
	}
	return t.others + t.len()
}

// tear remembers that a log goes on after base, past what nobody has. The event that follows was said at next.
func (m *Machine) tear(now time.Time, r *room, a *authorLog, base uint64, next time.Time) {
	from, here := m.unseen(r, a, base, next)
	if a.head > a.base || a.begun() && !a.joined { // what is older than the window is no hole
		a.hole = hole{open: true, from: a.head, seen: a.seen}
	} else if here {
		a.hole = hole{open: true, from: from, seen: a.seen}
	}
	if here {
		a.torn = torn{from: from, up: base, others: a.torn.untold()}
		if r.tornAt.IsZero() {
			r.tornAt = now
		}
		r.loseAt = earlier(now.Add(lostQuiet), r.tornAt.Add(lostMost))
		m.at(r.loseAt)
	}
	a.seen = base
	m.dropOlder(r, a)
}

// unseen tells whether of the events up to base, which are skipped, some were said while this peer was here: those after from. Where that cannot be known
// for some, they are not among them.
func (m *Machine) unseen(r *room, a *authorLog, base uint64, next time.Time) (from uint64, here bool) {
	got := a.head > a.stored && a.head > a.base // since this peer came
	from = max(a.head, a.old())
	switch {
	case a.author == m.self || !next.After(r.entered) && !(got && a.old() <= a.head):
		return 0, false
	case got && from > a.head: // it was in the middle of a flood when this neighbour named it, and what is here may have been said after this peer came
		if last, err := m.cfg.Log.Range(r.name, a.author, a.head, a.head, 1); err == nil && len(last) == 1 && last[0].Time.After(r.entered) {
			from = a.head
		}
	}
	return from, from < base
}

// mend is told that a log begins earlier now: less of it is lost.
func (a *authorLog) mend() {
	if a.torn.up > a.base {
		a.torn.up = max(a.torn.from, a.base)
	}
	if a.before {
		a.torn.up = a.torn.from // what else there is was said before this peer came
	}
}

// missingBefore is how many events before one are known to be missing, if it is the first after what its log went on past.
func (a *authorLog) missingBefore(seq uint64) uint64 {
	if seq != a.torn.up+1 {
		return 0
	}
	return a.torn.len()
}

// lose tells what of a room was lost, and waits for what somebody still has.
func (m *Machine) lose(now time.Time, r *room, out *Output) {
	r.loseAt, r.tornAt = time.Time{}, time.Time{}
	lost := Lost{Room: r.name}
	for _, a := range r.sorted {
		n := a.torn.others
		a.torn.others = 0
		switch {
		case a.torn.told || a.torn.len() == 0:
		case m.obtainable(r, a):
			r.tornAt = now
			r.loseAt = now.Add(lostQuiet)
		default:
			n += a.torn.len()
			a.torn.told = true
		}
		if n > 0 {
			lost.Logs = append(lost.Logs, LostOf{Author: a.author, Events: n})
		}
	}
	if len(lost.Logs) > 0 {
		out.Lost = append(out.Lost, lost)
	}
}

// obtainable tells whether a neighbour is known to have what a log went on past, and it would be kept.
func (m *Machine) obtainable(r *room, a *authorLog) bool {
	if r.full || a.base > a.torn.up || a.barred {
		return false
	}
	for _, l := range m.linkList {
		if s := l.share(r); s != nil && !l.cut && a.reaches(s.known[a.id]) {
			return true
		}
	}
	return false
}

// Lost tells of events of a room that were said while this peer was here and that nobody who is linked keeps any more, so that their logs went on past them. They
// are told of once. If somebody comes later who has them, they are fetched all the same.
type Lost struct {
	Room wire.Room
	Logs []LostOf
}

// LostOf is how many events of a log were lost.
type LostOf struct {
	Author wire.PeerID
	Events uint64
}
