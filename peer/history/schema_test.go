//go:build !race

package history

import (
	"bytes"
	"context"
	"database/sql/driver"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"peerchat/peer/wire"
)

// fromSQL makes a file of an older schema from its text.
func fromSQL(t *testing.T, name string) (path string) {
	t.Helper()
	sql, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), "history.db")
	d, err := connect(path, "")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(d.query("PRAGMA journal_mode = WAL", nil), d.script(string(sql)), d.close()); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestAFileOfSchema1IsBroughtUpToDate(t *testing.T) {
	path := fromSQL(t, "schema1.sql")
	if _, err := OpenReader(path); err == nil || !strings.Contains(err.Error(), "older version") {
		t.Errorf("a reader says %v: want it to say that the file is of an older version", err)
	}
	a, b, dev := batch(t, "general", 1, 1, 1, 3), batch(t, "general", 2, 1, 2, 2), batch(t, "dev", 1, 1, 7, 1)
	late := batch(t, "general", 2, 11, 20, 1)
	last := batch(t, "general", 1, 4, 21, 1)
	// The one that was in the journal when the program was replaced.
	journaled := batch(t, "general", 1, 5, 22, 1)
	if err := os.WriteFile(path+journalSuffix, appendRecord(nil, &journaled[0]), 0o600); err != nil {
		t.Fatal(err)
	}
	s := openAt(t, path, Config{})
	defer s.Close()
	if s.Run() != 0 {
		t.Error("the author of a file with logs begins anew")
	}
	for range 2 {
		wantHead(t, s, "general", 1, 0, 5, 22)
		wantHead(t, s, "general", 2, 10, 11, 22)
		got, err := s.Range("general", a[0].Author, 1, 100, 100)
		same(t, "the first log", got, err, append(append(append([]wire.Event{}, a...), last...), journaled...)...)
		got, err = s.Range("general", b[0].Author, 1, 100, 100)
		same(t, "the log that was rebased", got, err, late...)
		got, err = s.Recent("dev", 10)
		same(t, "the other room", got, err, dev...)
		if got, err := s.Recent("general", 10); err != nil || len(got) != 8 {
			t.Errorf("%d events are shown, %v: want 8", len(got), err)
		}
		res, err := s.Search(context.Background(), "general", "line", Cursor{}, 10)
		if err != nil || len(res.Hits) != 8 {
			t.Errorf("%d are found, %v: want 8", len(res.Hits), err)
		}
		if err := s.Tidy(); err != nil {
			t.Fatal(err)
		}
		s = reopened(t, s, path)
	}
	var vacuum int64
	if err := s.query("PRAGMA auto_vacuum", first(&vacuum)); err != nil || vacuum != 2 {
		t.Errorf("auto_vacuum is %d, %v: want 2, so that the file can shrink", vacuum, err)
	}
	fresh := openAt(t, filepath.Join(t.TempDir(), "history.db"), Config{})
	defer fresh.Close()
	old, err := s.schemaSum()
	if made, err2 := fresh.schemaSum(); err != nil || err2 != nil || old != made {
		t.Errorf("the tables of a file that was brought up to date differ from those of a new one: %v, %v", err, err2)
	}
}

func TestAnEmptyFileOfSchema1MayBeInPlaceOfALostOne(t *testing.T) {
	path := fromSQL(t, "schema1.sql")
	d, err := connect(path, "")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(d.script("DELETE FROM rooms; DELETE FROM authors; DELETE FROM logs; DELETE FROM events"), d.close()); err != nil {
		t.Fatal(err)
	}
	s := openAt(t, path, Config{})
	defer s.Close()
	if s.Run() == 0 {
		t.Error("its author goes on where it may have been: want it to begin anew")
	}
}

// In schema 2 an author had one log, which began anew far beyond when it was lost.
func TestAFileOfSchema2IsBroughtUpToDate(t *testing.T) {
	path := fromSQL(t, "schema2.sql")
	s := openAt(t, path, Config{})
	defer s.Close()
	run := s.Run()
	if now := wire.RunAt(time.Now()); run == 0 || run > now {
		t.Errorf("a file that was begun in place of a lost one has run %d: want one up to %d", run, now)
	}
	const far = 1790000000000
	b, c := wire.IDOf(testKey(2)), wire.IDOf(testKey(3))
	for range 2 {
		heads, _, err := s.Heads("general")
		want := []wire.Head{{Author: wire.IDOf(testKey(1)), Seq: 3}, {Author: b, Seq: 2}, {Author: b, Base: far, Seq: far + 2},
			{Author: c, Base: 4, Seq: 6}, {Author: c, Base: far, Seq: far}}
		slices.SortFunc(want, func(a, b wire.Head) int { return a.Log().Compare(b.Log()) })
		if err != nil || !slices.Equal(heads, want) {
			t.Errorf("the heads are %v, %v: want %v", heads, err, want)
		}
		got, err := s.Range("general", b, 1, 100, 100)
		wantTexts(t, "what was given up", got, err, "old one", "old two")
		got, err = s.Range("general", b, far, far+100, 100)
		wantTexts(t, "what came after it", got, err, "new one", "new two")
		got, err = s.Range("general", c, 1, 100, 100)
		wantTexts(t, "the last part of what was given up", got, err, "e", "f")
		if n := s.Hole("general", wire.LogID{Author: c}); n != 2 {
			t.Errorf("before that %d are missing: want 2", n)
		}
		got, err = s.Recent("general", 100)
		wantTexts(t, "the room", got, err, "one", "two", "three", "old one", "old two", "new one", "new two", "a", "b", "e", "f")
		s = reopened(t, s, path)
		if s.Run() != run {
			t.Errorf("opened again it has run %d: want %d", s.Run(), run)
		}
	}
	if err := s.Prepend(said("general", 3, 3, 9, "c", "d")); err != nil {
		t.Error(err)
	}
	mustAppend(t, s, said("general", 2, 3, 20, "old three")...)
	got, err := s.Range("general", c, 1, 100, 100)
	wantTexts(t, "a log that was filled", got, err, "a", "b", "c", "d", "e", "f")
}

// In schema 3 the index had the events by room and clock, and one of them could be in it or wait.
func TestAFileOfSchema3IsBroughtUpToDate(t *testing.T) {
	path := fromSQL(t, "schema3.sql")
	s := openAt(t, path, Config{now: func() time.Time { return time.UnixMilli(1_800_000_000_000) }})
	defer func() { _ = s.Close() }()
	second := []string{"two lines", "late line"} // with one Lamport clock; the latter's author is a year behind, so these and the first are
	if a, b := wire.IDOf(testKey(1)), wire.IDOf(testKey(2)); b.Less(a) {
		slices.Reverse(second)
	}
	general := append(append([]string{"one line"}, second...), "three lines", "fourth line", "last line")
	slices.Reverse(second)
	for range 2 {
		wantHead(t, s, "general", 1, 0, 3, 5)
		wantHead(t, s, "general", 2, 3, 5, 5)
		got, err := s.Recent("general", 10)
		wantTexts(t, "the room", got, err, general...)
		got, err = s.Recent("dev", 10)
		wantTexts(t, "the other room", got, err, "dev line one", "dev line two", "line of a machine")
		wantTexts(t, "a search of both", pages(t, s, "line*", 3), nil,
			append(append([]string{"last line", "fourth line", "three lines", "dev line two", "dev line one"}, second...), "one line")...)
		for s.waiting > 0 {
			if err := s.Tidy(); err != nil {
				t.Fatal(err)
			}
		}
		mustTell(t, s)
		s = reopened(t, s, path)
	}
	fresh := openAt(t, filepath.Join(t.TempDir(), "history.db"), Config{})
	defer fresh.Close()
	old, err := s.schemaSum()
	if made, err2 := fresh.schemaSum(); err != nil || err2 != nil || old != made {
		t.Errorf("the tables of a file that was brought up to date differ from those of a new one: %v, %v", err, err2)
	}
}

// In schema 4 a hole was known as long as something was held on either side of it.
func TestAFileOfSchema4IsBroughtUpToDate(t *testing.T) {
	path := fromSQL(t, "schema4.sql")
	cfg := Config{Limits: Limits{Events: 4}}
	s := openAt(t, path, cfg)
	defer func() { _ = s.Close() }()
	a, b := logOf(&said("general", 1, 9, 9, "")[0]), logOf(&said("general", 2, 3, 4, "")[0])
	want := func(what string, gaps ...uint64) {
		t.Helper()
		events, err := s.Recent("general", 100)
		if err != nil {
			t.Fatal(err)
		}
		wantGaps(t, what, path, events, gaps...)
		if n, m := s.Hole("general", a), s.Hole("general", b); n != 2 || m != 0 {
			t.Errorf("%s: %d and %d are missing before the logs: want 2, and 0 as nothing was ever held before", what, n, m)
		}
	}
	want("as it was", 0, 0, 0, 0, 2, 0, 2) // a1 a2 b2 b3 a5 a6 a9
	mustAppend(t, s, said("general", 2, 4, 10, "b four")...)
	want("pruned", 2, 0, 2, 0) // a5 a6 a9 b4
	s = reopened(t, s, path)
	want("opened again", 2, 0, 2, 0)
	fresh := openAt(t, filepath.Join(t.TempDir(), "history.db"), Config{})
	defer fresh.Close()
	old, err := s.schemaSum()
	if made, err2 := fresh.schemaSum(); err != nil || err2 != nil || old != made {
		t.Errorf("the tables of a file that was brought up to date differ from those of a new one: %v, %v", err, err2)
	}
}

// mustTell checks what SQLite can say of the index of words: that it is whole, and that nothing else is in it.
func mustTell(t *testing.T, s *SQLite) {
	t.Helper()
	if err := s.script("INSERT INTO words (words) VALUES ('integrity-check')"); err != nil {
		t.Errorf("the index is not whole: %v", err)
	}
	var indexed, spoken int64
	if err := errors.Join(s.query("SELECT count(*) FROM words_docsize", first(&indexed)),
		s.query("SELECT count(*) FROM words_docsize WHERE id IN (SELECT second << 32 | doc FROM events)", first(&spoken))); err != nil || indexed != spoken {
		t.Errorf("the index has %d events, of which %d are in the file, %v", indexed, spoken, err)
	}
}

// wantCorrupt damages a file by SQL and fails the test unless that is noticed when it is opened.
func wantCorrupt(t *testing.T, what, path, damage string) {
	t.Helper()
	d, err := connect(path, "")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(d.script(damage), d.close()); err != nil {
		t.Fatal(err)
	}
	_, err = OpenSQLite(path, Config{})
	var corrupt *CorruptError
	if !errors.As(err, &corrupt) {
		t.Errorf("%s: open gave %v: want a CorruptError", what, err)
	}
}

func TestADamagedRowIsNotTakenOver(t *testing.T) {
	for file, damage := range map[string]string{
		"schema2.sql": "UPDATE logs SET head = 1",
		"schema3.sql": "UPDATE events SET data = x'00' WHERE seq = 2",
	} {
		path := fromSQL(t, file)
		wantCorrupt(t, file, path, damage)
	}
}

func TestADamagedFileOfSchema1IsSetAside(t *testing.T) {
	path := fromSQL(t, "schema1.sql")
	d, err := connect(path, "")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(d.script("UPDATE events SET data = x'00' WHERE seq = 2"), d.close()); err != nil {
		t.Fatal(err)
	}
	_, err = OpenSQLite(path, Config{})
	var corrupt *CorruptError
	if !errors.As(err, &corrupt) {
		t.Errorf("open gave %v: want a CorruptError", err)
	}
}

func TestAReaderOfANewerFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.db")
	s := openAt(t, path, Config{})
	if err := errors.Join(s.script("PRAGMA user_version = 99"), s.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenReader(path); err == nil || !strings.Contains(err.Error(), "newer version") {
		t.Errorf("a reader says %v: want it to say that the file is of a newer version", err)
	}
}

// TestNoQueryReadsATable checks that each statement that runs often finds its rows by an index.
func TestNoQueryReadsATable(t *testing.T) {
	s := openAt(t, filepath.Join(t.TempDir(), "history.db"), Config{})
	defer s.Close()
	mustAppend(t, s, said("general", 1, 1, 1, "a", "b")...)
	for name, q := range map[string]struct {
		sql  string
		args int
		sort bool // some columns are sorted, within one Lamport clock
	}{
		"range": {sqlRange, 5, false}, "before": {sqlBefore, 4, true}, "after": {sqlAfter, 4, true}, "from": {sqlFrom, 4, true},
		"oldest": {sqlOldest, 1, true}, "below": {sqlBelow, 4, false}, "next held": {sqlNextHeld, 4, false}, "held": {sqlHeld, 4, false}, "unwait": {sqlUnwait, 4, false},
		"unindex": {sqlUnindex, 4, false}, "prune": {sqlPrune, 4, false}, "head": {sqlHead, 4, false}, "hole": {sqlGap, 3, false}, "fill": {sqlFill, 3, false}, "clock": {sqlClock, 1, false},
		"last": {sqlLast, 0, false}, "by doc": {sqlByDoc, 1, false}, "next waiting": {sqlNextWaiting, 1, false}, "scan": {sqlScan, 3, false}, "up to": {sqlUpTo, 2, false},
		"above": {sqlAbove, 2, false}, "match": {sqlMatch, 2, false}, "back": {sqlBack, 3, false},
	} {
		args := []driver.Value{int64(1), int64(1), int64(1), int64(1), int64(1)}[:q.args]
		if err := s.query("EXPLAIN QUERY PLAN "+q.sql, func(row []driver.Value) error {
			step := str(row[3])
			wrong := strings.HasPrefix(step, "SCAN") && !strings.HasPrefix(step, "SCAN w") && !strings.Contains(step, "words VIRTUAL TABLE") ||
				strings.HasPrefix(step, "USE TEMP B-TREE FOR ORDER BY") || strings.Contains(step, "TEMP B-TREE") && !q.sort
			if wrong {
				t.Errorf("%s: %s", name, step)
			}
			return nil
		}, args...); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTheFileStaysBelowItsLimitAndShrinks(t *testing.T) {
	limits := Limits{Events: -1, Room: 2 << 20, File: 4 << 20}
	path := filepath.Join(t.TempDir(), "history.db")
	s := openAt(t, path, Config{Limits: limits})
	defer s.Close()
	size := func() int64 {
		t.Helper()
		if err := s.query("PRAGMA wal_checkpoint(TRUNCATE)", nil); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	talk, seq := newSpeech(), map[wire.Room]uint64{}
	most := int64(0)
	for i := range 160 {
		room := wire.Room([]string{"short", "long", "words", "wörter"}[i%4])
		var lines []string
		for range 20 {
			switch room {
			case "short":
				lines = append(lines, "ok")
			case "long":
				lines = append(lines, strings.Repeat(talk.text()+" ", 30))
			case "words":
				lines = append(lines, talk.text())
			default:
				lines = append(lines, strings.Repeat("文字 ", 100))
			}
		}
		mustAppend(t, s, said(room, 1, seq[room]+1, seq[room]+1, lines...)...)
		seq[room] += 20
		for s.waiting > 0 {
			if err := s.Tidy(); err != nil {
				t.Fatal(err)
			}
		}
		most = max(most, size())
	}
	if most > limits.File {
		t.Errorf("the file had %d bytes: want at most %d", most, limits.File)
	}
	if most < limits.File/4 {
		t.Errorf("the file had %d bytes at most, though it may have %d", most, limits.File)
	}
	s.cfg.Limits.Room = 100 << 10
	for room := range seq {
		mustAppend(t, s, said(room, 1, seq[room]+1, seq[room]+1, "last")...)
	}
	if err := s.Settle(); err != nil {
		t.Fatal(err)
	}
	for range 50 {
		if err := s.Tidy(); err != nil {
			t.Fatal(err)
		}
	}
	if now := size(); now > most/2 {
		t.Errorf("after most of it was pruned the file has %d bytes: want less than half of %d", now, most)
	}
	var b bytes.Buffer
	if err := s.Export(context.Background(), io.MultiWriter(&b), "", FormatText); err != nil || !strings.Contains(b.String(), "last") {
		t.Errorf("export: %v", err)
	}
}
