package peer_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"peerchat/peer"
	"peerchat/peer/peertest"
)

// rtcWaits is how long SCTP waits for an acknowledgement unless RTOMax says otherwise.
const rtcWaits = 600 * time.Millisecond

// sctpSent counts what a host sends of SCTP, each of which is one record of DTLS with application data (RFC 6347,
// section 4.1).
type sctpSent struct{ packets, lost atomic.Int64 }

// watchSCTP counts, from now on, what both hosts of a pair send.
func (p *vpair) watchSCTP() (a, b *sctpSent) {
	a, b = &sctpSent{}, &sctpSent{}
	p.net.Watch(func(from string, packet []byte, lost bool) {
		if len(packet) == 0 || packet[0] != 23 {
			return
		}
		to := a
		if from != peertest.HostAddress(0) {
			to = b
		}
		to.packets.Add(1)
		if lost {
			to.lost.Add(1)
		}
	})
	return a, b
}

// SCTP acknowledges a packet that comes alone after 200 ms. Who waits less than that and the round trip sends each
// twice, and takes the link for congested each time, so that what is large crawls afterwards.
func TestRTCSendsLoneFramesOnce(t *testing.T) {
	for _, way := range []time.Duration{5, 100, 150} {
		way *= time.Millisecond
		t.Run(fmt.Sprint(2*way), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newVPair(t, way, 1)
				p.mustOpen(t, 10*time.Second)
				time.Sleep(5 * time.Second)
				a, b := p.watchSCTP()
				const frames = 20
				for i := range frames {
					p.a.Send(p.session, make([]byte, 200), false)
					if _, ok := next[peer.Received](p.evB, 10*time.Second); !ok {
						t.Fatalf("frame %d did not arrive", i)
					}
					time.Sleep(3 * time.Second)
				}
				if sent, acks := a.packets.Load(), b.packets.Load(); sent != frames || acks != frames {
					t.Errorf("%d lone frames took %d packets, and %d to acknowledge them", frames, sent, acks)
				}
				start := time.Now()
				const large = 32
				for range large {
					p.a.Send(p.session, make([]byte, 32<<10), false)
				}
				for i := range large {
					if _, ok := next[peer.Received](p.evB, 30*time.Second); !ok {
						t.Fatalf("frame %d of %d did not arrive", i, large)
					}
				}
				// The window begins with rtcMinWindow and doubles with each round trip: 32 KiB and 64, 128, 256, 512
				// are nearly all of it.
				if took := time.Since(start); took > 12*way {
					t.Errorf("1 MiB after lone frames took %v over a round trip of %v", took, 2*way)
				}
			})
		})
	}
}

// A lone frame that is lost is sent again after a fixed time, for as often as it is lost: the wait does not double,
// because its ceiling is its value.
func TestRTCBoundsTheWaitAfterALoss(t *testing.T) {
	for _, way := range []time.Duration{10, 100} {
		way *= time.Millisecond
		t.Run(fmt.Sprint(2*way), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				// ICE, too, loses what it sends.
				p := newVPairOf(t, way, 1, peer.RTCConfig{ICE: peer.ICETimes{Disconnected: time.Minute, Failed: time.Minute}})
				p.mustOpen(t, 10*time.Second)
				time.Sleep(5 * time.Second)
				p.net.SetLoss(0.2)
				sent, acked := p.watchSCTP()
				again := int64(0)
				for i := range 300 {
					before, start := sent.lost.Load(), time.Now()
					p.a.Send(p.session, make([]byte, 200), false)
					if _, ok := next[peer.Received](p.evB, time.Minute); !ok {
						t.Fatalf("frame %d did not arrive", i)
					}
					took := time.Since(start)
					lost := sent.lost.Load() - before
					if bound := way + time.Duration(lost)*rtcWaits + time.Millisecond; took > bound {
						t.Errorf("frame %d was lost %d times and took %v, more than %v", i, lost, took, bound)
					}
					again += lost
					// Only when nothing has been sent again for longer than SCTP waits is all acknowledged, and the
					// next frame alone.
					for packets := int64(-1); packets != sent.packets.Load()+acked.packets.Load(); {
						packets = sent.packets.Load() + acked.packets.Load()
						time.Sleep(rtcWaits + 2*way + 500*time.Millisecond)
					}
				}
				if again < 30 {
					t.Errorf("of 300 frames only %d were lost on a way that loses a fifth", again)
				}
			})
		})
	}
}

// RTOMax is how long SCTP waits, all the time.
func TestRTCWaitsAsLongAsItIsTold(t *testing.T) {
	for _, c := range []struct{ max, want time.Duration }{{0, rtcWaits}, {250 * time.Millisecond, 250 * time.Millisecond}, {900 * time.Millisecond, 900 * time.Millisecond}} {
		t.Run(fmt.Sprint(c.max), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newVPairOf(t, 5*time.Millisecond, 1, peer.RTCConfig{RTOMax: c.max})
				p.mustOpen(t, 5*time.Second)
				time.Sleep(time.Second)
				var sent []time.Time
				p.net.Watch(func(from string, packet []byte, _ bool) {
					if from == peertest.HostAddress(0) && len(packet) > 200 && packet[0] == 23 {
						sent = append(sent, time.Now())
					}
				})
				p.net.SetLoss(1)
				p.a.Send(p.session, make([]byte, 200), false)
				time.Sleep(3 * time.Second)
				p.net.Watch(nil)
				p.net.SetLoss(0)
				if len(sent) < 3 {
					t.Fatalf("a frame that is lost was sent %d times within 3 s", len(sent))
				}
				if got := sent[1].Sub(sent[0]); got != c.want {
					t.Errorf("a frame that is lost was sent again after %v, not %v", got, c.want)
				}
				for i := range sent[1:] {
					if got := sent[i+1].Sub(sent[i]); got > c.want {
						t.Errorf("a frame that was lost %d times was sent again after %v, not %v at most", i+1, got, c.want)
					}
				}
			})
		})
	}
}

// ICETimes say when a peer is given up, and how often it is looked for; what is left out has its default.
func TestRTCKeepsICETimes(t *testing.T) {
	for _, c := range []struct {
		times       peer.ICETimes
		every, gone time.Duration
	}{
		{peer.ICETimes{}, time.Second, 4 * time.Second},
		{peer.ICETimes{KeepAlive: 250 * time.Millisecond}, 250 * time.Millisecond, 4 * time.Second},
		{peer.ICETimes{Disconnected: 3 * time.Second}, time.Second, 5 * time.Second},
		{peer.ICETimes{Failed: 8 * time.Second}, time.Second, 10 * time.Second},
		{peer.ICETimes{Disconnected: 6 * time.Second, Failed: 6 * time.Second, KeepAlive: 5 * time.Second}, 2 * time.Second, 12 * time.Second},
		{peer.ICETimes{Disconnected: 5 * time.Second, Failed: 6 * time.Second, KeepAlive: 2 * time.Second}, 2 * time.Second, 11 * time.Second},
	} {
		t.Run(fmt.Sprint(c.times), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newVPairOf(t, 5*time.Millisecond, 1, peer.RTCConfig{ICE: c.times})
				p.mustOpen(t, 5*time.Second)
				time.Sleep(5 * time.Second)
				checks := map[string]int{}
				p.net.Watch(func(from string, packet []byte, _ bool) {
					if len(packet) > 1 && packet[0] == 0 && packet[1] == 1 { // a Binding request (RFC 8489, section 5)
						checks[from]++
					}
				})
				const watched = 20 * time.Second
				time.Sleep(watched)
				p.net.Watch(nil)
				// One end's are enough for both, but each has to send one now and then: as often as it looks, at least
				// every 3 s.
				few, one := int(watched/(3*time.Second+c.every)), int(watched/c.every)
				both := 0
				for i := range 2 {
					got := checks[peertest.HostAddress(i)]
					if both += got; got < few {
						t.Errorf("host %d sent %d checks in %v, not %d or more", i, got, watched, few)
					}
				}
				if most := one + one/3 + 8; both < one-1 || both > most {
					t.Errorf("both hosts sent %d checks in %v, not %d to %d", both, watched, one-1, most)
				}
				p.net.SetCut(1, true)
				start := time.Now()
				for {
					ev := <-p.evA
					if _, ok := ev.(peer.Closed); ok {
						break
					}
				}
				// The last that was heard is up to a check old when the peer vanishes, and pion looks as often as it
				// checks.
				if took := time.Since(start); took < c.gone-c.every || took > c.gone+2*c.every {
					t.Errorf("a peer that vanished was given up after %v, not %v", took, c.gone)
				}
			})
		})
	}
}
