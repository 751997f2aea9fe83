package media

import (
	"slices"
	"time"
)

// talkHold is how long somebody counts as talking after the last sound, so that words do not flicker.
const talkHold = 250 * time.Millisecond

// audible is the peak from which sound counts as talking: -60 dBFS. Keep-alives and the end of a talk-spurt are zeros.
const audible = 32

// Outgoing is one RTP packet for the listeners; it is the same for all.
type Outgoing struct {
	Seq       uint16 // counts packets
	Timestamp uint32 // of the first sample; counts samples of the microphone, those that are not sent too
	Marker    bool   // the first of a talk-spurt (RFC 3551 section 4.1)
	Payload   []byte // audio/L16: FrameBytes, or twice that if the frame before goes with it once more, see Redundancy
}

// Frame is the part of the payload that no packet before had: the last FrameBytes.
func (o Outgoing) Frame() []byte { return o.Payload[max(0, len(o.Payload)-FrameBytes):] }

// outgoing is the user's own track: from frames of the microphone to packets.
type outgoing struct {
	gate    *Gate
	mode    GateMode
	twice   bool // send each frame again with the next
	copies  Redundancy
	ptt     PTT
	agc     AGC
	meter   Meter
	ducked  bool // the last frame was held back
	speech  bool // the last frame sounded like voice
	talking bool
	seq     uint16
	base    uint32 // RTP timestamp of frame 0
	frame   uint32 // number of the next frame of whatever microphone
	taken   uint64 // frames
	sent    uint64
	skipped uint64 // frames that the pump threw away
	payload [2 * FrameBytes]byte
}

// capture sends a frame, if it is to be heard, and gives it back to the pump.
func (e *Engine) capture(c *captured) {
	now := time.Now()
	e.input.moved = now
	o := &e.out
	o.taken++
	frame := e.pump.first + c.index
	o.skipped += uint64(frame - o.frame)
	o.frame = frame + 1
	timestamp := o.base + frame*FrameSamples
	o.meter.Add(c.Frame[:])
	o.ducked = e.ducking && e.duck.Near(now, &c.Frame)
	o.gate.Duck(o.ducked)
	if e.cfg.AGC {
		o.agc.Process(&c.Frame, o.speech)
	}
	down, _ := o.ptt.Down(now)
	o.gate.Set(o.mode, e.muted || e.deaf, down)
	t := o.gate.Step(now, &c.Frame)
	o.speech = t.Speech
	if t.Send {
		e.cfg.Send(o.packet(timestamp, t.Marker, &c.Frame))
		o.seq++
		o.sent++
	}
	e.pump.free <- c
	if t.Talking != o.talking {
		o.talking = t.Talking
		e.cfg.Event(SelfTalking{On: t.Talking})
	}
	if t.Cue {
		e.cfg.Event(TalkingMuted{})
	}
}

// packet makes the packet of a frame.
func (o *outgoing) packet(timestamp uint32, marker bool, f *Frame) Outgoing {
	out := Outgoing{Seq: o.seq, Timestamp: timestamp, Marker: marker}
	if o.twice {
		out.Payload, out.Timestamp = o.copies.Append(o.payload[:0], timestamp, f, marker)
	} else {
		out.Payload = AppendL16(o.payload[:0], f[:])
	}
	return out
}

// stop ends a talk-spurt, because there is no microphone any more; it returns the event, if there is one. The next
// microphone begins with a gate that has learnt nothing yet.
func (o *outgoing) stop(cfg GateConfig) VoiceEvent {
	o.gate, o.meter, o.speech, o.ducked = NewGate(cfg), Meter{}, false, false
	o.ptt.Release(time.Now())
	if !o.talking {
		return nil
	}
	o.talking = false
	return SelfTalking{On: false}
}

// setting is what the user wants of a peer's sound.
type setting struct {
	dB    float64
	muted bool
}

func (s setting) gain() Gain {
	if s.muted {
		return 0
	}
	return GainOf(s.dB)
}

// talker is a peer's track: from packets to sound.
type talker struct {
	peer    PeerID
	stream  *Stream
	want    Gain
	gain    Gain      // at the end of the last block
	came    time.Time // the first packet
	heard   time.Time // the last packet
	sounded time.Time // the last sound that was more than silence
	talking bool
}

// arrive puts a packet into its talker's buffer.
func (e *Engine) arrive(a *arrival) {
	if !e.joined.Load() {
		return
	}
	i := slices.IndexFunc(e.talkers, func(t *talker) bool { return t.peer == a.peer })
	if i < 0 {
		if len(e.talkers) >= voiceTalkers && !e.makePlace(a.at) {
			e.crowd++
			return
		}
		gain := e.settings[a.peer].gain()
		i = len(e.talkers)
		e.talkers = append(e.talkers, &talker{peer: a.peer, stream: NewStream(e.cfg.Jitter), want: gain, gain: gain, came: a.at})
	}
	t := e.talkers[i]
	t.heard = a.at
	a.packet.PCM = a.pcm[:a.n]
	t.stream.Push(a.at, a.packet)
}

// makePlace forgets the talker who has been silent for longest, if that is long: not everybody who sends has something
// to say.
func (e *Engine) makePlace(now time.Time) bool {
	silent := slices.MinFunc(e.talkers, func(a, b *talker) int { return a.last().Compare(b.last()) })
	if now.Sub(silent.last()) < voiceMute {
		return false
	}
	e.remove(func(t *talker) bool { return t == silent })
	return true
}

// last is when the talker was heard last, or came.
func (t *talker) last() time.Time {
	if t.sounded.IsZero() {
		return t.came
	}
	return t.sounded
}

// set changes what the user wants of a peer.
func (e *Engine) set(peer PeerID, change func(*setting)) {
	s, known := e.settings[peer]
	if !known && len(e.settings) >= voiceSettings {
		return
	}
	if change(&s); s == (setting{}) {
		delete(e.settings, peer)
	} else {
		e.settings[peer] = s
	}
	for _, t := range e.talkers {
		if t.peer == peer {
			t.want = s.gain()
		}
	}
}

// remove forgets talkers.
func (e *Engine) remove(which func(*talker) bool) {
	e.talkers = slices.DeleteFunc(e.talkers, func(t *talker) bool {
		if which(t) {
			e.silence(t)
			return true
		}
		return false
	})
}

// silence ends a talker's talking.
func (e *Engine) silence(t *talker) {
	if t.talking {
		t.talking = false
		e.cfg.Event(PeerTalking{Peer: t.peer})
	}
}

// play fills the room of the loudspeaker.
func (e *Engine) play(s Sink) {
	now := time.Now()
	n := min(max(s.Period(), 1), MaxPacketSamples)
	for range voiceBurst {
		if s.Room() < n {
			return
		}
		pcm := e.mix(now, n)
		if e.ducking {
			e.duck.Far(now, pcm)
		}
		s.Write(pcm)
	}
}

// playNothing lets time pass for the talkers while there is no loudspeaker: their buffers drain, and who talks is
// known.
func (e *Engine) playNothing(now time.Time) {
	if now.Sub(e.silent) > voiceBurst*FrameDuration {
		e.silent = now.Add(-FrameDuration)
	}
	for ; now.Sub(e.silent) >= FrameDuration; e.silent = e.silent.Add(FrameDuration) {
		e.mix(now, FrameSamples)
	}
}

// mix makes the next n samples for the loudspeaker.
func (e *Engine) mix(now time.Time, n int) []int16 {
	e.mixer.Begin(n)
	for _, t := range e.talkers {
		pcm := e.block[:n]
		state := t.stream.Read(now, pcm)
		if state == Playing && loud(pcm) {
			t.sounded = now
			if !t.talking {
				t.talking = true
				e.cfg.Event(PeerTalking{Peer: t.peer, On: true})
			}
		}
		want := t.want
		if e.deaf {
			want = 0
		}
		e.mixer.Add(pcm, t.gain, want)
		t.gain = want
	}
	e.mixer.End(e.mixed[:n])
	return e.mixed[:n]
}

func loud(pcm []int16) bool {
	for _, s := range pcm {
		if s >= audible || s <= -audible {
			return true
		}
	}
	return false
}

// Stats waits for the engine, which answers within a period. After Close it is zero.
func (e *Engine) Stats() VoiceStats {
	answer := make(chan VoiceStats, 1)
	e.post(func() { answer <- e.stats(time.Now()) })
	select {
	case s := <-answer:
		return s
	case <-e.done:
		return VoiceStats{}
	}
}

func (e *Engine) stats(now time.Time) VoiceStats {
	s := VoiceStats{
		Joined: e.joined.Load(), Muted: e.muted, Deaf: e.deaf, Talking: e.out.talking, Ducked: e.out.ducked,
		Captured: e.out.taken, Sent: e.out.sent, Skipped: e.out.skipped,
		Overflow: e.overflow.Load(), Foreign: e.foreign.Load(), Crowd: e.crowd,
	}
	if e.input.have {
		s.Input, s.InputLost = e.input.device.Name(), e.input.device.Lost()
	}
	if e.output.have {
		s.Output, s.Underruns = e.output.device.Name(), e.output.device.Underruns()
	}
	for _, t := range e.talkers {
		w := e.settings[t.peer]
		s.Talkers = append(s.Talkers, TalkerStats{Peer: t.peer, Talking: t.talking, GainDB: w.dB, Muted: w.muted,
			Quiet: now.Sub(t.heard), Stats: t.stream.Stats()})
	}
	return s
}
