package media

import (
	"fmt"
	"math"
)

// The resampler's filter: flat to 7/16 of the lower rate, 80 dB down at 8/16, where images and aliases would begin.
const (
	resampleStop   = 80.0 // dB
	resampleEdge   = 15.0 / 32
	resampleWidth  = 2.0 / 32
	resamplePhases = 512  // more are interpolated
	resampleChunk  = 1024 // samples at a time
	minRate        = 4000
	maxRate        = 384000
	maxChannels    = 32
)

// Resampler converts interleaved 16-bit sound of any rate to one channel at another rate, as a stream: a polyphase
// filter bank, a sinc windowed by Kaiser. Its output is aligned with its input; it comes later by half of the filter,
// 2.5 ms at 16 kHz.
type Resampler struct {
	up, down int // the output has up samples for down of the input
	channels int
	half     int         // of the filter, in input samples
	bank     [][]float32 // phases+1 filters of 2*half taps
	buf      []float32   // input that the filter still needs
	have     int
	phase    int // of the next output, in 1/up input samples beyond the filter's middle in buf
	sum      float64
	part     int   // channels of an incomplete sample
	in, out  int64 // samples since the last Flush
}

// NewResampler makes one from rates of 4,000 to 384,000 a second and 1 to 32 channels, which are averaged.
func NewResampler(from, to, channels int) (*Resampler, error) {
	if from < minRate || from > maxRate || to < minRate || to > maxRate {
		return nil, fmt.Errorf("converting from %d to %d samples a second: rates are %d to %d", from, to, minRate, maxRate)
	}
	if channels < 1 || channels > maxChannels {
		return nil, fmt.Errorf("converting %d channels: there are 1 to %d", channels, maxChannels)
	}
	g := gcd(from, to)
	r := &Resampler{up: to / g, down: from / g, channels: channels}
	if from == to {
		return r, nil
	}
	low := float64(min(from, to)) / float64(from) // 1 or less
	// Kaiser's formula for the length of a filter.
	r.half = int(math.Ceil((resampleStop - 8) / (2.285 * 2 * math.Pi * resampleWidth * low) / 2))
	phases := min(r.up, resamplePhases)
	r.bank = make([][]float32, phases+1)
	for p := range r.bank {
		r.bank[p] = filter(r.half, float64(p)/float64(phases), resampleEdge*low)
	}
	r.buf = make([]float32, 2*r.half+resampleChunk)
	r.have = r.half - 1 // silence before the beginning
	return r, nil
}

// filter is a low pass of 2*half taps around the place half-1+frac, with a gain of 1 at 0 Hz.
func filter(half int, frac, cut float64) []float32 {
	const beta = 0.1102 * (resampleStop - 8.7)
	h, sum := make([]float64, 2*half), 0.0
	for i := range h {
		x := float64(i-half+1) - frac
		h[i] = sinc(2*cut*x) * kaiser(x/float64(half), beta)
		sum += h[i]
	}
	taps := make([]float32, len(h))
	for i, v := range h {
		taps[i] = float32(v / sum)
	}
	return taps
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// Append converts the interleaved samples of src, any number of them, and appends what is ready to dst.
func (r *Resampler) Append(dst, src []int16) []int16 {
	for _, s := range src {
		r.sum += float64(s)
		if r.part++; r.part < r.channels {
			continue
		}
		x := float32(r.sum / float64(r.channels))
		r.sum, r.part = 0, 0
		if r.bank == nil {
			dst = append(dst, clip(x))
			continue
		}
		r.in++
		r.buf[r.have] = x
		if r.have++; r.have == len(r.buf) {
			dst = r.run(dst, math.MaxInt64)
		}
	}
	if r.bank != nil {
		dst = r.run(dst, math.MaxInt64)
	}
	return dst
}

// Flush appends the end of the stream, after which another one may begin: all output together is as long as the input.
func (r *Resampler) Flush(dst []int16) []int16 {
	if r.bank == nil {
		r.sum, r.part = 0, 0
		return dst
	}
	want := (r.in*int64(r.up) + int64(r.down) - 1) / int64(r.down)
	for r.out < want {
		if r.have == len(r.buf) {
			dst = r.run(dst, want)
			continue
		}
		n := min(len(r.buf)-r.have, r.half+1)
		clear(r.buf[r.have : r.have+n])
		r.have += n
		dst = r.run(dst, want)
	}
	clear(r.buf)
	r.have, r.phase, r.sum, r.part, r.in, r.out = r.half-1, 0, 0, 0, 0, 0
	return dst
}

// run makes output, up to the number want since the beginning, from what buf holds.
func (r *Resampler) run(dst []int16, want int64) []int16 {
	i, taps, phases := 0, 2*r.half, len(r.bank)-1
	for i+taps <= r.have && r.out < want {
		x := r.buf[i : i+taps]
		at := r.phase * phases
		h := r.bank[at/r.up][:len(x)]
		var y float32
		if rest := at % r.up; rest == 0 {
			for k, v := range x {
				y += h[k] * v
			}
		} else {
			var z float32
			g := r.bank[at/r.up+1][:len(x)]
			for k, v := range x {
				y += h[k] * v
				z += g[k] * v
			}
			y += (z - y) * float32(rest) / float32(r.up)
		}
		dst = append(dst, clip(y))
		r.out++
		r.phase += r.down
		i += r.phase / r.up
		r.phase %= r.up
	}
	if i > r.have { // the next output needs input that has not come
		r.phase += (i - r.have) * r.up
		i = r.have
	}
	r.have = copy(r.buf, r.buf[i:r.have])
	return dst
}
