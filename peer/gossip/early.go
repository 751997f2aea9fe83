package gossip

import (
	"time"

	"peerchat/peer/wire"
)

// What comes straight from its author is the author's word by the link alone, which its identity key vouches for. So a
// live line of a neighbour is delivered first, and proven and stored after that, because both take longer than all the
// rest of its way. It is done before any other input is looked at, and by Flush at the latest: nothing is told,
// offered, answered, acknowledged or decided by an event that is not proven and stored. An author whose proof then does
// not fit loses the link, as ever; if the process dies in between, the event is fetched again.

// early delivers the events of a frame if they may be delivered before they are proven, and reports whether it did.
func (m *Machine) early(now time.Time, l *link, f wire.Events, out *Output) bool {
	if !f.Live || len(f.Events) == 0 || len(m.unproven)+len(f.Events) > maxUnproven {
		return false
	}
	r := m.rooms[f.Events[0].Room]
	if r == nil || l.share(r) == nil {
		return false
	}
	a := r.logs[wire.LogOf(l.peer, f.Events[0].Seq)]
	if a == nil || !a.begun() || a.over || len(a.pending) > 0 || a.ask != nil || len(a.shown) > 0 {
		return false
	}
	size := 0
	for i := range f.Events {
		e := &f.Events[i]
		size += heldSize(e)
		onlyShown := e.Kind == wire.KindText || e.Kind == wire.KindAction
		if e.Room != r.name || e.Author != l.peer || e.Seq != a.head+1+uint64(i) || e.Lamport > believed(now) || !onlyShown {
			return false
		}
	}
	if m.heldBytes+m.earlyBytes+size > maxHeldBytes {
		return false // if it cannot be stored there must be a place for it
	}
	m.earlyBytes += size
	for _, e := range f.Events {
		m.unproven = append(m.unproven, arrival{held: held{event: e, from: l.peer, live: true, shown: true, hops: f.Hops}, room: r, log: a})
		out.Delivers = append(out.Delivers, Deliver{Event: e, From: l.peer, Hops: travelled(f.Hops)})
	}
	a.head += uint64(len(f.Events))
	return true
}

// prove verifies and stores what was delivered early. What does not pass is taken back from the head of its log.
func (m *Machine) prove(now time.Time, out *Output) {
	if len(m.unproven) == 0 {
		return
	}
	m.fresh = m.fresh[:0]
	for i := range m.unproven {
		x := &m.unproven[i]
		e, a, l := &x.event, x.log, m.links[x.from]
		x.hash = e.Hash()
		switch {
		case e.Seq > a.head: // one before it did not pass
			a.wasShown(x)
			continue
		case m.verify(e) != nil:
			m.forged(l, x.room, e, out)
			a.head = e.Seq - 1
			a.wasShown(x)
			continue
		}
		m.punctual(now, l, x.room, a, e, true, out)
		s := l.share(x.room)
		m.learn(now, l, s, a.id, span{seq: e.Seq, hops: x.hops}, false, out)
		copy(a.recent[e.Seq%16][:], x.hash[:])
		a.via[e.Seq%16] = s.slot + 1
		m.fresh = append(m.fresh, *x)
	}
	clear(m.unproven) // let go of the bodies
	m.unproven, m.earlyBytes = m.unproven[:0], 0
	m.settle(now, out)
}

// wasShown keeps in mind that an event was delivered, though its author's proof did not fit, so that it is not
// delivered again. There are at most maxUnproven of them, because nothing more is delivered early until the log has
// gone on past them.
func (a *authorLog) wasShown(x *arrival) {
	if a.shown == nil {
		a.shown = make(map[uint64][32]byte)
	}
	a.shown[x.event.Seq] = x.hash
}

// isShown tells whether an event was delivered before, now that its place in the log is taken.
func (a *authorLog) isShown(e *wire.Event) bool {
	hash, shown := a.shown[e.Seq]
	delete(a.shown, e.Seq)
	return shown && hash == e.Hash()
}

// show delivers an event, unless it was delivered before.
func (m *Machine) show(x *arrival, out *Output) {
	if was := x.log.isShown(&x.event); !was && !x.shown {
		out.Delivers = append(out.Delivers, Deliver{Event: x.event, From: x.from, History: !x.live || x.log.over,
			Older: x.log.over, Missing: x.log.missingBefore(x.event.Seq), Hops: travelled(x.hops)})
	}
}
