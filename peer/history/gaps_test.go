package history

import (
	"path/filepath"
	"slices"
	"testing"

	"peerchat/peer/wire"
)

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
		got, err := r.Gaps("general", events)
		if err != nil || !slices.Equal(got, gaps) {
			t.Errorf("%s: the gaps are %v, %v: want %v", what, got, err, gaps)
		}
	}
	want("in a room that is not there", a[:1], 0)
	mustAppend(t, s, a[:3]...)
	for _, rebase := range []struct {
		of []wire.Event
		to uint64
	}{{a, 5}, {b, 2}} {
		if err := s.Rebase("general", logOf(&rebase.of[0]), rebase.to); err != nil {
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
