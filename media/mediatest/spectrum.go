package mediatest

import (
	"math"
	"math/bits"

	"peerchat/media"
)

// FFT transforms re and im in place; their length is a power of two.
func FFT(re, im []float64) {
	n := len(re)
	if n == 0 || n&(n-1) != 0 || len(im) != n {
		panic("mediatest: the length of an FFT is a power of two")
	}
	shift := 64 - bits.TrailingZeros(uint(n))
	for i := range n {
		if j := int(bits.Reverse64(uint64(i)) >> shift); n > 1 && i < j {
			re[i], re[j] = re[j], re[i]
			im[i], im[j] = im[j], im[i]
		}
	}
	for size := 2; size <= n; size *= 2 {
		for k := range size / 2 {
			sin, cos := math.Sincos(-2 * math.Pi * float64(k) / float64(size))
			for i := k; i < n; i += size {
				j := i + size/2
				a, b := re[j]*cos-im[j]*sin, re[j]*sin+im[j]*cos
				re[j], im[j] = re[i]-a, im[i]-b
				re[i], im[i] = re[i]+a, im[i]+b
			}
		}
	}
}

// Amplitude is the peak amplitude of the sine of hz in pcm at 16 kHz, by Goertzel's algorithm under a Hann window:
// other frequencies more than 4/(duration of pcm) away add less than -60 dB of theirs.
func Amplitude(pcm []int16, hz float64) float64 { return AmplitudeAt(pcm, media.SampleRate, hz) }

// AmplitudeAt is Amplitude at another sample rate.
func AmplitudeAt(pcm []int16, rate, hz float64) float64 {
	n := len(pcm)
	w := 2 * math.Pi * hz / rate
	c := 2 * math.Cos(w)
	var s1, s2, sum float64
	for i, x := range pcm {
		win := 0.5 - 0.5*math.Cos(2*math.Pi*(float64(i)+0.5)/float64(n))
		sum += win
		s1, s2 = float64(x)*win+c*s1-s2, s1
	}
	power := s1*s1 + s2*s2 - c*s1*s2
	return 2 * math.Sqrt(max(power, 0)) / sum
}

// RMS is the root mean square.
func RMS(pcm []int16) float64 {
	var sum float64
	for _, s := range pcm {
		sum += float64(s) * float64(s)
	}
	return math.Sqrt(sum / float64(max(len(pcm), 1)))
}

// DB is a ratio of amplitudes in decibels, at least -200.
func DB(ratio float64) float64 { return 20 * math.Log10(max(ratio, 1e-10)) }
