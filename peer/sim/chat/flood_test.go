package chat

import (
	"fmt"
	"testing"
	"time"

	"peerchat/peer/gossip"
)

// Many say as much as they can at once, mostly as the first words of the room: far more than a newcomer would be given,
// on links that carry little or lose packets, and with peers that seldom get to do anything. Whoever knows of an event
// that is not there says so at every moment (see gossip.Machine.Check), and soon after the flood everybody has
// everything.
func TestFlood(t *testing.T) {
	slow, lossy, both := home(), home(), home()
	slow.Rate, slow.Buffer = 50_000, 20_000
	lossy.Loss, lossy.Buffer = 0.03, 20_000
	both.Rate, both.Buffer, both.Loss = 100_000, 20_000, 0.02
	kinds := []struct {
		name   string
		change func(r *Room)
		starve bool
		within time.Duration
	}{
		{"all is well", func(*Room) {}, false, 10 * time.Second},
		{"slow links", func(r *Room) { r.SetNetwork(slow) }, false, 20 * time.Second},
		{"lost packets and late peers", func(r *Room) { r.SetNetwork(lossy) }, true, 40 * time.Second},
		{"all of that", func(r *Room) { r.SetNetwork(both) }, true, 40 * time.Second},
		{"a peer with a thin line", func(r *Room) { r.SetNetwork(lossy); r.Slow(5, 6_000) }, false, 3 * time.Minute},
	}
	seeds := uint64(6)
	if testing.Short() || raceEnabled {
		seeds = 2
	}
	for _, kind := range kinds {
		for seed := range seeds {
			for _, authors := range []int{3, 6, 12} {
				r := New(Config{Seed: seed, Network: home(), Window: gossip.Window{Events: 100}})
				r.Fill(12, 20*time.Millisecond)
				kind.change(r)
				if kind.starve {
					for i := range 4 {
						r.Starve(3*i, 500*time.Millisecond)
					}
				}
				r.Run(5 * time.Second)
				if seed%3 == 2 {
					r.Say(0)
					r.Run(5 * time.Second)
				}
				for range 8 {
					for i := range authors {
						r.Talk(i, 25)
					}
					r.Run(time.Duration(5+10*seed) * time.Millisecond)
					r.CheckBounds()
				}
				start := r.Elapsed()
				for r.lacking() != "" && r.Elapsed()-start < kind.within {
					r.Run(50 * time.Millisecond)
					r.CheckBounds()
				}
				what := fmt.Sprintf("%s, seed %d, %d authors", kind.name, seed, authors)
				if why := r.lacking(); why != "" {
					t.Errorf("%s: %v after the flood %s", what, kind.within, why)
				}
				t.Logf("%s: all had all after %v", what, r.Elapsed()-start)
				for _, b := range r.Breaches() {
					t.Errorf("%s: %v", what, b)
				}
			}
		}
	}
}
