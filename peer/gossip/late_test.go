package gossip

import (
	"testing"
	"time"

	"peerchat/peer/wire"
)

// A machine that gets to its second copies late has not got to the acknowledgements either: it takes these in first. If none has come
// by then, it sends.
func TestALateMachineLooksForAcknowledgementsFirst(t *testing.T) {
	w, ann, bob := linked(t)
	w.say(ann, "one")
	w.run(time.Second)
	w.drop = func(_, to *node, _ wire.Frame) bool { return to == bob }
	w.say(ann, "two")
	copies := func(at time.Duration) (n int) {
		var out Output
		w.now = w.now.Add(at)
		if err := ann.machine.Step(w.now, Tick{}, &out); err != nil {
			t.Fatal(err)
		}
		for _, s := range out.Sends {
			if _, ok := s.Frame.(wire.Events); ok && s.Fast {
				n++
			}
		}
		return n
	}
	if n := copies(200 * time.Millisecond); n != 0 {
		t.Errorf("a machine that is late sends %d copies at once, want none before it has looked", n)
	}
	if n := copies(200 * time.Millisecond); n != 1 {
		t.Errorf("when nothing has come it sends %d copies, want one", n)
	}
}
