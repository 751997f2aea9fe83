package history

import (
	"maps"
	"slices"
	"time"

	"peerchat/peer/wire"
)

// MaxHits is the most that one Search returns.
const MaxHits = 500

// Hit is an event that was found.
type Hit struct {
	Event wire.Event
	Spans []Span // of Event.Body, where the words are; ascending, not overlapping, at most 64
}

// Snippet is about limit bytes of what was said, with … where it was cut, and where the words are in that. It is remote text:
// control characters are in it as they were sent.
func (h *Hit) Snippet(limit int) (text string, spans []Span) {
	return snippet(h.Event.Body, h.Spans, limit)
}

// Results are some of what was found.
type Results struct {
	Hits []Hit
	Next Cursor // goes on after them
	More bool   // there may be more
}

// Cursor is where a search goes on; the zero Cursor begins. It belongs to the room and the query that it came of. In one room the
// hits come in reverse display order. Of many rooms it is merged by the time that the authors gave, in each room in its order, so
// a wrong clock moves nothing but what is next to it.
type Cursor struct{ at map[wire.Room]place }

// place is where an event stands in a room.
type place struct {
	lamport uint64
	author  wire.PeerID
	seq     uint64
	end     bool // there is nothing before it
}

func placeOf(e *wire.Event) place { return place{lamport: e.Lamport, author: e.Author, seq: e.Seq} }

// isBefore reports whether e comes before p in display order.
func (p *place) holds(e *wire.Event) bool {
	return p == nil || order(e, &wire.Event{Lamport: p.lamport, Author: p.author, Seq: p.seq}) < 0
}

// take appends e to hits if it is one and stands before a place.
func take(hits []Hit, e *wire.Event, terms []term, before *place) []Hit {
	if !before.holds(e) {
		return hits
	}
	if spans, ok := match(terms, spoken(e)); ok {
		hits = append(hits, Hit{Event: *e, Spans: spans})
	}
	return hits
}

// search is the search of every store; find finds in one room the newest hits before a place.
func search(rooms []wire.Room, terms []term, from Cursor, limit int,
	find func(room wire.Room, terms []term, before *place, limit int) ([]Hit, error)) (Results, error) {
	limit = min(limit, MaxHits)
	if limit < 1 || len(terms) == 0 {
		return Results{}, nil
	}
	m := merger{terms: terms, chunk: limit, find: find, at: maps.Clone(from.at)}
	if m.at == nil {
		m.at = make(map[wire.Room]place)
	}
	if len(rooms) > 1 {
		m.chunk = min(limit, limit/len(rooms)+2)
	}
	for _, room := range rooms {
		if !m.at[room].end {
			m.streams = append(m.streams, &stream{room: room})
		}
	}
	var res Results
	for len(res.Hits) < limit {
		h, err := m.next()
		if err != nil {
			return Results{}, err
		}
		if h == nil {
			break
		}
		res.Hits = append(res.Hits, *h)
	}
	res.Next, res.More = Cursor{m.at}, len(m.streams) > 0
	return res, nil
}

// merger merges the hits of rooms.
type merger struct {
	terms   []term
	chunk   int
	find    func(wire.Room, []term, *place, int) ([]Hit, error)
	at      map[wire.Room]place // behind what was taken
	streams []*stream           // that are not at their end
}

type stream struct {
	room  wire.Room
	hits  []Hit
	times []time.Time // the latest of each hit and those after it
	last  bool        // there are no more behind them
}

// next takes the newest hit; nil is the end.
func (m *merger) next() (*Hit, error) {
	var best *stream
	for _, s := range slices.Clone(m.streams) {
		if len(s.hits) == 0 && !s.last {
			if err := m.fill(s); err != nil {
				return nil, err
			}
		}
		if len(s.hits) == 0 {
			m.at[s.room] = place{end: true}
			m.streams = slices.DeleteFunc(m.streams, func(x *stream) bool { return x == s })
			continue
		}
		if best == nil || s.times[0].After(best.times[0]) {
			best = s
		}
	}
	if best == nil {
		return nil, nil
	}
	h := &best.hits[0]
	best.hits, best.times = best.hits[1:], best.times[1:]
	m.at[best.room] = placeOf(&h.Event)
	return h, nil
}

func (m *merger) fill(s *stream) error {
	var before *place
	if p, ok := m.at[s.room]; ok {
		before = &p
	}
	hits, err := m.find(s.room, m.terms, before, m.chunk)
	if err != nil {
		return err
	}
	s.hits, s.last = hits, len(hits) < m.chunk
	s.times = make([]time.Time, len(hits))
	for i := len(hits) - 1; i >= 0; i-- {
		s.times[i] = hits[i].Event.Time
		if i+1 < len(hits) && s.times[i+1].After(s.times[i]) {
			s.times[i] = s.times[i+1]
		}
	}
	return nil
}
