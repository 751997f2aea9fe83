//go:build !race

package media_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"peerchat/media"
	"peerchat/media/mediatest"
)

func mixed(m *media.Mixer, blocks ...[]int16) []int16 {
	out := make([]int16, len(blocks[0]))
	m.Begin(len(out))
	for _, b := range blocks {
		m.Add(b, media.Unity, media.Unity)
	}
	m.End(out)
	return out
}

func TestMixerIsCommutativeAndSilenceIsNeutral(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, media.MaxPacketSamples).Draw(t, "samples")
		talkers := rapid.IntRange(1, 24).Draw(t, "talkers")
		gains := make([]media.Gain, talkers)
		blocks := make([][]int16, talkers)
		for i := range blocks {
			gains[i] = media.Gain(rapid.IntRange(0, int(media.MaxGain)).Draw(t, "gain"))
			blocks[i] = mediatest.Noise(n, rapid.Uint64().Draw(t, "seed"), 6000)
		}
		order := rapid.Permutation(indexes(talkers)).Draw(t, "order")
		var a, b media.Mixer
		x, y := make([]int16, n), make([]int16, n)
		for range 3 {
			a.Begin(n)
			b.Begin(n)
			for i := range blocks {
				a.Add(blocks[i], gains[i]/2, gains[i])
				b.Add(make([]int16, n), media.MaxGain, media.MaxGain)
				b.Add(blocks[order[i]], gains[order[i]]/2, gains[order[i]])
				b.Add(blocks[i], 0, 0)
			}
			a.End(x)
			b.End(y)
			if !slices.Equal(x, y) {
				t.Fatal("the order of talkers, or silence, changes the sum")
			}
			for i, s := range x {
				if s > 32000 || s < -32000 {
					t.Fatalf("sample %d of the sum is %d", i, s)
				}
			}
		}
	})
}

func indexes(n int) (out []int) {
	for i := range n {
		out = append(out, i)
	}
	return out
}

func TestMixerLeavesAloneWhatFits(t *testing.T) {
	var m media.Mixer
	a, b := mediatest.Speech(320, 1), mediatest.Tone(320, 300, 9000)
	if got := mixed(&m, a, b); !slices.Equal(got, mediatest.Mix(a, b)) {
		t.Error("a sum that fits is changed")
	}
}

func TestMixerSaturatesSoftly(t *testing.T) {
	var m media.Mixer
	loud := mediatest.Tone(media.SampleRate, 440, 30000)
	var out []int16
	for at := 0; at < len(loud); at += 160 {
		block := loud[at : at+160]
		out = append(out, mixed(&m, block, block, block)...)
	}
	out = out[1600:]
	fundamental := mediatest.Amplitude(out, 440)
	if fundamental < 29000 || fundamental > 32000 {
		t.Errorf("three full tones have an amplitude of %.0f", fundamental)
	}
	for k := 2.0; k < 10; k++ {
		if d := mediatest.DB(mediatest.Amplitude(out, 440*k) / fundamental); d > -55 {
			t.Errorf("harmonic %v of a limited tone is %.1f dB, the limiter distorts", k, d)
		}
	}
}

func TestMixerGivesTheGainBackSlowly(t *testing.T) {
	var m media.Mixer
	peak := slices.Repeat([]int16{30000, -30000}, 80)
	mixed(&m, peak, peak, peak)
	quiet := mediatest.Tone(2*media.SampleRate, 1000, 8000)
	last, steps := 0.0, 0
	var out []int16
	for at := 0; at < len(quiet); at += 160 {
		out = append(out, mixed(&m, quiet[at:at+160])...)
	}
	for at := 0; at+800 <= len(out); at += 800 {
		level := mediatest.RMS(out[at : at+800])
		if level < last*0.99 {
			t.Errorf("the level falls from %.0f to %.0f after a peak: the limiter pumps", last, level)
		}
		if level > last*1.4 && at > 0 {
			t.Errorf("the level jumps from %.0f to %.0f within 50 ms", last, level)
		}
		if level < 0.97*8000/math.Sqrt2 {
			steps++
		}
		last = level
	}
	if steps < 3 || last < 0.99*8000/math.Sqrt2 {
		t.Errorf("after a peak the gain is back after %d steps of 50 ms, at last %.0f", steps, last)
	}
}

func TestMixerFollowsGains(t *testing.T) {
	var m media.Mixer
	ones := slices.Repeat([]int16{10000}, 320)
	out := make([]int16, 320)
	m.Begin(320)
	m.Add(ones, 0, media.Unity)
	m.End(out)
	for i, s := range out {
		if want := 10000 * i / 320; math.Abs(float64(int(s)-want)) > 4 {
			t.Fatalf("sample %d of a fade is %d, want %d", i, s, want)
		}
	}
	for dB, want := range map[float64]media.Gain{0: 4096, 6.0206: 8192, -6.0206: 2048, 40: media.MaxGain, -96: 0, math.Inf(-1): 0, math.NaN(): 0} {
		if got := media.GainOf(dB); got != want {
			t.Errorf("%v dB is a gain of %d, want %d", dB, got, want)
		}
	}
	m.Begin(10000)
	m.Add(make([]int16, 10000), 1<<30, -5)
	m.End(make([]int16, 5)) // too much of anything is cut
}

func TestMixerTakesNoMemory(t *testing.T) {
	var m media.Mixer
	loud, out := mediatest.Noise(320, 1, 20000), make([]int16, 320)
	if n := testing.AllocsPerRun(100, func() {
		m.Begin(320)
		m.Add(loud, 2*media.Unity, media.Unity)
		m.Add(loud, 5000, 5000)
		m.End(out)
	}); n != 0 {
		t.Errorf("a block takes %v allocations", n)
	}
}

func BenchmarkMix24(b *testing.B) {
	var m media.Mixer
	r := rand.New(rand.NewPCG(1, 1))
	blocks := make([][]int16, 24)
	for i := range blocks {
		blocks[i] = mediatest.Noise(320, r.Uint64(), 3000)
	}
	out := make([]int16, 320)
	b.ReportAllocs()
	for b.Loop() {
		m.Begin(320)
		for _, p := range blocks {
			m.Add(p, 5000, 5000)
		}
		m.End(out)
	}
}
