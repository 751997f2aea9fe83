package mediatest

import (
	"slices"
	"testing"

	"peerchat/media"
)

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
