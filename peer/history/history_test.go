//go:build !race

package history

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"peerchat/peer/wire"
)

// batch makes n signed events of an author.
func batch(tb testing.TB, room wire.Room, author byte, seq, lamport uint64, n int) []wire.Event {
	tb.Helper()
	key := testKey(author)
	events := make([]wire.Event, n)
	for i := range events {
		events[i] = wire.Event{Room: room, Author: wire.IDOf(key), Seq: seq + uint64(i), Lamport: lamport + uint64(i),
			ID: uuid.UUID{author, byte(seq >> 8), byte(seq), byte(i)}, Time: time.UnixMilli(1_790_000_000_000).UTC(),
			Name: "bob", Kind: wire.KindText, Body: fmt.Appendf(nil, "line %d\x00", seq+uint64(i))}
	}
	for i := 0; i < n; i += wire.MaxBatch {
		if err := wire.SignBatch(key, events[i:min(n, i+wire.MaxBatch)]); err != nil {
			tb.Fatal(err)
		}
	}
	return events
}

// same fails unless got are the events in want, in that order.
func same(t *testing.T, what string, got []wire.Event, err error, want ...wire.Event) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	if len(got) != len(want) {
		t.Fatalf("%s gave %d events: want %d", what, len(got), len(want))
	}
	for i := range want {
		if !reflect.DeepEqual(got[i], want[i]) {
			t.Fatalf("%s: event %d is %.300s, want %.300s", what, i, fmt.Sprintf("%+v", got[i]), fmt.Sprintf("%+v", want[i]))
		}
	}
}

func wantHead(t *testing.T, s Store, room wire.Room, author byte, base, seq, lamport uint64) {
	t.Helper()
	heads, l, err := s.Heads(room)
	if err != nil {
		t.Fatal(err)
	}
	if l != lamport {
		t.Errorf("the Lamport clock of %s is %d: want %d", room, l, lamport)
	}
	for i, h := range heads {
		if i > 0 && !heads[i-1].Author.Less(h.Author) {
			t.Errorf("heads are not in order: %v", heads)
		}
		if h.Author == wire.IDOf(testKey(author)) {
			if h.Base != base || h.Seq != seq {
				t.Errorf("the log of %d in %s goes from %d to %d: want %d to %d", author, room, h.Base, h.Seq, base, seq)
			}
			return
		}
	}
	t.Errorf("author %d has no log in %s", author, room)
}

// conformance is what every Store does. reopen closes and opens it again.
func conformance(t *testing.T, s Store, reopen func(Store) Store) {
	a, b := batch(t, "general", 1, 1, 1, 40), batch(t, "general", 2, 1, 20, 3)
	dev := batch(t, "dev", 1, 1, 7, 1)
	odd := batch(t, "general", 1, 41, 100, 1)
	odd[0].Kind, odd[0].Body = 200, []byte{0xff, 0}
	if err := wire.SignBatch(testKey(1), odd); err != nil {
		t.Fatal(err)
	}

	if got, err := s.Recent("general", 10); err != nil || len(got) != 0 {
		t.Errorf("an empty store has recent events %v, %v", got, err)
	}
	if err := s.Append(a[1:]); err == nil {
		t.Error("a log was begun with its second event")
	}
	mustAppend(t, s, a...)
	mustAppend(t, s, b[0], dev[0], b[1], b[2])
	for what, events := range map[string][]wire.Event{
		"an event that is there":            a[3:4],
		"an event beyond the next":          batch(t, "general", 2, 5, 50, 1),
		"a good one and one that is not":    {batch(t, "general", 2, 4, 50, 1)[0], a[0]},
		"the same event twice":              {b[2], b[2]},
		"a gap in a new log of a good room": {batch(t, "general", 3, 1, 50, 1)[0], batch(t, "general", 3, 3, 50, 1)[0]},
		"two new logs, one with a gap":      {batch(t, "new", 3, 1, 50, 1)[0], batch(t, "newer", 4, 2, 50, 1)[0]},
	} {
		if err := s.Append(events); err == nil {
			t.Errorf("append took %s", what)
		}
	}
	mustAppend(t, s, odd...)

	for range 2 { // before and after a restart
		wantHead(t, s, "general", 1, 0, 41, 100)
		wantHead(t, s, "general", 2, 0, 3, 100)
		wantHead(t, s, "dev", 1, 0, 1, 7)
		got, err := s.Range("general", a[0].Author, 3, 6, 3)
		same(t, "range 3 to 6, at most 3,", got, err, a[2:5]...)
		got, err = s.Range("general", a[0].Author, 41, 1<<60, 100)
		same(t, "range from 41", got, err, odd...)
		got, err = s.Range("general", wire.PeerID{}, 1, 9, 9)
		same(t, "range of nobody", got, err)
		got, err = s.Recent("dev", 10)
		same(t, "recent of #dev", got, err, dev...)
		tie := []wire.Event{a[19], b[0]}
		if b[0].Author.Less(a[0].Author) {
			tie[0], tie[1] = tie[1], tie[0]
		}
		got, err = s.Before("general", 21, wire.PeerID{}, 3)
		same(t, "before lamport 21", got, err, a[18], tie[0], tie[1])
		got, err = s.Before("general", 20, tie[1].Author, 2)
		same(t, "before the second at lamport 20", got, err, a[18], tie[0])
		got, err = s.Recent("general", 2)
		same(t, "recent", got, err, a[39], odd[0])
		if rooms, err := s.Rooms(); err != nil || !reflect.DeepEqual(rooms, []wire.Room{"dev", "general"}) {
			t.Errorf("rooms are %v, %v: want dev, general", rooms, err)
		}
		s = reopen(s)
	}

	if err := s.Rebase("general", wire.LogID{Author: b[0].Author}, 3, 0); err == nil {
		t.Error("a log was rebased below what it holds")
	}
	if err := s.Rebase("general", wire.LogID{Author: b[0].Author}, 10, 0); err != nil {
		t.Fatalf("rebase: %v", err)
	}
	if err := s.Rebase("far", wire.LogID{Author: b[0].Author}, 5, 0); err != nil {
		t.Fatalf("rebase a log that is empty: %v", err)
	}
	more := batch(t, "general", 2, 11, 200, 2)
	if err := s.Append(more[1:]); err == nil {
		t.Error("a rebased log took another than the next event")
	}
	mustAppend(t, s, more...)
	s = reopen(s)
	wantHead(t, s, "general", 2, 10, 12, 201)
	wantHead(t, s, "far", 2, 5, 5, 0)
	got, err := s.Range("general", b[0].Author, 1, 100, 100)
	same(t, "range over the base", got, err, more...)
	got, err = s.Before("general", 21, wire.PeerID{}, 30)
	if err != nil || !containsEvent(got, b[0]) {
		t.Errorf("an event from before the base is not shown any more: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
}

func containsEvent(events []wire.Event, e wire.Event) bool {
	for i := range events {
		if events[i].ID == e.ID {
			return true
		}
	}
	return false
}

// pruning is what every Store that keeps 100 events does.
func pruning(t *testing.T, s Store, reopen func(Store) Store) {
	a, b := batch(t, "general", 1, 1, 1, 60), batch(t, "general", 2, 1, 1000, 200)
	mustAppend(t, s, a...)
	for i := 0; i < len(b); i += 10 {
		mustAppend(t, s, b[i:i+10]...)
	}
	for range 2 {
		got, err := s.Recent("general", 1000)
		if err != nil || len(got) < 100 || len(got) > 100+slack(100) {
			t.Fatalf("%d events are kept of a room, %v: want 100 to %d", len(got), err, 100+slack(100))
		}
		same(t, "recent", got, nil, b[len(b)-len(got):]...)
		wantHead(t, s, "general", 1, 60, 60, 1199)
		wantHead(t, s, "general", 2, uint64(200-len(got)), 200, 1199)
		held, err := s.Range("general", b[0].Author, 1, 200, 1000)
		same(t, "range of what was pruned and what was not", held, err, got...)
		s = reopen(s)
	}
	next := batch(t, "general", 1, 61, 2000, 1)
	mustAppend(t, s, next...)
	wantHead(t, s, "general", 1, 60, 61, 2000)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func TestMemory(t *testing.T) {
	stay := func(s Store) Store { return s }
	t.Run("conformance", func(t *testing.T) { conformance(t, NewMemory(), stay) })
	t.Run("pruning", func(t *testing.T) { pruning(t, NewMemoryWith(Limits{Events: 100}), stay) })
}

func TestSQLite(t *testing.T) {
	for name, f := range map[string]func(*testing.T, Store, func(Store) Store){"conformance": conformance, "pruning": pruning} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "odd name?#%.db")
			open := func() Store {
				s, err := OpenSQLite(path, Config{Limits: Limits{Events: map[string]int{"pruning": 100}[name]}})
				if err != nil {
					t.Fatal(err)
				}
				return s
			}
			f(t, open(), func(s Store) Store {
				if err := s.Close(); err != nil {
					t.Fatalf("close: %v", err)
				}
				return open()
			})
			info, err := os.Stat(path)
			if err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("the file has mode %v, %v: want 0600", info.Mode(), err)
			}
		})
	}
}

func TestJournalIsPrivate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.db")
	s, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	mustAppend(t, s, batch(t, "general", 1, 1, 1, 1)...)
	for _, p := range []string{path, path + "-wal", path + journalSuffix} {
		if info, err := os.Stat(p); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: mode %v, error %v: want 0600", filepath.Base(p), info, err)
		}
	}
}

func TestDamagedFileIsSetAside(t *testing.T) {
	fill := func(path string) {
		s, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		mustAppend(t, s, batch(t, "general", 1, 1, 1, 2000)...)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for what, damage := range map[string]func([]byte) []byte{
		"no database":       func([]byte) []byte { return []byte(strings.Repeat("this is no database\n", 100)) },
		"cut in the middle": func(b []byte) []byte { return b[:len(b)/2] },
		"zeros inside": func(b []byte) []byte {
			clear(b[len(b)/4 : len(b)/2])
			return b
		},
	} {
		t.Run(what, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "history.db")
			fill(path)
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, damage(bytes.Clone(b)), 0o600); err != nil {
				t.Fatal(err)
			}
			s, err := Open(path)
			var corrupt *CorruptError
			if s != nil || !errors.As(err, &corrupt) {
				t.Fatalf("open gave %v, %v: want a CorruptError", s, err)
			}
			if _, err := os.Stat(corrupt.Aside); err != nil || !strings.HasPrefix(corrupt.Aside, path+".corrupt-") {
				t.Errorf("the file is not at %s: %v", corrupt.Aside, err)
			}
			fill(path) // the second time there is a new one
		})
	}
}

func TestNewerSchemaIsLeftAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.db")
	s, err := OpenSQLite(path, Config{})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.script("PRAGMA user_version = 99"), s.Close()); err != nil {
		t.Fatal(err)
	}
	_, err = Open(path)
	var corrupt *CorruptError
	if err == nil || errors.As(err, &corrupt) || !strings.Contains(err.Error(), "newer version") {
		t.Errorf("open gave %v: want it to say that a newer version wrote the file", err)
	}
}

func TestClosedStoreTakesNothing(t *testing.T) {
	s, err := Open(filepath.Join(t.TempDir(), "history.db"))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.Close(), s.Close()); err != nil {
		t.Fatal(err)
	}
	if s.Append(batch(t, "general", 1, 1, 1, 1)) == nil {
		t.Error("a closed store took an event")
	}
}
