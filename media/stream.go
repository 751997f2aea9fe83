package media

import "time"

// Stream is one talker's way from packets to sound: a Jitter buffer, a Concealer for what lacks, Shorten and Lengthen
// to come back to the target delay, and a Drift loop for the difference of the two clocks. Push and Read are called by
// one goroutine.
type Stream struct {
	jitter  *Jitter
	conceal Concealer
	drift   Drift
	speed   *Varispeed

	ready   [MaxPacketSamples * 4]int16 // made, not yet read: the first n
	n       int
	state   State // of what is ready
	scratch [MaxPacketSamples + stretchMax]int16
	delay   float64 // samples, average
}

// Stats counts since the Stream was made.
type Stats struct {
	JitterStats
	Delay    time.Duration // from a sample's arrival to its Read, averaged over about two seconds
	DriftPPM float64       // how much faster the sender's clock is than that of the playback
}

// NewStream makes a silent stream.
func NewStream(cfg JitterConfig) *Stream {
	return &Stream{jitter: NewJitter(cfg), speed: NewVarispeed()}
}

// Push takes a packet at its arrival; its samples are copied.
func (s *Stream) Push(now time.Time, p Packet) Verdict {
	v := s.jitter.Push(now, p)
	if v == Restarted {
		s.drift = Drift{}
	}
	return v
}

// Read fills out with the sound that the playback clock, at now, needs next: any number of samples, usually the sound
// card's period. It says what is in it; where states are mixed, the last of them.
func (s *Stream) Read(now time.Time, out []int16) State {
	s.jitter.raster(len(out))
	if excess, known := s.jitter.drifting(); known {
		s.drift.Update(len(out), excess)
	} else {
		s.drift.Update(len(out), 0)
	}
	for done := 0; done < len(out); {
		rest := out[done:]
		for s.n == 0 || s.n < len(rest) && s.n < FrameSamples {
			s.make(now, min(len(rest)-s.n, FrameSamples), done+s.n)
		}
		k := copy(rest, s.ready[:s.n])
		done += k
		s.n = copy(s.ready[:], s.ready[k:s.n])
	}
	return s.state
}

// make makes about want samples ready, or those of one packet, that are heard after lead others of this Read.
func (s *Stream) make(now time.Time, want, lead int) {
	p := s.jitter.Pull(now, want, lead)
	s.state = p.State
	pcm := s.scratch[:p.N]
	switch p.State {
	case Playing:
		copy(pcm, p.PCM)
		s.conceal.Good(pcm)
		if e := s.jitter.Excess(); e > jitterDead {
			n := Shorten(pcm, e)
			pcm = pcm[:p.N-n]
			s.jitter.Adjust(n)
		} else if e < -jitterDead {
			n := Lengthen(pcm, -e)
			pcm = pcm[:p.N+n]
			s.jitter.Adjust(-n)
		}
		wait := float64(p.Wait)*SampleRate/float64(time.Second) + float64(lead)
		s.delay += (wait - s.delay) / 100
	case Concealed:
		s.conceal.Conceal(pcm)
	case Idle:
		clear(pcm)
		s.conceal.Silence(p.N)
	}
	made := len(s.speed.Append(s.ready[:s.n], pcm, s.drift.PPM())) - s.n
	s.jitter.Adjust(len(pcm) - made)
	s.n += made
}

// Stats returns the counters.
func (s *Stream) Stats() Stats {
	return Stats{JitterStats: s.jitter.Stats(), Delay: duration(int64(s.delay)), DriftPPM: s.drift.Estimate()}
}
