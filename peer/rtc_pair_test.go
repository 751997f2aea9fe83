package peer

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"

	"peerchat/peer/wire"
)

// rtcPair is two RTCs and one session between them; what either reports goes to the other, as through a tracker.
type rtcPair struct {
	t       testing.TB
	a, b    *RTC
	session uuid.UUID
	evA     chan TransportEvent
	evB     chan TransportEvent
	mangle  func(Description) Description // what happens to descriptions on the way
	last    []byte                        // what deliver delivered
}

// patience is how long a test awaits what should come at once: a machine may be slow.
const patience = 30 * time.Second

// rtcTestConfig keeps tests on the loopback interface. A machine that stands still for some seconds ends no session.
func rtcTestConfig() RTCConfig {
	return RTCConfig{Interfaces: []string{"lo"}, ICE: ICETimes{Disconnected: patience, Failed: patience}}
}

func newRTCPair(t testing.TB, ca, cb RTCConfig) *rtcPair {
	p := &rtcPair{
		t: t, session: uuid.Must(uuid.NewV7()),
		evA: make(chan TransportEvent, 1<<16), evB: make(chan TransportEvent, 1<<16),
	}
	var err error
	if p.a, err = NewRTC(ca, p.route(p.evA, func() *RTC { return p.b })); err != nil {
		t.Fatal(err)
	}
	if p.b, err = NewRTC(cb, p.route(p.evB, func() *RTC { return p.a })); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.a.Stop(); p.b.Stop() })
	return p
}

// route gives the other side what the tracker would relay, and the test the rest.
func (p *rtcPair) route(to chan TransportEvent, other func() *RTC) func(TransportEvent) {
	offerer := to == p.evA
	return func(ev TransportEvent) {
		switch ev := ev.(type) {
		case Described:
			if p.mangle != nil {
				ev.Description = p.mangle(ev.Description)
			}
			if offerer {
				other().Accept(ev.Session, wire.PeerID{1}, ev.Description)
			} else {
				other().Answer(ev.Session, ev.Description)
			}
		case Gathered:
			other().Candidate(ev.Session, ev.Candidate)
		}
		to <- ev
	}
}

// rtcWait returns the next event of type E, or fails.
func rtcWait[E TransportEvent](t testing.TB, from chan TransportEvent, within time.Duration, what string) E {
	t.Helper()
	timer := time.NewTimer(within)
	defer timer.Stop()
	for {
		select {
		case ev := <-from:
			if e, ok := ev.(E); ok {
				return e
			}
			if c, ok := ev.(Closed); ok {
				t.Fatalf("%s: the session was closed first: %v", what, c.Err)
			}
		case <-timer.C:
			t.Fatalf("%s: not within %v", what, within)
		}
	}
}

func (p *rtcPair) open(within time.Duration) {
	p.t.Helper()
	p.a.Offer(p.session, wire.PeerID{2})
	rtcWait[Opened](p.t, p.evA, within, "the offerer opens")
	rtcWait[Opened](p.t, p.evB, within, "the answerer opens")
}

// deliver sends a frame, a fast one until it arrives: some are lost on the way where the machine is busy. What comes in
// its place must be what came before, once more.
func (p *rtcPair) deliver(from *RTC, to chan TransportEvent, frame []byte, fast bool, what string) {
	p.t.Helper()
	what = fmt.Sprintf("%s: a frame of %d bytes", what, len(frame))
	from.Send(p.session, frame, fast)
	again := time.NewTicker(200 * time.Millisecond)
	defer again.Stop()
	for end := time.Now().Add(patience); time.Now().Before(end); {
		select {
		case ev := <-to:
			switch got := ev.(type) {
			case Closed:
				p.t.Fatalf("%s: the session was closed first: %v", what, got.Err)
			case Received:
				if bytes.Equal(got.Data, frame) {
					p.last = frame
					return
				}
				if !bytes.Equal(got.Data, p.last) {
					p.t.Fatalf("%s arrived as %d bytes: %.50x", what, len(got.Data), got.Data)
				}
			}
		case <-again.C:
			if fast {
				from.Send(p.session, frame, fast)
			}
		}
	}
	p.t.Fatalf("%s: not within %v", what, patience)
}

func TestRTCCarriesFramesBothWays(t *testing.T) {
	p := newRTCPair(t, rtcTestConfig(), rtcTestConfig())
	p.open(patience)
	for _, dir := range []struct {
		name string
		from *RTC
		to   chan TransportEvent
	}{{"offerer to answerer", p.a, p.evB}, {"answerer to offerer", p.b, p.evA}} {
		for _, fast := range []bool{false, true} {
			for _, size := range []int{1, 900, 2047, 2048, 2049, 64 << 10, wire.MaxFrame} {
				if fast && size > wire.MaxFastFrame {
					continue
				}
				frame := bytes.Repeat([]byte{byte(size), 7}, size)[:size]
				p.deliver(dir.from, dir.to, frame, fast, fmt.Sprintf("%s, fast=%v", dir.name, fast))
			}
		}
	}
}
