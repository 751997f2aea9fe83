package gossip

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"peerchat/peer/wire"
)

// What a log holds before a hole is apart from it. Its neighbours are told of such parts with each digest, by a Have of
// a head that ends before where the log is known to begin, of each log the last part first. Who lacks what comes before
// what it has itself, and finds nobody who has what joins it, asks for the part that comes nearest: because the user
// wants what is older, or because a part of a hole is in it. What is between is a hole then, which is asked of whoever
// shows that it has it.

const (
	maxParts    = 8   // of a log that neighbours are told of
	maxPartLogs = 256 // whose parts are remembered of one neighbour
	maxGaps     = 64  // of a log
)

// gaps are events of a log that are not here: stretches in ascending order, which do not touch.
type gaps []between

// between are the events after one number, up to another.
type between struct{ after, upTo uint64 }

func (x between) len() uint64 { return x.upTo - x.after }

// meets tells whether what somebody holds has some of the events.
func (x between) meets(k span) bool { return k.base < x.upTo && x.after < k.seq && k.base < k.seq }

// add adds the events after one number, up to another. Of too many stretches the first are forgotten, and returned.
func (g *gaps) add(after, upTo uint64) (forgotten gaps) {
	if after >= upTo {
		return nil
	}
	*g = slices.DeleteFunc(*g, func(x between) bool {
		touch := x.after <= upTo && after <= x.upTo
		if touch {
			after, upTo = min(after, x.after), max(upTo, x.upTo)
		}
		return touch
	})
	at, _ := slices.BinarySearchFunc(*g, after, func(x between, n uint64) int { return cmp.Compare(x.after, n) })
	*g = slices.Insert(*g, at, between{after, upTo})
	over := max(0, len(*g)-maxGaps)
	forgotten, *g = (*g)[:over], (*g)[over:]
	return forgotten
}

// cut takes the events after one number, up to another, out. It returns what add does.
func (g *gaps) cut(after, upTo uint64) (forgotten gaps) {
	var left gaps
	for _, x := range *g {
		forgotten = append(forgotten, left.add(x.after, min(x.upTo, after))...)
		forgotten = append(forgotten, left.add(max(x.after, upTo), x.upTo)...)
	}
	*g = left
	return forgotten
}

func (g gaps) has(seq uint64) bool {
	return slices.ContainsFunc(g, func(x between) bool { return x.after < seq && seq <= x.upTo })
}

// recall finds out what a log lacked before its hole when the room was joined. That must be known before more of it is
// stored.
func (m *Machine) recall(r *room, a *authorLog) error {
	if a.unread == 0 {
		return nil
	}
	parts, err := m.cfg.Log.Parts(r.name, a.id)
	if err != nil {
		return err
	}
	var u gaps
	u.add(a.id.Start(), a.unread)
	for _, p := range parts {
		u.cut(p.Base, p.Seq)
	}
	for _, x := range u {
		a.unseen.add(x.after, x.upTo)
	}
	a.unread = 0
	return nil
}

// putBefore has the Log put events before their log, or far before it, and reports whether it did.
func (m *Machine) putBefore(now time.Time, r *room, a *authorLog, put func([]wire.Event) error, events []wire.Event, out *Output) bool {
	err := m.recall(r, a)
	if err == nil {
		err = put(events)
	}
	if err != nil {
		r.stuck = now.Add(stuckTime)
		out.Faults = append(out.Faults, Fault{Peer: m.self, Room: r.name, Code: "log", Text: fmt.Sprintf(
			"what was received cannot be stored (older events: %d): %v; it will be asked for again", len(events), err)})
	}
	return err == nil
}

// tellParts tells a neighbour what is held of logs before holes.
func (m *Machine) tellParts(l *link, r *room, logs []*authorLog, out *Output) {
	var levels [maxParts][]wire.Head
	for _, a := range logs {
		if a.whole() || !a.begun() {
			continue
		}
		parts, err := m.cfg.Log.Parts(r.name, a.id)
		if err != nil {
			continue // the next digest says it
		}
		for i, p := range parts[:min(len(parts), maxParts)] {
			levels[i] = append(levels[i], p)
		}
	}
	for _, heads := range levels {
		for part := range slices.Chunk(heads, wire.MaxHeads) {
			out.Sends = append(out.Sends, Send{To: l.peer, Frame: wire.Have{Room: r.name, Heads: part}})
		}
	}
}

// tellAll tells a neighbour all that is held of a log, the last part first.
func (m *Machine) tellAll(l *link, r *room, a *authorLog, out *Output) {
	out.Sends = append(out.Sends, Send{To: l.peer, Frame: wire.Have{Room: r.name, Heads: []wire.Head{{Author: a.author, Base: a.base, Seq: a.head}}}})
	m.tellParts(l, r, []*authorLog{a}, out)
}

// wentOn is told that a neighbour's log begins at a base that is beyond what it held before. If some of what is between
// is here, and was said since the neighbour was last told all that is here, it does not know that, and may take it for
// lost.
func (m *Machine) wentOn(now time.Time, l *link, s *share, a *authorLog, held, base uint64, out *Output) {
	base = min(base, a.head)
	if l.busy || !s.greeted || s.room.lamport <= s.digested || held >= base || a.base >= base || !l.tells.AllowN(now, 1) {
		return
	}
	if m.lamportOf(s.room, a, base) > s.digested {
		m.tellAll(l, s.room, a, out)
	}
}

// hearsPart reports whether a head that a neighbour tells is a part of a log that it holds from later on. Those before
// it are told after it.
func (m *Machine) hearsPart(now time.Time, l *link, s *share, h wire.Head) bool {
	id := h.Log()
	if k, ok := s.known[id]; !ok || h.Seq >= k.base || h.Base >= h.Seq {
		return false
	}
	if _, ok := s.parts[id]; !ok && len(s.parts) >= maxPartLogs {
		return true
	}
	if s.parts == nil {
		s.parts = make(map[wire.LogID][]span)
	}
	parts := slices.DeleteFunc(s.parts[id], func(p span) bool { return p.base < h.Seq })
	if len(parts) < maxParts {
		parts = append(parts, span{base: h.Base, seq: h.Seq, hops: unknownHops})
	}
	s.parts[id] = parts
	if a := s.room.logs[id]; a != nil {
		if q := a.older; q != nil && q.part && q.to == l && !slices.ContainsFunc(s.spans(id), q.isIn) {
			m.dropOlder(s.room, a) // it says that it has it no more
			m.fillSoon(s.room, now)
		}
		if a.hole.open || s.room.demand != nil {
			m.lookSoon(now, s.room)
		}
		if h.Seq > a.head && a.begun() {
			m.fallBehind(now, s.room, a)
		}
	}
	return true
}

// spans are all that a neighbour says it holds of a log, the last first.
func (s *share) spans(id wire.LogID) []span {
	all := s.parts[id]
	if k := s.known[id]; k.base < k.seq {
		all = append([]span{k}, all...)
	}
	return all
}

// with is what a neighbour holds of a log without a gap, with one event in it; part, if it has gone on past a hole
// since.
func (s *share) with(id wire.LogID, seq uint64) (k span, part, ok bool) {
	in := func(k span) bool { return k.base < seq && seq <= k.seq }
	if k = s.known[id]; in(k) {
		return k, false, true
	}
	if at := slices.IndexFunc(s.parts[id], in); at >= 0 {
		return s.parts[id][at], true, true
	}
	return span{}, false, false
}

// nearest is what a neighbour holds of a log after start, or else of what it holds later on the first.
func (s *share) nearest(id wire.LogID, start uint64) span {
	if k, _, ok := s.with(id, start+1); ok {
		return k
	}
	for _, p := range slices.Backward(s.parts[id]) {
		if p.base > start {
			return p
		}
	}
	return s.known[id]
}

// isIn tells whether all that is asked for is in what somebody holds.
func (q *olderAsk) isIn(k span) bool { return k.base < q.from && q.up <= k.seq }

// partOf is up to where the part of a log that has an event goes; 0 if none has.
func (m *Machine) partOf(r *room, a *authorLog, seq uint64) uint64 {
	parts, err := m.cfg.Log.Parts(r.name, a.id)
	at := slices.IndexFunc(parts, func(p wire.Head) bool { return p.Base < seq && seq <= p.Seq })
	if err != nil || at < 0 {
		return 0
	}
	return parts[at].Seq
}

// apart finds the last that neighbours hold before a log and is not here, where nobody has what joins up to it: of a
// hole, or, if there is a demand, of what is before all that is here.
func (m *Machine) apart(r *room, a *authorLog) (c lack, ok bool) {
	has := func(l *link) bool {
		s := l.share(r)
		return s != nil && !l.cut && slices.ContainsFunc(s.spans(a.id), func(k span) bool { return k.base < a.base })
	}
	if !a.hole.open && r.demand == nil || !slices.ContainsFunc(m.linkList, has) {
		return c, false
	}
	parts, err := m.cfg.Log.Parts(r.name, a.id)
	if err != nil {
		return c, false
	}
	first := a.base
	var between []lack
	for _, p := range parts {
		between = append(between, lack{log: a, why: forHole, apart: true, floor: p.Seq, up: first})
		first = p.Base
	}
	if len(parts) == 0 && a.hole.open { // of what is before it nothing is here
		between = append(between, lack{log: a, why: forHole, apart: true, floor: a.hole.from, up: first})
		first = a.hole.from
	}
	for _, x := range slices.Backward(a.torn.gaps) { // before all that is here, and will be told as lost
		if x.after < first {
			between = append(between, lack{log: a, why: forHole, apart: true, floor: x.after, up: min(first, x.upTo)})
			first = x.after
		}
	}
	if r.demand != nil {
		between = append(between, lack{log: a, why: forDemand, apart: true, floor: a.id.Start(), up: first})
	}
	for _, c := range between {
		from, up := c.floor, c.up
		c.up = from
		for _, l := range m.linkList {
			if s := l.share(r); s != nil && !l.cut {
				for _, k := range s.spans(a.id) {
					if end := min(k.seq, up); end > max(from, k.base) && end > c.up {
						c.up, c.least, c.claim = end, k.base, l.silent > 0
					}
				}
			}
		}
		if c.up > from {
			c.lamport = m.lamportOf(r, a, first+1)
			return c, true
		}
	}
	return c, false
}

// lamportOf is the clock of an event that is here, or the highest.
func (m *Machine) lamportOf(r *room, a *authorLog, seq uint64) uint64 {
	events, err := m.cfg.Log.Range(r.name, a.author, seq, seq, 1)
	if err != nil || len(events) == 0 {
		return math.MaxUint64
	}
	return events[0].Lamport
}

// insert puts the answer to a question far before its log.
func (m *Machine) insert(now time.Time, r *room, a *authorLog, q *olderAsk, out *Output) {
	events, first, last := q.got, &q.got[0], &q.got[len(q.got)-1]
	if m.rebased(now, r, a); last.Seq >= a.base { // it has lost its beginning meanwhile, or got what joins this
		return
	}
	if !m.putBefore(now, r, a, m.cfg.Log.Insert, events, out) {
		return
	}
	for _, b := range r.sorted {
		m.rebased(now, r, b)
	}
	kept := first.Seq - 1 // all after it were kept; where that cannot be read, as far as is known
	if parts, err := m.cfg.Log.Parts(r.name, a.id); err == nil {
		kept = last.Seq
		if at := slices.IndexFunc(parts, func(p wire.Head) bool { return p.Base < last.Seq && last.Seq <= p.Seq }); at >= 0 {
			kept = max(first.Seq-1, parts[at].Base)
		}
	}
	if kept >= first.Seq {
		r.full, a.full = true, true
	}
	for i := range events {
		e := &events[i]
		if e.Seq <= kept {
			continue
		}
		r.follow(now, e.Lamport)
		if r.demand != nil {
			r.demand.got++
		}
		if a.unseen.has(e.Seq) && !a.isShown(e) {
			out.Delivers = append(out.Delivers, Deliver{Event: *e, From: q.to.peer, History: true, Older: true, Asked: q.why == forDemand,
				Hops: travelled(q.hops)})
		}
	}
	a.unseen.cut(kept, last.Seq)
	a.torn.came(kept, last.Seq)
	m.findHole(r, a)
}
