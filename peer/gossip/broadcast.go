package gossip

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"peerchat/peer/wire"
)

// publish makes events of drafts, stores them, and sends them to the neighbours.
func (m *Machine) publish(now time.Time, in Publish, out *Output) {
	refuse := func(d Draft, err error) {
		out.Refused = append(out.Refused, Refused{Room: in.Room, Ref: d.Ref, Err: err})
	}
	r := m.rooms[in.Room]
	if r == nil {
		for _, d := range in.Drafts {
			refuse(d, fmt.Errorf("say in %s: you are not in that room", in.Room))
		}
		return
	}
	said := make([]Draft, 0, len(in.Drafts))
	events := make([]wire.Event, 0, len(in.Drafts))
	for _, d := range in.Drafts {
		if err := wire.CheckBody(d.Kind, d.Body); err != nil {
			refuse(d, fmt.Errorf("say in %s: %w", in.Room, err))
			continue
		}
		n := uint64(len(events)) + 1
		said = append(said, d)
		events = append(events, wire.Event{Room: r.name, Author: m.self, Seq: r.own.head + n, Name: in.Name, ID: m.cfg.NewID(),
			Lamport: min(r.lamport+n, wire.MaxCounter), Time: now.UTC().Truncate(time.Millisecond), Kind: d.Kind,
			Body: bytes.Clone(d.Body)})
	}
	if len(events) == 0 {
		return
	}
	var err error
	for batch := range slices.Chunk(events, wire.MaxBatch) {
		if err = wire.SignBatch(m.cfg.Key, batch); err != nil {
			break
		}
	}
	if err == nil {
		err = m.cfg.Log.Append(events)
	}
	if err != nil {
		out.Faults = append(out.Faults, Fault{Peer: m.self, Room: r.name, Code: "log",
			Text: fmt.Sprintf("%d events cannot be stored, so nothing was sent: %v", len(events), err)})
		for _, d := range said {
			refuse(d, fmt.Errorf("say in %s: it cannot be stored: %w", in.Room, err))
		}
		return
	}
	last := &events[len(events)-1]
	r.own.head, r.lamport = last.Seq, last.Lamport
	if r.own.liveFrom == 0 {
		r.own.liveFrom = events[0].Seq
	}
	for i := range events {
		hash := events[i].Hash()
		copy(r.own.recent[events[i].Seq%16][:], hash[:])
		out.Delivers = append(out.Delivers, Deliver{Event: events[i], From: m.self, Ref: said[i].Ref})
	}
	r.own.hasTree, r.own.liveAt = true, now
	m.push(now, r, events, out)
	m.advanced(now, r, r.own)
}

// push sends own new events to every neighbour in the room, save those that get them first from others.
func (m *Machine) push(now time.Time, r *room, events []wire.Event, out *Output) {
	r.own.told = 0
	for _, l := range m.linkList {
		s := l.share(r)
		switch {
		case s == nil, s.slot >= 0 && r.own.eager&s.bit() == 0:
			continue
		case l.busy || s.lagging:
			s.lagging = true // it is offered the events, and fetches them when it can
			continue
		}
		m.sendEvents(l, events, true, 0, out)
		m.watch(now, s, r.own, events, out)
	}
}

// sendEvents sends events in as few frames as they need, and returns their number.
func (m *Machine) sendEvents(l *link, events []wire.Event, live bool, hops uint8, out *Output) int {
	frames := 0
	for len(events) > 0 {
		n := fit(events, wire.MaxFrame)
		out.Sends = append(out.Sends, Send{To: l.peer, Frame: wire.Events{Hops: hops, Live: live, Events: events[:n:n]}})
		events = events[n:]
		frames++
	}
	return frames
}

// advanced is told that a log went on: its author is to know, and so is everybody who may lack the events.
func (m *Machine) advanced(now time.Time, r *room, a *authorLog) {
	if l := m.links[a.author]; l != nil {
		if s := l.share(r); s != nil {
			m.ackSoon(now, s, a)
		}
	}
	if !a.isChanged {
		a.isChanged = true
		r.changed = append(r.changed, a)
	}
	if r.offerAt.IsZero() {
		r.offerAt = now.Add(m.jitter(offerMin, offerMax))
		m.at(r.offerAt)
	}
}

// offer tells each neighbour of the logs that went on and of which it is not known to have all, or only by a longer way. To
// most that is nothing new; but it shows what a tree does not bring, or not soon.
func (m *Machine) offer(now time.Time, r *room, out *Output) {
	r.offerAt = time.Time{}
	slices.SortFunc(r.changed, func(a, b *authorLog) int { return bytes.Compare(a.author[:], b.author[:]) })
	for _, l := range m.linkList {
		s := l.share(r)
		if s == nil || l.busy { // a busy one gets a digest afterwards
			continue
		}
		var f wire.Have
		send := func() {
			if f.Room = r.name; len(f.Heads) > 0 {
				out.Sends = append(out.Sends, Send{To: l.peer, Frame: f})
			}
			f = wire.Have{}
		}
		for _, a := range r.changed {
			tired := a.liveFrom > 0 && a.hops >= wire.MaxHops // from here on it travels by digest
			if a.author == l.peer || tired || a.told&s.bit() != 0 {
				continue
			}
			if k := s.known[a.author]; k.seq >= a.head && (k.hops == unknownHops || a.hops+1 >= k.hops) {
				continue
			}
			if f.Heads = append(f.Heads, wire.Head{Author: a.author, Base: a.base, Seq: a.head}); len(f.Heads) == wire.MaxHeads {
				send()
			}
			f.Ways = append(f.Ways, a.way(now))
			a.told |= s.bit()
		}
		send()
	}
	for _, a := range r.changed {
		a.isChanged = false
	}
	r.changed = r.changed[:0]
}

// way is how the head of a log came here.
func (a *authorLog) way(now time.Time) wire.Way {
	return wire.Way{Hops: a.hops, Age: uint8(min(255, max(0, now.Sub(a.liveAt).Milliseconds())))}
}

// ackSoon has a neighbour told that what it sent of a log is here, soon and together.
func (m *Machine) ackSoon(now time.Time, s *share, a *authorLog) {
	if b := s.bit(); a.acks&b != 0 || b == 0 && (a.author != s.link.peer || slices.Contains(s.acks, a)) {
		return
	} else {
		a.acks |= b
	}
	if s.acks = append(s.acks, a); len(s.acks) > 1 {
		return
	}
	s.ackAt = now.Add(ackDelay)
	if next := s.acked.Add(ackInterval); next.After(s.ackAt) {
		s.ackAt = next
	}
	m.at(s.ackAt)
}

// acknowledge sends the acknowledgements that are due; with flush, also those that only waited for company.
func (m *Machine) acknowledge(now time.Time, flush bool, out *Output) {
	for _, l := range m.linkList {
		for _, s := range l.shares {
			if len(s.acks) == 0 || (s.ackAt.After(now) && !(flush && now.Sub(s.acked) >= ackInterval)) {
				continue
			}
			s.acked = now
			if len(s.acks) > 1 {
				slices.SortFunc(s.acks, func(a, b *authorLog) int { return bytes.Compare(a.author[:], b.author[:]) })
			}
			for part := range slices.Chunk(s.acks, maxAcks) {
				f := wire.Have{Room: s.room.name, Heads: make([]wire.Head, 0, len(part)), Ways: make([]wire.Way, 0, len(part))}
				for _, a := range part {
					if a.acks &^= s.bit(); a.head > 0 {
						f.Heads = append(f.Heads, wire.Head{Author: a.author, Base: a.base, Seq: a.head})
						f.Ways = append(f.Ways, a.way(now))
					}
				}
				if len(f.Heads) > 0 {
					out.Sends = append(out.Sends, Send{To: l.peer, Fast: true, Frame: f})
				}
			}
			clear(s.acks)
			s.acks = s.acks[:0]
		}
	}
}

// hedge is a live event that was pushed to a neighbour, which has not acknowledged it.
type hedge struct {
	share *share
	log   *authorLog
	event wire.Event
	hops  uint8
	sent  time.Time // the first copy
	next  time.Time // when to send another, or to give up; zero: now
	count int       // copies sent, one after the other
	last  bool      // no more will be
	late  bool      // the next was put off once, because this machine was late itself
}

// doubt is an acknowledgement that came after a second copy was sent. If another follows as long after it as the second copy
// was sent after the first, both copies arrived, and the second was sent too early.
type doubt struct {
	share  *share
	log    *authorLog
	seq    uint64
	sample time.Duration // from the first copy
	again  time.Time     // when the other acknowledgement would come
}

// patience is how long an acknowledgement is waited for before the next copy.
func (l *link) patience(copies int) time.Duration {
	return max(hedgeDelay, 2*l.rtt) << (copies - 1)
}

// watch has events sent again on the unreliable channel if they are not acknowledged. Data channels retransmit after a
// second, which is long in a conversation; in a flood the same would only add to it, and so it is left to them.
// On a link that was seen to lose much, a first fast copy goes along at once.
func (m *Machine) watch(now time.Time, s *share, a *authorLog, events []wire.Event, out *Output) {
	l := s.link
	if len(l.hedges)+len(events) > maxHedges {
		l.hedges = l.hedges[:0]
		return
	}
	for i := range events {
		if events[i].EncodedSize()+frameHead > wire.MaxFastFrame {
			continue
		}
		h := hedge{share: s, log: a, event: events[i], hops: a.hops, sent: now, next: now.Add(l.patience(1)), count: 1}
		l.hedges = append(l.hedges, h)
		m.at(h.next)
		if l.loss > lossy {
			out.Sends = append(out.Sends, Send{To: l.peer, Fast: true,
				Frame: wire.Events{Hops: h.hops, Live: true, Events: events[i : i+1]}})
		}
	}
}

// gauge has the round trip measured by events that were asked for, which are not sent again.
func (m *Machine) gauge(now time.Time, s *share, a *authorLog, events []wire.Event) {
	if l := s.link; len(l.hedges) < maxHedges {
		h := hedge{share: s, log: a, event: events[len(events)-1], sent: now, next: now.Add(hedgeMemory), count: 1, last: true}
		l.hedges = append(l.hedges, h)
		m.at(h.next)
	}
}

// hedge sends again what was not acknowledged in time.
func (m *Machine) hedge(now time.Time, l *link, out *Output) {
	if l.busy {
		l.hedges = l.hedges[:0]
		return
	}
	var again []wire.Event
	var as *hedge // which these go with
	silent := false
	size := 0
	send := func() {
		if len(again) > 0 {
			out.Sends = append(out.Sends, Send{To: l.peer, Fast: true,
				Frame: wire.Events{Hops: as.hops, Live: true, Events: again}})
		}
		again, size = nil, frameHead
	}
	send()
	for i := range l.hedges {
		h := &l.hedges[i]
		if h.next.After(now) {
			continue
		}
		if over := now.Sub(h.next); over > hedgeLate && !h.late && !h.last {
			// This machine has had no time for it. Then it has had none either for acknowledgements that wait to be taken in.
			h.next, h.late = now.Add(max(hedgeDelay, over)), true
			continue
		}
		h.late = false
		silent = silent || l.mute(now, h)
		if probe := l.suspected && i == len(l.hedges)-1 && h.count < maxProbes; h.count >= maxCopies && !probe {
			h.next, h.last = h.sent.Add(hedgeMemory), true // kept on, to measure how long the acknowledgement takes
		}
		if h.last {
			if !h.next.After(now) {
				h.next = time.Time{}
			}
			continue
		}
		n := h.event.EncodedSize()
		if size+n > wire.MaxFastFrame || len(again) > 0 && (as.log != h.log || as.hops != h.hops) {
			send()
		}
		size += n
		again, as = append(again, h.event), h
		h.count++
		h.next = now.Add(l.patience(min(h.count, maxCopies)))
	}
	send()
	l.hedges = slices.DeleteFunc(l.hedges, func(h hedge) bool { return h.next.IsZero() })
	if silent && !l.suspected {
		m.suspect(now, l, out)
	}
}

// acked is told that a neighbour holds the own events of a room up to seq.
func (m *Machine) acked(l *link, s *share, seq uint64, out *Output) {
	if seq = min(seq, s.room.own.head); seq > s.held {
		s.held = seq
		out.Held = append(out.Held, Held{Room: s.room.name, Peer: l.peer, Seq: seq})
	}
}

// unwatch is told that a neighbour holds the events of an author up to seq.
func (m *Machine) unwatch(now time.Time, l *link, s *share, author wire.PeerID, seq uint64) {
	var last *hedge
	for i := range l.hedges {
		if h := &l.hedges[i]; h.share == s && h.log.author == author && h.event.Seq <= seq {
			last = h
		}
	}
	if last == nil {
		return
	}
	resent := 0.0
	if last.count > 1 {
		resent = 1
	}
	l.loss += (resent - l.loss) / 16
	sample := now.Sub(last.sent)
	if last.count > 1 {
		// Which copy is acknowledged cannot be told (Karn and Partridge, SIGCOMM 1987). Such a sample may move the
		// estimate up by a step, so that it finds a path that is slower than assumed, but not run away.
		l.doubt = doubt{share: s, log: last.log, seq: last.event.Seq, sample: sample, again: now.Add(l.patience(1))}
		sample = min(sample, 2*l.rtt)
	}
	if l.timed {
		sample = l.rtt + (sample-l.rtt)/8
	}
	l.rtt = sample
	if l.vague++; last.count == 1 {
		l.timed, l.vague = true, 0
	}
	l.hedges = slices.DeleteFunc(l.hedges, func(h hedge) bool {
		return h.share == s && h.log.author == author && h.event.Seq <= seq
	})
}

// ackedAgain is told that a neighbour acknowledged once more what it had acknowledged.
func (m *Machine) ackedAgain(now time.Time, l *link, s *share, author wire.PeerID, seq uint64) {
	d := &l.doubt
	if d.share == s && d.log.author == author && d.seq == seq && now.Sub(d.again).Abs() <= ackInterval+d.sample/8 &&
		(!l.timed || l.vague >= maxVague) {
		l.rtt, l.timed, l.vague = max(l.rtt, d.sample), true, 0
	}
	*d = doubt{}
}
