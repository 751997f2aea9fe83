//go:build !race

package history

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"peerchat/peer/wire"
)

// dies ends a store as the death of its process would.
func (s *SQLite) dies() { _ = errors.Join(s.release(), s.lock.Unlock()) }

// wantLines fails unless the log of author 1 in general has n events, "line 1" and so on.
func wantLines(t *testing.T, s Store, n int) {
	t.Helper()
	got, err := s.Range("general", wire.IDOf(testKey(1)), 1, 1000, 1000)
	if err != nil || len(got) != n {
		t.Fatalf("%d events are held, %v: want %d", len(got), err, n)
	}
	for i, e := range got {
		if string(e.Body) != fmt.Sprint("line ", i+1) {
			t.Fatalf("event %d is %q", i+1, e.Body)
		}
	}
}

// Whoever removes the file of a history that is in use, or a part of it, or puts another in its place, takes nothing
// from it.
func TestAFileThatIsTakenAwayIsWrittenAgain(t *testing.T) {
	for what, take := range map[string]func(path string) error{
		"the file": os.Remove,
		"the file and all beside it": func(path string) (err error) {
			for _, suffix := range []string{"", walSuffix, shmSuffix, journalSuffix, lockSuffix} {
				err = errors.Join(err, os.Remove(path+suffix))
			}
			return err
		},
		"SQLite's journal":       func(path string) error { return os.Remove(path + walSuffix) },
		"the journal of lines":   func(path string) error { return os.Remove(path + journalSuffix) },
		"the shared memory":      func(path string) error { return os.Remove(path + shmSuffix) },
		"the lock":               func(path string) error { return os.Remove(path + lockSuffix) },
		"the file, to elsewhere": func(path string) error { return os.Rename(path, path+".elsewhere") },
		"the file, for another": func(path string) error {
			return errors.Join(os.WriteFile(path+".other", []byte("something else"), 0o600), os.Rename(path+".other", path))
		},
	} {
		t.Run(what, func(t *testing.T) {
			now := time.Now()
			path := filepath.Join(t.TempDir(), "history.db")
			cfg := Config{now: func() time.Time { return now }, OnDamage: func(e *CorruptError) { t.Errorf("it is told %v", e) }}
			s := openAt(t, path, cfg)
			n := 0
			say := func() {
				t.Helper()
				n++
				mustAppend(t, s, said("general", 1, uint64(n), uint64(n), fmt.Sprint("line ", n))...)
			}
			for range 20 {
				say()
			}
			if err := s.Tidy(); err != nil {
				t.Fatal(err)
			}
			say()
			if err := take(path); err != nil {
				t.Fatal(err)
			}
			say()
			now = now.Add(lookEvery)
			if err := s.Settle(); err != nil {
				t.Fatal(err)
			}
			say()
			wantLines(t, s, n)
			var inUse *InUseError
			if _, err := OpenSQLite(path, cfg); !errors.As(err, &inUse) {
				t.Errorf("a second store gets %v: want an InUseError", err)
			}
			r, err := OpenReader(path)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := r.Recent("general", 100); err != nil || len(got) != n {
				t.Errorf("a reader finds %d lines, %v: want %d", len(got), err, n)
			}
			if res, err := s.Search(t.Context(), "general", "line", Cursor{}, 50); err != nil || len(res.Hits) != n {
				t.Errorf("a search finds %d lines, %v: want %d", len(res.Hits), err, n)
			}
			if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("the file is %v, %v: want it to be its owner's alone", info.Mode(), err)
			}
			s.dies()
			s2 := openAt(t, path, cfg)
			wantLines(t, s2, n)
			if s2.Run() != s.Run() {
				t.Errorf("the run is %d, and was %d", s2.Run(), s.Run())
			}
			if err := errors.Join(r.Close(), s2.Close()); err != nil {
				t.Error(err)
			}
		})
	}
}

// As long as there is no place to write the file again it is told what is wrong, all goes on, and nothing is lost in
// the end.
func TestAFileWhoseDirectoryIsTakenAway(t *testing.T) {
	now := time.Now()
	dir := filepath.Join(t.TempDir(), "profile")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "history.db")
	s := openAt(t, path, Config{now: func() time.Time { return now }})
	mustAppend(t, s, said("general", 1, 1, 1, "line 1")...)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	now = now.Add(lookEvery)
	if err := s.Tidy(); err == nil || !strings.Contains(err.Error(), "deleted, moved or replaced") || !strings.Contains(err.Error(), path) {
		t.Errorf("without its directory the error is %v", err)
	}
	mustAppend(t, s, said("general", 1, 2, 2, "line 2")...)
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	now = now.Add(lookEvery)
	if err := s.Tidy(); err != nil {
		t.Errorf("with a directory: %v", err)
	}
	s.dies()
	s2 := openAt(t, path, Config{})
	wantLines(t, s2, 2)
	if err := s2.Close(); err != nil {
		t.Error(err)
	}
}

// Another program that locks the file holds the store up once, and the store goes on when it has ended.
func TestAFileThatAnotherProgramHasLocked(t *testing.T) {
	now := time.Now()
	path := filepath.Join(t.TempDir(), "history.db")
	s := openAt(t, path, Config{now: func() time.Time { return now }})
	mustAppend(t, s, said("general", 1, 1, 1, "line 1")...)
	mustAppend(t, s, said("general", 1, 2, 2, "line 2")...) // into the journal
	other, err := connect(path, "")
	if err != nil {
		t.Fatal(err)
	}
	if err := other.exec(sqlBegin); err != nil {
		t.Fatal(err)
	}
	if err := s.Settle(); err == nil || !strings.Contains(err.Error(), "end the program") {
		t.Errorf("the error is %v: want one that says what to do", err)
	}
	if !s.hurried {
		t.Error("the next call would wait as well")
	}
	if err := s.Settle(); err != nil {
		t.Errorf("right after that it is tried again, and gives %v", err)
	}
	if err := s.Append(said("general", 1, 3, 3, "line 3", "line 4")); err == nil || !strings.Contains(err.Error(), "end the program") {
		t.Errorf("an append gives %v: want an error that says what to do", err)
	}
	if err := other.exec(sqlRollback); err != nil {
		t.Fatal(err)
	}
	now = now.Add(settleAgain)
	if err := s.Settle(); err != nil || s.hurried {
		t.Errorf("when the other has ended: %v, in a hurry still: %v", err, s.hurried)
	}
	mustAppend(t, s, said("general", 1, 3, 3, "line 3", "line 4")...)
	wantLines(t, s, 4)
	if err := errors.Join(other.close(), s.Close()); err != nil {
		t.Error(err)
	}
}

// A file that was written again, could not be opened at once, and is gone when that is tried again: an empty one would
// be begun, in which the numbers of all logs are free.
func TestAFileThatIsTakenAwayBeforeItIsOpenedAgainKeepsItsNumbers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.db")
	told := 0
	s := openAt(t, path, Config{NewIdentity: true, OnDamage: func(*CorruptError) { told++ }})
	run := s.Run()
	for i := range uint64(20) {
		mustAppend(t, s, said("general", 1, i+1, i+1, fmt.Sprint("line ", i+1))...)
	}
	s.lost = &lostFile{cause: errors.New("it was written again"), run: s.run, whole: true}
	if err := s.release(); err != nil {
		t.Fatal(err)
	}
	for _, suffix := range []string{"", walSuffix, shmSuffix, journalSuffix} {
		if err := os.Remove(path + suffix); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
	}
	if err := s.Append(said("general", 1, 1, 21, "a number that was used")); err == nil {
		t.Error("event 1 is taken twice")
	}
	mustAppend(t, s, said("general", 1, 21, 21, "line 21")...)
	heads, lamport, err := s.Heads("general")
	if err != nil || len(heads) != 1 || heads[0].Seq != 21 || heads[0].Base != 20 || lamport != 21 {
		t.Errorf("the log goes to %v, clock %d, %v: want one from 21 to 21", heads, lamport, err)
	}
	if told != 1 || s.Run() != run {
		t.Errorf("told %d times, and the run is %d: want once, and %d as before", told, s.Run(), run)
	}
}
