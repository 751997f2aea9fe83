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
	lag, _ = Align(reference, heard, len(heard))
	quiet := RMS(reference) / 30 // parts without voice fit everywhere
	var dots, references, heards float64
	now, first := lag, true
	for at := 0; at+followPart <= len(reference); at += followPart {
		part := reference[at : at+followPart]
		if RMS(part) < quiet {
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
		if first {
			lag, first = now, false
		}
		energy := RMS(part)
		dots += bestDot
		references += energy * energy * followPart
		heards += bestEnergy
	}
	return lag, dots / math.Sqrt(references*heards+1)
}
