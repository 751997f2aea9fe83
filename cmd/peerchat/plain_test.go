package main

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/google/uuid"

	"peerchat/peer"
	"peerchat/peer/wire"
	"peerchat/tui"
)

var update = flag.Bool("update", false, "rewrite testdata/*.golden")

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs; look at the difference, and run go test -update if it is meant. Got:\n%s\nwant:\n%s", file, got, want)
	}
}

func TestPlainLines(t *testing.T) {
	p := newPlainPrinter(func() time.Time { return noon }, true)
	v := &view{rooms: []wire.Room{"general"}}
	var out []byte
	for _, ev := range allEvents() {
		if m, ok := ev.(peer.Message); ok {
			m.Sent, m.History = noon, false // no local time in a golden file
			ev = m
		}
		if a, ok := ev.(peer.Answer); ok && a.Ref == (inviteRef{code: true}) {
			continue // TestPlainPrintsACode looks at it
		}
		out = p.event(out, ev, v)
	}
	out = p.event(out, peer.Message{Room: "general", Person: someone(8, "Bob"), ID: uuid.UUID{4}, Kind: wire.KindText, Text: "another bob", Sent: noon}, v)
	v.rooms = append(v.rooms, "dev")
	out = p.event(out, peer.Message{Room: "dev", Person: someone(7, "bob"), ID: uuid.UUID{5}, Kind: wire.KindText, Text: "two\nlines", Sent: noon}, v)
	out = p.notice(p.problem(out, "code", "wrong"), "code", "right")
	for line := range strings.Lines(string(out)) {
		if i := strings.IndexFunc(strings.TrimSuffix(line, "\n"), unicode.IsControl); i >= 0 || strings.ContainsRune(line, 0x202e) {
			t.Errorf("a line can restyle a terminal: %q", line)
		}
	}
	golden(t, "testdata/plain.golden", string(out))
}

func TestPlainShowsOldLinesWithTheirTime(t *testing.T) {
	p := newPlainPrinter(func() time.Time { return noon }, true)
	m := peer.Message{Room: "general", Person: someone(8, "ann"), Kind: wire.KindText, Text: "old", Sent: noon.AddDate(0, 0, -3), History: true}
	got := string(p.rest(p.event(nil, m, &view{}), &view{}))
	if want := m.Sent.Local().Format("2006-01-02 15:04") + " <ann> old\n"; got != want {
		t.Errorf("an old line is %q, want %q", got, want)
	}
}

func TestPlainDoesNotRepeatWhatWasTyped(t *testing.T) {
	p := newPlainPrinter(func() time.Time { return noon }, false)
	m := peer.Message{Person: someone(8, "ann"), Kind: wire.KindText, Text: "typed", Self: true}
	if got := p.event(nil, m, &view{}); len(got) > 0 {
		t.Errorf("what was typed on the terminal is printed again: %q", got)
	}
}

func TestPlainTellsWhereLinesAreMissing(t *testing.T) {
	p := newPlainPrinter(func() time.Time { return noon }, true)
	var out []byte
	for _, m := range []struct{ seq, missing uint64 }{{3, 0}, {9, 5}, {7, 3}, {8, 0}, {4, 0}, {5, 0}, {6, 0}, {10, 0}, {1_760_000_000_000, 1_759_999_999_989}} {
		out = p.event(out, peer.Message{Room: "dev", Person: someone(8, "ann"), Kind: wire.KindText, Text: fmt.Sprint(m.seq), Seq: m.seq, Missing: m.missing}, &view{})
	}
	want := `12:04 <ann> 3
12:04 -!- #dev: 5 lines of ann are missing here
12:04 <ann> 9
12:04 -!- #dev: 3 lines of ann are missing here
12:04 <ann> 7
12:04 <ann> 8
12:04 -!- #dev: what was missing of ann has come:
12:04 <ann> 4
12:04 <ann> 5
12:04 <ann> 6
12:04 <ann> 10
12:04 -!- #dev: lines of ann may be missing here
12:04 <ann> 1760000000000
`
	if string(out) != want {
		t.Errorf("the lines are\n%swant\n%s", out, want)
	}
	json := (&jsonPrinter{now: func() time.Time { return noon }}).event(nil, peer.Message{Seq: 9, Missing: 5}, &view{})
	if !strings.HasSuffix(string(json), `"missing_before":5}`+"\n") {
		t.Errorf("as JSON it is %s", json)
	}
}

func TestWhatWasNotSaidIsPrinted(t *testing.T) {
	f := peer.Failure{Room: "dev", Code: "log", Text: "2 lines were not said: the disk is full", Said: []peer.Say{
		{Room: "dev", Kind: wire.KindText, Text: "/etc is\u202e full"}, {Room: "dev", Kind: wire.KindAction, Text: "waits"}}}
	clock := func() time.Time { return noon }
	want := "12:04 -!- error: 2 lines were not said: the disk is full\n12:04 -!- not said: //etc is� full\n12:04 -!- not said: /me waits\n"
	if got := string(newPlainPrinter(clock, true).event(nil, f, &view{})); got != want {
		t.Errorf("plain mode says\n%swant\n%s", got, want)
	}
	json := string((&jsonPrinter{now: clock}).event(nil, f, &view{}))
	if !strings.Contains(json, `"said":["//etc is`) || !strings.Contains(json, `"/me waits"]`) {
		t.Errorf("as JSON it is %s", json)
	}
	if msgs := toMsgs(f, wire.PeerID{}); len(msgs) != 1 || len(msgs[0].(tui.Failure).Said) != 2 {
		t.Errorf("the screen is told %+v", msgs)
	}
}

// A search that goes on for hours does not fill the screen.
func TestPlainTellsOfASearchNowAndThen(t *testing.T) {
	now := noon
	p := newPlainPrinter(func() time.Time { return now }, true)
	lines := 0
	for i := range 600 { // ten tries a second for a minute
		now = now.Add(100 * time.Millisecond)
		t := peer.TrackerChanged{State: peer.TrackerSearching, Trying: strings.Repeat("x", i%7)}
		if i > 0 {
			t.Err = os.ErrDeadlineExceeded
		}
		lines += strings.Count(string(p.event(nil, t, &view{})), "\n")
	}
	if lines < 2 || lines > 5 {
		t.Errorf("a minute of searching is told in %d lines, want 2 to 5", lines)
	}
}

// Each change of the tracker is one line, a try is none.
func TestPlainTellsOfAnElection(t *testing.T) {
	p := newPlainPrinter(func() time.Time { return noon }, true)
	carol := someone(8, "carol").Peer
	led := peer.TrackerChanged{State: peer.TrackerConnected, URL: "ws://10.0.0.3:5000/ws", Term: 3, Leader: carol, Name: "carol"}
	home := peer.TrackerChanged{State: peer.TrackerConnected, URL: "ws://home:5000/ws"}
	back, inMesh := home, led
	back.Term, inMesh.InMesh = 5, true
	lost := peer.TrackerChanged{State: peer.TrackerLost, Err: os.ErrClosed, Trying: "home"}
	var out []byte
	for _, ev := range []peer.Event{
		home, lost, lost, peer.TrackerChanged{State: peer.TrackerElecting}, inMesh, led,
		peer.TrackerChanged{State: peer.TrackerHosting, URL: "ws://10.0.0.1:5000/ws", Term: 4, Self: true}, back, back,
	} {
		out = p.event(out, ev, &view{})
	}
	want := `12:04 -!- connected to the tracker at home:5000
12:04 -!- the tracker at home:5000 is lost; the chat goes on between the linked peers (file already closed); trying home
12:04 -!- the peers are electing a new tracker
12:04 -!- carol#` + carol.Tag() + ` is the tracker now (term 3); only inside the mesh: nobody could dial it
12:04 -!- the tracker, carol#` + carol.Tag() + `, can be reached from outside the mesh now
12:04 -!- the tracker passed from carol#` + carol.Tag() + ` to you (term 4); others reach it at 10.0.0.1:5000
12:04 -!- the home tracker home:5000 is back (term 5)
`
	if string(out) != want {
		t.Errorf("the lines are\n%swant\n%s", out, want)
	}
}

func TestPlainPrintsACode(t *testing.T) {
	p := newPlainPrinter(func() time.Time { return noon }, true)
	a := peer.InviteAnswer{Room: "general"}
	for _, n := range []string{"1", "2", "3", "4", "5", "6", "7", "8"} {
		a.Addresses = append(a.Addresses, "ws://192.168.100.20"+n+":5000/ws")
	}
	out := string(p.event(nil, peer.Answer{Ref: inviteRef{code: true}, Value: a}, &view{}))
	_, code, found := strings.Cut(out, "with the first 4 of 8 addresses:\n")
	if !found {
		t.Fatalf("of many addresses those are in the code that fit 80 by 24:\n%s", out)
	}
	rows := strings.Split(strings.TrimSuffix(code, "\n"), "\n")
	if len(rows) > codeHeight {
		t.Errorf("the code has %d rows, at most %d fit", len(rows), codeHeight)
	}
	for _, r := range rows {
		if len([]rune(r)) != len([]rune(rows[0])) || !strings.HasPrefix(r, "      ") {
			t.Fatalf("the rows stand below each other:\n%s", code)
		}
	}
}

// In a large room only the first link and the loss of the last are worth a line; in a small one each is.
func TestPlainLinesOfLinks(t *testing.T) {
	for members, want := range map[int]string{
		6: "linked to p1, linked to p2, no link to p1 any more: gone, linked to p1, no link to p1 any more: gone, no link to p2 any more: gone",
		7: "linked to p1, no link to anybody any more: gone",
	} {
		p := newPlainPrinter(func() time.Time { return noon }, true)
		v := &view{rooms: []wire.Room{"general", "dev"}, count: map[wire.Room]int{"general": members, "dev": 2}}
		var out []byte
		for _, link := range []struct {
			n  byte
			up bool
		}{{1, true}, {2, true}, {1, false}, {1, true}, {1, false}, {2, false}} {
			reason := "gone"
			if link.up {
				reason = ""
			}
			out = p.event(out, peer.LinkChanged{Person: someone(link.n, fmt.Sprintf("p%d", link.n)), Up: link.up, Reason: reason}, v)
		}
		var got []string
		for l := range strings.Lines(string(out)) {
			got = append(got, strings.TrimSpace(l[strings.Index(l, "-!- ")+4:]))
		}
		if text := strings.Join(got, ", "); text != want {
			t.Errorf("with %d in the room: %q, want %q", members, text, want)
		}
	}
}

func TestWhatIsLostIsTold(t *testing.T) {
	n := peer.Notice{Room: "dev", Code: "lost", Text: "5 lines of ann#k3fd in #dev are lost: nobody linked keeps them any more"}
	clock := func() time.Time { return noon }
	plain := string(newPlainPrinter(clock, true).event(nil, n, &view{}))
	if want := "12:04 -!- " + n.Text + "\n"; plain != want {
		t.Errorf("plain mode says %q: want %q", plain, want)
	}
	json := string((&jsonPrinter{now: clock}).event(nil, n, &view{}))
	if !strings.Contains(json, `"type":"notice"`) || !strings.Contains(json, `"room":"dev"`) || !strings.Contains(json, `"code":"lost"`) {
		t.Errorf("as JSON it is %s", json)
	}
}
