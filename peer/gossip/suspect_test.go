package gossip

import (
	"fmt"
	"testing"
	"time"

	"peerchat/peer/wire"
)

// suspected counts how often somebody was suspected.
func (w *world) suspected() (n int) {
	for _, s := range w.suspicions {
		if s.Suspected {
			n++
		}
	}
	return n
}

// A neighbour that gets nothing any more is suspected by all who push to it, within a fifth of a second.
func TestWhoDoesNotAcknowledgeIsSuspected(t *testing.T) {
	w, ann, bob := linked(t, "cyd")
	w.say(ann, "one")
	w.run(time.Second)
	w.drop = func(_, to *node, _ wire.Frame) bool { return to == bob }
	w.say(ann, "two")
	w.run(100 * time.Millisecond)
	if n := w.suspected(); n > 0 {
		t.Errorf("%d are suspected after 100 ms, want none", n)
	}
	w.run(100 * time.Millisecond)
	if len(w.suspicions) != 1 || w.suspicions[0] != (Suspicion{Peer: bob.id, Suspected: true}) {
		t.Errorf("the suspicions are %v, want one, of bob", w.suspicions)
	}
	w.drop = nil
	w.run(2 * time.Second)
	if len(w.suspicions) != 2 || w.suspicions[1] != (Suspicion{Peer: bob.id}) {
		t.Errorf("when bob is back the suspicions are %v, want that he is heard of again", w.suspicions)
	}
	w.converged()
}

// A link that loses packets is seldom taken for a dead one, and only for a moment.
func TestALossyLinkIsSeldomSuspected(t *testing.T) {
	for loss, most := range map[float64]int{0: 0, 0.05: 2, 0.2: 12} {
		w, ann, bob := linked(t)
		w.say(ann, "first")
		w.run(time.Second)
		w.loss = loss
		for i := range 500 {
			w.say([]*node{ann, bob}[i%2], fmt.Sprint(i))
			w.run(2 * time.Second)
		}
		t.Logf("with a loss of %v: %d suspicions in 500 lines", loss, w.suspected())
		if n := w.suspected(); n > most {
			t.Errorf("with a loss of %v one was suspected %d times for 500 lines, want at most %d", loss, n, most)
		}
		w.loss = 0
		w.run(time.Minute)
		if k := len(w.suspicions); k > 0 && w.suspicions[k-1].Suspected {
			t.Error("one is still suspected at the end")
		}
	}
}

// When this machine itself stood still, the acknowledgements wait to be taken in, and nobody is suspected.
func TestALateMachineSuspectsNobody(t *testing.T) {
	w, ann, _ := linked(t)
	w.say(ann, "one")
	w.run(time.Second)
	w.drop = func(_, to *node, _ wire.Frame) bool { return to == ann }
	w.say(ann, "two")
	for range 20 {
		w.now = w.now.Add(500 * time.Millisecond)
		w.step(ann, Tick{})
	}
	if n := w.suspected(); n > 0 {
		t.Errorf("%d suspicions, want none", n)
	}
}

// Who asks for what it has, to compare, is sent it once, and not suspected because it acknowledges nothing new.
func TestWhoComparesIsNotSuspected(t *testing.T) {
	w, ann, bob := linked(t, "cyd")
	cyd := w.node("cyd")
	for range 3 { // until the round trips are known
		w.say(ann, "a line")
		w.say(cyd, "a line")
		w.run(time.Second)
	}
	copies := 0
	w.drop = func(from, to *node, f wire.Frame) bool {
		if _, ok := f.(wire.Events); ok && from == cyd && to == bob {
			copies++
		}
		return false
	}
	r := bob.machine.rooms[general]
	s := bob.machine.links[cyd.id].share(r)
	var out Output
	s.compare(r.logs[wire.LogID{Author: ann.id}], &out)
	for _, send := range out.Sends {
		w.receive(cyd, bob, send.Frame)
	}
	w.run(3 * time.Second)
	if n := w.suspected(); copies != 1 || n > 0 {
		t.Errorf("it is sent %d copies, and %d are suspected: want 1 and none", copies, n)
	}
}
