package gossip

import (
	"time"

	"peerchat/peer/wire"
)

// In a flood an honest neighbour may take long to answer: questions wait behind each other, and answers behind all that
// was sent before. So a neighbour that does not answer in time is asked again, after others and after a pause that
// grows, and what it claims counts as missing until then. Only what was asked for in vain many times is forgotten, as
// what does not exist; and at once a log of which nothing was ever seen, if who claims it has not sent anything else
// either.

// ask is a question for events that is out.
type ask struct {
	to       *link
	from, up uint64
	adopt    bool // from is beyond the head: the log goes on at from
	part     bool // it is of one of who is asked, see apart.go
	skip     bool // there is no place for the events: the log is to begin after them
	graft    bool // it makes who is asked the parent
	fast     bool // it went on the fast channel, and may be lost
	late     bool // its time was put off, because this machine was late itself
	since    time.Time
	deadline time.Time
}

// vain is what a neighbour was last asked for of a log and did not send, and how often.
type vain struct {
	from, up uint64
	tries    int
	until    time.Time // it is not asked again before
}

// waits tells whether a question whose time is over gets more of it: who was asked is busy with answers to others, or
// this machine was late, and may have the answer among what it has yet to take in.
func (q *ask) waits(now time.Time) bool {
	over := now.Sub(q.deadline)
	if over > askLate && !q.late {
		q.late = true
		q.deadline = now.Add(min(max(firstTimeout, over), askTimeout))
		return true
	}
	if next := q.to.answered.Add(askTimeout); !q.fast && next.After(now) && now.Sub(q.since) < askTime {
		q.deadline = next
		return true
	}
	return false
}

// inVain gives a question up that was not answered.
func (m *Machine) inVain(now time.Time, r *room, a *authorLog, out *Output) {
	q := a.ask
	s := q.to.share(r)
	if s == nil || s.vain[a.id].tries == 0 {
		m.unkept(now, r, q.to, out)
	}
	if s != nil && !(a.gap && q.to.peer == a.author) {
		if a.parent == s {
			a.parent = nil
		}
		if a.late && s.bit() != 0 {
			a.failed = s
		}
		v := vain{from: q.from, up: q.up, tries: s.vain[a.id].tries + 1}
		if _, ok := s.known[a.id]; ok && (v.tries >= maxVain || a.claimed != nil && q.to.lies()) {
			delete(s.known, a.id)
			delete(s.parts, a.id)
			delete(s.vain, a.id)
			q.to.known--
		} else if ok {
			v.until = now.Add(vainPause << (v.tries - 1))
			if s.vain == nil {
				s.vain = make(map[wire.LogID]vain)
			}
			s.vain[a.id] = v
		}
	}
	a.drop()
	m.resume(now, q.to)
	a.gap = false
}

// claimsAgain is told that a neighbour names a log once more: it may be asked again at once.
func (s *share) claimsAgain(id wire.LogID) {
	if v, ok := s.vain[id]; ok {
		v.until = time.Time{}
		s.vain[id] = v
	}
}

// answers is told of an event of a log, which may be what the neighbour was asked for, in time or late.
func (s *share) answers(now time.Time, a *authorLog, e *wire.Event) {
	l := s.link
	if a == nil {
		return
	}
	if q := a.ask; q != nil && q.to == l && q.from <= e.Seq && e.Seq <= q.up {
		l.answered = now
	}
	if v, ok := s.vain[a.id]; ok && v.from <= e.Seq && e.Seq <= v.up {
		l.answered, l.unkept = now, 0
		delete(s.vain, a.id)
	}
}

// pardon is told that nothing of a log is missing.
func (m *Machine) pardon(r *room, a *authorLog) {
	for _, l := range m.linkList {
		if s := l.share(r); s != nil {
			delete(s.vain, a.id)
		}
	}
}
