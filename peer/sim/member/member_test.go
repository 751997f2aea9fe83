package member

import (
	"testing"
	"time"

	"peerchat/peer/overlay"
	"peerchat/peer/sim"
	"peerchat/peer/wire"
)

func network() sim.Network {
	return sim.Network{Delay: 5 * time.Millisecond, Spread: 40 * time.Millisecond, Jitter: 5 * time.Millisecond, RoundTrips: 2, Detect: time.Second}
}

// Rooms of all sizes become one graph, of mutual views that are nearly full, with short paths.
func TestRooms(t *testing.T) {
	for n, longest := range map[int]int{2: 1, 3: 1, 6: 1, 7: 2, 10: 3, 50: 5, 300: 6} {
		r := NewRoom(RoomConfig{Sim: sim.Config{Seed: 1, Network: network()}, Sized: true, Contacts: 1, Alone: true})
		r.Build(n, 200*time.Millisecond)
		r.Resize()
		r.Run(20 * time.Second)
		g := r.Graph()
		if g.Largest() != 1 || g.Symmetric() != 1 {
			t.Errorf("a room of %d: %.3f of it is connected, %.3f of the views are mutual", n, g.Largest(), g.Symmetric())
		}
		if _, most, _ := g.Paths(r.Rand(), n); most > longest {
			t.Errorf("a room of %d: %d hops from end to end", n, most)
		}
		want, _ := overlay.Sizes(n)
		full := 0
		for _, out := range g.Out {
			if len(out) == min(want, n-1) {
				full++
			}
		}
		if full < n*8/10 {
			t.Errorf("a room of %d: only %d have all neighbours", n, full)
		}
	}
}

// Many that come within a second, each knowing one other that may be no further than itself, become one room with
// nobody to help them.
func TestCrowd(t *testing.T) {
	for _, c := range []struct {
		peers int
		gap   time.Duration
		slack int
		rooms uint64
	}{{300, 3 * time.Millisecond, 0, 100}, {300, 100 * time.Microsecond, 0, 20}, {100, time.Millisecond, 0, 50}, {100, time.Millisecond, 1, 50}, {1000, time.Millisecond, 0, 5}} {
		for seed := range c.rooms {
			r := NewRoom(RoomConfig{Sim: sim.Config{Seed: seed, Network: network()}, Contacts: 1, Alone: true,
				Overlay: overlay.Config{Active: 5, Passive: 30, Slack: c.slack}})
			r.Build(c.peers, c.gap)
			r.Run(20 * time.Second)
			if parts := r.Graph().Components(); len(parts) != 1 {
				t.Errorf("%d peers, one each %v, seed %d: the room is in %d parts, of %d and so on", c.peers, c.gap, seed, len(parts), len(parts[0]))
			}
		}
	}
}

// A flood reaches everybody, and the same seed gives the same hash.
func TestFlood(t *testing.T) {
	one := func(seed uint64) *Room {
		r := NewRoom(RoomConfig{Sim: sim.Config{Seed: seed, Network: network()}, Sized: true, Contacts: 3,
			Rider: func(int, wire.PeerID, uint64) Rider { return NewFlood() }})
		r.Build(100, 20*time.Millisecond)
		r.Run(10 * time.Second)
		r.Do(7, func(p sim.Participant, _ time.Time, out *sim.Output) {
			m := p.(*Member)
			m.Rider().(*Flood).Say(Line{ID: 1, Bytes: 100}, out)
			m.SetWake(out)
		})
		r.Run(time.Second)
		return r
	}
	r := one(1)
	for i := range r.Len() {
		if hops, ok := r.Member(i).Rider().(*Flood).Seen[1]; !ok || hops > 8 {
			t.Errorf("the line reached peer %d: %v, after %d hops", i, ok, hops)
		}
	}
	again, other := one(1), one(2)
	for _, x := range []*Room{r, again, other} {
		x.Churn(0.02, 20*time.Second, x.Born)
		x.Run(30 * time.Second)
	}
	if r.Hash() != again.Hash() || r.Hash() == other.Hash() {
		t.Errorf("the hashes are %x, %x for the same seed, and %x for another", r.Hash(), again.Hash(), other.Hash())
	}
}

func TestGraph(t *testing.T) {
	// 0, 1 and 2 are a triangle, 3 hangs on 2, 4 takes 3 for a neighbour but not the other way round, 5 is dead.
	g := &Graph{Out: [][]int{{1, 2}, {0, 2}, {0, 1, 3}, {2}, {3, 5}, nil}, Node: []bool{true, true, true, true, true, false}}
	if s := g.Symmetric(); s != 0.8 {
		t.Errorf("8 of 10 views are mutual, not %v", s)
	}
	if c := g.Components(); len(c) != 2 || len(c[0]) != 4 || g.Largest() != 0.8 {
		t.Errorf("the parts are %v", c)
	}
	if c, want := g.Clustering(), (1+1+1.0/3)/5; c < want-1e-9 || c > want+1e-9 {
		t.Errorf("the clustering coefficient is %v, want %v", c, want)
	}
	if in := g.InDegrees(); len(in) != 4 || in[0] != 1 || in[2] != 3 || in[3] != 1 {
		t.Errorf("the in-degrees are %v", in)
	}
	if mean, longest, last := g.Paths(sim.New(sim.Config{}).Rand(), 5); longest != 3 || mean != 25.0/16 || last < 2-1e-9 || last > 2+1e-9 {
		t.Errorf("the paths are %v on the average and %v at most, the longest %v on the average", mean, longest, last)
	}
}
