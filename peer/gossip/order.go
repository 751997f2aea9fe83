package gossip

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"peerchat/peer/wire"
)

// arrival is an event that is the next of its log, with how it came.
type arrival struct {
	held
	room *room
	log  *authorLog
}

func heldSize(e *wire.Event) int { return 400 + len(e.Body) + 32*len(e.Proof.Path) }

// events takes events in: what is new and next of its log is appended to the Log, then delivered.
func (m *Machine) events(now time.Time, l *link, f wire.Events, out *Output) {
	if m.early(now, l, f, out) {
		return
	}
	m.prove(now, out)
	if l.cut {
		return
	}
	m.fresh = m.fresh[:0]
	useless := 0
	for i := range f.Events {
		e := &f.Events[i]
		r := m.rooms[e.Room]
		if r == nil || l.share(r) == nil || !m.event(now, l, r, e, f, out) {
			useless++
		}
		if l.cut {
			break
		}
	}
	if useless > 0 {
		m.wasted(now, l, useless*wasteUnit, out)
	}
	m.settle(now, out)
}

// event takes one event in and reports whether it was of use.
func (m *Machine) event(now time.Time, l *link, r *room, e *wire.Event, f wire.Events, out *Output) bool {
	id := wire.LogOf(e.Author, e.Seq)
	s, a := l.share(r), r.logs[id]
	if e.Author != l.peer {
		s.doubted, s.unshown = false, 0 // it does pass on what others say
	}
	s.answers(now, a, e)
	if a != nil && e.Seq <= a.head {
		if e.Seq <= a.base && m.olderEvent(now, l, r, a, e, f, out) {
			return true
		}
		m.duplicate(now, l, s, a, e, f.Live, out)
		return false
	}
	if e.Lamport > believed(now) {
		if a == nil || !a.warnedClock {
			m.fault(l, r.name, e.Author, "clock", false, out, "its event %d claims a place in the log that nobody can have (%d): it is not taken in", e.Seq,
				e.Lamport)
		}
		if a != nil {
			a.warnedClock = true
		}
		return false
	}
	if r.crowded && (a == nil || !a.begun()) {
		return false
	}
	if a != nil && a.isBehind && !m.holds(a, e) {
		m.learn(now, l, s, id, span{seq: e.Seq, hops: f.Hops}, false, out)
		return true // it will be asked for when its turn comes, and verified then
	}
	if a == nil && len(r.logs) >= maxAuthors && (e.Author != l.peer || len(r.logs) >= 2*maxAuthors) {
		m.fault(l, r.name, wire.PeerID{}, "flood", false, out, "room %s has %d authors here: no more are let in", r.name, len(r.logs))
		return false
	}
	hash := e.Hash()
	if a != nil {
		h, ok := a.pending[e.Seq]
		switch {
		case !ok:
		case h.hash == hash && a.ask != nil && a.ask.adopt && e.Seq == a.ask.from: // it waited for just that
			delete(a.pending, e.Seq)
			m.heldBytes -= heldSize(&h.event)
		case h.hash == hash:
			m.learn(now, l, s, id, span{seq: e.Seq, hops: unknownHops}, false, out)
			if first := m.links[h.from]; f.Live && first != nil && first.share(r) != nil {
				m.redundant(now, s, a, first.share(r).slot, out)
			}
			if a.unstored && e.Seq == a.head+1 {
				m.drain(r, a) // the Log may take it now
			}
			return false
		default:
			m.double(l, r, a, e, out)
			return false
		}
	}
	if err := m.verify(e); err != nil {
		m.forged(l, r, e, out)
		return false
	}
	if (a == nil || a.claimed != nil) && !m.admit(now, l, r, id, out) {
		return false
	}
	if a == nil {
		a = r.add(id)
		a.joined, a.named = r.fresh, m.gone(r, id)
	}
	m.punctual(now, l, r, a, e, f.Live, out)
	if m.skips(now, r, a, e) {
		a.real()
		m.learn(now, l, s, id, span{seq: e.Seq, hops: f.Hops}, false, out)
		return m.skip(now, l, r, a, e, out)
	}
	if a.ask != nil && a.ask.adopt && e.Seq == a.ask.from {
		if !m.rebase(now, l, r, a, e.Seq-1, e.Time, out) {
			return false
		}
		m.lookSoon(now, r) // it may begin too late
	}
	a.real()
	m.learn(now, l, s, id, span{seq: e.Seq, hops: f.Hops}, false, out)
	h := held{event: *e, hash: hash, from: l.peer, live: f.Live, hops: f.Hops}
	if e.Seq != a.head+1 {
		if f.Live {
			m.troubled(now, r)
		}
		m.hold(now, l, r, a, h, out)
		return true
	}
	m.accept(r, a, h, s.slot)
	m.drain(r, a)
	return true
}

// drain takes what waited for the head of its log.
func (m *Machine) drain(r *room, a *authorLog) {
	for len(a.pending) > 0 {
		next, ok := a.pending[a.head+1]
		if !ok {
			break
		}
		delete(a.pending, a.head+1)
		m.heldBytes -= heldSize(&next.event)
		slot := int8(-1)
		if from := m.links[next.from]; from != nil && from.share(r) != nil {
			slot = from.share(r).slot
		}
		m.accept(r, a, next, slot)
	}
}

func (m *Machine) forged(l *link, r *room, e *wire.Event, out *Output) {
	m.fault(l, r.name, e.Author, "forged", true, out, "it sent event %d of %s, which that author did not sign", e.Seq, e.Author.Tag())
}

// punctual remarks on an author's clock, once.
func (m *Machine) punctual(now time.Time, l *link, r *room, a *authorLog, e *wire.Event, live bool, out *Output) {
	d := e.Time.Sub(now)
	if d > clockFast {
		a.fast = max(a.fast, d)
	}
	if !a.warnedClock && (d > clockSkew || (live && d < -clockSkew)) {
		a.warnedClock = true
		side := "ahead of"
		if d < 0 {
			side = "behind"
		}
		m.fault(l, r.name, e.Author, "clock", false, out, "its clock is %v %s the one here, so its lines show wrong times; their order is right",
			d.Abs().Round(time.Second), side)
	}
}

// accept puts an event, the next of its log, among the fresh ones. The log's head goes on at once, so that the next in
// the same frame fits; settle takes it back if the Log does not take the events.
func (m *Machine) accept(r *room, a *authorLog, h held, slot int8) {
	if a.head++; a.head == a.id.Start()+1 {
		r.endOthers(a)
	}
	copy(a.recent[a.head%16][:], h.hash[:])
	a.via[a.head%16] = slot + 1
	m.fresh = append(m.fresh, arrival{held: h, room: r, log: a})
}

// settle appends the fresh events to the Log, and delivers them.
func (m *Machine) settle(now time.Time, out *Output) {
	if len(m.fresh) == 0 {
		return
	}
	defer func() {
		clear(m.fresh) // let go of the bodies
		if cap(m.fresh) > 2*wire.MaxEvents {
			m.fresh = nil
		}
	}()
	first := 0
	events, err := m.store(out)
	if err != nil {
		m.retract(now)
		m.putOff(now)
		out.Faults = append(out.Faults, Fault{Peer: m.self, Room: events[0].Room, Code: "log", Text: fmt.Sprintf(
			"what was received cannot be stored (events: %d): %v; it is tried again until it works", len(events), err)})
		return
	}
	for i := range m.fresh {
		x := &m.fresh[i]
		x.live = x.live && (x.since.IsZero() || now.Sub(x.since) < liveFor)
	}
	for i := range m.fresh {
		x := &m.fresh[i]
		r, a := x.room, x.log
		a.unstored = false
		a.told = 0
		r.follow(now, x.event.Lamport)
		if a != r.own {
			m.greet(now, r)
		}
		if !x.live {
			a.liveFrom = 0
		} else if a.follows(now, r, x.event.Time); a.liveFrom == 0 {
			a.liveFrom = x.event.Seq
		}
		a.stranded = time.Time{}
		if a.ask != nil {
			to := a.ask.to
			if s := to.share(r); x.live && !a.over && to.peer == x.from && !a.ask.graft && a.parent != s && s.bit() != 0 && to.peer != a.author {
				// A digest told of it sooner than the tree. Who answered is the parent now, and has to know: the copy
				// that the tree brings is the second, and its way is pruned.
				m.graft(s, []*authorLog{a}, out)
			}
			switch {
			case a.head >= a.ask.up:
				if to.peer == x.from {
					to.unkept = 0
				}
				a.drop()
				m.resume(now, to)
			case to.peer == x.from: // else who claims what does not exist would be waited for as long as others say something
				a.ask.deadline = now.Add(askTimeout)
			}
		}
		if a.isBehind && a.ask == nil {
			m.repairSoon(r, now)
		}
		m.show(x, out)
		if next := i + 1; next == len(m.fresh) || !x.alike(&m.fresh[next]) {
			if x.live {
				m.spread(now, x, events[first:next], out)
			}
			if first = next; next == len(m.fresh) || m.fresh[next].log != a {
				m.rebased(now, r, a) // what came in may have pushed its oldest out
				m.advanced(now, r, a)
				if a.ahead != 0 {
					m.shorten(now, r, a, out)
				}
			}
		}
	}
}

// store appends the fresh events to the Log. Those of authors that the Log refuses are taken back alone.
func (m *Machine) store(out *Output) (events []wire.Event, err error) {
	for {
		events = make([]wire.Event, len(m.fresh))
		for i := range m.fresh {
			events[i] = m.fresh[i].event
		}
		if len(events) == 0 {
			return nil, nil
		}
		if err = m.cfg.Log.Append(events); err == nil {
			return events, nil
		}
		name, author, refused := m.refused(err, out)
		if !refused {
			return events, err
		}
		var theirs []arrival
		m.fresh = slices.DeleteFunc(m.fresh, func(x arrival) bool {
			is := x.room.name == name && x.event.Author == author
			if is {
				theirs = append(theirs, x)
			}
			return is
		})
		if len(theirs) == 0 {
			return events, err
		}
		for i := range slices.Backward(theirs) {
			theirs[i].takeBack()
		}
	}
}

// alike tells whether two arrivals came the same way, so that they go on together.
func (x *arrival) alike(y *arrival) bool {
	return x.log == y.log && x.live == y.live && x.hops == y.hops && x.from == y.from
}

// spread sends live events on, of which x is the last, and acknowledges them.
func (m *Machine) spread(now time.Time, x *arrival, events []wire.Event, out *Output) {
	r, a := x.room, x.log
	var from *share
	if l := m.links[x.from]; l != nil {
		from = l.share(r)
	}
	m.grow(now, r, a, from)
	a.liveAt, a.liveSaid, a.hops = now, x.event.Time, travelled(x.hops)
	a.depth, a.told, a.late, a.lost, a.hoped = a.hops, 0, false, 0, false
	if from != nil {
		m.ackSoon(now, from, a)
	}
	m.relay(now, r, a, from, events, out)
}

// travelled is how many links an event has travelled that had travelled hops before the last.
func travelled(hops uint8) uint8 { return min(hops, wire.MaxHops) + 1 }

// hold keeps an event whose predecessors are missing, and has them asked for.
func (m *Machine) hold(now time.Time, l *link, r *room, a *authorLog, h held, out *Output) {
	e := &h.event
	if a.begun() && e.Seq > a.head+farAhead && !a.warnedSeq {
		a.warnedSeq = true
		m.fault(l, r.name, e.Author, "sequence", false, out, "event %d of %s came after its event %d", e.Seq, a.author.Tag(), a.head)
	}
	if !a.gap {
		a.gap = true
		switch {
		case !a.begun() && e.Seq > a.head+maxPending:
			a.askAt = now.Add(contactDelay)
		case l.peer != a.author:
			a.askAt = now.Add(gapDelay)
		default:
			a.askAt = now
		}
	}
	m.fallBehind(now, r, a)
	if !m.holds(a, e) {
		return // it will be asked for when its turn comes
	}
	// The body is a part of its frame, which would be kept as a whole.
	e.Body = bytes.Clone(e.Body)
	if a.pending == nil {
		a.pending = make(map[uint64]held)
	}
	a.pending[e.Seq] = h
	m.heldBytes += heldSize(e)
}

// holds reports whether there is a place for an event in a log or behind its gap.
func (m *Machine) holds(a *authorLog, e *wire.Event) bool {
	if e.Seq == a.head+1 || a.ask != nil && a.ask.adopt && e.Seq == a.ask.from {
		return true
	}
	if _, held := a.pending[e.Seq]; held {
		return true
	}
	return len(a.pending) < maxPending && (!a.begun() || e.Seq <= a.head+maxAhead) && m.heldBytes+heldSize(e) <= maxHeldBytes
}

// rebase lets a log go on after base. The caller has a verified event that follows it, or is the last before; it was
// said at said.
func (m *Machine) rebase(now time.Time, l *link, r *room, a *authorLog, base uint64, said time.Time, out *Output) bool {
	if base <= a.head {
		return true
	}
	from, sure := m.unseen(r, a)
	here := sure || a.fast == 0 && said.After(r.entered)
	open := a.holeBefore(base, from, here)
	if err := m.cfg.Log.Rebase(r.name, a.id, base, base-open); err != nil {
		if _, _, refused := m.refused(err, out); refused {
			return false
		}
		out.Faults = append(out.Faults, Fault{Peer: m.self, Author: a.author, Room: r.name, Code: "log", Text: fmt.Sprintf(
			"the log of %s cannot go on at %d: %v; it is tried again until it works", a.author.Tag(), base+1, err)})
		m.tryLater(now, r, a)
		return false
	}
	m.tear(now, r, a, base, open, from, here, sure)
	a.base, a.head, a.recentFrom = base, base, base
	r.endOthers(a)
	a.ask.adopt = false
	for seq, h := range a.pending {
		if seq <= base {
			m.heldBytes -= heldSize(&h.event)
			delete(a.pending, seq)
			if h.shown { // it may come back, with what is older
				a.wasShown(&arrival{held: h})
			}
		}
	}
	return true
}

// duplicate looks at an event whose place in the log is taken.
func (m *Machine) duplicate(now time.Time, l *link, s *share, a *authorLog, e *wire.Event, live bool, out *Output) {
	if live { // it may not know that we have it: acknowledgements can be lost
		if e.Seq+16 > a.head && int8(a.via[e.Seq%16])-1 == s.slot {
			l.again = now
		}
		m.ackSoon(now, s, a)
	}
	if s.spotted(e) {
		live = false // it was asked for, and says nothing of the tree
	}
	if e.Seq <= a.base || a.warnedDouble { // the second is known to be worth no look
		return
	}
	hash := e.Hash()
	if e.Seq+16 > a.head && e.Seq > a.recentFrom {
		if bytes.Equal(a.recent[e.Seq%16][:], hash[:16]) {
			m.learn(now, l, s, a.id, span{seq: e.Seq, hops: unknownHops}, false, out)
			if live {
				m.redundant(now, s, a, a.via[e.Seq%16]-1, out)
			}
			return
		}
	} else {
		have, err := m.cfg.Log.Range(e.Room, e.Author, e.Seq, e.Seq, 1)
		if err != nil || len(have) == 0 || have[0].Hash() == hash {
			return
		}
	}
	m.double(l, s.room, a, e, out)
}

// double handles an event that differs from the one that has its place.
func (m *Machine) double(l *link, r *room, a *authorLog, e *wire.Event, out *Output) {
	if m.verify(e) != nil {
		m.forged(l, r, e, out)
		return
	}
	if a.warnedDouble {
		return
	}
	a.warnedDouble = true
	m.fault(l, r.name, e.Author, "equivocation", false, out,
		"%s signed two different events with the number %d: the first is kept, others may see the second", a.author.Tag(), e.Seq)
	m.testify(l, r, a, e, out)
}
