//go:build !race

package media_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"peerchat/media"
	"peerchat/media/mediatest"
)

// frameOf is a frame that says its number.
func frameOf(i int) *media.Frame {
	f := media.Frame(numbered(i, 0, 0).PCM)
	return &f
}

// parse is a payload as a packet, as an Engine makes it.
func parse(seq uint16, timestamp uint32, marker bool, payload []byte) media.Packet {
	pcm := make([]int16, media.MaxPacketSamples)
	n, err := media.ParseL16(pcm, payload)
	if err != nil {
		panic(err) // it is ours
	}
	return media.Packet{SSRC: 1, Seq: seq, Timestamp: timestamp, Marker: marker, PCM: pcm[:n]}
}

// twice is n packets with copies, as stream is without.
func twice(n int, seq uint16, ts uint32, delay func(i int) time.Duration) (out []arrival) {
	var r media.Redundancy
	for i := range n {
		payload, at := r.Append(nil, ts+uint32(i*media.FrameSamples), frameOf(i), i == 0)
		if d := delay(i); d >= 0 {
			out = append(out, arrival{time.Duration(i)*media.FrameDuration + d, parse(seq+uint16(i), at, i == 0, payload)})
		}
	}
	return out
}

func TestRedundancyRepeatsTheFrameBefore(t *testing.T) {
	var r media.Redundancy
	for _, c := range []struct {
		what   string
		frame  int
		at     uint32
		marker bool
		want   []int // frames of the packet
	}{
		{"the first has none before it", 1, 1<<32 - 320, true, []int{1}},
		{"the time stamp wraps around", 2, 0, false, []int{1, 2}},
		{"and goes on", 3, 320, false, []int{2, 3}},
		{"after a pause", 4, 6400, false, []int{4}},
		{"a talk-spurt that follows at once", 5, 6720, true, []int{5}},
		{"and its second packet", 6, 7040, false, []int{5, 6}},
		{"the same time again", 7, 7040, false, []int{7}},
	} {
		payload, timestamp := r.Append(nil, c.at, frameOf(c.frame), c.marker)
		var want []int16
		for _, i := range c.want {
			want = append(want, frameOf(i)[:]...)
		}
		if got := parse(0, 0, false, payload).PCM; !slices.Equal(got, want) {
			t.Errorf("%s: the packet has %d samples of other frames than %v", c.what, len(got), c.want)
		}
		if want := c.at - uint32(len(c.want)-1)*media.FrameSamples; timestamp != want {
			t.Errorf("%s: its time stamp is %d, want %d", c.what, timestamp, want)
		}
	}
}

func TestJitterFillsALossFromTheNextPacket(t *testing.T) {
	// Every third packet is lost, and each seventh comes after the one behind it.
	j := media.NewJitter(media.JitterConfig{})
	heard, concealed := play(j, twice(600, 65400, 1<<32-50000, func(i int) time.Duration {
		switch {
		case i%3 == 1:
			return -1
		case i%7 == 0:
			return ms(25)
		}
		return ms(1)
	}), 14*time.Second)
	if len(heard) < 595 {
		t.Errorf("%d of 600 frames are played", len(heard))
	}
	for i := 1; i < len(heard); i++ {
		if heard[i].i <= heard[i-1].i {
			t.Fatalf("frame %d is played after %d", heard[i].i, heard[i-1].i)
		}
	}
	if concealed > 200*16 { // the way to the longer delay, and the end, which nobody announced
		t.Errorf("%d ms are concealed", concealed/16)
	}
	if s := j.Stats(); s.Filled < 195 || s.Lost > 3 || s.Duplicate > 100 || s.Received+s.Filled != s.Played+s.Late+s.Duplicate+s.Dropped {
		t.Errorf("the counters are %+v", s)
	}
}

func TestCopiesCostNoDelayWhereNothingIsLost(t *testing.T) {
	delay := func(i int) time.Duration { return time.Duration(i*7919%9) * time.Millisecond }
	single, double := media.NewJitter(media.JitterConfig{}), media.NewJitter(media.JitterConfig{})
	h1, c1 := play(single, stream(1000, 5, 7, delay), 21*time.Second)
	h2, c2 := play(double, twice(1000, 5, 7, delay), 21*time.Second)
	if !slices.Equal(h1, h2) || c1 != c2 {
		t.Errorf("with copies %d frames are played and %d samples concealed, without %d and %d, or at other times", len(h2), c2, len(h1), c1)
	}
	if s1, s2 := single.Stats(), double.Stats(); s1 != s2 {
		t.Errorf("with copies the counters are %+v\nwithout %+v", s2, s1)
	}
}

func TestJitterTakesPlainPacketsOfFortyMilliseconds(t *testing.T) {
	var arrivals []arrival
	for i := range 300 {
		if i%10 == 9 {
			continue // lost
		}
		p := media.Packet{SSRC: 1, Seq: uint16(i), Timestamp: uint32(2 * i * media.FrameSamples), PCM: make([]int16, 2*media.FrameSamples)}
		p.PCM[0] = int16(i)
		arrivals = append(arrivals, arrival{time.Duration(2*i) * media.FrameDuration, p})
	}
	j := media.NewJitter(media.JitterConfig{})
	heard, _ := play(j, arrivals, 13*time.Second)
	if s := j.Stats(); len(heard) != 270 || s.Filled != 0 || s.Lost != 29 {
		t.Errorf("%d of 270 packets are played: %+v", len(heard), s)
	}
}

// intelligibility is the STOI of voice over a line that loses packets, and the delay at its end.
func intelligibility(voice []int16, loss float64, redundant bool, seed uint64) (stoi float64, delay time.Duration) {
	r := rand.New(rand.NewPCG(seed, 1))
	var heard []int16
	frames := framesOf(voice)
	n := len(voice)/media.FrameSamples - 1
	l := line{stream: media.NewStream(media.JitterConfig{}), frame: func(i int) []int16 { return frames(i % n) }, period: 160, redundant: redundant,
		delay: func(int) time.Duration {
			if r.Float64() < loss {
				return -1
			}
			return ms(5 * r.Float64())
		},
		heard: func(_ time.Duration, out []int16, _ media.State) { heard = append(heard, out...) }}
	// The voice twice: when it is judged, the delay has settled.
	cycle := n * media.FrameSamples
	l.run(2*time.Duration(cycle)*time.Second/media.SampleRate + 100*time.Millisecond)
	heard = heard[cycle:]
	lag, _ := mediatest.Align(voice[:cycle], heard, 800)
	return mediatest.STOI(voice[:cycle-1600], heard[lag:]), l.stream.Stats().Delay
}

func TestRedundancyKeepsSpeechIntelligible(t *testing.T) {
	voice := mediatest.Speech(8*media.SampleRate, 5)
	for _, loss := range []float64{0, 0.05, 0.10, 0.20} {
		alone, d1 := intelligibility(voice, loss, false, 7)
		with, d2 := intelligibility(voice, loss, true, 7)
		t.Logf("%2.0f %% lost: STOI %.3f, %v; with the frame before in each packet %.3f, %v", 100*loss, alone, d1, with, d2)
		if with < 0.93 || with < alone-0.005 || d2 > d1+ms(25) {
			t.Errorf("at %.0f %% loss the intelligibility is %.3f with redundancy, %.3f without; the delay %v and %v", 100*loss, with, alone, d2, d1)
		}
	}
}
