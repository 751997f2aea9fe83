//go:build !race

package history

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"peerchat/peer/wire"
)

// subject is a store under test.
type subject struct {
	Store
	reopen func(*testing.T) // closes and opens it again
	reader *Reader          // nil if there is none
}

// views are the store and who reads beside it.
func (s *subject) views() map[string]View {
	v := map[string]View{"the store": s.Store}
	if s.reader != nil {
		v["a reader"] = s.reader
	}
	return v
}

// everyStore runs a test with each kind of Store.
func everyStore(t *testing.T, limits Limits, test func(t *testing.T, s *subject)) {
	t.Run("memory", func(t *testing.T) {
		test(t, &subject{Store: NewMemoryWith(limits), reopen: func(*testing.T) {}})
	})
	t.Run("sqlite", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "history.db")
		s := &subject{Store: openAt(t, path, Config{Limits: limits})}
		t.Cleanup(func() { _ = s.Close() })
		s.reopen = func(t *testing.T) {
			t.Helper()
			if err := s.Close(); err != nil {
				t.Fatalf("close: %v", err)
			}
			s.Store = openAt(t, path, Config{Limits: limits})
		}
		var err error
		if s.reader, err = OpenReader(path); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.reader.Close() })
		test(t, s)
	})
}

func texts(events []wire.Event) []string {
	out := []string{}
	for i := range events {
		out = append(out, string(events[i].Body))
	}
	return out
}

func wantTexts(t *testing.T, what string, events []wire.Event, err error, want ...string) {
	t.Helper()
	if got := texts(events); err != nil || !slices.Equal(got, append([]string{}, want...)) {
		t.Errorf("%s: %q, %v: want %q", what, got, err, want)
	}
}

func TestPaging(t *testing.T) {
	everyStore(t, Limits{}, func(t *testing.T, s *subject) {
		a, b := said("general", 1, 1, 1, "a1", "a2", "a3", "a4"), said("general", 2, 1, 3, "b3", "b4")
		mustAppend(t, s, a...)
		mustAppend(t, s, b[0])
		mustAppend(t, s, b[1]) // in the journal
		first, second := a[2].Author, b[0].Author
		all := []string{"a1", "a2", "a3", "b3", "a4", "b4"}
		if second.Less(first) {
			all = []string{"a1", "a2", "b3", "a3", "b4", "a4"}
			first, second = second, first
		}
		for range 2 {
			for name, v := range s.views() {
				page := func(what string, want []string, events []wire.Event, err error) {
					t.Helper()
					wantTexts(t, name+" "+what, events, err, want...)
				}
				ask := func(f func(wire.Room, uint64, wire.PeerID, int) ([]wire.Event, error), lamport uint64, author wire.PeerID, limit int) ([]wire.Event, error) {
					return f("general", lamport, author, limit)
				}
				events, err := ask(v.After, 0, wire.PeerID{}, 3)
				page("after the beginning", all[:3], events, err)
				events, err = ask(v.After, 3, first, 2)
				page("after the first at 3", all[3:5], events, err)
				events, err = ask(v.After, 4, second, 2)
				page("after the end", nil, events, err)
				events, err = ask(v.Before, 4, first, 2)
				page("before the first at 4", all[2:4], events, err)
				events, err = ask(v.Around, 3, second, 3)
				page("around the second at 3", all[2:5], events, err)
				events, err = ask(v.Around, 3, second, 4)
				page("four around the second at 3", all[2:6], events, err)
				events, err = ask(v.Around, 1, a[0].Author, 4)
				page("around the first", all[:4], events, err)
				events, err = ask(v.Around, 4, second, 4)
				page("around the last", all[2:], events, err)
				events, err = ask(v.Around, 4, second, 100)
				page("all around the last", all, events, err)
				events, err = ask(v.Around, 4, second, 0)
				page("nothing around the last", nil, events, err)
				events, err = v.After("nowhere", 0, wire.PeerID{}, 3)
				page("in a room that is not there", nil, events, err)
				events, err = v.Recent("general", 3)
				page("of late", all[3:], events, err)
			}
			s.reopen(t)
		}
	})
}

func TestStats(t *testing.T) {
	everyStore(t, Limits{}, func(t *testing.T, s *subject) {
		a, b := said("general", 1, 1, 1, "one", "two"), said("general", 2, 1, 9, "three")
		mustAppend(t, s, a...)
		mustAppend(t, s, b...)
		more := said("general", 2, 2, 20, "four")
		mustAppend(t, s, more...) // in the journal
		encoded := int64(0)
		for _, e := range append(append(a, b...), more...) {
			encoded += int64(len(wire.AppendEvent(nil, &e)))
		}
		want := Stats{Events: 4, Bytes: 2*encoded + 4*128, Authors: 2, Oldest: a[0].Time, Newest: more[0].Time}
		for range 2 {
			for name, v := range s.views() {
				if st, err := v.Stats("general"); err != nil || st != want {
					t.Errorf("%s says %+v, %v: want %+v", name, st, err, want)
				}
				if st, err := v.Stats("nowhere"); err != nil || st != (Stats{}) {
					t.Errorf("%s says of a room that is not there: %+v, %v", name, st, err)
				}
				if rooms, err := v.Rooms(); err != nil || !slices.Equal(rooms, []wire.Room{"general"}) {
					t.Errorf("%s has rooms %v, %v", name, rooms, err)
				}
			}
			s.reopen(t)
		}
	})
}

func TestPrepend(t *testing.T) {
	everyStore(t, Limits{}, func(t *testing.T, s *subject) {
		a := said("general", 1, 1, 1, "1", "2", "3", "4", "5", "6", "7", "8")
		author := a[0].Author
		if s.Prepend(a[:2]) == nil {
			t.Error("events were put before a log that is not there")
		}
		mustAppend(t, s, a[:2]...)
		if err := s.Rebase("general", wire.LogID{Author: author}, 6, 0); err != nil {
			t.Fatal(err)
		}
		mustAppend(t, s, a[6:]...)
		gap := []wire.Event{a[3], a[5]}
		other := said("dev", 1, 5, 1, "x")
		for what, events := range map[string][]wire.Event{
			"with a hole before the log": a[3:5], "with a hole": gap, "that reach into the log": a[5:7], "of two rooms": append(other, a[5]),
		} {
			if s.Prepend(events) == nil {
				t.Errorf("events %s were put before the log", what)
			}
		}
		if err := s.Prepend(a[4:6]); err != nil {
			t.Fatal(err)
		}
		wantHead(t, s, "general", 1, 4, 8, 8)
		got, err := s.Range("general", author, 1, 100, 100)
		wantTexts(t, "the log", got, err, "5", "6", "7", "8")
		if err := s.Prepend(a[2:4]); err != nil {
			t.Fatal(err)
		}
		wantHead(t, s, "general", 1, 0, 8, 8) // with what was there before Rebase
		s.reopen(t)
		wantHead(t, s, "general", 1, 0, 8, 8)
		got, err = s.Range("general", author, 1, 100, 100)
		wantTexts(t, "the whole log", got, err, "1", "2", "3", "4", "5", "6", "7", "8")
		if s.Prepend(a[:1]) == nil {
			t.Error("an event was put before the first")
		}
		if err := s.Rebase("general", wire.LogID{Author: author}, 10, 0); err != nil {
			t.Fatal(err)
		}
		more := said("general", 1, 6, 6, "6 again", "7 again", "8 again", "9", "10")
		if err := s.Prepend(more); err != nil {
			t.Fatal(err)
		}
		got, err = s.Range("general", author, 5, 100, 100)
		wantTexts(t, "what was held already stays", got, err, "5", "6", "7", "8", "9", "10")
		wantHead(t, s, "general", 1, 0, 10, 10)
		res, err := s.Search(context.Background(), "general", "9", Cursor{}, 10)
		if err != nil || len(res.Hits) != 1 {
			t.Errorf("what was put before a log is found %d times, %v: want once", len(res.Hits), err)
		}
	})
}

func TestARoomThatIsFullKeepsNothingOlder(t *testing.T) {
	everyStore(t, Limits{Events: 10}, func(t *testing.T, s *subject) {
		var lines []string
		for i := range 30 {
			lines = append(lines, fmt.Sprint(i+1))
		}
		a := said("general", 1, 1, 1, lines...)
		if err := s.Rebase("general", wire.LogID{Author: a[0].Author}, 18, 0); err != nil {
			t.Fatal(err)
		}
		mustAppend(t, s, a[18:30]...)
		wantHead(t, s, "general", 1, 18, 30, 30)
		if err := s.Prepend(a[14:18]); err != nil {
			t.Fatal(err)
		}
		wantHead(t, s, "general", 1, 20, 30, 30)
	})
}

func TestBytesOfARoomAreBounded(t *testing.T) {
	limits := Limits{Room: 100_000, File: 300_000}
	everyStore(t, limits, func(t *testing.T, s *subject) {
		quiet := said("quiet", 1, 1, 1, strings.Repeat("q ", 2000), "quiet")
		mustAppend(t, s, quiet...)
		for i := range 150 { // 10 kB and 4 kB each time
			mustAppend(t, s, said("flood", 2, uint64(i+1), uint64(i+1), strings.Repeat("spam ", 1000))...)
			mustAppend(t, s, said(wire.Room(fmt.Sprint("r", i%7)), 3, uint64(i/7+1), uint64(i/7+1), strings.Repeat("x", 2000))...)
			total := int64(0)
			rooms, _ := s.Rooms()
			for _, room := range rooms {
				st, err := s.Stats(room)
				if err != nil || st.Bytes > limits.Room {
					t.Fatalf("room %s takes %d bytes, %v: want at most %d", room, st.Bytes, err, limits.Room)
				}
				total += st.Bytes
			}
			if total > limits.File {
				t.Fatalf("all take %d bytes: want at most %d", total, limits.File)
			}
		}
		st, _ := s.Stats("flood")
		if st.Bytes < limits.Room/4 {
			t.Errorf("the room keeps %d bytes only", st.Bytes)
		}
		got, err := s.Recent("quiet", 10)
		same(t, "the quiet room loses nothing to the others:", got, err, quiet...)
		s.reopen(t)
		st2, _ := s.Stats("flood")
		if st2 != st {
			t.Errorf("after opening it again the room has %+v: want %+v", st2, st)
		}
	})
}

func TestWaterLevel(t *testing.T) {
	for _, c := range []struct {
		sizes []int64
		bound int64
		want  int64
	}{
		{[]int64{10, 20, 70}, 100, unbounded},
		{[]int64{10, 20, 70}, 80, 50},
		{[]int64{50, 50, 10}, 90, 40},
		{[]int64{50, 50, 50}, 90, 30},
		{nil, 5, unbounded},
	} {
		if got := waterLevel(c.sizes, c.bound); got != c.want {
			t.Errorf("rooms of %v have to be cut to %d to hold %d: want %d", c.sizes, got, c.bound, c.want)
		}
	}
}

func TestOldEventsGo(t *testing.T) {
	everyStore(t, Limits{Age: time.Hour}, func(t *testing.T, s *subject) {
		a := said("general", 1, 1, 1, "1", "2", "3", "4")
		now := a[0].Time.Add(24 * time.Hour)
		a[2].Time = now // an author whose clock went wrong keeps what is its own
		b := said("general", 2, 1, 1, "old", "young")
		b[1].Time = now.Add(-time.Minute)
		dev := said("dev", 1, 1, 1, "gone")
		mustAppend(t, s, a...)
		mustAppend(t, s, b...)
		mustAppend(t, s, dev...)
		if err := s.Expire(now); err != nil {
			t.Fatal(err)
		}
		wantHead(t, s, "general", 1, 2, 4, 4)
		wantHead(t, s, "general", 2, 1, 2, 4)
		wantHead(t, s, "dev", 1, 1, 1, 1)
		if st, err := s.Stats("dev"); err != nil || st.Events != 0 || st.Authors != 1 || !st.Oldest.IsZero() {
			t.Errorf("the room that lost all has %+v, %v", st, err)
		}
		s.reopen(t)
		wantHead(t, s, "dev", 1, 1, 1, 1)
		mustAppend(t, s, said("dev", 1, 2, 2, "on")...)
		for name, v := range s.views() {
			got, err := v.Recent("dev", 10)
			wantTexts(t, name, got, err, "on")
		}
	})
	everyStore(t, Limits{}, func(t *testing.T, s *subject) {
		mustAppend(t, s, said("general", 1, 1, 1, "1")...)
		if err := s.Expire(time.Now().AddDate(100, 0, 0)); err != nil {
			t.Fatal(err)
		}
		wantHead(t, s, "general", 1, 0, 1, 1)
	})
}

func TestTooManyAuthors(t *testing.T) {
	everyStore(t, Limits{Authors: 4}, func(t *testing.T, s *subject) {
		for i := range 8 {
			mustAppend(t, s, said("general", byte(i+1), 1, 1, "hello")...)
		}
		err := s.Append(said("general", 9, 1, 1, "hello"))
		if !errors.Is(err, ErrTooManyAuthors) {
			t.Errorf("a ninth author gets %v: want ErrTooManyAuthors", err)
		}
		if err := s.Rebase("general", wire.LogID{Author: wire.IDOf(testKey(9))}, 5, 0); !errors.Is(err, ErrTooManyAuthors) {
			t.Errorf("its log may begin later: %v", err)
		}
		mustAppend(t, s, said("general", 8, 2, 2, "again")...)
		mustAppend(t, s, said("dev", 9, 1, 1, "hello")...)
		both := append(said("dev", 10, 1, 1, "x"), said("dev", 11, 1, 1, "x")...)
		for i := range 5 {
			both = append(both, said("dev", byte(20+i), 1, 1, "x")...)
		}
		mustAppend(t, s, both...)
		both = append(said("dev", 30, 1, 1, "x"), said("dev", 31, 1, 1, "x")...)
		if err := s.Append(both); !errors.Is(err, ErrTooManyAuthors) {
			t.Errorf("two authors for one place get %v: want ErrTooManyAuthors", err)
		}
		wantHead(t, s, "general", 8, 0, 2, 2)
	})
}

func TestExport(t *testing.T) {
	everyStore(t, Limits{}, func(t *testing.T, s *subject) {
		e := said("general", 1, 1, 1, "hello", "two\nlines\r\n\x1b[31mred\x1b[0m \u202ebidi\u202c \u009b tab\there", "waves", "tea <all> & day", "?")
		e[0].Time = e[0].Time.Add(5 * time.Millisecond)
		e[2].Kind, e[3].Kind, e[4].Kind = wire.KindAction, wire.KindTopic, 99
		mustAppend(t, s, e[:2]...)
		mustAppend(t, s, said("dev", 2, 1, 1, "over there")...)
		for _, x := range e[2:] {
			mustAppend(t, s, x) // into the journal
		}
		tag := e[0].Author.Tag()
		text := strings.ReplaceAll("2026-09-21T14:13:21Z #general author1#TAG: hello\n"+
			"2026-09-21T14:13:22Z #general author1#TAG: two\n    lines\n    \uFFFD[31mred\uFFFD[0m \uFFFDbidi\uFFFD \uFFFD tab here\n"+
			"2026-09-21T14:13:23Z #general * author1#TAG waves\n"+
			"2026-09-21T14:13:24Z #general author1#TAG sets the topic: tea <all> & day\n"+
			"2026-09-21T14:13:25Z #general author1#TAG: (of a kind that this version does not know: 99, 1 B)\n", "TAG", tag)
		for name, v := range s.views() {
			var b bytes.Buffer
			if err := v.Export(context.Background(), &b, "general", FormatText); err != nil || b.String() != text {
				t.Errorf("%s exports, %v:\n%s\nwant:\n%s", name, err, b.String(), text)
			}
			b.Reset()
			if err := v.Export(context.Background(), &b, "", FormatJSON); err != nil {
				t.Fatal(err)
			}
			lines := strings.Split(b.String(), "\n")
			if len(lines) != 7 || !strings.Contains(lines[0], `"room":"dev"`) {
				t.Errorf("%s exports all rooms as\n%s\nwant #dev and #general", name, b.String())
			}
			want := fmt.Sprintf(`{"type":"message","room":"general","peer":"%v","name":"author1","id":"00000000-0000-0000-0000-000000000000",`+
				`"seq":4,"kind":"topic","text":"tea <all> & day","sent":"2026-09-21T14:13:24.000Z","lamport":4}`, e[0].Author)
			if lines[4] != want {
				t.Errorf("%s exports\n%s\nwant\n%s", name, lines[4], want)
			}
			if !strings.Contains(lines[5], `"kind":"99","body":"Pw==","sent"`) {
				t.Errorf("%s exports an unknown kind as %s", name, lines[5])
			}
			full := fmt.Errorf("full")
			if err := v.Export(context.Background(), writerFunc(func([]byte) (int, error) { return 0, full }), "", FormatText); !errors.Is(err, full) {
				t.Errorf("%s does not say that the writer failed: %v", name, err)
			}
			ended, end := context.WithCancel(context.Background())
			end()
			if v.Export(ended, &b, "", FormatText) == nil {
				t.Errorf("%s exports though it was ended", name)
			}
			if got, err := v.Recent("general", 1); err != nil || !reflect.DeepEqual(got, e[4:]) {
				t.Errorf("after all that, %s reads %v, %v", name, got, err)
			}
		}
	})
}

func TestExportTellsOfHoles(t *testing.T) {
	everyStore(t, Limits{}, func(t *testing.T, s *subject) {
		mustAppend(t, s, said("general", 1, 1, 1, "one", "two")...)
		mustAppend(t, s, said("general", 2, 1, 3, "over", "there")...)
		author := said("general", 1, 1, 1, "")[0].Author
		if err := s.Rebase("general", wire.LogID{Author: author}, 5, 0); err != nil {
			t.Fatal(err)
		}
		mustAppend(t, s, said("general", 1, 6, 6, "six", "seven")...)
		line := "(3 lines of author1#" + author.Tag() + " are missing here)\n"
		for name, v := range s.views() {
			var text, objects bytes.Buffer
			if err := errors.Join(v.Export(context.Background(), &text, "", FormatText), v.Export(context.Background(), &objects, "", FormatJSON)); err != nil {
				t.Fatal(err)
			}
			before, after, found := strings.Cut(text.String(), line)
			if !found || strings.Count(before, "\n") != 4 || strings.Count(after, "\n") != 2 || !strings.Contains(after, ": six\n") {
				t.Errorf("%s exports\n%s\nwant six lines, and before the fifth that three are missing", name, text.String())
			}
			if got := strings.Split(objects.String(), "\n"); len(got) != 7 || !strings.HasSuffix(got[4], `,"missing_before":3}`) || strings.Count(objects.String(), "missing") != 1 {
				t.Errorf("%s exports\n%s\nwant missing_before in the fifth line alone", name, objects.String())
			}
		}
	})
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

func TestParseFormat(t *testing.T) {
	for s, want := range map[string]Format{"text": FormatText, "json": FormatJSON} {
		if got, err := ParseFormat(s); err != nil || got != want {
			t.Errorf("format %s is %d, %v", s, got, err)
		}
	}
	if _, err := ParseFormat("xml"); err == nil {
		t.Error("xml is a format")
	}
}
