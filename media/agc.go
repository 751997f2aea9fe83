package media

import "math"

// The automatic gain, in dB and dB a second.
const (
	agcTarget = -22.0 // root mean square of speech
	agcMax    = 18.0
	agcMin    = -12.0
	agcUp     = 4.0
	agcDown   = 20.0
	agcDead   = 2.0    // nearer to the target nothing is changed
	agcPeak   = 29_000 // no sample gets louder
)

// AGC brings speech to one loudness, slowly, so that it does not breathe. It learns only from frames that the caller
// calls speech: it does not make the noise of a pause loud. The zero value begins with a gain of 0 dB.
type AGC struct {
	level float64 // dB above agcTarget, average of speech
	gain  float64 // dB
	last  float64 // factor at the end of the last frame, less 1
}

// Gain is the present gain in dB.
func (a *AGC) Gain() float64 { return a.gain }

// Process changes f in place. speech says whether it is to be learnt from.
func (a *AGC) Process(f *Frame, speech bool) {
	power, peak := measure(f[:])
	const seconds = float64(FrameSamples) / SampleRate
	if speech && power > 0 {
		a.level += (decibels(power) - agcTarget - a.level) * 0.05 // about 400 ms
		wrong := -a.level - a.gain
		switch {
		case wrong > agcDead:
			a.gain += min(wrong, agcUp*seconds)
		case wrong < -agcDead:
			a.gain += max(wrong, -agcDown*seconds)
		}
		a.gain = min(max(a.gain, agcMin), agcMax)
	}
	to := math.Pow(10, a.gain/20)
	if peak > 0 && float64(peak)*to > agcPeak {
		to = max(agcPeak/float64(peak), min(to, 1))
		a.gain = 20 * math.Log10(to)
	}
	from := a.last + 1
	if peak > 0 && float64(peak)*from > agcPeak && from > 1 {
		from = max(min(from, agcPeak/float64(peak)), 1) // a step, hidden by the loud sound that begins
	}
	a.last = to - 1
	if from == 1 && to == 1 {
		return
	}
	step := (to - from) / FrameSamples
	for i, s := range f {
		f[i] = clip(float32(float64(s) * (from + step*float64(i+1))))
	}
}
