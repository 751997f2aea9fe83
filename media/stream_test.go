//go:build !race

package media_test

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"peerchat/media"
	"peerchat/media/mediatest"
)

// line is a sender, a network and a sound card with a clock each, in virtual time.
type line struct {
	stream *media.Stream
	ppm    float64                                                // the sender's clock against ours
	delay  func(i int) time.Duration                              // of packet i; less than 0: lost
	frame  func(i int) []int16                                    // of packet i; nil: the gate is shut
	heard  func(at time.Duration, out []int16, state media.State) // every period of the sound card
	period int                                                    // samples
	packet int                                                    // samples; 0: a frame

	redundant bool // packets carry the frame before theirs
}

// run lets the line run for so long. Packets are delivered in the order of their arrival.
func (l *line) run(long time.Duration) {
	type flying struct {
		at time.Duration
		p  media.Packet
	}
	var air []flying
	sent, seq, open := 0, 0, false
	var twice media.Redundancy
	out := make([]int16, l.period)
	step := time.Duration(l.period) * time.Second / media.SampleRate
	size := media.FrameSamples
	if l.packet > 0 {
		size = l.packet
	}
	interval := float64(size) * float64(time.Second) / media.SampleRate / (1 + l.ppm/1e6)
	for at := time.Duration(0); at < long; at += step {
		for ; time.Duration(float64(sent)*interval) <= at; sent++ {
			pcm := l.frame(sent)
			if pcm == nil {
				open = false
				continue
			}
			p := media.Packet{SSRC: 1, Seq: uint16(seq), Timestamp: uint32(sent * size), Marker: !open, PCM: pcm}
			if l.redundant {
				var payload []byte
				payload, p.Timestamp = twice.Append(nil, p.Timestamp, (*media.Frame)(pcm), p.Marker)
				p.PCM = make([]int16, len(payload)/2)
				if _, err := media.ParseL16(p.PCM, payload); err != nil {
					panic(err)
				}
			}
			open = true
			seq++
			d := l.delay(sent)
			if d < 0 {
				continue
			}
			f := flying{time.Duration(float64(sent)*interval) + d, p}
			air = append(air, f)
			for i := len(air) - 1; i > 0 && air[i-1].at > air[i].at; i-- {
				air[i], air[i-1] = air[i-1], air[i]
			}
		}
		n := 0
		for n < len(air) && air[n].at <= at {
			l.stream.Push(epoch().Add(air[n].at), air[n].p)
			n++
		}
		air = air[:copy(air, air[n:])]
		state := l.stream.Read(epoch().Add(at), out)
		if l.heard != nil {
			l.heard(at, out, state)
		}
	}
}

func framesOf(voice []int16) func(i int) []int16 {
	return func(i int) []int16 {
		at := i * media.FrameSamples % (len(voice) - media.FrameSamples)
		return voice[at : at+media.FrameSamples]
	}
}

func steady(d time.Duration) func(int) time.Duration { return func(int) time.Duration { return d } }

func TestStreamIsTransparentOverAGoodNetwork(t *testing.T) {
	voice := mediatest.Speech(10*media.SampleRate, 1)
	var heard []int16
	l := line{stream: media.NewStream(media.JitterConfig{}), delay: steady(ms(2)), frame: framesOf(voice), period: 160,
		heard: func(_ time.Duration, out []int16, _ media.State) { heard = append(heard, out...) }}
	l.run(60 * time.Second)
	// The voice repeats every 499 frames; by the end the delay has settled.
	const cycle = 499 * media.FrameSamples
	heard = heard[5*cycle : 6*cycle]
	lag, alike := mediatest.Align(voice[:cycle], heard, 2000)
	if lag > 25*16 || alike < 0.75 {
		t.Errorf("the voice is heard %d ms late, and %.3f alike", lag/16, alike)
	}
	if s := mediatest.STOI(voice[:cycle-lag], heard[lag:]); s < 0.98 {
		t.Errorf("the voice has intelligibility %.4f", s)
	}
	s := l.stream.Stats()
	if s.Concealed != 0 || s.Delay > ms(25) {
		t.Errorf("over a good network %d samples are concealed, and the delay is %v", s.Concealed, s.Delay)
	}
}

func TestStreamDelayFollowsTheJitter(t *testing.T) {
	voice := mediatest.Speech(30*media.SampleRate, 2)
	r := rand.New(rand.NewPCG(1, 2))
	for _, jitter := range []float64{1, 10, 30, 80} {
		l := line{stream: media.NewStream(media.JitterConfig{}), frame: framesOf(voice), period: 160,
			delay: func(int) time.Duration { return ms(jitter * r.Float64()) }}
		l.run(20 * time.Second)
		before := l.stream.Stats()
		l.run(0)
		if before.Delay > ms(25+jitter) {
			t.Errorf("with a jitter of %v ms the delay is %v", jitter, before.Delay)
		}
		if lost := before.Late + before.Dropped; lost > 1000*5/100 {
			t.Errorf("with a jitter of %v ms %d of 1000 packets are late or dropped", jitter, lost)
		}
		t.Logf("jitter %v ms: delay %v, target %v, late %d, dropped %d, concealed %d ms", jitter, before.Delay, before.Target,
			before.Late, before.Dropped, before.Concealed/16)
	}
}

func TestStreamComesBackAfterAStorm(t *testing.T) {
	voice := mediatest.Speech(30*media.SampleRate, 3)
	r := rand.New(rand.NewPCG(3, 4))
	l := line{stream: media.NewStream(media.JitterConfig{}), frame: framesOf(voice), period: 160,
		delay: func(i int) time.Duration {
			if i > 500 && i < 1000 {
				return ms(150 * r.Float64())
			}
			return ms(1)
		}}
	var worst time.Duration
	l.heard = func(at time.Duration, _ []int16, _ media.State) { worst = max(worst, l.stream.Stats().Delay) }
	l.run(45 * time.Second)
	if d := l.stream.Stats().Delay; worst < ms(60) || worst > ms(200) || d > ms(30) {
		t.Errorf("in a storm of 150 ms the delay is up to %v, and %v 25 s afterwards", worst, d)
	}
}

// Two clocks that are 200 ppm apart drift apart by 17 seconds in a day.
func TestStreamFollowsDriftingClocksForADay(t *testing.T) {
	silence := make([]int16, media.MaxPacketSamples)
	var least, most time.Duration = time.Hour, 0
	var gaps int
	l := line{stream: media.NewStream(media.JitterConfig{}), ppm: 200, period: len(silence), packet: len(silence), frame: func(int) []int16 { return silence },
		delay: func(i int) time.Duration { return time.Duration(i*7919%5) * time.Millisecond }}
	l.heard = func(at time.Duration, _ []int16, state media.State) {
		switch {
		case at < time.Second:
		case state != media.Playing:
			gaps++
		case at > 2*time.Minute && at%time.Second == 0:
			d := l.stream.Stats().Delay
			least, most = min(least, d), max(most, d)
		}
	}
	l.run(24 * time.Hour)
	s := l.stream.Stats()
	if gaps != 0 || s.Late+s.Dropped+s.Lost != 0 {
		t.Errorf("there are %d underruns: %+v", gaps, s)
	}
	if most-least > ms(10) {
		t.Errorf("the delay goes from %v to %v", least, most)
	}
	if math.Abs(s.DriftPPM-l.ppm) > 2 {
		t.Errorf("a drift of %v ppm is estimated as %.1f", l.ppm, s.DriftPPM)
	}
}

func TestStreamFollowsAVoiceWithPausesAndDriftingClocks(t *testing.T) {
	voice := mediatest.Speech(20*media.SampleRate, 4)
	for _, ppm := range []float64{-200, 0, 100} {
		frames := framesOf(voice)
		var said, made int
		l := line{stream: media.NewStream(media.JitterConfig{}), ppm: ppm, period: 160,
			delay: func(i int) time.Duration { return time.Duration(i*7919%8) * time.Millisecond }}
		l.frame = func(i int) []int16 {
			if i/100%3 == 2 { // 4 s of talk, 2 s of pause
				return nil
			}
			said++
			return frames(i)
		}
		l.heard = func(_ time.Duration, _ []int16, state media.State) {
			if state == media.Concealed {
				made++
			}
		}
		l.run(10 * time.Minute)
		s := l.stream.Stats()
		if s.Late+s.Dropped+s.Lost > 10 || s.Played < uint64(said-10) || made > 100*7 {
			t.Errorf("at %v ppm of %d packets %d are played, and %d periods concealed at the end of 100 talk-spurts: %+v", ppm, said, s.Played, made, s)
		}
		if s.Delay > ms(35) {
			t.Errorf("at %v ppm the delay is %v", ppm, s.Delay)
		}
	}
}

func TestStreamTakesNoMemory(t *testing.T) {
	s := media.NewStream(media.JitterConfig{})
	voice := mediatest.Speech(4*media.SampleRate, 9)
	frame := framesOf(voice)
	out := make([]int16, 160)
	i := 0
	step := func() {
		now := epoch().Add(time.Duration(i) * media.FrameDuration)
		if i%10 != 3 {
			s.Push(now, media.Packet{SSRC: 1, Seq: uint16(i), Timestamp: uint32(i * 320), PCM: frame(i)})
		}
		s.Read(now, out)
		s.Read(now.Add(ms(10)), out)
		i++
	}
	for range 200 {
		step()
	}
	if n := testing.AllocsPerRun(500, step); n != 0 {
		t.Errorf("a frame takes %v allocations", n)
	}
}

func BenchmarkStream(b *testing.B) {
	s := media.NewStream(media.JitterConfig{})
	frame := framesOf(mediatest.Speech(4*media.SampleRate, 9))
	out := make([]int16, 320)
	i := 0
	b.ReportAllocs()
	for b.Loop() {
		now := epoch().Add(time.Duration(float64(i) * float64(media.FrameDuration) * 0.9999))
		s.Push(now, media.Packet{SSRC: 1, Seq: uint16(i), Timestamp: uint32(i * 320), PCM: frame(i)})
		s.Read(now, out)
		i++
	}
}
