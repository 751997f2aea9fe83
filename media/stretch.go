package media

import "math"

// Stretching, in samples.
const (
	stretchMin   = 40       // the least that is taken out or put in: 2.5 ms, 400 Hz
	stretchMax   = pitchMax // the most
	stretchBlend = 80       // length of the overlap: 5 ms
	stretchQuiet = 100      // root mean square below which any place is good: -50 dBFS
	stretchAlike = 0.75     // correlation from which a cut is not heard
)

// Shorten takes up to want samples out of pcm, in place, and returns how many: a whole period of the voice, joined by
// an overlap, where there is one in the packet, or any stretch if it is quiet, else 0. This is synchronous overlap-add
// with the cut where the wave is most alike (WSOLA; Verhelst and Roelands 1993), on one packet at a time.
func Shorten(pcm []int16, want int) int {
	lag := findCut(pcm, want)
	if lag == 0 {
		return 0
	}
	for i := range stretchBlend {
		w := float32(i+1) / (stretchBlend + 1)
		a, b := float32(pcm[i]), float32(pcm[i+lag])
		pcm[i] = clip(a + w*(b-a))
	}
	copy(pcm[stretchBlend:], pcm[stretchBlend+lag:])
	return lag
}

// Lengthen puts up to want samples into pcm, in place, and returns how many, like Shorten. There must be room for
// want samples more in pcm's capacity; the caller extends the slice.
func Lengthen(pcm []int16, want int) int {
	want = min(want, cap(pcm)-len(pcm))
	lag := findCut(pcm, want)
	if lag == 0 {
		return 0
	}
	// Play up to the overlap at lag, there go back by lag.
	n := len(pcm)
	head := [stretchBlend]int16(pcm) // the overlap may cover part of it
	pcm = pcm[:n+lag]
	copy(pcm[lag+stretchBlend:], pcm[stretchBlend:n])
	for i, h := range head {
		w := float32(i+1) / (stretchBlend + 1)
		a := float32(pcm[lag+i])
		pcm[lag+i] = clip(a + w*(float32(h)-a))
	}
	return lag
}

// findCut finds the lag, at most want, at which the sound is most like the beginning of pcm; 0 if none is alike enough.
func findCut(pcm []int16, want int) int {
	most := min(want, stretchMax, len(pcm)-stretchBlend)
	if most < stretchMin {
		return 0
	}
	var total float64
	for _, s := range pcm {
		total += float64(s) * float64(s)
	}
	if total <= stretchQuiet*stretchQuiet*float64(len(pcm)) {
		return most
	}
	var energy float64
	for _, s := range pcm[:stretchBlend] {
		energy += float64(s) * float64(s)
	}
	best, lag := stretchAlike, 0
	for l := stretchMin; l <= most; l++ {
		var r, e int64
		b := pcm[l : l+stretchBlend]
		for i, s := range pcm[:stretchBlend] {
			r += int64(s) * int64(b[i])
			e += int64(b[i]) * int64(b[i])
		}
		if r > 0 {
			if c := float64(r) / math.Sqrt(energy*float64(e)); c > best {
				best, lag = c, l
			}
		}
	}
	return lag
}
