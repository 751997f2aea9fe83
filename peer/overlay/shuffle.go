package overlay

import (
	"slices"

	"peerchat/peer/wire"
)

// telling is what this peer told in its last shuffle.
type telling struct {
	id     uint64
	to     wire.PeerID
	sample []wire.PeerID
}

// relay is a shuffle of another that came by: its answer goes back the same way, which saves the link that the paper
// makes for it.
type relay struct {
	id       uint64
	from, to wire.PeerID
}

// shuffle exchanges some of what this peer knows with one at the end of a random walk, and sees to the size of the
// active view.
func (m *Machine) shuffle(out *Output) {
	d := m.timing.Shuffle
	m.swapAt = m.now.Add(d*3/4 + m.upTo(d/2))
	m.losses = 0
	if m.have() > m.target+1 { // the room has shrunk: one by one
		m.evict(m.victim(""), wire.PeerID{}, out)
	}
	first := m.along(anybody)
	if first == nil {
		return
	}
	m.told = telling{id: max(m.rand.Uint64(), 1), to: first.peer}
	for _, l := range m.some(m.active, m.cfg.SampleActive, first) {
		m.told.sample = append(m.told.sample, l.peer)
	}
	m.told.sample = append(m.told.sample, m.somePassive(m.cfg.SamplePassive)...)
	m.send(first, Shuffle{ID: m.told.id, Origin: m.self, TTL: m.cfg.ActiveWalk, Sample: m.told.sample}, out)
}

// some are up to n random links of a list without one of them.
func (m *Machine) some(list []*link, n int, without *link) []*link {
	rest := make([]*link, 0, len(list))
	for _, l := range list {
		if l != without {
			rest = append(rest, l)
		}
	}
	m.rand.Shuffle(len(rest), func(i, j int) { rest[i], rest[j] = rest[j], rest[i] })
	return rest[:min(n, len(rest))]
}

// somePassive are up to n random passive peers.
func (m *Machine) somePassive(n int) []wire.PeerID {
	n = min(n, len(m.passive))
	list := make([]wire.PeerID, 0, n)
	for i := range n { // the first n of a random order
		j := i + m.rand.IntN(len(m.passive)-i)
		m.passive[i], m.passive[j] = m.passive[j], m.passive[i]
		list = append(list, m.passive[i].peer)
	}
	return list
}

// shuffled carries a shuffle on, or answers it where the walk ends.
func (m *Machine) shuffled(from *link, msg Shuffle, out *Output) {
	if msg.Origin == m.self || !from.rates.shuffles.AllowN(m.now, 1) {
		return
	}
	if ttl := min(msg.TTL, m.cfg.ActiveWalk); ttl > 1 && len(m.active) > 1 {
		next := m.along(func(l *link) bool { return l != from && l.peer != msg.Origin })
		if next != nil {
			m.note(relay{id: msg.ID, from: from.peer, to: next.peer})
			msg.TTL = ttl - 1
			m.send(next, msg, out)
			return
		}
	}
	told := m.somePassive(min(len(msg.Sample)+1, m.cfg.SampleActive+m.cfg.SamplePassive+1))
	m.send(from, ShuffleReply{ID: msg.ID, Sample: told}, out)
	m.mix(from, append([]wire.PeerID{msg.Origin}, msg.Sample...), told)
}

// note remembers the way of a shuffle, the newest last.
func (m *Machine) note(r relay) {
	if len(m.relays) >= maxRelays {
		m.relays = slices.Delete(m.relays, 0, maxRelays/4)
	}
	m.relays = append(m.relays, r)
}

// replied takes the answer to a shuffle, or carries it back.
func (m *Machine) replied(from *link, msg ShuffleReply, out *Output) {
	if msg.ID == m.told.id && from.peer == m.told.to {
		told := m.told.sample
		m.told = telling{}
		m.mix(from, msg.Sample, told)
		return
	}
	for i, r := range slices.Backward(m.relays) {
		if r.id == msg.ID && r.to == from.peer {
			m.relays = slices.Delete(m.relays, i, i+1)
			if back, _ := m.find(r.from); back != nil && back.up {
				m.send(back, msg, out)
			}
			return
		}
	}
}

// mix takes what was heard into the passive view; what was told makes room first.
func (m *Machine) mix(from *link, heard, told []wire.PeerID) {
	for _, id := range heard[:min(len(heard), m.cfg.SampleActive+m.cfg.SamplePassive+1)] {
		m.remember(known{peer: id, from: from.origin}, told...)
	}
}
