package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"peerchat/peer"
	"peerchat/peer/wire"
)

// olderRun is what line mode prints for input in #general, whose history is events from the number held on; of these,
// those from shown on are told at the start. What the others have is the rest, put into the history when it is asked
// for, or why is answered.
func olderRun(t *testing.T, input string, held, shown int, plain bool, why error) (out string, asked []int) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "history.db")
	events := saidIn(t, "general", 100)
	rest := held
	store := storedIn(t, path, nil)
	for _, e := range events[held:] {
		if held > 1 && (e.Seq == events[held].Seq || e.Seq == events[held+1].Seq) && store.Base(e.Room, wire.LogID{Author: e.Author}) == 0 {
			if err := store.Rebase(e.Room, wire.LogID{Author: e.Author}, e.Seq-1, 0); err != nil {
				t.Fatal(err)
			}
		}
		if err := store.Append([]wire.Event{e}); err != nil {
			t.Fatal(err)
		}
	}
	var b strings.Builder
	m, node := newLineMode(t, strings.NewReader(input), &b)
	m.archive = testArchive(t, path)
	if plain {
		m.print = newPlainPrinter(func() time.Time { return noon }, true)
	}
	ready(node, 1)
	for i := range events[shown:] {
		if e := &events[shown+i]; isShown(e.Kind) {
			msg := toMessage(e, wire.PeerID{}, 0)
			msg.Text = fmt.Sprint("told ", shown+i)
			node.events.Post(msg)
		}
	}
	node.older = func(f peer.FetchOlder) peer.OlderAnswer {
		asked = append(asked, f.Events)
		if why != nil || rest == 0 {
			return peer.OlderAnswer{Room: f.Room, Err: why}
		}
		got := 0
		for ; rest > 0 && got < f.Events; rest, got = rest-2, got+2 {
			for _, e := range events[rest-2 : rest] {
				if err := store.Prepend([]wire.Event{e}); err != nil {
					t.Error(err)
				}
			}
		}
		return peer.OlderAnswer{Room: f.Room, Events: got, More: rest > 0}
	}
	if err := m.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	return b.String(), asked
}

// numbersIn are the numbers of the lines that were printed by /older, in order.
func numbersIn(out string) (numbers []string) {
	for _, m := range regexp.MustCompile(`line ([0-9]+)`).FindAllStringSubmatch(out, -1) {
		numbers = append(numbers, m[1])
	}
	return numbers
}

func TestOlderLinesArePrintedFromTheHistory(t *testing.T) {
	out, asked := olderRun(t, "/older 4\n/older 3\n", 0, 60, true, nil)
	if got, want := numbersIn(out), strings.Fields("54 55 57 58 49 51 52"); !slices.Equal(got, want) || len(asked) > 0 {
		t.Errorf("printed are lines %v, and others were asked %v: want lines %v and nobody\n%s", got, asked, want, out)
	}
	for _, want := range []string{"-!- older lines of #general, 4:\n", "-!- these were older lines; /older shows more\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("the output does not say %q:\n%s", want, out)
		}
	}
}

func TestOlderLinesComeFromTheOthersWhereTheHistoryEnds(t *testing.T) {
	out, asked := olderRun(t, "/older 40\n/older 1000\n/older\n", 40, 60, true, nil)
	var want []string
	for i := range 60 {
		if i%3 != 2 {
			want = append(want, fmt.Sprint(i))
		}
	}
	got := numbersIn(out)
	unique := slices.Clone(got)
	slices.Sort(unique)
	if sorted := slices.Sorted(slices.Values(want)); !slices.Equal(slices.Compact(unique), sorted) || len(got) != len(want) {
		t.Errorf("printed are lines %v, each once: want %v", got, want)
	}
	if len(asked) == 0 || asked[0] != 40-13 {
		t.Errorf("the others were asked for %v lines: want the 27 that were missing first", asked)
	}
	if n := strings.Count(out, "-!- this is the beginning of #general\n"); n == 0 || !strings.Contains(out, "-!- asking the others for older lines of #general\n") {
		t.Errorf("it is told %d times that this is the beginning:\n%s", n, out)
	}
}

func TestTheEndOfOlderLinesIsToldAsItIs(t *testing.T) {
	for _, c := range []struct {
		why         error
		end, plain  string
		held, lines int
	}{
		{nil, `"end":"beginning"`, "this is the beginning of #general", 0, 40},
		{fmt.Errorf("fetch: %w", peer.ErrAlone), `"end":"alone"`, "nobody is linked who could have older lines", 10, 33},
		{errors.New("nobody who is linked has any"), `"end":"error"`, "nobody who is linked has any", 10, 33},
	} {
		for _, plain := range []bool{false, true} {
			out, _ := olderRun(t, "/older 1000\n", c.held, 60, plain, c.why)
			want := c.plain
			if !plain {
				want = c.end
			}
			if got := numbersIn(out); len(got) != c.lines || !strings.Contains(out, want) {
				t.Errorf("plain %v, %v: %d lines, want %d, and that it says %q:\n%s", plain, c.why, len(got), c.lines, want, out)
			}
		}
	}
}

func TestOlderIsRefusedWhereItMakesNoSense(t *testing.T) {
	out, _ := olderRun(t, "/leave\n/older\n"+"/switch general\n/join general\n"+strings.Repeat("/older\n", maxOlders+2), 0, 60, true, nil)
	if !strings.Contains(out, "/older: you are in no room") || !strings.Contains(out, fmt.Sprintf("no older lines: %d others wait", maxOlders)) {
		t.Errorf("the output is\n%s", out)
	}
}

func TestABacklogIsBounded(t *testing.T) {
	b := (&lineMode{backlogs: map[wire.Room]*backlog{}}).backlog("general")
	for _, e := range saidIn(t, "general", 300) {
		b.saw(toMessage(&e, wire.PeerID{}, 0))
	}
	if len(b.printed) != 300 || b.from.lamport != 1 || b.last.lamport != 300 {
		t.Errorf("of 300 lines %d are remembered, from %d to %d", len(b.printed), b.from.lamport, b.last.lamport)
	}
	for i := range 3 * maxPrinted {
		b.note([16]byte{1, byte(i), byte(i >> 8), byte(i >> 16)})
	}
	if len(b.printed) != maxPrinted || len(b.order) != maxPrinted {
		t.Errorf("%d lines are remembered, at most %d may be", len(b.printed), maxPrinted)
	}
}

// A script may ask before its room is entered, and leave it before it is answered.
func TestOlderWaitsForTheRoom(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.db")
	storedIn(t, path, saidIn(t, "general", 100))
	in, typed := io.Pipe()
	out, printed := io.Pipe()
	m, node := newLineMode(t, in, printed)
	m.archive = testArchive(t, path)
	m.print = newPlainPrinter(func() time.Time { return noon }, true)
	done := make(chan error, 1)
	go func() { done <- errors.Join(m.run(t.Context()), printed.Close()) }()
	lines := bufio.NewScanner(out)
	until := func(text string) (before string) {
		for lines.Scan() {
			if strings.Contains(lines.Text(), text) {
				return before
			}
			before += lines.Text() + "\n"
		}
		t.Fatalf("the output ended without %q", text)
		return ""
	}
	say := func(text string) {
		if _, err := io.WriteString(typed, text); err != nil {
			t.Fatal(err)
		}
	}
	say("/older 2\n/version\n")
	if got := until("peerchat"); strings.Contains(got, "older") {
		t.Errorf("before the room is entered, it says %q", got)
	}
	node.events.Post(peer.RoomLeft{Room: "general"}) // nobody waits for those any more
	until("you left #general")
	say("/join general\n/older 3\n/version\n")
	if got := until("peerchat"); strings.Contains(got, "older") {
		t.Errorf("before the room is entered again, it says %q", got)
	}
	node.events.Post(peer.RoomJoined{Room: "general", Members: []peer.Person{someone(1, "other")}})
	until("older lines of #general, 3:")
	node.events.Post(peer.Ready{})
	until("you are")
	if err := typed.Close(); err != nil {
		t.Fatal(err)
	}
	for lines.Scan() {
		if strings.Contains(lines.Text(), "older lines of") {
			t.Errorf("at the end it says %q", lines.Text())
		}
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// What is fetched may end before a hole whose other side was printed already.
func TestOlderLinesTellOfAHoleAfterThem(t *testing.T) {
	for plain, want := range map[bool]string{true: "<ann> line 2\n12:04 -!- #general: 3 lines of ann are missing here\n12:04 -!- these", false: `"missing_after":3}]`} {
		var b strings.Builder
		m, _ := newLineMode(t, strings.NewReader(""), &b)
		if plain {
			m.print = newPlainPrinter(func() time.Time { return noon }, true)
		}
		events := saidIn(t, "general", 30)
		var ann []wire.Event
		for _, e := range events {
			if e.Author == events[0].Author && isShown(e.Kind) {
				e.Name, e.Body = "ann", []byte(fmt.Sprint("line ", e.Seq))
				ann = append(ann, e)
			}
		}
		page := olderEvents{room: "general", events: []wire.Event{ann[0], ann[1], ann[2]}, missing: []uint64{0, 0, 3}}
		for i, seq := range []uint64{1, 2, 6} {
			page.events[i].Seq, page.events[i].Body = seq, []byte(fmt.Sprint("line ", seq))
		}
		m.backlogs = map[wire.Room]*backlog{}
		m.backlog("general").saw(toMessage(&page.events[2], wire.PeerID{}, 0))
		m.olders = []olderAsk{{room: "general", lines: 2, reading: true}}
		m.olderRead(page)
		if err := m.out.close(time.Second); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(b.String(), want) || strings.Count(b.String(), "missing") != 1 {
			t.Errorf("plain %v: it prints\n%s\nwant %q, once", plain, b.String(), want)
		}
	}
}
