//go:build !race

package media_test

import (
	"math"
	"testing"

	"pgregory.net/rapid"

	"peerchat/media"
	"peerchat/media/mediatest"
)

func resampled(t testing.TB, from, to, channels int, pcm []int16) []int16 {
	t.Helper()
	r, err := media.NewResampler(from, to, channels)
	if err != nil {
		t.Fatal(err)
	}
	return r.Flush(r.Append(nil, pcm))
}

func sine(n, rate int, hz, amplitude float64) []int16 {
	return mediatest.Sampled(n, float64(rate), func(t float64) float64 { return amplitude * math.Sin(2*math.Pi*hz*t) })
}

// middle leaves out the ends, where the filter sees silence.
func middle(pcm []int16) []int16 { return pcm[len(pcm)/8 : len(pcm)-len(pcm)/8] }

func TestResamplerPassesSpeechAndStopsTheRest(t *testing.T) {
	for _, rate := range []int{8000, 11025, 12000, 22050, 24000, 32000, 44100, 48000, 96000, 44056} {
		low := float64(min(rate, media.SampleRate))
		for _, part := range []float64{0.01, 0.1, 0.25, 0.4, 0.43} {
			hz := part * low
			got := mediatest.Amplitude(middle(resampled(t, rate, media.SampleRate, 1, sine(rate/2, rate, hz, 16000))), hz)
			if db := mediatest.DB(got / 16000); math.Abs(db) > 0.1 {
				t.Errorf("%d Hz to 16 kHz: a tone of %.0f Hz changes by %.2f dB", rate, hz, db)
			}
		}
		if rate <= media.SampleRate {
			continue
		}
		for hz := low/2 + 20; hz < float64(rate)/2; hz += 2000 {
			got := mediatest.RMS(middle(resampled(t, rate, media.SampleRate, 1, sine(rate/4, rate, hz, 32000))))
			if db := mediatest.DB(got / 32000 * math.Sqrt2); db > -75 {
				t.Errorf("%d Hz to 16 kHz: a tone of %.0f Hz comes through at %.1f dB", rate, hz, db)
			}
		}
	}
}

func TestResamplerMakesNoImages(t *testing.T) {
	up := middle(resampled(t, 8000, media.SampleRate, 1, sine(8000, 8000, 1000, 32000)))
	if db := mediatest.DB(mediatest.Amplitude(up, 7000) / 32000); db > -75 {
		t.Errorf("a tone of 1 kHz at 8 kHz has an image of %.1f dB at 16 kHz", db)
	}
}

func TestResamplerAveragesChannels(t *testing.T) {
	stereo := make([]int16, 2*4800)
	for i := range 4800 {
		stereo[2*i], stereo[2*i+1] = 3000, 1000
	}
	for _, s := range middle(resampled(t, 48000, 16000, 2, stereo)) {
		if s < 1999 || s > 2001 {
			t.Fatalf("3000 left and 1000 right are %d", s)
		}
	}
	if got := resampled(t, 16000, 16000, 2, []int16{1, 3, -32768, -32768, 5}); len(got) != 2 || got[0] != 2 || got[1] != -32768 {
		t.Errorf("stereo at the same rate is %d", got)
	}
}

func TestResamplerIsAStream(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		from := rapid.SampledFrom([]int{8000, 16000, 22050, 44100, 48000, 15999}).Draw(t, "from")
		to := rapid.SampledFrom([]int{16000, 48000, 8000}).Draw(t, "to")
		channels := rapid.IntRange(1, 3).Draw(t, "channels")
		frames := rapid.IntRange(0, 3000).Draw(t, "frames")
		pcm := mediatest.Noise(frames*channels, 1, 8000)
		r, err := media.NewResampler(from, to, channels)
		if err != nil {
			t.Fatal(err)
		}
		whole := r.Flush(r.Append(nil, pcm))
		if want := (frames*to + from - 1) / from; len(whole) != want {
			t.Fatalf("%d samples become %d, want %d", frames, len(whole), want)
		}
		var parts []int16
		for rest := pcm; len(rest) > 0; {
			n := rapid.IntRange(1, len(rest)).Draw(t, "part")
			parts = r.Append(parts, rest[:n])
			rest = rest[n:]
		}
		parts = r.Flush(parts)
		if len(parts) != len(whole) {
			t.Fatalf("in parts there are %d samples, at once %d", len(parts), len(whole))
		}
		for i := range whole {
			if whole[i] != parts[i] {
				t.Fatalf("sample %d is %d in parts, %d at once", i, parts[i], whole[i])
			}
		}
	})
}

func TestResamplerIsAligned(t *testing.T) {
	voice := mediatest.Speech(16000, 5)
	back := resampled(t, 48000, 16000, 1, resampled(t, 16000, 48000, 1, voice))
	if lag, alike := mediatest.Align(voice, back, 500); lag != 0 || alike < 0.98 {
		t.Errorf("there and back, the sound is %d samples late and %.4f alike", lag, alike)
	}
}

func TestResamplerRefusesWhatItCannotDo(t *testing.T) {
	for _, c := range [][3]int{{0, 16000, 1}, {16000, 3999, 1}, {384001, 16000, 1}, {48000, 16000, 0}, {48000, 16000, 33}, {-1, -1, -1}} {
		if _, err := media.NewResampler(c[0], c[1], c[2]); err == nil {
			t.Errorf("from %d to %d with %d channels is not refused", c[0], c[1], c[2])
		}
	}
}

func BenchmarkResample48kStereo(b *testing.B) {
	r, err := media.NewResampler(48000, 16000, 2)
	if err != nil {
		b.Fatal(err)
	}
	in, out := make([]int16, 2*960), make([]int16, 0, 1024)
	b.ReportAllocs()
	for b.Loop() {
		out = r.Append(out[:0], in)
	}
}
