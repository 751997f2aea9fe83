package peertest_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"peerchat/peer"
	"peerchat/peer/peertest"
	"peerchat/peer/wire"
)

// duo is two peers of a Network and an open session.
type duo struct {
	net     *peertest.Network
	id      [2]wire.PeerID
	end     [2]peer.Transport
	ev      [2]chan peer.TransportEvent
	session uuid.UUID
}

func newDuo(t *testing.T) *duo {
	d := &duo{
		net: peertest.NewNetwork(1), id: [2]wire.PeerID{{1}, {2}},
		ev: [2]chan peer.TransportEvent{make(chan peer.TransportEvent, 1000), make(chan peer.TransportEvent, 1000)},
	}
	t.Cleanup(d.net.Close)
	d.net.SetDelay(10 * time.Millisecond)
	for i := range d.end {
		d.end[i] = d.net.Transport(d.id[i], func(ev peer.TransportEvent) { d.ev[i] <- ev })
	}
	return d
}

// newOpenDuo is a duo whose session is open at both ends.
func newOpenDuo(t *testing.T) *duo {
	t.Helper()
	d := newDuo(t)
	d.connect(t)
	for i := range d.ev {
		want[peer.Opened](t, d.ev[i])
	}
	return d
}

// connect plays the negotiation.
func (d *duo) connect(t *testing.T) {
	t.Helper()
	d.session = uuid.New()
	d.end[0].Offer(d.session, d.id[1])
	d.end[1].Accept(d.session, d.id[0], want[peer.Described](t, d.ev[0]).Description)
	d.end[0].Answer(d.session, want[peer.Described](t, d.ev[1]).Description)
}

func want[E peer.TransportEvent](t *testing.T, from chan peer.TransportEvent) E {
	t.Helper()
	select {
	case ev := <-from:
		e, ok := ev.(E)
		if !ok {
			t.Fatalf("got %T (%+v), want %T", ev, ev, e)
		}
		return e
	case <-time.After(time.Minute):
		var e E
		t.Fatalf("no %T within a minute", e)
		return e
	}
}

func inBubble(t *testing.T, f func(t *testing.T)) { synctest.Test(t, f) }

func TestNetworkCarriesFramesInOrder(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		d := newOpenDuo(t)
		for i := range 100 {
			d.end[0].Send(d.session, []byte{byte(i)}, false)
		}
		for i := range 100 {
			if got := want[peer.Received](t, d.ev[1]); got.Data[0] != byte(i) {
				t.Fatalf("frame %d arrived as number %d", got.Data[0], i)
			}
		}
		d.end[0].Close(d.session)
		if c := want[peer.Closed](t, d.ev[0]); c.Err != nil {
			t.Errorf("the closing side has an error: %v", c.Err)
		}
		if c := want[peer.Closed](t, d.ev[1]); c.Err == nil {
			t.Error("the other side has no error")
		}
	})
}

func TestNetworkNotesWhoIsInVoice(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		d := newOpenDuo(t)
		d.end[0].Speak([]uuid.UUID{d.session, {9}})
		if got := d.net.Speaking(d.id[0]); len(got) != 1 || got[0] != d.id[1] {
			t.Errorf("one who speaks over one session is said to speak to %v", got)
		}
		if got := d.net.Speaking(d.id[1]); len(got) != 0 {
			t.Errorf("one who does not speak is said to speak to %v", got)
		}
		d.end[1].Close(d.session)
		want[peer.Closed](t, d.ev[0])
		if got := d.net.Speaking(d.id[0]); len(got) != 0 {
			t.Errorf("the session is closed, and yet one speaks to %v", got)
		}
	})
}

func TestNetworkCutAndHeal(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		d := newOpenDuo(t)
		d.net.Cut(d.id[1], d.id[0])
		d.end[0].Send(d.session, []byte("held"), false)
		d.end[0].Send(d.session, []byte("lost"), true)
		time.Sleep(time.Second)
		d.net.Heal(d.id[0], d.id[1])
		if got := want[peer.Received](t, d.ev[1]); string(got.Data) != "held" {
			t.Errorf("%q came through a short cut", got.Data)
		}
		d.net.Cut(d.id[0], d.id[1])
		start := time.Now()
		for i := range d.ev {
			if c := want[peer.Closed](t, d.ev[i]); c.Err == nil {
				t.Error("a session cut in two has no error")
			}
		}
		if took := time.Since(start); took != peertest.Lifeless {
			t.Errorf("a cut was noticed after %v, want %v", took, peertest.Lifeless)
		}
		if n := d.net.Sessions(d.id[0]); n != 0 {
			t.Errorf("%d sessions are left", n)
		}
	})
}

func TestNetworkStallMakesPressure(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		d := newOpenDuo(t)
		d.net.Stall(d.id[0], d.id[1])
		for range 20 {
			d.end[0].Send(d.session, make([]byte, 64<<10), false)
		}
		if p := want[peer.Pressure](t, d.ev[0]); !p.High {
			t.Error("the first Pressure is not high")
		}
		d.net.Unstall(d.id[0], d.id[1])
		if p := want[peer.Pressure](t, d.ev[0]); p.High {
			t.Error("the second Pressure is high")
		}
		for range 20 {
			want[peer.Received](t, d.ev[1])
		}
	})
}

func TestNetworkFailsSessions(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		d := newDuo(t)
		d.net.SetFailing(func(_, _ wire.PeerID) bool { return true })
		d.connect(t)
		for i := range d.ev {
			if c := want[peer.Closed](t, d.ev[i]); c.Err == nil {
				t.Error("a session that fails has no error")
			}
		}
		d.end[0].Stop()
		d.end[0].Offer(uuid.New(), d.id[1])
		if c := want[peer.Closed](t, d.ev[0]); c.Err == nil {
			t.Error("an offer after Stop has no error")
		}
	})
}
