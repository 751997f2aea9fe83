package presence

import (
	"testing"
	"time"
)

// On a tree that is deeper than any should be, refreshes wait for company at each member, and nobody is asked for by
// name all the same.
func TestRefreshesAreNeverOverdueInTheCalm(t *testing.T) {
	w := newWorld(t, 1)
	crowdOf(w, 40)
	for i := range 39 {
		w.link(w.nodes[i], w.nodes[i+1])
	}
	w.advance(2 * time.Minute)
	oldest, asked := uint32(0), 0
	w.drop = func(from, to *node, data []byte) bool {
		switch m, _ := decodeMessage(data, nil); m := m.(type) {
		case *want:
			asked += len(m.items)
		case *records:
			for _, b := range m.beats {
				oldest = max(oldest, b.age)
			}
		}
		return false
	}
	w.onChange = func(n *node, c Changed) { t.Errorf("%s is told %+v", n.name, c) }
	w.advance(5 * time.Minute)
	if asked > 0 {
		t.Errorf("%d members were asked for by name", asked)
	}
	if most := uint32(300 * (overdue - 8) / 8); oldest >= most || oldest < most/2 {
		t.Errorf("the oldest refresh was %d.%d s on its way along 39 links, want half of %d s to that", oldest/10, oldest%10, most/10)
	}
}

// In a room of 200 in the calm few messages go, with many refreshes each.
func TestRefreshesTravelTogether(t *testing.T) {
	w := settled(t, 200)
	asked := 0
	frames, beats := map[bool]int{}, map[bool]int{} // to those who have many below them, and to the others
	w.drop = func(from, to *node, data []byte) bool {
		down := to.m.parent != nil && to.m.parent.id == from.id
		switch m, _ := decodeMessage(data, nil); m := m.(type) {
		case *want:
			asked += len(m.items)
		case *records:
			frames[down]++
			beats[down] += len(m.beats)
			if len(m.records) > 0 {
				t.Errorf("%s tells %s a whole record in the calm", from.name, to.name)
			}
		}
		return false
	}
	c := w.during(2*time.Minute, func() {})
	if c.messages > 1.5 || c.checks > 0 || beats[true] < 8*frames[true] {
		t.Errorf("a member sends %.2f messages a second and checks %.2f signatures; a message down the tree has %.1f refreshes; want at most 1.5 and 0, and at least 8",
			c.messages, c.checks, float64(beats[true])/float64(frames[true]))
	}
	if said := beats[true]; asked*1000 > said {
		t.Errorf("%d members were asked for by name, with %d refreshes down the tree", asked, said)
	}
}
