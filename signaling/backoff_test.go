package signaling

import (
	"math/rand/v2"
	"testing"
	"time"
)

func TestBackoff(t *testing.T) {
	b := Backoff{Min: 100 * time.Millisecond, Max: 10 * time.Second}
	rng := rand.New(rand.NewPCG(1, 2))
	bound := []time.Duration{0, 100, 200, 400, 800, 1600, 3200, 6400, 10000, 10000, 10000}
	sum := make([]time.Duration, len(bound))
	for range 1000 {
		b.Reset()
		for i := range bound {
			d := b.Next(rng)
			if d < 0 || d > bound[i]*time.Millisecond {
				t.Fatalf("try %d waits at most %d ms, got %v", i+1, bound[i], d)
			}
			sum[i] += d
		}
	}
	for i, s := range sum {
		if mean := s / 1000; mean < bound[i]*time.Millisecond*45/100 || mean > bound[i]*time.Millisecond*55/100 {
			t.Errorf("try %d waits half of %d ms on average (full jitter), got %v", i+1, bound[i], mean)
		}
	}
	huge := Backoff{Min: time.Second, Max: 1 << 62, tries: 1000}
	if d := huge.Next(rng); d < 0 {
		t.Errorf("no overflow after many tries, got %v", d)
	}
}
