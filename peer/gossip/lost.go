package gossip

import (
	"math"
	"slices"
	"time"

	"peerchat/peer/wire"
)

// In a flood of more than histories keep, all may have let go of what a slow peer has not fetched yet. Its log then
// goes on past that (see choose), or, if all of the log was driven out by others, stays behind. What was said while
// this peer was here is told as lost, unless somebody who has it is known. What was said before it came, or was pruned
// here, is not. What came live when this peer had been here for a while tells that all after it was said while it was
// here; so does the author's clock, if it is not ahead. Neighbours cannot tell: what one does not name may have been
// said before, if it was away itself. So where nothing else is known, what no neighbour named at first counts as what
// may be lost.

const (
	lostQuiet = 5 * time.Second  // how long nothing more of a room must be lost until that is told
	lostMost  = 30 * time.Second // the longest; and how long after the first digest others still tell what was said before this peer came
	lostLink  = 15 * time.Second // how long after a neighbour has come others may follow, as to one who was away
	clockFast = 2 * time.Second  // a clock that is ahead by more says nothing of when this peer came
)

// torn is what a log went on past that was said while this peer was here.
type torn struct {
	gaps    gaps    // that have not come, and were not told of
	more    uint64  // events of others, of which there were too many
	perhaps bool    // some of all these may have been said before this peer came
	told    uint64  // up to where the losses of the log were told
	last    between // what it went on past last and has not come
}

// add is told that the log went on past the events after one number, up to another.
func (t *torn) add(after, upTo uint64, perhaps bool) {
	t.perhaps = perhaps || t.perhaps && len(t.gaps) > 0
	t.last = between{after, upTo}
	t.forget(t.gaps.add(max(after, t.told), upTo))
}

func (t *torn) forget(gaps gaps) {
	for _, x := range gaps {
		t.more += x.len()
	}
}

// came is told that the events after one number, up to another, have come.
func (t *torn) came(after, upTo uint64) {
	t.forget(t.gaps.cut(after, upTo))
	if after > t.last.after && upTo >= t.last.upTo {
		t.last.upTo = min(t.last.upTo, after)
	} else { // if they are in its middle, what is before them is not just before the line that comes after it
		t.last.after = min(max(t.last.after, upTo), t.last.upTo)
	}
}

// holeBefore tells after which event a log has a hole that goes on after base; base, if it has none. Here, if some of
// that was said while this peer was here: what is after from, as unseen tells.
func (a *authorLog) holeBefore(base, from uint64, here bool) uint64 {
	switch {
	case a.head > a.base || a.begun() && !a.joined: // what is older than the window is no hole
		return a.head
	case here:
		return min(from, base)
	}
	return base
}

// tear remembers that a log goes on after base, past what nobody has, with a hole after open. Here, from: see
// holeBefore.
func (m *Machine) tear(now time.Time, r *room, a *authorLog, base, open, from uint64, here, sure bool) {
	if open < base {
		a.hole = hole{open: true, from: open}
		a.full, a.before = false, false // that was about what is below
	}
	if here && from < base {
		a.torn.add(from, base, !sure)
		m.loseSoon(now, r)
	}
	a.unseen.add(a.head, base)
	m.dropOlder(r, a)
}

// unseen tells after which event of a log what comes next was said while this peer was here; not sure, if some of it
// may have been said before.
func (m *Machine) unseen(r *room, a *authorLog) (from uint64, sure bool) {
	switch {
	case a == r.own || a.author == m.self:
		return math.MaxUint64, false
	case a.lived || m.latest(r, a).After(r.entered):
		return a.head, true
	}
	return max(a.head, a.old(), a.named), false
}

// gone is where a log that is new here ended, of which neighbours had nothing any more: that was said before, as far as
// is known.
func (m *Machine) gone(r *room, id wire.LogID) (seq uint64) {
	for _, l := range m.linkList {
		if s := l.share(r); s != nil {
			if k := s.known[id]; k.seq == k.base {
				seq = max(seq, k.seq)
			}
		}
	}
	return seq
}

// latest is when the last event of a log was said, by its author's clock; zero if that says nothing, or the event was
// here before this peer came.
func (m *Machine) latest(r *room, a *authorLog) (t time.Time) {
	if a.fast > 0 || a.head <= a.stored || a.head == a.base {
		return t
	}
	if last, err := m.cfg.Log.Range(r.name, a.author, a.head, a.head, 1); err == nil && len(last) == 1 {
		t = last[0].Time
	}
	return t
}

// findHole finds the hole before a log, as the Log knows it.
func (m *Machine) findHole(r *room, a *authorLog) {
	n := min(m.cfg.Log.Hole(r.name, a.id), a.base)
	a.hole = hole{open: n > 0 && !a.whole(), from: a.base - n}
}

// follows is told of a live event of a log. It may have been said a little before it came, on a way of slow links
// longer before.
func (a *authorLog) follows(now time.Time, r *room, said time.Time) {
	switch {
	case a.lived || now.Sub(r.entered) <= lostMost:
	case a.fast > 0 || now.Sub(said) > clockSkew: // its author's clock is wrong
		a.lived = true
	default:
		a.lived = said.After(r.entered)
	}
}

// loseSoon has what a room lost told, when there is nothing more of it for a while. Who was away comes back to one
// after the other: the next neighbour may have what those before it have let go of.
func (m *Machine) loseSoon(now time.Time, r *room) {
	if r.tornAt.IsZero() {
		r.tornAt = now
	}
	r.loseAt = earlier(later(now.Add(lostQuiet), r.linked.Add(lostLink)), r.tornAt.Add(lostMost))
	m.at(r.loseAt)
}

// mend is told that a log begins earlier now: less of it is lost.
func (a *authorLog) mend() {
	if a.torn.came(a.base, a.head); a.before { // what else there is was said before this peer came
		a.torn = torn{told: a.torn.told}
	}
}

// tellBase is told that a log that began after began does not any more. If it begins earlier now, that is told to the
// neighbours whose log begins later, as they may be waiting for it, and to those whose log ends before began: else they
// go on past what is here now, and take it for lost.
func (m *Machine) tellBase(r *room, a *authorLog, began uint64, out *Output) {
	for _, l := range m.linkList {
		s := l.share(r)
		if s == nil || l.busy { // which gets a digest afterwards
			continue
		}
		if k := s.known[a.id]; k.base > a.base || k.seq < began && a.base < began {
			out.Sends = append(out.Sends, Send{To: l.peer, Frame: wire.Have{Room: r.name, Heads: []wire.Head{{Author: a.author, Base: a.base, Seq: a.head}}}})
		}
	}
}

// missingBefore is how many events before one are known to be missing, if it is the first after what its log went on
// past.
func (a *authorLog) missingBefore(seq uint64) uint64 {
	if seq != a.torn.last.upTo+1 {
		return 0
	}
	return a.torn.last.len()
}

// lose tells what of a room was lost, and waits for what somebody still has.
func (m *Machine) lose(now time.Time, r *room, out *Output) {
	r.loseAt, r.tornAt = time.Time{}, time.Time{}
	lost := Lost{Room: r.name}
	for _, a := range r.sorted {
		t := &a.torn
		of := LostOf{Author: a.author, Events: t.more, Unkept: t.more > 0}
		t.more = 0
		t.gaps = slices.DeleteFunc(t.gaps, func(x between) bool {
			held, kept := m.obtainable(r, a, x)
			if kept {
				m.loseSoon(now, r)
				return false
			}
			of.Events += x.len()
			of.Unkept = of.Unkept || held
			t.told = max(t.told, x.upTo)
			return true
		})
		of.Perhaps = t.perhaps && of.Events > 0
		if end := m.ended(now, r, a); end > t.told {
			if from, sure := m.unseen(r, a); end > max(from, t.told) {
				of.Events += end - max(from, t.told)
				of.Perhaps = of.Perhaps || !sure
				t.told = end
			}
		}
		if of.Events > 0 {
			lost.Logs = append(lost.Logs, of)
		}
	}
	lost.Logs = append(lost.Logs, m.vanished(now, r)...)
	if len(lost.Logs) > 0 {
		out.Lost = append(out.Lost, lost)
	}
}

// obtainable tells whether somebody who is linked, or was, holds some of what a log went on past, and whether that
// is fetched and kept.
func (m *Machine) obtainable(r *room, a *authorLog, x between) (held, kept bool) {
	has := func(x between) bool {
		return slices.ContainsFunc(m.linkList, func(l *link) bool {
			s := l.share(r)
			return s != nil && !l.cut && slices.ContainsFunc(s.spans(a.id), x.meets)
		}) || slices.ContainsFunc(r.absent, func(y *absent) bool { return x.meets(y.holds[a.id]) })
	}
	below := between{x.after, min(x.upTo, a.base)}
	return has(x), a.hole.open && !a.full && !a.barred && below.after < below.upTo && has(below)
}

// ended tells up to where a log goes beyond its head here, if nobody keeps any of that: others have driven it out.
// Nothing can show it, so its author's word counts, or that of half of the neighbours. 0: it goes no farther, or
// somebody has some of it.
func (m *Machine) ended(now time.Time, r *room, a *authorLog) (end uint64) {
	if a.claimed != nil {
		return 0
	}
	var ends []uint64
	top, _ := r.beyond(a.id, a.head, a.head, math.MaxUint64)
	held := top > a.head || a.unstored
	for _, l := range m.linkList {
		s := l.share(r)
		if s == nil || l.cut || l.lies() || !s.greeted {
			continue
		}
		k := s.known[a.id]
		near := s.nearest(a.id, a.head)
		held = held || near.seq > max(a.head, near.base)
		ends = append(ends, k.seq)
		if l.peer == a.author {
			end = k.seq
		}
	}
	if len(ends) > 0 {
		slices.Sort(ends)
		end = max(end, ends[len(ends)/2])
	}
	switch {
	case end <= a.head || end-a.head > farAhead:
		return 0
	case held:
		m.loseSoon(now, r)
		return 0
	}
	return end
}

// Lost tells of events of a room that were said while this peer was here and that nobody who is linked keeps any more,
// or the Log here would not keep. They are told of once. If somebody comes later who has them, they are fetched all the
// same.
type Lost struct {
	Room wire.Room
	Logs []LostOf
}

// LostOf is how many events of a log were lost.
type LostOf struct {
	Author  wire.PeerID
	Events  uint64
	Perhaps bool // some of them, or all, may have been said before this peer came: then they were not lost, but gone
	Unkept  bool // somebody may hold some of them, or all, but they are not taken in: as a rule because the Log keeps nothing so old of the room
}
