//go:build !race

package history

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// afterKill opens a copy of what a store at path has in its files while it is open, as after a sudden end of its
// process.
func afterKill(t *testing.T, path string, spoil func(journal []byte) []byte) Store {
	t.Helper()
	to := filepath.Join(t.TempDir(), "history.db")
	for _, suffix := range []string{"", "-wal", journalSuffix} {
		b, err := os.ReadFile(path + suffix)
		if err != nil {
			t.Fatal(err)
		}
		if suffix == journalSuffix && spoil != nil {
			b = spoil(b)
		}
		if err := os.WriteFile(to+suffix, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s, err := Open(to)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestTheJournalOutlivesItsProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.db")
	s, err := OpenSQLite(path, Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	events := batch(t, "general", 1, 1, 1, 9)
	all := func(what string, s Store, n int) {
		t.Helper()
		wantHead(t, s, "general", 1, 0, uint64(n), uint64(n))
		got, err := s.Recent("general", 100)
		same(t, what, got, err, events[:n]...)
	}
	mustAppend(t, s, events[:2]...)
	for i := 2; i < 6; i++ {
		mustAppend(t, s, events[i])
	}
	all("with four lines in the journal", afterKill(t, path, nil), 6)
	all("with the last line cut off", afterKill(t, path, func(b []byte) []byte { return b[:len(b)-3] }), 5)
	all("with a spoilt line", afterKill(t, path, func(b []byte) []byte {
		b[len(b)/2]++
		return b
	}), 4)
	if err := s.Settle(); err != nil {
		t.Fatal(err)
	}
	mustAppend(t, s, events[6])
	all("with a line over older ones", afterKill(t, path, nil), 7)
	mustAppend(t, s, events[7:]...)
	all("with an old journal", afterKill(t, path, nil), 9)
	all("without a journal", afterKill(t, path, func([]byte) []byte { return nil }), 9)
	if err := s.Tidy(); err != nil {
		t.Fatal(err)
	}
	all("at last", s, 9)
}

func TestAGapGoesIntoNoJournal(t *testing.T) {
	s, err := Open(filepath.Join(t.TempDir(), "history.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	events := batch(t, "general", 1, 1, 1, 4)
	mustAppend(t, s, events[0])
	mustAppend(t, s, events[1])
	if s.Append(events[3:]) == nil || s.Append(events[1:2]) == nil {
		t.Error("an event that is not the next was taken")
	}
	wantHead(t, s, "general", 1, 0, 2, 2)
}

// FuzzRecord checks that what is read from a journal is what would be written.
func FuzzRecord(f *testing.F) {
	path := filepath.Join(f.TempDir(), "history.db")
	s, err := OpenSQLite(path, Config{})
	if err != nil {
		f.Fatal(err)
	}
	events := batch(f, "general", 1, 1, 1, 3)
	for i := range events {
		mustAppend(f, s, events[i])
	}
	f.Add(bytes.Clone(s.journal.records))
	if err := s.Close(); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for {
			e, rest, ok := nextRecord(data)
			if !ok {
				return
			}
			if again := appendRecord(nil, &e); !bytes.Equal(again, data[:len(data)-len(rest)]) {
				t.Fatalf("a record of %x was read, %x would be written", data[:len(data)-len(rest)], again)
			}
			data = rest
		}
	})
}
