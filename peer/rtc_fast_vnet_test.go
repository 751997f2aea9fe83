package peer_test

import (
	"testing"
	"testing/synctest"
	"time"

	"peerchat/peer"
)

// While SCTP waits to send again what was lost, a fast frame takes no longer than the way.
func TestRTCFastFramesDoNotWaitForRepairs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const way = 5 * time.Millisecond
		p := newVPair(t, way, 1)
		p.mustOpen(t, 5*time.Second)
		const lost = 64 << 10 // more than SCTP's window
		for round := range 10 {
			start := time.Now()
			p.net.SetLoss(1)
			p.a.Send(p.session, make([]byte, lost), false)
			time.Sleep(20 * time.Millisecond)
			p.net.SetLoss(0)
			said := time.Now()
			for i := range byte(10) {
				p.a.Send(p.session, []byte{i}, true)
			}
			for i := range byte(10) {
				got, ok := next[peer.Received](p.evB, 5*time.Second)
				if !ok || len(got.Data) != 1 || got.Data[0] != i {
					t.Fatalf("round %d: in place of the fast frame %d came %d bytes", round, i, len(got.Data))
				}
			}
			if took := time.Since(said); took > way+time.Millisecond {
				t.Errorf("round %d: fast frames took %v over a way of %v", round, took, way)
			}
			if got, ok := next[peer.Received](p.evB, 5*time.Second); !ok || len(got.Data) != lost {
				t.Fatalf("round %d: what was lost does not come again, but %d bytes", round, len(got.Data))
			}
			if took := time.Since(start); took < 50*time.Millisecond {
				t.Errorf("round %d: what was lost came after %v: there was nothing to wait for", round, took)
			}
			time.Sleep(time.Second)
		}
	})
}

// Nothing on the fast path comes twice, or is sent again.
func TestRTCFastFramesAreLostOrCome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newVPair(t, 5*time.Millisecond, 3)
		p.mustOpen(t, 5*time.Second)
		p.net.SetLoss(0.2)
		const frames = 1000
		seen := 0
		for i := range frames {
			p.a.Send(p.session, []byte{byte(i >> 8), byte(i)}, true)
			time.Sleep(10 * time.Millisecond)
			for len(p.evB) > 0 {
				ev := <-p.evB
				got, ok := ev.(peer.Received)
				if !ok {
					continue
				}
				if n := int(got.Data[0])<<8 | int(got.Data[1]); n != i {
					t.Fatalf("after the frame %d was said, %d came", i, n)
				}
				seen++
			}
		}
		if seen < frames*75/100 || seen > frames*85/100 {
			t.Errorf("%d of %d fast frames came over a way that loses a fifth", seen, frames)
		}
	})
}
