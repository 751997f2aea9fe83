package presence

import (
	"fmt"
	"testing"
	"time"
)

func crowdOf(w *world, n int) {
	for i := range n {
		w.add(fmt.Sprintf("p%d", i)).run()
	}
}

func TestEverybodyGetsToKnowEverybody(t *testing.T) {
	for _, n := range []int{2, 3, 6, 40, 200} {
		w := newWorld(t, uint64(n))
		crowdOf(w, n)
		w.mesh(5, nil)
		w.advance(5 * time.Second)
		if why := w.wrong(); why != "" {
			t.Errorf("%d members, 5 s after they were linked: %s", n, why)
		}
		if len(w.faults) > 0 {
			t.Errorf("%d members: faults were reported: %.10v", n, w.faults)
		}
		w.advance(5 * time.Minute)
		if why := w.wrong(); why != "" {
			t.Errorf("%d members, after 5 quiet minutes: %s", n, why)
		}
	}
}

func TestLeavesAndDeathsAreKnownToAllInTime(t *testing.T) {
	for _, tree := range []bool{true, false} {
		w := newWorld(t, 3)
		if !tree {
		}
		crowdOf(w, 100)
		w.mesh(5, nil)
		w.advance(20 * time.Second)
		if why := w.wrong(); why != "" {
			t.Fatal(why)
		}
		w.quit(w.nodes[7])
		w.advance(1500 * time.Millisecond) // at most 15 hops of 25 ms and a batch each
		if why := w.wrong(); why != "" {
			t.Errorf("1.5 s after a leave (tree: %v): %s", tree, why)
		}
		for i := 10; i < 20; i++ {
			w.kill(w.nodes[i])
			w.advance(10 * time.Second)
			if why := w.wrong(); why != "" {
				t.Errorf("10 s after a death (tree: %v): %s", tree, why)
			}
		}
		if len(w.faults) > 0 {
			t.Errorf("faults were reported: %.10v", w.faults)
		}
	}
}

// Where nobody says anything again for 20 minutes, comparing alone has to mend what was lost.
func TestNeighboursFindWhatIsMissing(t *testing.T) {
	w := newWorld(t, 5)
	w.timing.Refresh = MaxPeriod * time.Second
	crowdOf(w, 60)
	w.mesh(5, nil)
	w.advance(20 * time.Second)
	if why := w.wrong(); why != "" {
		t.Fatal(why)
	}
	side := func(n *node) bool { return n.i%3 == 0 }
	together := func(a, b *node) bool { return side(a) == side(b) }
	for round := range 5 {
		for _, n := range w.nodes {
			for _, l := range n.links {
				if !together(n, l.to) && l.open {
					w.cut(n, l)
				}
			}
		}
		w.advance(7 * time.Second)
		w.mesh(5, together)
		for _, n := range w.nodes[round*10 : round*10+10] {
			n.wish.Name = fmt.Sprintf("%s-%d", n.name, round)
			n.step(n.wish)
		}
		w.quit(w.nodes[round])
		w.advance(10 * time.Second)
		w.mesh(7, nil)
		w.advance(10 * time.Second)
		if why := w.wrong(); why != "" {
			t.Errorf("round %d, 10 s after a partition healed: %s", round, why)
		}
		w.nodes[round].run()
		w.mesh(5, nil)
		w.advance(5 * time.Second)
		if why := w.wrong(); why != "" {
			t.Errorf("round %d, 5 s after a newcomer came: %s", round, why)
		}
	}
	if len(w.faults) > 0 {
		t.Errorf("faults were reported: %.10v", w.faults)
	}
	for _, n := range w.nodes {
		for _, o := range n.m.neighbours {
			if o.serving || o.asking >= 0 {
				t.Errorf("%s and %s are not done comparing: serving %v, asking %d", n.name, w.who(o.id), o.serving, o.asking)
			}
		}
	}
}

func TestAMemberThatIsNoLongerFedStaysOnTheList(t *testing.T) {
	// The ways from p0 to the others lead through p1 and p2, which tell it nothing but what they say themselves.
	w := newWorld(t, 1)
	crowdOf(w, 12)
	for i := 1; i < 12; i++ {
		for j := 1; j < i; j++ {
			w.link(w.nodes[i], w.nodes[j])
		}
	}
	w.link(w.nodes[0], w.nodes[1])
	w.link(w.nodes[0], w.nodes[2])
	w.advance(10 * time.Second)
	w.drop = func(from, to *node, data []byte) bool {
		m, err := decodeMessage(data, nil)
		r, ok := m.(*records)
		return err == nil && to == w.nodes[0] && ok && !r.answer
	}
	gone := 0
	w.onChange = func(n *node, c Changed) {
		if c.What == Left {
			gone++
		}
	}
	w.advance(10 * time.Minute)
	if why := w.wrong(); why != "" {
		t.Error(why)
	}
	if gone > 0 {
		t.Errorf("%d times somebody who is there was shown as gone, because refreshes went round a part of the room", gone)
	}
}

// After most die at once, many have lost all their neighbours with them, so that nobody can report them: these fade.
func TestMostDieAtOnce(t *testing.T) {
	w := newWorld(t, 11)
	crowdOf(w, 200)
	w.mesh(5, nil)
	w.advance(30 * time.Second)
	for i := range 160 {
		w.kill(w.nodes[i])
	}
	for range 40 {
		w.advance(500 * time.Millisecond)
		w.mesh(5, nil)
	}
	for _, n := range w.nodes[160:] {
		if c := n.m.Count(); c > 40+80 { // 0.8^5, a third, of the dead have no living neighbour
			t.Errorf("20 s after 160 of 200 died at once %s shows %d members", n.name, c)
		}
	}
	w.advance(calm)
	if why := w.wrong(); why != "" {
		t.Error(why)
	}
}
