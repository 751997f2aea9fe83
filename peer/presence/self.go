package presence

import (
	"crypto/ed25519"
	"fmt"
	"time"

	"peerchat/peer/wire"
)

// This file is what a peer says of itself.

// wished takes what this peer wants to say of itself.
func (m *Machine) wished(s Self, out *Output) {
	for i, name := range [...]string{s.Name, s.Status} {
		if n, err := wire.ParseName(name); (err != nil || n != name) && (i == 0 || name != "") || !s.Voice.valid() {
			m.fault(out, Fault{Peer: m.self, Subject: m.self, Code: Malformed,
				Text: fmt.Sprintf("presence of %q, status %q, voice %+v: it is not told, because nobody would take it", s.Name, s.Status, s.Voice)})
			return
		}
	}
	m.wish, m.member = s, true
	m.speak(m.now)
}

// speak has something said at the time at, if there is anything to say then.
func (m *Machine) speak(at time.Duration) {
	if m.sayAt == never || at < m.sayAt {
		m.sayAt = at
	}
}

// contradict says something new soon, because somebody takes this peer for dead.
func (m *Machine) contradict() {
	m.again = true
	if m.allows(m.refuted, 1) {
		m.speak(m.now)
		return
	}
	m.speak(m.ready(m.refuted))
}

// say makes a new record and tells every neighbour, on the tree or not, so that they all can say what this peer's last
// word was when the link to it breaks.
func (m *Machine) say(out *Output) {
	if !m.member {
		return
	}
	changed := m.said == nil || m.said.name != m.wish.Name || m.said.status != m.wish.Status || m.said.voice != m.wish.Voice
	if !changed && !m.again {
		return
	}
	if changed && !m.again && !m.allows(m.changes, 1) {
		m.speak(m.ready(m.changes))
		return
	}
	m.put(m.following(changed))
	period := m.said.lasts()
	if m.root == m.self {
		period = min(period, m.timing.Refresh)
	}
	m.refresh = m.now + period - time.Duration(m.rand.Int64N(int64(period)/7))
	at := m.now
	if !changed && m.lazily && m.root != m.self {
		at += m.patience(m.said, 0)
	}
	m.again, m.unheard, m.lazily = false, false, false
	for _, n := range m.neighbours {
		m.tellMyself(n, at)
	}
}

// tellMyself tells a neighbour this peer's last word: a beat, if it was told what that goes on from.
func (m *Machine) tellMyself(n *neighbour, at time.Duration) {
	if n.has == m.signings && m.signings > 0 {
		m.queue(n, m.self, tellBeat, at)
		return
	}
	n.has = m.signings
	m.queue(n, m.self, tellRecord, at)
}

// following is the next record of this peer. It is signed if it says anything else than the last one, or the chain of
// that is used up.
func (m *Machine) following(changed bool) *record {
	period := m.period()
	switch {
	case m.said == nil:
		return m.sign(version{Run: m.run, Seq: 1}, period, false)
	case changed:
		return m.sign(version{Run: m.run, Seq: m.said.Seq + 1}, period, false)
	}
	// A period that is half or twice as long as it might be does: another would be a signature that all members have to
	// check.
	if p := m.said.period; m.run == m.said.Run && p <= 2*period && period <= 2*p {
		if r, ok := m.said.next(m.cfg.Key, m.cfg.Room); ok {
			return r
		}
	}
	return m.sign(version{Run: m.run, Seq: m.said.Seq, Beat: m.said.Beat + 1}, period, false)
}

// sign makes a record of what this peer wishes to say, with a chain of its own.
func (m *Machine) sign(v version, period uint16, left bool) *record {
	r := &record{peer: m.self, version: v, base: v.Beat, period: period, left: left, voice: m.wish.Voice, name: m.wish.Name, status: m.wish.Status}
	r.mark = markOf(r.peer, r.version)
	if !left {
		r.anchor = r.value(m.cfg.Key, m.cfg.Room, 0)
		m.signings++
	}
	m.scratch = r.seal(m.scratch[:0], m.cfg.Room)
	copy(r.sig[:], ed25519.Sign(m.cfg.Key, m.scratch))
	return r
}

// put keeps the own record among the others.
func (m *Machine) put(r *record) {
	m.said = r
	e := m.table.find(m.self)
	if e == nil {
		e = m.table.insert(entry{rec: r})
	}
	m.table.replace(e, r)
	e.first, e.heard = m.stamp(), m.stamp()
}

// period is how long this peer may be silent, in seconds: the more members, the longer, so that the room's refreshes
// stay at a constant rate. At first the neighbours know better how many there are.
func (m *Machine) period() uint16 {
	n := m.table.members
	if m.now < origin+m.timing.Refresh {
		first, second := 0, 0
		for _, o := range m.neighbours {
			if c := int(o.count); c > first {
				first, second = c, first
			} else if c > second {
				second = c
			}
		}
		if second == 0 { // else one liar would decide
			second = first
		}
		n = max(n, second)
	}
	d := max(m.timing.Refresh, time.Duration(n)*m.timing.PerMember)
	return uint16(min(max(d/time.Second, MinPeriod), MaxPeriod))
}

// leave tells every neighbour at once, whatever else waits.
func (m *Machine) leave(out *Output) {
	if m.member && m.said != nil {
		msg := appendMessage(nil, &records{records: []aged{{record: *m.sign(version{Run: m.run, Seq: m.said.Seq + 1}, m.period(), true)}}})
		for _, n := range m.neighbours {
			out.Sends = append(out.Sends, Send{To: n.id, Data: msg})
		}
	}
	m.over = true
	out.Wake = time.Time{}
}

// heardSelf takes a record of this peer's own that a neighbour has.
func (m *Machine) heardSelf(n *neighbour, r *record, out *Output) {
	if m.said == nil {
		return
	}
	switch c := r.compare(m.said.version); {
	case c == 0:
		m.wasted(n, 1, out)
	case c < 0:
		if m.wasted(n, 1, out) {
			m.queue(n, m.self, tellRecord, m.now)
		}
	case !m.authentic(n, nil, r, out):
	case r.Run < wire.MaxCounter && m.allows(m.lifts, 1):
		// An earlier life, when the clock was ahead of what it is now.
		m.run = max(m.run, r.Run+1)
		m.again = true
		m.speak(m.now)
	case m.twinTold == never || m.now-m.twinTold > time.Minute:
		m.twinTold = m.now
		m.fault(out, Fault{Peer: m.self, Subject: m.self, Code: Twin,
			Text: fmt.Sprintf("another process is in %s with this identity; end one of them", m.cfg.Room)})
	}
}

// forgive forgets those who died by this peer's word alone, which it could tell nobody: now that it is linked again,
// the others say whether they are there.
func (m *Machine) forgive() {
	for id, d := range m.downs {
		if e := m.table.find(id); d.by == m.self && e != nil && e.state == died {
			m.drop(id)
		}
	}
}
