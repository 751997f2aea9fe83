//go:build !race

package media_test

import (
	"bytes"
	"errors"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"peerchat/media"
	"peerchat/media/mediatest"
)

// stretched plays a sound with every frame made shorter or longer where that can be done.
func stretched(pcm []int16, change func(f []int16) int) (out []int16, by int) {
	buf := make([]int16, media.FrameSamples, 2*media.FrameSamples)
	for at := 0; at+media.FrameSamples <= len(pcm); at += media.FrameSamples {
		f := append(buf[:0], pcm[at:at+media.FrameSamples]...)
		n := change(f)
		by += n
		out = append(out, f[:len(f)+n]...)
	}
	return out, by
}

func TestStretchingKeepsThePitch(t *testing.T) {
	tone := mediatest.Tone(2*media.SampleRate, 200, 10000)
	shorter, less := stretched(tone, func(f []int16) int { return -media.Shorten(f, 200) })
	longer, more := stretched(tone, func(f []int16) int { return media.Lengthen(f, 200) })
	if less > -len(tone)/10 || more < len(tone)/10 {
		t.Errorf("a tone is made %d samples shorter, %d longer, of %d", -less, more, len(tone))
	}
	for name, pcm := range map[string][]int16{"shorter": shorter, "longer": longer} {
		if a := mediatest.Amplitude(pcm, 200); a < 9500 || a > 10200 {
			t.Errorf("made %s, a tone of 10000 has an amplitude of %.0f", name, a)
		}
		step := 0.0
		for i := 1; i < len(pcm); i++ {
			step = max(step, math.Abs(float64(pcm[i])-float64(pcm[i-1])))
		}
		if step > 1000 { // the tone's own are up to 785
			t.Errorf("made %s, a tone has a step of %.0f", name, step)
		}
	}
}

func TestStretchingLeavesNoiseAlone(t *testing.T) {
	noise := mediatest.Noise(10*media.FrameSamples, 1, 3000)
	if _, by := stretched(noise, func(f []int16) int { return -media.Shorten(f, 200) }); by != 0 {
		t.Errorf("loud noise is made %d samples shorter", -by)
	}
	if _, by := stretched(make([]int16, 3200), func(f []int16) int { return -media.Shorten(f, 100) }); by != -1000 {
		t.Errorf("10 frames of silence are made %d samples shorter, want 100 each", -by)
	}
}

func TestStretchingStaysWithinBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, media.MaxPacketSamples).Draw(t, "samples")
		want := rapid.IntRange(-10, 1000).Draw(t, "want")
		f := mediatest.Tone(n+rapid.IntRange(0, 300).Draw(t, "room"), rapid.Float64Range(50, 400).Draw(t, "hz"), 20000)[:n]
		whole := slices.Clone(f[:cap(f)])
		if k := media.Shorten(slices.Clone(f), want); k < 0 || k > max(want, 0) || k >= n {
			t.Fatalf("%d of %d samples are taken out, %d wanted", k, n, want)
		}
		k := media.Lengthen(f, want)
		if k < 0 || k > max(want, 0) || n+k > cap(f) {
			t.Fatalf("%d samples are put into %d with room for %d, %d wanted", k, n, cap(f), want)
		}
		if !slices.Equal(f[:cap(f)][n+k:], whole[n+k:]) {
			t.Fatal("samples beyond the end are changed")
		}
	})
}

func TestVarispeedChangesTheSpeedAndNothingElse(t *testing.T) {
	voice := mediatest.Mix(mediatest.Tone(10*media.SampleRate, 1000, 8000), mediatest.Tone(10*media.SampleRate, 5000, 4000))
	for _, ppm := range []float64{0, 150, -150, 1000, -1000} {
		v := media.NewVarispeed()
		var out []int16
		for at := 0; at+media.FrameSamples <= len(voice); at += media.FrameSamples {
			out = v.Append(out, voice[at:at+media.FrameSamples], ppm)
		}
		if want := float64(len(voice)) / (1 + ppm/1e6); math.Abs(float64(len(out))-want) > 2 {
			t.Errorf("at %v ppm %d samples become %d, want %.0f", ppm, len(voice), len(out), want)
		}
		if ppm == 0 && !slices.Equal(out[12:1000], voice[:988]) {
			t.Error("at 0 ppm the sound changes")
		}
		for hz, want := range map[float64]float64{1000: 8000, 5000: 4000} {
			if got := mediatest.Amplitude(out[1000:], hz*(1+ppm/1e6)); math.Abs(mediatest.DB(got/want)) > 0.2 {
				t.Errorf("at %v ppm a tone of %v Hz and %v has an amplitude of %.0f", ppm, hz, want, got)
			}
			if d := mediatest.DB(mediatest.Amplitude(out[1000:], 16000-hz) / 8000); hz > 8000 && d > -60 {
				t.Errorf("at %v ppm there is an image of %.1f dB", ppm, d)
			}
		}
	}
}

func TestDriftLoopSettles(t *testing.T) {
	for _, ppm := range []float64{-500, -50, 20, 300} {
		var d media.Drift
		level, worst := 0.0, 0.0
		for i := range 50 * 1800 {
			level += media.FrameSamples * (ppm - d.PPM()) / 1e6
			d.Update(media.FrameSamples, int(math.Round(level)))
			if worst = max(worst, math.Abs(level)); i > 50*1200 && math.Abs(level) > 8 {
				t.Fatalf("at %v ppm the delay is %.1f samples off after %d s", ppm, level, i/50)
			}
		}
		if math.Abs(d.Estimate()-ppm) > 3 || worst > 16*8 {
			t.Errorf("%v ppm are estimated as %.1f, the delay is up to %.0f samples off", ppm, d.Estimate(), worst)
		}
	}
}

func TestConcealmentFadesToSilence(t *testing.T) {
	var c media.Concealer
	tone := mediatest.Tone(media.SampleRate, 150, 10000)
	for at := 0; at < 3200; at += 320 {
		c.Good(slices.Clone(tone[at : at+320]))
	}
	made := make([]int16, 6*320)
	for at := 0; at < len(made); at += 160 { // in parts, as a sound card asks
		c.Conceal(made[at : at+160])
	}
	if d := mediatest.SNR(tone[3200:3360], made[:160]); d < 20 {
		t.Errorf("the first 10 ms of a lost tone are made up with a ratio of %.1f dB", d)
	}
	for i, want := range []float64{7000, 7000 * 0.9, 7000 * 0.7, 7000 * 0.5, 7000 * 0.3, 7000 * 0.12, 0, 0} {
		if got := mediatest.RMS(made[160*i : 160*(i+1)]); math.Abs(got-want) > 1200 {
			t.Errorf("from %d ms on it has a level of %.0f, want about %.0f", 10*i, got, want)
		}
	}
	// Coming back there is no click.
	back := slices.Clone(tone[3200+len(made):][:320])
	c.Good(back)
	for i, last := 0, made[len(made)-1]; i < len(back); i++ {
		if step := int(back[i]) - int(last); step > 900 || step < -900 {
			t.Fatalf("sample %d after a gap makes a step of %d", i, step)
		}
		last = back[i]
	}
}

func TestConcealmentOfSilenceIsSilence(t *testing.T) {
	var c media.Concealer
	out := mediatest.Tone(320, 100, 1000)
	c.Conceal(out)
	if mediatest.RMS(out) != 0 {
		t.Error("something is made of nothing")
	}
	c.Silence(5000)
	c.Good(mediatest.Tone(640, 100, 1000))
	c.Silence(5000)
	c.Conceal(out)
	if mediatest.RMS(out) != 0 {
		t.Error("a pause is filled with what was before it")
	}
}

func TestL16IsNetworkOrder(t *testing.T) {
	got := media.AppendL16(nil, []int16{1, -2, math.MinInt16})
	if !bytes.Equal(got, []byte{0, 1, 0xff, 0xfe, 0x80, 0}) {
		t.Errorf("1, -2 and the least sample are % x", got)
	}
	var f media.Frame
	for _, bad := range [][]byte{nil, {1}, {1, 2, 3}, make([]byte, 2*media.FrameSamples+2), make([]byte, 2*media.MaxPacketSamples+2)} {
		if _, err := media.ParseL16(f[:], bad); !errors.Is(err, media.ErrL16) {
			t.Errorf("a payload of %d bytes gives %v", len(bad), err)
		}
	}
}

func FuzzParseL16(f *testing.F) {
	f.Add([]byte{0, 1, 0xff, 0xfe})
	f.Fuzz(func(t *testing.T, payload []byte) {
		var pcm [media.MaxPacketSamples]int16
		n, err := media.ParseL16(pcm[:], payload)
		if err != nil {
			return
		}
		if !bytes.Equal(media.AppendL16(nil, pcm[:n]), payload) {
			t.Error("what was parsed encodes to something else")
		}
	})
}

func TestFramerCutsFrames(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pcm := mediatest.Noise(rapid.IntRange(0, 2000).Draw(t, "samples"), 1, 5000)
		var framer media.Framer
		var out []int16
		for rest := pcm; len(rest) > 0; {
			part := rest[:rapid.IntRange(1, len(rest)).Draw(t, "part")]
			rest = rest[len(part):]
			for full := false; len(part) > 0; {
				if part, full = framer.Write(part); full {
					out = append(out, framer.Frame()[:]...)
				}
			}
		}
		if !slices.Equal(out, pcm[:len(pcm)/media.FrameSamples*media.FrameSamples]) {
			t.Fatal("the frames are not the stream")
		}
	})
}
