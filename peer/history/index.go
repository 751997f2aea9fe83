package history

import (
	"context"
	"database/sql/driver"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"peerchat/peer/wire"
)

// Putting words into the index costs as much as storing an event, and ten times as much for one event alone. So events wait for it,
// until there is nothing else to do, or until there are so many that a search, which reads through those that wait, would take long.
// What is pruned before its turn, as in a flood, never costs anything.
const (
	indexBatch = 512     // events that Tidy puts into the index, some 15 ms
	indexBytes = 1 << 20 // of theirs, unless a single one has more
	maxWaiting = 1 << 14 // more than a room has by default
)

const (
	sqlNextWaiting = `SELECT w.doc, r.id, r.name, e.data, e.sum FROM waiting w CROSS JOIN events e ON e.doc = w.doc
		CROSS JOIN rooms r ON r.id = e.room ORDER BY w.doc DESC LIMIT ?`
	sqlIndex   = `INSERT INTO words (rowid, text) VALUES (?, ?)`
	sqlIndexed = `DELETE FROM waiting WHERE doc = ?`
	sqlMatch   = `SELECT rowid FROM words WHERE words MATCH ?1 AND rowid <= ?2 ORDER BY rowid DESC`
	sqlByDoc   = `SELECT data, sum FROM events WHERE doc = ? AND room = ?`
	sqlScan    = `SELECT w.doc, e.data, e.sum FROM waiting w CROSS JOIN events e ON e.doc = w.doc
		WHERE e.room = ?1 AND w.doc <= ?2 ORDER BY w.doc DESC`
	sqlAllWait = `INSERT INTO waiting (doc) SELECT doc FROM events WHERE true ON CONFLICT DO NOTHING`
)

// roomWord is the first word of an event of a room in the index. No word of a text begins so: the character is for private use.
func roomWord(room int64) string { return "\ue000" + strconv.FormatInt(room, 10) }

// index puts the words of up to n events into the index, the newest first, and tells how many.
func (s *SQLite) index(n int) (done int, err error) {
	if s.waiting == 0 {
		return 0, nil
	}
	err = s.transact(func() error {
		bytes := 0
		return s.query(sqlNextWaiting, func(row []driver.Value) error {
			doc, name := num(row[0]), wire.Room(str(row[2]))
			e, err := decode(name, blob(row[3]), num(row[4]))
			if err == errUnreadable {
				err = nil // it says nothing
			}
			if err != nil {
				return err
			}
			if text := spoken(&e); len(text) > 0 {
				s.buf = appendWords(append(s.buf[:0], roomWord(num(row[1]))...), text)
				if err := s.exec(sqlIndex, doc, string(s.buf)); err != nil {
					return inIndex(err)
				}
			}
			if err := s.exec(sqlIndexed, doc); err != nil {
				return err
			}
			done++
			if bytes += len(e.Body); bytes > indexBytes {
				return errEnough
			}
			return nil
		}, int64(n))
	})
	if err != nil {
		return 0, fmt.Errorf("put words into the index: %w", err)
	}
	if s.waiting -= done; done == 0 {
		s.waiting = 0
	}
	return done, nil
}

// reindex begins the index anew; all events wait for it.
func (s *SQLite) reindex() error {
	err := s.transact(func() error {
		if err := s.script("DROP TABLE words"); err != nil {
			return err
		}
		if err := s.script(sqlWords); err != nil {
			return err
		}
		return s.exec(sqlAllWait)
	})
	var waiting int64
	if err == nil {
		err = s.query(sqlWaiting, first(&waiting))
	}
	s.waiting = int(waiting)
	return err
}

// find finds terms in a room: the newest hits before a place, at most limit.
func (d *db) find(ctx context.Context, room wire.Room, id int64, terms []term, before *place, limit int) ([]Hit, error) {
	last := int64(math.MaxInt64)
	if before != nil && before.lamport < maxClock {
		last = docOf(before.lamport+1) - 1
	}
	f := finder{room: room, terms: terms, before: before, limit: limit}
	err := d.queryContext(ctx, sqlMatch, func(row []driver.Value) error {
		doc := num(row[0])
		if f.enough(doc) {
			return errEnough
		}
		return d.query(sqlByDoc, func(row []driver.Value) error { return f.see(blob(row[0]), num(row[1])) }, doc, id)
	}, matchOf(id, terms), last)
	if err != nil {
		return nil, inIndex(err)
	}
	hits := f.hits
	f.hits, f.clock = nil, math.MaxInt64
	err = d.queryContext(ctx, sqlScan, func(row []driver.Value) error {
		if f.enough(num(row[0])) {
			return errEnough
		}
		return f.see(blob(row[1]), num(row[2]))
	}, id, last)
	return newest(append(hits, f.hits...), limit), err
}

// finder takes hits in descending order of doc.
type finder struct {
	room   wire.Room
	terms  []term
	before *place
	limit  int
	hits   []Hit
	clock  int64 // of the last doc seen
}

// enough reports whether doc and what comes after it are not needed. Those with one clock come in any order, so all of them are.
func (f *finder) enough(doc int64) bool {
	clock := doc >> slotBits
	done := len(f.hits) >= f.limit && clock < f.clock
	f.clock = clock
	return done
}

// see takes an event if it is a hit. The index may say so of one that is none, if it is damaged.
func (f *finder) see(data []byte, sum int64) error {
	e, err := decode(f.room, data, sum)
	if err == errUnreadable {
		return nil
	}
	if err != nil {
		return err
	}
	f.hits = take(f.hits, &e, f.terms, f.before)
	return nil
}

// matchOf is what SQLite's index is asked for: https://sqlite.org/fts5.html#full_text_query_syntax. The words have neither quotes nor
// anything else that means something there.
func matchOf(room int64, terms []term) string {
	var b strings.Builder
	b.WriteString(`"` + roomWord(room) + `"`)
	for _, t := range terms {
		b.WriteString(` AND "` + strings.Join(t.words, " ") + `"`)
		if t.prefix {
			b.WriteString(" *")
		}
	}
	return b.String()
}

// newest sorts hits, the newest first, and takes limit.
func newest(hits []Hit, limit int) []Hit {
	slices.SortFunc(hits, func(a, b Hit) int { return order(&b.Event, &a.Event) })
	return hits[:min(len(hits), limit)]
}
