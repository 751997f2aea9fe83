package gossip

import (
	"testing"
	"time"

	"peerchat/peer/history"
	"peerchat/peer/wire"
)

// losses are what a node was told to be lost, and what of each author was missing before an event that it was
// delivered, the last one of these.
type losses struct {
	lost []Lost
	gaps map[wire.PeerID]uint64
}

func (l *losses) tell(out *Output) {
	l.lost = append(l.lost, out.Lost...)
	for _, d := range out.Delivers {
		if d.Missing > 0 {
			if l.gaps == nil {
				l.gaps = make(map[wire.PeerID]uint64)
			}
			l.gaps[d.Event.Author] = d.Missing
		}
	}
}

// forgetful is a chain of nodes whose histories keep few events.
func forgetful(t *testing.T, seed uint64, names ...string) *world {
	w := newWorld(t, seed, names...)
	for i, n := range w.nodes {
		n.store = history.NewMemoryWith(history.Limits{Events: 200})
		n.window = Window{Events: 150, Age: -1}
		w.start(n)
		if i > 0 {
			w.link(w.nodes[i-1], n)
		}
	}
	w.run(time.Second)
	return w
}

// without has dan miss all that is said while f goes on, and the network has ten seconds for what comes of it.
func (w *world) without(dan *node, f func()) {
	w.drop = func(_, to *node, _ wire.Frame) bool { return to == dan }
	f()
	w.drop = nil
	w.run(10 * time.Second)
}

// lostOf is how many events of an author a node was told that it has lost, and how often.
func (n *node) lostOf(author *node) (events uint64, times int) {
	for _, l := range n.lost {
		for _, o := range l.Logs {
			if o.Author == author.id {
				events += o.Events
				times++
			}
		}
	}
	return events, times
}

// Who stays behind in a flood by more than is kept is told of exactly those events that he never saw.
func TestWhatNobodyKeepsAnyMoreIsTold(t *testing.T) {
	for _, first := range []int{0, 40} { // lines that dan saw of each
		w := forgetful(t, 1, "ann", "bob", "dan")
		ann, bob, dan := w.nodes[0], w.nodes[1], w.nodes[2]
		if first > 0 {
			w.flood(1, first, ann, bob)
			w.run(5 * time.Second)
		}
		w.without(dan, func() { w.flood(20, 50, ann, bob) })
		w.run(lostMost)
		for _, author := range []*node{ann, bob} {
			got := len(dan.delivered[author.id])
			events, times := dan.lostOf(author)
			if want := uint64(1000 + first - got); events != want || times != 1 || want < 800 || dan.gaps[author.id] != want || dan.unsure(author) != (first == 0) {
				t.Errorf("dan has %d of %s's %d lines, was told %d times that %d are lost, and of a gap of %d", got, author.name, 1000+first, times, events,
					dan.gaps[author.id])
			}
		}
		if n := dan.machine.Missing(general); n != 0 || len(ann.lost)+len(bob.lost) > 0 {
			t.Errorf("dan says that %d are missing, and ann and bob that they have lost %v and %v", n, ann.lost, bob.lost)
		}
		w.bounded()
		// The Log knows of the hole, also where nothing was held before it; so whoever still has the lines is asked for
		// them after a restart.
		log := wire.LogOf(ann.id, 1)
		hole := dan.store.Hole(general, log)
		if want := uint64(1000 + first - len(dan.delivered[ann.id])); hole != want {
			t.Errorf("dan's log of ann has a hole of %d: want %d", hole, want)
		}
		w.restart(dan)
		if a := dan.machine.rooms[general].logs[log]; !a.hole.open || a.base-a.hole.from != hole {
			t.Errorf("after a restart dan knows of %+v before %d: want a hole of %d", a.hole, a.base, hole)
		}
	}
}

// Several gaps of one log in a burst are told of together, and what follows later is told of anew.
func TestABurstOfLossesIsToldOnce(t *testing.T) {
	w := forgetful(t, 2, "ann", "dan")
	ann, dan := w.nodes[0], w.nodes[1]
	w.flood(1, 40, ann)
	w.run(time.Second)
	for range 2 {
		w.drop = func(_, to *node, _ wire.Frame) bool { return to == dan }
		w.flood(20, 50, ann)
		w.drop = nil
		w.run(2*strandedDelay - time.Second)
	}
	w.run(2 * lostQuiet)
	events, times := dan.lostOf(ann)
	if got := len(dan.delivered[ann.id]); times != 1 || events != uint64(2040-got) {
		t.Fatalf("dan has %d of 2040 lines, and was told %d times that %d are lost", got, times, events)
	}
	w.without(dan, func() { w.flood(20, 50, ann) })
	events, times = dan.lostOf(ann)
	if got := len(dan.delivered[ann.id]); times != 2 || events != uint64(3040-got) {
		t.Errorf("dan has %d of 3040 lines, and was told %d times that %d are lost", got, times, events)
	}
}

// What was said before a peer came, or while it was away, is not lost to it, nor is what its own history lets go of.
func TestOnlyWhatWasSaidWhileHereIsLost(t *testing.T) {
	w := forgetful(t, 3, "ann", "bob", "dan")
	ann, bob, dan := w.nodes[0], w.nodes[1], w.nodes[2]
	w.flood(1, 40, ann, bob)
	w.run(time.Second)
	w.unlink(bob, dan)
	w.flood(20, 50, ann, bob)
	w.run(time.Second)
	w.restart(dan)
	w.link(dan, bob)
	late := w.add("eve", 9)
	w.link(late, bob)
	w.run(time.Minute)
	w.flood(20, 5, ann, bob) // own pruning
	w.run(time.Minute)
	for _, n := range w.nodes {
		if len(n.lost) > 0 {
			t.Errorf("%s is told that it has lost %v", n.name, n.lost)
		}
	}
}

// What one neighbour still has is fetched, and is not lost.
func TestWhatSomebodyStillHasIsNotLost(t *testing.T) {
	w := forgetful(t, 4, "ann", "bob", "cyd")
	ann, bob, cyd := w.nodes[0], w.nodes[1], w.nodes[2]
	dan := w.add("dan", 7)
	dan.store, dan.window = history.NewMemory(), Window{Events: 150, Age: -1}
	w.start(dan)
	w.link(bob, dan)
	cyd.store = history.NewMemory() // who keeps all
	w.restart(cyd)
	w.link(bob, cyd)
	w.run(time.Second)
	w.flood(1, 40, ann)
	w.run(time.Second)
	w.drop = func(_, to *node, _ wire.Frame) bool { return to == dan }
	w.flood(20, 50, ann)
	w.drop = nil
	w.run(strandedDelay + time.Second)
	w.link(dan, cyd)
	w.run(time.Minute)
	if got := len(dan.delivered[ann.id]); got != 1040 || len(dan.lost) > 0 || dan.older == 0 {
		t.Errorf("dan has %d of 1040 lines, %d of them late, and was told that it has lost %v", got, dan.older, dan.lost)
	}
}

// back starts a node again, with what it had in its store, and links it with others.
func (w *world) back(n *node, with ...*node) {
	w.t.Helper()
	w.restart(n)
	for _, x := range with {
		w.link(n, x)
	}
}

// away is a room in which dan saw 40 lines of ann, and then he and eve stopped. Eve had gone on for another 20 lines.
// Then far more was said than is kept.
func away(t *testing.T, seed uint64) (w *world, ann, bob, dan, eve *node) {
	w = forgetful(t, seed, "ann", "bob", "dan", "eve")
	ann, bob, dan, eve = w.nodes[0], w.nodes[1], w.nodes[2], w.nodes[3]
	w.flood(1, 40, ann)
	w.run(time.Second)
	w.unlink(bob, dan)
	w.unlink(dan, eve)
	w.link(bob, eve)
	w.flood(1, 20, ann)
	w.run(time.Second)
	w.unlink(bob, eve)
	w.flood(20, 50, ann)
	w.run(time.Second)
	return w, ann, bob, dan, eve
}

// Who comes back meets one first who was away as well, and learns from him a little of what was said meanwhile. The
// rest was not said while he was here either.
func TestWhatWasSaidWhileAwayIsNotLost(t *testing.T) {
	w, ann, bob, dan, eve := away(t, 5)
	w.back(eve)
	w.back(dan, eve)
	w.run(time.Second)
	if got := len(dan.delivered[ann.id]); got != 60 {
		t.Fatalf("dan has %d lines of ann from eve, want 60", got)
	}
	w.link(dan, bob)
	w.run(time.Minute)
	w.lostNothing(ann, 1060, dan, eve)
}

// lostNothing fails unless each of nodes has the lines of author up to one, and was told of no loss.
func (w *world) lostNothing(author *node, up uint64, nodes ...*node) {
	w.t.Helper()
	for _, n := range nodes {
		if got := n.delivered[author.id]; len(got) == 0 || got[len(got)-1] != up || len(n.lost) > 0 {
			w.t.Fatalf("%s has the lines %v of %s, and is told that it has lost %v: want up to %d, and nothing lost", n.name, got[max(0, len(got)-3):], author.name, n.lost, up)
		}
	}
}

// A clock that is ahead tells nothing of when somebody came back.
func TestAClockThatIsAheadMakesNoLosses(t *testing.T) {
	w := forgetful(t, 6, "ann", "bob", "dan", "eve")
	ann, bob, dan, eve := w.nodes[0], w.nodes[1], w.nodes[2], w.nodes[3]
	ann.off = time.Hour
	w.back(ann, bob)
	w.flood(1, 40, ann)
	w.run(time.Second)
	w.unlink(bob, dan)
	w.link(bob, eve)
	w.flood(1, 20, ann)
	w.run(time.Second)
	w.unlink(bob, eve)
	w.flood(20, 50, ann)
	w.run(time.Second)
	w.back(eve)
	w.back(dan, eve)
	w.run(time.Second)
	w.link(dan, bob)
	w.run(time.Minute)
	w.lostNothing(ann, 1060, dan, eve)
}

// Who has been here for a while and hears an author knows that what follows is said while he is here, whatever that
// author's clock shows.
func TestLossesOfAnAuthorWhoseClockIsBehind(t *testing.T) {
	w := forgetful(t, 7, "ann", "bob", "dan")
	ann, bob, dan := w.nodes[0], w.nodes[1], w.nodes[2]
	ann.off = -30 * 24 * time.Hour
	w.back(ann, bob)
	w.run(time.Minute)
	w.says(ann, 1)
	w.run(time.Second)
	w.without(dan, func() { w.flood(20, 50, ann) })
	w.run(lostMost)
	if events, times := dan.lostOf(ann); events != uint64(1001-len(dan.delivered[ann.id])) || times != 1 || dan.unsure(ann) {
		t.Errorf("dan has %d of 1001 lines, and is told %v", len(dan.delivered[ann.id]), dan.lost)
	}
}

// unsure tells whether a node was told that some of an author's lines may have been said before it came.
func (n *node) unsure(author *node) bool {
	for _, l := range n.lost {
		for _, o := range l.Logs {
			if o.Author == author.id && o.Perhaps {
				return true
			}
		}
	}
	return false
}

// Of what was said between the last line that somebody has from before he went, and the first that is still kept, a
// part was said after he was back. How much that is nobody can tell.
func TestLossesThatBeganWhileAwayAreToldAsSuch(t *testing.T) {
	w, ann, bob, dan, eve := away(t, 8)
	w.back(eve)
	w.back(dan, eve)
	w.run(lostMost)
	w.flood(20, 50, ann)
	w.run(time.Second)
	w.link(dan, bob)
	w.run(time.Minute)
	events, times := dan.lostOf(ann)
	if want := uint64(2060 - len(dan.delivered[ann.id])); times != 1 || events != want || !dan.unsure(ann) {
		t.Errorf("dan has all but %d of ann's lines, of which up to 1000 were said while he was here, and is told %v", want, dan.lost)
	}
}

// drivenOut is a room in which dan saw some lines of ann, and then, while nothing came to him, she said as many more,
// and bob so much that nobody has any of hers.
func drivenOut(t *testing.T, seed uint64, lines int, names ...string) (w *world, ann, bob, dan *node) {
	w = forgetful(t, seed, append([]string{"ann", "bob", "dan"}, names...)...)
	ann, bob, dan = w.nodes[0], w.nodes[1], w.nodes[2]
	w.run(time.Minute)
	w.flood(1, lines, ann)
	w.run(time.Second)
	w.without(dan, func() {
		w.flood(2, 50, ann)
		w.flood(20, 50, bob)
	})
	w.run(lostMost)
	if base := bob.store.Base(general, wire.LogOf(ann.id, 1)); base != uint64(lines+100) {
		t.Fatalf("bob's log of ann begins after %d, want it driven out", base)
	}
	return w, ann, bob, dan
}

// Others may drive out all that somebody said. That is lost, too; once its author goes on, the place is shown, and it
// is not told again.
func TestALogOfWhichNothingIsKeptIsTold(t *testing.T) {
	w, ann, bob, dan := drivenOut(t, 9, 40)
	wantLost := func(of *node, lines uint64) {
		t.Helper()
		if events, times := dan.lostOf(of); events != lines || times != 1 {
			t.Errorf("dan was told %d times that %d of %s's lines are lost: want once, %d", times, events, of.name, lines)
		}
	}
	wantLost(ann, 100)
	wantLost(bob, uint64(1000-len(dan.delivered[bob.id])))
	if n := dan.machine.Missing(general); n != 0 || dan.unsure(ann) || len(ann.lost)+len(bob.lost) > 0 {
		t.Errorf("dan says that %d are missing, and is told %v; ann and bob that they have lost %v and %v", n, dan.lost, ann.lost, bob.lost)
	}
	w.say(ann, "still here")
	w.run(time.Minute)
	wantLost(ann, 100)
	if dan.gaps[ann.id] != 100 {
		t.Errorf("before ann's next line dan is told of a gap of %d, want 100", dan.gaps[ann.id])
	}
	w.bounded()
}

// Who was not here when it was said is not told.
func TestALogOfWhichNothingWasKeptIsNotTold(t *testing.T) {
	w, ann, bob, _ := drivenOut(t, 10, 40)
	eve := w.add("eve", 9)
	w.link(eve, bob)
	w.run(time.Minute)
	w.restart(eve)
	w.link(eve, bob)
	w.run(time.Minute)
	w.say(ann, "still here")
	w.run(time.Minute)
	if len(eve.lost) > 0 {
		t.Errorf("eve came later, and is told that she has lost %v", eve.lost)
	}
}

// It takes half of the neighbours, or the author, to have a log taken for driven out; and if one of the others has it,
// it is not.
func TestOneNeighbourCannotMakeLosses(t *testing.T) {
	w := newWorld(t, 11, "ann", "dan", "bob", "cyd", "mal")
	ann, dan, mal := w.nodes[0], w.nodes[1], w.nodes[4]
	for _, n := range w.nodes {
		if n != dan {
			w.link(dan, n)
		}
	}
	w.run(time.Minute)
	w.say(ann, "one", "two")
	w.say(mal, "one", "two")
	w.run(time.Second)
	w.drop = func(from, _ *node, _ wire.Frame) bool { return from == mal } // what she says truly
	claim := func(seq uint64) {
		w.step(dan, Receive{mal.id, wire.Have{Room: general, Heads: []wire.Head{{Author: ann.id, Base: seq, Seq: seq}, {Author: mal.id, Base: seq, Seq: seq}}}})
		w.run(lostMost)
	}
	claim(500)
	if events, _ := dan.lostOf(ann); events != 0 {
		t.Errorf("one of four neighbours says that %d lines of ann are gone, and dan believes it", events)
	}
	if events, _ := dan.lostOf(mal); events != 498 {
		t.Errorf("mal says that %d of her own lines are gone, want 498", events)
	}
	claim(1 << 40)
	if events, _ := dan.lostOf(mal); events != 498 {
		t.Errorf("mal says that %d of her own lines are gone, which is more than anybody says", events)
	}
}

// Eve comes to a room, fills her window by talking, and then meets bob, who has said more than is kept, and dan, who
// stopped at 40 of it. She begins bob's log with its last line, tells dan so, and fetches what comes before. Dan has to
// hear of that, too: else he goes on past what she has.
func TestWhatANeighbourFetchesMeanwhileIsNotLost(t *testing.T) {
	w := forgetful(t, 12, "bob", "dan")
	bob, dan := w.nodes[0], w.nodes[1]
	w.flood(1, 40, bob)
	w.run(time.Second)
	w.unlink(bob, dan)
	eve := w.add("eve", 9)
	eve.store, eve.window = history.NewMemoryWith(history.Limits{Events: 200}), Window{Events: 150, Age: -1}
	w.start(eve)
	w.run(time.Second)
	w.flood(1, 160, eve)
	w.flood(20, 50, bob)
	w.link(bob, eve)
	w.link(eve, dan)
	w.run(time.Minute)
	log := wire.LogOf(bob.id, 1)
	if base := eve.store.Base(general, log); base >= 1000 || dan.store.Base(general, log) > base {
		t.Errorf("dan's log of bob begins after %d, eve's after %d: want both to begin where hers does, before the last of the 1040 lines", dan.store.Base(general, log), base)
	}
	lacks := dan.unseen(bob, 0)
	if events, times := dan.lostOf(bob); times != 1 || events != lacks || lacks == 0 {
		t.Errorf("dan never saw %d of bob's lines, and was told %d times that %d are lost", lacks, times, events)
	}
}
