package media

import "math"

// Gain is a factor in 1/4096, so that sums of integers do not depend on their order.
type Gain int32

// Gains. MaxGain is +18 dB.
const (
	Unity   Gain = 1 << gainBits
	MaxGain Gain = 8 << gainBits

	gainBits = 12
)

// GainOf converts decibels; -96 and less is silence, and no gain is more than MaxGain.
func GainOf(dB float64) Gain {
	if !(dB > -96) {
		return 0
	}
	return min(Gain(math.Round(math.Pow(10, dB/20)*float64(Unity))), MaxGain)
}

// The limiter. Below the knee nothing is changed; above it the gain goes down at once, so that no peak passes
// the ceiling, and comes back slowly, so that it is not heard.
const (
	mixBlock   = 32    // samples that share a step of the gain: 2 ms
	mixKnee    = 28000 // -1.4 dBFS: peaks of the sum up to here are left alone
	mixCeiling = 32000 // -0.2 dBFS: no peak is louder
	mixHold    = 25    // blocks before the gain comes back: 50 ms, longer than the period of any voice
	mixRelease = 0.008 // of the way back, each block: a time constant of 250 ms
)

// Mixer sums talkers. Its limiter keeps the sum from clipping. One goroutine calls Begin, Add for each talker, and End,
// for each block of the sound card. The sum of the same talkers in any order is the same to the bit, and who is silent
// changes nothing.
type Mixer struct {
	sum  [MaxPacketSamples]int32
	n    int
	gain float32 // of the last sample, 1 or less; 0 stands for 1 in the zero value
	hold int
	want [MaxPacketSamples/mixBlock + 1]float32
}

// Begin starts a block of n samples, at most MaxPacketSamples.
func (m *Mixer) Begin(n int) {
	m.n = min(max(n, 0), MaxPacketSamples)
	clear(m.sum[:m.n])
}

// Add adds the sound of one talker, the block's length of it; less counts as silence at the end. The gain goes from
// from to to, in a straight line over the block: where the user turned it, from is the last block's to.
func (m *Mixer) Add(pcm []int16, from, to Gain) {
	pcm = pcm[:min(len(pcm), m.n)]
	from, to = min(max(from, 0), MaxGain), min(max(to, 0), MaxGain)
	sum := m.sum[:len(pcm)]
	switch {
	case from != to:
		step := int64(to-from) << 16 / int64(m.n)
		g := int64(from) << 16
		for i, s := range pcm {
			sum[i] += scale(s, int32(g>>16))
			g += step
		}
	case to == Unity:
		for i, s := range pcm {
			sum[i] += int32(s)
		}
	case to != 0:
		for i, s := range pcm {
			sum[i] += scale(s, int32(to))
		}
	}
}

// scale rounds to the nearest, so that faint sound gets no offset.
func scale(s int16, gain int32) int32 { return (int32(s)*gain + 1<<(gainBits-1)) >> gainBits }

// End writes the limited sum, as long as the block, or as out if that is shorter.
func (m *Mixer) End(out []int16) {
	n := min(m.n, len(out))
	sum := m.sum[:n]
	blocks := (n + mixBlock - 1) / mixBlock
	least := float32(1)
	for b := range blocks {
		m.want[b] = limit(sum[b*mixBlock : min((b+1)*mixBlock, n)])
		least = min(least, m.want[b])
	}
	if m.gain == 0 {
		m.gain = 1
	}
	if least == 1 && m.gain == 1 {
		for i, s := range sum {
			out[i] = int16(s)
		}
		return
	}
	for b := range blocks {
		// The gain at the end of a block is low enough for the next one too, so it goes down before the peak comes,
		// except in the first block of a call, whose peak nobody could see coming.
		next := float32(1)
		if b+1 < blocks {
			next = m.want[b+1]
		}
		from, target := min(m.gain, m.want[b]), min(m.want[b], next)
		switch {
		case target <= from:
			m.hold = mixHold
		case m.hold > 0:
			m.hold--
			target = from
		default:
			target = min(target, from+max((1-from)*mixRelease, 1e-4))
		}
		block := sum[b*mixBlock : min((b+1)*mixBlock, n)]
		dst := out[b*mixBlock:][:len(block)]
		step := (target - from) / float32(len(block))
		g := from
		for i, s := range block {
			g += step
			dst[i] = clip(float32(s) * g)
		}
		m.gain = target
	}
}

// limit is the gain that a block needs: its peak is bent so that the knee passes as it is, and no peak passes the
// ceiling.
func limit(block []int32) float32 {
	var peak int32
	for _, s := range block {
		if s < 0 {
			s = -s
		}
		peak = max(peak, s)
	}
	if peak <= mixKnee {
		return 1
	}
	// A hyperbola from the knee, where its slope is 1, to the ceiling.
	const room = mixCeiling - mixKnee
	over := float32(peak - mixKnee)
	return (mixKnee + room*over/(over+room)) / float32(peak)
}
