//go:build !race

package history

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"peerchat/peer/wire"
)

// filled makes a closed history of three authors in two rooms, some of it in the index, and returns what is in it.
func filled(t *testing.T, path string) []wire.Event {
	t.Helper()
	s := openAt(t, path, Config{NewIdentity: true})
	var all []wire.Event
	for author := range byte(3) {
		var lines []string
		for i := range 150 {
			lines = append(lines, fmt.Sprintf("line %d of author %d, with some more words so that it fills a page", i, author))
		}
		all = append(all, said("general", author+1, 1, uint64(author)*10+1, lines...)...)
	}
	all = append(all, said("dev", 1, 1, 1, "something else")...)
	mustAppend(t, s, all...)
	if err := s.Rebase("pruned", wire.LogID{Author: wire.IDOf(testKey(1))}, 77, 0); err != nil {
		t.Fatal(err)
	}
	for s.waiting > 100 {
		if _, err := s.index(100); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(all, func(a, b wire.Event) int { return order(&a, &b) })
	return all
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func writeFile(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// copyHistory copies a closed history to a place of its own.
func copyHistory(t *testing.T, path string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "history.db")
	writeFile(t, to, readFile(t, path))
	writeFile(t, to+journalSuffix, readFile(t, path+journalSuffix))
	return to
}

func wantAside(t *testing.T, path string, want int) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	got := 0
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), filepath.Base(path)+asideSuffix) && strings.HasSuffix(e.Name(), "Z") {
			got++
		}
	}
	if got != want {
		t.Errorf("%d files are set aside: want %d", got, want)
	}
}

func TestDamageIsFoundAtTheStart(t *testing.T) {
	source := filepath.Join(t.TempDir(), "history.db")
	filled(t, source)
	whole := readFile(t, source)
	for what, spoil := range map[string]func(path string){
		"no database":       func(path string) { writeFile(t, path, bytes.Repeat([]byte("this is no database\n"), 100)) },
		"cut in the middle": func(path string) { writeFile(t, path, whole[:len(whole)/2]) },
		"cut to a byte":     func(path string) { writeFile(t, path, whole[:1]) },
		"zero length":       func(path string) { writeFile(t, path, nil) },
		"gone, but for SQLite's journal": func(path string) {
			writeFile(t, path+walSuffix, []byte("left over"))
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		},
		"zeros inside": func(path string) {
			b := bytes.Clone(whole)
			clear(b[len(b)/4 : len(b)/2])
			writeFile(t, path, b)
		},
		"a database of another program": func(path string) {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			d, err := connect(path, "")
			if err := errors.Join(err, d.script("CREATE TABLE other (x)"), d.close()); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(what, func(t *testing.T) {
			path := copyHistory(t, source)
			mustNote(t, path)
			spoil(path)
			s, err := OpenSQLite(path, Config{})
			var corrupt *CorruptError
			if s != nil || !errors.As(err, &corrupt) {
				t.Fatalf("open gave %v, %v: want a CorruptError", s, err)
			}
			if _, err := os.Stat(corrupt.Aside); err != nil || !strings.HasPrefix(corrupt.Aside, path+asideSuffix) {
				t.Errorf("the file is not at %s: %v", corrupt.Aside, err)
			}
			wantAside(t, path, 1)
			s = openAt(t, path, Config{}) // the second time there is a new one
			defer s.Close()
			if rooms, _ := s.Rooms(); len(rooms) > 0 || s.Run() == 0 {
				t.Errorf("the new history has rooms %v, run %d: want none, and a run of its own", rooms, s.Run())
			}
			mustAppend(t, s, said("general", 1, 1, 1, "on we go")...)
		})
	}
}

// mustNote leaves a line in the journal beside the file at path, as every history that was in use has one.
func mustNote(t *testing.T, path string) {
	t.Helper()
	writeFile(t, path+journalSuffix, appendRecord(nil, &said("general", 1, 1, 1, "noted")[0]))
}

func TestOldDamagedFilesGo(t *testing.T) {
	path := filepath.Join(t.TempDir(), "odd [name]?*")
	var corrupt *CorruptError
	for range keptAside + 2 {
		writeFile(t, path, []byte("no database"))
		writeFile(t, path+walSuffix, []byte("left over"))
		if _, err := OpenSQLite(path, Config{}); !errors.As(err, &corrupt) {
			t.Fatalf("open gave %v: want a CorruptError", err)
		}
	}
	wantAside(t, path, keptAside)
	if b := readFile(t, corrupt.Aside); string(b) != "no database" {
		t.Errorf("the last one is gone: %q", b)
	}
	entries, _ := os.ReadDir(filepath.Dir(path))
	if len(entries) > 2*keptAside+1 { // and the lock; SQLite may have removed its journals
		t.Errorf("%d files are left: %v", len(entries), entries)
	}
}

func TestWhatCannotBeOpenedIsLeftAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.db")
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	var corrupt *CorruptError
	if _, err := OpenSQLite(path, Config{}); err == nil || errors.As(err, &corrupt) || !strings.Contains(err.Error(), "no file") {
		t.Errorf("to open a directory gives %v", err)
	}
	if _, err := OpenReader(path); err == nil || !strings.Contains(err.Error(), "no file") {
		t.Errorf("to read a directory gives %v", err)
	}
	if _, err := OpenSQLite(filepath.Join(path, "nowhere", "history.db"), Config{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("to open a file in no directory gives %v", err)
	}
	if _, err := OpenReader(filepath.Join(path, "history.db")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("to read a file that is not there gives %v", err)
	}
	wantAside(t, path, 0)
}

// TestFlippedBytes spoils a few bytes of a file, each time others, and reads all that is in it: what is read is what
// was written, and no head is lower than it was, or the damage was found.
func TestFlippedBytes(t *testing.T) {
	source := filepath.Join(t.TempDir(), "history.db")
	all := filled(t, source)
	var general, dev []wire.Event
	for _, e := range all {
		if e.Room == "dev" {
			dev = append(dev, e)
		} else {
			general = append(general, e)
		}
	}
	whole := readFile(t, source)
	rounds, found := 60, map[string]int{}
	if testing.Short() {
		rounds = 15
	}
	for round := range rounds {
		r := rand.New(rand.NewPCG(uint64(round), 7))
		path := copyHistory(t, source)
		b := bytes.Clone(whole)
		at := r.IntN(len(b))
		if round%5 == 0 {
			at = r.IntN(2 * 4096) // where the schema is
		}
		for range 1 + r.IntN(8) {
			b[at] ^= byte(1 + r.IntN(255))
			at = min(at+1+r.IntN(3), len(b)-1)
		}
		writeFile(t, path, b)
		var damage *CorruptError
		s, err := OpenSQLite(path, Config{OnDamage: func(e *CorruptError) { damage = e }})
		if err != nil {
			if !errors.As(err, &damage) && !strings.Contains(err.Error(), "newer version") {
				t.Errorf("round %d, byte %d: open gave %v", round, at, err)
			}
			found["at the start"]++
			continue
		}
		for room, want := range map[wire.Room][]wire.Event{"general": general, "dev": dev} {
			got, err := s.Recent(room, 1000)
			if err != nil {
				t.Errorf("round %d, byte %d: %v", round, at, err)
			}
			if damage == nil {
				same(t, fmt.Sprintf("round %d, byte %d", round, at), got, err, want...)
			}
			if _, err := s.Search(context.Background(), room, "line 7*", Cursor{}, 10); err != nil {
				t.Errorf("round %d, byte %d: search: %v", round, at, err)
			}
			for author := range byte(3) {
				if _, err := s.Range(room, wire.IDOf(testKey(author+1)), 1, 1000, 1000); err != nil {
					t.Errorf("round %d, byte %d: %v", round, at, err)
				}
			}
		}
		for author := range byte(3) {
			heads, _, _ := s.Heads("general")
			i := slices.IndexFunc(heads, func(h wire.Head) bool { return h.Author == wire.IDOf(testKey(author+1)) })
			if i < 0 || heads[i].Seq < 150 {
				t.Errorf("round %d, byte %d: the log of %d is lost without a word: %v", round, at, author+1, heads)
			} else if seq := heads[i].Seq + 1; seq < 1000 {
				mustAppend(t, s, said("general", author+1, seq, 1000, "on we go")...)
			}
		}
		if heads, _, _ := s.Heads("pruned"); len(heads) != 1 || heads[0].Seq < 77 {
			t.Errorf("round %d, byte %d: a log without events is lost: %v", round, at, heads)
		}
		if err := errors.Join(s.Tidy(), s.Close()); err != nil {
			t.Errorf("round %d, byte %d: %v", round, at, err)
		}
		if damage != nil {
			found["at run time"]++
		} else {
			found["to do no harm"]++
		}
	}
	t.Logf("spoilt bytes were found %v", found)
}

// spoilt is a store whose file was damaged while it was open.
func spoilt(t *testing.T, path string, cfg Config, spoil func([]byte)) *SQLite {
	t.Helper()
	s := openAt(t, path, cfg)
	t.Cleanup(func() { _ = s.Close() })
	if err := errors.Join(s.query("PRAGMA wal_checkpoint(TRUNCATE)", nil), s.query("PRAGMA cache_size = 0", nil), s.query("PRAGMA shrink_memory", nil)); err != nil {
		t.Fatal(err)
	}
	b := readFile(t, path)
	spoil(b)
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err == nil {
		_, err = f.WriteAt(b, 0)
	}
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestDamageIsFoundAtRunTime(t *testing.T) {
	for what, do := range map[string]func(*SQLite) error{
		"reading": func(s *SQLite) error {
			_, err := s.Recent("general", 1000)
			return err
		},
		"reading a log": func(s *SQLite) error {
			_, err := s.Range("general", wire.IDOf(testKey(1)), 1, 1000, 1000)
			return err
		},
		"searching": func(s *SQLite) error {
			_, err := s.Search(context.Background(), "general", "line", Cursor{}, 500)
			return err
		},
		"storing": func(s *SQLite) error {
			for i := range 3 {
				for author := range byte(3) {
					if err := s.Append(said("general", author+1, uint64(151+40*i), uint64(300+i), make([]string, 40)...)); err != nil {
						return err
					}
				}
			}
			return nil
		},
		"pruning":  func(s *SQLite) error { return s.prune("general", s.rooms["general"], 10, 1<<40) },
		"tidying":  func(s *SQLite) error { return errors.Join(s.Tidy(), s.Tidy()) },
		"settling": func(s *SQLite) error { return s.Settle() },
	} {
		t.Run(what, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "history.db")
			filled(t, path)
			var told []*CorruptError
			s := spoilt(t, path, Config{OnDamage: func(e *CorruptError) { told = append(told, e) }}, func(b []byte) { clear(b[4096:]) })
			if what == "pruning" { // it has no guard of its own
				err := s.guard(func() error { return do(s) })
				if err != nil {
					t.Errorf("%s fails: %v", what, err)
				}
			} else {
				mustAppend(t, s, said("general", 2, 151, 500, "in the journal")...)
				if what == "storing" {
					_ = s.Append(nil)
				} else if err := do(s); err != nil {
					t.Errorf("%s fails: %v", what, err)
				}
			}
			if what == "storing" {
				if err := s.Append(said("general", 1, 151, 501, "one", "two")); err != nil {
					t.Errorf("%s fails: %v", what, err)
				}
			}
			if len(told) != 1 {
				t.Fatalf("the damage was told %d times: want once", len(told))
			}
			if _, err := os.Stat(told[0].Aside); err != nil || told[0].Path != path {
				t.Errorf("the file is not where it should be: %v", err)
			}
			if what != "pruning" {
				got, err := s.Recent("general", 100)
				if err != nil || !slices.Contains(texts(got), "in the journal") {
					t.Errorf("what was not settled is lost: %q, %v", texts(got), err)
				}
			}
			next := uint64(151)
			if what == "storing" {
				next = 153
			}
			mustAppend(t, s, said("general", 1, next, 600, "on we go")...)
			if s.Append(said("general", 3, 1, 1, "from the start")) == nil {
				t.Error("a number was used twice")
			}
			s2 := reopened(t, s, path)
			wantHead(t, s2, "general", 1, next-1-map[bool]uint64{true: 2}[what == "storing"], next, 600)
			wantHead(t, s2, "general", 3, 150, 150, 600)
			wantHead(t, s2, "pruned", 1, 77, 77, 0)
			if s2.Run() != 0 {
				t.Error("the new file is fresh, though no number was lost")
			}
			wantAside(t, path, 1)
		})
	}
}

func reopened(t *testing.T, s *SQLite, path string) *SQLite {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	again := openAt(t, path, Config{})
	t.Cleanup(func() { _ = again.Close() })
	return again
}

func TestADamagedIndexIsMadeAnew(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.db")
	all := filled(t, path)
	s := openAt(t, path, Config{OnDamage: func(e *CorruptError) { t.Errorf("more than the index is damaged: %v", e) }})
	defer s.Close()
	for i, spoil := range []string{"UPDATE words_data SET block = x'00ff00ff00ff00ff00ff00ff00ff' WHERE id > 10", "DELETE FROM words_data WHERE id > 1"} {
		if err := s.script(spoil); err != nil {
			t.Fatal(err)
		}
		if i > 0 {
			s = reopened(t, s, path)
		}
		for range 2 {
			res, err := s.Search(context.Background(), "general", "author line", Cursor{}, 500)
			if err != nil || len(res.Hits) != 450 {
				t.Fatalf("%s: %d are found, %v: want 450", spoil, len(res.Hits), err)
			}
			for s.waiting > 0 {
				if err := s.Tidy(); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	got, err := s.Recent("general", 1000)
	if err != nil || len(got) != len(all)-1 {
		t.Errorf("%d events are left, %v: want %d", len(got), err, len(all)-1)
	}
}

func TestAReaderTellsOfDamage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.db")
	filled(t, path)
	b := readFile(t, path)
	clear(b[4096:])
	writeFile(t, path, b)
	err := ReadHistory(path, func(v View) error { return v.Export(context.Background(), io.Discard, "", FormatText) })
	var corrupt *CorruptError
	if !errors.As(err, &corrupt) || corrupt.Aside != "" {
		t.Errorf("the reader says %v: want a CorruptError, and nothing moved", err)
	}
	wantAside(t, path, 0)
}

func TestAReaderFollowsToTheNewFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.db")
	filled(t, path)
	s := spoilt(t, path, Config{}, func(b []byte) { clear(b[4096:]) })
	r, err := OpenReader(path)
	if err != nil {
		t.Fatalf("open a reader of a file whose first page is whole: %v", err)
	}
	defer r.Close()
	mustAppend(t, s, said("general", 1, 151, 500, "one", "two")...)
	got, err := r.Recent("general", 10)
	wantTexts(t, "the reader", got, err, "one", "two")
}

func TestWhoseHistoryWasLostBeginsANewRun(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.db")
	check := func(what string, cfg Config) uint32 {
		t.Helper()
		s := openAt(t, path, cfg)
		defer s.Close()
		return s.Run()
	}
	if run := check("the first file of a new identity", Config{NewIdentity: true}); run != 0 {
		t.Errorf("the first file of a new identity has run %d: want 0", run)
	}
	if run := check("a file that is there", Config{}); run != 0 {
		t.Errorf("a file that was closed empty has run %d: want 0", run)
	}
	if err := errors.Join(os.Remove(path), os.Remove(path+journalSuffix)); err != nil {
		t.Fatal(err)
	}
	before := wire.RunAt(time.Now())
	run := check("a file in place of a lost one", Config{})
	if after := wire.RunAt(time.Now()); run < before || run > after {
		t.Errorf("a file in place of a lost one has run %d: want the present one, from %d to %d", run, before, after)
	}
	if again := check("one whose process ended before it said anything", Config{}); again != run {
		t.Errorf("opened again it has run %d: want %d", again, run)
	}
	s := openAt(t, path, Config{})
	start := wire.LogID{Run: run}.Start()
	mustAppend(t, s, said("general", 1, 1, 1, "what others had")...)
	mustAppend(t, s, said("general", 1, start+1, 1, "hello", "again")...)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if again := check("one in which something was said", Config{}); again != run {
		t.Errorf("after something was said it has run %d: want %d", again, run)
	}
	writeFile(t, path, nil)
	writeFile(t, path+journalSuffix, nil)
	if again := check("one that was emptied", Config{}); again < run || again == 0 {
		t.Errorf("a file that was emptied has run %d: want %d or a later one", again, run)
	}
	for _, never := range []time.Time{{}, time.UnixMilli(0), time.UnixMilli(1 << 50)} {
		if run := newRun(never); run == 0 || run > 1<<26 {
			t.Errorf("at %v the run is %d: want one from before 2020 was half over", never, run)
		}
	}
}
