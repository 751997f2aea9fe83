package gossip

import (
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"peerchat/peer/history"
	"peerchat/peer/wire"
)

// holding gives a node a store that holds of an author only some runs of lines, with holes between them.
func (w *world) holding(n, author *node, runs ...[2]uint64) {
	w.t.Helper()
	n.store = history.NewMemory()
	log := wire.LogID{Author: author.id}
	for _, run := range runs {
		events, err := author.store.Range(general, author.id, run[0], run[1], 1<<20)
		if err != nil || uint64(len(events)) != run[1]-run[0]+1 {
			w.t.Fatalf("%s has %d of the lines %v, %v", author.name, len(events), run, err)
		}
		if head := n.store.Base(general, log); run[0] > 1 || head > 0 {
			if err := n.store.Rebase(general, log, run[0]-1, 0); err != nil {
				w.t.Fatalf("%v", err)
			}
		}
		if err := n.store.Append(events); err != nil {
			w.t.Fatalf("%v", err)
		}
	}
	w.revive(n)
}

// all are the numbers of an author's lines that a node holds, wherever.
func (n *node) all(author *node) (seqs []uint64) {
	events, _ := n.store.Recent(general, 1<<20)
	for i := range events {
		if events[i].Author == author.id {
			seqs = append(seqs, events[i].Seq)
		}
	}
	slices.Sort(seqs)
	return seqs
}

func runsOf(runs ...[2]uint64) (seqs []uint64) {
	for _, run := range runs {
		for seq := run[0]; seq <= run[1]; seq++ {
			seqs = append(seqs, seq)
		}
	}
	return seqs
}

// scrolls asks for older lines until there are none, and returns the last answer.
func (w *world) scrolls(n *node) Fetched {
	w.t.Helper()
	for range 50 {
		w.step(n, FetchOlder{general, 30})
		w.run(demandTime + time.Second)
		if f := n.fetched[len(n.fetched)-1]; f.Events == 0 {
			return f
		}
	}
	w.t.Fatalf("%s gets older lines without end: %v", n.name, n.fetched[len(n.fetched)-5:])
	return Fetched{}
}

// apart is a world in which ann said 200 lines and went, and dan holds the last ten.
func apart(t *testing.T, names ...string) (w *world, ann, dan *node) {
	w = newWorld(t, 21, append([]string{"ann", "dan"}, names...)...)
	ann, dan = w.nodes[0], w.nodes[1]
	w.talk(200, time.Millisecond, ann)
	w.run(time.Second)
	w.holding(dan, ann, [2]uint64{191, 200})
	dan.window = Window{Events: 10}
	w.revive(dan)
	return w, ann, dan
}

func (n *node) wantLines(w *world, when string, author *node, runs ...[2]uint64) {
	w.t.Helper()
	want := runsOf(runs...)
	if got := n.all(author); !slices.Equal(got, want) || !slices.Equal(n.delivered[author.id], want) {
		w.t.Fatalf("%s %s holds the lines %v of %s, and was delivered %v: want %v", when, n.name, got, author.name, n.delivered[author.id], runs)
	}
	if a := n.machine.rooms[general].logs[wire.LogID{Author: author.id}]; a.hole.open != (len(runs) > 1) || a.hole.open && a.base-a.hole.from != runs[len(runs)-1][0]-runs[len(runs)-2][1]-1 {
		w.t.Fatalf("%s %s knows of the hole %+v before %d: want one before the last of %v", when, n.name, a.hole, a.base, runs)
	}
	w.bounded()
}

// Bob lacks twelve lines in the middle. Who scrolls up gets what he has before them, too, and the rest when somebody
// comes who has it.
func TestOlderLinesFromBeforeANeighboursHole(t *testing.T) {
	w, ann, dan := apart(t, "bob", "eve")
	bob, eve := w.nodes[2], w.nodes[3]
	w.holding(bob, ann, [2]uint64{1, 50}, [2]uint64{63, 200})
	w.link(bob, dan)
	w.run(time.Minute)
	dan.wantLines(w, "at first", ann, [2]uint64{191, 200})
	w.step(dan, FetchOlder{general, 140})
	w.run(time.Second)
	if f := dan.fetched[0]; f.Events < 140 || !f.More || f.Err != nil {
		t.Errorf("dan is told %+v: want 140 lines from both sides of the hole, and that there are more", f)
	}
	if f := w.scrolls(dan); f.More || f.Err != nil {
		t.Errorf("at the beginning dan is told %+v: want that there is nothing older", f)
	}
	dan.wantLines(w, "when he has scrolled up", ann, [2]uint64{1, 50}, [2]uint64{63, 200})
	if len(dan.lost) > 0 || dan.machine.Missing(general) != 0 {
		t.Errorf("dan is told of the losses %v, and that %d are missing", dan.lost, dan.machine.Missing(general))
	}
	w.unlink(bob, dan)
	w.revive(dan)
	w.holding(eve, ann, [2]uint64{1, 200})
	w.link(dan, eve)
	w.run(10 * time.Second)
	dan.wantLines(w, "with eve", ann, [2]uint64{1, 200})
}

// What a store has lost, and gets again from before a hole, is not shown again.
func TestWhatIsGotTwiceFromBeforeAHoleIsShownOnce(t *testing.T) {
	w, ann, dan := apart(t, "bob")
	bob := w.nodes[2]
	w.holding(bob, ann, [2]uint64{1, 50}, [2]uint64{63, 200})
	w.link(bob, dan)
	for range 2 {
		w.scrolls(dan)
		dan.wantLines(w, "when he has scrolled up", ann, [2]uint64{1, 50}, [2]uint64{63, 200})
		w.lose(dan, func(wire.Head) uint64 { return 150 })
	}
}

// Somebody who was away has but the beginning, and nobody else is there.
func TestOlderLinesOfWhoLagsBehind(t *testing.T) {
	w, ann, dan := apart(t, "bob", "eve")
	bob, eve := w.nodes[2], w.nodes[3]
	w.holding(bob, ann, [2]uint64{31, 100})
	w.drop = func(_, to *node, f wire.Frame) bool { _, is := f.(wire.Events); return is && to == bob } // who would catch up
	w.link(bob, dan)
	w.run(time.Second)
	if f := w.scrolls(dan); f.More || f.Err == nil {
		t.Errorf("dan is told %+v: want that nobody offers what comes before", f)
	}
	dan.wantLines(w, "with bob", ann, [2]uint64{31, 100}, [2]uint64{191, 200})
	// A third has a part of what is missing between, and of what comes before.
	w.holding(eve, ann, [2]uint64{11, 35}, [2]uint64{120, 140}, [2]uint64{195, 200})
	w.link(eve, dan)
	w.run(time.Minute)
	dan.wantLines(w, "with eve", ann, [2]uint64{31, 100}, [2]uint64{120, 140}, [2]uint64{191, 200})
	w.scrolls(dan)
	dan.wantLines(w, "with eve", ann, [2]uint64{11, 100}, [2]uint64{120, 140}, [2]uint64{191, 200})
	w.unlink(bob, dan)
	w.unlink(eve, dan)
	w.link(ann, dan)
	w.run(time.Minute)
	dan.wantLines(w, "with ann, who has all that is missing between", ann, [2]uint64{11, 200})
}

// Who has all of a hole is gone, and may come back. What another has of it is got meanwhile.
func TestPartsAreGotWhileWhoHasTheRestIsAway(t *testing.T) {
	w, ann, dan := apart(t, "bob", "eve")
	bob, eve := w.nodes[2], w.nodes[3]
	w.holding(dan, ann, [2]uint64{1, 10}, [2]uint64{191, 200})
	w.holding(eve, ann, [2]uint64{1, 200})
	w.holding(bob, ann, [2]uint64{31, 100})
	w.drop = func(_, to *node, f wire.Frame) bool { _, is := f.(wire.Events); return is && to == dan }
	w.link(eve, dan)
	w.run(time.Second)
	w.unlink(eve, dan)
	w.drop = func(_, to *node, f wire.Frame) bool { _, is := f.(wire.Events); return is && to == bob } // who would catch up
	w.link(bob, dan)
	w.run(absentLife / 5)
	dan.wantLines(w, "with bob", ann, [2]uint64{1, 10}, [2]uint64{31, 100}, [2]uint64{191, 200})
	if missing := dan.machine.Missing(general); missing != 90 {
		t.Errorf("dan says that %d are missing: want the 90 of the last hole, which eve has", missing)
	}
}

// Bob has gone on past a hole, and then all that comes behind it was driven out. What he has before it is got by who
// lacks it, with a hole before that as well.
func TestLinesThatComeAfterTheOwnAndBeforeANeighboursHole(t *testing.T) {
	for first, want := range map[uint64][][2]uint64{101: {{81, 150}}, 111: {{81, 100}, {111, 150}}} {
		w, ann, dan := apart(t, "bob")
		bob := w.nodes[2]
		w.holding(dan, ann, [2]uint64{81, 100})
		w.holding(bob, ann, [2]uint64{first, 150})
		if err := bob.store.Rebase(general, wire.LogID{Author: ann.id}, 200, 0); err != nil {
			t.Fatal(err)
		}
		w.revive(bob)
		w.link(bob, dan)
		w.run(time.Minute)
		dan.wantLines(w, "with bob", ann, want...)
		if events, _ := dan.lostOf(ann); events > 200-150+first-101 {
			t.Errorf("dan is told that he has lost %d lines of ann, and bob has 40 of them: %v", events, dan.lost)
		}
	}
}

// Of what a neighbour says to have before a hole nothing comes.
func TestALieAboutWhatIsBeforeAHole(t *testing.T) {
	w, ann, dan := apart(t, "mal", "bob")
	mal, bob := w.nodes[2], w.nodes[3]
	w.link(mal, dan)
	w.drop = func(from, _ *node, _ wire.Frame) bool { return from == mal }
	claim := func() {
		w.receive(dan, mal, wire.Have{Room: general, Heads: []wire.Head{{Author: ann.id, Base: 190, Seq: 200}}})
		for i := range uint64(2 * maxParts) {
			w.receive(dan, mal, wire.Have{Room: general, Heads: []wire.Head{{Author: ann.id, Base: 180 - 2*i - 1, Seq: 180 - 2*i}}})
		}
		for i := range 2 * maxPartLogs {
			_, id := w.identity(i)
			w.receive(dan, mal, wire.Have{Room: general, Heads: []wire.Head{{Author: id, Base: 190, Seq: 200}}})
			w.receive(dan, mal, wire.Have{Room: general, Heads: []wire.Head{{Author: id, Base: 10, Seq: 20}}})
		}
		w.bounded()
	}
	claim()
	w.step(dan, FetchOlder{general, 10})
	w.run(demandTime + time.Second)
	if f := dan.fetched[0]; f.Err == nil || f.Events > 0 {
		t.Errorf("dan is told %+v: want that nothing came", f)
	}
	w.drop = nil
	w.holding(bob, ann, [2]uint64{1, 50}, [2]uint64{63, 200})
	w.link(bob, dan)
	w.scrolls(dan)
	dan.wantLines(w, "with bob", ann, [2]uint64{1, 50}, [2]uint64{63, 200})
}

// A neighbour that never tells what it holds does not keep the user waiting at the beginning of the room.
func TestWhoTellsNothingHoldsNoScrollingUp(t *testing.T) {
	w, ann, dan := apart(t, "mal")
	w.holding(dan, ann, [2]uint64{1, 200})
	w.drop = func(from, _ *node, _ wire.Frame) bool { return from == w.node("mal") }
	w.link(w.node("mal"), dan)
	w.step(dan, FetchOlder{general, 10})
	w.run(time.Second)
	if len(dan.fetched) != 1 || dan.fetched[0].Err != nil || dan.fetched[0].More {
		t.Errorf("dan, who has all, is told %+v: want that there is nothing older", dan.fetched)
	}
	w.holding(dan, ann, [2]uint64{51, 200})
	w.link(w.node("mal"), dan)
	w.step(dan, FetchOlder{general, 10})
	w.run(demandTime + time.Second)
	if len(dan.fetched) != 2 || dan.fetched[1].Err == nil || !strings.Contains(dan.fetched[1].Err.Error(), "nobody") {
		t.Errorf("dan, who lacks the first lines, is told %+v: want that nobody has them", dan.fetched)
	}
}

// Whatever runs of logs peers hold, with whatever holes: who scrolls up has all that anybody has who is connected.
func TestWhoScrollsUpGetsAllThatAnybodyHas(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { scrollsUp(t, false) })
}

func TestWhoScrollsUpGetsAllThatAnybodyHasThoughStoresFail(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { scrollsUp(t, true) })
}

func scrollsUp(t *rapid.T, failing bool) {
	w := drawWorld(t, 4)
	ann := w.nodes[0]
	const lines = 60
	for range lines {
		w.say(ann, "line")
	}
	w.run(time.Second)
	held := map[uint64]bool{}
	for _, n := range w.nodes[1:] {
		var runs [][2]uint64
		for at := rapid.Uint64Range(1, lines).Draw(t, "first"); at <= lines && len(runs) < 3; at += rapid.Uint64Range(2, lines/2).Draw(t, "hole") {
			to := min(lines, at+rapid.Uint64Range(0, lines/2).Draw(t, "run"))
			runs = append(runs, [2]uint64{at, to})
			at = to
		}
		w.holding(n, ann, runs...)
		n.window = Window{Events: 5}
		w.revive(n)
		for _, seq := range runsOf(runs...) {
			held[seq] = true
		}
	}
	if failing { // stores that cannot be read when the room is joined
		w.moods(t)
		for _, n := range w.nodes[1:] {
			w.revive(n)
		}
	}
	w.kill(ann)
	order := rapid.Permutation(w.nodes).Draw(t, "order")
	for i := range order[1:] {
		w.link(order[i], order[i+1])
		w.run(time.Duration(rapid.IntRange(0, 3000).Draw(t, "ms")) * time.Millisecond)
		if failing {
			w.moods(t)
		}
		w.step(order[i], FetchOlder{general, rapid.IntRange(0, 60).Draw(t, "older")})
		w.bounded()
	}
	w.calm()
	for range 6 { // as what one has got, it can give to the next, and a store that failed is tried again
		for _, n := range order {
			w.scrolls(n)
		}
		w.run(time.Minute)
	}
	w.bounded()
	for _, n := range w.nodes {
		var want []uint64
		for seq := range uint64(lines + 1) {
			if held[seq] {
				want = append(want, seq)
			}
		}
		if got := n.all(ann); !slices.Equal(got, want) || !slices.Equal(n.delivered[ann.id], want) {
			t.Fatalf("%s holds %v, and was delivered %v: want %v", n.name, got, n.delivered[ann.id], want)
		}
		if missing := n.machine.Missing(general); missing != 0 {
			t.Fatalf("%s says that %d are missing", n.name, missing)
		}
	}
}
