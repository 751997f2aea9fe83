package member

import (
	"testing"
	"time"

	"peerchat/peer/sim"
)

func network() sim.Network {
	return sim.Network{Delay: 5 * time.Millisecond, Spread: 40 * time.Millisecond, Jitter: 5 * time.Millisecond}
}

func TestRooms(t *testing.T) {
	for _, n := range []int{2, 3, 6, 7, 10, 50, 300} {
		r := NewRoom(RoomConfig{Sim: sim.Config{Seed: 1, Network: network()}, Sized: true, Contacts: 1})
		r.Build(n, 200*time.Millisecond)
		r.Resize()
		r.Run(20 * time.Second)
		g := r.Graph()
		mean, longest := g.Paths(r.Rand(), 100)
		t.Log(n, "largest", g.Largest(), "symmetric", g.Symmetric(), "degrees", g.InDegrees(), "clustering", g.Clustering(), "path", mean, longest, "steps", r.Steps())
	}
}
