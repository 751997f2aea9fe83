// Package mediatest makes sounds and measures them, for tests of voice: tones, noise, and a synthetic voice from a
// seed; spectra, signal-to-noise ratios, alignment, and the intelligibility measure STOI. It is pure, and imported only
// by tests.
//
// Sound is 16-bit, one channel, 16,000 samples a second, as in package media.
package mediatest

import (
	"math"
	"math/rand/v2"

	"peerchat/media"
)

// Tone is n samples of a sine of hz at a peak of amplitude (0 to 32767), beginning at phase 0.
func Tone(n int, hz, amplitude float64) []int16 {
	return Sampled(n, media.SampleRate, func(t float64) float64 { return amplitude * math.Sin(2*math.Pi*hz*t) })
}

// Chirp is n samples of a sine that goes from one frequency to another, linearly.
func Chirp(n int, from, to, amplitude float64) []int16 {
	total := float64(n) / media.SampleRate
	return Sampled(n, media.SampleRate, func(t float64) float64 {
		return amplitude * math.Sin(2*math.Pi*(from*t+(to-from)*t*t/(2*total)))
	})
}

// Sampled is n samples, rate a second, of a function of the time in seconds, rounded and clipped.
func Sampled(n int, rate float64, f func(t float64) float64) []int16 {
	pcm := make([]int16, n)
	for i := range pcm {
		pcm[i] = round(f(float64(i) / rate))
	}
	return pcm
}

// Noise is n samples of white Gaussian noise with the given root mean square.
func Noise(n int, seed uint64, rms float64) []int16 {
	r := rand.New(rand.NewPCG(seed, 0x6e6f697365))
	pcm := make([]int16, n)
	for i := range pcm {
		pcm[i] = round(r.NormFloat64() * rms)
	}
	return pcm
}

// Mix is the clipped sum of two sounds, as long as the longer.
func Mix(a, b []int16) []int16 {
	if len(a) < len(b) {
		a, b = b, a
	}
	sum := append([]int16(nil), a...)
	for i, s := range b {
		sum[i] = round(float64(sum[i]) + float64(s))
	}
	return sum
}

func round(x float64) int16 {
	return int16(min(max(math.RoundToEven(x), math.MinInt16), math.MaxInt16))
}

// Speech is n samples of a synthetic voice: words of syllables, made of voiced sounds with a moving pitch of 90 to 250
// Hz and four formants, hisses and stops, with pauses between words. It means nothing, but has the time structure and
// the spectrum of speech. Its root mean square is about -24 dBFS. The seed chooses the speaker and what is said.
func Speech(n int, seed uint64) []int16 {
	s := &speaker{rand: rand.New(rand.NewPCG(seed, 0x766f696365))}
	s.pitch = 95 + 110*s.rand.Float64()
	s.size = 1 + 0.15*(s.pitch-150)/60 // a higher voice has a shorter throat
	for len(s.out) < n {
		for range 1 + s.rand.IntN(3) {
			s.syllable()
		}
		s.rest(0.04 + 0.1*s.rand.Float64())
		if s.rand.IntN(5) == 0 {
			s.rest(0.2 + 0.3*s.rand.Float64())
		}
	}
	out := s.out[:n]
	var power float64
	for _, v := range out {
		power += v * v
	}
	scale := 2068 / math.Sqrt(power/float64(max(n, 1))+1e-9)
	pcm := make([]int16, n)
	for i, v := range out {
		pcm[i] = round(v * scale)
	}
	return pcm
}

type speaker struct {
	rand  *rand.Rand
	pitch float64 // Hz, of this speaker
	size  float64 // factor of the formants
	phase float64 // of the glottis, 0 to 1
	tract [4]resonator
	now   [4]float64 // formants
	out   []float64
}

// resonator is a digital formant after Klatt (1980).
type resonator struct{ y1, y2 float64 }

func (r *resonator) step(x, hz, width float64) float64 {
	const t = 1.0 / media.SampleRate
	c := -math.Exp(-2 * math.Pi * width * t)
	b := 2 * math.Exp(-math.Pi*width*t) * math.Cos(2*math.Pi*hz*t)
	y := (1-b-c)*x + b*r.y1 + c*r.y2
	r.y1, r.y2 = y, r.y1
	return y
}

// The first four formants of vowels, in Hz, after Peterson and Barney (1952).
func vowels() [7][4]float64 {
	return [7][4]float64{{270, 2290, 3010, 3700}, {390, 1990, 2550, 3600}, {530, 1840, 2480, 3500}, {660, 1720, 2410, 3500},
		{730, 1090, 2440, 3400}, {570, 840, 2410, 3300}, {300, 870, 2240, 3200}}
}

func (s *speaker) syllable() {
	switch s.rand.IntN(3) {
	case 0:
		s.hiss(0.06+0.06*s.rand.Float64(), 2500+3500*s.rand.Float64())
	case 1:
		s.rest(0.03 + 0.03*s.rand.Float64())
		s.hiss(0.01, 1500+3000*s.rand.Float64())
	}
	v := vowels()
	s.vowel(0.1+0.15*s.rand.Float64(), v[s.rand.IntN(len(v))])
}

func (s *speaker) rest(seconds float64) {
	for range int(seconds * media.SampleRate) {
		s.out = append(s.out, 0.4*s.rand.NormFloat64())
	}
}

func (s *speaker) hiss(seconds, hz float64) {
	var r resonator
	n := int(seconds * media.SampleRate)
	for i := range n {
		s.out = append(s.out, 200*math.Sin(math.Pi*float64(i)/float64(n))*r.step(s.rand.NormFloat64(), hz, 1200))
	}
}

func (s *speaker) vowel(seconds float64, target [4]float64) {
	n := int(seconds * media.SampleRate)
	from := s.pitch * (0.9 + 0.35*s.rand.Float64())
	to := s.pitch * (0.85 + 0.25*s.rand.Float64())
	loud := 0.6 + 0.4*s.rand.Float64()
	if s.now[0] == 0 {
		s.now = target
	}
	tilt, last := 0.0, 0.0
	jitter := 1.0
	for i := range n {
		at := float64(i) / float64(n)
		s.phase += jitter * (from + (to-from)*at) / media.SampleRate
		if s.phase >= 1 {
			s.phase--
			jitter = 1 + 0.01*s.rand.NormFloat64()
		}
		// Rosenberg's glottal pulse, differentiated by the lips.
		g := 0.0
		switch {
		case s.phase < 0.4:
			g = 0.5 * (1 - math.Cos(math.Pi*s.phase/0.4))
		case s.phase < 0.56:
			g = math.Cos(math.Pi / 2 * (s.phase - 0.4) / 0.16)
		}
		g += 0.01 * s.rand.NormFloat64()
		x := g - last
		last = g
		tilt += 0.9 * (x - tilt)
		x = tilt * 4000
		for k := range s.tract {
			s.now[k] += (target[k] - s.now[k]) * 0.0012 // the tongue takes about 50 ms
			x = s.tract[k].step(x, min(s.now[k]*s.size, 7000), 50+0.03*s.now[k])
		}
		envelope := min(float64(i)/400, float64(n-i)/800, 1)
		s.out = append(s.out, x*envelope*loud)
	}
}
