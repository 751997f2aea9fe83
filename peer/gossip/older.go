package gossip

import (
	"bytes"
	"cmp"
	"math"
	"slices"
	"time"

	"peerchat/peer/wire"
)

// What lies below the base of a log is fetched from its end, a run of events at a time, each of which joins up to the
// base. It is wanted for one of four reasons:
//
//   - it was said while this peer was here, by the author's clock, and heard of so late that it was taken for what the window is about;
//   - the window: less of the room is here than Config.Window says, because it is new here, or was lost;
//   - a hole: the log went on past events that nobody had, and now somebody has them;
//   - a demand: the user asked for more.
//
// Of a room that is new here the end of each log comes first, as repair fetches it; then always the log is asked for
// whose first event here comes last in display order. So what is here of the room is the end of it, not an equal share
// of each author.

// purpose is why events below a log's base are fetched.
type purpose uint8

const (
	forWindow purpose = iota
	forHole
	forNow
	forDemand
)

// past is what a log knows of what lies below its base.
type past struct {
	older  *olderAsk // the one question for it that is out
	step   uint64    // how many events to ask for at once; 0: not known yet
	unseen gaps      // what was neither delivered nor in the Log when the room was joined, after unread; of too many the first count as delivered
	unread uint64    // up to here that is not known yet
	hole   hole
	torn   torn   // see lost.go
	stored uint64 // the head when the room was joined
	named  uint64 // the highest that a neighbour named when this peer came
	lived  bool   // a live event of it came, so what follows was said while this peer was here

	fast   time.Duration // how far its author's clock is ahead at least, if that shows
	joined bool          // it was first heard of on the first contact with the room, and shares its window
	ended  bool          // what is below is older than the window
	before bool          // and than this peer's being here
	barred bool          // what is below cannot be taken in
	full   bool          // the Log did not keep all of it, as it keeps nothing so old of the room

	first struct { // event that is held
		seq, lamport uint64
		time         time.Time
	}
}

// hole is what a log went on past: the events after from, up to the base. Of several the Log knows the others.
type hole struct {
	open bool
	from uint64
}

// olderAsk is a question for the events from to up, which is the base of their log, unless they are apart from it.
type olderAsk struct {
	to       *link
	why      purpose
	apart    bool // see apart.go
	part     bool // it is of one of who is asked
	from, up uint64
	got      []wire.Event // verified, from the first on
	size     int
	hops     uint8     // that they had travelled, it says
	deadline time.Time // if nothing comes
	end      time.Time // in any case
}

// len is how many events are asked for.
func (q *olderAsk) len() uint64 { return q.up - q.from + 1 }

// lack is a log that begins later than is wanted, and than that of a neighbour.
type lack struct {
	log   *authorLog
	why   purpose
	floor uint64 // it is wanted down to here
	least uint64 // and held by somebody down to here
	claim bool   // by those only who have failed to show what they claimed

	apart   bool // it is held up to up only, which is before the base
	up      uint64
	lamport uint64 // of the first that is here
}

// windowed is how many events the window has.
func (m *Machine) windowed() int { return m.cfg.Window.Events }

// tooOld tells whether an event is older than the window.
func (m *Machine) tooOld(now, sent time.Time) bool {
	return m.cfg.Window.Age > 0 && sent.Before(now.Add(-m.cfg.Window.Age))
}

// held is how many events of a room are here.
func (r *room) held() (n int) {
	for _, a := range r.sorted {
		n += int(a.head - a.base)
	}
	return n
}

// fillSoon has a room looked at for what is older.
func (m *Machine) fillSoon(r *room, t time.Time) {
	r.fillAt = earlier(r.fillAt, t)
	m.at(r.fillAt)
}

// showsOlder is told that a neighbour's log begins before the own one, or no longer does.
func (m *Machine) showsOlder(now time.Time, r *room, a *authorLog) {
	if a.hole.open || r.demand != nil || !r.filled && !a.ended || m.misses(r, a) {
		m.lookSoon(now, r)
	}
}

// lookSoon is fillSoon, now unless that was just done: a neighbour may cause it as often as it likes.
func (m *Machine) lookSoon(now time.Time, r *room) {
	m.fillSoon(r, later(now, r.looked.Add(lookPause)))
}

// reaches tells whether a neighbour that holds k has what comes before the log.
func (a *authorLog) reaches(k span) bool { return k.base < a.base && k.seq >= a.base }

// fill asks for older events.
func (m *Machine) fill(now time.Time, r *room, out *Output) {
	r.fillAt, r.looked = time.Time{}, now
	for _, a := range slices.Clone(r.asked) {
		if q := a.older; !q.deadline.After(now) || !q.end.After(now) {
			m.unanswered(r, a)
		}
	}
	contact := r.fresh && !r.contact.IsZero()
	if contact && !now.Before(r.contact) {
		contact, r.fresh = false, false
	} else if contact {
		contact = slices.ContainsFunc(r.behind, func(a *authorLog) bool { return a.joined && !a.begun() })
		m.fillSoon(r, r.contact)
	}
	lacks, open := m.lacks(now, r)
	m.supply(now, r, len(lacks) > 0, contact, out)
	if !contact && !r.stuck.After(now) {
		m.askOlder(now, r, lacks, open, out)
	}
	for _, a := range r.asked {
		m.fillSoon(r, earlier(a.older.deadline, a.older.end))
	}
	if r.stuck.After(now) {
		m.fillSoon(r, r.stuck)
	} else if r.lacking > 0 && len(lacks) > 0 && len(r.asked) == 0 { // nobody can be asked now, or there was no place in the window
		m.fillSoon(r, now.Add(lookAgain))
	}
}

// lacks finds the logs that begin too late, the most urgent first, and how many events the window has open.
func (m *Machine) lacks(now time.Time, r *room) (lacks []lack, open int) {
	open = m.windowed() - r.held()
	r.filled = open <= 0
	window := uint64(0)
	r.lacking = 0
	for _, a := range r.sorted {
		c := lack{log: a, least: a.base}
		switch {
		case a.whole() || !a.begun() || a.barred:
			continue
		case a.hole.open && !a.full:
			c.why, c.floor = forHole, a.hole.from
		case !a.full && m.misses(r, a):
			c.why = forNow
		case !r.filled && !a.ended:
			c.why = forWindow
		case r.demand != nil:
			c.why = forDemand
		default:
			continue
		}
		proven, believed := a.base, a.base // by neighbours that have not failed to show what they claim, or not often
		for _, l := range m.linkList {
			if s := l.share(r); s != nil && !l.cut {
				if k, _, ok := s.with(a.id, a.base); ok {
					c.least = min(c.least, k.base)
					if l.silent == 0 {
						proven = min(proven, k.base)
					}
					if l.silent < maxSilent {
						believed = min(believed, k.base)
					}
				}
			}
		}
		away := r.before(a)
		joins := min(c.least, away) < a.base && c.floor < a.base // somebody has, or had, what joins up to the log
		if c.least == a.base || !joins {
			if c, ok := m.apart(r, a); ok {
				if lacks = append(lacks, c); c.why == forHole && !joins {
					r.lacking += c.up - max(c.floor, c.least)
				}
			}
		}
		if !joins {
			continue
		}
		if c.why == forWindow {
			if m.begins(r, a); a.head > a.base && a.firstKnown() && m.tooOld(now, a.first.time) {
				if a.ended = true; r.demand == nil {
					continue
				}
				c.why = forDemand
			}
		} else if c.why == forDemand {
			m.begins(r, a)
		}
		c.claim = proven == a.base
		switch missing := a.base - max(c.floor, min(believed, away)); c.why {
		case forHole, forNow:
			r.lacking += missing
		case forWindow:
			window += missing
		}
		if c.least < a.base {
			lacks = append(lacks, c)
		}
	}
	if !r.full { // what cannot be kept is not wanted
		r.lacking += min(window, uint64(max(0, open)))
	}
	slices.SortStableFunc(lacks, func(x, y lack) int {
		return cmp.Or(cmp.Compare(x.rank(), y.rank()), y.compareFirst(x))
	})
	for _, a := range r.asked {
		if a.older.why == forWindow {
			open -= int(a.older.len())
		}
	}
	for _, a := range r.behind {
		if !a.begun() && a.ask != nil {
			open -= int(a.ask.up - a.ask.from + 1)
		}
	}
	return lacks, open
}

// rank puts first what is in the middle of what is here.
func (c *lack) rank() (n int) {
	if !c.why.fixed() {
		n++
	}
	if c.claim {
		n += 2
	}
	return n
}

// begins finds out with which event a log begins here, unless that cannot be read now.
func (m *Machine) begins(r *room, a *authorLog) {
	if a.first.seq == a.base+1 || a.head == a.base {
		return
	}
	if events, err := m.cfg.Log.Range(r.name, a.author, a.base+1, a.base+1, 1); err == nil && len(events) == 1 {
		a.first.seq, a.first.lamport, a.first.time = a.base+1, events[0].Lamport, events[0].Time
	}
}

// firstKnown tells whether it was found out.
func (a *authorLog) firstKnown() bool { return a.first.seq == a.base+1 }

// compareFirst orders logs as their first events are displayed. One that holds none comes last.
func (c lack) compareFirst(d lack) int {
	key := func(c lack) uint64 {
		switch {
		case c.apart:
			return c.lamport
		case c.log.head == c.log.base:
			return math.MaxUint64
		}
		return c.log.first.lamport
	}
	return cmp.Or(cmp.Compare(key(c), key(d)), c.log.compare(d.log))
}

// askOlder asks for what is lacking. For the window and a demand it asks one question at a time, because which log is
// next is known only when the answer is here; but the ends of logs of which nothing is here are asked for at once.
func (m *Machine) askOlder(now time.Time, r *room, lacks []lack, open int, out *Output) {
	left, turn := 0, true
	if r.demand != nil {
		left = r.demand.goal - r.demand.got
	}
	for _, a := range r.asked {
		if left -= int(a.older.len()); !a.older.why.fixed() {
			turn = false
		}
	}
	for _, c := range lacks {
		if len(r.asked) >= maxOlderAsks {
			return
		}
		a := c.log
		if a.older != nil {
			continue
		}
		size := cmp.Or(a.step, firstStep)
		if !c.why.fixed() {
			if r.full {
				continue
			}
			room := open
			if c.why == forDemand {
				room = left
			}
			if room <= 0 {
				continue
			}
			switch {
			case a.head == a.base:
				size = min(size, endOfLog, uint64(max(1, room/len(lacks))))
			case !turn:
				continue
			case len(lacks) > 1: // they take turns, for less each time, so that all end at about the same moment of the room
				size = min(size, uint64(max(minStep, room/(len(lacks)+1))), uint64(room))
			default:
				size = min(size, uint64(room))
			}
			if !m.question(now, r, c, size, out) {
				continue
			}
			turn = turn && a.head == a.base
			open -= int(size)
			left -= int(size)
			continue
		}
		m.question(now, r, c, size, out)
	}
}

// question asks a neighbour for the last events before a log, at most size of them: one of those that have them, and
// have answered the like. It reports whether there is one.
func (m *Machine) question(now time.Time, r *room, c lack, size uint64, out *Output) bool {
	a, up := c.log, c.log.base
	if c.apart {
		up = c.up
	}
	var able []*link
	for _, l := range m.linkList {
		s := l.share(r)
		if s == nil || l.busy || l.cut {
			continue
		}
		if _, _, ok := s.with(a.id, up); !ok {
			continue
		}
		if l.asks >= maxAsks {
			l.short = true
			continue
		}
		if len(able) > 0 && l.silent < able[0].silent {
			able = able[:0]
		}
		if len(able) == 0 || l.silent == able[0].silent {
			able = append(able, l)
		}
	}
	if len(able) == 0 {
		return false
	}
	l := able[m.cfg.Rand.Uint64()%uint64(len(able))]
	k, part, _ := l.share(r).with(a.id, up)
	start := max(c.floor, k.base, up-min(up, size))
	a.older = &olderAsk{to: l, why: c.why, apart: c.apart, part: part, from: start + 1, up: up,
		deadline: now.Add(askTimeout * time.Duration(1+min(l.silent, maxSilent))), end: now.Add(olderTime)}
	r.asked = append(r.asked, a)
	l.asks++
	out.Sends = append(out.Sends, Send{To: l.peer, Frame: wire.Want{Room: r.name,
		Ranges: []wire.Range{{Author: a.author, From: start + 1, To: up}}}})
	return true
}

// whole tells whether the log begins here with its first event, if it has begun.
func (a *authorLog) whole() bool { return a.base == a.id.Start() }

// unanswered gives a question up that was not answered in time. The neighbour is asked only if nobody else can be, and
// waited for longer; one that was silent maxSilent times counts as not having what it claimed until it says so again. A
// question that was too big for its link is smaller the next time.
func (m *Machine) unanswered(r *room, a *authorLog) {
	q := a.older
	q.to.silent++
	if s := q.to.share(r); s != nil && q.to.silent >= maxSilent {
		if k, ok := s.known[a.id]; ok && k.base < a.base {
			k.base = a.base
			s.known[a.id] = k
		}
		delete(s.parts, a.id)
	}
	a.step = max(1, q.len()/2)
	m.dropOlder(r, a)
}

// dropOlder ends the question for older events that is out.
func (m *Machine) dropOlder(r *room, a *authorLog) {
	q := a.older
	if q == nil {
		return
	}
	a.older = nil
	q.to.asks--
	m.olderBytes -= q.size
	r.asked = slices.DeleteFunc(r.asked, func(x *authorLog) bool { return x == a })
}

// olderEvent takes an event in from below the base of its log, if it was asked for and is the next of its answer, and
// reports whether it was.
func (m *Machine) olderEvent(now time.Time, l *link, r *room, a *authorLog, e *wire.Event, f wire.Events, out *Output) bool {
	q := a.older
	if q == nil || q.to != l || q.up != a.base && !q.apart || e.Seq < q.from || e.Seq > q.up {
		return false
	}
	next := q.from + uint64(len(q.got))
	if e.Seq < next && q.got[e.Seq-q.from].Hash() != e.Hash() {
		m.double(l, r, a, e, out)
	}
	if e.Seq != next {
		return false
	}
	if err := m.verify(e); err != nil {
		m.forged(l, r, e, out)
		return false
	}
	m.punctual(now, l, r, a, e, false, out)
	if f.Live { // to its holder it is of the conversation that goes on, and so it waits for an acknowledgement
		m.ackSoon(now, l.share(r), a)
	}
	q.deadline, q.hops = now.Add(askTimeout), f.Hops
	if e.Lamport > believed(now) { // nobody takes that in: the log begins after it, for good
		a.barred, a.hole.open = true, false
		m.olderBytes -= q.size
		q.from, q.got, q.size = e.Seq+1, nil, 0
		if e.Seq == q.up {
			m.dropOlder(r, a)
			m.fillSoon(r, now)
		}
		return true
	}
	kept := *e
	kept.Body, kept.Proof.Path = bytes.Clone(e.Body), slices.Clone(e.Proof.Path) // they are a part of their frame
	q.got = append(q.got, kept)
	size := heldSize(e)
	q.size += size
	m.olderBytes += size
	for q.size > maxOlderBytes { // the end of the answer is what joins up to the log: let go of its beginning
		size := heldSize(&q.got[0])
		q.size -= size
		m.olderBytes -= size
		q.got[0] = wire.Event{}
		q.got, q.from = q.got[1:], q.from+1
	}
	switch {
	case e.Seq == q.up:
		m.prepend(now, r, a, out)
	case m.olderBytes > maxAllOlderBytes: // others wait, too
		m.dropOlder(r, a)
		m.fillSoon(r, now.Add(lookPause))
	}
	return true
}

// prepend puts the answer to a question before its log.
func (m *Machine) prepend(now time.Time, r *room, a *authorLog, out *Output) {
	q := a.older
	events, from := q.got, q.to
	a.step = max(1, min(maxWant, uint64(len(events)*stepBytes/q.size)))
	from.silent = 0
	m.dropOlder(r, a)
	m.resume(now, from)
	m.fillSoon(r, now)
	if q.apart {
		m.insert(now, r, a, q, out)
		return
	}
	if q.why == forWindow {
		if i := lastIndex(events, func(e *wire.Event) bool { return m.tooOld(now, e.Time) }); i >= 0 {
			events, a.ended = events[i+1:], true
		}
	} else if q.why == forNow {
		if i := lastIndex(events, func(e *wire.Event) bool { return !e.Time.Add(-a.fast).After(r.entered) }); i >= 0 {
			events, a.before = events[i+1:], true
		}
	}
	if len(events) == 0 {
		a.mend()
		return
	}
	if m.rebased(now, r, a); a.base != q.up { // it has lost its beginning meanwhile
		return
	}
	if !m.putBefore(now, r, a, m.cfg.Log.Prepend, events, out) {
		return
	}
	a.base = min(m.cfg.Log.Base(r.name, a.id), a.head)
	a.mend()
	first := &events[0]
	if a.base >= first.Seq { // not all were kept
		r.full, a.full = true, true
		for _, b := range r.sorted {
			m.rebased(now, r, b)
		}
	}
	r.lacking -= min(r.lacking, uint64(len(events)))
	if a.base == first.Seq-1 {
		a.first.seq, a.first.lamport, a.first.time = first.Seq, first.Lamport, first.Time
	}
	for i := range events {
		e := &events[i]
		if e.Seq <= a.base {
			continue
		}
		r.follow(now, e.Lamport)
		if r.demand != nil {
			r.demand.got++
		}
		if a.unseen.has(e.Seq) && !a.isShown(e) {
			out.Delivers = append(out.Delivers, Deliver{Event: *e, From: from.peer, History: true, Older: true, Asked: q.why == forDemand,
				Missing: a.missingBefore(e.Seq), Hops: travelled(q.hops)})
		}
	}
	a.unseen.cut(a.base, q.up)
	if a.hole.open && a.base <= a.hole.from {
		m.findHole(r, a) // there may be another before it
	}
	m.tellBase(r, a, q.up, out)
}

func lastIndex(events []wire.Event, is func(*wire.Event) bool) int {
	for i := len(events) - 1; i >= 0; i-- {
		if is(&events[i]) {
			return i
		}
	}
	return -1
}

// rebased looks where a log begins in the Log, which may have lost its oldest events, or all.
func (m *Machine) rebased(now time.Time, r *room, a *authorLog) {
	base := min(m.cfg.Log.Base(r.name, a.id), a.head)
	if base == a.base {
		return
	}
	if base > a.base {
		a.hole.open, a.ended, a.before, r.filled = false, false, false, false
		m.fillSoon(r, now)
	}
	a.base = base
	r.full = r.full && r.held() > 0 // or all was lost, which is not to be mistaken for too much
	a.full = a.full && r.full
	if q := a.older; q != nil && (q.apart && q.up >= base || !q.apart && q.up != base) {
		m.dropOlder(r, a)
	}
}
