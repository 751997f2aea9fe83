package gossip

import (
	"testing"
	"time"

	"peerchat/peer/wire"
)

// An author that tells each of two neighbours something else under one number is found out by all, though nobody misses
// anything.
func TestTwoLinesWithOneNumberToldApart(t *testing.T) {
	w, ann, bob := linked(t, "cyd", "dan")
	cyd, dan := w.node("cyd"), w.node("dan")
	w.unlink(ann, dan)
	for _, n := range []*node{bob, cyd} { // what ann says goes to these two, and each has its own
		w.receive(n, ann, live(w.forge(ann, 1, "I said to "+n.name, nil)))
	}
	w.unlink(ann, bob)
	w.unlink(ann, cyd)
	w.run(25 * time.Minute)
	for _, n := range []*node{bob, cyd, dan} {
		if n.faults["equivocation"] != 1 {
			t.Errorf("%s has the faults %v: want one equivocation", n.name, n.faults)
		}
	}
	for _, n := range []*node{bob, cyd} {
		if got, err := n.store.Range(general, ann.id, 1, 1, 1); err != nil || string(got[0].Body) != "I said to "+n.name {
			t.Errorf("%s does not keep what came first: %q, %v", n.name, got[0].Body, err)
		}
	}
}

// The questions that find it out cost little where nothing is wrong, and nothing where nothing is said.
func TestComparingCostsLittle(t *testing.T) {
	w, ann, bob := linked(t, "cyd", "dan")
	w.say(ann, "one line, and then nothing")
	asked := 0
	w.drop = func(_, _ *node, f wire.Frame) bool {
		if _, ok := f.(wire.Want); ok {
			asked++
		}
		return false
	}
	w.run(2 * time.Hour)
	if asked == 0 || asked > 3 {
		t.Errorf("one line was asked for to be compared %d times by three who have it: want once by each at most", asked)
	}
	if len(bob.faults) > 0 {
		t.Errorf("bob complains: %v", bob.faults)
	}
}

// Who offers what it does not send is asked last, may claim little, and is told of once.
func TestWhoOffersAndDoesNotSend(t *testing.T) {
	w, ann, bob := linked(t, "cyd")
	lie := func(n int) {
		f := wire.Have{Room: general}
		for i := range wire.MaxHeads {
			f.Heads = append(f.Heads, wire.Head{Author: wire.PeerID{byte(n), byte(i >> 8), byte(i), 1}, Seq: 9})
		}
		w.receive(bob, ann, f)
	}
	for n := range 120 {
		lie(n)
		w.run(time.Second)
		w.bounded()
	}
	if bob.faults["claims"] != 1 || bob.cut(ann) {
		t.Errorf("faults %v, link cut %v: want one of its claims, and the link kept", bob.faults, bob.cut(ann))
	}
	if n := bob.machine.links[ann.id].claims; n > fewClaims {
		t.Errorf("after two minutes of lies it may still claim %d logs: want %d at most", n, fewClaims)
	}
	w.say(w.node("cyd"), "I am real")
	w.run(time.Second)
	if len(bob.delivered[w.node("cyd").id]) != 1 {
		t.Error("the lies kept out what cyd said")
	}
}
