package media

import "math"

// The drift loop: how fast it follows, and how far it goes.
const (
	driftMaxPPM  = 1000
	driftPeriod  = 200.0                     // seconds of its natural oscillation, if it were not damped
	driftOmega   = 2 * math.Pi / driftPeriod // rad/s
	driftKp      = 2 * driftOmega            // 1/s, critically damped
	driftKi      = driftOmega * driftOmega   // 1/s²
	driftMaxErr  = 0.010                     // seconds; larger errors are for the Stretcher
	speedTaps    = 24
	speedPhases  = 128
	speedBacklog = 2 * MaxPacketSamples // more than a Stretcher makes of a packet
)

// Drift estimates how much faster the sender's clock is than the clock of the own sound card, from how the delay
// changes over minutes, and says how much faster to play so that it stays. It is a critically damped phase-locked loop
// of second order: its integral is the difference of the two clocks.
type Drift struct {
	integral float64 // in parts of 1
	ppm      float64
}

// Update takes how many samples were played since the last call, and by how many the delay is too long.
func (d *Drift) Update(played, excess int) {
	dt := float64(played) / SampleRate
	err := min(max(float64(excess)/SampleRate, -driftMaxErr), driftMaxErr)
	const limit = driftMaxPPM * 1e-6
	d.integral = min(max(d.integral+driftKi*err*dt, -limit), limit)
	d.ppm = 1e6 * min(max(d.integral+driftKp*err, -limit), limit)
}

// PPM is how many millionths faster than the sound card's clock to play.
func (d *Drift) PPM() float64 { return d.ppm }

// Estimate is how many millionths the sender's clock is faster.
func (d *Drift) Estimate() float64 { return 1e6 * d.integral }

// Varispeed plays a stream a little faster or slower, by windowed-sinc interpolation: 24 taps, 0.75 ms of delay.
// At a speed that has always been 0 ppm it changes no sample.
type Varispeed struct {
	table  [speedPhases + 1][speedTaps]float32
	buf    [speedTaps + speedBacklog]float32
	have   int    // samples in buf
	pos    uint64 // of the next output between the taps, in 2^-32 samples
	silent int    // zeros at the end of buf
}

// NewVarispeed makes one that holds silence.
func NewVarispeed() *Varispeed {
	v := &Varispeed{have: speedTaps - 1, silent: speedTaps - 1}
	for p := range v.table {
		frac := float64(p) / speedPhases
		sum := 0.0
		var h [speedTaps]float64
		for i := range h {
			x := float64(i-speedTaps/2+1) - frac
			h[i] = sinc(x) * kaiser(x/(speedTaps/2), 6)
			sum += h[i]
		}
		for i := range h {
			v.table[p][i] = float32(h[i] / sum)
		}
	}
	return v
}

// Append appends the samples of src, at most 2*MaxPacketSamples, played faster by ppm (slower if that is less than 0).
// On the average it gives out len(src)/(1+ppm/1e6) samples.
func (v *Varispeed) Append(dst, src []int16, ppm float64) []int16 {
	step := uint64(1<<32 + int64(ppm*(1<<32)/1e6))
	for _, s := range src[:min(len(src), speedBacklog)] {
		v.buf[v.have] = float32(s)
		v.have++
		if v.silent++; s != 0 {
			v.silent = 0
		}
	}
	quiet := v.silent >= v.have
	i := 0
	for ; i+speedTaps <= v.have; i += int(v.pos >> 32) {
		v.pos &= 1<<32 - 1
		switch {
		case quiet:
			dst = append(dst, 0)
		case v.pos == 0:
			dst = append(dst, int16(v.buf[i+speedTaps/2-1]))
		default:
			dst = append(dst, v.at(v.buf[i:i+speedTaps]))
		}
		v.pos += step
	}
	// pos is less than one step beyond the last output: i may be one sample further than there are.
	i = min(i, v.have)
	v.have = copy(v.buf[:], v.buf[i:v.have])
	v.silent = min(v.silent, v.have)
	return dst
}

// at interpolates at pos, between the two next phases of the filter.
func (v *Varispeed) at(x []float32) int16 {
	phase := v.pos >> 25 // 7 bits: 128 phases
	frac := float32(v.pos&(1<<25-1)) / (1 << 25)
	a, b := &v.table[phase], &v.table[phase+1]
	x = x[:speedTaps]
	var p, q float32
	for i := range speedTaps {
		p += a[i] * x[i]
		q += b[i] * x[i]
	}
	return clip(p + frac*(q-p))
}

func sinc(x float64) float64 {
	if x == 0 {
		return 1
	}
	return math.Sin(math.Pi*x) / (math.Pi * x)
}

// kaiser is the Kaiser window at x from -1 to 1.
func kaiser(x, beta float64) float64 {
	if x < -1 || x > 1 {
		return 0
	}
	return bessel0(beta*math.Sqrt(1-x*x)) / bessel0(beta)
}

// bessel0 is the modified Bessel function of the first kind and order 0, by its power series.
func bessel0(x float64) float64 {
	sum, term := 1.0, 1.0
	for k := 1.0; term > 1e-12*sum; k++ {
		term *= x * x / (4 * k * k)
		sum += term
	}
	return sum
}

// clip rounds to the nearest 16-bit sample.
func clip(x float32) int16 {
	switch {
	case x >= math.MaxInt16:
		return math.MaxInt16
	case x <= math.MinInt16:
		return math.MinInt16
	case x < 0:
		return int16(x - 0.5)
	}
	return int16(x + 0.5)
}
