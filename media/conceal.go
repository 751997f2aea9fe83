package media

import "math"

// Concealment, in samples; Appendix I has the same durations at 8 kHz.
const (
	pitchMin    = SampleRate / 200       // 5 ms: 200 Hz; a higher voice is found at a multiple of its period
	pitchMax    = SampleRate * 15 / 1000 // 15 ms: 66 Hz
	pitchWindow = SampleRate / 50        // 20 ms are compared
	concealStep = SampleRate / 100       // 10 ms: one more period, 20 % less sound
	concealEnd  = 6 * concealStep        // silence
	pastSamples = 3*pitchMax + pitchMax/4 + 4
)

// Concealer makes up what packet loss has taken: it repeats the last periods of the voice's pitch, fading to silence in
// 60 ms, after ITU-T G.711, Appendix I, at 16 kHz. There the last 3.75 ms are held back to smooth the way into the gap;
// here the step at its beginning is taken out of what is made up instead, which costs no delay. The overlap at the end
// of the gap is a quarter of the pitch however long the gap was: measured, longer ones spoil more than they smooth.
type Concealer struct {
	past   [pastSamples]float32  // what was given out last
	orig   [pastSamples]float32  // past as it was when the gap began
	loop   [pastSamples]float32  // what is repeated, from its end
	tail   [pitchMax / 4]float32 // of the loop before this one, that fades out
	fading int                   // samples of tail to come
	pitch  int
	blend  int     // a quarter of the pitch: the length of overlaps
	cycles int     // of the pitch, that are repeated
	at     int     // in the cycles
	erased int     // samples made up since the last good one
	step   float32 // at the beginning of the gap
	tmp    [MaxPacketSamples]float32
}

// Good takes received sound, and changes its beginning if something was made up before it.
func (c *Concealer) Good(pcm []int16) {
	if c.erased > 0 {
		n := min(c.blend, len(pcm))
		tail := c.tmp[:n]
		c.synthesize(tail)
		for i, t := range tail {
			w := float32(i+1) / float32(n+1)
			pcm[i] = clip(t + w*(float32(pcm[i])-t))
		}
		c.erased = 0
	}
	c.remember(pcm)
}

// Silence tells of n samples in which nobody talked.
func (c *Concealer) Silence(n int) {
	n = min(n, pastSamples)
	copy(c.past[:], c.past[n:])
	clear(c.past[pastSamples-n:])
	if c.erased > 0 {
		c.erased = concealEnd // what comes next fades in
	}
}

// Conceal makes up the next samples, at most MaxPacketSamples, all of out.
func (c *Concealer) Conceal(out []int16) {
	out = out[:min(len(out), MaxPacketSamples)]
	if c.erased == 0 {
		c.begin()
	}
	tmp := c.tmp[:len(out)]
	c.synthesize(tmp)
	for i, t := range tmp {
		out[i] = clip(t)
	}
	c.remember(out)
}

func (c *Concealer) remember(pcm []int16) {
	if len(pcm) > pastSamples {
		pcm = pcm[len(pcm)-pastSamples:]
	}
	k := copy(c.past[:], c.past[len(pcm):])
	for i, s := range pcm {
		c.past[k+i] = float32(s)
	}
}

// begin finds what to repeat.
func (c *Concealer) begin() {
	c.pitch = findPitch(c.past[:])
	c.blend = c.pitch / 4
	c.at, c.fading = 0, 0
	c.orig = c.past
	c.cycle(1)
	c.step = c.past[pastSamples-1] - c.past[pastSamples-c.pitch-1]
}

// cycle makes a loop of the last n periods: its end, which stands before its beginning, gets the sound that stood
// there.
func (c *Concealer) cycle(n int) {
	c.cycles = n
	c.loop = c.orig
	start := pastSamples - n*c.pitch
	for i := range c.blend {
		w := float32(i+1) / float32(c.blend+1)
		e := pastSamples - c.blend + i
		c.loop[e] += w * (c.orig[start-c.blend+i] - c.orig[e])
	}
}

// synthesize makes the samples that come next.
func (c *Concealer) synthesize(out []float32) {
	for i := range out {
		if c.erased >= concealEnd {
			clear(out[i:])
			return
		}
		if c.erased == c.cycles*concealStep && c.cycles < 3 {
			c.grow()
		}
		v := c.read()
		if c.fading > 0 {
			w := float32(c.fading) / float32(c.blend+1)
			v += w * (c.tail[c.blend-c.fading] - v)
			c.fading--
		}
		if c.erased < c.blend {
			v += c.step * float32(c.blend-c.erased) / float32(c.blend)
		}
		if c.erased >= concealStep {
			v *= float32(concealEnd-c.erased) / (concealEnd - concealStep)
		}
		c.erased++
		out[i] = v
	}
}

// read gives the next sample of the loop.
func (c *Concealer) read() float32 {
	v := c.loop[pastSamples-c.cycles*c.pitch+c.at]
	if c.at++; c.at == c.cycles*c.pitch {
		c.at = 0
	}
	return v
}

// grow repeats one period more from here on, so that a long gap does not hum.
func (c *Concealer) grow() {
	at := c.at
	for i := range c.blend {
		c.tail[i] = c.read()
	}
	c.fading = c.blend
	c.cycle(c.cycles + 1)
	c.at = at % c.pitch
}

// findPitch is the lag at which the last 20 ms of x correlate best with what was before. It is searched in
// steps of two samples, and then around the best.
func findPitch(x []float32) int {
	best, bestLag := float32(math.Inf(-1)), pitchMax
	for lag := pitchMin; lag <= pitchMax; lag += 2 {
		if r := correlate(x, lag, 2); r > best {
			best, bestLag = r, lag
		}
	}
	best = float32(math.Inf(-1))
	lag := bestLag
	for l := max(bestLag-1, pitchMin); l <= min(bestLag+1, pitchMax); l++ {
		if r := correlate(x, l, 1); r > best {
			best, lag = r, l
		}
	}
	return lag
}

// correlate is the correlation of the last 20 ms of x with those lag samples before, over the root of their energy.
func correlate(x []float32, lag, stride int) float32 {
	a := x[len(x)-pitchWindow:]
	b := x[len(x)-pitchWindow-lag:][:len(a)]
	var r, e float32
	for i := 0; i < len(a); i += stride {
		r += a[i] * b[i]
		e += b[i] * b[i]
	}
	return r / float32(math.Sqrt(float64(max(e, 1))))
}
