package mediatest

import (
	"math"

	"peerchat/media"
)

// Follow's parts, and how much later or earlier than the one before a part may come, in samples; and how finely.
const (
	followPart  = media.SampleRate / 10
	followDrift = media.SampleRate / 20
	followSteps = 16 // of a sample
	followTaps  = 16 // of the interpolation, each way
	followNear  = 8  // samples around the best whole one that are searched: at high pitches the best may be a period away
)

// Follow is how alike heard is to reference, which is somewhere in it: the normalised cross-correlation of parts of 100 ms, each of
// them where it fits best, at most 50 ms earlier or later than the one before; 1 for the same up to a positive factor. So it forgives
// a jitter buffer that its delay changes, by fractions of a sample too, but not that sound is missing or made up. Lag is by how
// many samples the first part is later.
func Follow(reference, heard []int16) (lag int, correlation float64) {
	lag, _ = Align(reference, heard, len(heard))
	quiet := RMS(reference) / 30 // parts without voice fit everywhere
	var sums, references, heards float64
	now, first := lag, true
	for at := 0; at+followPart <= len(reference); at += followPart {
		part := reference[at : at+followPart]
		if RMS(part) < quiet {
			continue
		}
		l, dot, energy := fit(part, heard, at+now)
		now = l - at
		if first {
			lag, first = now, false
		}
		sums += dot
		references += followPart * RMS(part) * RMS(part)
		heards += energy
	}
	return lag, sums / math.Sqrt(references*heards+1)
}

// fit finds where a part is in heard, near a place, and returns the product of the two there, and heard's energy.
func fit(part, heard []int16, near int) (place int, dot, energy float64) {
	const margin = followTaps + followNear
	from := near - followDrift - margin
	dots := make([]float64, 2*(followDrift+margin)+1)
	energies := make([]float64, len(dots))
	for i := range dots {
		l := min(max(from+i, -len(part)), len(heard))
		before := max(0, -l) // around what was heard there is silence
		var d, e int64
		for k, h := range heard[l+before : min(l+len(part), len(heard))] {
			d += int64(h) * int64(part[before+k])
			e += int64(h) * int64(h)
		}
		dots[i], energies[i] = float64(d), float64(e)
	}
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

func sinc(x float64) float64 {
	if x == 0 {
		return 1
	}
	return math.Sin(math.Pi*x) / (math.Pi * x)
}
