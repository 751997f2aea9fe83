package gossip

import (
	"fmt"
	"slices"
	"time"

	"peerchat/peer/wire"
)

// An author that has lost what it had said cannot know what that was. It goes on in a run of numbers that it never
// used, which is a log of its own like any other, so the old one is compared, fetched, filled and pruned as it was
// before, also by its author. What is here of an author is a few logs then; the last one is the one that grows. See
// docs/decisions/0046.

// maxRuns is how many logs one author can have in a room, the own run aside. Of more the lowest is given up for each
// that begins.
const maxRuns = 32

func (a *authorLog) compare(b *authorLog) int { return a.id.Compare(b.id) }

// begun tells whether anything is known to be in the log.
func (a *authorLog) begun() bool { return a.head > a.id.Start() }

// after names the next run of the author.
func (a *authorLog) after() wire.LogID { return wire.LogID{Author: a.author, Run: a.id.Run + 1} }

// add returns a log, made if need be.
func (r *room) add(id wire.LogID) *authorLog {
	if a := r.logs[id]; a != nil {
		return a
	}
	start := id.Start()
	a := &authorLog{id: id, author: id.Author, base: start, head: start, recentFrom: start}
	r.logs[id] = a
	at, _ := r.find(id)
	r.sorted = slices.Insert(r.sorted, at, a)
	for _, b := range r.sorted[at+1:] {
		if b.author != a.author {
			break
		}
		a.over = a.over || b.begun()
	}
	return a
}

func (r *room) find(id wire.LogID) (int, bool) {
	return slices.BinarySearchFunc(r.sorted, id, func(a *authorLog, id wire.LogID) int { return a.id.Compare(id) })
}

// runs are the logs of an author, in order.
func (r *room) runs(author wire.PeerID) []*authorLog {
	from, _ := r.find(wire.LogID{Author: author})
	to := from
	for to < len(r.sorted) && r.sorted[to].author == author {
		to++
	}
	return r.sorted[from:to]
}

// endOthers is told that a log has begun: its author says nothing more in those before it.
func (r *room) endOthers(a *authorLog) {
	at, _ := r.find(a.id)
	for at--; at >= 0 && r.sorted[at].author == a.author; at-- {
		r.sorted[at].over = true
	}
}

// lowest is which log of the author of id has to go for id, if it has as many as it may: id itself if all others are
// higher. Logs that are only claimed do not count, or who claims them would take the place of others.
func (r *room) lowest(id wire.LogID) (first wire.LogID, full bool) {
	n := 0
	for _, a := range r.runs(id.Author) {
		if a != r.own && a.claimed == nil && a.id != id {
			if n++; n == 1 {
				first = a.id
			}
		}
	}
	if n < maxRuns {
		return id, false
	}
	if id.Run < first.Run {
		first = id
	}
	return first, true
}

// admits tells whether there is a place for a log among those of its author.
func (r *room) admits(id wire.LogID) bool {
	first, full := r.lowest(id)
	return !full || first != id
}

// admit makes a place for a log of which an event was verified, and reports whether there is one.
func (m *Machine) admit(now time.Time, l *link, r *room, id wire.LogID, out *Output) bool {
	first, full := r.lowest(id)
	switch {
	case !full:
		return true
	case first == id:
		return false
	}
	m.settle(now, out) // or it might be begun again
	m.fresh = m.fresh[:0]
	a := r.logs[first]
	if !a.warnedRuns {
		for _, b := range r.runs(id.Author) {
			b.warnedRuns = true
		}
		m.fault(l, r.name, id.Author, "runs", false, out, "%s has begun anew more than %d times: of what it says the oldest is given up", id.Author.Tag(), maxRuns)
	}
	if err := m.cfg.Log.Forget(r.name, first); err != nil {
		out.Faults = append(out.Faults, Fault{Peer: m.self, Room: r.name, Code: "log",
			Text: fmt.Sprintf("an old log of %s cannot be removed: %v", id.Author.Tag(), err)})
	}
	m.discard(r, a)
	return true
}

// discard forgets a log.
func (m *Machine) discard(r *room, a *authorLog) {
	a.drop()
	m.dropOlder(r, a)
	for _, h := range a.pending {
		m.heldBytes -= heldSize(&h.event)
	}
	is := func(b *authorLog) bool { return b == a }
	r.behind, r.changed = slices.DeleteFunc(r.behind, is), slices.DeleteFunc(r.changed, is)
	r.sorted = slices.DeleteFunc(r.sorted, is)
	delete(r.logs, a.id)
	for _, l := range m.linkList {
		l.serves = slices.DeleteFunc(l.serves, func(v serve) bool { return v.log == a })
		l.hedges = slices.DeleteFunc(l.hedges, func(h hedge) bool { return h.log == a })
		if s := l.share(r); s != nil {
			s.acks = slices.DeleteFunc(s.acks, is)
			if _, ok := s.known[a.id]; ok {
				delete(s.known, a.id)
				delete(s.parts, a.id)
				l.known--
			}
		}
	}
}

// nextRun lets own events go on in the next run, when there is no place for n of them in this one.
func (m *Machine) nextRun(r *room, n int) {
	if r.own.head+uint64(n) <= r.own.id.End() {
		return
	}
	r.own = r.add(r.own.after())
	r.own.eager = r.seats
}
