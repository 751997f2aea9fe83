//go:build !race

package history

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"testing"

	"peerchat/peer/wire"
)

// wantGaps checks what a reader of the file at path says is missing before events of general.
func wantGaps(t *testing.T, what, path string, events []wire.Event, want ...uint64) {
	t.Helper()
	r, err := OpenReader(path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if got, err := r.Gaps("general", events); err != nil || !slices.Equal(got, want) {
		t.Errorf("%s: the gaps are %v, %v: want %v", what, got, err, want)
	}
}

func TestGapsAreWhatIsMissingBetweenWhatIsHeld(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.db")
	s, err := OpenSQLite(path, Config{})
	if err != nil {
		t.Fatal(err)
	}
	a := said("general", 1, 1, 1, "1", "2", "3", "4", "5", "6", "7", "8", "9")
	b := said("general", 2, 1, 1, "1", "2", "3", "4")
	r, err := OpenReader(path)
	if err != nil {
		t.Fatal(err)
	}
	want := func(what string, events []wire.Event, gaps ...uint64) {
		t.Helper()
		wantGaps(t, what, path, events, gaps...)
	}
	want("in a room that is not there", a[:1], 0)
	mustAppend(t, s, a[:3]...)
	for _, rebase := range []struct {
		of []wire.Event
		to uint64
	}{{a, 5}, {b, 2}} {
		if err := s.Rebase("general", logOf(&rebase.of[0]), rebase.to, 0); err != nil {
			t.Fatal(err)
		}
	}
	mustAppend(t, s, append(slices.Clone(a[5:]), b[2:]...)...)
	want("all that is held", append(slices.Clone(a[:3]), a[5:]...), 0, 0, 0, 2, 0, 0, 0)
	want("a page that begins behind the hole", a[5:7], 2, 0)
	want("a page that begins before it, with one left out", append(slices.Clone(a[1:3]), a[6]), 0, 0, 0)
	want("a log of which nothing is held before that", b[2:], 0, 0)
	if err := s.Prepend(a[4:5]); err != nil {
		t.Fatal(err)
	}
	want("half filled", a[4:6], 1, 0)
	if err := s.Prepend(a[3:4]); err != nil {
		t.Fatal(err)
	}
	want("filled", a[5:6], 0)
	for _, err := range []error{s.Close(), r.Close()} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.Gaps("general", a); err == nil {
		t.Error("a closed reader answers")
	}
}

// What a log has gone on past shows for as long as what comes behind it is held, whatever is held before it.
func TestAHoleStaysWhenWhatCameBeforeItIsPruned(t *testing.T) {
	everyStore(t, Limits{Events: 8}, func(t *testing.T, s *subject) {
		a := said("general", 1, 1, 1, "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15", "16", "17", "18")
		log := logOf(&a[0])
		want := func(what string, base, missing uint64, gaps ...uint64) {
			t.Helper()
			s.reopen(t)
			if b, n := s.Base("general", log), s.Hole("general", log); b != base || n != missing {
				t.Errorf("%s the log begins after %d, and %d before that are missing: want %d and %d", what, b, n, base, missing)
			}
			if events, err := s.Recent("general", 100); err != nil || len(events) != len(gaps) {
				t.Errorf("%s %d events are held, %v: want %d", what, len(events), err, len(gaps))
			} else if s.reader != nil {
				wantGaps(t, what, s.reader.path, events, gaps...)
			}
		}
		mustAppend(t, s, a[:3]...)
		if err := s.Rebase("general", log, 6, 0); err != nil {
			t.Fatal(err)
		}
		mustAppend(t, s, a[6:9]...)
		if err := s.Rebase("general", log, 10, 0); err != nil {
			t.Fatal(err)
		}
		want("gone on twice", 10, 1, 0, 0, 0, 3, 0, 0)
		mustAppend(t, s, a[10:15]...)
		want("pruned up to the first hole", 10, 1, 3, 0, 0, 1, 0, 0, 0, 0)
		mustAppend(t, s, a[15:18]...)
		want("pruned up to the second", 10, 1, 1, 0, 0, 0, 0, 0, 0, 0)
		if err := s.Prepend(a[9:10]); err != nil {
			t.Fatal(err)
		}
		want("filled", 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
	})
}

// Of an author of whom nothing has come before the caller knows what is missing.
func TestALogMayBeginWithAHole(t *testing.T) {
	everyStore(t, Limits{Events: 8}, func(t *testing.T, s *subject) {
		a := said("general", 1, 1, 1, "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15", "16", "17", "18")
		log := logOf(&a[0])
		want := func(what string, events []wire.Event, base uint64, gaps ...uint64) {
			t.Helper()
			s.reopen(t)
			if b, n := s.Base("general", log), s.Hole("general", log); b != base || n != gaps[0] {
				t.Errorf("%s the log begins after %d, and %d before that are missing: want %d and %d", what, b, n, base, gaps[0])
			}
			if s.reader != nil {
				wantGaps(t, what, s.reader.path, events, gaps...)
			}
		}
		if err := s.Rebase("general", log, 5, 3); err != nil {
			t.Fatal(err)
		}
		if err := s.Rebase("general", log, 7, 0); err != nil { // and then it turns out that nobody has the next ones either
			t.Fatal(err)
		}
		mustAppend(t, s, a[7:9]...)
		want("begun", a[7:9], 7, 5, 0)
		if err := s.Prepend(a[5:7]); err != nil {
			t.Fatal(err)
		}
		want("filled in part", a[5:9], 5, 3, 0, 0, 0)
		mustAppend(t, s, a[9:17]...)
		want("pruned with what came behind it", a[9:17], 9, 0, 0, 0, 0, 0, 0, 0, 0)
	})
}

func TestADamagedHoleIsNotBelieved(t *testing.T) {
	for what, damage := range map[string]string{
		"a wrong number": "UPDATE holes SET after = after - 1", "a hole without a log": "UPDATE holes SET author = 77",
		"a hole behind the base": "UPDATE logs SET base = 3, sum = " + fmt.Sprint(sumOf("general", wire.IDOf(testKey(1)), 3, 9)),
	} {
		path := filepath.Join(t.TempDir(), "history.db")
		a := said("general", 1, 1, 1, "1", "2", "3", "4", "5", "6", "7", "8", "9")
		s := openAt(t, path, Config{})
		mustAppend(t, s, a[:3]...)
		if err := s.Rebase("general", logOf(&a[0]), 6, 0); err != nil {
			t.Fatal(err)
		}
		mustAppend(t, s, a[6:]...)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		wantCorrupt(t, what, path, damage)
	}
}

// A file that is begun in place of a damaged one knows of the holes, whose lines nobody sends again.
func TestHolesOutliveDamage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.db")
	a := said("general", 1, 1, 1, "1", "2", "3", "4", "5", "6", "7", "8", "9")
	s := openAt(t, path, Config{})
	defer func() { _ = s.Close() }()
	mustAppend(t, s, a[:3]...)
	if err := s.Rebase("general", logOf(&a[0]), 6, 0); err != nil {
		t.Fatal(err)
	}
	mustAppend(t, s, a[6:]...)
	if err := s.replace(&damageError{err: errors.New("so this test says")}); err != nil {
		t.Fatal(err)
	}
	if err := s.Prepend(a[6:]); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if n := s.Hole("general", logOf(&a[0])); n != 3 {
			t.Errorf("when the lines are back %d are missing before them: want 3", n)
		}
		wantGaps(t, "when the lines are back", path, a[6:], 3, 0, 0)
		s = reopened(t, s, path)
	}
}
