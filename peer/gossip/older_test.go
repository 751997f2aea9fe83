package gossip

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"peerchat/peer/history"
	"peerchat/peer/wire"
)

// talk has the authors say lines by turns, so many each, a gap apart.
func (w *world) talk(lines int, gap time.Duration, authors ...*node) {
	w.t.Helper()
	for i := range lines {
		for _, a := range authors {
			w.say(a, fmt.Sprintf("%s %d", a.name, i))
			w.run(gap)
		}
	}
}

// newcomer is a node that is linked with everybody, with a window of so many events.
func (w *world) newcomer(window Window) *node {
	w.t.Helper()
	n := w.add("dan", 9)
	n.window = window
	w.start(n)
	w.mesh()
	return n
}

// holds are the numbers of the first and the last event of an author that a node holds, and how many there are in its
// room.
func (n *node) holds(author *node) (from, to uint64, all int) {
	heads, _, _ := n.store.Heads(general)
	for _, h := range heads {
		all += int(h.Seq - h.Base)
		if h.Author == author.id {
			from, to = h.Base+1, h.Seq
		}
	}
	return from, to, all
}

// wholeFrom fails unless what a node was delivered of an author is all that it holds, and that is what the author said
// from one number on.
func (n *node) wholeFrom(w *world, author *node) {
	w.t.Helper()
	from, to, _ := n.holds(author)
	got := n.delivered[author.id]
	if int(to) != len(author.said) || len(got) != int(to-from+1) || len(got) > 0 && (got[0] != from || got[len(got)-1] != to) {
		w.t.Fatalf("%s holds %d to %d of %s, who said %d lines, and was delivered %d of them", n.name, from, to, author.name,
			len(author.said), len(got))
	}
	events, err := n.store.Range(general, author.id, from, to, 1<<20)
	if err != nil {
		w.t.Fatalf("%v", err)
	}
	for i, e := range events {
		if e.Seq != from+uint64(i) || string(e.Body) != author.said[e.Seq-1] {
			w.t.Fatalf("%s holds %q as line %d of %s", n.name, e.Body, e.Seq, author.name)
		}
	}
}

func TestLogsOfANewRoomAreReadBackByTurns(t *testing.T) {
	w := newWorld(t, 5, "ann", "bob", "cyd")
	w.mesh()
	w.talk(300, 100*time.Millisecond, w.nodes...)
	dan := w.newcomer(Window{Events: 450})
	w.run(5 * time.Second)
	for _, n := range w.nodes[:3] {
		dan.wholeFrom(w, n)
		if from, _, all := dan.holds(n); from < 120 || from > 190 || all != 450 {
			t.Errorf("the newcomer holds %s's lines from %d on, and %d in all: want 450, and of each about the same", n.name, from, all)
		}
	}
}

func TestALieAboutWhereALogBeginsCostsOnlyTime(t *testing.T) {
	w := newWorld(t, 5, "ann", "bob", "eve")
	ann, bob, eve := w.nodes[0], w.nodes[1], w.nodes[2]
	w.link(ann, bob)
	w.talk(200, 10*time.Millisecond, ann)
	dan := w.add("dan", 9)
	w.start(dan)
	// eve begins ann's log at its end, and has that event.
	w.link(eve, dan)
	end, _ := ann.store.Range(general, ann.id, 200, 200, 1)
	w.receive(dan, eve, wire.Digest{Room: general, Heads: []wire.Head{{Author: ann.id, Base: 199, Seq: 200}}})
	w.run(100 * time.Millisecond)
	w.receive(dan, eve, wire.Events{Events: end})
	w.run(contactTime)
	if from, to, _ := dan.holds(ann); from != 200 || to != 200 {
		t.Fatalf("dan holds %d to %d of ann: want what eve has", from, to)
	}
	// She claims to have all, and gives nothing, over and over.
	for range 5 {
		w.receive(dan, eve, wire.Have{Room: general, Heads: []wire.Head{{Author: ann.id, Base: 0, Seq: 200}}})
		w.run(askTimeout / 2)
	}
	w.link(bob, dan)
	for range 10 {
		w.receive(dan, eve, wire.Have{Room: general, Heads: []wire.Head{{Author: ann.id, Base: 0, Seq: 200}}})
		w.run(askTimeout / 2)
	}
	dan.wholeFrom(w, ann)
	if from, _, _ := dan.holds(ann); from != 1 {
		t.Errorf("dan holds ann's lines from %d on, though bob has all of them", from)
	}
	w.bounded()
}

func TestOlderEventsThatNobodyAskedForAreUseless(t *testing.T) {
	w := newWorld(t, 5, "ann", "bob")
	ann, bob := w.nodes[0], w.nodes[1]
	lines := make([]string, 100)
	w.say(ann, lines...)
	bob.window = Window{Events: 10}
	w.start(bob)
	w.mesh()
	w.run(5 * time.Second)
	if from, _, all := bob.holds(ann); from != 91 || all != 10 {
		t.Fatalf("bob holds %d events from %d on: want 10", all, from)
	}
	before, _ := ann.store.Range(general, ann.id, 51, 90, 40)
	frames := 0
	for ; frames < 2000 && !bob.cut(ann); frames++ {
		w.receive(bob, ann, wire.Events{Events: before})
	}
	if from, _, _ := bob.holds(ann); from != 91 || len(bob.delivered[ann.id]) != 10 {
		t.Errorf("bob took older events in that he did not ask for: he holds them from %d on", from)
	}
	if bob.faults["flood"] != 1 || frames < wasteBurst/40 || frames > 2*wasteBurst/40 {
		t.Errorf("%d frames with 40 useless events were let pass, faults %v", frames, bob.faults)
	}
}

// asking is a world in which dan holds the last 10 of ann's 200 lines and has just asked bob for the 16 before them,
// and from whom nothing comes but what a test gives.
func asking(t *testing.T) (w *world, ann, bob, dan *node, q *olderAsk) {
	w = newWorld(t, 5, "ann", "bob")
	ann, bob = w.nodes[0], w.nodes[1]
	w.mesh()
	w.talk(200, time.Millisecond, ann)
	w.run(time.Second)
	dan = w.add("dan", 9)
	dan.window = Window{Events: 10}
	w.start(dan)
	w.link(bob, dan)
	w.run(5 * time.Second)
	w.drop = func(from, to *node, _ wire.Frame) bool { return to == dan }
	w.step(dan, FetchOlder{general, 16})
	q = dan.machine.rooms[general].logs[wire.LogID{Author: ann.id}].older
	if q == nil || q.from != 175 || q.up != 190 || q.to.peer != bob.id {
		t.Fatalf("dan asks for %+v: want 175 to 190 of bob", q)
	}
	return w, ann, bob, dan, q
}

func TestAnswersThatAreNotWhatWasAskedFor(t *testing.T) {
	for name, c := range map[string]struct {
		answer func(w *world, ann *node, run []wire.Event) []wire.Event
		fault  string
		cut    bool
		got    int
	}{
		"as it should be":      {func(_ *world, _ *node, run []wire.Event) []wire.Event { return run }, "", false, 16},
		"twice":                {func(_ *world, _ *node, run []wire.Event) []wire.Event { return append(run, run...) }, "", false, 16},
		"its first is missing": {func(_ *world, _ *node, run []wire.Event) []wire.Event { return run[1:] }, "", false, 0},
		"one in it is missing": {func(_ *world, _ *node, run []wire.Event) []wire.Event { return slices.Delete(run, 5, 6) }, "", false, 0},
		"its last is missing":  {func(_ *world, _ *node, run []wire.Event) []wire.Event { return run[:15] }, "", false, 0},
		"out of order":         {func(_ *world, _ *node, run []wire.Event) []wire.Event { slices.Reverse(run); return run }, "", false, 0},
		"forged": {func(_ *world, _ *node, run []wire.Event) []wire.Event {
			run[7].Body = []byte("what ann never said")
			return run
		}, "forged", true, 0},
		"of another author": {func(w *world, ann *node, run []wire.Event) []wire.Event {
			for i := range run {
				run[i] = w.forge(w.node("bob"), run[i].Seq, "I", nil)
			}
			return run
		}, "silent", false, 0},
		"two with one number": {func(w *world, ann *node, run []wire.Event) []wire.Event {
			return slices.Insert(run, 8, w.forge(ann, run[7].Seq, "what I said otherwise", nil))
		}, "equivocation", false, 16},
		"with a clock that nobody can have": {func(w *world, ann *node, run []wire.Event) []wire.Event {
			e := []wire.Event{w.forge(ann, run[7].Seq, "the end of time", nil)}
			e[0].Lamport = wire.MaxCounter
			if err := wire.SignBatch(ann.key, e); err != nil {
				t.Fatal(err)
			}
			run[7] = e[0]
			return run
		}, "", false, 8},
	} {
		t.Run(name, func(t *testing.T) {
			w, ann, bob, dan, _ := asking(t)
			run, err := ann.store.Range(general, ann.id, 175, 190, 16)
			if err != nil || len(run) != 16 {
				t.Fatal(len(run), err)
			}
			w.receive(dan, bob, wire.Events{Events: c.answer(w, ann, run)})
			w.bounded()
			// Bob does not answer what is asked of him again. He is doubted when the first of these questions has timed
			// out, asked at the next round of anti-entropy, and again at each after it; the one after the last that he
			// may leave unanswered says so. The demand is over before that.
			w.run(askTimeout + (maxStrikes+1)*digestMax)
			w.bounded()
			if c.fault != "" && dan.faults[c.fault] != 1 || c.fault == "" && len(dan.faults) > 0 || dan.cut(bob) != c.cut {
				t.Errorf("faults %v, link cut %v: want %q, %v", dan.faults, dan.cut(bob), c.fault, c.cut)
			}
			if from, _, _ := dan.holds(ann); from != 191-uint64(c.got) || len(dan.delivered[ann.id]) != 10+c.got || dan.older != c.got {
				t.Errorf("dan holds ann's lines from %d on, and was delivered %d: want %d older ones", from, len(dan.delivered[ann.id]), c.got)
			}
			if len(dan.fetched) != 1 || dan.fetched[0].Events != c.got || (dan.fetched[0].Err == nil) != (c.got == 16) {
				t.Errorf("dan is told %+v: want %d events", dan.fetched, c.got)
			}
		})
	}
}

func TestAnAnswerWithoutEndIsBounded(t *testing.T) {
	w := newWorld(t, 5, "ann", "bob")
	ann, bob := w.nodes[0], w.nodes[1]
	for range 200 {
		w.say(ann, strings.Repeat("x", wire.MaxText))
	}
	bob.window = Window{Events: 4}
	w.start(bob)
	w.mesh()
	w.run(10 * time.Second)
	most := 0
	w.step(bob, FetchOlder{general, 100})
	for range 4000 {
		w.run(time.Millisecond)
		most = max(most, bob.machine.olderBytes)
		w.bounded()
	}
	if most > maxOlderBytes || most == 0 {
		t.Errorf("%d bytes of an answer waited for its end: want at most %d", most, maxOlderBytes)
	}
	if len(bob.fetched) != 1 || bob.fetched[0].Events < 100 || !bob.fetched[0].More {
		t.Errorf("bob is told %+v: want 100 events, and that there are more", bob.fetched)
	}
}

func TestAnAnswerThatDripsIsGivenUp(t *testing.T) {
	w, ann, bob, dan, q := asking(t)
	events, _ := ann.store.Range(general, ann.id, q.from, q.up, 100)
	for i := range events {
		w.run(askTimeout * 9 / 10)
		w.receive(dan, bob, wire.Events{Events: events[i : i+1]})
		w.bounded()
	}
	if len(dan.fetched) != 1 || dan.fetched[0].Err == nil || dan.machine.olderBytes != 0 || len(dan.machine.rooms[general].asked) != 0 {
		t.Errorf("who sends an event every %v keeps the question open: %+v, %d bytes", askTimeout*9/10, dan.fetched, dan.machine.olderBytes)
	}
}

func TestAHoleIsFilledWhenSomebodyComesWhoHasIt(t *testing.T) {
	w := newWorld(t, 5, "ann", "bob", "cyd")
	ann, bob, cyd := w.nodes[0], w.nodes[1], w.nodes[2]
	bob.window.Age = time.Minute
	w.start(bob)
	w.mesh()
	w.talk(10, 10*time.Millisecond, ann)
	w.unlink(ann, bob)
	w.unlink(cyd, bob)
	w.talk(90, 10*time.Millisecond, ann)
	w.run(3 * time.Minute) // a hole is filled whatever its age
	w.unlink(ann, cyd)
	ann.store = prunedAt(t, w, ann, 60)
	ann.delivered[ann.id] = ann.delivered[ann.id][60:]
	w.start(ann)
	w.link(ann, bob)
	w.run(3 * strandedDelay)
	if from, to, _ := bob.holds(ann); from != 61 || to != 100 {
		t.Fatalf("bob holds %d to %d of ann: want the log to go on at 61, as nobody has what comes before", from, to)
	}
	w.talk(1, time.Second, ann)
	w.link(bob, cyd)
	w.run(2 * time.Second)
	if from, to, all := bob.holds(ann); from != 1 || to != 101 || all != 101 {
		t.Errorf("bob holds %d to %d of ann, though cyd had what lay between", from, to)
	}
	if got := bob.delivered[ann.id]; len(got) != 101 || bob.older != 50 {
		t.Errorf("bob was delivered %d lines, %d of them late: want 101 and 50", len(got), bob.older)
	}
	w.bounded()
}

// prunedAt is the store of a node whose own log begins after base.
func prunedAt(t *testing.T, w *world, n *node, base uint64) *history.Memory {
	t.Helper()
	events, err := n.store.Range(general, n.id, base+1, 1<<40, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	m := history.NewMemory()
	if err := m.Rebase(general, wire.LogID{Author: n.id}, base, 0); err != nil {
		t.Fatal(err)
	}
	if err := m.Append(events); err != nil {
		t.Fatal(err)
	}
	return m
}

func TestWhatIsMissingIsCounted(t *testing.T) {
	w := newWorld(t, 5, "ann", "bob", "eve")
	ann, bob, eve := w.nodes[0], w.nodes[1], w.nodes[2]
	w.link(ann, bob)
	w.talk(20, 10*time.Millisecond, ann)
	w.unlink(ann, bob)
	w.talk(120, 10*time.Millisecond, ann)
	missing := func(what string, want int) {
		t.Helper()
		if got := bob.machine.Missing(general); got != want {
			t.Errorf("%s %d events are missing: want %d", what, got, want)
		}
	}
	missing("without a neighbour", 0)
	w.drop = func(_, _ *node, f wire.Frame) bool { _, events := f.(wire.Events); return events }
	w.link(ann, bob)
	w.run(10 * time.Millisecond)
	missing("when ann is there", 120)
	w.drop = nil
	w.run(5 * time.Second)
	missing("when all is here", 0)
	if len(bob.delivered[ann.id]) != 140 {
		t.Errorf("bob has %d of ann's lines", len(bob.delivered[ann.id]))
	}
	// A liar moves the figure until it is found out.
	w.link(eve, bob)
	w.run(time.Second)
	w.receive(bob, eve, wire.Have{Room: general, Heads: []wire.Head{{Author: ann.id, Seq: 1_000_140}}})
	missing("by what eve says", 1_000_000)
	w.run(askTimeout + time.Second)
	missing("as long as she may be slow", 1_000_000)
	w.run(30 * time.Second)
	missing("when eve has shown nothing", 0)
	w.receive(bob, eve, wire.Have{Room: general, Heads: []wire.Head{{Author: wire.PeerID{7}, Seq: 1 << 50}}})
	if got := bob.machine.Missing(general); got != defaultWindow {
		t.Errorf("a log that is only claimed counts %d: want no more than a window", got)
	}
	w.run(30 * time.Second)
	missing("in the end", 0)
	if bob.machine.Missing("nowhere") != 0 {
		t.Error("something is missing in a room that this peer is not in")
	}
}

func TestWhatWasLostIsFetchedAgainWhileRunning(t *testing.T) {
	w, ann, bob := linked(t)
	w.talk(30, 10*time.Millisecond, ann, bob)
	w.run(10 * time.Second)
	w.logf("bob's file is damaged: its heads are known, its events are gone")
	w.lose(bob, func(h wire.Head) uint64 { return h.Seq })
	w.run(3 * digestMax)
	for _, author := range w.nodes {
		if from, to, all := bob.holds(author); from != 1 || to != 30 || all != 60 {
			t.Errorf("bob holds %d to %d of %s, and %d in all: want all that ann has", from, to, author.name, all)
		}
	}
	if bob.older != 0 {
		t.Errorf("%d events were delivered again", bob.older)
	}
	// After a restart all is new to the screen.
	w.lose(bob, func(h wire.Head) uint64 { return h.Seq })
	for _, x := range w.nodes {
		w.unlink(bob, x)
	}
	w.recall(bob)
	w.start(bob)
	w.mesh()
	w.run(time.Second)
	if bob.older != 60 {
		t.Errorf("after a restart %d events were delivered: want all 60", bob.older)
	}
}

func TestAFullHistoryIsNoEndlessLoop(t *testing.T) {
	w := newWorld(t, 5, "ann", "bob")
	ann, bob := w.nodes[0], w.nodes[1]
	lines := make([]string, 400)
	w.say(ann, lines...)
	bob.store = history.NewMemoryWith(history.Limits{Events: 80})
	w.start(bob)
	w.mesh()
	w.run(20 * time.Second)
	wants := 0
	w.drop = func(from, _ *node, f wire.Frame) bool {
		if _, want := f.(wire.Want); want && from == bob {
			wants++
		}
		return false
	}
	w.run(time.Minute)
	if wants > 0 || bob.machine.Missing(general) != 0 {
		t.Errorf("a full history asks for older events %d times a minute, and misses %d", wants, bob.machine.Missing(general))
	}
	w.step(bob, FetchOlder{general, 50})
	w.run(time.Second)
	if len(bob.fetched) != 1 || bob.fetched[0].Err == nil || !bob.fetched[0].More || !strings.Contains(bob.fetched[0].Err.Error(), "limits") {
		t.Errorf("bob is told %+v: want that the history is full", bob.fetched)
	}
	for range 40 { // what comes in pushes old events out
		w.say(ann, lines[:3]...)
		w.run(time.Second)
	}
	if _, to, all := bob.holds(ann); to != 520 || all < 70 || all > 100 || wants > 30 {
		t.Errorf("bob holds %d events up to %d, and has asked %d times", all, to, wants)
	}
	w.bounded()
}

func TestOlderEventsThatCannotBeStoredAreAskedForAgain(t *testing.T) {
	w, ann, bob, dan, _ := asking(t)
	w.drop = nil
	dan.broken = errors.New("disk is full")
	run, _ := ann.store.Range(general, ann.id, 175, 190, 16)
	w.receive(dan, bob, wire.Events{Events: run})
	w.run(stuckTime / 2)
	if from, _, _ := dan.holds(ann); from != 191 || dan.older != 0 || dan.faults["log"] != 1 {
		t.Fatalf("dan holds ann's lines from %d on, was delivered %d older ones, and reports %v: want one fault and nothing else", from, dan.older,
			dan.faults)
	}
	dan.broken = nil
	w.run(demandTime)
	if from, _, _ := dan.holds(ann); from != 191 || len(dan.fetched) != 1 || dan.fetched[0].Err == nil {
		t.Errorf("dan holds from %d on and is told %+v: want that it took too long", from, dan.fetched)
	}
	w.step(dan, FetchOlder{general, 16})
	w.run(demandTime)
	if from, _, _ := dan.holds(ann); from != 175 || dan.faults["log"] != 1 {
		t.Errorf("with a store that works again dan holds from %d on, faults %v", from, dan.faults)
	}
}
