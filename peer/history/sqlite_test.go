//go:build !race

package history

import (
	"bytes"
	"context"
	"database/sql/driver"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"peerchat/peer/wire"
)

// TestSearchOfEqualAndHugeClocks checks that hits are in order where many events have one Lamport clock, or clocks are
// huge.
func TestSearchOfEqualAndHugeClocks(t *testing.T) {
	everyStore(t, Limits{}, func(t *testing.T, s *subject) {
		for author := range byte(5) {
			for seq := range uint64(30) {
				e := said("general", author+1, seq+1, 7, "hello")
				switch {
				case seq >= 20:
					e[0].Lamport = wire.MaxCounter - seq%2
				case seq >= 10:
					e[0].Lamport = 1<<41 + 3*(seq%3) - 4
				}
				mustAppend(t, s, e...)
			}
		}
		all, err := s.Recent("general", 1000)
		if err != nil || len(all) != 150 {
			t.Fatal(len(all), err)
		}
		slices.Reverse(all)
		for round := range 2 {
			for name, v := range s.views() {
				var got []wire.Event
				for c := (Cursor{}); ; {
					res, err := v.Search(context.Background(), "general", "hello", c, 11)
					if err != nil {
						t.Fatal(err)
					}
					for _, h := range res.Hits {
						got = append(got, h.Event)
					}
					if c = res.Next; !res.More {
						break
					}
				}
				same(t, fmt.Sprintf("round %d: %s", round, name), got, nil, all...)
			}
			if lite, ok := s.Store.(*SQLite); ok {
				for lite.waiting > 0 {
					if _, err := lite.index(40); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
	})
}

// TestNumbersThatRanOut checks that events are stored and found when the highest number of all is in use.
func TestNumbersThatRanOut(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.db")
	s := openAt(t, path, Config{})
	s.lastDoc = maxDoc - 2
	mustAppend(t, s, said("general", 1, 1, 1, "hello", "hello", "there", "hello", "hello")...)
	if s.lastDoc != maxDoc {
		t.Fatalf("the last number is %d: want the highest", s.lastDoc)
	}
	s = reopened(t, s, path)
	defer s.Close()
	mustAppend(t, s, said("general", 1, 6, 6, "hello", "there")...)
	for range 2 {
		got, err := s.Recent("general", 10)
		wantTexts(t, "the room", got, err, "hello", "hello", "there", "hello", "hello", "hello", "there")
		if res, err := s.Search(context.Background(), "", "hello", Cursor{}, 10); err != nil || len(res.Hits) != 5 {
			t.Errorf("%d are found, %v: want 5", len(res.Hits), err)
		}
		if err := s.Tidy(); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Append(said("general", 1, 6, 6, "again")); err == nil {
		t.Error("an event is stored twice")
	}
}

// TestEmptyLogsAreForgotten checks that identities made for a flood do not fill the file, and that the own log stays
// whatever happens.
func TestEmptyLogsAreForgotten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.db")
	self := wire.IDOf(testKey(1))
	cfg := Config{Self: self, Limits: Limits{Events: 10, Authors: 5}}
	s := openAt(t, path, cfg)
	if err := s.Rebase("general", wire.LogID{Author: self}, 3, 0); err != nil {
		t.Fatal(err)
	}
	mustAppend(t, s, said("general", 2, 1, 1, make([]string, 9)...)...)
	for author := byte(3); author < 11; author++ {
		mustAppend(t, s, said("general", author, 1, 1000+uint64(author), "x")...)
	}
	mustAppend(t, s, said("general", 10, 2, 2000, strings.Split(strings.Repeat("y ", 10), " ")...)...)
	if err := s.Rebase("general", wire.LogID{Author: wire.IDOf(testKey(9))}, 4, 0); err != nil {
		t.Fatal(err)
	}
	before, _ := s.Stats("general")
	s = func() *SQLite { // without Self nothing is forgotten
		other := cfg
		other.Self = wire.PeerID{}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		return openAt(t, path, other)
	}()
	if st, _ := s.Stats("general"); st != before {
		t.Errorf("a store that does not know whose it is has %+v: want %+v", st, before)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openAt(t, path, cfg)
	st, err := s.Stats("general")
	if err != nil || st.Authors != 5 || st.Events > before.Events {
		t.Errorf("%+v are left, %v: want 5 authors", st, err)
	}
	wantHead(t, s, "general", 1, 3, 3, 2010)
	wantHead(t, s, "general", 10, 2, 12, 2010)
	wantHead(t, s, "general", 2, 9, 9, 2010) // it was long
	heads, _, _ := s.Heads("general")
	gone := byte(3)
	for slices.ContainsFunc(heads, func(h wire.Head) bool { return h.Author == wire.IDOf(testKey(gone)) }) {
		gone++
	}
	mustAppend(t, s, said("general", gone, 1, 1, "x", "x")...)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openAt(t, path, Config{Limits: Limits{Events: 10}})
	defer s.Close()
	wantHead(t, s, "general", gone, 0, 2, 2010)
	if err := s.query("SELECT author FROM events WHERE author NOT IN (SELECT id FROM authors)", func(row []driver.Value) error {
		return fmt.Errorf("events of author %v have no author", row[0])
	}); err != nil {
		t.Error(err)
	}
}

func TestAReaderOfAClosedHistory(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.db")
	all := filled(t, path)
	before := readFile(t, path)
	if err := ReadHistory(path, func(v View) error {
		got, err := v.Recent("general", 1000)
		if len(got) != len(all)-1 {
			t.Errorf("%d events are read: want %d", len(got), len(all)-1)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(readFile(t, path), before) {
		t.Error("the reader has changed the file")
	}
	s := openAt(t, path, Config{})
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// TestWithoutSharedMemory opens a file where SQLite cannot have its shared memory, as on some file systems.
func TestWithoutSharedMemory(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.db")
	if err := os.Mkdir(path+shmSuffix, 0o700); err != nil {
		t.Fatal(err)
	}
	for i := range uint64(3) {
		s := openAt(t, path, Config{})
		mustAppend(t, s, said("general", 1, 2*i+1, 1, "hello", "there")...)
		got, err := s.Recent("general", 10)
		if err != nil || len(got) != int(2*i+2) {
			t.Errorf("%d events are read, %v: want %d", len(got), err, 2*i+2)
		}
		if i == 0 { // once, because it waits for a while
			if err := ReadHistory(path, func(v View) error {
				_, err := v.Recent("general", 1)
				return err
			}); err == nil {
				t.Error("a reader reads a file that is not shared")
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestThousandsOfEventsWithOneClock(t *testing.T) {
	s := openAt(t, filepath.Join(t.TempDir(), "history.db"), Config{})
	defer s.Close()
	const n = 5000
	events := make([]wire.Event, 0, n)
	for seq := range uint64(n) {
		e := wire.Event{Room: "general", Author: wire.IDOf(testKey(1)), Seq: seq + 1, Lamport: 7, Kind: wire.KindText, Body: []byte("hello"),
			Time: time.UnixMilli(0).UTC(), Proof: wire.Proof{Size: 1}}
		if seq < 6 {
			e.Lamport, e.Body = seq+1, []byte("before")
		}
		events = append(events, e)
	}
	mustAppend(t, s, events...)
	for s.waiting > 0 {
		if _, err := s.index(1000); err != nil {
			t.Fatal(err)
		}
	}
	got, err := s.Range("general", events[0].Author, 1, 1<<40, 1<<20)
	same(t, "the log", got, err, events...)
	for query, want := range map[string]int{"hello": MaxHits, "before": 6} {
		if res, err := s.Search(context.Background(), "general", query, Cursor{}, MaxHits); err != nil || len(res.Hits) != want {
			t.Errorf("%q is found %d times, %v: want %d", query, len(res.Hits), err, want)
		}
	}
}
