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

// A newcomer that was told of the dead by those who did not know better yet learns it from those who called the roll.
func TestNewcomersWereNotThereWhenTheRollWasCalled(t *testing.T) {
	w := newWorld(t, 12)
	w.timing.Refresh = 5 * time.Minute // nobody expires
	crowdOf(w, 200)
	w.mesh(5, nil)
	w.advance(30 * time.Second)
	massacre(w, 160)
	w.advance(5 * time.Second)
	for range 5 {
		w.add("new").run()
	}
	w.mesh(5, nil)
	w.advance(time.Minute)
	if why := w.wrong(); why != "" {
		t.Error(why)
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

// Nobody can call the roll for others but by deaths that are believed, and a neighbour's doubt is answered at a bounded rate.
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
	if most := int(contradicts.burst) + 2; said == 0 || said > most {
		t.Errorf("it said %d times in 2 s that it is there, want some and at most %d", said, most)
	}
}
