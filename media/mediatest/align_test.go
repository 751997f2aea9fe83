package mediatest

import (
	"slices"
	"testing"

	"peerchat/media"
)

func TestFollow(t *testing.T) {
	const second = media.SampleRate
	spoken := Speech(3*second, 1)
	soft := slices.Clone(spoken)
	for i := range soft {
		soft[i] /= 3
	}
	gap := slices.Clone(spoken)
	clear(gap[second : second+second/2])
	for _, c := range []struct {
		name     string
		heard    []int16
		lag      int
		from, to float64
	}{
		{"the same", spoken, 0, 0.9999, 1.0001},
		{"late, and softer", slices.Concat(make([]int16, 5000), soft, make([]int16, second)), 5000, 0.999, 1.0001},
		{"its beginning is missing", spoken[700:], -700, 0.9, 1.0001},
		{"40 ms more delay in the middle", slices.Concat(spoken[:second], make([]int16, second/25), spoken[second:]), 0, 0.97, 1.0001},
		{"half a second is missing", gap, 0, 0.5, 0.95},
		{"another voice", Speech(3*second, 2), 0, -1, 0.8},
		{"silence", make([]int16, 4*second), 0, -0.01, 0.01},
	} {
		lag, got := Follow(spoken, c.heard)
		if !(got >= c.from && got <= c.to) {
			t.Errorf("%s: the correlation is %.4f, want %.4f to %.4f", c.name, got, c.from, c.to)
		}
		if c.from > 0.95 && lag != c.lag {
			t.Errorf("%s: the lag is %d, want %d", c.name, lag, c.lag)
		}
	}
}

func TestStraightenTakesChangesOfDelayOut(t *testing.T) {
	const second = media.SampleRate
	spoken := Speech(3*second, 1)
	heard := make([]int16, 700)
	for part := range slices.Chunk(spoken, 3*second/10) {
		heard = slices.Concat(heard, part, make([]int16, 100))
	}
	if got := STOI(spoken, heard[700:]); got > 0.9 {
		t.Errorf("with a growing delay the intelligibility is %.3f: nothing is tested", got)
	}
	straight := Straighten(spoken, heard)
	if got := STOI(spoken, straight); got < 0.98 || len(straight) != len(spoken) {
		t.Errorf("with the delays taken out it is %.3f, of %d samples", got, len(straight))
	}
	if got := Straighten(spoken, nil); len(got) != len(spoken) || RMS(got) != 0 {
		t.Error("nothing does not stay nothing")
	}
}
