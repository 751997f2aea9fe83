package mediatest

import (
	"math"

	"peerchat/media"
)

// Follow's parts, and how much later or earlier than the one before a part may come, in samples.
const (
	followPart  = media.SampleRate / 10
	followDrift = media.SampleRate / 20
)

// Follow is how alike heard is to reference, which is somewhere in it: the normalised cross-correlation of parts of 100 ms, each of
// them where it fits best, at most 50 ms earlier or later than the one before; 1 for the same up to a positive factor. So it forgives
// a jitter buffer that its delay changes, but not that sound is missing or made up. Lag is by how many samples the first part is later.
func Follow(reference, heard []int16) (lag int, correlation float64) {
	var dots, references, heards float64
	first := true
	whole := follow(reference, heard, func(_, l int, dot, energy, theirs float64) {
		if energy == 0 {
			return
		}
		if first {
			lag, first = l, false
		}
		dots += dot
		references += energy
		heards += theirs
	})
	if first {
		lag = whole
	}
	return lag, dots / math.Sqrt(references*heards+1)
}

// Straighten is heard with its changes of delay taken out: as long as reference, and each 100 ms of it from where Follow finds those of
// the reference. Measures that compare the two at the same moments, such as STOI, need that.
func Straighten(reference, heard []int16) []int16 {
	straight := make([]int16, len(reference))
	follow(reference, heard, func(at, lag int, _, _, _ float64) {
		for i := at; i < min(at+followPart, len(reference)); i++ {
			if k := i + lag; k >= 0 && k < len(heard) {
				straight[i] = heard[k]
			}
		}
	})
	return straight
}

// follow calls each for every part of the reference, that begins at at and is found lag later: with its energy, that of
// what was found, and the product of the two. Energy is 0 of parts without voice, which fit everywhere: they stay
// beside the one before. It returns the lag of the whole.
func follow(reference, heard []int16, each func(at, lag int, dot, energy, theirs float64)) (whole int) {
	whole, _ = Align(reference, heard, len(heard))
	quiet := RMS(reference) / 30
	now := whole
	for at := 0; at < len(reference); at += followPart {
		part := reference[at:min(at+followPart, len(reference))]
		if rms := RMS(part); rms < quiet || len(part) < followPart {
			each(at, now, 0, 0, 0)
			continue
		}
		best, bestDot, bestEnergy := math.Inf(-1), 0.0, 0.0
		from := now
		for l := from - followDrift; l <= from+followDrift; l++ {
			if at+l < 0 || at+l+followPart > len(heard) {
				continue
			}
			dot, energy := 0.0, 0.0
			for i, h := range heard[at+l : at+l+followPart] {
				dot += float64(h) * float64(part[i])
				energy += float64(h) * float64(h)
			}
			if c := dot / math.Sqrt(energy+1); c > best {
				best, bestDot, bestEnergy, now = c, dot, energy, l
			}
		}
		each(at, now, bestDot, RMS(part)*RMS(part)*followPart, bestEnergy)
	}
	return whole
}
