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
	if err := m.ownStored(now, r, out); err != nil {
		for _, d := range in.Drafts {
			refuse(d, err)
		}
		return
	}
	m.nextRun(r, len(in.Drafts))
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
		for _, d := range said { // who said it is told so, and nobody else needs to know
			refuse(d, fmt.Errorf("%w: %w", ErrNotStored, err))
		}
		return
	}
	last := &events[len(events)-1]
	if !r.own.begun() {
		r.endOthers(r.own)
	}
	r.own.head, r.lamport = last.Seq, last.Lamport
	if r.own.liveFrom == 0 {
		r.own.liveFrom = events[0].Seq
	}
	for i := range events {
		hash := events[i].Hash()
		copy(r.own.recent[events[i].Seq%16][:], hash[:])
		out.Delivers = append(out.Delivers, Deliver{Event: events[i], From: m.self, Ref: said[i].Ref})
	}
	r.own.hasTree, r.own.liveAt, r.own.liveSaid = true, now, last.Time
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
		m.sendLive(now, s, r.own, events, 0, out)
		r.own.told |= s.bit() // an offer could overtake the event
	}
}

// sendLive sends live events of one log to a neighbour, and has them sent again if they are not acknowledged.
func (m *Machine) sendLive(now time.Time, s *share, a *authorLog, events []wire.Event, hops uint8, out *Output) {
	l := s.link
	light := l.takesLight(events)
	if light {
		out.Sends = append(out.Sends, Send{To: l.peer, Fast: true, Frame: wire.Events{Hops: hops, Live: true, Events: events}})
	} else {
		m.sendEvents(l, events, true, hops, out)
	}
	m.watch(now, s, a, events, light, out)
}

// takesLight tells whether live events go to a neighbour on the fast channel alone: one by one they cost half as much
// there, and what is lost is soon sent again; on a link that loses packets the reliable channel would send more again
// than that, and be slower. What is more than a few lines is the reliable channel's.
func (l *link) takesLight(events []wire.Event) bool {
	return len(events) == 1 && len(l.hedges) < maxLight && !l.suspected && events[0].EncodedSize()+frameHead <= wire.MaxFastFrame
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
		if now.Sub(r.troubled) <= troubleLife {
			r.offerAt = now.Add(m.jitter(offerMin, offerMax))
		} else {
			r.offerAt = now.Add(m.jitter(calmMin, calmMax)) // most neighbours hear it of another meanwhile, and need not answer with the same
			if r.offered.Add(pauseMax).After(r.offerAt) {
				r.offerAt = later(r.offerAt, r.offered.Add(m.jitter(pauseMin, pauseMax)))
			}
		}
		m.at(r.offerAt)
	}
}

// troubled is told that a line was lost on its way, or came by none of its own. Then offers may not wait.
func (m *Machine) troubled(now time.Time, r *room) {
	if r.troubled = now; !r.offerAt.IsZero() {
		r.offerAt = earlier(r.offerAt, now.Add(m.jitter(offerMin, offerMax)))
		m.at(r.offerAt)
	}
}

// offer tells each neighbour of the logs that went on and of which it is not known to have all, or only by a longer
// way. To most that is nothing new; but it shows what a tree does not bring, or not soon. One that hears of others,
// too, may miss an offer: to it they go on the fast channel, which costs half.
func (m *Machine) offer(now time.Time, r *room, out *Output) {
	r.offerAt, r.offered = time.Time{}, now
	calm := now.Sub(r.troubled) > troubleLife
	slices.SortFunc(r.changed, (*authorLog).compare)
	for _, l := range m.linkList {
		s := l.share(r)
		if s == nil || l.busy { // a busy one gets a digest afterwards
			continue
		}
		most, light := wire.MaxHeads, calm && now.Sub(s.elsewhere) < elsewhereLife && l.loss <= calmLoss
		if light {
			most = maxAcks
		}
		f := wire.Have{Room: r.name}
		for _, a := range r.changed {
			if !a.newTo(s) {
				continue
			}
			if m.name(now, &f, s, a); len(f.Heads) == most {
				out.Sends = append(out.Sends, Send{To: l.peer, Fast: light, Frame: f})
				f = wire.Have{Room: r.name}
			}
		}
		if len(f.Heads) > 0 {
			out.Sends = append(out.Sends, Send{To: l.peer, Fast: light, Frame: f})
		}
	}
	for _, a := range r.changed {
		a.isChanged = false
	}
	clear(r.changed)
	r.changed = r.changed[:0]
}

// newTo tells whether the head of a log is news to a neighbour, as far as is known here.
func (a *authorLog) newTo(s *share) bool {
	tired := a.liveFrom > 0 && a.hops >= wire.MaxHops // from here on it travels by digest
	if a.author == s.link.peer && !a.over || tired || a.told&s.bit() != 0 {
		return false
	}
	k := s.known[a.id]
	return k.seq < a.head || k.hops != unknownHops && a.hops+1 < k.hops
}

// name puts the head of a log into a frame for a neighbour.
func (m *Machine) name(now time.Time, f *wire.Have, s *share, a *authorLog) {
	f.Heads = append(f.Heads, wire.Head{Author: a.author, Base: a.base, Seq: a.head})
	f.Ways = append(f.Ways, a.way(now))
	a.told |= s.bit()
}

// way is how the head of a log came here.
func (a *authorLog) way(now time.Time) wire.Way {
	return wire.Way{Hops: a.hops, Age: uint8(min(255, max(0, now.Sub(a.liveAt).Milliseconds())))}
}

// ackSoon has a neighbour told that what it sent of a log is here, soon and together. On a link that loses nothing that
// waits a little: nobody needs it there yet, and where many peers share a processor all events go on first.
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
	if s.link.calm(now) {
		s.ackAt = now.Add(ackCalm)
	}
	if next := s.acked.Add(ackInterval); next.After(s.ackAt) {
		s.ackAt = next
	}
	m.at(s.ackAt)
}

// acknowledge sends the acknowledgements that are due; with flush, also those on links with losses that only waited for
// company.
func (m *Machine) acknowledge(now time.Time, flush bool, out *Output) {
	for _, l := range m.linkList {
		for _, s := range l.shares {
			if len(s.acks) == 0 || (s.ackAt.After(now) && !(flush && !l.calm(now) && now.Sub(s.acked) >= ackInterval)) {
				continue
			}
			s.acked = now
			m.offerAlong(now, s)
			if len(s.acks) > 1 {
				slices.SortFunc(s.acks, (*authorLog).compare)
			}
			for part := range slices.Chunk(s.acks, maxAcks) {
				f := wire.Have{Room: s.room.name, Heads: make([]wire.Head, 0, len(part)), Ways: make([]wire.Way, 0, len(part))}
				for _, a := range part {
					if a.acks &^= s.bit(); a.begun() {
						m.name(now, &f, s, a)
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

// offerAlong puts what a neighbour is to be offered into an acknowledgement that goes to it now. A link that loses
// packets gets a frame of its own for that: acknowledgements are not sent again.
func (m *Machine) offerAlong(now time.Time, s *share) {
	if s.slot < 0 || s.link.loss > leastLoss || s.link.busy {
		return
	}
	for _, a := range s.room.changed {
		if len(s.acks) < maxAcks && a.acks&s.bit() == 0 && now.Sub(a.liveAt) >= offerMin && a.newTo(s) {
			s.acks = append(s.acks, a)
		}
	}
}

// acked is told that a neighbour holds the own events of a room up to seq.
func (m *Machine) acked(l *link, s *share, seq uint64, out *Output) {
	if seq = min(seq, s.room.own.head); seq > s.held {
		s.held = seq
		out.Held = append(out.Held, Held{Room: s.room.name, Peer: l.peer, Seq: seq})
	}
}
