package gossip

import (
	"fmt"
	"testing"
	"time"

	"peerchat/peer/wire"
)

// chain links nodes in a row.
func (w *world) chain(nodes ...*node) {
	for i := range nodes[1:] {
		w.link(nodes[i], nodes[i+1])
	}
}

// grows lets a node say lines until their tree has settled.
func (w *world) grows(author *node) {
	for range 4 {
		w.say(author, "hello")
		w.run(time.Second)
	}
}

// pushes fails unless a line of author comes to all in as many link delays, and nobody had to ask for it.
func (w *world) pushes(author *node, delays int) {
	w.t.Helper()
	drop := w.drop
	w.drop = func(from, to *node, f wire.Frame) bool {
		if from.asks(author, f) {
			w.t.Fatalf("%s asks %s: %s", from.name, to.name, w.describe(f))
		}
		return drop != nil && drop(from, to, f)
	}
	w.say(author, "does it come?")
	w.run(time.Duration(delays)*5*time.Millisecond + time.Millisecond)
	for _, n := range w.nodes {
		if got := n.delivered[author.id]; len(got) == 0 || got[len(got)-1] != author.machine.rooms[general].own.head {
			w.t.Fatalf("%s does not have the line after %d link delays", n.name, delays)
		}
	}
	w.run(time.Second)
	w.drop = drop
}

// asks tells whether a frame asks for an event of author that was said.
func (n *node) asks(author *node, f wire.Frame) bool {
	var ranges []wire.Range
	switch f := f.(type) {
	case wire.Graft:
		ranges = f.Ranges
	case wire.Want:
		ranges = f.Ranges
	}
	for _, q := range ranges {
		if q.Author == author.id && q.From <= author.machine.rooms[general].own.head {
			return true
		}
	}
	return false
}

// x has ann's lines by two links, and n by three others, of which x learns when they are linked.
func TestAnOrphanTurnsToWhoIsBesideIt(t *testing.T) {
	w := newWorld(t, 41, "ann", "a", "x", "c", "b", "n")
	ann, a, x, c, b, n := w.nodes[0], w.nodes[1], w.nodes[2], w.nodes[3], w.nodes[4], w.nodes[5]
	w.chain(ann, a, x)
	w.chain(ann, c, b, n)
	w.run(time.Second)
	w.grows(ann)
	w.link(x, n)
	w.grows(ann)
	w.unlink(a, x)
	w.run(20 * time.Millisecond)
	if p := x.parentOf(ann); p != n.id {
		t.Fatalf("the parent of x is %s: want n", w.name(p))
	}
	w.pushes(ann, 4)
	w.converged()
	w.bounded()
}

// x has no neighbours but two that get ann's lines from it; one of them, after others, has another way.
func TestATreeIsTurnedAround(t *testing.T) {
	w := newWorld(t, 43, "ann", "a", "x", "k", "l", "m", "f", "g", "h", "i")
	ann, a, x, k, l, m := w.nodes[0], w.nodes[1], w.nodes[2], w.nodes[3], w.nodes[4], w.nodes[5]
	w.chain(ann, a, x, k, l, m)
	w.chain(ann, w.nodes[6], w.nodes[7], w.nodes[8], w.nodes[9], m)
	w.run(time.Second)
	w.grows(ann)
	w.unlink(a, x)
	w.run(50 * time.Millisecond)
	w.pushes(ann, 8)
	if p := x.parentOf(ann); p != k.id {
		t.Errorf("the parent of x is %s: want k", w.name(p))
	}
	w.converged()
	w.bounded()
}

// x and y lose the parent that they share, and are as near to ann as each other: each asks the other first, and then
// who has a way.
func TestTwoOrphansDoNotWaitForEachOther(t *testing.T) {
	w := newWorld(t, 47, "ann", "q", "x", "y", "b", "c", "m", "n")
	ann, q, x, y, b, c, m, n := w.nodes[0], w.nodes[1], w.nodes[2], w.nodes[3], w.nodes[4], w.nodes[5], w.nodes[6], w.nodes[7]
	w.chain(ann, q, x)
	w.chain(q, y)
	w.chain(ann, b, c, m)
	w.chain(c, n)
	w.run(time.Second)
	w.grows(ann)
	w.link(x, y)
	w.link(x, m)
	w.link(y, n)
	w.grows(ann)
	crossed := 0
	w.drop = func(from, to *node, f wire.Frame) bool {
		if _, is := f.(wire.Graft); is && (from == x && to == y || from == y && to == x) {
			crossed++
		}
		return false
	}
	w.kill(q)
	w.run(20 * time.Millisecond)
	if crossed != 2 {
		t.Errorf("x and y have asked each other in %d frames: want 2", crossed)
	}
	w.pushes(ann, 5)
	w.converged()
	w.bounded()
}

// Where there is no way the search ends, and costs each link little.
func TestASearchForAParentEnds(t *testing.T) {
	for seed := range uint64(20) {
		w := newWorld(t, seed)
		w.sparse(60, 5)
		w.run(time.Second)
		ann, links, grafts := w.nodes[0], 0, 0
		w.grows(ann)
		w.drop = func(_, _ *node, f wire.Frame) bool {
			if _, is := f.(wire.Graft); is {
				grafts++
			}
			return false
		}
		for _, n := range w.nodes {
			links += len(n.links)
			w.unlink(ann, n)
		}
		w.run(30 * time.Second)
		if grafts == 0 || grafts > links {
			t.Errorf("seed %d: %d frames were sent for a parent that nobody has, over %d links: want some, and at most one each way", seed, grafts, links/2)
		}
		w.bounded()
		w.link(ann, w.nodes[1])
		w.run(time.Second)
		w.say(ann, "I am back")
		w.run(3 * time.Second)
		w.converged()
	}
}

// Links end and others begin all the time, as where an overlay tends them. Hardly anybody has to ask for the next line.
func TestTreesAreMendedBeforeTheNextLine(t *testing.T) {
	asked, delivered, wasted, rooms := 0, 0, 0.0, 5
	for seed := range uint64(rooms) {
		w := newWorld(t, seed)
		w.sparse(120, 5)
		w.run(time.Second)
		ann := w.nodes[0]
		w.grows(ann)
		w.drop = func(from, _ *node, f wire.Frame) bool {
			if from.asks(ann, f) {
				asked++
			}
			return false
		}
		for range 10 {
			for range 15 { // of 300
				a, b := w.someLink()
				w.unlink(a, b)
				for _, n := range []*node{a, b} {
					if o := w.nodes[w.rand.IntN(len(w.nodes))]; o != n && n.links[o] == nil {
						w.link(n, o)
					}
				}
				w.run(10 * time.Millisecond)
			}
			w.run(500 * time.Millisecond)
			wasted += w.redundancy(func() { w.say(ann, "a line"); w.run(2 * time.Second) })
			delivered += len(w.nodes) - 1
		}
		w.converged()
		w.bounded()
	}
	if share := float64(asked) / float64(delivered); share > 0.002 {
		t.Errorf("%d of %d lines had to be asked for: want at most one in 500", asked, delivered)
	}
	if wasted /= float64(rooms * 10); wasted > 0.02 {
		t.Errorf("a line has a redundancy of %.4f: want at most 0.02", wasted)
	}
}

// someLink is one of the links, by chance.
func (w *world) someLink() (a, b *node) {
	for {
		a, b = w.nodes[w.rand.IntN(len(w.nodes))], w.nodes[w.rand.IntN(len(w.nodes))]
		if a.links[b] != nil {
			return a, b
		}
	}
}

// A parent that says over and over that it has lost its way has another looked for once, and is told nothing.
func TestAParentThatAlwaysLosesItsWayIsLeft(t *testing.T) {
	w, ann, mel, _, x := ladder(t)
	graft := wire.Graft{Room: general, Ranges: []wire.Range{{Author: ann.id, From: 3, To: 514}}}
	before := w.sent
	for range 500 {
		w.receive(x, mel, graft)
	}
	if p := x.parentOf(ann); p == mel.id || w.sent-before != 1 {
		t.Errorf("x has sent %d frames, and its parent is %s: want one frame, and another", w.sent-before, w.name(p))
	}
	for range 500 {
		for n := range x.links {
			w.receive(x, n, graft)
		}
	}
	if w.sent-before > len(x.links) {
		t.Errorf("x has sent %d frames to %d neighbours: want at most one each", w.sent-before, len(x.links))
	}
	w.run(time.Second)
	w.say(ann, "where is it?")
	w.run(500 * time.Millisecond)
	if got := len(x.delivered[ann.id]); got != 3 {
		t.Errorf("x has %d of 3 lines 500 ms after the last was said", got)
	}
	w.converged()
	w.bounded()
}

// Whom an orphan asked in vain has said nothing, and is not to blame.
func TestHopeIsNoReasonToBlame(t *testing.T) {
	w := newWorld(t, 53, "ann", "a", "x", "k")
	ann, a, x, k := w.nodes[0], w.nodes[1], w.nodes[2], w.nodes[3]
	w.chain(ann, a, x, k)
	w.run(time.Second)
	w.grows(ann)
	for i := range 2 * maxStrikes {
		w.unlink(a, x)
		w.run(20 * time.Millisecond)
		if p := x.parentOf(ann); p != k.id {
			t.Fatalf("the parent of x is %s: want k, its child", w.name(p))
		}
		w.link(a, x)
		w.say(ann, fmt.Sprint(i))
		w.run(2 * time.Second)
		if n := x.machine.links[k.id].struck(w.now); n > 0 {
			t.Fatalf("x holds %d failures against k, which has never had a way", n)
		}
	}
	w.converged()
}

// What waits to be offered does not wait on when a link ends.
func TestTheEndOfALinkHurriesOffers(t *testing.T) {
	late := 0
	for seed := range uint64(20) {
		w := newWorld(t, seed, "ann", "bob", "cyd", "dan")
		ann, bob, cyd, dan := w.nodes[0], w.nodes[1], w.nodes[2], w.nodes[3]
		w.chain(ann, bob, cyd)
		w.link(bob, dan)
		w.run(time.Second)
		w.grows(ann)
		w.run(2 * troubleLife)
		w.say(ann, "to be offered")
		w.run(6 * time.Millisecond) // bob has it
		r := bob.machine.rooms[general]
		if r.offerAt.Sub(w.now) < offerMax {
			continue // by chance it is soon anyway
		}
		late++
		w.unlink(bob, cyd)
		if wait := r.offerAt.Sub(w.now); wait > offerMax {
			t.Errorf("seed %d: %v after a link ended the offer still waits", seed, wait)
		}
		w.link(bob, cyd)
		w.run(3 * time.Second)
		w.converged()
	}
	if late == 0 {
		t.Fatal("no offer had to be hurried")
	}
}
