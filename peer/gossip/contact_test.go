package gossip

import (
	"fmt"
	"testing"
	"time"

	"peerchat/peer/history"
	"peerchat/peer/wire"
)

func TestANewcomerGetsTheEndOfTheRoomAndNotEqualShares(t *testing.T) {
	w := newWorld(t, 5, "ann", "bob", "cyd")
	w.mesh()
	ann, bob, cyd := w.nodes[0], w.nodes[1], w.nodes[2]
	w.talk(500, time.Second, bob) // long ago
	w.talk(2, time.Second, cyd)
	w.talk(500, time.Second, ann)
	dan := w.newcomer(Window{Events: 400})
	w.run(5 * time.Second)
	for _, n := range w.nodes[:3] {
		dan.wholeFrom(w, n)
	}
	anns, _, all := dan.holds(ann)
	bobs, _, _ := dan.holds(bob)
	if _, _, _ = dan.holds(cyd); all != 400 {
		t.Errorf("the newcomer has fetched %d events: want the whole window of 400", all)
	}
	if bobs != 500-endOfLog+1 || anns > 500-350 {
		t.Errorf("the newcomer holds bob's lines from %d and ann's from %d on: want only the end of bob's log, who fell silent long ago, and all "+
			"else of the window of ann's", bobs, anns)
	}
	w.say(ann, "hello dan")
	w.say(dan, "hello")
	w.run(time.Second)
	dan.wholeFrom(w, ann)
	w.bounded()
}

func TestTheWindowEndsAtItsAge(t *testing.T) {
	for name, c := range map[string]struct {
		window Window
		from   [3]uint64 // of ann, bob and cyd
	}{
		"an hour": {Window{Age: time.Hour}, [3]uint64{41, 21, 6}},
		"any":     {Window{Age: -1}, [3]uint64{1, 1, 1}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 5, "ann", "bob", "cyd")
			w.mesh()
			ann, bob, cyd := w.nodes[0], w.nodes[1], w.nodes[2]
			w.talk(20, time.Second, ann, bob)
			w.talk(20, time.Second, ann)
			w.talk(5, time.Second, cyd)
			w.run(2 * time.Hour)
			w.talk(100, time.Second, ann)
			w.talk(2, time.Second, bob)
			w.queue = nil
			dan := w.newcomer(c.window)
			w.run(10 * time.Second)
			for i, n := range []*node{ann, bob, cyd} {
				if base := dan.store.Base(general, wire.LogID{Author: n.id}); base+1 != c.from[i] {
					t.Errorf("the newcomer holds %s's lines from %d on: want from %d", n.name, base+1, c.from[i])
				}
			}
			w.talk(1, time.Second, ann, bob, cyd)
			for i, n := range []*node{ann, bob, cyd} {
				if got := dan.delivered[n.id]; len(got) == 0 || got[0] != c.from[i] || got[len(got)-1] != uint64(len(n.said)) {
					t.Errorf("the newcomer was delivered %v of %s: want %d to %d", got, n.name, c.from[i], len(n.said))
				}
			}
			if n := dan.machine.Missing(general); n != 0 {
				t.Errorf("%d events are missing, it says", n)
			}
			w.bounded()
		})
	}
}

func TestVeryManyAuthorsShareTheWindow(t *testing.T) {
	w := newWorld(t, 5, "ann", "bob")
	ann, bob := w.nodes[0], w.nodes[1]
	const authors = 80
	for i := range authors {
		n := &node{name: fmt.Sprint(i)}
		n.key, n.id = w.identity(100 + i)
		for seq := range uint64(5) {
			e := w.forge(n, seq+1, "x", nil)
			if err := ann.store.Append([]wire.Event{e}); err != nil {
				t.Fatal(err)
			}
		}
	}
	w.restart(ann)
	bob.window.Events = 60
	w.start(bob)
	w.mesh()
	w.run(5 * time.Second)
	_, _, all := bob.holds(ann)
	heads, _, _ := bob.store.Heads(general)
	if all != 60 || len(heads) != authors {
		t.Errorf("of %d authors a newcomer with a window of 60 holds %d events and knows %d: want 60, and all", authors, all, len(heads))
	}
	for _, h := range heads {
		if h.Seq != 5 {
			t.Errorf("the newcomer has the log of %s up to %d, want 5", h.Author.Tag(), h.Seq)
		}
	}
	w.run(10 * time.Second)
	if _, _, now := bob.holds(ann); now != all {
		t.Errorf("later it holds %d", now)
	}
}

func TestARoomThatFitsIntoTheWindowComesInOrder(t *testing.T) {
	w := newWorld(t, 5, "ann", "bob", "cyd")
	w.mesh()
	ann := w.nodes[0]
	w.talk(350, time.Millisecond, ann)
	w.run(2 * time.Hour)
	w.talk(100, 10*time.Millisecond, w.nodes...)
	dan := w.newcomer(Window{})
	w.run(5 * time.Second)
	for _, n := range w.nodes[:3] {
		dan.wholeFrom(w, n)
		if from, _, _ := dan.holds(n); from != 1 {
			t.Errorf("of %s's %d lines the newcomer holds those from %d on: want all", n.name, len(n.said), from)
		}
	}
	if dan.older != 0 {
		t.Errorf("%d events were delivered after younger ones, though the room fits into the window", dan.older)
	}
	late := w.add("eve", 10)
	late.window.Age = time.Hour
	w.start(late)
	w.mesh()
	w.run(5 * time.Second)
	if from, _, all := late.holds(ann); from != 351 || all != 300 || late.older != 0 {
		t.Errorf("who wants an hour of it holds %d events, ann's from %d on, %d of them out of order: want 300, from 351, none", all, from, late.older)
	}
	w.bounded()
}

func TestOnlyTheNewAuthorsOfACrowdedRoomAreRefused(t *testing.T) {
	w := newWorld(t, 5, "ann", "bob", "cyd", "dan", "eve")
	ann, bob := w.nodes[0], w.nodes[1]
	bob.store = history.NewMemoryWith(history.Limits{Authors: 1}) // and as many again
	w.start(bob)
	w.link(ann, bob)
	w.say(bob, "mine")
	w.say(ann, "one")
	w.run(time.Second)
	for _, n := range w.nodes[2:] {
		w.link(n, ann)
		w.talk(5, time.Second, n)
		w.say(ann, "still here")
	}
	w.run(10 * time.Second)
	wants := w.sent
	w.run(20 * time.Second)
	if len(bob.delivered[ann.id]) != 4 || len(bob.delivered) != 2 {
		t.Errorf("bob was delivered %d lines of ann, and of %d authors: want all 4, and of no more than his history has place for",
			len(bob.delivered[ann.id]), len(bob.delivered))
	}
	if bob.faults["flood"] != 1 || bob.faults["log"] != 0 || bob.cut(ann) {
		t.Errorf("bob reports %v: want once that there are too many authors", bob.faults)
	}
	if sent := w.sent - wants; sent > 60 {
		t.Errorf("%d frames were sent in 20 quiet seconds: what is refused is asked for over and over", sent)
	}
	w.bounded()
}

func TestOneOfManyAuthorsInAFrameIsRefusedAlone(t *testing.T) {
	w, ann, bob := linked(t, "cyd", "dan")
	bob.store = history.NewMemoryWith(history.Limits{Authors: 1})
	w.restart(bob)
	w.link(ann, bob)
	w.run(time.Second)
	w.receive(bob, ann, live(w.forge(w.node("cyd"), 1, "c", nil), w.forge(w.node("dan"), 1, "d", nil), w.forge(ann, 1, "a", nil),
		w.forge(w.node("cyd"), 2, "c", nil)))
	if len(bob.delivered) != 2 || len(bob.delivered[w.node("cyd").id]) != 2 || len(bob.delivered[w.node("dan").id]) != 1 {
		t.Errorf("of a frame of three authors %d were delivered: want the two that there is place for", len(bob.delivered))
	}
	if bob.faults["flood"] != 1 || len(bob.faults) != 1 {
		t.Errorf("bob reports %v", bob.faults)
	}
	w.bounded()
}
