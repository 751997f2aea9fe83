package media

import "time"

// GateMode says what opens the gate.
type GateMode uint8

// The modes.
const (
	GateVoice GateMode = iota // voice activation
	GatePTT                   // the talk key
	GateOpen                  // always open
)

// GateConfig sets the gate. Zero fields get the defaults.
type GateConfig struct {
	Threshold float64       // dBFS that opens it, in GateVoice; 0: learnt, 10 dB above the noise
	Hang      time.Duration // open after the voice ends; 300 ms
	KeepAlive time.Duration // a silent frame that often while it is shut; 5 s; less than 0: none
	Cue       time.Duration // between two cues; 10 s
}

// The gate's judgement, in dB and frames.
const (
	gateOver    = 10.0  // above the noise: voice
	gateUnder   = 6.0   // above the noise: voice goes on
	gateLowest  = -60.0 // no adaptive threshold is lower
	gateHighest = -25.0 // or higher
	gateStart   = -55.0 // the noise, while it is not known
	gateRise    = 0.03  // dB a frame: 1.5 dB a second, so that speech is not learnt as noise
	gateFall    = 0.2   // of the way down to a quieter frame
	fadeIn      = 48    // samples: 3 ms, too short to swallow a consonant
	cueFrames   = 15    // of voice while muted, in a row or nearly so, before the cue: 300 ms
)

// Transmit says what to do with a frame.
type Transmit struct {
	Send    bool // send the frame as it is now; else only its time passes: the RTP time stamp goes on, the sequence number does not
	Marker  bool // with the marker bit: the first of a talk-spurt
	Talking bool // listeners hear the user
	Speech  bool // it sounds like voice, whether it is sent or not
	Cue     bool // the user talks while muted: say so
}

// Gate decides which frames are sent. It opens with a short fade, and shuts with a frame that fades out
// and a silent one, which leaves listeners' concealment nothing to repeat.
type Gate struct {
	cfg    GateConfig
	mode   GateMode
	muted  bool
	key    bool
	ducked bool
	noise  float64
	speech bool
	voiced time.Time // the last frame with voice

	open    bool
	tail    bool // the next frame is the silent one after the last
	sent    time.Time
	begun   bool // sent is set
	talked  int  // frames of voice while muted
	cued    time.Time
	hasCued bool
}

// NewGate makes a gate that is shut, in GateVoice.
func NewGate(cfg GateConfig) *Gate {
	if cfg.Hang <= 0 {
		cfg.Hang = 300 * time.Millisecond
	}
	if cfg.KeepAlive == 0 {
		cfg.KeepAlive = 5 * time.Second
	}
	if cfg.Cue <= 0 {
		cfg.Cue = 10 * time.Second
	}
	return &Gate{cfg: cfg, noise: gateStart}
}

// Set changes what the user wants. muted shuts it in all modes; key is the talk key (PTT.Down), for GatePTT.
func (g *Gate) Set(mode GateMode, muted, key bool) { g.mode, g.muted, g.key = mode, muted, key }

// Duck shuts it in all modes while on, because the microphone hears the loudspeaker. Nothing is learnt from that.
func (g *Gate) Duck(on bool) { g.ducked = on }

// SetThreshold changes the level that opens it, in dBFS; 0: learnt.
func (g *Gate) SetThreshold(dB float64) { g.cfg.Threshold = dB }

// Threshold is the level in dBFS that opens it now, for the meter on the screen.
func (g *Gate) Threshold() float64 {
	if g.cfg.Threshold != 0 {
		return g.cfg.Threshold
	}
	return min(max(g.noise+gateOver, gateLowest), gateHighest)
}

// Step judges one frame of the microphone, and changes it if it is the first or last one that is heard.
func (g *Gate) Step(now time.Time, f *Frame) Transmit {
	if g.ducked {
		g.speech = false
	} else {
		g.listen(f)
	}
	if g.speech {
		g.voiced = now
	}
	t := Transmit{Speech: g.speech}
	want := !g.muted && !g.ducked && g.wants(now)
	switch {
	case want:
		t.Send, t.Talking, t.Marker = true, true, !g.open
		if !g.open {
			fade(f[:fadeIn], 0, 1)
		}
		g.tail = false
	case g.open:
		t.Send, t.Talking, g.tail = true, true, true
		fade(f[:], 1, 0)
	case g.tail:
		t.Send, g.tail = true, false
		clear(f[:])
	case g.cfg.KeepAlive > 0 && (!g.begun || now.Sub(g.sent) >= g.cfg.KeepAlive):
		t.Send = true
		clear(f[:])
	}
	g.open = want
	if t.Send {
		g.sent, g.begun = now, true
	}
	t.Cue = g.cue(now)
	return t
}

func (g *Gate) wants(now time.Time) bool {
	switch g.mode {
	case GateOpen:
		return true
	case GatePTT:
		return g.key
	}
	return g.speech || g.open && now.Sub(g.voiced) < g.cfg.Hang
}

// listen tells voice from noise by its level, and learns the noise: down fast, up slowly.
func (g *Gate) listen(f *Frame) {
	power, _ := measure(f[:])
	level := decibels(power)
	threshold := g.Threshold()
	if g.speech {
		threshold -= gateOver - gateUnder
	}
	g.speech = level >= threshold
	if level < g.noise {
		g.noise += (level - g.noise) * gateFall
	} else {
		g.noise = min(g.noise+gateRise, level)
	}
}

// cue reports that the user has talked into a muted microphone for a while, and has not been told lately.
func (g *Gate) cue(now time.Time) bool {
	if !g.muted {
		g.talked = 0
		return false
	}
	if g.speech {
		g.talked = min(g.talked+1, cueFrames)
	} else {
		g.talked = max(g.talked-2, 0)
	}
	if !g.speech || g.talked < cueFrames || g.hasCued && now.Sub(g.cued) < g.cfg.Cue {
		return false
	}
	g.talked, g.cued, g.hasCued = 0, now, true
	return true
}

// fade lets the gain go from one value to another, in a straight line.
func fade(pcm []int16, from, to float32) {
	step := (to - from) / float32(len(pcm))
	g := from
	for i, s := range pcm {
		g += step
		pcm[i] = clip(float32(s) * g)
	}
}
