package mediatest

import (
	"math"

	"peerchat/media"
)

// The parameters of STOI, as in the paper.
const (
	stoiRate    = 10_000 // Hz
	stoiFrame   = 256
	stoiFFT     = 512
	stoiBands   = 15
	stoiLowest  = 150.0 // Hz, centre of the lowest third of an octave
	stoiSegment = 30    // frames: 384 ms
	stoiClip    = 15.0  // dB of signal to distortion
	stoiRange   = 40.0  // dB below the loudest frame that count as speech
)

// STOI is how intelligible heard is, given the reference at 16 kHz, aligned to the sample: the short-time objective
// intelligibility measure of C. H. Taal, R. C. Hendriks, R. Heusdens and J. Jensen, "An Algorithm for Intelligibility
// Prediction of Time-Frequency Weighted Noisy Speech", IEEE Trans. Audio, Speech and Language Processing 19(7), 2011. 1
// is the same; 0.6 is hardly understood. It is 0 where less than 384 ms of speech are left.
func STOI(reference, heard []int16) float64 {
	n := min(len(reference), len(heard))
	return stoi(resample10k(reference[:n]), resample10k(heard[:n]))
}

// resample10k converts 16 kHz to 10 kHz with the filter of Octave's resample, which implementations of STOI share.
func resample10k(pcm []int16) []float64 {
	const up, down = 5, media.SampleRate / 2000
	const cut = 1.0 / (2 * down)
	const rejection = 60.0
	half := int(math.Ceil((rejection - 8) / (28.714 * cut / 10)))
	beta := 0.1102 * (rejection - 8.7)
	h, sum := make([]float64, 2*half+1), 0.0
	for i := range h {
		t := float64(i - half)
		x := 2 * cut * t * math.Pi
		h[i] = bessel0(beta*math.Sqrt(1-t*t/float64(half*half))) / bessel0(beta)
		if x != 0 {
			h[i] *= math.Sin(x) / x
		}
		sum += h[i]
	}
	out := make([]float64, (len(pcm)*up+down-1)/down)
	for m := range out {
		// Output m is at m*down of the grid that has up points for each input sample.
		first := max((m*down-half+up-1)/up, 0)
		for n := first; n < len(pcm); n++ {
			k := m*down - n*up + half
			if k < 0 {
				break
			}
			if k < len(h) {
				out[m] += float64(pcm[n]) * h[k]
			}
		}
		out[m] *= up / sum
	}
	return out
}

func bessel0(x float64) float64 {
	sum, term := 1.0, 1.0
	for k := 1.0; term > 1e-16*sum; k++ {
		term *= x * x / (4 * k * k)
		sum += term
	}
	return sum
}

// stoi works at 10 kHz.
func stoi(x, y []float64) float64 {
	x, y = speechOnly(x, y)
	a, b := bandEnvelopes(x), bandEnvelopes(y)
	if len(a) < stoiSegment {
		return 0
	}
	var sum float64
	clip := 1 + math.Pow(10, stoiClip/20)
	for m := stoiSegment; m <= len(a); m++ {
		for j := range stoiBands {
			var u, v [stoiSegment]float64
			var uu, vv float64
			for i := range stoiSegment {
				u[i], v[i] = a[m-stoiSegment+i][j], b[m-stoiSegment+i][j]
				uu += u[i] * u[i]
				vv += v[i] * v[i]
			}
			scale := math.Sqrt(uu) / (math.Sqrt(vv) + 1e-15)
			for i := range v {
				v[i] = min(v[i]*scale, u[i]*clip)
			}
			sum += correlation(u, v)
		}
	}
	return sum / float64(stoiBands*(len(a)-stoiSegment+1))
}

func correlation(u, v [stoiSegment]float64) float64 {
	var mu, mv float64
	for i := range u {
		mu += u[i] / stoiSegment
		mv += v[i] / stoiSegment
	}
	var uv, uu, vv float64
	for i := range u {
		uv += (u[i] - mu) * (v[i] - mv)
		uu += (u[i] - mu) * (u[i] - mu)
		vv += (v[i] - mv) * (v[i] - mv)
	}
	return uv / ((math.Sqrt(uu) + 1e-15) * (math.Sqrt(vv) + 1e-15))
}

// hann is the window without its zeros.
func hann() (w [stoiFrame]float64) {
	for i := range w {
		w[i] = 0.5 - 0.5*math.Cos(2*math.Pi*float64(i+1)/(stoiFrame+1))
	}
	return w
}

// speechOnly takes out the frames in which the reference is silent, and joins the others by overlap-add.
func speechOnly(x, y []float64) (xs, ys []float64) {
	const hop = stoiFrame / 2
	w := hann()
	var levels []float64
	loudest := math.Inf(-1)
	for at := 0; at < len(x)-stoiFrame; at += hop {
		var e float64
		for i := range stoiFrame {
			v := w[i] * x[at+i]
			e += v * v
		}
		level := 20 * math.Log10(math.Sqrt(e)+2.220446049250313e-16)
		levels = append(levels, level)
		loudest = max(loudest, level)
	}
	at := 0
	for k, level := range levels {
		if loudest-stoiRange-level >= 0 {
			continue
		}
		xs, ys = append(xs, make([]float64, at+stoiFrame-len(xs))...), append(ys, make([]float64, at+stoiFrame-len(ys))...)
		for i := range stoiFrame {
			xs[at+i] += w[i] * x[k*hop+i]
			ys[at+i] += w[i] * y[k*hop+i]
		}
		at += hop
	}
	return xs, ys
}

// bandEnvelopes is, for each frame, the magnitude in each third of an octave.
func bandEnvelopes(x []float64) (out [][stoiBands]float64) {
	w := hann()
	var edges [stoiBands][2]int
	bin := func(hz float64) int { return int(math.Round(hz * stoiFFT / stoiRate)) }
	for j := range edges {
		edges[j] = [2]int{bin(stoiLowest * math.Pow(2, float64(2*j-1)/6)), bin(stoiLowest * math.Pow(2, float64(2*j+1)/6))}
	}
	re, im := make([]float64, stoiFFT), make([]float64, stoiFFT)
	for at := 0; at < len(x)-stoiFrame; at += stoiFrame / 2 {
		clear(re)
		clear(im)
		for i := range stoiFrame {
			re[i] = w[i] * x[at+i]
		}
		FFT(re, im)
		var bands [stoiBands]float64
		for j, e := range edges {
			var sum float64
			for k := e[0]; k < e[1]; k++ {
				sum += re[k]*re[k] + im[k]*im[k]
			}
			bands[j] = math.Sqrt(sum)
		}
		out = append(out, bands)
	}
	return out
}
