package gossip

import (
	"slices"
	"time"

	"peerchat/peer/wire"
)

// hedge is a live event that was pushed to a neighbour, which has not acknowledged it.
type hedge struct {
	share *share
	log   *authorLog
	event wire.Event
	hops  uint8
	sent  time.Time     // the first copy
	again time.Time     // the last
	gap   time.Duration // between the first and the second
	next  time.Time     // when to send another, to judge the neighbour, or to give up; zero: now
	count int           // copies sent, one after the other
	last  bool          // no more will be
	light bool          // no copy went on the reliable channel yet
	late  bool          // the next was put off once, because this machine was late itself
}

// doubt is an acknowledgement that came after a second copy was sent. If another follows as long after it as the second
// copy was sent after the first, it was the first that arrived, and the second was sent too early.
type doubt struct {
	share  *share
	log    *authorLog
	seq    uint64
	sample time.Duration // from the first copy
	gap    time.Duration // between the first and the second
	at     time.Time
}

// patience is how long an acknowledgement is waited for before the next copy: the retransmission timer of RFC 6298,
// which doubles. What is late on all links is late because this machine, or what it shares with its neighbours, is:
// then all are given more time. So is a link that has not lost anything of late, unless more waits on it, which then
// waits for this: there most that is late has only waited.
func (m *Machine) patience(now time.Time, l *link, copies int) time.Duration {
	wait, least := l.rtt+max(4*l.swing, l.rtt, hedgeSlack), calmDelay
	if l.loss > calmLoss || len(l.hedges) > 1 {
		least = hedgeDelay
	}
	if now.Sub(m.strain.at) < strainLife {
		wait += m.strain.by
	}
	if l.loss > leastLoss && copies > 1 {
		copies-- // the second may well be lost, too
	}
	return max(min(max(wait, least), hedgeMost), m.cfg.Patience) << (copies - 1)
}

// strain is by how much the acknowledgements of different neighbours are late: the lesser of the last two.
type strain struct {
	by   time.Duration
	at   time.Time
	last time.Duration
	of   wire.PeerID
}

func (s *strain) add(now time.Time, peer wire.PeerID, late time.Duration) {
	if s.of != peer {
		s.by, s.at = min(s.last, late), now
	}
	s.of, s.last = peer, late
}

// calm tells that a link has lost nothing of late, as far as can be seen from here: neither own events nor
// acknowledgements of what came.
func (l *link) calm(now time.Time) bool {
	return l.loss <= calmLoss && (l.again.IsZero() || now.Sub(l.again) > troubleLife)
}

// sample takes a round trip into the estimate (RFC 6298, section 2).
func (l *link) sample(trip time.Duration) {
	if !l.timed {
		l.rtt, l.swing = trip, trip/2
		return
	}
	l.swing += ((trip - l.rtt).Abs() - l.swing) / 4
	l.rtt += (trip - l.rtt) / 8
}

// watch has events sent again on the unreliable channel if they are not acknowledged. Data channels retransmit after a
// second, which is long in a conversation; in a flood the same would only add to it, and so it is left to them.
// On a link that was seen to lose much, a first fast copy goes along at once.
func (m *Machine) watch(now time.Time, s *share, a *authorLog, events []wire.Event, light bool, out *Output) {
	l := s.link
	if len(l.hedges)+len(events) > maxHedges {
		for i := range l.hedges {
			l.hedges[i].secure(out)
		}
		l.hedges = l.hedges[:0]
		return
	}
	for i := range events {
		if events[i].EncodedSize()+frameHead > wire.MaxFastFrame {
			continue
		}
		h := hedge{share: s, log: a, event: events[i], hops: a.hops, light: light, sent: now, again: now, count: 1}
		l.hedges = append(l.hedges, h)
		next := now.Add(m.patience(now, l, 1))
		l.hedges[len(l.hedges)-1].next = next
		m.at(next)
		if l.loss > lossy {
			out.Sends = append(out.Sends, Send{To: l.peer, Fast: true,
				Frame: wire.Events{Hops: h.hops, Live: true, Events: events[i : i+1]}})
		}
	}
}

// secure sends an event on the reliable channel if that was not done yet, and reports whether it did.
func (h *hedge) secure(out *Output) bool {
	if !h.light {
		return false
	}
	h.light = false
	out.Sends = append(out.Sends, Send{To: h.share.link.peer, Frame: wire.Events{Hops: h.hops, Live: true, Events: []wire.Event{h.event}}})
	return true
}

// gauge has the round trip measured by events that were asked for, which are not sent again.
func (m *Machine) gauge(now time.Time, s *share, a *authorLog, events []wire.Event) {
	if l := s.link; len(l.hedges) < maxHedges {
		h := hedge{share: s, log: a, event: events[len(events)-1], sent: now, again: now, next: now.Add(hedgeMemory), count: 1, last: true}
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
			// This machine has had no time for it. Then it has had none either for acknowledgements that wait to be
			// taken in.
			h.next, h.late = now.Add(max(hedgeDelay, over)), true
			continue
		}
		h.late = false
		silent = silent || passed(m.mute(now, l, h), now) && now.Sub(h.next) <= hedgeDelay
		if next := m.turn(now, l, h); next.After(now) && !h.last {
			h.next = next // that was only to judge, or it is known since the last copy that more patience is needed
			continue
		}
		if probe := l.suspected && i == len(l.hedges)-1 && h.count < maxProbes; h.count >= maxCopies && !probe {
			h.next, h.last = h.sent.Add(hedgeMemory), true // kept on, to measure how long the acknowledgement takes
		}
		if h.last {
			if !h.next.After(now) {
				h.next = time.Time{}
			}
			continue
		}
		if h.count > 1 && h.secure(out) {
			h.count++
			h.again = now
			h.next = m.turn(now, l, h)
			continue
		}
		n := h.event.EncodedSize()
		if size+n > wire.MaxFastFrame || len(again) > 0 && (as.log != h.log || as.hops != h.hops) {
			send()
		}
		size += n
		again, as = append(again, h.event), h
		if l.loss > calmLoss {
			m.troubled(now, h.share.room)
		}
		if h.count++; h.count == 2 {
			h.gap = now.Sub(h.sent)
		}
		h.again = now
		h.next = m.turn(now, l, h)
	}
	send()
	l.hedges = slices.DeleteFunc(l.hedges, func(h hedge) bool { return h.next.IsZero() })
	if silent && !l.suspected {
		m.suspect(now, l, out)
	}
}

// turn is when something is to be done about an event again: the next copy, or the neighbour's judgement, which comes
// before it if enough copies are out.
func (m *Machine) turn(now time.Time, l *link, h *hedge) time.Time {
	next := h.again.Add(m.patience(now, l, min(h.count, maxCopies)))
	if at := m.mute(now, l, h); at.After(now) && at.Before(next) {
		return at
	}
	return next
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
	trip := now.Sub(last.sent)
	if last.count == 1 {
		m.strain.add(now, l.peer, max(0, trip-l.rtt))
		l.sample(trip)
		l.timed = true
	} else {
		// Which copy is acknowledged cannot be told (Karn and Partridge, SIGCOMM 1987); but it was none after the last,
		// so it took as long at least. On a link that loses packets that is no news, on one that is slower than assumed
		// it is.
		l.doubt = doubt{share: s, log: last.log, seq: last.event.Seq, sample: trip, gap: last.gap, at: now}
		trip = now.Sub(last.again)
		m.strain.add(now, l.peer, max(0, trip-l.rtt))
		if trip > l.rtt {
			l.sample(trip)
		}
	}
	l.hedges = slices.DeleteFunc(l.hedges, func(h hedge) bool {
		return h.share == s && h.log.author == author && h.event.Seq <= seq
	})
}

// ackedAgain is told that a neighbour acknowledged once more what it had acknowledged.
func (m *Machine) ackedAgain(now time.Time, l *link, s *share, author wire.PeerID, seq uint64) {
	d := &l.doubt
	if off := now.Sub(d.at) - d.gap; d.share == s && d.log.author == author && d.seq == seq && off.Abs() <= max(d.gap/2, ackInterval+d.sample/8) {
		m.strain.add(now, l.peer, max(0, d.sample-l.rtt))
		if !l.timed {
			l.sample(d.sample)
		}
		l.loss = max(0, l.loss-1./16)                             // nothing was lost
		l.swing, l.timed = max(l.swing, (d.sample-l.rtt)/4), true // so that the next one is not sent too early
	}
	*d = doubt{}
}
