//go:build !race

package media_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"peerchat/media"
	"peerchat/media/mediatest"
)

// A way to fill the frame after past, which is what has been heard so far.
type filler struct {
	name    string
	good    func(f []int16)
	missing func(out []int16)
}

func fillers() []filler {
	var c media.Concealer
	var last media.Frame
	return []filler{
		{"silence", func([]int16) {}, func(out []int16) { clear(out) }},
		{"repetition", func(f []int16) { copy(last[:], f) }, func(out []int16) { copy(out, last[:]) }},
		{"concealment", c.Good, c.Conceal},
	}
}

// lossy plays voice through f, with frames lost at random. It returns all that is heard, and what was to be heard and
// what was heard in the frames that were lost.
func lossy(voice []int16, f filler, loss float64, seed uint64) (heard, said, madeUp []int16) {
	r := rand.New(rand.NewPCG(seed, 1))
	heard = append([]int16(nil), voice...)
	for at := 0; at+media.FrameSamples <= len(heard); at += media.FrameSamples {
		frame := heard[at : at+media.FrameSamples]
		if r.Float64() < loss {
			said = append(said, frame...)
			f.missing(frame)
			madeUp = append(madeUp, frame...)
		} else {
			f.good(frame)
		}
	}
	return heard, said, madeUp
}

func TestConcealmentBeatsSilenceAndRepetition(t *testing.T) {
	for _, loss := range []float64{0.01, 0.05, 0.10, 0.20} {
		var stoi, snr, all, lsd [3]float64
		const voices = 3
		for seed := range uint64(voices) {
			voice := mediatest.Speech(5*media.SampleRate, 10+seed)
			for i, f := range fillers() {
				heard, said, madeUp := lossy(voice, f, loss, 20+seed)
				stoi[i] += mediatest.STOI(voice, heard) / voices
				snr[i] += mediatest.SegmentalSNR(said, madeUp) / voices
				all[i] += mediatest.SNR(voice, heard) / voices
				lsd[i] += mediatest.LogSpectralDistance(voice, heard) / voices
			}
		}
		table := ""
		for i, f := range fillers() {
			table += fmt.Sprintf("%-12s STOI %.4f, SNR %5.2f dB, segmental SNR where lost %5.2f dB, spectral distance %.2f dB\n",
				f.name, stoi[i], all[i], snr[i], lsd[i])
		}
		t.Logf("%.0f %% of frames lost\n%s", 100*loss, table)
		for i := range 2 {
			if stoi[2] <= stoi[i] || snr[2] <= snr[i] {
				t.Errorf("at %.0f %% loss concealment does not beat %s\n%s", 100*loss, fillers()[i].name, table)
			}
		}
	}
}
