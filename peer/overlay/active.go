package overlay

import (
	"fmt"
	"slices"
	"time"

	"peerchat/peer/wire"
)

// want makes the peer a neighbour if it agrees: it asks for a link if there is none, and then asks the peer.
func (m *Machine) want(id wire.PeerID, why purpose, out *Output) bool {
	if id == m.self || id.IsZero() {
		return false
	}
	l := m.link(id)
	if l == nil || l.active || l.busy() {
		return false
	}
	if !l.up && m.dials() >= maxDials {
		m.tidy(l, out)
		return false
	}
	l.why, l.began, l.heirOf = why, m.now, wire.PeerID{}
	m.hold(l, out)
	if l.up {
		m.question(l, out)
		m.tidy(l, out)
		return l.ask != 0
	}
	l.dialing = true
	m.until(l, m.now.Add(m.timing.Connect))
	return true
}

// hold tells the caller that the link is needed, unless it knows.
func (m *Machine) hold(l *link, out *Output) {
	if !l.held {
		l.held = true
		out.Actions = append(out.Actions, Connect{Peer: l.peer})
	}
}

func (m *Machine) dials() (n int) {
	for _, l := range m.waiting {
		if l.dialing {
			n++
		}
	}
	return n
}

// asking counts what is under way for one of two reasons.
func (m *Machine) asking(a, b purpose) (n int) {
	for _, l := range m.waiting {
		if !l.active && (l.why == a || l.why == b) {
			n++
		}
	}
	return n
}

// question asks the peer of a link that is up to be a neighbour. It may turn out that this is not wanted any more.
func (m *Machine) question(l *link, out *Output) {
	full := m.full()
	switch l.why {
	case toFill:
		if full {
			return
		}
	case toJoin:
		if full && m.inside {
			return
		}
	case toMix, toFlee:
		if full && (m.crowded(l.origin) || !m.uneven()) {
			return
		}
	}
	l.ask = m.number()
	m.until(l, m.now.Add(m.timing.Answer))
	if l.why == toJoin && !m.inside {
		m.send(l, Join{Nonce: l.ask}, out)
		return
	}
	m.send(l, Neighbor{Nonce: l.ask, High: l.why == toBridge || l.why == toKeep || l.why == toFlee || l.why == toMix && m.surrounded() || m.needy()}, out)
	if m.lonely() { // the other may be no better off
		m.send(l, Ping{Nonce: m.number(), Alarm: true}, out)
	}
}

// lonely tells whether this peer has no neighbours, or most of them are silent.
func (m *Machine) lonely() bool { return m.alarm || len(m.active) == 0 }

// needy tells whether this peer may ask as one that must not be refused: it has no neighbours, or one, or most of them
// are silent, or it has only a few and nothing but refusals for minutes. (The paper knows only the first. Without the
// last somebody always hangs on by a few links, because all others have no place free.) With a slack two refusals are
// enough: who is full has more than it wants.
func (m *Machine) needy() bool {
	return m.lonely() || m.hanging() || m.wait >= m.timing.FillMax && 2*len(m.active) < m.target || m.cfg.Slack > 0 && m.wait > m.timing.Fill
}

func (m *Machine) receive(in Receive, out *Output) {
	l, _ := m.find(in.From)
	if l == nil || !l.up || in.Message == nil {
		return
	}
	if !l.rates.all.AllowN(m.now, 1) {
		if !l.rates.blamed {
			l.rates.blamed = true
			out.Faults = append(out.Faults, Fault{Peer: l.peer, Code: "flood", Drop: true,
				Text: fmt.Sprintf("%s sends overlay messages faster than any peer needs to", l.peer.Tag())})
		}
		return
	}
	if pong, ok := in.Message.(Pong); ok { // before it is trusted, so that it is seen how late it was
		m.ponged(l, pong)
	}
	if _, bye := in.Message.(Disconnect); !bye {
		m.trust(l, out)
	}
	switch msg := in.Message.(type) {
	case Join:
		m.asked(l, msg.Nonce, true, true, out)
	case Neighbor:
		m.asked(l, msg.Nonce, msg.High, false, out)
	case NeighborAnswer:
		m.answered(l, msg, out)
	case Disconnect:
		m.disconnected(l, msg, out)
	case ForwardJoin:
		if m.neighborly(l, out) {
			m.forwarded(l, msg, out)
		}
	case Shuffle:
		if m.neighborly(l, out) {
			m.shuffled(l, msg, out)
		}
	case ShuffleReply:
		m.replied(l, msg, out)
	case Ping:
		m.pinged(l, msg, out)
	}
}

// neighborly tells whether l is a neighbour. One that is none, and takes this peer for one, is told: so two that
// disagree come to agree. But not while a question to it is out, because the answer may come behind what told of the
// disagreement.
func (m *Machine) neighborly(l *link, out *Output) bool {
	if !l.active && l.ask == 0 && l.rates.asks.AllowN(m.now, 1) {
		m.send(l, Disconnect{}, out)
	}
	return l.active
}

// asked deals with a peer that wants to be a neighbour.
func (m *Machine) asked(l *link, nonce uint32, high, join bool, out *Output) {
	was := l.active
	if !was && !m.accept(l, high, join, out) {
		// Both may have asked. Who refuses takes its own question back, whatever the answer will be; who is refused
		// is no neighbour, even if it has accepted meanwhile. So both come to the same.
		m.unask(l)
		m.tidy(l, out)
		m.send(l, NeighborAnswer{Nonce: nonce}, out)
		return
	}
	m.send(l, NeighborAnswer{Nonce: nonce, Accepted: true}, out)
	if !was {
		m.add(l, out)
	}
	l.child = l.child || high
	if join && l.rates.joins.AllowN(m.now, 1) {
		m.announce(l, out)
	}
}

// packed tells whether another neighbour would be one too many even for who asks.
func (m *Machine) packed() bool { return m.have() >= min(m.target+m.cfg.Slack, MaxActive) }

// accept decides whether l may be a neighbour, and makes room for it.
func (m *Machine) accept(l *link, high, join bool, out *Output) bool {
	switch {
	case !l.rates.asks.AllowN(m.now, 1), high && !m.admit(l.origin):
		return false
	case !m.packed():
		return true
	case high && !join && !m.admitSwap(l.origin):
		return false
	case high:
		m.evict(m.victim(l.origin), l.peer, out)
		return true
	}
	// Who is refused elsewhere too, because one origin holds the places, gets one of those.
	if v := m.surplus(); v != nil && !m.crowded(l.origin) {
		m.evict(v, l.peer, out)
		return true
	}
	return false
}

// unask takes a question back: its answer will be ignored, and somebody else is asked in its place.
func (m *Machine) unask(l *link) {
	if l.ask == 0 {
		return
	}
	l.ask = 0
	if l.why == toJoin {
		m.soon(&m.joinAt, 0)
	}
	m.free()
}

func (m *Machine) answered(l *link, msg NeighborAnswer, out *Output) {
	if l.ask == 0 || l.ask != msg.Nonce {
		return // it was given up
	}
	l.ask = 0
	m.until(l, time.Time{})
	m.inside = m.inside || msg.Accepted && l.why == toJoin
	switch {
	case !msg.Accepted:
		if l.active { // it has accepted, and refused meanwhile
			m.remove(l, out)
			m.vacant()
		}
		m.refused(l, out)
	case l.active:
	case m.packed():
		m.squeeze(l, out)
	default:
		m.add(l, out)
	}
	if l.active && (l.why == toJoin || l.why == toKeep || l.why == toBridge || len(m.active) == 1) {
		m.lead(l)
	}
	m.tidy(l, out)
}

// squeeze takes in one that has accepted though all places are taken by now, in the place of another, or tells it that
// others came first.
func (m *Machine) squeeze(l *link, out *Output) {
	var v *link
	switch l.why {
	case toJoin, toKeep, toBridge, toCheck:
		v = m.victim(l.origin)
	case toTake: // it has come in elsewhere
		if v = m.victim(l.origin); v.kin() {
			v = nil
		}
	case toMix, toFlee:
		if !m.crowded(l.origin) {
			v = m.surplus()
		}
	}
	if v == nil {
		m.send(l, Disconnect{}, out)
		m.remember(known{peer: l.peer, origin: l.origin, proven: true})
		return
	}
	m.evict(v, l.peer, out)
	m.add(l, out)
}

func (m *Machine) disconnected(l *link, msg Disconnect, out *Output) {
	if msg.Leaving {
		m.unask(l)
		m.forget(l.peer)
	}
	if !l.active {
		m.tidy(l, out)
		return
	}
	parent := l.parent && !msg.Leaving
	m.remove(l, out)
	if !msg.Leaving {
		m.remember(known{peer: l.peer, origin: l.origin, proven: true, tried: m.round, rest: m.rests(l)})
	}
	m.tidy(l, out)
	switch {
	case parent:
		m.handed(Contact{Peer: l.peer, Origin: l.origin}, msg.Instead, out)
	case !m.full() && !msg.Instead.IsZero():
		m.want(msg.Instead, toFill, out)
	}
	m.evicted()
}

// add takes l into the active view.
func (m *Machine) add(l *link, out *Output) {
	m.yield(l, out)
	m.hold(l, out)
	l.active = true
	m.been = true
	m.inside = m.inside || len(m.contacts) == 0 // who knows of nobody is the first in the room
	m.active = append(m.active, l)
	m.drop(m.indexOf(l.peer))
	m.found(l.peer)
	out.Actions = append(out.Actions, NeighborUp{Peer: l.peer})
	if m.full() {
		m.wait, m.bereft = 0, false
	}
	m.free()
	m.crowd()
}

// remove takes l from the active view, and nothing else.
func (m *Machine) remove(l *link, out *Output) {
	l.active, l.suspect, l.missed, l.ping, l.parent, l.child = false, false, false, 0, false, false
	m.active = slices.DeleteFunc(m.active, func(o *link) bool { return o == l })
	m.settled()
	m.crowd()
	out.Actions = append(out.Actions, NeighborDown{Peer: l.peer})
}

// evict ends it that l is a neighbour, in favour of another, if any. It stays known.
func (m *Machine) evict(l *link, instead wire.PeerID, out *Output) {
	m.send(l, Disconnect{Instead: instead}, out)
	m.unask(l) // an answer that is under way was given before this
	m.remove(l, out)
	m.remember(known{peer: l.peer, origin: l.origin, proven: true, tried: m.round})
	m.tidy(l, out)
}

// pick is a random neighbour for which ok holds; nil if there is none.
func (m *Machine) pick(ok func(*link) bool) (chosen *link) {
	n := 0
	for _, l := range m.active {
		if ok(l) {
			if n++; m.rand.IntN(n) == 0 {
				chosen = l
			}
		}
	}
	return chosen
}
