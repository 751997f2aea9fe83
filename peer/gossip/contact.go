package gossip

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"peerchat/peer/wire"
)

// The first contact is what a peer does in a room of which it has nothing but what it said itself. If all logs that its
// neighbours have fit into the window, it fetches them. Else it fetches the end of each, so that these share the
// window, and of those that find no place there, or that ended before it, nothing but where they end. For that one
// event is looked at, which its author has signed, or else a neighbour could move logs by its word. Then older.go fills
// the window. The contact begins with the first word of what there is, and is over soon after.

// greet begins the first contact with a room that is new here.
func (m *Machine) greet(now time.Time, r *room) {
	if r.fresh && r.contact.IsZero() {
		r.contact = now.Add(contactTime)
		m.fillSoon(r, r.contact)
	}
}

// skip takes an event in on the first contact that is not kept: it is older than the window, or there is no place for
// it there, and it was said before this peer came. The log begins after it.
func (m *Machine) skip(now time.Time, l *link, r *room, a *authorLog, e *wire.Event, out *Output) bool {
	r.follow(now, e.Lamport)
	q := a.ask
	a.ended, a.before = a.ended || !q.skip, true
	if e.Seq < q.up {
		q.from++
		q.deadline = now.Add(askTimeout)
		return true
	}
	if !m.rebase(now, l, r, a, e.Seq, e.Time, out) {
		return false
	}
	a.drop()
	m.resume(now, l)
	m.drain(r, a)
	m.fallBehind(now, r, a)
	return true
}

// skips tells whether an event is one to skip.
func (m *Machine) skips(now time.Time, r *room, a *authorLog, e *wire.Event) bool {
	q := a.ask
	return a.joined && a.head == a.base && q != nil && q.adopt && e.Seq == q.from && e.Seq <= a.old() && !e.Time.After(r.entered) && (q.skip || m.tooOld(now, e.Time))
}

// places are what the logs that a room has on its first contact share.
type places struct {
	logs, open int
	whole      bool // all of them fit into the window: they are fetched from their beginning on, in order
}

// places counts what the window has open, and the logs that wait for a part of it.
func (m *Machine) places(r *room) (p places) {
	if !slices.ContainsFunc(r.behind, func(a *authorLog) bool { return a.joined && !a.begun() }) {
		return p // as it is nearly always
	}
	p.open, p.whole = m.windowed()-r.held(), true
	all := 0
	for _, a := range r.behind {
		switch {
		case a.begun() || !a.joined:
		case a.ask == nil:
			p.logs++
			most := m.most(r, a) - a.id.Start()
			p.whole = p.whole && most <= maxWant
			all += int(min(most, maxWant))
		case !a.ask.skip:
			p.open -= int(a.ask.up - a.ask.from + 1)
		}
	}
	for _, a := range r.asked {
		p.open -= int(a.older.len())
	}
	p.whole = p.whole && all <= p.open
	return p
}

// next is how many events of the next log have a place.
func (p *places) next() uint64 {
	if p.whole {
		return maxWant
	}
	n := max(0, min(endOfLog, p.open/max(1, p.logs)))
	if p.open > 0 {
		n = max(1, n)
	}
	p.logs--
	return uint64(n)
}

// refused looks whether an error of the Log is about one author alone. Then no log is begun in that room any more.
func (m *Machine) refused(err error, out *Output) (name wire.Room, author wire.PeerID, ok bool) {
	var refusal Refusal
	if !errors.As(err, &refusal) {
		return "", author, false
	}
	name, author = refusal.Refused()
	r := m.rooms[name]
	if r == nil {
		return "", author, false
	}
	if !r.crowded {
		r.crowded = true
		out.Faults = append(out.Faults, Fault{Peer: m.self, Room: name, Code: "flood", Text: fmt.Sprintf(
			"there are too many authors in %s: what new ones say is not kept: %v", name, err)})
	}
	return name, author, true
}
