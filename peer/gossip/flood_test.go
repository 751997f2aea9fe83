package gossip

import (
	"fmt"
	"testing"
	"time"

	"peerchat/peer/wire"
)

// chain links nodes of a new world in a row, each with a window of so many events.
func chain(t *testing.T, seed uint64, events int, names ...string) *world {
	w := newWorld(t, seed, names...)
	for i, n := range w.nodes {
		n.window = Window{Events: events}
		w.start(n)
		if i > 0 {
			w.link(w.nodes[i-1], n)
		}
	}
	w.run(time.Second)
	return w
}

// flood has authors say lines as fast as they are read: rounds of so many.
func (w *world) flood(rounds, lines int, authors ...*node) {
	w.t.Helper()
	for range rounds {
		for _, a := range authors {
			w.says(a, lines)
		}
		w.run(5 * time.Millisecond)
	}
}

// says has a node say so many lines at once.
func (w *world) says(n *node, lines int) {
	w.t.Helper()
	texts := make([]string, lines)
	for i := range texts {
		texts[i] = fmt.Sprintf("%s %d", n.name, len(n.said)+i)
	}
	w.say(n, texts...)
}

// truly lets the network run for d, and fails when somebody knows of an event that is not there and says that nothing
// is missing.
func (w *world) truly(d time.Duration) {
	w.t.Helper()
	for end := w.now.Add(d); w.now.Before(end); w.run(2 * time.Millisecond) {
		for _, n := range w.nodes {
			r := n.machine.rooms[general]
			for _, l := range n.machine.linkList {
				for id, k := range l.share(r).known {
					head := id.Start()
					if a := r.logs[id]; a != nil {
						head = a.head
					}
					if k.seq > max(head, k.base) && n.machine.Missing(general) == 0 {
						w.t.Fatalf("%s knows that %s holds %d of %s, of which it has %d, and says that nothing is missing", n.name, w.name(l.peer), k.seq,
							w.name(id.Author), head)
					}
				}
			}
		}
	}
}

// Those who are in a room get all that is said there, also if that is far more than the window of a newcomer and more
// than was said there before.
func TestAFloodThatBeginsARoomReachesAllWhoAreThere(t *testing.T) {
	for seed := range uint64(5) {
		w := chain(t, seed, 50, "ann", "bob", "cyd", "dan", "eve", "fay")
		w.flood(4, 100, w.nodes[0], w.nodes[2], w.nodes[5])
		w.truly(10 * time.Second)
		w.converged()
		if late := w.nodes[1]; late.machine.Missing(general) != 0 {
			t.Errorf("seed %d: %d are missing, it says, when all are here", seed, late.machine.Missing(general))
		}
	}
}

// So it is later on, when somebody says his first words, and whatever his clock shows.
func TestTheFirstWordsOfAnAuthorAreNotCutToTheWindow(t *testing.T) {
	for _, off := range []time.Duration{0, -30 * 24 * time.Hour} {
		w := chain(t, 1, 50, "ann", "bob", "cyd", "dan")
		ann, dan := w.nodes[0], w.nodes[3]
		w.talk(60, 10*time.Millisecond, ann)
		w.run(5 * time.Second)
		w.at(off, func() {
			for range 4 {
				lines := make([]string, 100)
				for i := range lines {
					lines[i] = fmt.Sprintf("dan %d", len(dan.said)+i)
				}
				w.say(dan, lines...)
			}
		})
		w.run(10 * time.Second)
		w.converged()
	}
}

// at does something at another time by the clocks, as one whose clock is off does.
func (w *world) at(off time.Duration, f func()) {
	now := w.now
	w.now = now.Add(off)
	f()
	w.now = now
}

// Who gets another link in the middle of a flood first hears of its authors in the digest of a new neighbour. It has
// been here all the time. So it is with an author whose clock is ahead.
func TestALinkInTheMiddleOfAFloodLosesNothing(t *testing.T) {
	for _, off := range []time.Duration{0, time.Minute, time.Hour} {
		w := chain(t, 3, 50, "ann", "bob", "cyd", "dan")
		ann, bob, dan := w.nodes[0], w.nodes[1], w.nodes[3]
		ann.off = off
		w.back(ann, bob)
		w.run(time.Second)
		w.drop = func(from, to *node, f wire.Frame) bool { return to.name == "cyd" } // who is slow, and tells dan nothing
		w.flood(4, 100, ann, bob)
		w.run(time.Second)
		w.link(dan, bob)
		w.truly(time.Second)
		for _, author := range []*node{ann, bob} {
			if got := len(dan.delivered[author.id]); got != 400 {
				t.Errorf("dan has %d of 400 lines of %s, whose clock is %v ahead", got, author.name, author.off)
			}
		}
		w.drop = nil
		w.truly(time.Minute)
		w.converged()
	}
}

// An honest neighbour may need longer for its answers than they are waited for, as all that it sends stands behind a
// flood. What it holds stays known as missing, and it is asked until all is here.
func TestWhatASlowNeighbourHoldsStaysMissing(t *testing.T) {
	w := newWorld(t, 7, "ann", "bob")
	ann, bob := w.nodes[0], w.nodes[1]
	bob.window = Window{Events: 1 << 20, Age: -1}
	w.start(bob)
	w.flood(20, 100, ann)
	w.delay = func() time.Duration { return askTimeout * 5 / 8 }
	w.mesh()
	w.run(askTimeout)
	if bob.machine.Missing(general) == 0 {
		t.Fatal("bob has heard of ann's lines, and says that nothing is missing")
	}
	for start := w.now; len(bob.delivered[ann.id]) < 2000; w.run(50 * time.Millisecond) {
		if got := len(bob.delivered[ann.id]); bob.machine.Missing(general) == 0 && got < 2000 {
			t.Fatalf("%v after it heard of 2000 lines bob has %d and says that nothing is missing", w.now.Sub(start), got)
		}
		if w.now.Sub(start) > time.Minute {
			t.Fatalf("a minute after it heard of 2000 lines bob has %d", len(bob.delivered[ann.id]))
		}
	}
	if len(bob.faults) > 0 {
		t.Errorf("bob reports %v of an honest neighbour", bob.faults)
	}
}
