package gossip

import (
	"testing"
	"time"

	"peerchat/peer/history"
	"peerchat/peer/wire"
)

// losses are what a node was told to be lost, and what of each author was missing before an event that it was delivered, the last one of these.
type losses struct {
	lost []Lost
	gaps map[wire.PeerID]uint64
}

func (l *losses) tell(out *Output) {
	l.lost = append(l.lost, out.Lost...)
	for _, d := range out.Delivers {
		if d.Missing > 0 {
			if l.gaps == nil {
				l.gaps = make(map[wire.PeerID]uint64)
			}
			l.gaps[d.Event.Author] = d.Missing
		}
	}
}

// forgetful is a chain of nodes whose histories keep few events.
func forgetful(t *testing.T, seed uint64, names ...string) *world {
	w := newWorld(t, seed, names...)
	for i, n := range w.nodes {
		n.store = history.NewMemoryWith(history.Limits{Events: 200})
		n.window = Window{Events: 150, Age: -1}
		w.start(n)
		if i > 0 {
			w.link(w.nodes[i-1], n)
		}
	}
	w.run(time.Second)
	return w
}

// without has dan miss all that is said while f goes on, and the network has ten seconds for what comes of it.
func (w *world) without(dan *node, f func()) {
	w.drop = func(_, to *node, _ wire.Frame) bool { return to == dan }
	f()
	w.drop = nil
	w.run(10 * time.Second)
}

// lostOf is how many events of an author a node was told that it has lost, and how often.
func (n *node) lostOf(author *node) (events uint64, times int) {
	for _, l := range n.lost {
		for _, o := range l.Logs {
			if o.Author == author.id {
				events += o.Events
				times++
			}
		}
	}
	return events, times
}

// Who stays behind in a flood by more than is kept is told of exactly those events that he never saw.
func TestWhatNobodyKeepsAnyMoreIsTold(t *testing.T) {
	for _, first := range []int{0, 40} { // lines that dan saw of each
		w := forgetful(t, 1, "ann", "bob", "dan")
		ann, bob, dan := w.nodes[0], w.nodes[1], w.nodes[2]
		if first > 0 {
			w.flood(1, first, ann, bob)
			w.run(5 * time.Second)
		}
		w.without(dan, func() { w.flood(20, 50, ann, bob) })
		w.run(lostMost)
		for _, author := range []*node{ann, bob} {
			got := len(dan.delivered[author.id])
			events, times := dan.lostOf(author)
			if want := uint64(1000 + first - got); events != want || times != 1 || want < 800 || dan.gaps[author.id] != want {
				t.Errorf("dan has %d of %s's %d lines, was told %d times that %d are lost, and of a gap of %d", got, author.name, 1000+first, times, events,
					dan.gaps[author.id])
			}
		}
		if n := dan.machine.Missing(general); n != 0 || len(ann.lost)+len(bob.lost) > 0 {
			t.Errorf("dan says that %d are missing, and ann and bob that they have lost %v and %v", n, ann.lost, bob.lost)
		}
		w.bounded()
	}
}

// Several gaps of one log in a burst are told of together, and what follows later is told of anew.
func TestABurstOfLossesIsToldOnce(t *testing.T) {
	w := forgetful(t, 2, "ann", "dan")
	ann, dan := w.nodes[0], w.nodes[1]
	w.flood(1, 40, ann)
	w.run(time.Second)
	for range 2 {
		w.drop = func(_, to *node, _ wire.Frame) bool { return to == dan }
		w.flood(20, 50, ann)
		w.drop = nil
		w.run(2*strandedDelay - time.Second)
	}
	w.run(2 * lostQuiet)
	events, times := dan.lostOf(ann)
	if got := len(dan.delivered[ann.id]); times != 1 || events != uint64(2040-got) {
		t.Fatalf("dan has %d of 2040 lines, and was told %d times that %d are lost", got, times, events)
	}
	w.without(dan, func() { w.flood(20, 50, ann) })
	events, times = dan.lostOf(ann)
	if got := len(dan.delivered[ann.id]); times != 2 || events != uint64(3040-got) {
		t.Errorf("dan has %d of 3040 lines, and was told %d times that %d are lost", got, times, events)
	}
}

// What was said before a peer came, or while it was away, is not lost to it, nor is what its own history lets go of.
func TestOnlyWhatWasSaidWhileHereIsLost(t *testing.T) {
	w := forgetful(t, 3, "ann", "bob", "dan")
	ann, bob, dan := w.nodes[0], w.nodes[1], w.nodes[2]
	w.flood(1, 40, ann, bob)
	w.run(time.Second)
	w.unlink(bob, dan)
	w.flood(20, 50, ann, bob)
	w.run(time.Second)
	w.restart(dan)
	w.link(dan, bob)
	late := w.add("eve", 9)
	w.link(late, bob)
	w.run(time.Minute)
	w.flood(20, 5, ann, bob) // own pruning
	w.run(time.Minute)
	for _, n := range w.nodes {
		if len(n.lost) > 0 {
			t.Errorf("%s is told that it has lost %v", n.name, n.lost)
		}
	}
}

// What one neighbour still has is fetched, and is not lost.
func TestWhatSomebodyStillHasIsNotLost(t *testing.T) {
	w := forgetful(t, 4, "ann", "bob", "cyd")
	ann, bob, cyd := w.nodes[0], w.nodes[1], w.nodes[2]
	dan := w.add("dan", 7)
	dan.store, dan.window = history.NewMemory(), Window{Events: 150, Age: -1}
	w.start(dan)
	w.link(bob, dan)
	cyd.store = history.NewMemory() // who keeps all
	w.restart(cyd)
	w.link(bob, cyd)
	w.run(time.Second)
	w.flood(1, 40, ann)
	w.run(time.Second)
	w.drop = func(_, to *node, _ wire.Frame) bool { return to == dan }
	w.flood(20, 50, ann)
	w.drop = nil
	w.run(strandedDelay + time.Second)
	w.link(dan, cyd)
	w.run(time.Minute)
	if got := len(dan.delivered[ann.id]); got != 1040 || len(dan.lost) > 0 || dan.older == 0 {
		t.Errorf("dan has %d of 1040 lines, %d of them late, and was told that it has lost %v", got, dan.older, dan.lost)
	}
}
