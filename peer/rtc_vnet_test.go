package peer_test

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"peerchat/peer"
	"peerchat/peer/peertest"
	"peerchat/peer/wire"
)

// vpair is two WebRTC transports on two hosts of a virtual network.
type vpair struct {
	t       *testing.T
	net     *peertest.VNet
	a, b    *peer.RTC
	evA     chan peer.TransportEvent
	evB     chan peer.TransportEvent
	session uuid.UUID
}

func newVPair(t *testing.T, delay time.Duration, seed uint64) *vpair {
	return newVPairOf(t, delay, seed, peer.RTCConfig{})
}

// newVPairOf is newVPair with settings that both have.
func newVPairOf(t *testing.T, delay time.Duration, seed uint64, cfg peer.RTCConfig) *vpair {
	p := &vpair{
		t: t, net: peertest.NewVNet(t, 2, delay, seed), session: uuid.Must(uuid.NewV7()),
		evA: make(chan peer.TransportEvent, 1<<14), evB: make(chan peer.TransportEvent, 1<<14),
	}
	on := func(host int) peer.RTCConfig {
		cfg := cfg
		cfg.Net, cfg.NoLoopback = p.net.Nets[host], true
		return cfg
	}
	var err error
	if p.a, err = peer.NewRTC(on(0), func(ev peer.TransportEvent) {
		switch ev := ev.(type) {
		case peer.Described:
			p.b.Accept(ev.Session, wire.PeerID{1}, ev.Description)
		case peer.Gathered:
			p.b.Candidate(ev.Session, ev.Candidate)
		}
		p.evA <- ev
	}); err != nil {
		t.Fatal(err)
	}
	if p.b, err = peer.NewRTC(on(1), func(ev peer.TransportEvent) {
		switch ev := ev.(type) {
		case peer.Described:
			p.a.Answer(ev.Session, ev.Description)
		case peer.Gathered:
			p.a.Candidate(ev.Session, ev.Candidate)
		}
		p.evB <- ev
	}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.a.Stop(); p.b.Stop() })
	return p
}

// next returns the next event of type E; ok is false if the session was closed first or time ran out.
func next[E peer.TransportEvent](from chan peer.TransportEvent, within time.Duration) (e E, ok bool) {
	timer := time.NewTimer(within)
	defer timer.Stop()
	for {
		select {
		case ev := <-from:
			if e, ok := ev.(E); ok {
				return e, true
			}
			if _, closed := ev.(peer.Closed); closed {
				return e, false
			}
		case <-timer.C:
			return e, false
		}
	}
}

// closed waits for a session's end.
func closed(from chan peer.TransportEvent) peer.Closed {
	for {
		if c, ok := (<-from).(peer.Closed); ok {
			return c
		}
	}
}

func (p *vpair) open(within time.Duration) bool {
	p.a.Offer(p.session, wire.PeerID{2})
	if _, ok := next[peer.Opened](p.evA, within); !ok {
		return false
	}
	_, ok := next[peer.Opened](p.evB, within)
	return ok
}

// mustOpen is open in a test of something else.
func (p *vpair) mustOpen(t *testing.T, within time.Duration) {
	t.Helper()
	if !p.open(within) {
		t.Fatalf("the session did not open within %v", within)
	}
}

func TestRTCOpensUnderLoss(t *testing.T) {
	for _, c := range []struct {
		loss            float64
		median, longest time.Duration
	}{
		{0, 150 * time.Millisecond, 200 * time.Millisecond},
		{0.05, 200 * time.Millisecond, 1500 * time.Millisecond},
		{0.20, 700 * time.Millisecond, 6 * time.Second},
	} {
		t.Run(fmt.Sprintf("%v", c.loss), func(t *testing.T) {
			var took []time.Duration
			for seed := range uint64(20) {
				synctest.Test(t, func(t *testing.T) {
					p := newVPair(t, 10*time.Millisecond, seed)
					p.net.SetLoss(c.loss)
					start := time.Now()
					if !p.open(peer.RTCConfig{}.OpenTimeout + 15*time.Second) {
						t.Logf("seed %d: a session did not open at %v loss", seed, c.loss)
						took = append(took, 15*time.Second)
						return
					}
					took = append(took, time.Since(start))
				})
			}
			slices.Sort(took)
			t.Logf("median %v, longest %v", took[len(took)/2], took[len(took)-1])
			if took[len(took)/2] > c.median {
				t.Errorf("the median session opened after %v at %v loss and 20 ms of round trip, want %v", took[len(took)/2], c.loss, c.median)
			}
			if took[len(took)-1] > c.longest {
				t.Errorf("the slowest session opened after %v at %v loss and 20 ms of round trip, want %v", took[len(took)-1], c.loss, c.longest)
			}
		})
	}
}

func TestRTCCloseIsNoticedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newVPair(t, 10*time.Millisecond, 1)
		p.mustOpen(t, 5*time.Second)
		p.a.Send(p.session, []byte("the last words"), false)
		p.a.Close(p.session)
		start := time.Now()
		if got, ok := next[peer.Received](p.evB, time.Second); !ok || string(got.Data) != "the last words" {
			t.Errorf("what was sent before Close arrived as %q", got.Data)
		}
		if c := closed(p.evB); c.Err == nil {
			t.Error("the other side's Closed says that it closed the session itself")
		}
		if d := time.Since(start); d > 500*time.Millisecond {
			t.Errorf("the other side noticed Close after %v", d)
		}
		if c := closed(p.evA); c.Err != nil {
			t.Errorf("the closing side's Closed has an error: %v", c.Err)
		}
		p.a.Send(p.session, []byte("too late"), false)
		p.a.Stop() // until the session is gone it takes frames, and drops them when it comes to them
		if d, _ := p.a.Dropped(); d != 1 {
			t.Errorf("%d frames were counted as dropped after one was sent on a closed session", d)
		}
	})
}

func TestRTCStopIsQuick(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newVPair(t, 10*time.Millisecond, 1)
		p.mustOpen(t, 5*time.Second)
		start := time.Now()
		p.a.Stop()
		if d := time.Since(start); d > time.Second {
			t.Errorf("Stop took %v", d)
		}
		closed(p.evB)
		if d := time.Since(start); d > time.Second {
			t.Errorf("the other side noticed Stop after %v", d)
		}
	})
}

func TestRTCNoticesAPeerThatVanished(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newVPair(t, 10*time.Millisecond, 1)
		p.mustOpen(t, 5*time.Second)
		time.Sleep(10 * time.Second)
		p.net.SetCut(1, true)
		start := time.Now()
		if c := closed(p.evA); c.Err == nil {
			t.Error("the session ended without an error")
		}
		if d := time.Since(start); d < 3*time.Second || d > 5500*time.Millisecond {
			t.Errorf("a peer that vanished was noticed after %v, want 3 to 5.5 s", d)
		}
	})
}

// A path of 300 ms there and back must carry data at its window's pace: if SCTP took each delay for a loss, its window
// would be one packet.
func TestRTCLongPathDoesNotCollapse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newVPair(t, 150*time.Millisecond, 1)
		p.mustOpen(t, 10*time.Second)
		start := time.Now()
		const frames = 32
		for range frames {
			p.a.Send(p.session, make([]byte, 32<<10), false)
		}
		for i := range frames {
			if _, ok := next[peer.Received](p.evB, 30*time.Second); !ok {
				t.Fatalf("frame %d of %d did not arrive", i, frames)
			}
		}
		t.Logf("1 MiB over a 300 ms path took %v", time.Since(start))
		if d := time.Since(start); d > 6*time.Second {
			t.Errorf("1 MiB over a 300 ms path took %v, want 6 s", d)
		}
	})
}

// One lost packet must not cost a second.
func TestRTCRepairsLossQuickly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newVPair(t, 5*time.Millisecond, 7)
		p.mustOpen(t, 5*time.Second)
		p.net.SetLoss(0.05)
		var took []time.Duration
		for range 300 {
			start := time.Now()
			p.a.Send(p.session, make([]byte, 200), false)
			if _, ok := next[peer.Received](p.evB, 10*time.Second); !ok {
				t.Fatal("a frame did not arrive")
			}
			took = append(took, time.Since(start))
			time.Sleep(50 * time.Millisecond)
		}
		slices.Sort(took)
		t.Logf("at 5 %% loss: median %v, p99 %v, longest %v", took[150], took[297], took[299])
		if took[297] > 800*time.Millisecond {
			t.Errorf("at 5 %% loss, the 99th of 100 frames took %v, want 800 ms", took[297])
		}
	})
}
