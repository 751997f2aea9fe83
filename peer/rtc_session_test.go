package peer

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/pion/rtcp"
	"github.com/pion/webrtc/v4"

	"peerchat/peer/wire"
)

// rtcEnd returns the Closed of a session, whatever comes before it.
func rtcEnd(t testing.TB, from chan TransportEvent, within time.Duration, what string) error {
	t.Helper()
	timer := time.NewTimer(within)
	defer timer.Stop()
	for {
		select {
		case ev := <-from:
			if c, ok := ev.(Closed); ok {
				return c.Err
			}
		case <-timer.C:
			t.Fatalf("%s: no Closed within %v", what, within)
		}
	}
}

func TestRTCRefusesWhatWasNotSigned(t *testing.T) {
	other := "00" + strings.Repeat(":00", 31)
	for name, mangle := range map[string]func(Description) Description{
		"another signed fingerprint": func(d Description) Description { d.Fingerprint = other; return d },
		"another fingerprint in the SDP": func(d Description) Description {
			d.SDP = strings.ReplaceAll(d.SDP, d.Fingerprint, other)
			return d
		},
		"a second fingerprint": func(d Description) Description {
			d.SDP += "a=fingerprint:sha-256 " + other + "\r\n"
			return d
		},
		"a second hash": func(d Description) Description {
			d.SDP += "a=fingerprint:sha-1 " + d.Fingerprint + "\r\n"
			return d
		},
		"no fingerprint": func(d Description) Description {
			d.SDP = strings.ReplaceAll(d.SDP, "a=fingerprint:", "a=finger:")
			return d
		},
		"33 KiB":   func(d Description) Description { d.SDP += strings.Repeat("a=x\r\n", 6600); return d },
		"not SDP":  func(d Description) Description { d.SDP = "hello"; return d },
		"no media": func(d Description) Description { d.SDP, _, _ = strings.Cut(d.SDP, "m="); return d },
		"100 candidates": func(d Description) Description {
			d.SDP += strings.Repeat("a=candidate:1 1 udp 1 127.0.0.1 9 typ host\r\n", 100)
			return d
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := newRTCPair(t, rtcTestConfig(), rtcTestConfig())
			p.mangle = mangle
			p.a.Offer(p.session, wire.PeerID{2})
			if err := rtcEnd(t, p.evB, patience, "the answerer"); err == nil {
				t.Error("the answerer took it")
			}
		})
	}
}

// The signed fingerprint is that of another certificate than the one DTLS then meets: what a tracker in the middle
// would have to do.
func TestRTCRefusesAnotherCertificate(t *testing.T) {
	p := newRTCPair(t, rtcTestConfig(), rtcTestConfig())
	cert, err := newRTCCertificate()
	if err != nil {
		t.Fatal(err)
	}
	p.mangle = func(d Description) Description {
		forged, err := rtcDescription(&webrtc.SessionDescription{}, *cert)
		if err != nil {
			t.Error(err)
		}
		d.SDP = strings.ReplaceAll(d.SDP, d.Fingerprint, forged.Fingerprint)
		d.Fingerprint = forged.Fingerprint
		return d
	}
	p.a.Offer(p.session, wire.PeerID{2})
	if err := rtcEnd(t, p.evB, patience, "the answerer"); err == nil {
		t.Error("the answerer ended the session without an error")
	}
	if err := rtcEnd(t, p.evA, patience, "the offerer"); err == nil {
		t.Error("the offerer ended the session without an error")
	}
}

func TestRTCTellsHowFarItCame(t *testing.T) {
	cfg := rtcTestConfig()
	cfg.OpenTimeout = 300 * time.Millisecond
	events := make(chan TransportEvent, 100)
	r, err := NewRTC(cfg, func(ev TransportEvent) { events <- ev })
	if err != nil {
		t.Fatal(err)
	}
	defer r.Stop()
	r.Offer(uuid.Must(uuid.NewV7()), wire.PeerID{2})
	if err := rtcEnd(t, events, patience, "an offer without an answer"); err == nil || !strings.Contains(err.Error(), "no answer") {
		t.Errorf("an offer without an answer ended with %v", err)
	}
}

func TestRTCStopClosesEverything(t *testing.T) {
	p := newRTCPair(t, rtcTestConfig(), rtcTestConfig())
	p.open(patience)
	p.a.Stop()
	if err := rtcEnd(t, p.evA, patience, "the stopped side"); err != nil {
		t.Errorf("the stopped side's Closed has an error: %v", err)
	}
	if err := rtcEnd(t, p.evB, patience, "the other side"); err == nil {
		t.Error("the other side's Closed has no error")
	}
	late := uuid.Must(uuid.NewV7())
	p.a.Offer(late, wire.PeerID{2})
	if err := rtcEnd(t, p.evA, patience, "an offer after Stop"); !errors.Is(err, errRTCStopped) {
		t.Errorf("an offer after Stop ended with %v", err)
	}
}

func TestRTCHoldsBackASlowReader(t *testing.T) {
	release := make(chan struct{})
	p := newRTCPair(t, rtcTestConfig(), rtcTestConfig())
	slow := p.b.sink
	p.b.sink = func(ev TransportEvent) {
		if _, ok := ev.(Received); ok {
			<-release
		}
		slow(ev)
	}
	p.open(patience)
	frame := make([]byte, 64<<10)
	const frames = 160 // 10 MiB
	for range frames {
		p.a.Send(p.session, frame, false)
	}
	if ev := rtcWait[Pressure](t, p.evA, patience, "a slow reader"); !ev.High {
		t.Error("the first Pressure is not high")
	}
	held := p.a.lookup(p.session).dc[rtcReliableID].BufferedAmount()
	if held > rtcHardLimit {
		t.Errorf("%d bytes are queued for a slow reader", held)
	}
	close(release)
	if ev := rtcWait[Pressure](t, p.evA, patience, "the reader is quick again"); ev.High {
		t.Error("the second Pressure is high")
	}
	dropped, _ := p.a.Dropped()
	if dropped == 0 {
		t.Error("10 MiB for a slow reader and nothing was dropped")
	}
	for range frames - int(dropped) {
		rtcWait[Received](t, p.evB, patience, "a frame that was not dropped")
	}
	for range 1000 {
		p.a.Send(p.session, make([]byte, wire.MaxFastFrame), true)
	}
}

// What waits for the session counts as pressure. When that ends with frames that do not go to the reliable channel, or
// are dropped, the end of the pressure has to be told as well: nothing else may be sent before.
func TestRTCTellsThatPressureIsOverAfterFastFrames(t *testing.T) {
	blocked, release := make(chan struct{}), make(chan struct{})
	cfg := rtcTestConfig()
	cfg.MeasureInterval = 10 * time.Millisecond
	p := newRTCPair(t, cfg, rtcTestConfig())
	tell, once := p.a.sink, sync.OnceFunc(func() { close(blocked) })
	p.a.sink = func(ev TransportEvent) {
		if _, ok := ev.(Measured); ok {
			once()
			<-release
		}
		tell(ev)
	}
	p.open(patience)
	<-blocked // the session serves nothing now, as on a machine that has no time for it
	p.a.Send(p.session, make([]byte, 1000), false)
	for range rtcHighWater/wire.MaxFastFrame + 10 {
		p.a.Send(p.session, make([]byte, wire.MaxFastFrame), true)
	}
	close(release)
	if ev := rtcWait[Pressure](t, p.evA, patience, "too much waits"); !ev.High {
		t.Error("the first Pressure is not high")
	}
	if ev := rtcWait[Pressure](t, p.evA, patience, "nothing waits any more"); ev.High {
		t.Error("the second Pressure is high")
	}
}

func TestRTCRefusesTextAndOversize(t *testing.T) {
	p := newRTCPair(t, rtcTestConfig(), rtcTestConfig())
	p.open(patience)
	s := p.a.lookup(p.session)
	if _, err := s.raw[rtcReliableID].WriteDataChannel([]byte("text"), true); err != nil {
		t.Fatal(err)
	}
	if _, err := s.raw[rtcReliableID].WriteDataChannel(make([]byte, wire.MaxFrame+1), false); err != nil {
		t.Fatal(err)
	}
	p.a.Send(p.session, []byte("a frame"), false)
	if got := rtcWait[Received](t, p.evB, patience, "a frame after refused ones"); string(got.Data) != "a frame" {
		t.Errorf("%d bytes of something that is no frame were taken", len(got.Data))
	}
	if _, refused := p.b.Dropped(); refused != 2 {
		t.Errorf("%d messages were counted as refused, want 2", refused)
	}
}

func TestRTCBoundsAudioSources(t *testing.T) {
	p := newRTCPair(t, rtcTestConfig(), rtcTestConfig())
	p.open(patience)
	dtls := p.a.lookup(p.session).pc.SCTP().Transport()
	for ssrc := range uint32(200) {
		report := &rtcp.ReceiverReport{SSRC: ssrc + 1, Reports: []rtcp.ReceptionReport{{SSRC: ssrc + 1000}}}
		if _, err := dtls.WriteRTCP([]rtcp.Packet{report}); err != nil {
			break // closed already
		}
	}
	if err := rtcEnd(t, p.evB, patience, "a peer with 200 sources of audio"); err == nil || !strings.Contains(err.Error(), "sources") {
		t.Errorf("a peer with 200 sources of audio ended the session with %v", err)
	}
}
