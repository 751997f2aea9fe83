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

// room is a loudspeaker and a microphone, and somebody who talks there.
type room struct {
	far, near []int16
	echo      float64       // dB, of the loudspeaker at the microphone
	delay     time.Duration // on the way
	turned    float64       // dB, by which the loudspeaker is turned up after a third of the time
}

// energies are what the microphone heard, and what of it was let through, as energy.
type energies struct{ heard, passed float64 }

func (e energies) share() float64 { return e.passed / math.Max(e.heard, 1) }

// run lets far be played and near be said, and returns the energy of the echo and of near that were let through after
// the first seconds.
func (r room) run(settle time.Duration) (echo, near energies) {
	var d media.Ducker
	noise := rand.New(rand.NewPCG(1, 2))
	gain := math.Pow(10, r.echo/20)
	at := func(pcm []int16, i int) float64 {
		if i < 0 || i >= len(pcm) {
			return 0
		}
		return float64(pcm[i])
	}
	lag := int(r.delay * media.SampleRate / time.Second)
	walls := []struct {
		late int // samples
		gain float64
	}{{0, 0.8}, {211, 0.4}, {701, 0.3}, {1999, 0.2}, {4001, 0.1}}
	for start := 0; start+media.FrameSamples <= len(r.far); start += media.FrameSamples {
		now := epoch().Add(time.Duration(start) * time.Second / media.SampleRate)
		for part := 0; part < media.FrameSamples; part += 160 {
			d.Far(now.Add(time.Duration(part)*time.Second/media.SampleRate), r.far[start+part:start+part+160])
		}
		var f media.Frame
		var echoed, said float64
		if start > len(r.far)/3 {
			gain = math.Pow(10, (r.echo+r.turned)/20)
		}
		for i := range f {
			e := 0.0
			for _, wall := range walls {
				e += gain * wall.gain * at(r.far, start+i-lag-wall.late)
			}
			n := at(r.near, start+i)
			f[i] = int16(max(min(e+n+20*noise.NormFloat64(), 32767), -32768))
			echoed += e * e
			said += n * n
		}
		hold := d.Near(now.Add(media.FrameDuration), &f)
		if now.Sub(epoch()) < settle {
			continue
		}
		echo.heard += echoed
		near.heard += said
		if !hold {
			near.passed += said
			if said == 0 || echoed > said { // what is talked over is not heard as an echo
				echo.passed += echoed
			}
		}
	}
	return echo, near
}

// louder is speech at a level in dB above that of mediatest.
func louder(pcm []int16, dB float64) []int16 {
	out := make([]int16, len(pcm))
	for i, s := range pcm {
		out[i] = int16(max(min(float64(s)*math.Pow(10, dB/20), 32767), -32768))
	}
	return out
}

func TestDuckerHoldsTheEchoBack(t *testing.T) {
	far := mediatest.Speech(20*media.SampleRate, 21)
	for _, echo := range []float64{-30, -20, -6, 0, 6} {
		for _, delay := range []time.Duration{0, ms(60), ms(150)} {
			e, _ := room{far: far, near: nil, echo: echo, delay: delay}.run(0)
			if e.share() > 0.01 {
				t.Errorf("an echo of %v dB after %v: %.2f %% of it goes back", echo, delay, 100*e.share())
			}
		}
	}
}

func TestDuckerLetsOneTalk(t *testing.T) {
	far, near := mediatest.Speech(40*media.SampleRate, 21), mediatest.Speech(40*media.SampleRate, 22)
	silence := make([]int16, len(far))
	clear(near[:10*media.SampleRate]) // others have been heard alone before
	for _, c := range []struct {
		what       string
		room       room
		settle     time.Duration
		near, echo float64 // shares let through: at least, at most
	}{
		{"nobody else talks", room{far: silence, near: near, echo: 0, delay: ms(60)}, 0, 1, 0},
		{"headphones", room{far: far, near: near, echo: -60, delay: ms(60)}, 10 * time.Second, 0.95, 1},
		{"both talk, a soft loudspeaker", room{far: far, near: near, echo: -25, delay: ms(60)}, 10 * time.Second, 0.95, 0.3},
		{"both talk, and one is 15 dB louder", room{far: louder(far, -15), near: near, echo: -3, delay: ms(60)}, 10 * time.Second, 0.95, 0.3},
		{"both talk, as loud as each other", room{far: far, near: near, echo: 0, delay: ms(60)}, 10 * time.Second, 0, 0.2},
	} {
		e, n := c.room.run(c.settle)
		t.Logf("%s: %.1f %% of what is said and %.1f %% of the echo are let through", c.what, 100*n.share(), 100*e.share())
		if n.share() < c.near || e.share() > c.echo {
			t.Errorf("%s: %.1f %% of what is said and %.1f %% of the echo are let through", c.what, 100*n.share(), 100*e.share())
		}
	}
}

func TestDuckerFollowsTheLoudspeaker(t *testing.T) {
	far := mediatest.Speech(60*media.SampleRate, 23)
	quiet := louder(far, -18)
	copy(quiet[20*media.SampleRate:], far[20*media.SampleRate:])
	// What is played gets louder, and the echo with it: that is no news.
	if e, _ := (room{far: quiet, echo: -10, delay: ms(80)}).run(0); e.share() > 0.005 {
		t.Errorf("when others get louder, %.2f %% of the echo goes back", 100*e.share())
	}
	// The loudspeaker is turned up: the echo goes back until that is learnt.
	if e, _ := (room{far: far, echo: -25, delay: ms(80), turned: 15}).run(30 * time.Second); e.share() > 0.02 {
		t.Errorf("10 s after the loudspeaker was turned up, %.2f %% of the echo goes back", 100*e.share())
	}
}

func TestDuckerIsQuietWithoutSound(t *testing.T) {
	var d media.Ducker
	var f media.Frame
	for i := range 100 {
		now := epoch().Add(time.Duration(i) * media.FrameDuration)
		if i > 50 {
			d.Far(now, make([]int16, 160))
		}
		if d.Near(now, &f) {
			t.Fatal("silence is held back from silence")
		}
	}
	if n := testing.AllocsPerRun(100, func() { d.Far(epoch(), f[:160]); d.Near(epoch(), &f) }); n != 0 {
		t.Errorf("a frame takes %v allocations", n)
	}
}
