package overlay

import (
	"slices"

	"peerchat/peer/wire"
)

// known is one peer of the passive view.
type known struct {
	peer   wire.PeerID
	origin string // where a link led; empty if it is known from hearsay
	proven bool   // there was a link with it
	tried  uint32 // the round in which it was asked last
	check  bool   // it is to be looked for
}

func (m *Machine) indexOf(id wire.PeerID) int {
	return slices.IndexFunc(m.passive, func(k known) bool { return k.peer == id })
}

// remember takes a peer into the passive view, in the place of another if it is full. replace are those that may go first: they
// were told to a peer which knows them now.
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

// worst is the place of who makes room for k. What this peer has seen itself does not give way to hearsay as long as it is few, so that
// nobody can fill the whole view with inventions; and one origin replaces its own.
func (m *Machine) worst(k *known, replace []wire.PeerID) int {
	if k.origin != "" && m.ofOrigin(k.origin) >= max(1, m.spare/4) {
		return m.any(func(o *known) bool { return o.origin == k.origin })
	}
	keep := !k.proven && m.proven() <= m.target
	for _, id := range replace {
		if i := m.indexOf(id); i >= 0 && !(keep && m.passive[i].proven) {
			return i
		}
	}
	if i := m.any(func(o *known) bool { return !keep || !o.proven }); i >= 0 {
		return i
	}
	return m.rand.IntN(len(m.passive))
}

func (m *Machine) ofOrigin(origin string) (n int) {
	for i := range m.passive {
		if m.passive[i].origin == origin {
			n++
		}
	}
	return n
}

func (m *Machine) proven() (n int) {
	for i := range m.passive {
		if m.passive[i].proven {
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

// candidate is whom to ask next. Who has a link already, for another room or for voice, comes first: it costs nothing.
func (m *Machine) candidate() *known {
	fresh := func(k *known) bool { return k.tried != m.round }
	if k := m.choose(func(k *known) bool {
		l, _ := m.find(k.peer)
		return fresh(k) && l != nil && l.up
	}); k != nil {
		return k
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
