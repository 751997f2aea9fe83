package mediatest

import (
	"math"

	"peerchat/media"
)

// How Follow goes about it, in samples.
const (
	followPart  = media.SampleRate / 10
	followDrift = media.SampleRate / 20    // how much earlier or later than the one before a part is looked for
	followBreak = media.SampleRate * 3 / 4 // … if it is not there: sound may have been held up
	followFits  = 0.8                      // correlation of a part that has been found
	followSteps = 16                       // of a sample
	followTaps  = 16                       // of the interpolation, each way
	followNear  = 8                        // around the best whole sample: at high pitches the best may be a period away
)

// Follow is how alike heard is to reference, which is somewhere in it: the normalised cross-correlation of parts of 100
// ms, each of them where it fits best, at most 50 ms earlier or later than the one before, or up to 750 ms later if it
// does not fit there; 1 for the same up to a positive factor. So it forgives a jitter buffer that its delay changes, by
// fractions of a sample too, but not that sound is missing or made up. Lag is by how many samples the first part is
// later.
func Follow(reference, heard []int16) (lag int, correlation float64) {
	lag, _ = Align(reference, heard, len(heard)) // of the most of it
	quiet := RMS(reference) / 30                 // parts without voice fit everywhere
	var sums, references, heards float64
	now, first := lag, true
	for at := 0; at+followPart <= len(reference); at += followPart {
		part := reference[at : at+followPart]
		if RMS(part) < quiet {
			continue
		}
		back, ahead := -followDrift, followBreak
		if first { // the most of it may be later
			back, ahead = -followBreak, -followDrift
		}
		norm := math.Sqrt(followPart) * RMS(part)
		l, dot, energy := fit(part, heard, at+now)
		if dot < followFits*norm*math.Sqrt(energy) {
			if l2, dot2, energy2 := search(part, heard, at+now+back, at+now+ahead); dot2 > followFits*norm*math.Sqrt(energy2) {
				l, dot, energy = l2, dot2, energy2
			}
		}
		now = l - at
		if first {
			lag, first = now, false
		}
		sums += dot
		references += norm * norm
		heards += energy
	}
	return lag, sums / math.Sqrt(references*heards+1)
}

// fit finds where a part is in heard, near a place, and returns the product of the two there, and heard's energy.
func fit(part, heard []int16, near int) (place int, dot, energy float64) {
	return search(part, heard, near-followDrift, near+followDrift)
}

// search is fit from one place to another.
func search(part, heard []int16, first, last int) (place int, dot, energy float64) {
	const margin = followTaps + followNear
	from := first - margin
	dots, energies := products(part, heard, from, last-first+1+2*margin)
	best := margin
	for i := margin; i < len(dots)-margin; i++ {
		if dots[i]/math.Sqrt(energies[i]+1) > dots[best]/math.Sqrt(energies[best]+1) {
			best = i
		}
	}
	// The cross-correlation has the band of the sounds: between samples it is interpolated.
	whole := best
	dot = dots[whole]
	for step := -followNear * followSteps; step <= followNear*followSteps; step++ {
		mid := whole + int(math.Round(float64(step)/followSteps))
		x, sum := float64(step)/followSteps-float64(mid-whole), 0.0
		for k := -followTaps; k <= followTaps; k++ {
			sum += dots[mid+k] * sinc(x-float64(k)) * (0.5 + 0.5*math.Cos(math.Pi*(x-float64(k))/(followTaps+1)))
		}
		if sum > dot {
			best, dot = mid, sum
		}
	}
	return from + best, dot, energies[best]
}

// products returns the products of a part with n places in heard, the first of them from, and the energies of heard
// there. Around what was heard there is silence.
func products(part, heard []int16, from, n int) (dots, energies []float64) {
	size := 1
	for size < n+len(part) {
		size *= 2
	}
	pr, pi, hr, hi := make([]float64, size), make([]float64, size), make([]float64, size), make([]float64, size)
	for i, s := range part {
		pr[i] = float64(s)
	}
	energies = make([]float64, n)
	var energy float64 // of the last len(part) samples
	for i := range n + len(part) - 1 {
		if k := from + i; k >= 0 && k < len(heard) {
			hr[i] = float64(heard[k])
			energy += hr[i] * hr[i]
		}
		if at := i - len(part) + 1; at >= 0 {
			energies[at] = energy
			energy -= hr[at] * hr[at]
		}
	}
	// conj(P)·H, by two transforms forth and one back; the inverse is the forward transform of the conjugate.
	FFT(pr, pi)
	FFT(hr, hi)
	for k := range pr {
		re, im := pr[k]*hr[k]+pi[k]*hi[k], pr[k]*hi[k]-pi[k]*hr[k]
		pr[k], pi[k] = re/float64(size), -im/float64(size)
	}
	FFT(pr, pi)
	return pr[:n], energies
}

func sinc(x float64) float64 {
	if x == 0 {
		return 1
	}
	return math.Sin(math.Pi*x) / (math.Pi * x)
}
