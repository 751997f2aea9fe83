package gossip

import (
	"slices"
	"testing"
	"time"

	"peerchat/peer/history"
	"peerchat/peer/wire"
)

// Once something old found no room. What is missing in the middle of what is kept is fetched all the same.
func TestAHoleIsFilledThoughWhatIsOlderFoundNoRoom(t *testing.T) {
	w := newWorld(t, 31, "ann", "bob", "cyd", "dan")
	ann, bob, cyd, dan := w.nodes[0], w.nodes[1], w.nodes[2], w.nodes[3]
	dan.store, dan.window = history.NewMemoryWith(history.Limits{Events: 100}), Window{Events: 50, Age: -1}
	w.start(dan)
	w.link(ann, bob)
	w.link(bob, dan)
	w.run(time.Second)
	w.talk(300, time.Millisecond, ann)
	w.run(40 * time.Second)
	w.step(dan, FetchOlder{general, 200}) // the user scrolls up
	w.run(15 * time.Second)
	if f := dan.fetched[0]; f.Err == nil {
		t.Fatalf("dan, whose history is full, gets %+v when he scrolls up", f)
	}
	w.unlink(bob, dan)
	w.talk(20, time.Millisecond, ann)
	w.run(time.Second)
	w.holding(cyd, ann, [2]uint64{311, 320})
	w.link(cyd, dan)
	w.run(4 * time.Second)
	w.link(bob, dan)
	w.run(time.Minute)
	if got := dan.all(ann); !slices.Contains(got, 305) {
		st, _ := dan.store.Stats(general)
		t.Errorf("dan has %d events of at most 100, the oldest is %d: 301 to 310, which bob has, have not come; told %+v", st.Events, got[0], dan.lost)
	}
}

// A log went on past two holes. What somebody has of the first is fetched before it is told as lost.
func TestAHoleBeforeAPartIsFilled(t *testing.T) {
	w := newWorld(t, 32, "ann", "bob", "eve", "dan")
	ann, bob, eve, dan := w.nodes[0], w.nodes[1], w.nodes[2], w.nodes[3]
	dan.window = Window{Events: 1000, Age: -1}
	w.start(dan)
	w.link(bob, dan)
	w.run(40 * time.Second)
	w.talk(100, time.Millisecond, ann)
	part := func(from, to uint64) []wire.Event {
		e, _ := ann.store.Range(general, ann.id, from, to, 1000)
		return e
	}
	w.drop = func(from, _ *node, _ wire.Frame) bool { return from == bob } // the test speaks for bob
	for _, p := range [][2]uint64{{51, 60}, {91, 100}} {
		w.receive(dan, bob, wire.Have{Room: general, Heads: []wire.Head{{Author: ann.id, Base: p[0] - 1, Seq: p[1]}}})
		w.run(map[bool]time.Duration{true: 100 * time.Millisecond, false: strandedDelay + 100*time.Millisecond}[p[0] == 51])
		w.receive(dan, bob, wire.Events{Events: part(p[0], p[1])})
	}
	w.holding(eve, ann, [2]uint64{1, 50})
	w.link(eve, dan)
	w.run(3 * time.Minute)
	dan.wantLines(w, "with eve", ann, [2]uint64{1, 60}, [2]uint64{91, 100})
	for _, l := range dan.lost {
		for _, o := range l.Logs {
			if o.Unkept || o.Events > 30 {
				t.Errorf("dan is told %+v: eve has 1 to 50 of ann and there is room", o)
			}
		}
	}
}

func TestALossIsToldThoughALogOnceWentBackToWhenOneCame(t *testing.T) {
	w := newWorld(t, 36, "ann", "bob", "eve")
	ann, bob, eve := w.nodes[0], w.nodes[1], w.nodes[2]
	w.link(ann, bob)
	w.talk(50, time.Millisecond, ann)
	w.run(time.Second)
	dan := w.add("dan", 9)
	dan.window = Window{Events: 10, Age: -1}
	w.start(dan)
	w.run(time.Second)
	w.talk(60, time.Millisecond, ann)
	w.link(bob, dan)
	w.run(40 * time.Second)
	w.says(ann, 1)
	w.run(time.Second)
	if a := dan.machine.rooms[general].logs[wire.LogID{Author: ann.id}]; !a.before {
		t.Fatal("dan has not gone back to what was said before he came")
	}
	w.unlink(bob, dan)
	w.talk(40, time.Millisecond, ann)
	w.holding(bob, ann, [2]uint64{1, 111}, [2]uint64{142, 151})
	w.holding(eve, ann, [2]uint64{1, 111}, [2]uint64{132, 151})
	w.link(bob, dan)
	w.run(4 * time.Second)
	w.link(eve, dan)
	w.run(time.Minute)
	if n, _ := dan.lostOf(ann); n != 20 {
		t.Errorf("dan is told that %d lines of ann are lost: want 20, 112 to 131, which nobody has", n)
	}
}

// Some lines of the middle of a hole came first: what is missing before its end is what is between.
func TestWhatIsMissingBeforeALineIsJustBeforeIt(t *testing.T) {
	w := newWorld(t, 37, "ann", "bob", "eve", "fay", "dan")
	ann, bob, eve, fay, dan := w.nodes[0], w.nodes[1], w.nodes[2], w.nodes[3], w.nodes[4]
	w.link(ann, dan)
	w.run(40 * time.Second)
	w.talk(10, time.Millisecond, ann)
	w.run(time.Second)
	w.unlink(ann, dan)
	w.talk(100, time.Millisecond, ann)
	w.holding(bob, ann, [2]uint64{1, 10}, [2]uint64{101, 110})
	w.holding(eve, ann, [2]uint64{41, 50}, [2]uint64{105, 110})
	w.holding(fay, ann, [2]uint64{91, 110})
	w.link(bob, dan)
	w.run(4 * time.Second)
	w.link(eve, dan)
	w.run(4 * time.Second)
	w.link(fay, dan)
	w.run(4 * time.Second)
	if got := dan.gaps[ann.id]; got != 40 {
		t.Errorf("dan has %v; the line 91 came with %d missing before it: want 40, 51 to 90", dan.all(ann), got)
	}
}

// Bob goes on past a hole, of which cyd has all, or the first part.
func TestWhoGoesOnPastWhatIsHereIsToldSo(t *testing.T) {
	for _, up := range []uint64{50, 60} {
		w := newWorld(t, 39, "ann", "bob", "cyd", "eve")
		ann, bob, cyd, eve := w.nodes[0], w.nodes[1], w.nodes[2], w.nodes[3]
		w.link(ann, bob)
		w.link(bob, cyd)
		w.link(ann, cyd)
		w.run(40 * time.Second)
		w.talk(10, time.Millisecond, ann)
		w.run(time.Second)
		w.unlink(ann, bob)
		r := cyd.machine.rooms[general]
		digest := r.digestAt
		w.run(digest.Sub(w.now) + time.Millisecond)
		w.drop = func(from, _ *node, _ wire.Frame) bool { return from == ann }
		w.talk(60, time.Millisecond, ann)
		w.holding(eve, ann, [2]uint64{61, 70})
		w.link(eve, bob)
		w.run(2 * time.Second)
		events, _ := ann.store.Range(general, ann.id, 11, up, 100)
		w.receive(cyd, ann, wire.Events{Events: events}) // cyd gets them as history, so they are not passed on
		w.run(time.Minute)
		n, _ := bob.lostOf(ann)
		if n > 60-up {
			t.Errorf("bob is told that %d lines are lost: want %d, as cyd has had 11 to %d since before", n, 60-up, up)
		}
	}
}

func TestOfTooManyGapsNoneIsForgotten(t *testing.T) {
	var x torn
	for i := range uint64(maxGaps) {
		x.add(10*i, 10*i+5, false)
	}
	x.came(12, 13)
	n := x.more
	for _, g := range x.gaps {
		n += g.len()
	}
	if n != 64*5-1 {
		t.Errorf("of 320 events one came, and %d are accounted for", n)
	}
}

// Who claims what it never sends, again and again, keeps nobody from being told of losses.
func TestALiarKeepsNoLossFromBeingTold(t *testing.T) {
	w := newWorld(t, 38, "ann", "bob", "mal", "dan")
	ann, bob, mal, dan := w.nodes[0], w.nodes[1], w.nodes[2], w.nodes[3]
	w.link(ann, dan)
	w.run(40 * time.Second)
	w.talk(10, time.Millisecond, ann)
	w.run(time.Second)
	w.unlink(ann, dan)
	w.talk(100, time.Millisecond, ann)
	w.holding(bob, ann, [2]uint64{1, 10}, [2]uint64{101, 110})
	w.link(bob, dan)
	w.run(4 * time.Second)
	w.drop = func(from, _ *node, _ wire.Frame) bool { return from == mal }
	w.link(mal, dan)
	for i := range 600 * 2 {
		base := uint64(i % 2) // so that each says something new
		w.receive(dan, mal, wire.Have{Room: general, Heads: []wire.Head{{Author: ann.id, Base: base, Seq: 110}}})
		w.run(500 * time.Millisecond)
	}
	if n, _ := dan.lostOf(ann); n != 90 {
		t.Errorf("after ten minutes in which one claimed to hold all and sent nothing dan is told that %d lines are lost, and %d are missing", n, dan.machine.Missing(general))
	}
}

// readsOfParts counts them.
type readsOfParts struct {
	Log
	n int
}

func (p *readsOfParts) Parts(room wire.Room, log wire.LogID) ([]wire.Head, error) {
	p.n++
	return p.Log.Parts(room, log)
}

// Who asks for what is in a hole is told what there is, the last part first, once for all that it asks of a log; and
// not without end.
func TestQuestionsInAHoleAreAnsweredOnce(t *testing.T) {
	w, ann, bob := linked(t, "cyd")
	cyd := w.nodes[2]
	w.talk(100, time.Millisecond, ann)
	w.run(time.Second)
	w.holding(bob, ann, [2]uint64{1, 10}, [2]uint64{31, 40}, [2]uint64{61, 70})
	w.drop = func(_, to *node, f wire.Frame) bool { _, is := f.(wire.Events); return is && to == bob } // cyd has all
	w.link(bob, cyd)
	w.run(time.Second)
	reads := &readsOfParts{Log: bob.machine.cfg.Log}
	bob.machine.cfg.Log = reads
	q := wire.Want{Room: general}
	for seq := range uint64(wire.MaxRanges / 8) {
		q.Ranges = append(q.Ranges, wire.Range{Author: ann.id, From: 42 + seq, To: 42 + seq})
	}
	var out Output
	if err := bob.machine.Step(w.now, Receive{cyd.id, q}, &out); err != nil {
		t.Fatal(err)
	}
	var bases []uint64
	for _, s := range out.Sends {
		if f, is := s.Frame.(wire.Have); is {
			for _, h := range f.Heads {
				bases = append(bases, h.Base)
			}
		}
	}
	if !slices.Equal(bases, []uint64{60, 30, 0}) || reads.n > 2 {
		t.Errorf("who asked for %d lines in a hole is told of %v in %d reads: want the log, and its two parts", len(q.Ranges), bases, reads.n)
	}
	for range 10 * tellBurst {
		out = Output{}
		_ = bob.machine.Step(w.now, Receive{cyd.id, q}, &out)
	}
	if reads.n > 3*tellBurst {
		t.Errorf("%d such questions at once caused %d reads", 10*tellBurst, reads.n)
	}
}
