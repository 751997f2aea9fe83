package gossip

import (
	"fmt"
	"testing"
	"time"

	"peerchat/peer/wire"
)

// lines are the numbers of the events of one author that an output sends, on the fast channel and on the reliable one.
func lines(out *Output) (fast, reliable []uint64) {
	for _, s := range out.Sends {
		f, ok := s.Frame.(wire.Events)
		for i := range f.Events {
			if n := f.Events[i].Seq; ok && s.Fast {
				fast = append(fast, n)
			} else if ok {
				reliable = append(reliable, n)
			}
		}
	}
	return fast, reliable
}

// A single line goes on the fast channel. If no acknowledgement comes, the second copy does, too, and the third goes on
// the reliable one.
func TestALineThatMayBeLostIsSecured(t *testing.T) {
	w, ann, _ := linked(t)
	w.say(ann, "one")
	w.run(time.Second)
	var out Output
	said := w.now
	if err := ann.machine.Step(w.now, Publish{Room: general, Name: "ann", Drafts: []Draft{{Kind: wire.KindText, Body: []byte("two")}}}, &out); err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"[2] []", "[2] []", "[] [2]"} {
		fast, reliable := lines(&out)
		if got := fmt.Sprint(fast, reliable); got != want {
			t.Errorf("copy %d goes as %s, after %v: want %s", i+1, got, w.now.Sub(said), want)
		}
		for copies := 0; copies == 0 && w.now.Sub(said) < time.Second; {
			w.now = out.Wake
			out = Output{}
			if err := ann.machine.Step(w.now, Tick{}, &out); err != nil {
				t.Fatal(err)
			}
			fast, reliable := lines(&out)
			copies = len(fast) + len(reliable)
		}
	}
}

// Of lines that come fast, one by one, while no acknowledgement comes, each is on the reliable channel in the end,
// where it will arrive.
func TestAFloodOfSingleLinesIsSecured(t *testing.T) {
	w, ann, _ := linked(t)
	w.say(ann, "one")
	w.run(time.Second)
	secured := map[uint64]bool{}
	for range 2 * maxHedges {
		var out Output
		if err := ann.machine.Step(w.now, Publish{Room: general, Name: "ann", Drafts: []Draft{{Kind: wire.KindText, Body: []byte("more")}}}, &out); err != nil {
			t.Fatal(err)
		}
		fast, reliable := lines(&out)
		for _, n := range reliable {
			secured[n] = true
		}
		if len(fast) > 0 && len(reliable) > 0 {
			t.Errorf("at once %v go on the fast channel and %v on the reliable one", fast, reliable)
		}
		w.now = w.now.Add(time.Millisecond)
	}
	for n := uint64(2); n <= maxHedges; n++ {
		if !secured[n] {
			t.Errorf("line %d went on the fast channel alone, and is waited for no longer", n)
		}
	}
}

// Who hears of what is said from others, too, may miss an offer, and so offers to it go on the fast channel. To others
// they do not: it might be long until they hear of what they missed.
func TestOffersAreLightToWhoHearsOfOthers(t *testing.T) {
	w := newWorld(t, 3, "ann", "hub", "leaf", "bob", "cyd", "dan")
	ann, hub, leaf := w.nodes[0], w.nodes[1], w.nodes[2]
	w.link(hub, leaf)
	w.link(hub, ann)
	for _, n := range w.nodes[3:] {
		w.link(hub, n)
		w.link(ann, n)
	}
	w.run(time.Second)
	light := map[*node]int{}
	w.dropFast = true
	w.drop = func(from, to *node, f wire.Frame) bool {
		if _, ok := f.(wire.Have); ok && from == hub && to != ann {
			light[to]++
			return true
		}
		return false
	}
	for range 20 {
		w.say(ann, "hello")
		w.run(2 * time.Second)
		w.converged()
	}
	if light[leaf] > 0 {
		t.Errorf("%d offers to a neighbour that hears of nobody else went on the fast channel, want none", light[leaf])
	}
	if n := light[w.nodes[3]] + light[w.nodes[4]] + light[w.nodes[5]]; n == 0 {
		t.Error("no offer to those who hear of the same from others went on the fast channel")
	}
}
