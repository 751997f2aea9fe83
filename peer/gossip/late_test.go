package gossip

import (
	"testing"
	"time"

	"peerchat/peer/wire"
)

// A machine that gets to its second copies late has not got to the acknowledgements either: it takes these in first. If
// none has come by then, it sends.
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

// loseNext has the next copy of a live event to a node lost, and counts it.
func (w *world) loseNext(of *node) *int {
	lost := 0
	w.drop = func(_, to *node, f wire.Frame) bool {
		if e, ok := f.(wire.Events); ok && e.Live && to == of && lost == 0 {
			lost++
			return true
		}
		return false
	}
	return &lost
}

// When acknowledgements begin to take long on all links, because the machine or its network is busy, that is known
// after two lines: no more second copies are sent. When it is over, a lost packet is made good as fast as before.
func TestWhatIsLateEverywhereIsGivenTime(t *testing.T) {
	w, ann, bob := linked(t, "cyd", "dan")
	again := 0 // second copies
	w.drop = func(_, _ *node, f wire.Frame) bool {
		if e, ok := f.(wire.Events); ok && e.Live {
			again++
		}
		return false
	}
	say := func(lines int) int {
		again = 0
		for range lines {
			w.say(ann, "a line")
			w.run(300 * time.Millisecond)
		}
		return again - 3*lines
	}
	w.delay = func() time.Duration { return time.Millisecond }
	if n := say(20); n != 0 {
		t.Errorf("on fast links %d second copies were sent, want none", n)
	}
	w.delay = func() time.Duration { return 40 * time.Millisecond }
	if n := say(2); n > 9 {
		t.Errorf("when acknowledgements got late %d second copies were sent of two lines to three, want at most 9", n)
	}
	if n := say(20); n != 0 {
		t.Errorf("after that %d second copies were sent, want none", n)
	}
	w.delay = func() time.Duration { return time.Millisecond }
	say(40)
	had, lost := len(bob.texts), w.loseNext(bob)
	w.say(ann, "lost")
	w.run(calmDelay + 5*time.Millisecond)
	if *lost != 1 || len(bob.texts) != had+1 {
		t.Errorf("on fast links again bob lacks a line of which the first copy was lost, after %v", calmDelay)
	}
}

// Load shows on all links, a long way or a lossy link on one.
func TestOneLateNeighbourIsNoStrain(t *testing.T) {
	var s strain
	now := time.Unix(0, 0)
	a, b := wire.PeerID{1}, wire.PeerID{2}
	for i, c := range []struct {
		of   wire.PeerID
		late time.Duration
		want time.Duration
	}{{a, 90, 0}, {a, 80, 0}, {b, 0, 0}, {a, 70, 0}, {b, 50, 50}, {b, 40, 50}, {a, 0, 0}, {b, 60, 0}} {
		if s.add(now, c.of, c.late); s.by != c.want {
			t.Errorf("acknowledgement %d, %d late, makes a strain of %d: want %d", i, c.late, s.by, c.want)
		}
	}
}

// Where nothing was lost of late, what is late has most likely only waited. Where something was, the second copy is not
// put off.
func TestWhereNothingIsLostSecondCopiesWait(t *testing.T) {
	w, ann, bob := linked(t, "cyd", "dan")
	lose := func(what string, within time.Duration) {
		had, lost := len(bob.texts), w.loseNext(bob)
		w.say(ann, what)
		w.run(within - time.Millisecond)
		if len(bob.texts) != had {
			t.Errorf("%s lost: its second copy came before %v", what, within)
		}
		w.run(6 * time.Millisecond)
		if len(bob.texts) != had+1 {
			t.Errorf("%s lost: its second copy did not come after %v", what, within)
		}
		if w.drop = nil; *lost != 1 {
			t.Fatalf("%s was not lost", what)
		}
		w.run(300 * time.Millisecond)
	}
	w.delay = func() time.Duration { return time.Millisecond }
	for range 20 {
		w.say(ann, "a line")
		w.run(300 * time.Millisecond)
	}
	lose("the first", calmDelay)
	lose("the next", hedgeDelay)
	for range 60 {
		w.say(ann, "a line")
		w.run(300 * time.Millisecond)
	}
	lose("one long after these", calmDelay)
}

// Whoever shares a processor with hundreds of others is not to be judged by its round trip.
func TestPatience(t *testing.T) {
	for _, patience := range []time.Duration{0, time.Second} {
		w, ann, bob := linked(t)
		ann.machine.cfg.Patience = patience
		copies := 0
		w.drop = func(_, to *node, f wire.Frame) bool {
			e, ok := f.(wire.Events)
			if ok && e.Live && to == bob {
				copies++
			}
			return ok
		}
		w.say(ann, "hello")
		w.run(990 * time.Millisecond)
		if patience == 0 && copies < 4 || patience > 0 && copies != 1 {
			t.Errorf("with a patience of %v there were %d copies in 0.99 s: want several without it, and else one", patience, copies)
		}
		w.drop = nil
		w.run(5 * time.Second)
		w.converged()
	}
}
