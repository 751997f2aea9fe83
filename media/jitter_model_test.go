//go:build !race

package media_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"peerchat/media"
)

// stray is the number of packets that the talker did not send.
const stray = 1 << 29

// talk is a talker and a network, as far as a jitter buffer gets to see them. Frames are numbered in the order in which
// they are said.
type talk struct {
	t        *rapid.T
	arrivals []arrival
	at       time.Duration // the talker's clock
	n        int           // number of the next frame
	ssrc     uint32
	seq      uint16
	ts       uint32
	spread   int  // ms, most delay
	doubles  bool // the network doubles packets
	copies   bool
	twice    media.Redundancy
	restarts int
	strays   int
}

// say sends the next frame; delay less than 0: it is lost.
func (k *talk) say(marker bool, delay int) {
	payload, ts := media.AppendL16(nil, frameOf(k.n)[:]), k.ts
	if k.copies {
		payload, ts = k.twice.Append(nil, k.ts, frameOf(k.n), marker)
	}
	if delay >= 0 {
		p := parse(k.seq, ts, marker, payload)
		p.SSRC = k.ssrc
		k.arrivals = append(k.arrivals, arrival{k.at + ms(float64(delay)), p})
		if k.doubles && rapid.IntRange(0, 20).Draw(k.t, "again") == 0 {
			k.arrivals = append(k.arrivals, arrival{k.at + ms(float64(delay+rapid.IntRange(0, 500).Draw(k.t, "later"))), p})
		}
	}
	k.n++
	k.seq++
	k.pass(1)
}

// pass lets the talker be silent for so many frames.
func (k *talk) pass(frames int) {
	k.at += time.Duration(frames) * media.FrameDuration
	k.ts += uint32(frames * media.FrameSamples)
}

// trouble is what befalls the talker and the network: one of everything that there is.
func (k *talk) trouble() {
	t := k.t
	delay := rapid.IntRange(0, k.spread).Draw(t, "delay")
	switch rapid.IntRange(0, 40).Draw(t, "fate") {
	case 0, 1, 2, 3: // lost
		k.say(false, -1)
	case 4: // a pause before it, that is announced or not
		k.pass(rapid.IntRange(1, 100).Draw(t, "pause"))
		k.say(rapid.Bool().Draw(t, "marker"), delay)
	case 5: // the talker begins anew: what was on the way has come before
		if k.doubles || k.spread > 10 {
			k.at += ms(float64(k.spread + 600))
		}
		k.ssrc += uint32(rapid.IntRange(0, 1).Draw(t, "source"))
		k.seq += uint16(rapid.IntRange(1000, 60000).Draw(t, "seq"))
		k.ts += rapid.Uint32().Draw(t, "ts")
		k.twice = media.Redundancy{}
		k.restarts++
		k.say(true, delay)
	case 6: // time stamps jump
		k.at += ms(float64(k.spread + 600))
		k.ts += uint32(rapid.SampledFrom([]int{-1 << 20, -20000, -8000, -100, 100, 8000, 20000, 1 << 20, 1 << 30}).Draw(t, "jump"))
		k.say(rapid.Bool().Draw(t, "marker"), delay)
	case 7: // the link moves
		k.ssrc++
		k.say(false, delay)
	case 8: // somebody else throws a packet in, far away from where the talker is
		if k.n < 40 {
			k.say(false, delay) // it is not known yet where that is
			return
		}
		k.strays++
		p := numbered(stray, k.seq+uint16(rapid.IntRange(20000, 40000).Draw(t, "seq")), rapid.Uint32().Draw(t, "ts"))
		p.SSRC = k.ssrc + uint32(rapid.IntRange(0, 1).Draw(t, "source"))
		p.Seq -= uint16(stray & 0xffff)
		k.arrivals = append(k.arrivals, arrival{k.at + ms(float64(delay)), p})
		k.say(false, delay)
	case 9:
		k.copies = !k.copies
		k.twice = media.Redundancy{}
		k.say(false, delay)
	default:
		k.say(false, delay)
	}
}

// listener pulls from a jitter buffer as a sound card would, and judges what it gets.
type listener struct {
	*media.Jitter
	most      time.Duration // that a packet may wait
	heard     []int
	wait      time.Duration // of the last packet
	concealed int           // samples in a row
	left      int           // samples of the frame that is being played
}

// period takes n samples at the time at. The string says what is wrong.
func (l *listener) period(at time.Duration, n int) (wrong string) {
	for l.left < n {
		want := n - l.left
		p := l.Pull(epoch().Add(at), want, l.left)
		switch {
		case p.N <= 0:
			return "nothing is given out: playback would stand still"
		case p.State == media.Playing && p.N != len(p.PCM), p.State != media.Playing && p.N > want:
			return fmt.Sprintf("of %d samples %d are given out, state %d", want, p.N, p.State)
		case p.State == media.Playing && (p.Wait < 0 || p.Wait > l.most):
			return fmt.Sprintf("a packet waits %v, at most %v is right", p.Wait, l.most)
		}
		l.left += p.N
		if p.State == media.Playing {
			l.wait = p.Wait
		}
		if p.State != media.Concealed {
			l.concealed = 0
		} else if l.concealed += p.N; l.concealed > 60*16+want {
			return fmt.Sprintf("%d samples in a row are made up", l.concealed)
		}
		// A packet of 40 ms that begins a stream is given out whole: it has two numbers.
		for pcm := p.PCM; p.State == media.Playing && len(pcm) > 0; pcm = pcm[media.FrameSamples:] {
			i := int(pcm[0]) | int(pcm[1])<<15
			if i < 0 || i >= stray {
				return fmt.Sprintf("packet %d is played, which the talker did not send", i)
			}
			if last := len(l.heard) - 1; last >= 0 && i <= l.heard[last] {
				return fmt.Sprintf("frame %d is played after %d", i, l.heard[last])
			}
			if !slices.Equal(pcm[:media.FrameSamples], frameOf(i)[:]) {
				return fmt.Sprintf("frame %d is not played as it was sent", i)
			}
			l.heard = append(l.heard, i)
		}
	}
	l.left -= n
	return ""
}

// Whatever befalls talker and network: no frame is heard twice, none after a later one, none that was not sent; none
// waits longer than it may; and once the network is good, all is heard.
func TestJitterPlaysAsItShould(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		most := ms(float64(rapid.IntRange(60, 500).Draw(t, "max")))
		k := &talk{
			t: t, ssrc: 1, seq: rapid.Uint16().Draw(t, "seq"), ts: rapid.Uint32().Draw(t, "ts"),
			spread: rapid.SampledFrom([]int{0, 1, 10, 40, 100, 400}).Draw(t, "spread"), doubles: rapid.Bool().Draw(t, "doubles"), copies: rapid.Bool().Draw(t, "copies"),
		}
		for range rapid.IntRange(0, 300).Draw(t, "packets") {
			k.trouble()
		}
		// Afterwards the network is good.
		good := k.n
		k.at += ms(float64(k.spread + 600))
		k.ts += uint32(k.spread+600) * 16
		for range 600 {
			k.say(false, 0)
		}
		slices.SortStableFunc(k.arrivals, func(a, b arrival) int { return int(a.at - b.at) })

		period := rapid.SampledFrom([]int{80, 160, 320, 640}).Draw(t, "period")
		step := time.Duration(period) * time.Second / media.SampleRate
		l := &listener{Jitter: media.NewJitter(media.JitterConfig{Max: most}), most: most + step}
		todo := k.arrivals
		for at := time.Duration(0); at < k.at+3*time.Second; at += step {
			for len(todo) > 0 && todo[0].at <= at {
				l.Push(epoch().Add(todo[0].at), todo[0].p)
				todo = todo[1:]
			}
			if wrong := l.period(at, period); wrong != "" {
				t.Fatalf("at %v: %s", at, wrong)
			}
		}
		// Some are dropped, to come back to a short delay, while the last 500 waits are not all good. None is because
		// the buffer stalls.
		short := l.heard[max(0, len(l.heard)-80):]
		if short[0] != k.n-80 || short[79] != k.n-1 {
			t.Fatalf("of the last 80 frames of %d, over a network that has been good for 10 seconds, those from %d to %d are played: %+v",
				k.n, short[0], short[79], l.Stats())
		}
		if n := len(l.heard) - slices.IndexFunc(l.heard, func(i int) bool { return i >= good+100 }); n < 450 {
			t.Fatalf("of 500 frames over a good network %d are played: %+v", n, l.Stats())
		}
		s := l.Stats()
		sum := s.Played + s.Late + s.Duplicate + s.Refused + s.Dropped
		if s.Received != uint64(len(k.arrivals)) || sum > s.Received+s.Filled || k.restarts == 0 && s.Restarts == 0 && sum != s.Received+s.Filled {
			t.Fatalf("of %d packets there are counted %+v", len(k.arrivals), s)
		}
		if l.wait > ms(240)+step { // less is for Stream to take out
			t.Fatalf("after 12 s over a good network a packet waits %v", l.wait)
		}
		if s.Refused < uint64(k.strays) || s.Buffer != 0 || s.Loss < 0 || s.Loss > 1 || s.Jitter < 0 {
			t.Fatalf("%d strays, and an empty buffer, are counted as %+v", k.strays, s)
		}
	})
}
