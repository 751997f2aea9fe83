package media

import (
	"math"
	"slices"
	"time"
)

// Ducking, in dB, dB a second, and frames.
const (
	duckFar     = -50.0                  // dBFS; softer sound from the loudspeaker is not heard by the microphone
	duckNear    = -60.0                  // dBFS; softer sound is as good as silence
	duckMargin  = 8.0                    // above the echo: that is somebody who talks
	duckHold    = 350 * time.Millisecond // the way through the loudspeaker, the room and the microphone
	duckRelease = 60.0                   // how fast a room falls silent: a reverberation time of one second
	duckHang    = 200 * time.Millisecond // between syllables
	duckUp      = 20.0                   // how fast a louder echo is learnt
	duckDown    = 6.0                    // and a softer one
	duckLowest  = -70.0
	duckHighest = 20.0
	duckWindow  = 100 // 2 s, in which the microphone follows the loudspeaker, or does not
	duckLags    = 16  // at most that late: 320 ms
	duckAlike   = 0.8 // correlation from which it does: then it hears the echo, and nothing else
)

// Ducker keeps what others say from going back to them, where it comes out of a loudspeaker and into the microphone:
// while they are heard, the microphone is shut, unless what it hears is clearly louder than their echo. So talk is
// half-duplex, but one can cut in. How loud the echo is against the loudspeaker it learns by itself, from moments in
// which the loudness at the microphone goes up and down with that of the loudspeaker; with headphones there is next to
// no echo, and nothing is held back. It knows loudness alone, and cancels nothing. The zero value takes the echo for as
// loud as what is played.
type Ducker struct {
	far      envelope
	coupling float64 // dB: the echo against what is played
	talked   time.Time
	talks    bool // talked is set

	played  float64 // energy since the last frame of the microphone
	samples int
	fars    [duckWindow + duckLags]float32 // dB above duckNear, the last one at the end
	nears   [duckWindow]float32
}

// Far takes what the loudspeaker gets.
func (d *Ducker) Far(now time.Time, pcm []int16) {
	power, _ := measure(pcm)
	d.far.add(now, decibels(power))
	d.played += power * float64(len(pcm))
	d.samples += len(pcm)
}

// Near takes a frame of the microphone, as it was captured, and reports whether it is to be held back.
func (d *Ducker) Near(now time.Time, f *Frame) (hold bool) {
	power, _ := measure(f[:])
	level := decibels(power)
	note(d.nears[:], level)
	note(d.fars[:], decibels(d.played/float64(max(d.samples, 1))))
	d.played, d.samples = 0, 0
	far := d.far.at(now)
	if far < duckFar {
		return false
	}
	hold = level < far+d.coupling+duckMargin
	if !hold {
		d.talked, d.talks = now, true
	} else if d.talks && now.Sub(d.talked) < duckHang {
		hold = false
	}
	d.learn()
	return hold
}

// note puts a level in dBFS behind the others.
func note(levels []float32, level float64) {
	copy(levels, levels[1:])
	levels[len(levels)-1] = float32(max(level-duckNear, 0))
}

// learn compares the loudest moments of the last two seconds. The echo cannot be louder than what the microphone hears;
// it can be softer, where somebody talks.
func (d *Ducker) learn() {
	const seconds = float64(FrameSamples) / SampleRate
	far := float64(slices.Max(d.fars[:duckWindow])) // not the last ones, whose echo may be still to come
	if far < duckFar-duckNear {
		return
	}
	switch over := float64(slices.Max(d.nears[:])) - far - d.coupling; {
	case over <= 0:
		d.coupling += max(over, -duckDown*seconds)
	case d.alike() >= duckAlike:
		d.coupling += min(over, duckUp*seconds)
	}
	d.coupling = min(max(d.coupling, duckLowest), duckHighest)
}

// alike is how well the microphone's loudness correlates with the loudspeaker's, at the delay at which it does best.
func (d *Ducker) alike() float64 {
	var mean, power float64
	for _, n := range d.nears {
		mean += float64(n) / duckWindow
	}
	for _, n := range d.nears {
		power += (float64(n) - mean) * (float64(n) - mean)
	}
	best := 0.0
	for lag := range duckLags + 1 {
		var sum, square, cross float64
		for i, n := range d.nears {
			f := float64(d.fars[duckLags-lag+i])
			sum += f
			square += f * f
			cross += f * (float64(n) - mean)
		}
		if spread := power * (square - sum*sum/duckWindow); spread > 0 {
			best = max(best, cross/math.Sqrt(spread))
		}
	}
	return best
}

// envelope is the loudness that was reached lately, in dBFS. The zero value is silence.
type envelope struct {
	peak  float64
	since time.Time
	begun bool
}

func (e *envelope) add(now time.Time, level float64) {
	if level >= e.at(now) {
		e.peak, e.since, e.begun = level, now, true
	}
}

// at is the level now: the highest of the last duckHold, and after that it falls.
func (e *envelope) at(now time.Time) float64 {
	if !e.begun {
		return Floor
	}
	return max(e.peak-duckRelease*max(now.Sub(e.since)-duckHold, 0).Seconds(), Floor)
}
