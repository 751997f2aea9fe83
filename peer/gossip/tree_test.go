package gossip

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"peerchat/peer/wire"
)

// total counts what reached whom: copies of events, deliveries to others than the author.
func (w *world) total() (copies, deliveries int) {
	for _, n := range w.nodes {
		for _, c := range w.payloads[n.id] {
			copies += c
		}
		for author, seqs := range n.delivered {
			if author != n.id {
				deliveries += len(seqs)
			}
		}
	}
	return copies, deliveries
}

// redundancy is how many more copies than deliveries there are while f runs, for each delivery.
func (w *world) redundancy(f func()) float64 {
	c0, d0 := w.total()
	f()
	c1, d1 := w.total()
	return float64(c1-c0)/float64(d1-d0) - 1
}

// reach is how many links it takes from a node to the farthest.
func (w *world) reach(from *node) (links int) {
	at := map[*node]int{from: 0}
	for next := []*node{from}; len(next) > 0; next = next[1:] {
		links = at[next[0]]
		for n := range next[0].links {
			if _, seen := at[n]; !seen {
				at[n] = links + 1
				next = append(next, n)
			}
		}
	}
	return links
}

// Where nothing is lost and all links are alike, every line of whoever speaks takes the shortest way to everybody, and
// nobody is sent it twice.
func TestALineCostsOneCopyPerPeerInALargeRoom(t *testing.T) {
	for seed := range uint64(30) {
		w := newWorld(t, seed)
		w.sparse(20+6*int(seed), 5)
		w.run(time.Second)
		for range 6 {
			author := w.nodes[w.rand.IntN(len(w.nodes))]
			far := w.reach(author)
			for _, line := range []string{"first", "second"} {
				w.hops = 0
				more := w.redundancy(func() { w.say(author, line); w.run(2 * time.Second) })
				if more != 0 || int(w.hops) != far {
					t.Errorf("seed %d: the %s line of %s has a redundancy of %.4f, in up to %d hops: want 0, in %d", seed, line, author.name, more, w.hops, far)
				}
			}
		}
		w.converged()
		w.bounded()
	}
}

// Nor does a digest that tells of a line before the tree brings it leave its reader without a parent that knows of it:
// the next line is pushed, by one.
func TestALineThatADigestTellsOfMovesItsReaderInTheTree(t *testing.T) {
	w, ann, mel, bob, x := ladder(t)
	lost := false
	w.drop = func(from, to *node, f wire.Frame) bool {
		_, is := f.(wire.Events)
		first := is && !lost && from == mel && to == x
		lost = lost || first
		return first
	}
	w.say(ann, "sooner by digest")
	w.run(6 * time.Millisecond) // bob has it
	w.receive(x, bob, wire.Digest{Room: general, Heads: []wire.Head{{Author: ann.id, Seq: 3}}})
	w.run(time.Second) // and mel has sent it again
	if p := x.parentOf(ann); !lost || p != bob.id {
		t.Fatalf("the parent of x is %s: want bob", w.name(p))
	}
	w.drop = func(from, _ *node, f wire.Frame) bool {
		switch f.(type) {
		case wire.Want, wire.Graft:
			t.Errorf("%s sends %q", from.name, w.describe(f))
		}
		return false
	}
	if more := w.redundancy(func() { w.say(ann, "pushed"); w.run(time.Second) }); more != 0 {
		t.Errorf("the next line has a redundancy of %.2f", more)
	}
	w.converged()
}

// A line that a digest tells of before it is offered makes a tree like any other: the next is pushed.
func TestALineThatADigestTellsOfMakesATree(t *testing.T) {
	w := newWorld(t, 2, "ann", "bob", "cyd")
	ann, bob, cyd := w.nodes[0], w.nodes[1], w.nodes[2]
	w.link(ann, bob)
	w.link(bob, cyd)
	w.run(time.Second)
	w.say(ann, "first")
	w.run(6 * time.Millisecond) // bob has it
	w.receive(cyd, bob, wire.Digest{Room: general, Heads: []wire.Head{{Author: ann.id, Seq: 1}}})
	w.run(time.Second)
	w.drop = func(from, _ *node, f wire.Frame) bool {
		switch f.(type) {
		case wire.Want, wire.Graft:
			t.Errorf("%s sends %q", from.name, w.describe(f))
		}
		return false
	}
	w.say(ann, "second")
	w.run(time.Second)
	w.converged()
}

func TestInAFullMeshNobodyRelays(t *testing.T) {
	w, _, _ := linked(t, "cyd", "dan", "eve", "fay")
	w.drop = func(from, _ *node, f wire.Frame) bool {
		if e, ok := f.(wire.Events); ok && e.Events[0].Author != from.id {
			t.Errorf("%s relays what %s said", from.name, w.name(e.Events[0].Author))
		}
		return false
	}
	for i := range 5 {
		for _, n := range w.nodes {
			w.say(n, fmt.Sprint(i))
		}
		w.run(300 * time.Millisecond)
	}
	w.run(5 * time.Second)
	w.converged()
	if w.hops != 1 {
		t.Errorf("a line took %d hops", w.hops)
	}
}

// ladder is a room in which everything of ann comes to x and y by way of mel or bob: ann—mel—x—y, ann—bob—x, bob—y.
// With mel as x's parent, which is seen to.
func ladder(t *testing.T) (w *world, ann, mel, bob, x *node) {
	w = newWorld(t, 31, "ann", "mel", "bob", "x", "y")
	ann, mel, bob, x = w.nodes[0], w.nodes[1], w.nodes[2], w.nodes[3]
	y := w.nodes[4]
	w.link(ann, mel)
	w.link(mel, x)
	w.run(time.Second)
	w.say(ann, "hello")
	w.run(time.Second)
	w.link(ann, bob)
	w.link(bob, x)
	w.link(bob, y)
	w.link(x, y)
	w.run(5 * time.Second)
	w.say(ann, "hello again")
	w.run(time.Second)
	if p := x.parentOf(ann); p != mel.id {
		t.Fatalf("the parent of x is %s: want mel", w.name(p))
	}
	return w, ann, mel, bob, x
}

// offeredWay is the number of links by which neighbour says that it has the last event of author; unknownHops if it has
// not said.
func (n *node) offeredWay(neighbour, author *node) uint8 {
	m := n.machine
	if k, ok := m.links[neighbour.id].share(m.rooms[general]).known[wire.LogID{Author: author.id}]; ok {
		return k.hops
	}
	return unknownHops
}

// parentOf is the neighbour that n gets the events of author from.
func (n *node) parentOf(author *node) (id wire.PeerID) {
	if a := n.machine.rooms[general].logs[wire.LogID{Author: author.id}]; a != nil && a.parent != nil {
		id = a.parent.link.peer
	}
	return id
}

// silent lets a node forward and serve nothing.
func (w *world) silent(n *node) {
	w.drop = func(from, _ *node, f wire.Frame) bool {
		e, ok := f.(wire.Events)
		return ok && from == n && e.Events[0].Author != n.id
	}
}

func TestANeighbourThatForwardsNothingIsReplaced(t *testing.T) {
	w, ann, mel, bob, x := ladder(t)
	w.silent(mel)
	w.say(ann, "mel keeps this")
	w.run(400 * time.Millisecond)
	if len(x.delivered[ann.id]) != 3 || x.parentOf(ann) != bob.id {
		t.Fatalf("400 ms after mel kept a line, x has %d of 3 and its parent is %s", len(x.delivered[ann.id]), w.name(x.parentOf(ann)))
	}
	for i := range 10 {
		w.say(ann, fmt.Sprint(i))
		w.run(15 * time.Millisecond)
		if got := len(x.delivered[ann.id]); got != 4+i {
			t.Errorf("line %d is not at x after 3 link delays: mel is waited for", i)
		}
		w.run(time.Second)
	}
	w.converged()
}

func TestALiarAboutHopsIsFoundOut(t *testing.T) {
	w, ann, mel, bob, x := ladder(t)
	w.silent(mel)
	late := 0
	for i := range 20 {
		w.say(ann, fmt.Sprint(i))
		w.run(15 * time.Millisecond)
		if len(x.delivered[ann.id]) != 3+i {
			late++
		}
		w.run(50 * time.Millisecond)
		// mel says that it had the event at once, and straight from its author.
		head := ann.machine.rooms[general].own.head
		w.receive(x, mel, wire.Have{Room: general, Heads: []wire.Head{{Author: ann.id, Seq: head}}, Ways: []wire.Way{{Hops: 0, Age: 255}}})
		w.run(time.Second)
	}
	w.converged()
	if late > maxStrikes+1 || x.parentOf(ann) != bob.id {
		t.Errorf("%d of 20 lines came late to x, whose parent is %s at last: want at most %d, and bob", late, w.name(x.parentOf(ann)), maxStrikes+1)
	}
}

func TestOfferingWhatDoesNotExistChangesNothing(t *testing.T) {
	w, ann, mel, bob, x := ladder(t)
	for i := range 200 {
		w.receive(x, bob, wire.Have{Room: general, Heads: []wire.Head{{Author: ann.id, Seq: uint64(1000 + i)}}, Ways: []wire.Way{{Hops: 0}}})
		w.run(20 * time.Millisecond)
		if i%10 == 0 {
			w.say(ann, fmt.Sprint(i))
			w.run(15 * time.Millisecond)
			if got := len(x.delivered[ann.id]); got != 3+i/10 {
				t.Fatalf("line %d of ann is not at x in time: it has %d", i/10, got)
			}
		}
	}
	w.bounded()
	if l := x.machine.links[mel.id]; l.struck(w.now) > 0 {
		t.Error("mel is held to have failed, because bob offers what does not exist")
	}
	w.run(20 * time.Second)
	w.converged()
}

func TestPruningAndGraftingCostWhoDoesIt(t *testing.T) {
	for what, f := range map[string]wire.Frame{
		"prune": wire.Prune{Room: general, Authors: []wire.PeerID{{1}, {2}, {3}}},
		"graft": wire.Graft{Room: general, Ranges: []wire.Range{{Author: wire.PeerID{1}, From: 1, To: 9}, {Author: wire.PeerID{2}, From: 1, To: 9}}},
	} {
		w, ann, bob := linked(t)
		before := w.sent
		for range 2 * wasteBurst {
			w.receive(bob, ann, f)
		}
		w.bounded()
		if !bob.cut(ann) || w.sent-before > 10 || len(bob.machine.rooms[general].logs) > 2 {
			t.Errorf("%d times %s had %d frames for an answer and left %d logs, faults %v: want a flood, and no more", 2*wasteBurst, what,
				w.sent-before, len(bob.machine.rooms[general].logs), bob.faults)
		}
	}
}

func TestWhoPrunesEverythingHurtsItselfOnly(t *testing.T) {
	w, ann, mel, _, x := ladder(t)
	for i := range 30 {
		w.receive(ann, mel, wire.Prune{Room: general, Authors: []wire.PeerID{ann.id}})
		w.receive(x, mel, wire.Prune{Room: general, Authors: []wire.PeerID{ann.id}})
		w.say(ann, fmt.Sprint(i))
		w.run(500 * time.Millisecond)
		if got := len(x.delivered[ann.id]); got != 3+i {
			t.Fatalf("after 500 ms x lacks line %d, because mel prunes its links", i)
		}
	}
	w.run(10 * time.Second)
	w.converged()
}

func TestHopsThatAreTooManyEndNothing(t *testing.T) {
	w := newWorld(t, 33)
	w.sparse(30, 4)
	w.run(time.Second)
	liar := w.nodes[7]
	w.drop = func(from, to *node, f wire.Frame) bool {
		switch e := f.(type) {
		case wire.Events:
			if from == liar && e.Hops < 200 {
				e.Hops = 255
				w.receive(to, from, e)
				return true
			}
		case wire.Have:
			if from == liar && len(e.Ways) > 0 && e.Ways[0].Hops != 255 {
				for i := range e.Ways {
					e.Ways[i].Hops = 255
				}
				w.receive(to, from, e)
				return true
			}
		}
		return false
	}
	for i := range 10 {
		w.say(w.nodes[i], fmt.Sprint(i))
		w.run(2 * time.Second)
		for _, n := range w.nodes {
			if len(n.delivered[w.nodes[i].id]) != 1 {
				t.Errorf("line %d is not at %s after 2 s, because %s says that all has come a long way", i, n.name, liar.name)
			}
		}
	}
	w.run(time.Minute)
	w.converged()
	w.bounded()
}

func TestTheEndOfAParentIsNotWaitedFor(t *testing.T) {
	w, ann, mel, bob, x := ladder(t)
	for lines := 0; x.offeredWay(bob, ann) == unknownHops; lines++ { // whichever of the two speaks first tells the other
		if lines == 20 {
			t.Fatal("of 20 lines bob offered none to x")
		}
		w.say(ann, "another")
		w.run(time.Second)
	}
	had := len(x.delivered[ann.id])
	w.unlink(mel, x)
	w.run(10 * time.Millisecond)
	if x.parentOf(ann) != bob.id {
		t.Fatalf("after its parent went, x has %s for one: want bob, at once", w.name(x.parentOf(ann)))
	}
	w.say(ann, "hello once more")
	w.run(15 * time.Millisecond)
	if len(x.delivered[ann.id]) != had+1 {
		t.Error("x had to wait for what was said after its parent went")
	}
}

// A newcomer of the overlay is put into a link, whose ends are neighbours no more. Here it is one whose way is long,
// and beyond the link is a part of the tree that knows no other way.
func TestWhoIsPutIntoALinkFindsItsPlaceBeforeTheNextLine(t *testing.T) {
	w := newWorld(t, 37, "ann", "b", "c", "d", "e", "f", "g", "x")
	for i := range 7 {
		w.link(w.nodes[i], w.nodes[i+1])
	}
	w.run(time.Second)
	ann, c, d, x := w.nodes[0], w.nodes[2], w.nodes[3], w.nodes[7]
	for range 3 {
		w.say(ann, "hello")
		w.run(time.Second)
	}
	w.link(c, x)
	w.unlink(c, d)
	w.run(100 * time.Millisecond)
	w.link(x, d)
	w.run(time.Second)
	if x.parentOf(ann) != c.id || d.parentOf(ann) != x.id {
		t.Errorf("the parent of x is %s, that of d %s: want c and x", w.name(x.parentOf(ann)), w.name(d.parentOf(ann)))
	}
	w.hops = 0
	w.say(ann, "hello again")
	w.run(38 * time.Millisecond) // 7 links
	for _, n := range w.nodes[1:] {
		if len(n.delivered[ann.id]) != 4 {
			t.Errorf("%s does not have the line after 7 link delays", n.name)
		}
	}
	w.run(time.Second)
	if w.hops != 6 { // x is linked with g still
		t.Errorf("the line took %d hops: want 6", w.hops)
	}
	w.converged()
}

func TestASlowNeighbourIsWaitedForByNobody(t *testing.T) {
	w, ann, mel, _, x := ladder(t)
	w.step(mel, LinkBusy{x.id, true})
	for i := range 200 {
		w.say(ann, fmt.Sprint(i))
		w.run(50 * time.Millisecond)
		if got := len(x.delivered[ann.id]); i > 10 && got < i {
			t.Fatalf("x has %d of %d lines: mel's link to it is slow, bob's is not", got, i)
		}
	}
	w.bounded()
	if n := len(mel.machine.links[x.id].hedges); n > 0 {
		t.Errorf("%d lines are kept for a slow neighbour", n)
	}
	w.step(mel, LinkBusy{x.id, false})
	w.run(10 * time.Second)
	w.say(ann, "last")
	w.run(10 * time.Second)
	w.converged()
}

func TestAfterMostHaveDiedTheFirstLineReachesAllThatAreConnected(t *testing.T) {
	const rooms = 40
	wasted := 0.0
	for seed := range uint64(rooms) {
		w := newWorld(t, seed)
		w.sparse(200, 5)
		w.run(time.Second)
		for i := range 5 {
			w.say(w.nodes[i], fmt.Sprint(i))
			w.run(time.Second)
		}
		author := w.nodes[2]
		for len(w.nodes) > 40 {
			if n := w.nodes[w.rand.IntN(len(w.nodes))]; n != author {
				w.kill(n)
			}
		}
		w.say(author, "who is left?")
		for _, n := range w.nodes { // what an overlay would do meanwhile
			for len(n.links) < 3 {
				if o := w.nodes[w.rand.IntN(len(w.nodes))]; o != n && n.links[o] == nil {
					w.link(n, o)
				}
			}
			w.run(5 * time.Millisecond)
		}
		w.run(2 * time.Second)
		for _, n := range w.nodes {
			if got := n.delivered[author.id]; len(got) == 0 || got[len(got)-1] != 2 {
				t.Errorf("room %d: 2 s after 80 %% died %s does not have what was said then", seed, n.name)
			}
		}
		wasted += w.redundancy(func() { w.say(author, "and now?"); w.run(2 * time.Second) })
		w.bounded()
	}
	if wasted/rooms > 0.005 {
		t.Errorf("the next line costs %.3f copies too many for each that it reaches: want none", wasted/rooms)
	}
}

func TestManyNeighboursNeedNoPlace(t *testing.T) {
	w := newWorld(t, 37)
	w.sparse(80, 2)
	hub := w.nodes[0]
	for _, n := range w.nodes[1:] {
		if hub.links[n] == nil {
			w.link(hub, n)
		}
	}
	w.run(5 * time.Second)
	for i := range 3 {
		w.say(hub, fmt.Sprint(i))
		w.say(w.nodes[70], fmt.Sprint(i))
		w.run(time.Second)
	}
	w.run(30 * time.Second)
	w.converged()
	w.bounded()
}

func TestAThousandAuthorsCostAWordEach(t *testing.T) {
	w, ann, bob := linked(t)
	r := bob.machine.rooms[general]
	for i := range 4000 {
		a := r.add(wire.LogID{Author: wire.PeerID{byte(i), byte(i >> 8), 1}})
		a.head, a.hasTree, a.liveAt, a.parent, a.depth = 1, true, w.now, r.slots[0], 2
	}
	var out Output
	if err := bob.machine.Step(w.now, LinkDown{ann.id}, &out); err != nil {
		t.Fatal(err)
	}
	for _, s := range out.Sends {
		t.Errorf("the end of the only link has %T sent", s.Frame)
	}
	for _, a := range r.sorted {
		if a.parent != nil {
			t.Fatal("a log waits for a neighbour that has gone")
		}
	}
}

// What is said fast is offered together, or along with acknowledgements; and when a tree does not bring an event,
// offers are as fast as ever.
func TestOffersWaitForCompany(t *testing.T) {
	w := newWorld(t, 41)
	w.sparse(60, 5)
	w.run(time.Second)
	offers, delivered := 0, 0
	w.drop = func(_, _ *node, f wire.Frame) bool {
		if _, ok := f.(wire.Have); ok {
			offers++
		}
		return false
	}
	count := func() (n int) {
		_, n = w.total()
		return n
	}
	talk := func(lines int, pause time.Duration) float64 {
		offers, delivered = 0, count()
		for i := range lines {
			w.say(w.nodes[i%5], fmt.Sprint(i))
			w.run(pause)
		}
		w.run(time.Second)
		return float64(offers)/float64(count()-delivered) - 1 // each delivery is acknowledged
	}
	talk(5, time.Second)
	slow, fast := talk(20, time.Second), talk(200, 100*time.Millisecond)
	if slow > 2 || fast > 1 {
		t.Errorf("a delivery costs %.2f frames of offers, and %.2f if ten lines a second are said: want at most 2, and 1", slow, fast)
	}
	w.converged()
}

// A newcomer with one neighbour hears of nobody elsewhere, though it acknowledges lines that were not offered to it: it
// asked for them by digest. What it is offered then must not get lost.
func TestAnAcknowledgementIsNoWordFromElsewhere(t *testing.T) {
	w := newWorld(t, 3, "ann", "bob", "eve", "dan")
	ann, bob, eve, dan := w.nodes[0], w.nodes[1], w.nodes[2], w.nodes[3]
	w.link(ann, bob)
	w.link(eve, bob)
	for range 3 {
		w.say(ann, "a line")
		w.run(2 * time.Second)
	}
	w.link(bob, dan)
	w.run(15 * time.Second)
	if got := len(dan.delivered[ann.id]); got != 3 {
		t.Fatalf("dan has %d of 3 lines", got)
	}
	w.dropFast = true
	w.drop = func(from, to *node, f wire.Frame) bool {
		_, is := f.(wire.Have)
		return is && from == bob && to == dan
	}
	w.say(eve, "the first that she says")
	w.run(time.Second)
	if len(dan.delivered[eve.id]) != 1 {
		t.Error("dan has not got a line after a second, because an offer was lost on the fast channel")
	}
}

// Who sends what waits already has it, and is asked for what comes before if the first who sent it lacks that.
func TestWhoSendsACopyOfWhatWaitsHasIt(t *testing.T) {
	w, ann, bob := linked(t, "cyd", "dan")
	cyd, dan := w.nodes[2], w.nodes[3]
	w.unlink(ann, bob)
	var events []wire.Event
	for seq := range uint64(5) {
		events = append(events, w.forge(ann, seq+1, "a line", nil))
	}
	w.receive(dan, ann, wire.Events{Events: events})
	w.drop = func(_, to *node, f wire.Frame) bool { _, is := f.(wire.Have); return is && to == bob } // he hears of nothing else
	w.receive(bob, cyd, live(events[4]))
	w.receive(bob, dan, live(events[4]))
	w.receive(bob, cyd, wire.Have{Room: general, Heads: []wire.Head{{Author: ann.id, Base: 4, Seq: 5}}})
	w.run(2 * strandedDelay)
	if got := bob.delivered[ann.id]; !slices.Equal(got, []uint64{1, 2, 3, 4, 5}) {
		t.Errorf("bob is delivered the lines %v of ann: want all five, of which dan has shown the last", got)
	}
}
