package overlay_test

import (
	"testing"
	"time"

	"peerchat/peer/overlay"
	"peerchat/peer/sim"
)

// asks lists who is asked to be a neighbour, with the nonces, with priority or without.
func asks(out overlay.Output, high bool) map[int]uint32 {
	list := map[int]uint32{}
	for _, s := range out.Sends {
		if n, ok := s.Message.(overlay.Neighbor); ok && n.High == high {
			for i := range 10 {
				if s.To == sim.ID(i) {
					list[i] = n.Nonce
				}
			}
		}
	}
	return list
}

// child is a machine that peer 0 has let in, and whose other places peers 1 to 4 have.
func child(t *testing.T) *alone {
	t.Helper()
	a := newAlone(t, overlay.Config{})
	a.step(overlay.Contacts{Peers: []overlay.Contact{{Peer: sim.ID(0)}}})
	a.step(overlay.LinkUp{Peer: sim.ID(0)})
	a.hear(0, overlay.NeighborAnswer{Nonce: 1, Accepted: true})
	for i := 1; i < 5; i++ {
		a.neighbour(i)
	}
	if !a.Neighbor(sim.ID(0)) {
		t.Fatal("peer 0 has not let it in")
	}
	return a
}

// Whoever pushes itself in takes the place of anybody but the peer that let this one in, and of those that came in by
// this one only if there is nobody else.
func TestTheTreeIsSpared(t *testing.T) {
	a := child(t)
	for i := 5; i < 30; i++ {
		a.now = a.now.Add(time.Second)
		before := a.Active()
		a.step(overlay.LinkUp{Peer: sim.ID(i)})
		a.hear(i, overlay.Join{Nonce: 1})
		if !a.Neighbor(sim.ID(0)) {
			t.Fatalf("newcomer %d has the place of who let this peer in", i)
		}
		for k := 5; k < min(i, 9); k++ {
			if !a.Neighbor(sim.ID(k)) && i < 9 {
				t.Fatalf("newcomer %d has the place of newcomer %d, though others are there: %v", i, k, before)
			}
		}
	}
}

// The place of a child with its parent goes to another: it asks that one with priority, though a place was taken
// meanwhile.
func TestAChildFollowsTheHeir(t *testing.T) {
	a := child(t)
	a.hear(0, overlay.Disconnect{Instead: sim.ID(6)})
	a.neighbour(5) // all places are taken
	asked := asks(a.step(overlay.LinkUp{Peer: sim.ID(6)}), true)
	if len(asked) != 1 || asked[6] == 0 {
		t.Fatalf("%v are asked with priority, want the heir", asked)
	}
	a.hear(6, overlay.NeighborAnswer{Nonce: asked[6], Accepted: true})
	if !a.Neighbor(sim.ID(6)) || len(a.Active()) != 5 {
		t.Fatalf("the heir is no neighbour, of %d", len(a.Active()))
	}
	// It is the parent now, and who was one is looked for no more.
	for range 60 {
		a.now = a.now.Add(time.Second)
		if got := asks(a.step(overlay.Tick{}), true); len(got) > 0 {
			t.Fatalf("%v are asked with priority", got)
		}
	}
}

// The heir cannot be reached, or never was: the parent is asked again with priority, after some seconds.
func TestAnHeirThatIsNone(t *testing.T) {
	a := child(t)
	a.hear(0, overlay.Disconnect{Instead: sim.ID(6)})
	a.step(overlay.LinkFailed{Peer: sim.ID(6)})
	for range 70 {
		a.now = a.now.Add(100 * time.Millisecond)
		out := a.step(overlay.Tick{})
		if asks(out, true)[0] != 0 {
			return
		}
		for i, nonce := range asks(out, false) { // for the free place
			a.hear(i, overlay.NeighborAnswer{Nonce: nonce})
		}
	}
	t.Error("who has lost its way into the room does not ask for it again within 7 s")
}
