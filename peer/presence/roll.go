package presence

import (
	"time"

	"golang.org/x/time/rate"
)

// This file is the roll call after many have died at once. Who died together with all its neighbours is reported by
// nobody, and would be shown until it expires. So whoever sees a good part of the room die says something soon, and
// expects the same of the others: who has not been heard of some time later is gone. Nobody calls the roll for others,
// so a liar cannot, and who does not see that many died is asked by its neighbours.

const (
	// A roll is called when rollDead deaths and a rollPart-th of the members are believed within rollWindow. When fewer
	// die, hardly anybody has lost all neighbours with them: of five, one in 30,000.
	rollDead   = 3
	rollPart   = 8
	rollWindow = 15 * time.Second
	// The answers are spread over so much for each member, within limits: the traffic is ten times that of refreshes,
	// for a while.
	rollMember = 6 * time.Millisecond
	rollLeast  = 3 * time.Second
	rollMost   = time.Minute
	// rollLag is how much sooner or later than here the roll may be called elsewhere, rollWay how long an answer may be
	// on its way.
	rollLag = 5 * time.Second
	rollWay = 3 * time.Second
	// rollKnown is how long a member must have been linked, and the time that answers are spread over besides, to wait
	// for answers to a roll: until then it may be told of those who died before it came.
	rollKnown = 2*rollLag + rollWay + rollWindow
	// rollAgain is the least time between the end of a roll call and the next.
	rollAgain = time.Minute
)

// roll is the state of the roll call.
type roll struct {
	since time.Duration // when the first link came up
	from  time.Duration // since when deaths are counted
	dead  int
	back  int           // of them
	began time.Duration // of the last one
	spell time.Duration // over which its answers are spread
	sayAt time.Duration // when to answer
	dueAt time.Duration // when all have answered; never: none was called, or it was called off
	askAt time.Duration // when to ask the neighbours that were not heard of
	endAt time.Duration // when it ends; never: there is none
	ended time.Duration // of the last one

	heedAt   time.Duration            // when to ask about those whom a neighbour says to be gone, in vote.go
	settleAt time.Duration            // when all neighbours have answered the first of these questions
	asked    map[uint64]time.Duration // whom they are asked about, at most voteMost, and until when

	accused *rate.Limiter // those who were silent and are said to be dead
}

// mourn counts a death, and calls the roll when there are many.
func (m *Machine) mourn() {
	r := &m.roll
	if m.now-r.from > rollWindow && r.endAt == never {
		r.from, r.dead, r.back = m.now, 0, 0
	}
	r.dead++
	if r.dead < rollDead || r.dead*rollPart < m.table.members || r.endAt != never || r.ended != never && m.now-r.ended < rollAgain {
		return
	}
	r.began = m.now
	r.spell = min(max(time.Duration(m.table.members)*rollMember, rollLeast), rollMost)
	r.sayAt = m.now + rollLag + time.Duration(m.rand.Int64N(int64(r.spell)))
	if m.now-r.since < r.spell+rollKnown {
		r.ended = m.now // the others have called it already, and answered, most likely
		return
	}
	r.dueAt = m.now + rollLag + r.spell // answers come from rollLag before that one's call to rollLag after
	r.askAt, r.endAt = r.dueAt+rollLag, r.dueAt+rollLag+rollWay
}

// rise counts a member that died and is back. When many are it was a partition, and those deep in the other part, who
// are not known to be back because nobody took them for dead, need not have heard of any roll.
func (m *Machine) rise() {
	r := &m.roll
	if r.back++; r.endAt != never && r.back*rollPart >= r.dead {
		r.dueAt, r.askAt, r.endAt, r.ended = never, never, never, m.now
		m.forgetVotes()
	}
}

// silent tells whether a member has said nothing since the roll was called.
func (m *Machine) silent(e *entry) bool {
	return !e.gone() && e.rec.peer != m.self && e.heard < uint32(m.roll.began/(100*time.Millisecond))
}

// urge asks the neighbours for those that were not heard of, and the neighbours that were not heard of for themselves.
// A link may be new, and lead to where they were.
func (m *Machine) urge(out *Output) {
	for _, n := range m.neighbours {
		if e := m.table.find(n.id); e != nil && m.silent(e) {
			m.send(n, &want{items: []wanted{{e.key, e.rec.version}}}, out)
		}
	}
	m.canvass(m.absentee, out)
}

// dismiss ends the roll call: who is silent still is gone, unless neighbours heard of it. Who is all alone has nobody
// to ask.
func (m *Machine) dismiss(out *Output) {
	m.roll.ended = m.now
	m.bury(func(e *entry) bool { return m.absentee(e) && (len(m.neighbours) == 0 || m.doomed(e)) }, out)
	m.forgetVotes()
}

// shown is called when a neighbour shows in a message what is known of a member here.
func (m *Machine) shown(n *neighbour, e *entry, msg *records) {
	if e.state == expired && !msg.buries(e.rec) {
		m.vote(n, e)
		m.accuse(n, e)
	}
}

// accuse reports a member as dead that did not answer the roll and that a neighbour still shows. If the roll did not
// reach it, as beyond a partition, it contradicts; else those hear of it who did not call the roll, such as newcomers.
func (m *Machine) accuse(n *neighbour, e *entry) {
	if m.stamp()-e.heard >= lifetimes*10*uint32(e.rec.period) || !m.allows(m.roll.accused, 1) {
		return
	}
	d := m.reported(e)
	m.table.set(e, died)
	m.downs[d.peer] = d
	m.queue(n, d.peer, tellDown, m.now)
}
