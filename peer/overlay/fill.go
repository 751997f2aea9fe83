package overlay

import (
	"slices"
	"time"

	"peerchat/peer/wire"
)

// lost is a neighbour whose link broke. It may have died; or it is on the other side of a partition, which without this
// would outlast its cause, because both sides soon know nobody else.
type lost struct {
	Contact
	at    time.Time // when to try it again
	tries int
}

// vacant is called when a neighbour is gone that did not go on purpose: a replacement is looked for at once.
func (m *Machine) vacant() {
	m.wait = 0
	m.soon(&m.fillAt, 0)
}

// evicted is called when a neighbour has given this peer's place to another. That happens whenever somebody joins, so
// it can wait for somebody to ask; unless hardly anybody is left.
func (m *Machine) evicted() {
	if len(m.active) == 0 || m.hanging() {
		m.vacant()
	}
	m.free()
}

// free is called when there may be a free place, and when there may be somebody new to fill it.
func (m *Machine) free() {
	switch {
	case !m.been || m.full():
	case m.small():
		m.soon(&m.fillAt, m.wait)
	case m.fillAt.IsZero():
		m.soon(&m.fillAt, max(m.wait, m.timing.Fill/2+m.upTo(m.timing.Fill)))
	}
}

// half is how many of its places a peer sees to at once. For the others it has time: who makes room for somebody has
// others come to it.
func (m *Machine) half() int { return max(1, m.target/2) }

// thrifty tells whether this peer makes no more links than it must. In a small room all are wanted; where neighbours
// die there may be few left to find; and where one origin has its share of the neighbours it may be a party that
// swallows walks, and takes the places that others come too late for.
func (m *Machine) thrifty() bool { return !m.small() && !m.bereft && !m.more(m.share()-1) }

// hanging tells whether a single neighbour is all that joins this peer with the room. That one may be dead, and not be
// seen to be for seconds.
func (m *Machine) hanging() bool { return len(m.active) == 1 && !m.small() }

// fill asks known peers to be neighbours, as long as places are free.
func (m *Machine) fill(out *Output) {
	if !m.been {
		return // join is for that
	}
	asking := m.asking(toFill, toJoin)
	free := m.target - m.have() - asking
	if m.alarm {
		free = m.wanted()
	} else if len(m.active) == 0 {
		free = min(free, maxHedge-asking) // each of them is a claim that cannot be refused
	} else if m.wait > 0 {
		free = min(free, 1) // most are full
	} else if m.thrifty() { // a newcomer, or one whose places went to such: others are about to ask it
		free = min(free, max(m.half()-len(m.active), 1)-asking)
	}
	for ; free > 0; free-- {
		k := m.candidate()
		if k == nil {
			break
		}
		k.tried = m.round
		m.want(k.peer, toFill, out)
	}
	switch {
	case free > 0 && (m.asking(toFill, toFill) == 0 || m.alarm && m.recent() == 0):
		m.exhausted(out)
	case m.alarm && !m.full():
		m.soon(&m.fillAt, m.timing.Hedge)
	}
}

// exhausted is called when all that are known were asked to fill a place: from the start again, later.
func (m *Machine) exhausted(out *Output) {
	m.round++
	if m.have() == 0 {
		// Nobody is left. The contacts are the last resort, and the walks of a Join lead away from them.
		m.inside = false
		m.soon(&m.joinAt, 0)
	}
	if m.size > 0 && len(m.active) >= m.size-1 {
		return // there is nobody else
	}
	for i := range m.contacts {
		if len(m.passive) < m.spare {
			m.remember(known{peer: m.contacts[i].Peer, origin: m.contacts[i].Origin})
		}
	}
	out.NeedContacts = out.NeedContacts || len(m.passive) < m.target || m.have() == 0
	m.back()
}

// back makes the next try to fill a place wait, twice as long as the last time.
func (m *Machine) back() {
	m.wait = min(max(2*m.wait, m.timing.Fill), m.timing.FillMax)
	m.soon(&m.fillAt, m.wait/2+m.upTo(m.wait))
}

// failed is called when a peer that was asked cannot be reached, or is silent.
func (m *Machine) failed(id wire.PeerID, why purpose) {
	m.bereft = true
	m.drop(m.indexOf(id))
	if i := m.indexLost(id); i >= 0 {
		m.again(i)
	}
	switch {
	case why == toJoin:
		m.soon(&m.joinAt, 0)
	case why == toFill && !m.full():
		m.soon(&m.fillAt, 0)
	}
}

// refused is called when a peer does not want to be a neighbour.
func (m *Machine) refused(l *link, out *Output) {
	if i := m.indexOf(l.peer); i >= 0 {
		m.passive[i].tried = m.round
	}
	if i := m.indexLost(l.peer); i >= 0 && l.why == toBridge {
		m.again(i)
	}
	switch {
	case l.why == toJoin:
		m.soon(&m.joinAt, 0)
	case l.why != toFill || m.full():
	case len(m.active) == 0, m.small(), m.alarm:
		m.soon(&m.fillAt, 0)
	default:
		m.back()
	}
}

// thinned is called when a neighbour's link broke. If most are gone at once, others have lost all of theirs, and
// perhaps everybody whom they know: they cannot help themselves. So all that are known here are looked for, one by one,
// and asked to be neighbours.
func (m *Machine) thinned() {
	if m.losses++; m.losses < 3 || 2*m.losses <= m.target || !m.checkAt.IsZero() {
		return
	}
	for i := range m.passive {
		m.passive[i].check = true
	}
	m.checkAt = m.now.Add(m.timing.Fill + m.upTo(m.timing.Fill))
}

// check looks for the next of the passive peers.
func (m *Machine) check(out *Output) {
	if k := m.choose(func(k *known) bool { return k.check }); k != nil {
		k.check = false
		m.want(k.peer, toCheck, out)
		m.checkAt = m.now.Add(m.timing.Fill/2 + m.upTo(m.timing.Fill))
	}
}

// miss notes a neighbour whose link broke, to be tried again after a while.
func (m *Machine) miss(c Contact, after time.Duration) {
	if i := m.indexLost(c.Peer); i >= 0 {
		m.lost = slices.Delete(m.lost, i, i+1)
	}
	if len(m.lost) >= maxLost {
		m.lost = slices.Delete(m.lost, 0, 1)
	}
	m.lost = append(m.lost, lost{Contact: c, at: m.now.Add(after), tries: 1})
	m.soon(&m.lostAt, after)
}

func (m *Machine) indexLost(id wire.PeerID) int {
	return slices.IndexFunc(m.lost, func(l lost) bool { return l.Peer == id })
}

// found forgets that a neighbour was lost.
func (m *Machine) found(id wire.PeerID) {
	if i := m.indexLost(id); i >= 0 {
		m.lost = slices.Delete(m.lost, i, i+1)
	}
}

// again sets when the i-th lost neighbour is tried next.
func (m *Machine) again(i int) {
	l := &m.lost[i]
	if l.tries >= maxTries {
		m.lost = slices.Delete(m.lost, i, i+1)
		return
	}
	d := min(m.timing.Bridge<<min(l.tries, 16), m.timing.FillMax)
	l.tries++
	l.at = m.now.Add(d*3/4 + m.upTo(d/2))
	m.soon(&m.lostAt, l.at.Sub(m.now))
}

// bridge tries lost neighbours again.
func (m *Machine) bridge(out *Output) {
	for i := len(m.lost) - 1; i >= 0; i-- {
		if m.lost[i].at.After(m.now) {
			continue
		}
		if !m.want(m.lost[i].Peer, toBridge, out) {
			m.again(i)
		} else {
			m.lost[i].at = m.now.Add(m.timing.Connect + m.timing.Answer + time.Second) // failed or refused says when before
		}
	}
	for _, l := range m.lost {
		m.soon(&m.lostAt, l.at.Sub(m.now))
	}
}
