package presence

import (
	"slices"
	"time"
)

// This file is the roll call after many have died at once. Who died together with all its neighbours is reported by nobody, and
// would be shown until it expires. So whoever sees a good part of the room die says something soon, and expects the same of the
// others: who has not been heard of some time later is gone. Nobody calls the roll for others, so a liar cannot, and who does not
// see that many died is asked by its neighbours.

const (
	// A roll is called when rollDead deaths and a rollPart-th of the members are believed within rollWindow. When fewer die, hardly
	// anybody has lost all neighbours with them: of five, one in 30,000.
	rollDead   = 3
	rollPart   = 8
	rollWindow = 15 * time.Second
	// The answers are spread over so much for each member, within limits: the traffic is ten times that of refreshes, for a while.
	rollMember = 6 * time.Millisecond
	rollLeast  = 3 * time.Second
	rollMost   = time.Minute
	// rollLag is how much sooner or later than here the roll may be called elsewhere, rollWay how long an answer may be on its way.
	rollLag = 5 * time.Second
	rollWay = 3 * time.Second
	// rollAgain is the least time between the end of a roll call and the next.
	rollAgain = time.Minute
)

// roll is the state of the roll call.
type roll struct {
	from  time.Duration // since when deaths are counted
	dead  int
	back  int           // of them
	began time.Duration // of the last one
	spell time.Duration // over which its answers are spread
	sayAt time.Duration // when to answer
	askAt time.Duration // when to ask the neighbours that were not heard of
	endAt time.Duration // when it ends; never: there is none
	ended time.Duration // of the last one

	accused bucket // those who were silent and are said to be dead
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
	last := m.now + rollLag + r.spell // answers come from rollLag before that one's call to rollLag after
	r.askAt, r.endAt = last+rollLag, last+rollLag+rollWay
	r.sayAt = m.now + rollLag + time.Duration(m.rand.Int64N(int64(r.spell)))
}

// rise counts a member that died and is back. When many are it was a partition, and those deep in the other part, who are not known
// to be back because nobody took them for dead, need not have heard of any roll.
func (m *Machine) rise() {
	r := &m.roll
	if r.back++; r.endAt != never && r.back*rollPart >= r.dead {
		r.askAt, r.endAt, r.ended = never, never, m.now
	}
}

// silent tells whether a member has said nothing since the roll was called.
func (m *Machine) silent(e *entry) bool {
	return !e.gone() && e.rec.peer != m.self && e.heard < uint32(m.roll.began/(100*time.Millisecond))
}

// urge asks all neighbours for those that were not heard of, and the neighbours that were not heard of for themselves. A link may be
// new, and lead to where they were.
func (m *Machine) urge(out *Output) {
	ask := &want{}
	send := func() {
		for _, n := range m.neighbours {
			m.send(n, ask, out)
		}
		ask = &want{}
	}
	for e := range m.table.all() {
		if !m.silent(e) {
			continue
		}
		item := wanted{e.key, e.rec.version}
		if n := m.neighbour(e.rec.peer); n != nil {
			m.send(n, &want{items: []wanted{item}}, out)
		} else if ask.items = append(ask.items, item); len(ask.items) == maxWants {
			send()
		}
	}
	if len(ask.items) > 0 {
		send()
	}
}

// dismiss ends the roll call: who is silent still is gone.
func (m *Machine) dismiss(out *Output) {
	m.roll.ended = m.now
	m.hurry() // others may know better
	for _, id := range m.table.peers(m.silent) {
		if e := m.table.find(id); e != nil && m.neighbour(id) == nil {
			m.lose(e, e.rec.member(), expired, Expired, out)
		}
	}
}

// shown is called when a neighbour shows in a message what is known of a member here.
func (m *Machine) shown(n *neighbour, e *entry, msg *records) {
	if e.state == expired && !slices.ContainsFunc(msg.downs, func(d down) bool { return d.peer == e.rec.peer }) {
		m.accuse(n, e)
	}
}

// accuse reports a member as dead that did not answer the roll and that a neighbour still shows. If the roll did not reach it, as
// beyond a partition, it contradicts; else those hear of it who did not call the roll, such as newcomers.
func (m *Machine) accuse(n *neighbour, e *entry) {
	if m.stamp()-e.heard >= lifetimes*10*uint32(e.rec.period) || !m.roll.accused.take(m.now, accusations, 1) {
		return
	}
	d := m.reported(e)
	m.table.set(e, died)
	m.downs[d.peer] = d
	m.queue(n, d.peer, tellDown, m.now)
}
