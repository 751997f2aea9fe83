package overlay

import (
	"slices"

	"peerchat/peer/wire"
)

// contact is a peer that was named as a way in.
type contact struct {
	Contact
	tried uint32 // the pass in which it was asked last
}

// learn notes contacts, the newest last; those known longest make room.
func (m *Machine) learn(in Contacts, out *Output) {
	in.Peers = in.Peers[:min(len(in.Peers), MaxContacts)]
	added := 0
	for _, c := range in.Peers {
		if c.Peer == m.self || c.Peer.IsZero() {
			continue
		}
		if i := slices.IndexFunc(m.contacts, func(k contact) bool { return k.Peer == c.Peer }); i >= 0 {
			if c.Origin != "" {
				m.contacts[i].Origin = c.Origin
			}
		} else {
			m.contacts = append(m.contacts, contact{Contact: c})
		}
		added++
		m.remember(known{peer: c.Peer, origin: c.Origin})
		if in.Apart && !m.Neighbor(c.Peer) {
			m.miss(c, 0)
		}
	}
	m.tryNamed(in.Peers, out)
	if n := len(m.contacts) - MaxContacts; n > 0 {
		m.contacts = slices.Delete(m.contacts, 0, n)
	}
	// At once, unless these are the answer to contacts that all failed. Where one is asked already the hedge says when
	// the next is.
	if added > 0 && !m.inside && m.asking(toJoin, toJoin) == 0 {
		m.soon(&m.joinAt, min(m.retry, m.timing.Fill))
	}
}

// join asks a contact to let this peer in, and another if that takes long. It goes on when others have come to this
// peer meanwhile: they may know as little of the room as it does, and all of them would be a room of their own.
func (m *Machine) join(out *Output) {
	for !m.inside && m.asking(toJoin, toJoin) < maxHedge {
		c := m.nextContact()
		if c == nil {
			break
		}
		c.tried = m.pass
		if l, _ := m.find(c.Peer); l != nil && l.active { // it has come to this peer by itself
			m.inside = true
			m.lead(l)
			return
		}
		if m.want(c.Peer, toJoin, out) {
			m.soon(&m.joinAt, m.timing.Hedge)
			return
		}
	}
	if m.inside || m.asking(toJoin, toJoin) > 0 {
		return
	}
	// All were tried. With the next pass they get another chance.
	out.NeedContacts = true
	m.pass++
	m.retry = min(max(2*m.retry, m.timing.Fill), m.timing.FillMax)
	m.soon(&m.joinAt, m.retry/2+m.upTo(m.retry/2))
}

// nextContact is a random one that was not tried in this pass.
func (m *Machine) nextContact() (chosen *contact) {
	n := 0
	for i := range m.contacts {
		if c := &m.contacts[i]; c.tried != m.pass {
			if n++; m.rand.IntN(n) == 0 {
				chosen = c
			}
		}
	}
	return chosen
}

// announce sends the newcomer's name on its walks, one for each place of the first half of its view. Where a walk ends
// somebody may lose a place to the newcomer, and asks it then: the other half is for those. With more walks it would be
// full before they ask, and they would have to ask others in turn. In a small room all are to hear of it.
func (m *Machine) announce(newcomer *link, out *Output) {
	n := len(m.active)
	if m.thrifty() {
		n = m.half()
	}
	for _, l := range m.some(m.active, n, newcomer) {
		m.send(l, ForwardJoin{Peer: newcomer.peer, TTL: m.cfg.ActiveWalk}, out)
	}
}

// forwarded carries a newcomer's name on, or takes it in where the walk ends.
func (m *Machine) forwarded(from *link, msg ForwardJoin, out *Output) {
	if msg.Peer == m.self || msg.Peer == from.peer || !from.rates.walks.AllowN(m.now, 1) {
		return
	}
	ttl := min(msg.TTL, m.cfg.ActiveWalk)
	if ttl == 0 || len(m.active) == 1 {
		m.takeIn(from, msg.Peer, out)
		return
	}
	if m.small() && !m.full() {
		m.takeIn(from, msg.Peer, out) // a full mesh is to become of it: all are asked who can be
	} else if ttl == m.cfg.PassiveWalk {
		m.remember(known{peer: msg.Peer, from: from.origin})
	}
	if next := m.along(func(l *link) bool { return l != from && l.peer != msg.Peer }); next != nil {
		m.send(next, ForwardJoin{Peer: msg.Peer, TTL: ttl - 1}, out)
	} else {
		m.takeIn(from, msg.Peer, out)
	}
}

// takeIn makes a newcomer a neighbour.
func (m *Machine) takeIn(from *link, id wire.PeerID, out *Output) {
	if l, _ := m.find(id); l != nil && l.active {
		return
	}
	if m.asking(toTake, toTake) >= maxTakes || !m.walks.AllowN(m.now, 1) || !m.want(id, toTake, out) {
		m.remember(known{peer: id, from: from.origin})
	}
}
