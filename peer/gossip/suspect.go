package gossip

import "time"

// A dead neighbour is missed by its link after seconds. Long before that it has not acknowledged what was pushed to it.
// So a neighbour that several copies in a row got no word from is suspected, until it says anything at all. Nothing is
// taken from it but its place as a parent; whoever keeps the links is told, and may look for others.

// mute is when the neighbour of h is to be suspected, if nothing is heard of it until then: when so many copies are
// out, and for so long, that chance is no explanation, and the last of them has had the time that one is given; where
// packets are lost, all the time until the next. It is zero if more copies are needed.
func (m *Machine) mute(now time.Time, l *link, h *hedge) time.Time {
	odds := 1.0
	for range h.count {
		odds *= max(l.loss, leastLoss)
	}
	if h.count < 2 || odds > doubtful && h.count < maxCopies {
		return time.Time{}
	}
	copies := 1
	if l.loss > leastLoss {
		copies = min(h.count, maxCopies)
	}
	return later(h.again.Add(m.patience(now, l, copies)), h.sent.Add(max(suspectDelay, 5*l.trip())))
}

// suspect is told that a neighbour did not acknowledge several copies of an event.
func (m *Machine) suspect(now time.Time, l *link, out *Output) {
	l.suspected = true
	out.Suspicions = append(out.Suspicions, Suspicion{Peer: l.peer, Suspected: true})
	for _, s := range l.shares {
		m.troubled(now, s.room)
		var orphans []*authorLog
		for _, a := range s.room.sorted {
			if a.parent == s && a.author != l.peer {
				orphans = append(orphans, a)
			}
		}
		for _, a := range orphans {
			a.parent = nil // though it stays in the tree
		}
		m.adopt(now, s.room, orphans, nearer, out)
		for _, a := range s.room.behind {
			if a.ask != nil && a.ask.to == l {
				a.drop()
				m.unkept(now, s.room, l, out) // or who is suspected and heard of by turns would be asked for ever
				m.repairSoon(s.room, now)
			}
		}
	}
	m.resume(now, l)
}

// heard is told that a neighbour lives.
func (m *Machine) heard(l *link, out *Output) {
	if l.suspected {
		l.suspected = false
		out.Suspicions = append(out.Suspicions, Suspicion{Peer: l.peer})
	}
}
