package mediatest

import (
	"math"

	"peerchat/media"
)

// SNR is the ratio of the reference to the difference between the two, in dB, over their common length; at most 200.
func SNR(reference, heard []int16) float64 {
	signal, noise := energies(reference, heard)
	return min(10*math.Log10((signal+1e-10)/(noise+1e-10)), 200)
}

func energies(reference, heard []int16) (signal, noise float64) {
	for i := range min(len(reference), len(heard)) {
		r, d := float64(reference[i]), float64(reference[i])-float64(heard[i])
		signal += r * r
		noise += d * d
	}
	return signal, noise
}

// SegmentalSNR is the mean of the SNRs of frames of 20 ms, each of them between -10 and 35 dB as is usual, over
// frames of the reference above -55 dBFS; 0 if there is none.
func SegmentalSNR(reference, heard []int16) float64 {
	const quiet = 58 * 58
	var sum float64
	var n int
	for at := 0; at+media.FrameSamples <= min(len(reference), len(heard)); at += media.FrameSamples {
		signal, noise := energies(reference[at:at+media.FrameSamples], heard[at:])
		if signal < quiet*media.FrameSamples {
			continue
		}
		sum += min(max(10*math.Log10(signal/(noise+1e-10)), -10), 35)
		n++
	}
	return sum / float64(max(n, 1))
}

// LogSpectralDistance is how far apart the short-time spectra are, in dB: the mean over frames of 32 ms, half
// overlapping, of the root mean square difference of the log power spectra, floored 60 dB below the reference's loudest
// bin. 0 is the same.
func LogSpectralDistance(reference, heard []int16) float64 {
	const size = 512
	n := min(len(reference), len(heard))
	var frames [][2][]float64
	loudest := 0.0
	for at := 0; at+size <= n; at += size / 2 {
		a, b := powers(reference[at:at+size]), powers(heard[at:at+size])
		for _, p := range a {
			loudest = max(loudest, p)
		}
		frames = append(frames, [2][]float64{a, b})
	}
	floor := max(loudest*1e-6, 1e-3)
	var sum float64
	for _, f := range frames {
		var d float64
		for k := range f[0] {
			x := 10 * math.Log10(max(f[0][k], floor)/max(f[1][k], floor))
			d += x * x
		}
		sum += math.Sqrt(d / float64(len(f[0])))
	}
	return sum / float64(max(len(frames), 1))
}

// powers is the power spectrum of pcm, whose length is a power of two, under a Hann window.
func powers(pcm []int16) []float64 {
	n := len(pcm)
	re, im := make([]float64, n), make([]float64, n)
	for i, s := range pcm {
		re[i] = float64(s) * (0.5 - 0.5*math.Cos(2*math.Pi*(float64(i)+0.5)/float64(n)))
	}
	FFT(re, im)
	p := make([]float64, n/2+1)
	for k := range p {
		p[k] = re[k]*re[k] + im[k]*im[k]
	}
	return p
}

// Align finds by how many samples heard is later than reference, at most most either way, and how alike they are there:
// the normalised cross-correlation, 1 for the same up to a positive factor. It is searched by FFT, over all that
// overlaps.
func Align(reference, heard []int16, most int) (lag int, correlation float64) {
	size := 1
	for size < len(reference)+len(heard) {
		size *= 2
	}
	// conj(R)·H, by two transforms forth and one back.
	rr, ri := make([]float64, size), make([]float64, size)
	hr, hi := make([]float64, size), make([]float64, size)
	for i, s := range reference {
		rr[i] = float64(s)
	}
	for i, s := range heard {
		hr[i] = float64(s)
	}
	FFT(rr, ri)
	FFT(hr, hi)
	for k := range rr {
		// The inverse is the forward transform of the conjugate.
		re, im := rr[k]*hr[k]+ri[k]*hi[k], rr[k]*hi[k]-ri[k]*hr[k]
		rr[k], ri[k] = re, -im
	}
	FFT(rr, ri)
	energy := RMS(reference) * RMS(heard) * math.Sqrt(float64(len(reference))*float64(len(heard)))
	best := math.Inf(-1)
	most = min(most, size/2-1)
	for l := -most; l <= most; l++ {
		if c := rr[(l+size)%size] / float64(size); c > best {
			best, lag = c, l
		}
	}
	return lag, best / max(energy, 1)
}
