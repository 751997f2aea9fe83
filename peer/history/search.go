package history

import (
	"cmp"
	"database/sql/driver"
	"maps"
	"slices"

	"peerchat/peer/wire"
)

// MaxHits is the most that one Search returns.
const MaxHits = 500

// Hit is an event that was found.
type Hit struct {
	Event wire.Event
	Spans []Span // of Event.Body, where the words are; ascending, not overlapping, at most 64
}

// Snippet is about limit bytes of what was said, with … where it was cut, and where the words are in that. It is remote
// text: control characters are in it as they were sent.
func (h *Hit) Snippet(limit int) (text string, spans []Span) {
	return snippet(h.Event.Body, h.Spans, limit)
}

// Results are some of what was found.
type Results struct {
	Hits []Hit
	Next Cursor // goes on after them
	More bool   // there may be more
}

// Cursor is where a search goes on; the zero Cursor begins. It belongs to the room and the query that it came of. In
// one room the hits come in reverse display order. Of many rooms the one that counts as said last comes first, to the
// second, and within a second they come room by room; those of a room stay in its order, so a wrong clock moves nothing
// but what is next to it (order.go).
type Cursor struct {
	second int64               // no hit that was not taken counts as said later; usually that of the last that was
	at     map[wire.Room]place // that of each room
}

// place is where an event stands in a room.
type place struct {
	lamport uint64
	author  wire.PeerID
	seq     uint64
}

// passes reports whether e was not taken yet.
func (c *Cursor) passes(e *wire.Event) bool {
	p, ok := c.at[e.Room]
	return !ok || order(e, &wire.Event{Lamport: p.lamport, Author: p.author, Seq: p.seq}) < 0
}

// finder gathers the hits of a search.
type finder struct {
	terms []term
	from  Cursor
	limit int                 // one more than are asked for
	rooms map[int64]wire.Room // those that are searched, by their numbers
	hits  []found
	n     int   // hits of the present query, which gives them by descending second
	last  int64 // the second of its last row
	floor int64 // no hit of a second before this is needed
}

// found is a hit with the second at which it counts as said.
type found struct {
	Hit
	second int64
}

func newFinder(query string, from Cursor, limit int) *finder {
	f := &finder{terms: parseQuery(query), from: from, rooms: make(map[int64]wire.Room), last: maxSecond}
	if limit > 0 {
		f.limit = min(limit, MaxHits) + 1
	}
	return f
}

// enough reports whether what is of a second is not needed. Those of one second come in any order, so all of them are.
func (f *finder) enough(second int64) bool {
	done := second < f.floor || f.n >= f.limit && second < f.last
	f.last = second
	return done
}

// see takes the event of a row (second, room, data, sum) if it is a hit. The index may say so of one that is none, if
// it is damaged.
func (f *finder) see(row []driver.Value) error {
	second := num(row[0])
	if f.enough(second) {
		return errEnough
	}
	room, ok := f.rooms[num(row[1])]
	if !ok {
		return nil
	}
	e, err := decode(room, blob(row[2]), num(row[3]))
	if err == nil && f.take(&e, second) {
		f.n++
	}
	if err == errUnreadable {
		err = nil
	}
	return err
}

// next is called between two queries.
func (f *finder) next() {
	if f.n >= f.limit {
		f.floor = f.hits[f.limit-1].second
	}
	f.n, f.last = 0, maxSecond
}

// take takes e if it is a hit that was not taken before.
func (f *finder) take(e *wire.Event, second int64) bool {
	if !f.from.passes(e) {
		return false
	}
	spans, ok := match(f.terms, spoken(e))
	if ok {
		f.hits = append(f.hits, found{Hit{Event: *e, Spans: spans}, second})
	}
	if len(f.hits) >= 2*f.limit+cutAfter { // a flood may be of one second
		f.sort()
		clear(f.hits[f.limit:])
		f.hits = f.hits[:f.limit]
	}
	return ok
}

// left tells whether e is a hit for a page after the one that ends at a cursor.
func (f *finder) left(e *wire.Event, at *Cursor) bool {
	_, ok := match(f.terms, spoken(e))
	return ok && at.passes(e)
}

// cutAfter is how many hits are kept at once besides twice the limit.
const cutAfter = 64

// sort puts the newest first.
func (f *finder) sort() {
	slices.SortFunc(f.hits, func(a, b found) int {
		return cmp.Or(cmp.Compare(b.second, a.second), cmp.Compare(a.Event.Room, b.Event.Room), order(&b.Event, &a.Event))
	})
}

// results are the newest of the hits.
func (f *finder) results() Results {
	f.sort()
	res := Results{Next: f.from}
	if f.limit == 0 || len(f.hits) == 0 {
		return res
	}
	res.More = len(f.hits) >= f.limit
	taken := f.hits[:min(len(f.hits), f.limit-1)]
	res.Next = Cursor{second: taken[len(taken)-1].second, at: make(map[wire.Room]place, len(f.from.at)+1)}
	maps.Copy(res.Next.at, f.from.at)
	for i := range taken {
		e := &taken[i].Event
		res.Hits = append(res.Hits, taken[i].Hit)
		res.Next.at[e.Room] = place{lamport: e.Lamport, author: e.Author, seq: e.Seq}
	}
	return res
}
