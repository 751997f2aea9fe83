package mediatest

import (
	"math"
	"testing"

	"peerchat/media"
)

func near(t *testing.T, what string, got, want, tolerance float64) {
	t.Helper()
	if !(math.Abs(got-want) <= tolerance) {
		t.Errorf("%s is %v, want %v ± %v", what, got, want, tolerance)
	}
}

// floorDiv rounds down, as the program that made the reference values does.
func floorDiv(a, b int) int {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// reference is a sawtooth and noise under triangular envelopes, and noise to add.
func reference() (x, noise []int) {
	const n = 48000
	lcg := func(s uint32) []int {
		out := make([]int, n)
		for i := range out {
			s = s*1664525 + 1013904223
			out[i] = int(s>>16) - 32768
		}
		return out
	}
	triangle := func(i, p int) int {
		v := i*2%(2*p) - p
		return max(v, -v) * 1000 / p
	}
	x, noise = lcg(1), lcg(2)
	for i, v := range x {
		x[i] = floorDiv((i*97%16000-8000)*triangle(i, 4000), 1000) + floorDiv(v*triangle(i, 2286), 8000)
	}
	return x, noise
}

// The values are those of the Python package pystoi, version 0.4.1.
func TestSTOIAgreesWithTheReferenceImplementation(t *testing.T) {
	x, noise := reference()
	clean := make([]int16, len(x))
	for i, v := range x {
		clean[i] = int16(v)
	}
	for _, c := range []struct {
		divisor int
		want    float64
	}{{16, 0.9219027156931079}, {4, 0.45942151434633965}, {1, 0.11192847280606832}} {
		heard := make([]int16, len(x))
		for i := range heard {
			heard[i] = int16(min(max(x[i]+floorDiv(noise[i], c.divisor), math.MinInt16), math.MaxInt16))
		}
		near(t, "STOI with noise", STOI(clean, heard), c.want, 1e-6)
	}
	gaps := append([]int16(nil), clean...)
	for i := range gaps {
		if i/320%5 == 0 {
			gaps[i] = 0
		}
	}
	near(t, "STOI with gaps", STOI(clean, gaps), 0.7682915940481775, 1e-6)
	near(t, "STOI of the same", STOI(clean, clean), 1, 1e-9)
	near(t, "STOI of too little", STOI(clean[:4000], clean[:4000]), 0, 0)
}

func TestSTOIFallsWithNoise(t *testing.T) {
	voice := Speech(4*media.SampleRate, 1)
	last := 1.0
	for _, rms := range []float64{20, 200, 1000, 4000} {
		s := STOI(voice, Mix(voice, Noise(len(voice), 2, rms)))
		if s >= last {
			t.Errorf("with noise of %v the intelligibility is %.3f, not below %.3f with less", rms, s, last)
		}
		last = s
	}
	if last > 0.7 {
		t.Errorf("speech 6 dB below noise has intelligibility %.3f", last)
	}
}

func TestRatiosHaveTheirKnownValues(t *testing.T) {
	voice := Tone(16000, 500, 10000)
	half := make([]int16, len(voice))
	for i, s := range voice {
		half[i] = s / 2
	}
	near(t, "SNR at half the amplitude", SNR(voice, half), 6.02, 0.01)
	near(t, "segmental SNR at half the amplitude", SegmentalSNR(voice, half), 6.02, 0.01)
	near(t, "SNR of the same", SNR(voice, voice), 200, 0)
	near(t, "segmental SNR of the same", SegmentalSNR(voice, voice), 35, 0)
	near(t, "log-spectral distance of the same", LogSpectralDistance(voice, voice), 0, 0)
	noise := Noise(16000, 1, 1000)
	quiet := make([]int16, len(noise))
	for i, s := range noise {
		quiet[i] = int16(math.Round(float64(s) / 10))
	}
	near(t, "log-spectral distance of 20 dB", LogSpectralDistance(noise, quiet), 20, 0.5)
	near(t, "RMS of noise", RMS(noise), 1000, 20)
	near(t, "amplitude of a tone", Amplitude(voice, 500), 10000, 5)
	if beside := DB(Amplitude(voice, 707.3) / 10000); beside > -80 {
		t.Errorf("beside a tone there are %.1f dB", beside)
	}
	near(t, "RMS of a tone", RMS(voice), 10000/math.Sqrt2, 5)
}

func TestFFTFindsItsBins(t *testing.T) {
	const n = 64
	re, im := make([]float64, n), make([]float64, n)
	for i := range re {
		re[i] = 3 + 2*math.Cos(2*math.Pi*5*float64(i)/n) + math.Sin(2*math.Pi*9*float64(i)/n)
	}
	FFT(re, im)
	for k := range re {
		wantRe, wantIm := 0.0, 0.0
		switch k {
		case 0:
			wantRe = 3 * n
		case 5, n - 5:
			wantRe = n
		case 9:
			wantIm = -n / 2
		case n - 9:
			wantIm = n / 2
		}
		near(t, "re", re[k], wantRe, 1e-9)
		near(t, "im", im[k], wantIm, 1e-9)
	}
	one, zero := []float64{7}, []float64{0}
	FFT(one, zero)
	near(t, "FFT of one value", one[0], 7, 0)
}

func TestAlignFindsTheDelay(t *testing.T) {
	voice := Speech(16000, 3)
	for _, want := range []int{0, 1, 333, 2000, -777} {
		heard := make([]int16, len(voice)+3000)
		for i, s := range voice {
			if at := i + want; at >= 0 {
				heard[at] = s / 2
			}
		}
		lag, alike := Align(voice, heard, 2500)
		if lag != want || alike < 0.9 || alike > 1.001 {
			t.Errorf("a delay of %d is found as %d with correlation %.3f", want, lag, alike)
		}
	}
}

func TestSpeechIsReproducibleAndSpeechLike(t *testing.T) {
	a, b := Speech(5*16000, 7), Speech(5*16000, 7)
	quiet, loud := 0, 0
	for i := range a {
		if a[i] != b[i] {
			t.Fatal("the same seed says something else")
		}
	}
	for at := 0; at+320 <= len(a); at += 320 {
		switch r := RMS(a[at : at+320]); {
		case r < 100:
			quiet++
		case r > 1000:
			loud++
		}
	}
	if quiet < 25 || loud < 75 {
		t.Errorf("of 250 frames %d are quiet and %d loud: no pauses, or no voice", quiet, loud)
	}
	near(t, "root mean square of speech", RMS(a), 2068, 100)
	if STOI(a, Speech(5*16000, 8)) > 0.5 {
		t.Error("another seed says the same")
	}
}
