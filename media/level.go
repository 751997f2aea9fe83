package media

import "math"

// Floor is the lowest level that is told, in dBFS: less than one step of a 16-bit sample.
const Floor = -96.0

// The meter's motion.
const (
	meterTime = SampleRate * 3 / 10 // samples until a change shows to 63 %: as fast as a VU meter
	meterHold = SampleRate          // samples for which the highest peak stays
	meterFall = 20.0                // dB a second, after that
)

// Level is a reading of a Meter in dBFS, from Floor to 0.
type Level struct {
	RMS  float64 // of the last 300 ms or so
	Peak float64 // of the last Add
	Hold float64 // the highest Peak of the last second, falling by 20 dB a second after that
}

// Meter shows how loud sound is. The zero value shows silence.
type Meter struct {
	power float64
	peak  int32
	hold  float64 // Floor is added, so that the zero value is silence
	held  int     // samples since hold was reached
}

// Add measures the next samples.
func (m *Meter) Add(pcm []int16) {
	if len(pcm) == 0 {
		return
	}
	power, peak := measure(pcm)
	m.power += (power - m.power) * (1 - math.Exp(-float64(len(pcm))/meterTime))
	m.peak = peak
	if m.held += len(pcm); m.held > meterHold {
		m.hold = max(m.hold-meterFall*float64(len(pcm))/SampleRate, 0)
	}
	if db := decibels(float64(peak)*float64(peak)) - Floor; db >= m.hold {
		m.hold, m.held = db, 0
	}
}

// Level is the present reading.
func (m *Meter) Level() Level {
	return Level{RMS: decibels(m.power), Peak: decibels(float64(m.peak) * float64(m.peak)), Hold: m.hold + Floor}
}

// measure is the mean square and the highest magnitude.
func measure(pcm []int16) (power float64, peak int32) {
	var sum int64
	for _, s := range pcm {
		v := int32(s)
		sum += int64(v * v)
		if v < 0 {
			v = -v
		}
		peak = max(peak, v)
	}
	return float64(sum) / float64(max(len(pcm), 1)), peak
}

// decibels is a mean square as dBFS.
func decibels(power float64) float64 {
	const full = 32768.0 * 32768.0
	if power <= 0 {
		return Floor
	}
	return min(max(10*math.Log10(power/full), Floor), 0)
}
