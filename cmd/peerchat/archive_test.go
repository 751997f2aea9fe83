package main

import (
	"crypto/ed25519"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"peerchat/peer/history"
	"peerchat/peer/wire"
	"peerchat/tui"
)

// answerPatience is how long a test waits for the archive.
const answerPatience = 10 * time.Second

// keyOf is an author.
func keyOf(seed byte) ed25519.PrivateKey {
	s := make([]byte, ed25519.SeedSize)
	s[0] = seed
	return ed25519.NewKeyFromSeed(s)
}

// saidIn are n events of two authors in a room: number i says "line i"; every third is of a kind that this version does
// not know.
func saidIn(t *testing.T, room wire.Room, n int) []wire.Event {
	t.Helper()
	events := make([]wire.Event, n)
	for who := range 2 {
		key := keyOf(byte(1 + who))
		var said []wire.Event
		for i := who; i < n; i += 2 {
			e := wire.Event{Room: room, Author: wire.IDOf(key), Seq: uint64(1 + i/2), ID: uuid.NewSHA1(uuid.Nil, fmt.Append(nil, room, i)), Lamport: uint64(1 + i),
				Time: noon.Truncate(time.Second).Add(time.Duration(i) * time.Second), Name: "bob", Kind: wire.KindText, Body: fmt.Append(nil, "line ", i)}
			if i%3 == 2 {
				e.Kind = 77
			}
			said = append(said, e)
		}
		for batch := range slices.Chunk(said, wire.MaxBatch) { // together, because a signature is dear
			if err := wire.SignBatch(key, batch); err != nil {
				t.Fatal(err)
			}
		}
		for i, e := range said {
			events[2*i+who] = e
		}
	}
	return events
}

// storedIn makes a history file that holds events, and stays open.
func storedIn(t *testing.T, path string, events []wire.Event) *history.SQLite {
	t.Helper()
	store, err := history.OpenSQLite(path, history.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	if err := store.Append(events); err != nil {
		t.Fatal(err)
	}
	return store
}

func testArchive(t *testing.T, path string) *archive {
	t.Helper()
	a := openArchive(path, wire.IDOf(keyOf(1)))
	t.Cleanup(func() {
		if err := a.close(); err != nil {
			t.Error(err)
		}
	})
	return a
}

// pageOf asks and waits.
func pageOf(t *testing.T, a *archive, ask tui.AskPage) tui.Page {
	t.Helper()
	got := make(chan tui.Page, 1)
	if !a.page(ask, func(p tui.Page) { got <- p }) {
		t.Fatal("the archive takes no question")
	}
	select {
	case p := <-got:
		return p
	case <-time.After(answerPatience):
		t.Fatal("the archive does not answer")
		return tui.Page{}
	}
}

type foundNow struct {
	res history.Results
	err error
}

func findIn(t *testing.T, a *archive, ask searchAsk) foundNow {
	t.Helper()
	got := make(chan foundNow, 1)
	if !a.find(ask, func(res history.Results, err error) { got <- foundNow{res, err} }) {
		t.Fatal("the archive takes no question")
	}
	select {
	case f := <-got:
		return f
	case <-time.After(answerPatience):
		t.Fatal("the archive does not answer")
		return foundNow{}
	}
}

func TestArchivePages(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.db")
	events := saidIn(t, "general", 1000)
	storedIn(t, path, events)
	a := testArchive(t, path)
	ask := func(from tui.PageFrom, at, lines int) tui.AskPage {
		ask := tui.AskPage{Ask: 7, Room: "general", From: from, Lines: lines}
		if at >= 0 {
			ask.Order, ask.Peer = events[at].Lamport, events[at].Author.String()
		}
		return ask
	}
	for _, c := range []struct {
		name        string
		ask         tui.AskPage
		first, last string // of its lines
		lines       int
		start, end  bool
	}{
		{"the newest", ask(tui.PageNewest, -1, 30), "line 970", "line 999", 20, false, true},
		{"more of the newest than are read at once", ask(tui.PageNewest, -1, 900), "line 100", "line 999", 600, false, true},
		{"more than there are", ask(tui.PageNewest, -1, 5000), "line 0", "line 999", 667, true, true},
		{"before", ask(tui.PageBefore, 970, 30), "line 940", "line 969", 20, false, false},
		{"before, at the beginning", ask(tui.PageBefore, 5, 30), "line 0", "line 4", 4, true, false},
		{"before, where the next is of no use", ask(tui.PageBefore, 3, 1), "line 1", "line 1", 1, false, false},
		{"before the first", ask(tui.PageBefore, 0, 30), "", "", 0, true, false},
		{"after", ask(tui.PageAfter, 100, 30), "line 102", "line 130", 20, false, false},
		{"after, at the end", ask(tui.PageAfter, 990, 30), "line 991", "line 999", 6, false, true},
		{"after the last", ask(tui.PageAfter, 999, 30), "", "", 0, false, true},
		{"the oldest", ask(tui.PageOldest, -1, 30), "line 0", "line 28", 20, true, false},
		{"around", ask(tui.PageAround, 501, 31), "line 486", "line 516", 21, false, false},
		{"around the first", ask(tui.PageAround, 0, 30), "line 0", "", 0, true, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := pageOf(t, a, c.ask)
			if p.Err != "" || p.Ask != 7 || p.Room != "general" || p.First != c.start || p.Last != c.end {
				t.Errorf("got ask %d, room %s, first %v, last %v, error %q", p.Ask, p.Room, p.First, p.Last, p.Err)
			}
			if c.lines > 0 && len(p.Lines) != c.lines {
				t.Errorf("got %d lines, want %d", len(p.Lines), c.lines)
			}
			if len(p.Lines) > 0 && (p.Lines[0].Text != c.first || c.last != "" && p.Lines[len(p.Lines)-1].Text != c.last) {
				t.Errorf("got %q to %q", p.Lines[0].Text, p.Lines[len(p.Lines)-1].Text)
			}
			if len(p.Lines) > 0 && (p.Lines[0].Self != (p.Lines[0].Peer == a.self.String()) || !p.Lines[0].History || p.Lines[0].Name != "bob") {
				t.Errorf("got %+v", p.Lines[0])
			}
		})
	}
	if p := pageOf(t, a, tui.AskPage{Ask: 8, Room: "general", From: tui.PageBefore, Peer: "nobody"}); !strings.Contains(p.Err, "read #general") {
		t.Errorf("a place that is none gives the error %q", p.Err)
	}
	if p := pageOf(t, a, tui.AskPage{Ask: 9, Room: "other", Lines: 10}); p.Err != "" || len(p.Lines) != 0 || !p.First || !p.Last {
		t.Errorf("a room without a log is an empty page, got %+v", p)
	}
}

func TestArchivePagesTellWhatIsMissing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.db")
	all := saidIn(t, "general", 20) // line 2, 5, 8 … are of no known kind
	store := storedIn(t, path, all[:6])
	for _, e := range all[10:12] { // of each author two are missing: lines 6 and 8, 7 and 9
		if err := store.Rebase("general", wire.LogID{Author: e.Author}, e.Seq-1, 0); err != nil {
			t.Fatal(err)
		}
	}
	if err := store.Append(all[10:]); err != nil {
		t.Fatal(err)
	}
	a := testArchive(t, path)
	for _, from := range []tui.PageFrom{tui.PageNewest, tui.PageOldest, tui.PageAround} {
		p := pageOf(t, a, tui.AskPage{Ask: 1, Room: "general", From: from, Order: all[13].Lamport, Peer: all[13].Author.String(), Lines: 8})
		var told []string
		for _, l := range p.Lines {
			if l.Missing > 0 {
				told = append(told, fmt.Sprintf("%d before %s", l.Missing, l.Text))
			}
		}
		if from == tui.PageOldest {
			if want := []string{"2 before line 10"}; !slices.Equal(told, want) { // the other one is not shown, and the next of that author not in the page
				t.Errorf("page %d tells %q, want %q", from, told, want)
			}
			continue
		}
		if from == tui.PageNewest {
			if len(told) != 0 {
				t.Errorf("a page that begins behind the hole tells %q", told)
			}
			continue
		}
		if want := []string{"2 before line 10", "2 before line 13"}; !slices.Equal(told, want) {
			t.Errorf("page %d tells %q, want %q", from, told, want)
		}
	}
}

func TestArchiveSearches(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.db")
	store := storedIn(t, path, saidIn(t, "general", 100))
	a := testArchive(t, path)
	f := findIn(t, a, searchAsk{id: 1, room: "general", text: "line", limit: 10})
	if f.err != nil || len(f.res.Hits) != 10 || !f.res.More || string(f.res.Hits[0].Event.Body) != "line 99" {
		t.Fatalf("got %+v", f)
	}
	found := toFound(1, f.res, f.err, a.self)
	if h := found.Hits[0]; h.Text != "line 99" || fmt.Sprint(h.Spans) != "[[0 4]]" || h.Line.Order != 100 || found.Ask != 1 || !found.More {
		t.Errorf("for the screen it is %+v", h)
	}
	if f = findIn(t, a, searchAsk{id: 1, room: "general", text: "line", more: true, limit: 500}); len(f.res.Hits) != 57 || f.res.More {
		t.Errorf("it goes on behind the last hit: got %d hits, more %v", len(f.res.Hits), f.res.More)
	}
	// What was dropped has no answer, be it waiting or not there any more; what comes after it has.
	never := func(history.Results, error) { t.Error("what was dropped is answered") }
	block := make(chan struct{})
	a.mail.Post(func() { <-block })
	a.find(searchAsk{id: 2, text: "line", limit: 10}, never)
	a.endSearches()
	a.find(searchAsk{id: 1, text: "line", more: true, limit: 10}, func(res history.Results, _ error) {
		if len(res.Hits) != 0 {
			t.Error("a search that is at its end has no more hits")
		}
	})
	close(block)
	if f = findIn(t, a, searchAsk{id: 3, text: "99", limit: 10}); len(f.res.Hits) != 1 {
		t.Errorf("the next search is answered, got %+v", f)
	}
	if err := store.Append([]wire.Event{}); err != nil {
		t.Error(err)
	}
}

func TestArchiveTellsWhatIsWrong(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.db")
	a := testArchive(t, path)
	if p := pageOf(t, a, tui.AskPage{Ask: 1, Room: "general", Lines: 10}); !strings.Contains(p.Err, "no such file") {
		t.Errorf("a file that is not there gives the error %q", p.Err)
	}
	if f := findIn(t, a, searchAsk{id: 1, text: "line", limit: 10}); toFound(1, f.res, f.err, a.self).Err == "" {
		t.Errorf("a file that is not there gives no error")
	}
	if err := os.WriteFile(path, []byte(strings.Repeat("this is no database\n", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	if p := pageOf(t, a, tui.AskPage{Ask: 2, Room: "general", Lines: 10}); !strings.Contains(p.Err, path) || !strings.Contains(p.Err, "damaged") {
		t.Errorf("a damaged file gives the error %q", p.Err)
	}
	if err := os.Remove(path); err != nil { // as a store does, which sets it aside
		t.Fatal(err)
	}
	storedIn(t, path, saidIn(t, "general", 3))
	if p := pageOf(t, a, tui.AskPage{Ask: 3, Room: "general", Lines: 10}); len(p.Lines) != 2 {
		t.Errorf("it is opened as soon as it is there, got %+v", p)
	}
}

func TestArchiveCloses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.db")
	storedIn(t, path, saidIn(t, "general", 3))
	a := openArchive(path, wire.PeerID{})
	begun, block := make(chan struct{}), make(chan struct{})
	a.mail.Post(func() { close(begun); <-block })
	<-begun
	for i := range maxArchiveAsks + 1 {
		taken := a.page(tui.AskPage{Ask: 1, Room: "general"}, func(tui.Page) { t.Error("a question is answered after the end") })
		if taken != (i < maxArchiveAsks) {
			t.Fatalf("question %d is taken: %v", i, taken)
		}
	}
	closed := make(chan error)
	go func() { closed <- a.close() }()
	<-a.all.Done()
	close(block)
	if err := <-closed; err != nil {
		t.Error(err)
	}
	if a.page(tui.AskPage{}, nil) {
		t.Error("a question is taken after the end")
	}
}
