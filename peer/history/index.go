package history

import (
	"cmp"
	"context"
	"database/sql/driver"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"peerchat/peer/wire"
)

// Putting words into the index costs as much as storing an event, and ten times as much for one event alone. So events
// wait for it, until there is nothing else to do, or until there are so many that a search, which reads through those
// that wait, would take long. What is pruned before its turn, as in a flood, never costs anything.
const (
	indexBatch = 512     // events that Tidy puts into the index, some 15 ms
	indexBytes = 1 << 20 // of theirs, unless a single one has more
	maxWaiting = 1 << 14 // more than a room has by default
	indexEvery = 384     // events come in before those beyond maxWaiting have a batch put into the index: fewer, so they get fewer, and no line waits for a long backlog

	indexEveryBytes = indexBytes / 4 * 3 // or so many of theirs
)

const (
	sqlNextWaiting = `SELECT w.doc, w.second, r.id, r.name, e.data, e.sum FROM waiting w CROSS JOIN events e ON e.doc = w.doc
		CROSS JOIN rooms r ON r.id = e.room ORDER BY w.doc LIMIT ?`
	sqlIndex   = `INSERT INTO words (rowid, text) VALUES (?, ?)`
	sqlIndexed = `DELETE FROM waiting WHERE doc = ?`
	// FTS5 gives rows by descending rowid without sorting them.
	sqlMatch = `SELECT e.second, e.room, e.data, e.sum FROM words CROSS JOIN events e ON e.doc = words.rowid & 0xffffffff
		WHERE words MATCH ?1 AND words.rowid <= ?2 ORDER BY words.rowid DESC`
	sqlScan    = `SELECT doc, second FROM waiting w WHERE (?1 = 0 OR room = ?1) AND second BETWEEN ?2 AND ?3`
	sqlByDoc   = `SELECT second, room, data, sum FROM events WHERE doc = ?`
	sqlAllWait = `INSERT INTO waiting (doc, room, second) SELECT doc, room, second FROM events WHERE true ON CONFLICT DO NOTHING`
)

// index puts the words of up to n events into the index, and tells how many.
func (s *SQLite) index(n int) (done int, err error) {
	if s.waiting == 0 {
		return 0, nil
	}
	err = s.transact(func() error {
		type entry struct {
			stamp int64
			words string
		}
		var entries []entry
		var docs []int64
		bytes := 0
		if err := s.query(sqlNextWaiting, func(row []driver.Value) error {
			doc, second := num(row[0]), num(row[1])
			e, err := decode(wire.Room(str(row[3])), blob(row[4]), num(row[5]))
			if err == errUnreadable {
				err = nil // it says nothing
			}
			if err != nil {
				return err
			}
			if text := spoken(&e); len(text) > 0 {
				s.buf = appendWords(append(append(s.buf[:0], anyRoom+" "...), roomWord(num(row[2]))...), text)
				entries = append(entries, entry{stampOf(second) | doc, string(s.buf)})
			}
			docs = append(docs, doc)
			if bytes += len(e.Body); bytes > indexBytes {
				return errEnough
			}
			return nil
		}, int64(n)); err != nil {
			return err
		}
		slices.SortFunc(entries, func(a, b entry) int { return cmp.Compare(a.stamp, b.stamp) }) // for anything else FTS5 writes a segment for each
		for _, x := range entries {
			if err := s.exec(sqlIndex, x.stamp, x.words); err != nil {
				return inIndex(err)
			}
		}
		for _, doc := range docs {
			if err := s.exec(sqlIndexed, doc); err != nil {
				return err
			}
		}
		done = len(docs)
		return nil
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

// anyRoom is a word that everything in the index has. § is in no word of a text.
const anyRoom = "§"

// roomWord is a word that everything of a room has.
func roomWord(room int64) string { return anyRoom + strconv.FormatInt(room, 10) }

// find finds what f looks for, in one of its rooms or in all that there are.
func (d *db) find(ctx context.Context, f *finder, one bool) error {
	if len(f.terms) == 0 || f.limit < 1 || len(f.rooms) == 0 {
		return ctx.Err()
	}
	room, to := int64(0), int64(maxSecond)
	if one {
		for room = range f.rooms {
		}
	}
	if f.from.at != nil {
		to = f.from.second
	}
	quick, full := matchOf(f.terms, room)
	rows, whole := 0, quick != full
	if whole {
		if err := d.queryContext(ctx, sqlMatch, func(row []driver.Value) error {
			if rows++; rows > quickRows+quickRate*f.n {
				whole = false
				return errEnough
			}
			return f.see(row)
		}, quick, stampOf(to)|maxDoc); err != nil {
			return inIndex(err)
		}
	}
	if !whole {
		f.hits, f.n, f.last = nil, 0, maxSecond
		if err := d.queryContext(ctx, sqlMatch, f.see, full, stampOf(to)|maxDoc); err != nil {
			return inIndex(err)
		}
	}
	f.next()
	return d.scan(ctx, f, room, to)
}

// scan finds what f looks for among the events that wait for the index.
func (d *db) scan(ctx context.Context, f *finder, room, to int64) error {
	type waiting struct{ doc, second int64 }
	var all []waiting
	if err := d.queryContext(ctx, sqlScan, func(row []driver.Value) error {
		all = append(all, waiting{num(row[0]), num(row[1])})
		return nil
	}, room, f.floor, to); err != nil {
		return err
	}
	slices.SortFunc(all, func(a, b waiting) int { return cmp.Compare(b.second, a.second) })
	for _, w := range all {
		err := ctx.Err()
		if err == nil && f.enough(w.second) {
			break
		}
		if err == nil {
			err = d.query(sqlByDoc, f.see, w.doc)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// What the index is asked for may be less than what is looked for, because all that it finds is looked at. It costs the
// more the more is written of a word that has many: the beginning of one with a single letter, in a million lines, a
// fifth of a second.
const (
	quickRows  = 32 // how many events are looked at before the index is asked for beginnings of words,
	quickRate  = 10 // and how many more for each hit among them
	mostWords  = 8  // that the index is asked for at once, at most
	mostPhrase = 4  // words in a row likewise
	mostStars  = 4  // beginnings of words likewise
)

// matchOf is what SQLite's index is asked for, in a room or, if that is 0, in all:
// https://sqlite.org/fts5.html#full_text_query_syntax. The words have neither quotes nor anything else that means
// something there. quick asks for no beginnings of words, so it may find many more; it is full if there are none in
// that either.
func matchOf(terms []term, room int64) (quick, full string) {
	var asked []term
	for _, t := range terms {
		if len(t.words) > mostPhrase {
			t = term{words: t.words[:mostPhrase]}
		}
		if !slices.ContainsFunc(asked, t.equal) {
			asked = append(asked, t)
		}
	}
	// An x* follows from any word that begins so.
	asked = slices.DeleteFunc(slices.Clone(asked), func(t term) bool {
		return t.prefix && len(t.words) == 1 && slices.ContainsFunc(asked, func(other term) bool {
			return !t.equal(other) && slices.ContainsFunc(other.words, func(w string) bool { return strings.HasPrefix(w, t.words[0]) })
		})
	})
	// Long words are seldom.
	slices.SortStableFunc(asked, func(a, b term) int { return cmp.Compare(b.longest(), a.longest()) })
	var q, f strings.Builder
	if room != 0 {
		f.WriteString(`"` + roomWord(room) + `"`)
		q.WriteString(`"` + roomWord(room) + `"`)
	}
	and := func(b *strings.Builder, t term) {
		if b.Len() > 0 {
			b.WriteString(" AND ")
		}
		phrase := `"` + strings.Join(t.words, " ") + `"`
		if t.prefix {
			phrase += " *"
		}
		if room != 0 && len(t.words) > 1 { // with AND, FTS5 looks for the phrase in all rooms
			phrase = fmt.Sprintf(`NEAR("%s" %s, %d)`, roomWord(room), phrase, 2*wire.MaxText)
		}
		b.WriteString(phrase)
	}
	words, stars := 0, 0
	for i, t := range asked {
		if words += len(t.words); words > mostWords && i > 0 {
			break
		}
		plain := t
		if t.prefix {
			plain = term{words: t.words[:len(t.words)-1]}
			if stars++; stars > mostStars {
				t = plain
			}
		}
		if len(plain.words) > 0 {
			and(&q, plain)
		}
		if len(t.words) > 0 {
			and(&f, t)
		}
	}
	if q.Len() == 0 {
		and(&q, term{words: []string{anyRoom}})
	}
	return q.String(), f.String()
}

func (t term) equal(other term) bool {
	return t.prefix == other.prefix && slices.Equal(t.words, other.words)
}

// longest is how many bytes the longest word has.
func (t term) longest() (n int) {
	for _, w := range t.words {
		n = max(n, len(w))
	}
	return n
}
