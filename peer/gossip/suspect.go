package gossip

import "time"

// A dead neighbour is missed by its link after seconds. Long before that it has not acknowledged what was pushed to it. So a
// neighbour that several copies in a row got no word from is suspected, until it says anything at all. Nothing is taken from it but
// its place as a parent; whoever keeps the links is told, and may look for others.

// mute tells whether h, whose next copy is due, is enough to suspect its neighbour: so many copies are out, and for so long, that
// chance is no explanation. If it is not this machine that was late: then acknowledgements may wait to be taken in.
func (l *link) mute(now time.Time, h *hedge) bool {
	odds := 1.0
	for range h.count {
		odds *= max(l.loss, leastLoss)
	}
	return h.count > 1 && now.Sub(h.next) <= hedgeDelay && (odds <= doubtful || h.count >= maxCopies) && now.Sub(h.sent) >= max(suspectDelay, 5*l.trip())
}

// suspect is told that a neighbour did not acknowledge several copies of an event.
func (m *Machine) suspect(now time.Time, l *link, out *Output) {
	l.suspected = true
	out.Suspicions = append(out.Suspicions, Suspicion{Peer: l.peer, Suspected: true})
	for _, s := range l.shares {
		s.room.troubled = now
		var orphans []*authorLog
		for _, a := range s.room.sorted {
			if a.parent == s && a.author != l.peer {
				orphans = append(orphans, a)
			}
		}
		for _, a := range orphans {
			a.parent = nil // though it stays in the tree
		}
		m.adopt(now, s.room, orphans, out)
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
