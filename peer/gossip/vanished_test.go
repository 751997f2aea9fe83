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

// Dan is not linked with ann, but with bob, who passed her lines on and has none of them any more.
func TestALogOfWhichNothingEverCameIsToldAlsoFarFromItsAuthor(t *testing.T) {
	w := forgetful(t, 15, "ann", "bob", "dan", "eve")
	ann, bob, dan, eve := w.nodes[0], w.nodes[1], w.nodes[2], w.nodes[3]
	w.run(time.Minute)
	w.without(dan, func() {
		w.flood(2, 50, ann)
		w.flood(20, 50, bob)
	})
	w.run(2 * lostMost)
	wantTold := func(n *node, times int) {
		t.Helper()
		e, told := n.lostOf(ann)
		if e != uint64(100*times) || told != times || times > 0 && !n.unsure(ann) || n.machine.Missing(general) != 0 {
			t.Errorf("%s is told %d times that %d lines of ann are lost, and that %d are missing: want %d times, and that it may be so", n.name, told, e,
				n.machine.Missing(general), times)
		}
	}
	wantTold(dan, 1)
	wantTold(eve, 0) // dan does not name what he never had
	w.restart(bob)   // and is linked with dan again, who knows now
	w.link(bob, dan)
	w.link(ann, bob)
	w.run(time.Minute)
	w.link(ann, dan)
	w.run(time.Minute)
	wantTold(dan, 1)
	w.say(ann, "still here")
	w.run(time.Minute)
	wantTold(dan, 1)
	wantTold(eve, 1)
	if got := dan.delivered[ann.id]; len(got) != 1 || got[0] != 101 {
		t.Errorf("dan is shown %v of ann, want her last line", got)
	}
	w.bounded()
}

// It takes half of the neighbours, and those who come later name what is old.
func TestOneNeighbourCannotMakeALogVanish(t *testing.T) {
	w := newWorld(t, 16, "dan", "bob", "cyd", "mal")
	dan, mal := w.nodes[0], w.nodes[3]
	for _, n := range w.nodes[1:] {
		w.link(dan, n)
	}
	w.run(time.Minute)
	name := func(from *node) {
		_, id := w.identity(7)
		w.receive(dan, from, wire.Have{Room: general, Heads: []wire.Head{{Author: id, Base: 100, Seq: 100}}})
	}
	name(mal)
	w.run(2 * lostMost)
	if len(dan.lost) > 0 {
		t.Errorf("one of three neighbours says that all lines of somebody are gone, and dan is told %v", dan.lost)
	}
	for i := range 2 * maxUnheard {
		_, id := w.identity(100 + i)
		w.receive(dan, mal, wire.Have{Room: general, Heads: []wire.Head{{Author: id, Base: 100, Seq: 100}}})
	}
	if n := len(dan.machine.rooms[general].unheard); n != maxUnheard {
		t.Errorf("dan keeps %d logs in mind that mal names: want %d", n, maxUnheard)
	}
	w.run(2 * lostMost)
	name(w.nodes[1])
	w.run(2 * lostMost)
	if len(dan.lost) != 1 || len(dan.lost[0].Logs) != 1 || dan.lost[0].Logs[0].Events != 100 || !dan.lost[0].Logs[0].Perhaps {
		t.Errorf("two of three neighbours say that 100 lines of somebody are gone, and dan is told %v", dan.lost)
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
