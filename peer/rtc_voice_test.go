package peer

import (
	"bytes"
	"fmt"
	"math"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/pion/rtp"

	"peerchat/peer/wire"
)

// heardVoice is what OnVoice got.
type heardVoice struct {
	from wire.PeerID
	p    VoicePacket
	ssrc uint32
}

// newVoicePair is an rtcPair with somebody who listens at each end.
func newVoicePair(t testing.TB) (p *rtcPair, atA, atB chan heardVoice) {
	listen := func() (RTCConfig, chan heardVoice) {
		heard := make(chan heardVoice, 1<<12)
		cfg := rtcTestConfig()
		cfg.OnVoice = func(from wire.PeerID, p VoicePacket, ssrc uint32) {
			p.Payload = bytes.Clone(p.Payload)
			heard <- heardVoice{from, p, ssrc}
		}
		return cfg, heard
	}
	ca, atA := listen()
	cb, atB := listen()
	return newRTCPair(t, ca, cb), atA, atB
}

func waitVoice(t testing.TB, heard chan heardVoice, what string) heardVoice {
	t.Helper()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case h := <-heard:
		return h
	case <-timer.C:
		t.Fatalf("%s: nothing was heard within %v", what, patience)
		return heardVoice{}
	}
}

func TestRTCVoiceNeedsNoNegotiation(t *testing.T) {
	p, atA, atB := newVoicePair(t)
	var descriptions atomic.Int32
	p.mangle = func(d Description) Description {
		descriptions.Add(1)
		if !strings.Contains(d.SDP, "L16/16000") || !strings.Contains(d.SDP, "a=sendrecv") {
			t.Errorf("a description has no L16 in both directions:\n%s", d.SDP)
		}
		return d
	}
	p.open(patience)
	for round := range 3 {
		p.a.Speak([]uuid.UUID{p.session})
		p.b.Speak([]uuid.UUID{p.session})
		for _, way := range []struct {
			from  *RTC
			who   wire.PeerID
			heard chan heardVoice
		}{{p.a, wire.PeerID{1}, atB}, {p.b, wire.PeerID{2}, atA}} {
			sent := VoicePacket{Seq: uint16(65535 + round), Timestamp: 1<<32 - 320 + uint32(round), Marker: round%2 == 0, Payload: bytes.Repeat([]byte{byte(round)}, 640)}
			way.from.SendVoice(sent)
			h := waitVoice(t, way.heard, fmt.Sprintf("round %d", round))
			if got := h.p; h.from != way.who || got.Seq != sent.Seq || got.Timestamp != sent.Timestamp || got.Marker != sent.Marker || !bytes.Equal(got.Payload, sent.Payload) {
				t.Errorf("round %d: a packet of %s changed: sent %+v, heard %+v", round, way.who.Tag(), sent, h)
			}
		}
		p.a.Speak(nil)
		p.b.Speak(nil)
	}
	if n := descriptions.Load(); n != 2 {
		t.Errorf("%d descriptions were exchanged, want the offer and the answer", n)
	}
}

func TestRTCTakesNoOtherAudioThanVoice(t *testing.T) {
	p, _, atB := newVoicePair(t)
	p.open(patience)
	p.a.Speak([]uuid.UUID{p.session})
	p.b.Speak([]uuid.UUID{p.session})
	raw := p.a.lookup(p.session).out
	for i, payload := range [][]byte{nil, make([]byte, MaxVoice+1), make([]byte, MaxVoice), {1}} {
		packet := &rtp.Packet{Header: rtp.Header{Version: 2, SequenceNumber: uint16(i)}, Payload: payload}
		if err := raw.WriteRTP(packet); err != nil {
			t.Fatal(err)
		}
	}
	for _, size := range []int{MaxVoice, 1} {
		if h := waitVoice(t, atB, "a good packet after bad ones"); len(h.p.Payload) != size {
			t.Errorf("a payload of %d bytes was taken, want %d", len(h.p.Payload), size)
		}
	}
	if n := p.b.Counters()["voice.bad"]; n != 2 {
		t.Errorf("%d packets were counted as no audio, want the empty and the long one", n)
	}
	p.a.SendVoice(VoicePacket{Seq: 9})
	p.a.SendVoice(VoicePacket{Seq: 9, Payload: make([]byte, MaxVoice+1)})
	if n := p.a.Counters()["voice.failed"]; n != 2 {
		t.Errorf("%d own packets were refused, want the empty and the long one", n)
	}
}

func TestRTCLimitsEachTalker(t *testing.T) {
	p, _, atB := newVoicePair(t)
	p.b.voiceTaken = limit{0, 3} // nothing comes after
	p.open(patience)
	p.a.Speak([]uuid.UUID{p.session})
	p.b.Speak([]uuid.UUID{p.session})
	for seq := range uint16(3) {
		p.a.SendVoice(VoicePacket{Seq: seq, Payload: make([]byte, 640)})
		waitVoice(t, atB, "a packet within the limit")
	}
	p.a.SendVoice(VoicePacket{Seq: 3, Payload: make([]byte, 640)})
	for end := time.Now().Add(patience); p.b.Counters()["voice.limited"] == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("a packet beyond the limit was not counted within %v", patience)
		}
	}
	if n := len(atB); n > 0 {
		t.Errorf("%d packets beyond the limit were taken", n)
	}
}

func TestRTCSpeaksToNobodyAfterTheEnd(t *testing.T) {
	p, _, _ := newVoicePair(t)
	p.open(patience)
	p.a.Speak([]uuid.UUID{p.session, {1}})
	p.a.Close(p.session)
	closed := false
	for !closed {
		_, closed = (<-p.evA).(Closed)
	}
	p.a.SendVoice(VoicePacket{Payload: make([]byte, 640)})
	if c := p.a.Counters(); c["voice.sent"] != 0 || c["voice.failed"] != 0 {
		t.Errorf("a packet went to a session that has ended: %v", c)
	}
}

// BenchmarkRTCVoice is one packet to one listener over loopback, encrypted, sent, received, decrypted and handed over.
func BenchmarkRTCVoice(b *testing.B) {
	heard := make(chan struct{}, 1)
	cfg := rtcTestConfig()
	cfg.OnVoice = func(wire.PeerID, VoicePacket, uint32) { heard <- struct{}{} }
	p := newRTCPair(b, cfg, cfg)
	p.b.voiceTaken = limit{1e9, 1e9}
	p.open(patience)
	p.a.Speak([]uuid.UUID{p.session})
	p.b.Speak([]uuid.UUID{p.session})
	packet := VoicePacket{Payload: make([]byte, 640)}
	b.ReportAllocs()
	for b.Loop() {
		packet.Seq++
		p.a.SendVoice(packet)
		<-heard
	}
}

// One packet to one listener there and back takes no memory, reports included.
func TestRTCVoiceTakesNoMemory(t *testing.T) {
	heard := make(chan struct{}, 1)
	cfg := rtcTestConfig()
	cfg.OnVoice = func(wire.PeerID, VoicePacket, uint32) { heard <- struct{}{} }
	p := newRTCPair(t, cfg, cfg)
	p.b.voiceTaken = limit{1e9, 1e9}
	p.open(patience)
	p.a.Speak([]uuid.UUID{p.session})
	p.b.Speak([]uuid.UUID{p.session})
	packet := VoicePacket{Payload: make([]byte, MaxVoice)}
	timer := time.NewTimer(time.Minute)
	defer timer.Stop()
	step := func() {
		packet.Seq++
		packet.Timestamp += 320
		p.a.SendVoice(packet)
		select {
		case <-heard:
		case <-timer.C:
			t.Fatal("a packet was not heard within a minute")
		}
	}
	for range 100 {
		step()
	}
	// Pion and its timers take some as time goes by, which on a busy machine may be more than one a packet; but not
	// always.
	least := math.Inf(1)
	for range 50 {
		if least = min(least, testing.AllocsPerRun(100, step)); least == 0 {
			return
		}
	}
	t.Errorf("a packet takes %v allocations at least", least)
}
