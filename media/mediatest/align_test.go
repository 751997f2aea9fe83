package mediatest

import (
	"math"
	"slices"
	"testing"

	"peerchat/media"
)

func TestFollow(t *testing.T) {
	const second = media.SampleRate
	spoken := Speech(2*second, 1)
	soft := slices.Clone(spoken)
	for i := range soft {
		soft[i] /= 3
	}
	gap := slices.Clone(spoken)
	clear(gap[second : second+second/2])
	between := make([]int16, len(spoken)) // half a sample later
	for i := range between {
		var sum float64
		for k := -32; k < 32; k++ {
			if i+k >= 0 && i+k < len(spoken) {
				d := float64(k) + 0.5
				sum += float64(spoken[i+k]) * sinc(d) * (0.5 + 0.5*math.Cos(math.Pi*d/33))
			}
		}
		between[i] = int16(sum)
	}
	for _, c := range []struct {
		name     string
		heard    []int16
		lag      int
		from, to float64
	}{
		{"the same", spoken, 0, 0.9999, 1.0001},
		{"late, and softer", slices.Concat(make([]int16, 5000), soft, make([]int16, second)), 5000, 0.999, 1.0001},
		{"half a sample late", between, 0, 0.985, 1.0001},
		{"its beginning is missing", spoken[700:], -700, 0.9, 1.0001},
		{"40 ms more delay in the middle", slices.Concat(spoken[:second], make([]int16, second/25), spoken[second:]), 0, 0.97, 1.0001},
		{"half a second more delay at the beginning", slices.Concat(spoken[:second/2], make([]int16, second/2), spoken[second/2:]), 0, 0.97, 1.0001},
		{"half a second more delay at the end", slices.Concat(spoken[:3*second/2], make([]int16, second/2), spoken[3*second/2:]), 0, 0.97, 1.0001},
		{"half a second is missing", gap, 0, 0.5, 0.95},
		{"another voice", Speech(2*second, 2), 0, -1, 0.8},
		{"silence", make([]int16, 3*second), 0, -0.01, 0.01},
	} {
		lag, got := Follow(spoken, c.heard)
		if !(got >= c.from && got <= c.to) {
			t.Errorf("%s: the correlation is %.4f, want %.4f to %.4f", c.name, got, c.from, c.to)
		}
		if c.from > 0.95 && (lag < c.lag || lag > c.lag+1) {
			t.Errorf("%s: the lag is %d, want %d", c.name, lag, c.lag)
		}
	}
}
