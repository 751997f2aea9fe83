package overlay

import (
	"slices"
	"time"
)

// One party can have any number of names at one origin. By force it cannot take more than its share of the places, but
// it can take those that become free, and be all that is told of. So who has too many neighbours of one origin looks
// for others: first among those that it had links with, whom nobody's words can push out of its passive view, and then
// among those that its caller and others name. Nothing tells an attacker from a house full of people; so what is done
// must come to rest where all have one origin, or most.

// victim is the neighbour that makes room for one of the given origin: one of the same, if that has its share already;
// or a silent one, or one of the origin that has most. So who comes with a hundred names from one place takes the
// places of his own.
func (m *Machine) victim(origin string) *link {
	if m.crowded(origin) {
		same := func(l *link) bool { return l.origin == origin && m.counts(l) }
		if l := m.silent(same); l != nil {
			return l
		}
		if l := m.least(same); l != nil {
			return l
		}
	}
	if l := m.silent(m.counts); l != nil {
		return l
	}
	most := 0
	for _, l := range m.active {
		if n := m.ways(l, origin); m.counts(l) && n > most {
			most = n
		}
	}
	if most == 1 && origin != "" {
		if l := m.pushed(); l != nil {
			return l
		}
	}
	return m.least(func(l *link) bool { return m.counts(l) && m.ways(l, origin) >= most })
}

// pushed is a random one of those that pushed themselves in, if they are as many as one origin may have places; nil if
// they are fewer. Who has names at many origins, one neighbour of each, so gets no more by force than who has them at
// one.
func (m *Machine) pushed() *link {
	n := 0
	forced := func(l *link) bool { return l.child && m.counts(l) }
	for _, l := range m.active {
		if forced(l) {
			n++
		}
	}
	if n < m.share() {
		return nil
	}
	return m.pick(forced)
}

// ways is how many neighbours have the origin of l, with one more of the given origin.
func (m *Machine) ways(l *link, more string) (n int) {
	if l.origin == "" {
		return 1
	}
	n = m.count(l.origin)
	if l.origin == more {
		n++
	}
	return n
}

// share is how many neighbours may have one origin before others have precedence.
func (m *Machine) share() int { return max(1, m.target/2) }

func (m *Machine) count(origin string) (n int) {
	for _, l := range m.active {
		if l.origin == origin {
			n++
		}
	}
	return n
}

// crowded tells whether the known origin has its share of places or more.
func (m *Machine) crowded(origin string) bool { return origin != "" && m.count(origin) >= m.share() }

// more tells whether there is an origin with more than n neighbours.
func (m *Machine) more(n int) bool {
	for _, l := range m.active {
		if l.origin != "" && m.count(l.origin) > n {
			return true
		}
	}
	return false
}

// uneven tells whether an origin has more than its share of places.
func (m *Machine) uneven() bool { return m.more(m.share()) }

// surrounded tells whether that origin has all of them.
func (m *Machine) surrounded() bool { return m.uneven() && m.more(len(m.active)-1) }

// admitSwap tells whether one of the given origin may push itself in now, and counts it if it takes the place of
// another of the same: few may within a while. Where most of a room is in one house, all want the few neighbours that
// are elsewhere, and would take them from each other for ever. A peer with no other neighbours lets them: then there
// may be nobody else who could; and newcomers may always.
func (m *Machine) admitSwap(origin string) bool {
	return !m.crowded(origin) || m.surrounded() || m.swaps.AllowN(m.now, 1)
}

// surplus is a random neighbour of an origin with more than its share; nil if there is none.
func (m *Machine) surplus() *link {
	return m.least(func(l *link) bool { return l.origin != "" && m.count(l.origin) > m.share() && m.counts(l) })
}

// far tells whether a passive peer is of another origin than too many neighbours are, as a link with it has shown.
// Where many want the few neighbours that are elsewhere, each of them gets one for a while, and not again and again.
func (m *Machine) far(k *known) bool {
	return k.proven && k.origin != "" && !m.crowded(k.origin) && !k.rest.After(m.now)
}

// rests is until when a peer that has given this peer's place to another is not asked for a neighbour of another
// origin.
func (m *Machine) rests(l *link) (until time.Time) {
	if l.why == toFlee {
		until = m.now.Add(360 * m.timing.Shuffle)
	}
	return until
}

// crowd sees to it that too many neighbours of one origin are noticed.
func (m *Machine) crowd() {
	if !m.uneven() {
		if !m.mixAt.IsZero() {
			m.mixAt, m.even = time.Time{}, m.now
		}
		return
	}
	if m.mixAt.IsZero() {
		if m.now.Sub(m.even) > m.mixWait { // or else one of too many that goes and comes would have the search begin anew
			m.mixWait = m.timing.Fill
		}
		m.mixAt = m.now.Add(m.pause())
	}
	if m.surrounded() && slices.ContainsFunc(m.passive, func(k known) bool { return m.far(&k) }) {
		m.hurry()
	}
}

// hurry makes the next try to find a neighbour of another origin come at once, unless there were many such of late: so
// it is where most of a room is in one house, and all want the same few neighbours.
func (m *Machine) hurry() {
	if m.hurries.AllowN(m.now, 1) {
		m.soon(&m.mixAt, m.around(m.timing.Fill))
	}
}

// pause is how long to wait before the next try. The longest is shorter where all neighbours have one origin though
// others were seen: that is an attack, or again such a room.
func (m *Machine) pause() time.Duration {
	most := 60 * m.timing.Shuffle
	if m.diverse && m.surrounded() {
		most = 12 * m.timing.Shuffle
	}
	return m.around(min(m.mixWait, most))
}

// around is a random time, d on the average.
func (m *Machine) around(d time.Duration) time.Duration { return d/2 + m.upTo(d) }

// diversify looks for neighbours of other origins in place of too many of one. Where all have the same, as in one
// house, it gives up more and more.
func (m *Machine) diversify(out *Output) {
	if !m.uneven() {
		m.even = m.now
		return
	}
	surrounded, early := m.surrounded(), m.mixWait <= 8*m.timing.Fill
	m.mixAt = m.now.Add(m.pause())
	m.mixWait = min(2*m.mixWait, 60*m.timing.Shuffle)
	switch found := m.tryFar(surrounded, out); {
	case !found:
		m.tryTold(surrounded && early, out)
	case surrounded:
		m.hurry()
	}
}

// tryFar asks one of those that are known to be of another origin, or two that must not refuse if all neighbours have
// one. It tells whether there is any.
func (m *Machine) tryFar(surrounded bool, out *Output) (found bool) {
	n, why := 1, toMix
	if surrounded {
		n, why = 2, toFlee
	}
	for range n {
		k := m.choose(m.far)
		if k == nil {
			break
		}
		found = true
		m.want(k.peer, why, out)
	}
	return found
}

// tryTold asks one or two whose origins are not known: those that peers of other origins told of, or that the caller
// names when it is asked, who knows the room from elsewhere. What the many neighbours of one origin tell is the last
// resort, when the caller named nobody the last time.
func (m *Machine) tryTold(two bool, out *Output) {
	n := 1
	if two {
		n = 2
	}
	told := func(k *known) bool { return k.origin == "" && (m.named > 0 || !m.crowded(k.from)) }
	if k := m.choose(told); k != nil && (two || m.named > 0) {
		m.want(k.peer, toMix, out)
		n--
	}
	m.named, m.namedAt = n, m.now
	out.NeedContacts = out.NeedContacts || n > 0
}

// tryNamed asks the first of those that the caller names, if it was asked to just now.
func (m *Machine) tryNamed(peers []Contact, out *Output) {
	if !m.namedAt.Equal(m.now) {
		return
	}
	for _, c := range peers {
		if m.named == 0 {
			return
		}
		i := m.indexOf(c.Peer)
		if l, _ := m.find(c.Peer); l == nil && (i < 0 || !m.crowded(m.passive[i].origin)) && m.want(c.Peer, toMix, out) {
			m.named--
		}
	}
}
