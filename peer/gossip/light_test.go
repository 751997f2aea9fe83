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

// A single line goes on the fast channel. If no acknowledgement comes, the second copy does, too, and the third goes on the reliable one.
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

// Of lines that come fast, one by one, while no acknowledgement comes, each is on the reliable channel in the end, where it will arrive.
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
