package overlay

import (
	"slices"
	"time"

	"peerchat/peer/wire"
)

// known is one peer of the passive view.
type known struct {
	peer   wire.PeerID
	origin string    // where a link led; empty if it is known from hearsay
	proven bool      // there was a link with it
	tried  uint32    // the round in which it was asked last
	from   string    // the origin of who told of it; empty if that is not known
	rest   time.Time // not to be asked before because too many neighbours are of one origin
	check  bool      // it is to be looked for
}

func (m *Machine) indexOf(id wire.PeerID) int {
	return slices.IndexFunc(m.passive, func(k known) bool { return k.peer == id })
}

// remember takes a peer into the passive view, in the place of another if it is full. replace are those that may go
// first: they were told to a peer which knows them now.
func (m *Machine) remember(k known, replace ...wire.PeerID) {
	if k.peer == m.self || k.peer.IsZero() || m.spare == 0 {
		return
	}
	if l, _ := m.find(k.peer); l != nil && l.active {
		return
	}
	if i := m.indexOf(k.peer); i >= 0 {
		old := &m.passive[i]
		old.tried = max(old.tried, k.tried)
		if k.proven {
			old.proven, old.origin = true, k.origin
		}
		return
	}
	if len(m.passive) >= m.spare {
		m.drop(m.worst(&k, replace))
	}
	m.passive = append(m.passive, k)
	m.free()
}

// worst is the place of who makes room for k. One origin replaces its own when it has its share, of those that had
// links or of what was told. Those that had links do not give way to hearsay as long as they are of few origins: so
// nobody can fill the whole view with inventions, or with his own names.
func (m *Machine) worst(k *known, replace []wire.PeerID) int {
	if k.origin != "" && m.ofOrigin(k.origin) >= m.part() {
		return m.any(func(o *known) bool { return o.origin == k.origin })
	}
	if i := m.any(func(o *known) bool { return o.origin != "" && m.ofOrigin(o.origin) > m.part() }); i >= 0 {
		return i
	}
	own := !k.proven && k.from != "" && m.toldFrom(k.from) >= m.spare/2
	keep := !k.proven && m.origined(m.target)
	may := func(o *known) bool { return !(keep && o.proven) && !(own && (o.proven || o.from != k.from)) }
	for _, id := range replace {
		if i := m.indexOf(id); i >= 0 && may(&m.passive[i]) {
			return i
		}
	}
	if i := m.any(may); i >= 0 {
		return i
	}
	return m.rand.IntN(len(m.passive))
}

// toldFrom is how many of those that had no link were told of by peers of an origin.
func (m *Machine) toldFrom(origin string) (n int) {
	for i := range m.passive {
		if k := &m.passive[i]; !k.proven && k.from == origin {
			n++
		}
	}
	return n
}

// origined tells whether those that had links are of n origins at most. Each whose origin is not known counts as one.
func (m *Machine) origined(n int) bool {
	origins := make([]string, 0, 16)
	for i := range m.passive {
		k := &m.passive[i]
		if !k.proven || k.origin != "" && slices.Contains(origins, k.origin) {
			continue
		}
		if origins = append(origins, k.origin); len(origins) > n {
			return false
		}
	}
	return true
}

// part is how many of one origin the passive view keeps when others want their places.
func (m *Machine) part() int { return max(1, m.spare/4) }

func (m *Machine) ofOrigin(origin string) (n int) {
	for i := range m.passive {
		if m.passive[i].origin == origin {
			n++
		}
	}
	return n
}

// any is a random place in the passive view for which ok holds; -1 if there is none.
func (m *Machine) any(ok func(*known) bool) int {
	n, at := 0, -1
	for i := range m.passive {
		if ok(&m.passive[i]) {
			if n++; m.rand.IntN(n) == 0 {
				at = i
			}
		}
	}
	return at
}

// choose is a random passive peer that nothing is under way with and for which ok holds; nil if there is none.
func (m *Machine) choose(ok func(*known) bool) *known {
	i := m.any(func(k *known) bool {
		l, _ := m.find(k.peer)
		return (l == nil || !l.active && !l.busy()) && ok(k)
	})
	if i < 0 {
		return nil
	}
	return &m.passive[i]
}

// candidate is whom to ask next to fill a place. Those that are not known to be of an origin that has its share of the
// places, and were not told of by such, come first; of these who has a link already, for another room or for voice,
// which costs nothing.
func (m *Machine) candidate() *known {
	fresh := func(k *known) bool { return k.tried != m.round }
	linked := func(k *known) bool {
		l, _ := m.find(k.peer)
		return fresh(k) && l != nil && l.up
	}
	other := func(k *known) bool { return !m.crowded(k.origin) && !m.crowded(k.from) }
	for _, ok := range []func(*known) bool{
		func(k *known) bool { return linked(k) && other(k) },
		func(k *known) bool { return fresh(k) && other(k) },
		linked,
	} {
		if k := m.choose(ok); k != nil {
			return k
		}
	}
	return m.choose(fresh)
}

// drop takes the peer at place i from the passive view; -1 is nowhere.
func (m *Machine) drop(i int) {
	if i >= 0 {
		m.passive = slices.Delete(m.passive, i, i+1)
	}
}

// forget takes all notes of a peer that left.
func (m *Machine) forget(id wire.PeerID) {
	m.drop(m.indexOf(id))
	m.found(id)
	m.contacts = slices.DeleteFunc(m.contacts, func(c contact) bool { return c.Peer == id })
}

// observe notes where a link leads.
func (m *Machine) observe(l *link) {
	if i := m.indexOf(l.peer); i >= 0 {
		m.passive[i].origin, m.passive[i].proven = l.origin, true
	}
}
