package gossip

import (
	"testing"
	"time"

	"peerchat/peer/history"
	"peerchat/peer/wire"
)

// All that ann says is driven out before any of it comes to dan, who is linked with her. She says so, and dan is told,
// once.
func TestALogOfWhichNothingEverCameIsTold(t *testing.T) {
	for _, heard := range []bool{false, true} { // of the first lines, in time to ask for them
		w := forgetful(t, 13, "ann", "bob", "dan")
		ann, bob, dan := w.nodes[0], w.nodes[1], w.nodes[2]
		w.link(ann, dan)
		w.run(time.Minute)
		drop := func(_, to *node, _ wire.Frame) bool { return to == dan }
		if heard {
			w.drop = func(_, to *node, f wire.Frame) bool {
				_, events := f.(wire.Events)
				return events && to == dan
			}
			w.flood(1, 50, ann)
			w.run(2 * digestMax)
		} else {
			w.drop = drop
			w.flood(1, 50, ann)
		}
		w.drop = drop
		w.flood(1, 50, ann)
		w.flood(20, 50, bob)
		w.drop = nil
		w.run(2 * lostMost)
		wantTold := func(events uint64, times int) {
			t.Helper()
			if e, n := dan.lostOf(ann); e != events || n != times || !dan.unsure(ann) || dan.machine.Missing(general) != 0 {
				t.Errorf("heard %v: dan is told %d times that %d lines of ann are lost, and that %d are missing: want %d times, %d, and that it may be so", heard, n, e,
					dan.machine.Missing(general), times, events)
			}
		}
		wantTold(100, 1)
		w.restart(bob) // and is linked with dan again, who knows now
		w.link(bob, dan)
		w.run(time.Minute)
		wantTold(100, 1)
		w.say(ann, "still here")
		w.run(time.Minute)
		wantTold(100, 1)
		if got := dan.delivered[ann.id]; len(got) != 1 || got[0] != 101 {
			t.Errorf("heard %v: dan is shown %v of ann, want her last line", heard, got)
		}
		w.bounded()
	}
}

// What an author had said before the link began, and what others name, was said before as far as is known.
func TestALogOfWhichNothingCameAndThatIsOldIsNotTold(t *testing.T) {
	w := forgetful(t, 14, "ann", "bob")
	ann, bob := w.nodes[0], w.nodes[1]
	w.flood(2, 50, ann)
	w.flood(20, 50, bob)
	w.run(time.Minute)
	var late []*node
	for i, name := range []string{"dan", "eve"} {
		n := w.add(name, byte(8+i))
		n.store, n.window = history.NewMemoryWith(history.Limits{Events: 200}), Window{Events: 150, Age: -1}
		w.start(n)
		late = append(late, n)
	}
	dan, eve := late[0], late[1]
	w.link(dan, eve) // two that come at once, of whom one hears of the others first
	w.run(time.Second)
	w.link(dan, bob)
	w.run(time.Minute)
	w.link(ann, eve)
	w.run(time.Minute)
	for _, n := range late {
		if len(n.lost) > 0 {
			t.Errorf("%s came later, and is told that it has lost %v", n.name, n.lost)
		}
	}
}
