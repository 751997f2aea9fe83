package overlay_test

import (
	"testing"
	"time"

	"peerchat/peer/overlay"
	"peerchat/peer/sim"
)

// alreadyKnown is a machine in a room of 1,000, which wants 8 neighbours, that knows peers 100 to 119 and has the first
// n others as neighbours.
func alreadyKnown(t *testing.T, n int, origin string) *alone {
	t.Helper()
	a := newAlone(t, overlay.Config{RoomSize: 1000})
	for i := range n {
		a.step(overlay.LinkUp{Peer: sim.ID(i), Origin: origin})
		a.hear(i, overlay.Neighbor{Nonce: 1})
		if !a.Neighbor(sim.ID(i)) {
			t.Fatalf("peer %d is no neighbour", i)
		}
	}
	for first := 100; first < 120; first += 4 {
		a.hear(0, overlay.ShuffleReply{}) // of nothing that was asked
		a.hear(0, overlay.Shuffle{ID: uint64(first), Origin: sim.ID(first), TTL: 1, Sample: ids(first+1, first+4)})
	}
	return a
}

// walks is how many send a newcomer's name on.
func walks(out overlay.Output) (n int) {
	for _, s := range out.Sends {
		if _, ok := s.Message.(overlay.ForwardJoin); ok {
			n++
		}
	}
	return n
}

// Half of a newcomer's places are left to those who lose one to it. But where many neighbours are at one address, which
// may all be one party that passes nothing on, all are told of it, as in a small room.
func TestWalksForHalfOfThePlaces(t *testing.T) {
	for _, c := range []struct {
		what   string
		room   int
		origin string
		want   int
	}{{"a large room", 1000, "", 4}, {"a house", 1000, "203.0.113.1", 7}, {"a small room, where the newcomer has the place of one of them", 6, "", 6}} {
		a := alreadyKnown(t, 7, c.origin)
		a.step(overlay.RoomSize{N: c.room})
		a.step(overlay.LinkUp{Peer: sim.ID(50)})
		if got := walks(a.hear(50, overlay.Join{Nonce: 1})); got != c.want {
			t.Errorf("%s: a newcomer's name goes on %d walks, want %d", c.what, got, c.want)
		}
	}
}

// Who has come in fills half of its places at once and the others one by one, because there are those who are about to
// ask it.
func TestFillingTakesItsTime(t *testing.T) {
	for have, want := range map[int]int{2: 2, 3: 1, 4: 1, 7: 1, 8: 0} {
		a := alreadyKnown(t, have, "")
		n := 0
		for range 20 { // a link takes longer than that
			a.now = a.now.Add(100 * time.Millisecond)
			n += connects(a.step(overlay.Tick{}))
		}
		if n != want {
			t.Errorf("a peer with %d of 8 neighbours asks %d others for links within two seconds, want %d", have, n, want)
		}
	}
}

// A single neighbour may be dead, and not be seen to be: another is asked that cannot refuse, and at once when the last
// but one goes.
func TestASingleNeighbourIsNotEnough(t *testing.T) {
	a := alreadyKnown(t, 2, "")
	out := a.hear(1, overlay.Disconnect{Instead: sim.ID(100)})
	if len(a.Active()) != 1 || connects(out) < 2 {
		t.Fatalf("a peer with %d neighbours asks %d others for links, want the one that got the place, and more, at once", len(a.Active()), connects(out))
	}
	high := 0
	for _, s := range a.step(overlay.LinkUp{Peer: sim.ID(100)}).Sends {
		if n, ok := s.Message.(overlay.Neighbor); ok && n.High {
			high++
		}
	}
	if high != 1 {
		t.Errorf("it sends %d questions with priority over the first link, want 1", high)
	}
}
