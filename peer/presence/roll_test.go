package presence

import (
	"testing"
	"time"
)

// massacre kills a part of a room at once, and links the others again.
func massacre(w *world, dead int) {
	for i := range dead {
		w.kill(w.nodes[i])
	}
	for range 10 {
		w.advance(500 * time.Millisecond)
		w.mesh(5, nil)
	}
}

// Who died together with all its neighbours is seen to be dead by the roll call.
func TestTheRollIsCalledAfterManyDied(t *testing.T) {
	w := newWorld(t, 11)
	crowdOf(w, 300)
	w.mesh(5, nil)
	w.advance(30 * time.Second)
	w.onChange = func(n *node, c Changed) {
		if o := w.byID[c.Member.Peer]; c.What == Left && o.alive {
			t.Errorf("%v after most died %s takes %s for gone (%s), who is there", w.now.Sub(w.start), n.name, o.name, c.Cause)
		}
	}
	massacre(w, 240)
	w.advance(25 * time.Second)
	if why := w.wrong(); why != "" {
		t.Errorf("30 s after 240 of 300 died at once: %s", why)
	}
	if len(w.faults) > 0 {
		t.Errorf("faults were reported: %.5q", w.faults)
	}
}

// Newcomers that come at any time before the roll is called, during it and after it, and are told of the dead by those
// who did not know better yet, learn it from those who called the roll; and neither they nor anybody else takes anybody
// for gone who is there. The roll ends 21 s after the deaths; newcomers hear that at once, ask the others a second
// later and go by that 3 s after, and so does each ring of newcomers behind them: five of them in a row would know it
// after 41 s.
func TestNewcomersWereNotThereWhenTheRollWasCalled(t *testing.T) {
	for seed := range uint64(30) {
		w := newWorld(t, seed)
		w.timing.Refresh = 5 * time.Minute // nobody expires
		crowdOf(w, 60)
		w.mesh(5, nil)
		w.advance(40 * time.Second)
		w.onChange = func(n *node, c Changed) {
			if o := w.byID[c.Member.Peer]; c.What == Left && o.alive {
				t.Errorf("seed %d: %v after most died %s takes %s for gone (%s), who is there", seed, w.now.Sub(w.start)-40*time.Second, n.name, o.name, c.Cause)
			}
		}
		for i := range 48 {
			w.kill(w.nodes[i])
		}
		for i := range uint64(45) {
			if i == seed {
				for range 5 {
					w.add("new").run()
				}
			}
			w.advance(time.Second)
			w.mesh(5, nil)
		}
		if why := w.wrong(); why != "" {
			t.Errorf("seed %d, 45 s after 48 of 60 died, and 5 came after %d s: %s", seed, seed, why)
		}
		for _, n := range w.nodes {
			if n.alive && n.m.Stats().Repeats > 2000 { // some hundreds in all other cases
				t.Errorf("seed %d: %s was told %d times what it knew", seed, n.name, n.m.Stats().Repeats)
			}
		}
		if len(w.faults) > 0 {
			t.Errorf("seed %d: faults were reported: %.5q", seed, w.faults)
		}
	}
}

// A member that is there and whose word does not get through for as long as the roll is called is back when it does.
func TestThoseBeyondAPartitionAnswerTheRollLater(t *testing.T) {
	w := newWorld(t, 13)
	crowdOf(w, 120)
	w.mesh(5, nil)
	w.advance(30 * time.Second)
	far := map[*node]bool{}
	for _, n := range w.nodes[80:] {
		far[n] = true
	}
	together := func(a, b *node) bool { return far[a] == far[b] }
	for _, n := range w.nodes {
		for _, l := range n.links {
			if l.open && !together(n, l.to) {
				w.cut(n, l)
			}
		}
	}
	for range 60 {
		w.advance(500 * time.Millisecond)
		w.mesh(5, together)
	}
	w.mesh(6, nil)
	w.advance(20 * time.Second)
	if why := w.wrong(); why != "" {
		t.Errorf("20 s after a partition of half a minute: %s", why)
	}
}

// Nobody can call the roll for others but by deaths that are believed, and a neighbour's doubt is answered at a bounded
// rate.
func TestRollLimits(t *testing.T) {
	l := alone(t, 2)
	me := l.m.said
	said := 0
	for range 200 {
		l.reset()
		l.hear(2, &want{items: []wanted{{keyOf(me.peer), l.m.said.version}}})
		l.advance(10 * time.Millisecond)
		for _, s := range l.sends {
			if m, err := decodeMessage(s.Data, nil); err == nil {
				if r, ok := m.(*records); ok && !r.answer {
					said++
				}
			}
		}
	}
	if most := contradicts.burst + 2; said == 0 || said > most {
		t.Errorf("it said %d times in 2 s that it is there, want some and at most %d", said, most)
	}
}
