package peer_test

import (
	"testing"
	"testing/synctest"
	"time"

	"peerchat/peer"
)

// A link on which nothing is said outlives the loss of many packets, though only one end checks it as long as nothing
// is lost.
func TestIdleLinksOutliveLoss(t *testing.T) {
	const idle = 15 * time.Minute
	for seed := range uint64(10) {
		synctest.Test(t, func(t *testing.T) {
			p := newVPair(t, 20*time.Millisecond, seed)
			p.mustOpen(t, 5*time.Second)
			time.Sleep(2 * time.Second) // virtual: what follows the opening is through
			p.net.SetLoss(0.15)
			began := time.Now()
			over := time.NewTimer(idle)
			defer over.Stop()
			for {
				var ev peer.TransportEvent
				select {
				case ev = <-p.evA:
				case ev = <-p.evB:
				case <-over.C:
					return
				}
				if c, ok := ev.(peer.Closed); ok {
					t.Fatalf("seed %d: with a loss of 15 %% a link ended after %v: %v", seed, time.Since(began), c.Err)
				}
			}
		})
	}
}
