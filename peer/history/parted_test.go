//go:build !race

package history

import (
	"errors"
	"testing"

	"peerchat/peer/wire"
)

func TestAPartedLogIsFoundAgain(t *testing.T) {
	everyStore(t, Limits{}, func(t *testing.T, s *subject) {
		a := said("general", 1, 1, 1, "1", "2", "3", "4", "5", "6", "7")
		log := logOf(&a[0])
		want := func(what string, base, missing uint64) {
			t.Helper()
			if b, got := s.Base("general", log), s.Hole("general", log); b != base || got != missing {
				t.Errorf("%s the log begins after %d, and %d before that are missing: want %d and %d", what, b, got, base, missing)
			}
		}
		want("before anything was said", 0, 0)
		mustAppend(t, s, a[:3]...)
		want("whole", 0, 0)
		if err := s.Rebase("general", log, 5, 0); err != nil {
			t.Fatal(err)
		}
		mustAppend(t, s, a[5:]...)
		want("parted", 5, 2)
		s.reopen(t)
		want("after a restart", 5, 2)
		if err := s.Prepend(a[3:5]); err != nil {
			t.Fatal(err)
		}
		want("one again", 0, 0)
	})
}

func TestARefusedAuthorIsNamed(t *testing.T) {
	everyStore(t, Limits{Authors: 1}, func(t *testing.T, s *subject) {
		for author := range byte(2) {
			mustAppend(t, s, said("general", author+1, 1, 1, "x")...)
		}
		e := said("general", 3, 1, 1, "one too many")
		for what, err := range map[string]error{"Append": s.Append(e), "Rebase": s.Rebase("general", logOf(&e[0]), 5, 0)} {
			var refusal interface {
				Refused() (wire.Room, wire.PeerID)
			}
			if !errors.Is(err, ErrTooManyAuthors) || !errors.As(err, &refusal) {
				t.Fatalf("%s says %v: want %v, and who it is about", what, err, ErrTooManyAuthors)
			}
			if room, author := refusal.Refused(); room != "general" || author != e[0].Author {
				t.Errorf("%s names %s in %s", what, author.Tag(), room)
			}
		}
	})
}
