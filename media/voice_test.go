package media

import (
	"math"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestNothingIsOpenedBeforeJoin(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, EngineConfig{})
		defer r.close()
		r.Receive(bob, RTP{}, make([]byte, FrameBytes))
		r.SetMuted(true)
		time.Sleep(time.Minute)
		if tries := r.devices.tries(); len(tries) != 0 {
			t.Errorf("opened: %v", tries)
		}
		if s := r.Stats(); s.Joined || len(s.Talkers) != 0 {
			t.Errorf("%+v", s)
		}
	})
}

func TestVoiceIsHeardAndSilenceIsNotSent(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a := newRig(t, EngineConfig{FirstSeq: 65530, FirstTimestamp: 1<<32 - 3200})
		b := newRig(t, EngineConfig{})
		defer a.close()
		defer b.close()
		a.link(b, bob)
		a.Join()
		b.Join()
		time.Sleep(2 * time.Second)
		quiet := len(a.packets())
		if quiet > 2 {
			t.Errorf("%d packets of silence in 2 s", quiet)
		}
		a.told()
		b.told()
		a.devices.speak(0.5)
		time.Sleep(time.Second)
		a.expect("the one who talks", SelfTalking{On: true})
		b.expect("the one who hears", PeerTalking{Peer: bob, On: true})
		if l := b.devices.sinks[0].loudness(500 * time.Millisecond); l < 5000 || l > 9000 {
			t.Errorf("a tone of 7071 is heard as %.0f", l)
		}
		a.devices.speak(0)
		time.Sleep(2 * time.Second)
		a.expect("the one who stops", SelfTalking{On: false})
		b.expect("the one who hears", PeerTalking{Peer: bob})
		if l := b.devices.sinks[0].loudness(500 * time.Millisecond); l != 0 {
			t.Errorf("silence is heard as %.0f", l)
		}
		sent := a.packets()
		for i, o := range sent {
			if len(o.Payload) != FrameBytes {
				t.Fatalf("packet %d has %d bytes", i, len(o.Payload))
			}
			if i > 0 && o.Seq != sent[i-1].Seq+1 {
				t.Errorf("packet %d has sequence number %d after %d", i, o.Seq, sent[i-1].Seq)
			}
			// The RTP clock follows the wall clock, whether something is sent or not.
			if i > 0 {
				wall := a.at[i].Sub(a.at[0])
				if rtp := time.Duration(o.Timestamp-sent[0].Timestamp) * time.Second / SampleRate; rtp != wall {
					t.Errorf("packet %d: %v on the RTP clock, %v on the wall", i, rtp, wall)
				}
			}
			if marked := i == quiet; o.Marker != marked {
				t.Errorf("packet %d: marker %v", i, o.Marker)
			}
		}
		if s := b.Stats(); len(s.Talkers) != 1 || s.Talkers[0].Lost != 0 || s.Talkers[0].Received != uint64(len(sent)) {
			t.Errorf("%+v", s)
		}
	})
}

func TestAMutedMicrophoneSendsNothingButIsNoticed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, EngineConfig{Muted: true, Mode: GateOpen, Gate: GateConfig{KeepAlive: -1}})
		defer r.close()
		r.Join()
		time.Sleep(time.Second)
		r.told()
		r.devices.speak(0.5)
		time.Sleep(2 * time.Second)
		r.expect("talking while muted", TalkingMuted{})
		r.SetMuted(false)
		time.Sleep(time.Second)
		r.expect("unmuted", SelfTalking{On: true})
		r.SetDeaf(true)
		time.Sleep(time.Second)
		r.expect("deaf is mute too", SelfTalking{On: false})
		n := len(r.packets())
		time.Sleep(time.Second)
		if m := len(r.packets()); m != n {
			t.Errorf("%d packets while deaf", m-n)
		}
	})
}

func TestDuckingKeepsTheEchoBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a := newRig(t, EngineConfig{Mode: GateOpen})
		b := newRig(t, EngineConfig{Mode: GateOpen, Gate: GateConfig{KeepAlive: -1}, Ducking: true})
		defer a.close()
		defer b.close()
		a.link(b, bob)
		a.Join()
		b.Join()
		sends := func(what string, want bool) {
			t.Helper()
			time.Sleep(5 * time.Second)
			n := len(b.packets())
			time.Sleep(time.Second)
			if n = len(b.packets()) - n; n > 0 != want || b.Stats().Ducked == want {
				t.Errorf("%s: %d packets, %+v", what, n, b.Stats())
			}
		}
		b.devices.speak(0.5)
		sends("alone", true)
		a.devices.speak(0.5)
		b.devices.speak(0.1)
		sends("others are heard, and the microphone hears them", false)
		b.devices.speak(0.5)
		sends("louder than the echo", true)
		b.devices.speak(0.1)
		sends("the echo again", false)
		b.SetDucking(false)
		sends("without ducking", true)
	})
}

func TestTheTalkKeyOpensTheGate(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, EngineConfig{Mode: GatePTT, Gate: GateConfig{KeepAlive: -1}})
		defer r.close()
		r.Join()
		r.devices.speak(0.5)
		time.Sleep(time.Second)
		r.told()
		r.TalkKey()
		time.Sleep(100 * time.Millisecond)
		r.expect("pressed", SelfTalking{On: true})
		r.TalkRelease()
		time.Sleep(100 * time.Millisecond)
		r.expect("released", SelfTalking{On: false})
		r.SetMode(GateVoice)
		time.Sleep(100 * time.Millisecond)
		r.expect("voice activation", SelfTalking{On: true})
	})
}

func TestPeersHaveVolumesOfTheirOwn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a := newRig(t, EngineConfig{Mode: GateOpen})
		b := newRig(t, EngineConfig{})
		defer a.close()
		defer b.close()
		a.link(b, bob)
		a.devices.speak(0.1)
		a.Join()
		b.Join()
		heard := func(what string, want float64) {
			t.Helper()
			time.Sleep(time.Second)
			if l := b.devices.sinks[0].loudness(300 * time.Millisecond); math.Abs(l-want) > 0.05*want+1 {
				t.Errorf("%s: heard as %.0f, want %.0f", what, l, want)
			}
		}
		heard("as sent", 1414)
		b.SetGain(bob, 6.02)
		heard("twice as loud", 2828)
		b.MutePeer(bob, true)
		heard("muted", 0)
		b.MutePeer(bob, false)
		b.SetGain(carol, -50)
		heard("as loud as before", 2828)
		b.SetDeaf(true)
		heard("deaf", 0)
		b.SetDeaf(false)
		b.SetGain(bob, 0)
		heard("as sent again", 1414)
		b.RemovePeer(bob)
		if s := b.Stats(); len(s.Talkers) != 0 {
			t.Errorf("a peer that left is kept: %+v", s.Talkers)
		}
	})
}

func TestAMachineWithoutSoundKeepsHearingWhoTalks(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a := newRig(t, EngineConfig{Mode: GateOpen})
		b := newRig(t, EngineConfig{})
		defer a.close()
		defer b.close()
		b.devices.miss("", true)
		a.link(b, bob)
		a.devices.speak(0.5)
		a.Join()
		b.Join()
		time.Sleep(500 * time.Millisecond)
		got := b.told()
		if !slices.Contains(got, VoiceEvent(PeerTalking{Peer: bob, On: true})) {
			t.Errorf("%+v", got)
		}
		time.Sleep(3 * time.Minute)
		b.expect("it is told once", nil...)
		if n := len(b.devices.tries()); n < 10 || n > 20 {
			t.Errorf("%d tries in 3 minutes for two devices", n)
		}
		if d := b.Stats().Talkers[0].Delay; d > 100*time.Millisecond {
			t.Errorf("sound waits %v for a speaker that is not there", d)
		}
		b.devices.miss("", false)
		b.Input("")
		b.Output("")
		time.Sleep(time.Second)
		if l := b.devices.sinks[0].loudness(300 * time.Millisecond); l < 5000 {
			t.Errorf("with a speaker it is heard as %.0f", l)
		}
	})
}

func TestCloseEndsEverythingAtAnyTime(t *testing.T) {
	for _, after := range []time.Duration{0, 500 * time.Millisecond, time.Second, 1500 * time.Millisecond} {
		bubble(t, func(t *testing.T) { // which fails if a goroutine is left
			r := newRig(t, EngineConfig{})
			r.devices.slow = time.Second
			r.Join()
			time.Sleep(after)
			r.close()
			r.Join()
			r.Input("other")
			if s := r.Stats(); s.Joined {
				t.Error("a closed engine joins")
			}
			for _, s := range r.devices.sinks {
				if !s.closed {
					t.Error("a speaker is left open")
				}
			}
		})
	}
}

func TestARedundantPacketMakesUpForTheOneBefore(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a := newRig(t, EngineConfig{Mode: GateOpen, Gate: GateConfig{KeepAlive: -1}})
		b := newRig(t, EngineConfig{})
		defer a.close()
		defer b.close()
		n := 0
		a.to = func(o Outgoing) {
			if n++; n%4 != 0 {
				b.Receive(bob, RTP{SSRC: 1, Seq: o.Seq, Timestamp: o.Timestamp, Marker: o.Marker}, o.Payload)
			}
		}
		a.devices.speak(0.5)
		a.Join()
		b.Join()
		lost := func(what string) (now JitterStats) {
			t.Helper()
			time.Sleep(2 * time.Second)
			before := b.Stats().Talkers[0]
			time.Sleep(10 * time.Second)
			now = b.Stats().Talkers[0].JitterStats
			t.Logf("%s: of 500 frames %d are lost, %d filled", what, now.Lost-before.Lost, now.Filled-before.Filled)
			now.Lost -= before.Lost
			now.Filled -= before.Filled
			return now
		}
		if s := lost("plain"); s.Lost < 120 || s.Filled != 0 || s.Loss < 0.2 {
			t.Errorf("a quarter of the packets is lost: %+v", s)
		}
		a.SetRedundant(true)
		if s := lost("redundant"); s.Lost != 0 || s.Filled < 120 || s.Loss > 0.1 {
			t.Errorf("a quarter of the packets is lost: %+v", s)
		}
		if o := a.packets()[len(a.packets())-1]; len(o.Payload) != 2*FrameBytes || len(o.Frame()) != FrameBytes {
			t.Errorf("a packet has %d bytes, %d of its own", len(o.Payload), len(o.Frame()))
		}
		a.SetRedundant(false)
		if s := lost("plain again"); s.Lost < 120 || s.Filled != 0 {
			t.Errorf("a quarter of the packets is lost: %+v", s)
		}
	})
}

func TestFloodsAreBounded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, EngineConfig{})
		defer r.close()
		r.Join()
		time.Sleep(time.Second)
		payload := make([]byte, 2000)
		for i := range 4000 {
			r.Receive(PeerID{byte(i), byte(i >> 8)}, RTP{Seq: uint16(i)}, payload[:FrameBytes])
			r.Receive(bob, RTP{Seq: uint16(i * 7), Timestamp: uint32(i) * 77777}, payload[:2*(i%700)])
			r.SetGain(PeerID{byte(i), byte(i >> 8)}, 3)
		}
		s := r.Stats()
		if len(s.Talkers) > voiceTalkers || s.Crowd+s.Overflow == 0 || s.Foreign == 0 {
			t.Errorf("%d talkers, %d crowd, %d overflow, %d foreign", len(s.Talkers), s.Crowd, s.Overflow, s.Foreign)
		}
		time.Sleep(2 * voiceQuiet)
		if s := r.Stats(); len(s.Talkers) != 0 {
			t.Errorf("%d talkers are kept though they are quiet", len(s.Talkers))
		}
	})
}

func TestAFloodTakesNobodysPlace(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, EngineConfig{})
		defer r.close()
		r.Join()
		time.Sleep(time.Second)
		payload := make([]byte, FrameBytes)
		for seq := range uint16(500) {
			// All at once, before the engine gets to take one.
			r.Receive(carol, RTP{SSRC: 2, Seq: seq, Timestamp: uint32(seq) * FrameSamples}, payload)
			for k := range uint16(1000) {
				r.Receive(bob, RTP{SSRC: 1, Seq: 1000*seq + k, Timestamp: uint32(k) * 99999}, payload)
			}
			time.Sleep(FrameDuration)
		}
		s := r.Stats()
		i := slices.IndexFunc(s.Talkers, func(t TalkerStats) bool { return t.Peer == carol })
		if i < 0 || s.Talkers[i].Received != 500 || s.Talkers[i].Lost != 0 || s.Overflow == 0 {
			t.Errorf("somebody else floods, and of carol's 500 packets is told: %+v", s)
		}
		if n := len(r.waiting.of); n > 2 {
			t.Errorf("%d peers are remembered that have nothing to wait for", n)
		}
	})
}

func TestSilentTalkersMakePlace(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, EngineConfig{})
		defer r.close()
		r.Join()
		quiet, loud := make([]byte, FrameBytes), make([]byte, FrameBytes)
		for i := range loud {
			loud[i] = byte(i * 7)
		}
		all := func(payload []byte, seconds int) {
			for k := range 50 * seconds {
				for i := range voiceTalkers {
					r.Receive(PeerID{9, byte(i)}, RTP{Seq: uint16(k), Timestamp: uint32(k) * FrameSamples}, payload)
				}
				time.Sleep(FrameDuration)
			}
		}
		knows := func() bool {
			r.Receive(carol, RTP{Seq: 1}, loud)
			synctest.Wait() // it is taken
			return slices.ContainsFunc(r.Stats().Talkers, func(t TalkerStats) bool { return t.Peer == carol })
		}
		all(loud, 1)
		if knows() {
			t.Error("one of those who talk had to make place")
		}
		all(quiet, 8)
		if !knows() {
			t.Error("nobody who sends silence made place")
		}
		if n := len(r.Stats().Talkers); n != voiceTalkers {
			t.Errorf("there are %d talkers", n)
		}
	})
}

func TestAFrameAllocatesNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, EngineConfig{Mode: GateOpen, AGC: true})
		r.close() // the owner is gone: the test is the owner now
		r.joined.Store(true)
		r.pump = &pump{free: make(chan *captured, 1)}
		r.Engine.cfg.Send = func(Outgoing) {}
		r.out.twice, r.ducking = true, true
		c, payload, seq := &captured{}, make([]byte, 2*FrameBytes), uint16(0)
		for i := range payload {
			payload[i] = byte(i)
		}
		step := func() {
			c.index++
			r.capture(c)
			<-r.pump.free
			seq++
			r.Receive(bob, RTP{Seq: seq, Timestamp: uint32(seq) * FrameSamples}, payload)
			r.arrived = <-r.arrivals
			r.waiting.leave(bob)
			r.arrive(&r.arrived)
			r.duck.Far(time.Now(), r.mix(time.Now(), FrameSamples))
		}
		for range 100 {
			step()
		}
		if n := testing.AllocsPerRun(500, step); n != 0 {
			t.Errorf("%v allocations for a frame there and back", n)
		}
	})
}
