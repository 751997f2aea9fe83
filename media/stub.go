package media

import "time"

// Declarations first; the bodies follow in the files that doc.go names.

// Packet is one received RTP packet. PCM is copied.
type Packet struct {
	SSRC      uint32
	Seq       uint16
	Timestamp uint32
	Marker    bool
	PCM       []int16 // 1 to MaxPacketSamples
}

// Verdict says what became of a packet.
type Verdict uint8

// Verdicts.
const (
	Queued Verdict = iota
	Late
	Duplicate
	Restarted // queued, and everything before is forgotten: another sender, or one that began anew
	Refused   // a bad length, or the first sign of a jump in time that the next packet must confirm
)

// JitterConfig bounds the delay; the zero value is good.
type JitterConfig struct {
	Safety  time.Duration // that all but the slowest packets come early; default 5 ms
	Initial time.Duration // wait of the first packet; default 20 ms
	Max     time.Duration // longest delay; default 400 ms
	Loss    float64       // share of packets that may come too late; default 0.01
}

// State says what a Stream played.
type State uint8

// States.
const (
	Idle State = iota
	Concealed
	Playing
)

// Stream is one talker's way from packets to samples.
type Stream struct{}

// NewStream makes an idle stream.
func NewStream(JitterConfig) *Stream { return &Stream{} }

// Push takes a packet at its arrival.
func (s *Stream) Push(now time.Time, p Packet) Verdict { return Queued }

// Read fills out (any length; the device's period) for the playback clock.
func (s *Stream) Read(now time.Time, out []int16) State { clear(out); return Idle }

// Stats returns the counters.
func (s *Stream) Stats() Stats { return Stats{} }

// Stats counts since the stream was made.
type Stats struct {
	Received, Lost, Late, Duplicate, Refused, Dropped, Restarts uint64        // packets
	Concealed                                                   uint64        // samples made up
	Delay                                                       time.Duration // of a sample between arrival and Read, average
	Target                                                      time.Duration
	DriftPPM                                                    float64
}

// Gain is a factor in 1/4096.
type Gain int32

// Gains.
const (
	Silent  Gain = 0
	Unity   Gain = 4096
	MaxGain Gain = 8 * Unity
)

// GainOf converts decibels.
func GainOf(dB float64) Gain { return Unity }

// Mixer sums talkers.
type Mixer struct{}

// Begin starts a block of n samples, at most MaxPacketSamples.
func (m *Mixer) Begin(n int) {}

// Add adds one talker's block; the gain goes from from to to over the block.
func (m *Mixer) Add(pcm []int16, from, to Gain) {}

// End writes the limited sum.
func (m *Mixer) End(out []int16) {}

// GateMode says what opens the gate.
type GateMode uint8

// Modes.
const (
	GateVoice GateMode = iota // voice activation
	GatePTT                   // push-to-talk
	GateOpen                  // always
)

// GateConfig is the gate's settings; the zero value is good.
type GateConfig struct {
	Threshold float64       // dBFS; 0: adaptive
	Hang      time.Duration // default 300 ms
	KeepAlive time.Duration // one silent frame that often while shut; default 5 s, negative: never
}

// Gate decides which frames are sent.
type Gate struct{}

// NewGate makes a shut gate.
func NewGate(GateConfig) *Gate { return &Gate{} }

// Set changes what the user wants: mode, muted, and whether the talk key is down (see PTT).
func (g *Gate) Set(mode GateMode, muted, key bool) {}

// Transmit is what to do with a frame.
type Transmit struct {
	Send    bool // send it (the gate may have faded it)
	Marker  bool // with the marker bit: a talk-spurt begins
	Talking bool // the user is heard
	Cue     bool // the user talks while muted: say so, once in a while
}

// Step judges one frame; the caller advances the RTP timestamp by FrameSamples in any case, the sequence number if Send.
func (g *Gate) Step(now time.Time, f *Frame) Transmit { return Transmit{} }

// PTT is the talk key of a terminal, which tells of presses and repeats but not of releases.
type PTT struct{}

// Key is a press or a repeat.
func (p *PTT) Key(now time.Time) {}

// Release is a release, where a terminal tells it, or the end of talking by another way.
func (p *PTT) Release(now time.Time) {}

// Down reports whether the user talks, and when to ask again (zero: only after the next Key).
func (p *PTT) Down(now time.Time) (down bool, wake time.Time) { return false, time.Time{} }

// AGC is the automatic gain of the microphone.
type AGC struct{}

// Process changes f in place; speech says whether the frame is to be learnt from (Gate.Speech).
func (a *AGC) Process(f *Frame, speech bool) {}

// Meter shows a level.
type Meter struct{}

// Level is a reading in dBFS, -96 at least.
type Level struct{ RMS, Peak, Hold float64 }

// Add measures samples.
func (m *Meter) Add(pcm []int16) {}

// Level is the present reading.
func (m *Meter) Level() Level { return Level{-96, -96, -96} }

// Resampler converts sample rate and channels to one channel, in a stream.
type Resampler struct{}

// NewResampler makes one; rates 4,000 to 384,000, channels 1 to 32.
func NewResampler(from, to, channels int) (*Resampler, error) { return &Resampler{}, nil }

// Append converts interleaved samples and appends what is ready.
func (r *Resampler) Append(dst, src []int16) []int16 { return dst }

// Flush appends what is left at the end of the stream.
func (r *Resampler) Flush(dst []int16) []int16 { return dst }
