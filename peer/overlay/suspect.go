package overlay

import (
	"time"

	"peerchat/peer/wire"
)

// A broadcast sees within a fraction of a second that a neighbour is silent, of which the link tells after seconds. One
// that is silent may be slow, or its link bad. So then a peer looks after all its neighbours (Ping, Pong). Who finds
// most of them silent is in a room where many died at once, and alarmed: it looks for others without waiting for the
// links, many at a time, and they may not refuse. They may be no better off, and look after theirs in turn. So do the
// neighbours that are left. Thus the alarm goes around as far as there are dead, within the time of the first line.
// Nobody is given up for it: who is heard of again keeps the place, and those who came last go.

// pings is how many a neighbour may leave unanswered, two in the time that one may take to answer; and mostPings how
// many if most of them do, and none was late with an answer of late: together they are as sure a sign. One that is
// suspected gets some more, at a slower pace, up to morePings.
const (
	pings     = 6
	mostPings = 4
	morePings = 19
	// promptPings is how many are out at most when an answer is not late.
	promptPings = 2
	// maxPutOff is how often a neighbour is given more time because this machine itself was late.
	maxPutOff = 3
	// Each neighbour that was taken for silent by mistake doubles the time that all have to answer, up to maxStrain
	// times; that fades by one each strainFade.
	maxStrain  = 4
	strainFade = 15 * time.Second
	// tardyLife is how long a late answer is reason to give all the full time, though most are silent.
	tardyLife = time.Minute
)

// doubted takes the word of the broadcast that a neighbour is silent.
func (m *Machine) doubted(id wire.PeerID, out *Output) {
	if l, _ := m.find(id); l != nil && l.active && !l.suspect {
		l.suspect = true
		m.probe(out)
		m.alert(out)
	}
}

// probe looks after all neighbours.
func (m *Machine) probe(out *Output) {
	if m.small() || !m.probes.AllowN(m.now, 1) {
		return
	}
	for _, l := range m.active {
		if l.ping == 0 {
			l.ping, l.pings, l.putOff, l.pingAt = m.number(), 0, 0, m.now
		}
	}
	m.ping(out)
}

// ping asks those who have not answered yet, again and again, and suspects them in the end.
func (m *Machine) ping(out *Output) {
	var due []*link
	for _, l := range m.active {
		if l.ping == 0 {
			continue
		}
		if late := m.now.Sub(l.pingAt); late > m.timing.Ping/2 && l.pings > 0 && l.putOff < maxPutOff {
			// This machine has had no time to look. Then it has had none to take in an answer either.
			l.putOff++
			l.pingAt = m.now.Add(max(m.timing.Ping, late))
		}
		if !l.pingAt.After(m.now) {
			due = append(due, l)
		}
	}
	enough := pings
	if m.many(m.answering()) && m.now.Sub(m.tardy) > tardyLife {
		enough = mostPings
	}
	silent := false
	for _, l := range due {
		if l.pings >= enough && !l.suspect {
			l.suspect, l.missed, silent = true, true, true
		}
		if l.pings == morePings {
			l.ping = 0
			continue
		}
		wait := max(m.timing.Ping, l.rtt*5/4) << m.strain() / 2
		if l.pings++; l.pings > pings {
			wait *= 8
		}
		l.pingAt = m.now.Add(wait)
		out.Sends = append(out.Sends, Send{To: l.peer, Message: Ping{Nonce: l.ping}, Fast: true})
	}
	for _, l := range m.active {
		if l.ping != 0 {
			m.soon(&m.pingAt, l.pingAt.Sub(m.now))
		}
	}
	if silent {
		m.alert(out)
	}
}

// answering is how many neighbours are neither suspected, nor have had the time for mostPings without an answer.
func (m *Machine) answering() (n int) {
	for _, l := range m.active {
		asked := l.pings
		if l.pingAt.After(m.now) {
			asked-- // the last may be on its way
		}
		if !l.suspect && (l.ping == 0 || asked < mostPings) {
			n++
		}
	}
	return n
}

// many tells whether all but n neighbours are so many that there is reason for an alarm.
func (m *Machine) many(n int) bool {
	return 2*n < m.target && (len(m.active)-n > 1 || n == 0)
}

// pinged answers, and does the same if most of them are silent over there.
func (m *Machine) pinged(l *link, msg Ping, out *Output) {
	if !l.rates.pings.AllowN(m.now, 1) {
		return
	}
	out.Sends = append(out.Sends, Send{To: l.peer, Message: Pong{Nonce: msg.Nonce}, Fast: true})
	if msg.Alarm && l.active {
		m.probe(out)
	}
}

func (m *Machine) ponged(l *link, msg Pong) {
	if l.ping == 0 || l.ping != msg.Nonce {
		return
	}
	if l.ping = 0; l.pings > promptPings {
		m.tardy = m.now
	}
}

// alert acts when there are many that are silent.
func (m *Machine) alert(out *Output) {
	sound := m.sound()
	silent := len(m.active) - sound
	if m.small() || silent == 0 {
		return
	}
	if silent > 1 && m.alerts.AllowN(m.now, 1) {
		for _, l := range m.active {
			if !l.suspect {
				out.Sends = append(out.Sends, Send{To: l.peer, Message: Ping{Nonce: m.number(), Alarm: true}, Fast: true})
			}
		}
	}
	if !m.alarm && m.many(sound) {
		m.alarm = true
		if m.alarms.AllowN(m.now, 1) { // or else somebody could keep this peer looking for others
			m.wait = 0
			m.soon(&m.fillAt, 0)
		}
	}
	m.free()
}

// trust is told that a neighbour was heard of again. Those that were taken in its place go, and hear of it.
func (m *Machine) trust(l *link, out *Output) {
	if l == nil || !l.suspect {
		return
	}
	if l.missed { // it was there all the time, and so may be the others
		m.mistakes, m.mistaken = min(m.strain()+1, maxStrain), m.now
	}
	l.suspect, l.missed, l.ping = false, false, 0
	for alarm := m.alarm; alarm && m.sound() > m.target+m.cfg.Slack; {
		for i := len(m.active) - 1; ; i-- {
			if v := m.active[i]; !v.suspect && v != l {
				m.evict(v, l.peer, out)
				break
			}
		}
	}
	m.settled()
}

// strain is how often the time to answer a Ping is doubled. Where answers were late of late, because machines or links
// have too much to do, an alarm would only add to it, and bring about the next. (This is the local health of Lifeguard:
// Dadgar, Phillips, Currey, Lifeguard: local health awareness for more accurate failure detection, 2018.)
func (m *Machine) strain() int {
	return max(0, m.mistakes-int(m.now.Sub(m.mistaken)/strainFade))
}

// settled ends the alarm when nobody is suspected any more.
func (m *Machine) settled() {
	m.alarm = m.alarm && m.sound() < len(m.active)
}

// sound is how many neighbours are not suspected.
func (m *Machine) sound() (n int) {
	for _, l := range m.active {
		if !l.suspect {
			n++
		}
	}
	return n
}

// have is how many neighbours count. In an alarm the suspected do not.
func (m *Machine) have() int {
	if m.alarm {
		return m.sound()
	}
	return len(m.active)
}

// counts tells whether a neighbour is one of those, and has a place to give.
func (m *Machine) counts(l *link) bool { return !m.alarm || !l.suspect }

// full tells whether no place for a neighbour is free.
func (m *Machine) full() bool { return m.have() >= m.target }

// most is how many neighbours there are at most, the suspected included.
func (m *Machine) most() int { return min(2*m.target+m.cfg.Slack, MaxActive) }

// silent is the neighbour that has been suspected longest, of those for which ok holds; nil if none is.
func (m *Machine) silent(ok func(*link) bool) *link {
	for _, l := range m.active {
		if l.suspect && ok(l) {
			return l
		}
	}
	return nil
}

func anybody(*link) bool { return true }

// yield gives up a silent neighbour for a new one, if there would be too many in all, or of one origin.
func (m *Machine) yield(to *link, out *Output) {
	same := func(l *link) bool { return l.origin == to.origin }
	switch v := m.silent(same); {
	case v != nil && m.crowded(to.origin):
		m.evict(v, to.peer, out)
	case len(m.active) >= m.most():
		if v := m.silent(anybody); v != nil {
			m.evict(v, to.peer, out)
		}
	}
}

// along is a random neighbour for which ok holds, one that is not suspected if there is such.
func (m *Machine) along(ok func(*link) bool) *link {
	if l := m.pick(func(l *link) bool { return !l.suspect && ok(l) }); l != nil {
		return l
	}
	return m.pick(ok)
}

// wanted is how many peers to ask at once in an alarm: so many that the missing are among them, if of those known as
// large a part lives as of the neighbours. Who takes long is not waited for.
func (m *Machine) wanted() int {
	sound := m.sound()
	return min((m.target-sound)*len(m.active)/max(sound, 1), maxDials) - m.recent()
}

// recent counts those who were asked a moment ago to fill a place.
func (m *Machine) recent() (n int) {
	for _, l := range m.waiting {
		if !l.active && (l.why == toFill || l.why == toJoin) && m.now.Sub(l.began) < m.timing.Hedge {
			n++
		}
	}
	return n
}

// number is the next nonce.
func (m *Machine) number() uint32 {
	m.nonce++
	if m.nonce == 0 {
		m.nonce = 1
	}
	return m.nonce
}
