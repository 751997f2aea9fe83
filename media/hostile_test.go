//go:build !race

package media_test

import (
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"peerchat/media"
	"peerchat/media/mediatest"
)

// attack is a talker's way to do harm: it changes the next packet.
type attack func(t *rapid.T, i int, p *media.Packet)

func attacks() []attack {
	return []attack{
		func(_ *rapid.T, i int, p *media.Packet) { p.Timestamp += uint32(i) * media.SampleRate }, // time races
		func(_ *rapid.T, i int, p *media.Packet) { p.Timestamp += uint32(i) << 30 },
		func(_ *rapid.T, i int, p *media.Packet) { p.Timestamp += uint32(i) * (1<<31 - 1) },
		func(_ *rapid.T, _ int, p *media.Packet) { p.Timestamp = 0 },                    // stands still
		func(_ *rapid.T, i int, p *media.Packet) { p.Timestamp -= uint32(2*i) * 320 },   // goes back
		func(_ *rapid.T, i int, p *media.Packet) { p.Timestamp += uint32(i) * 300 },     // overlaps in part
		func(_ *rapid.T, i int, p *media.Packet) { p.Timestamp += uint32(i%2) * 15999 }, // to and fro
		func(_ *rapid.T, i int, p *media.Packet) { p.Seq *= 97 },                        // numbers race
		func(_ *rapid.T, _ int, p *media.Packet) { p.Seq = 7 },
		func(_ *rapid.T, i int, p *media.Packet) { p.Seq += uint16(i/2) * 99 },
		func(_ *rapid.T, i int, p *media.Packet) { p.SSRC += uint32(i % 2) }, // the source flip-flops
		func(_ *rapid.T, i int, p *media.Packet) { p.SSRC += uint32(i % 2); p.Timestamp += uint32(i%2) << 20 },
		func(_ *rapid.T, i int, p *media.Packet) { p.SSRC += uint32(i / 2 % 2); p.Seq += uint16(i/2%2) * 9999 },
		func(_ *rapid.T, _ int, p *media.Packet) { p.PCM = p.PCM[:1] },               // a sample a packet
		func(_ *rapid.T, _ int, p *media.Packet) { p.PCM = append(p.PCM, p.PCM...) }, // copies that are none
		func(_ *rapid.T, i int, p *media.Packet) { p.PCM = p.PCM[:1+i*7919%320]; p.Marker = i%3 == 0 },
		func(_ *rapid.T, _ int, p *media.Packet) { p.Marker = true },
		func(t *rapid.T, _ int, p *media.Packet) {
			p.Seq, p.Timestamp, p.SSRC = rapid.Uint16().Draw(t, "seq"), rapid.Uint32().Draw(t, "ts"), uint32(rapid.IntRange(1, 3).Draw(t, "ssrc"))
		},
	}
}

// Whatever a talker sends, as fast as it may, its sound is never late by more than the bound, playback goes on, what is
// told stays within reason, and when it behaves again, it is heard again within 15 s.
func TestStreamBearsAHostileTalker(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := media.NewStream(media.JitterConfig{})
		out := make([]int16, 160)
		at := time.Duration(0)
		listen := func(heard func(state media.State)) {
			switch state := s.Read(epoch().Add(at), out); state {
			case media.Idle, media.Concealed, media.Playing:
				if heard != nil {
					heard(state)
				}
			default:
				t.Fatalf("at %v: state %d", at, state)
			}
			at += 10 * time.Millisecond
			now := s.Stats()
			if now.Delay > 450*time.Millisecond || now.Target > 450*time.Millisecond || now.Buffer > 64*40*time.Millisecond ||
				now.Jitter > time.Second || !(now.Loss >= 0 && now.Loss <= 1) || math.Abs(now.DriftPPM) > 1000 {
				t.Fatalf("at %v: %+v", at, now)
			}
		}
		i := 0
		for range rapid.IntRange(1, 4).Draw(t, "attacks") {
			attack := attacks()[rapid.IntRange(0, len(attacks())-1).Draw(t, "attack")]
			gap := rapid.SampledFrom([]int{0, 1, 2}).Draw(t, "pace") // 10 ms and a little less: 125 packets a second
			for range rapid.IntRange(1, 400).Draw(t, "packets") {
				p := numbered(i&0xffff, 0, 0)
				attack(t, i, &p)
				s.Push(epoch().Add(at), p)
				i++
				for range gap {
					listen(nil)
				}
			}
		}
		honest := mediatest.Speech(media.SampleRate, 5)
		frame := framesOf(honest)
		playing, periods := 0, 0
		for k := range 1000 {
			s.Push(epoch().Add(at), media.Packet{SSRC: 9, Seq: uint16(k), Timestamp: 77 + uint32(k*media.FrameSamples), PCM: slices.Clone(frame(k))})
			for range 2 {
				listen(func(state media.State) {
					if k >= 750 {
						periods++
						if state == media.Playing {
							playing++
						}
					}
				})
			}
		}
		if d := s.Stats().Delay; playing < periods-2 || d > 60*time.Millisecond {
			t.Fatalf("15 s after the attack %d of %d periods are heard, %v late", playing, periods, d)
		}
	})
}
