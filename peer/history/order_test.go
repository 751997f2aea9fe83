//go:build !race

package history

import (
	"context"
	"database/sql/driver"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"peerchat/peer/wire"
)

// chunk is some events of one log that arrive together.
type chunk struct {
	rebase uint64 // before that, the log is said to go on after this; 0: it is not
	before bool   // they are put before the log
	events []wire.Event
}

// chatter is what is said in some rooms, in the order in which it comes to a peer. Of each log chunks come in order,
// but its beginning may come at the end; of two logs any may be first. wrong is how many of a hundred clocks are wrong.
func chatter(r *rand.Rand, wrong int) (chunks []chunk) {
	var logs [][]chunk
	for i := range 4 {
		room := wire.Room(fmt.Sprint("room", i))
		said := map[byte][]wire.Event{}
		second, lamport := int64(r.IntN(50)), uint64(1)
		for range 60 + r.IntN(20) {
			if r.IntN(3) > 0 { // or several have one clock
				lamport += 1 + uint64(r.IntN(3))
				second += int64(r.IntN(4))
			}
			author := byte(1 + r.IntN(3))
			e := wire.Event{Room: room, Author: wire.IDOf(testKey(author)), Seq: uint64(len(said[author]) + 1), Lamport: lamport, Name: "x",
				Kind: wire.KindText, Body: []byte([]string{"apple pie", "an apple", "nothing", "pie of apples"}[r.IntN(4)]), Proof: wire.Proof{Size: 1},
				Time: time.UnixMilli(1_790_000_000_000 + 1000*second + int64(r.IntN(1000))).UTC()}
			if r.IntN(40) == 0 {
				e.Body = []byte("zest")
			}
			if r.IntN(100) < wrong {
				e.Time = []time.Time{time.UnixMilli(0), e.Time.AddDate(100, 0, 0), e.Time.Add(time.Duration(r.IntN(200)-100) * time.Second)}[r.IntN(3)].UTC()
			}
			said[author] = append(said[author], e)
		}
		for author := byte(1); author <= 3; author++ {
			events := said[author]
			var log, first []chunk
			if late := r.IntN(len(events) + 1); r.IntN(2) == 0 && late > 0 && late < len(events) {
				for base := late; base > 0; {
					n := min(base, 1+r.IntN(6))
					first = append(first, chunk{before: true, events: events[base-n : base]})
					base -= n
				}
				events = events[late:]
			}
			for i := 0; i < len(events); {
				n := min(len(events)-i, []int{1, 1, 2, 5}[r.IntN(4)]) // single ones go into the journal
				log = append(log, chunk{events: events[i : i+n]})
				i += n
			}
			if len(first) > 0 {
				log[0].rebase = log[0].events[0].Seq - 1
			}
			if log = append(log, first...); len(log) > 0 {
				logs = append(logs, log)
			}
		}
	}
	for len(logs) > 0 {
		i := r.IntN(len(logs))
		chunks = append(chunks, logs[i][0])
		if logs[i] = logs[i][1:]; len(logs[i]) == 0 {
			logs = slices.Delete(logs, i, i+1)
		}
	}
	return chunks
}

func (c *chunk) put(t *testing.T, s Store) {
	t.Helper()
	e := &c.events[0]
	if c.rebase > 0 {
		if err := s.Rebase(e.Room, logOf(e), c.rebase, 0); err != nil {
			t.Fatal(err)
		}
	}
	if !c.before {
		mustAppend(t, s, c.events...)
	} else if s.Base(e.Room, logOf(e)) == c.events[len(c.events)-1].Seq { // or a part of it was pruned, and the rest is not asked for
		if err := s.Prepend(c.events); err != nil {
			t.Fatal(err)
		}
	}
}

// pages are the hits of a search in all rooms, in pages of a size.
func pages(t *testing.T, v View, query string, size int) (hits []wire.Event) {
	t.Helper()
	for c := (Cursor{}); ; {
		res, err := v.Search(context.Background(), "", query, c, size)
		if err != nil {
			t.Fatal(err)
		}
		if len(res.Hits) > size || res.More && len(res.Hits) < size {
			t.Fatalf("a page of %d has %d hits, more %v", size, len(res.Hits), res.More)
		}
		for _, h := range res.Hits {
			hits = append(hits, h.Event)
		}
		if c = res.Next; !res.More {
			return hits
		}
	}
}

// held is what a history holds that has a word of a query, by reading all of it.
func held(t *testing.T, v View, query string) (events []wire.Event) {
	t.Helper()
	rooms, err := v.Rooms()
	if err != nil {
		t.Fatal(err)
	}
	for _, room := range rooms {
		all, err := v.Recent(room, 10_000)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range all {
			text := " " + string(e.Body) + " "
			if strings.Contains(text, " "+strings.TrimSuffix(query, "*")+map[bool]string{true: "", false: " "}[strings.HasSuffix(query, "*")]) {
				events = append(events, e)
			}
		}
	}
	return events
}

func names(events []wire.Event) (names []string) {
	for i := range events {
		e := &events[i]
		names = append(names, fmt.Sprintf("%s/%d/%s/%d@%d", e.Room, e.Lamport, e.Author.Tag(), e.Seq, e.Time.UnixMilli()))
	}
	return names
}

// TestSearchOfAllRooms checks, for events that come in any order and are pruned, that a search of all rooms gives what
// reading everything and sorting it gives: with right clocks in every store, and with wrong ones by the seconds that
// the file says.
func TestSearchOfAllRooms(t *testing.T) {
	now := func() time.Time { return time.UnixMilli(1_790_000_000_000 + 500_000) }
	for seed := range uint64(12) {
		wrong := []int{0, 0, 5, 40}[seed%4]
		limits := Limits{Events: []int{1000, 25}[seed/2%2]}
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 7))
			path := filepath.Join(t.TempDir(), "history.db")
			s, m := openAt(t, path, Config{Limits: limits, now: now}), NewMemoryWith(limits)
			defer func() { _ = s.Close() }()
			reader, err := OpenReader(path)
			if err != nil {
				t.Fatal(err)
			}
			defer reader.Close()
			reader.now = now
			chunks := chatter(r, wrong)
			for i, c := range chunks {
				c.put(t, s)
				c.put(t, m)
				switch r.IntN(12) {
				case 0:
					if _, err := s.index(1 + r.IntN(100)); err != nil {
						t.Fatal(err)
					}
				case 1:
					s = reopened(t, s, path)
					s.cfg.Limits, s.cfg.now = limits.filled(), now
				}
				if r.IntN(8) > 0 && i < len(chunks)-1 {
					continue
				}
				query, size := []string{"apple", "pie", "app*", "z*", "nothing", "apples"}[r.IntN(6)], 1+r.IntN(9)
				inReader := pages(t, reader, query, size) // first, because the store brings in what is in the journal
				inMemory, inStore := pages(t, m, query, size), pages(t, s, query, size)
				want, seconds := held(t, s, query), secondsIn(t, s, now())
				slices.SortFunc(want, func(a, b wire.Event) int {
					if d := seconds[names([]wire.Event{b})[0]] - seconds[names([]wire.Event{a})[0]]; d != 0 {
						return int(d)
					}
					if c := strings.Compare(string(a.Room), string(b.Room)); c != 0 {
						return c
					}
					return order(&b, &a)
				})
				same := func(who string, got []wire.Event) {
					t.Helper()
					if g, w := names(got), names(want); !slices.Equal(g, w) {
						t.Fatalf("after %d chunks %s finds %q in pages of %d:\n%s\nwant\n%s", i+1, who, query, size, strings.Join(g, "\n"), strings.Join(w, "\n"))
					}
				}
				same("the store", inStore)
				if wrong == 0 {
					same("a reader", inReader)
					same("memory", inMemory)
					for _, e := range want {
						if got := seconds[names([]wire.Event{e})[0]]; got != e.Time.Unix()-epoch {
							t.Fatalf("%s counts as said in second %d: want that of its clock, %d", names([]wire.Event{e})[0], got, e.Time.Unix()-epoch)
						}
					}
					continue
				}
				for who, got := range map[string][]wire.Event{"a reader": inReader, "memory": inMemory} {
					room := func(e wire.Event) string { return string(e.Room) }
					byRoom := func(a, b wire.Event) int { return strings.Compare(room(a), room(b)) }
					slices.SortStableFunc(got, byRoom)
					rooms := slices.Clone(want)
					slices.SortStableFunc(rooms, byRoom)
					if !slices.Equal(names(got), names(rooms)) {
						t.Fatalf("after %d chunks %s finds others, or a room in another order:\n%s\nwant\n%s", i+1, who,
							strings.Join(names(got), "\n"), strings.Join(names(rooms), "\n"))
					}
				}
			}
		})
	}
}

// secondsIn are the seconds at which the events of a file count as said. It checks that they ascend in each room, and
// that none is in the future.
func secondsIn(t *testing.T, s *SQLite, now time.Time) map[string]int64 {
	t.Helper()
	seconds := map[string]int64{}
	for name, r := range s.rooms {
		last := int64(0)
		if err := s.query(`SELECT e.second, e.data, e.sum FROM events e JOIN authors a ON a.id = e.author WHERE e.room = ?
			ORDER BY e.lamport, a.peer, e.seq`, func(row []driver.Value) error {
			e, err := decode(name, blob(row[1]), num(row[2]))
			if err != nil {
				return err
			}
			second := num(row[0])
			if second < last || second > now.Unix()-epoch {
				t.Fatalf("%s counts as said in second %d, those before it up to %d, and now it is %d", names([]wire.Event{e})[0], second, last, now.Unix()-epoch)
			}
			last = second
			seconds[names([]wire.Event{e})[0]] = second
			return nil
		}, r.id); err != nil {
			t.Fatal(err)
		}
	}
	return seconds
}

// TestWhoSpeaksFirst checks that a newcomer's own lines, which have low Lamport clocks because it has heard nothing
// yet, do not drag what was said before into the present; and that where they are many, the room keeps its order.
func TestWhoSpeaksFirst(t *testing.T) {
	for lines, moved := range map[int]bool{1: true, mostMove: true, mostMove + 1: false} {
		path := filepath.Join(t.TempDir(), "history.db")
		s := openAt(t, path, Config{now: func() time.Time { return time.UnixMilli(1_800_000_000_000) }})
		for i := range uint64(lines) {
			e := said("general", 1, i+1, i+1, "hi there")
			e[0].Time = time.UnixMilli(1_799_999_000_000 + int64(i)*1000).UTC()
			mustAppend(t, s, e...)
		}
		if err := s.Tidy(); err != nil { // they are in the index
			t.Fatal(err)
		}
		mustAppend(t, s, said("dev", 1, 1, 2000, "hi dev")...)
		old := append(said("general", 2, 1, 100, "hi one"), said("general", 2, 2, 500, "hi two")...)
		if err := s.Rebase("general", logOf(&old[0]), 1, 0); err != nil {
			t.Fatal(err)
		}
		mustAppend(t, s, old[1])
		if err := s.Tidy(); err != nil {
			t.Fatal(err)
		}
		if err := s.Prepend(old[:1]); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			seconds := secondsIn(t, s, s.cfg.now())
			for _, e := range old {
				if right := seconds[names([]wire.Event{e})[0]] == e.Time.Unix()-epoch; right != moved {
					t.Errorf("with %d lines before, %s counts as said at the time of its author: %v, want %v", lines, e.Body, right, moved)
				}
			}
			want := []string{"hi dev", "hi two", "hi one"}
			if !moved {
				want = []string{"hi two", "hi one"}
			}
			for range lines {
				want = append(want, "hi there")
			}
			if !moved {
				want = append(want, "hi dev")
			}
			wantTexts(t, "the search", pages(t, s, "hi", 3), nil, want...)
			for s.waiting > 0 {
				if err := s.Tidy(); err != nil {
					t.Fatal(err)
				}
			}
			mustTell(t, s)
			s = reopened(t, s, path)
			s.cfg.now = func() time.Time { return time.UnixMilli(1_800_000_000_000) }
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestWhatWasTakenBackMovedNothing checks that an append that failed half-way leaves no trace in where the next events
// are put.
func TestWhatWasTakenBackMovedNothing(t *testing.T) {
	now := func() time.Time { return time.UnixMilli(1_800_000_000_000) }
	s := openAt(t, filepath.Join(t.TempDir(), "history.db"), Config{now: now})
	defer s.Close()
	hi := said("general", 1, 1, 1, "hi")
	hi[0].Time = now()
	mustAppend(t, s, hi...)
	old := said("general", 2, 1, 100, "old", "old", "old")
	if err := s.Append([]wire.Event{old[0], old[2]}); err == nil {
		t.Fatal("events with a gap between them are stored")
	}
	old[0].Lamport, old[0].Time = 101, now().Add(-drift*time.Second)
	mustAppend(t, s, old[0])
	if got := secondsIn(t, s, now()); len(got) != 2 {
		t.Errorf("the file has %v", got)
	}
}

// TestPagesWhileEventsCome checks that nothing is given twice or left out that was there when a search began.
func TestPagesWhileEventsCome(t *testing.T) {
	for seed := range uint64(8) {
		r := rand.New(rand.NewPCG(seed, 8))
		now := func() time.Time { return time.UnixMilli(1_790_000_000_000 + 500_000) }
		path := filepath.Join(t.TempDir(), "history.db")
		s := openAt(t, path, Config{now: now})
		reader, err := OpenReader(path)
		if err != nil {
			t.Fatal(err)
		}
		reader.now = now
		chunks := chatter(r, []int{0, 20}[seed%2])
		half := len(chunks) / 2
		for _, c := range chunks[:half] {
			c.put(t, s)
		}
		for _, part := range []struct {
			View
			later []chunk
		}{{reader, chunks[half : half+half/2]}, {s, chunks[half+half/2:]}} {
			v, later := part.View, part.later
			must, got := map[string]bool{}, map[string]bool{}
			for _, name := range names(held(t, s, "apple")) {
				must[name] = true
			}
			for c := (Cursor{}); ; {
				res, err := v.Search(context.Background(), "", "apple", c, 3)
				if err != nil {
					t.Fatal(err)
				}
				for _, h := range res.Hits {
					name := names([]wire.Event{h.Event})[0]
					if got[name] {
						t.Fatalf("seed %d: %s is given twice", seed, name)
					}
					got[name] = true
				}
				for range min(2, len(later)) {
					if later[0].put(t, s); r.IntN(3) == 0 {
						if err := s.Tidy(); err != nil {
							t.Fatal(err)
						}
					}
					later = later[1:]
				}
				if c = res.Next; !res.More {
					break
				}
			}
			for name := range must {
				if !got[name] {
					t.Errorf("seed %d: %s was there when the search began, and is not found", seed, name)
				}
			}
			for _, c := range later {
				c.put(t, s)
			}
		}
		if err := reader.Close(); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestLinesOfTheJournalStayInOrder checks that a reader gives lines that wait in the journal in the order of their
// room, whatever their clocks say.
func TestLinesOfTheJournalStayInOrder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.db")
	s := openAt(t, path, Config{})
	defer s.Close()
	mustAppend(t, s, said("general", 1, 1, 10, "line zero", "line one")...)
	for i := range uint64(4) {
		e := said("general", 1, 3+i, 12+i, fmt.Sprint("line ", i))
		e[0].Time = e[0].Time.Add(-time.Duration(i) * time.Hour)
		mustAppend(t, s, e...)
	}
	if len(s.journal.lines) != 4 {
		t.Fatalf("%d lines are in the journal: want 4", len(s.journal.lines))
	}
	if err := ReadHistory(path, func(v View) error {
		got := pages(t, v, "line", 10)
		wantTexts(t, "what a reader finds", got, nil, "line 3", "line 2", "line 1", "line 0", "line one", "line zero")
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

// TestWhatTheIndexIsAskedFor checks that a query of any kind asks for few words, and for no more than it says.
func TestWhatTheIndexIsAskedFor(t *testing.T) {
	for _, c := range []struct {
		query       string
		room        int64
		quick, full string // empty: as quick
	}{
		{"hello", 0, `"hello"`, ""},
		{"hello", 7, `"§7" AND "hello"`, ""},
		{`"hi there" hello`, 7, `"§7" AND NEAR("§7" "hi there", 131072) AND "hello"`, ""},
		{`"hi there" hello`, 0, `"hi there" AND "hello"`, ""},
		{"hi hello hi", 0, `"hello" AND "hi"`, ""},
		{"he*", 0, `"§"`, `"he" *`},
		{"he*", 7, `"§7"`, `"§7" AND "he" *`},
		{"he* hello h* x*", 0, `"hello"`, `"hello" AND "x" *`},
		{"a* a* a* ab*", 0, `"§"`, `"ab" *`},
		{`"to the en*"`, 0, `"to the"`, `"to the en" *`},
		{`"a b c d e f*"`, 0, `"a b c d"`, ""},
		{"a* b* c* d* e* f*", 0, `"§"`, `"a" * AND "b" * AND "c" * AND "d" *`},
		{`"x a*" "x b*" "x c*" "x d*" "x e*"`, 0, `"x" AND "x" AND "x" AND "x"`, `"x a" * AND "x b" * AND "x c" * AND "x d" *`},
		{"a b c d e f g h i j k l", 0, `"a" AND "b" AND "c" AND "d" AND "e" AND "f" AND "g" AND "h"`, ""},
	} {
		quick, full := matchOf(parseQuery(c.query), c.room)
		if c.full == "" {
			c.full = c.quick
		}
		if quick != c.quick || full != c.full {
			t.Errorf("%s in room %d asks for %s, then %s: want %s, then %s", c.query, c.room, quick, full, c.quick, c.full)
		}
	}
	for _, q := range []string{strings.Repeat("a* b* ", 500), strings.Repeat(`"x y z* `, 500), strings.Repeat("(x OR y*) NEAR ", 500), strings.Repeat("京", 500)} {
		if _, full := matchOf(parseQuery(q), 1); strings.Count(full, "*") > mostStars || strings.Count(full, " ") > 4*mostWords {
			t.Errorf("a query of %d bytes asks for %s", len(q), full)
		}
	}
}

// TestASearchKeepsFewHits checks that what a search keeps is bounded by what it is asked for, however many hits one
// second has, and that these are the newest.
func TestASearchKeepsFewHits(t *testing.T) {
	const n, limit = 5000, 10
	f := newFinder("hello", Cursor{}, limit)
	for i := range uint64(n) {
		at := i * 7 % n // in any order
		e := wire.Event{Room: "general", Author: wire.IDOf(testKey(1)), Seq: at + 1, Lamport: at + 1, Kind: wire.KindText, Body: []byte("hello")}
		if !f.take(&e, 1000+int64(at)/1000) {
			t.Fatal("a hit is not taken")
		}
		if len(f.hits) > 2*(limit+1)+cutAfter {
			t.Fatalf("%d hits are kept for a search that gives %d", len(f.hits), limit)
		}
	}
	res := f.results()
	if len(res.Hits) != limit || !res.More {
		t.Fatalf("%d hits, more: %v; want %d and more", len(res.Hits), res.More, limit)
	}
	for i, h := range res.Hits {
		if want := uint64(n - i); h.Event.Seq != want {
			t.Errorf("hit %d is number %d, want %d", i, h.Event.Seq, want)
		}
	}
}
