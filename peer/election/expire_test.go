package election

import (
	"testing"
	"time"
)

// A candidate that is gone is forgotten by all, for good: its record must not live on by going from one who keeps it a
// little longer to one who has just forgotten it.
func TestTheDeadAreForgotten(t *testing.T) {
	w := newWorld(t, 7)
	for _, name := range []string{"a", "b", "c", "d", "e", "f"} {
		w.add(name, Offer{Candidate: true, Dialable: true, Port: 5000}).run()
	}
	w.mesh()
	w.run(5 * time.Second)
	dead := w.nodes[5]
	dead.alive = false
	for _, n := range w.nodes[:5] {
		if n.m.known(dead.id) == nil {
			t.Fatalf("%s does not know f, so this tests nothing", n.name)
		}
		w.unlink(n, dead)
	}
	w.run(4 * time.Minute)
	for _, n := range w.nodes[:5] {
		if n.m.known(dead.id) != nil {
			t.Errorf("%s still takes f for a candidate, 4 min after its last word", n.name)
		}
	}
	late := w.add("late", Offer{Candidate: true, Port: 5000})
	late.run()
	w.mesh()
	w.run(time.Minute)
	if late.m.known(dead.id) != nil {
		t.Error("a newcomer was told of f")
	}
}

// Several leave one after the other: a leader hands over to one who is there, without waiting for those who left just
// before.
func TestAnHeirIsOneWhoIsThere(t *testing.T) {
	w := newWorld(t, 8)
	p := people(w, "ann bob cyd dan")
	hosted(w, p[0])
	for _, gone := range p[1:3] {
		gone.alive = false
		for _, n := range w.nodes {
			w.unlink(gone, n)
		}
	}
	p[0].step(Resign{})
	w.run(100 * time.Millisecond)
	if !p[3].m.leading {
		t.Error("dan does not lead 100 ms after ann resigned")
	}
}
