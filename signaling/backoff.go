package signaling

import (
	"math/rand/v2"
	"time"
)

// Backoff says how long to wait before each attempt: nothing before the first, then a uniformly random time below a
// bound that doubles from Min to Max ("full jitter": many clients of one dead tracker do not come back in step). It
// is pure.
type Backoff struct {
	Min, Max time.Duration
	tries    int
}

// Next counts an attempt and returns the wait before it.
func (b *Backoff) Next(rng *rand.Rand) time.Duration {
	b.tries++
	if b.tries == 1 {
		return 0
	}
	bound := b.Min
	for i := 2; i < b.tries && bound < b.Max; i++ {
		bound *= 2
	}
	bound = max(min(bound, b.Max), 1)
	return time.Duration(rng.Int64N(int64(bound)))
}

// Tries is the number of attempts since Reset.
func (b *Backoff) Tries() int { return b.tries }

// Reset makes the next attempt the first one again.
func (b *Backoff) Reset() { b.tries = 0 }
