package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"peerchat/peer"
	"peerchat/peer/wire"
)

// plainRun is plain mode at a time of its own: what it prints is kept without the time of day.
type plainRun struct {
	p   *plainPrinter
	v   view
	now time.Time
	out []byte
}

func newPlainRun() *plainRun {
	r := &plainRun{now: noon, v: view{rooms: []wire.Room{"dev"}}}
	r.p = newPlainPrinter(func() time.Time { return r.now }, true)
	return r
}

// pass lets time go by as line mode does: it looks ten times a second, while there is something to look at.
func (r *plainRun) pass(d time.Duration) {
	for end := r.now.Add(d); r.now.Before(end); r.now = r.now.Add(100 * time.Millisecond) {
		if r.p.waits() {
			r.out = r.p.tick(r.out, &r.v)
		}
	}
}

func (r *plainRun) event(ev peer.Event) { r.out = r.p.event(r.out, ev, &r.v) }

// said is a line of ann in dev.
func (r *plainRun) said(clock int, history bool) {
	r.event(peer.Message{Room: "dev", Person: someone(8, "ann"), Kind: wire.KindText, Text: fmt.Sprint(clock), Seq: uint64(clock), Lamport: uint64(clock), Sent: r.now,
		History: history})
}

func (r *plainRun) want(t *testing.T, what, want string) {
	t.Helper()
	var got []string
	for l := range strings.Lines(string(r.out)) {
		_, text, _ := strings.Cut(strings.TrimSuffix(l, "\n"), " ")
		got = append(got, text)
	}
	r.out = nil
	if text := strings.Join(got, "|"); text != want {
		t.Errorf("%s: it prints %q, want %q", what, text, want)
	}
}

// Who comes into a room is sent what was said before from its end on. A pipe gets it in order.
func TestPlainPrintsWhatWasSaidBeforeInOrder(t *testing.T) {
	r := newPlainRun()
	for _, clocks := range [][]int{{7, 8, 9}, {5, 6}, {3, 4}} {
		for _, c := range clocks {
			r.said(c, true)
		}
		r.pass(300 * time.Millisecond)
	}
	r.want(t, "while it comes", "")
	r.pass(time.Second)
	r.want(t, "when no more comes", "<ann> 3|<ann> 4|<ann> 5|<ann> 6|<ann> 7|<ann> 8|<ann> 9")
	if r.p.waits() {
		t.Error("it waits for nothing any more, and looks at the clock")
	}
	r.said(10, true)
	r.said(11, true)
	r.pass(time.Second)
	r.want(t, "what follows later", "<ann> 10|<ann> 11")
}

// The others are known to have more, and send it after a pause.
func TestPlainWaitsForWhatIsMissing(t *testing.T) {
	r := newPlainRun()
	r.said(9, true)
	r.event(peer.Synced{Room: "dev", Missing: 1})
	r.pass(1500 * time.Millisecond)
	r.said(8, true)
	r.event(peer.Synced{Room: "dev"})
	r.pass(time.Second)
	r.want(t, "after a pause", "<ann> 8|<ann> 9")
	for i := range 200 { // it goes on for long
		r.said(300-i, true)
		r.pass(100 * time.Millisecond)
	}
	r.pass(time.Second)
	text := string(r.out)
	if !strings.Contains(text, " <ann> 300\n12:04 -!- older lines of #dev, 99, from before those above:\n12:04 <ann> 101\n") || !strings.HasPrefix(text, "12:04 <ann> 200\n") {
		t.Errorf("of 200 lines that come within 20 s the newest half is printed after 10 s, and then the rest:\n%s", text)
	}
}

// Others know of more only after a while when one is new in a room.
func TestPlainWaitsLongerInANewRoom(t *testing.T) {
	r := newPlainRun()
	r.event(peer.LinkChanged{Person: someone(8, "ann"), Up: true})
	r.out = nil
	r.said(9, true)
	r.pass(2 * time.Second)
	r.said(8, true)
	r.pass(2 * time.Second)
	r.want(t, "after the first pieces", "")
	r.pass(time.Second)
	r.want(t, "when no more comes", "<ann> 8|<ann> 9")
	r.said(10, true)
	r.pass(time.Second)
	r.want(t, "what comes later", "<ann> 10")
}

// A live line never waits. What is fetched after it is marked.
func TestPlainMarksOlderLines(t *testing.T) {
	r := newPlainRun()
	r.said(6, true)
	r.said(7, true)
	r.said(10, false)
	r.want(t, "somebody speaks", "<ann> 6|<ann> 7|<ann> 10")
	r.said(8, true)
	r.said(5, true)
	r.said(11, true)
	r.pass(time.Second)
	r.want(t, "more of it comes", "-!- older lines of #dev, 2, from before those above:|<ann> 5|<ann> 8|-!- these were older lines|<ann> 11")
	r.said(4, true)
	r.event(peer.RoomLeft{Room: "dev"})
	r.want(t, "the room is left", "-!- older lines of #dev, 1, from before those above:|<ann> 4|-!- these were older lines|<-- you left #dev")
	r.said(1, true)
	r.out = r.p.rest(r.out, &r.v)
	r.want(t, "it ends", "<ann> 1")
}

// Of a conversation that goes on the neighbours send the last seconds as if they were said now.
func TestPlainPutsTheLastSecondsWhereTheyBelong(t *testing.T) {
	r := newPlainRun()
	r.event(peer.LinkChanged{Person: someone(8, "ann"), Up: true})
	r.out = nil
	late := func(clock int) {
		r.event(peer.Message{Room: "dev", Person: someone(8, "ann"), Kind: wire.KindText, Text: fmt.Sprint(clock), Seq: uint64(clock), Lamport: uint64(clock),
			Sent: r.now.Add(-5 * time.Second)})
	}
	late(8)
	late(9)
	r.said(7, true)
	r.said(10, false)
	r.want(t, "somebody speaks", "<ann> 7|<ann> 8|<ann> 9|<ann> 10")
	r.pass(pastLink)
	late(11)
	r.want(t, "an author whose clock is behind does not wait", "<ann> 11")
}

func TestPlainHoldsBackNoMoreThanItsBound(t *testing.T) {
	r := newPlainRun()
	for i := range maxPast {
		r.said(i+1, true)
	}
	if n := strings.Count(string(r.out), "\n"); n != maxPast || r.p.waits() {
		t.Errorf("%d lines are printed: want all of %d", n, maxPast)
	}
}

// Of what was missing a part may have come before it is printed that it is.
func TestPlainTellsOfHolesThatAreThere(t *testing.T) {
	r := newPlainRun()
	fetched := func(seq, missing uint64) {
		r.event(peer.Message{Room: "dev", Person: someone(8, "ann"), Kind: wire.KindText, Text: fmt.Sprint(seq), Seq: seq, Lamport: seq, Missing: missing, Sent: r.now, History: true})
	}
	fetched(9, 5)
	fetched(6, 2)
	fetched(7, 0)
	fetched(8, 0)
	r.pass(time.Second)
	r.want(t, "two are missing still", "-!- #dev: 2 lines of ann are missing here|<ann> 6|<ann> 7|<ann> 8|<ann> 9")
}

// A hostile author's clock goes back from one line to the next.
func TestPlainCountsNoHolesByAClockThatGoesBack(t *testing.T) {
	r := newPlainRun()
	for _, l := range []struct{ seq, clock uint64 }{{5, 9}, {6, 8}, {7, 7}} {
		r.event(peer.Message{Room: "dev", Person: someone(8, "ann"), Kind: wire.KindText, Text: fmt.Sprint(l.seq), Seq: l.seq, Lamport: l.clock, Sent: r.now, History: true})
	}
	r.pass(time.Second)
	r.want(t, "nothing is missing", "<ann> 7|<ann> 6|<ann> 5")
}

// Who was there already is told of in one line, who comes later has joined.
func TestPlainTellsWhoIsHere(t *testing.T) {
	r := newPlainRun()
	joined := func(n byte, name string, count int) {
		r.event(peer.MemberJoined{Room: "dev", Person: someone(n, name), Members: count})
	}
	r.event(peer.RoomJoined{Room: "dev"})
	r.pass(10 * time.Second)
	r.event(peer.TrackerChanged{State: peer.TrackerConnected, URL: "ws://h:5000/ws"})
	r.out = nil
	joined(1, "carol", 2)
	joined(2, "bob", 3)
	r.event(peer.MemberRenamed{Room: "dev", Person: someone(2, "robert"), Was: "bob", Members: 3})
	r.pass(300 * time.Millisecond)
	joined(3, "eve", 4)
	r.event(peer.MemberLeft{Room: "dev", Person: someone(3, "eve"), Members: 3})
	r.pass(3 * time.Second)
	r.want(t, "at the start", "-!- bob is now called robert|-!- in #dev are carol, robert (3 here)")
	joined(3, "eve", 4)
	r.event(peer.MemberLeft{Room: "dev", Person: someone(3, "eve"), Members: 3})
	r.want(t, "later", "--> eve joined #dev (4 here)|<-- eve left #dev (3 here)")
	r.event(peer.RoomLeft{Room: "dev"})
	r.event(peer.RoomJoined{Room: "dev"})
	r.pass(3 * time.Second)
	r.want(t, "in a room of its own", "<-- you left #dev|-!- nobody else is in #dev")
	joined(1, "carol", 2)
	r.want(t, "and somebody comes", "--> carol joined #dev (2 here)")
}

// A new name is told to each room, and printed once.
func TestPlainTellsOfANewNameOnce(t *testing.T) {
	r := newPlainRun()
	r.v.self = someone(9, "me")
	for _, room := range []wire.Room{"ops", "dev", "general"} {
		r.event(peer.RoomJoined{Room: room})
	}
	for _, room := range []wire.Room{"ops", "dev"} {
		r.event(peer.MemberJoined{Room: room, Person: someone(1, "bob"), Members: 2})
	}
	r.pass(time.Minute)
	r.out = nil
	for _, room := range []wire.Room{"ops", "dev"} {
		r.event(peer.MemberRenamed{Room: room, Person: someone(1, "robert"), Was: "bob", Members: 2})
	}
	r.want(t, "of another in two rooms", "-!- bob is now called robert")
	for _, room := range []wire.Room{"ops", "dev", "general"} {
		r.event(peer.MemberRenamed{Room: room, Person: someone(9, "I"), Was: "me", Members: 1})
	}
	r.want(t, "of one's own", "-!- me is now called I")
	r.event(peer.MemberRenamed{Room: "general", Person: someone(2, "carl"), Was: "carol", Members: 2})
	r.want(t, "of somebody who is not known to be there", "-!- carol is now called carl")
}
