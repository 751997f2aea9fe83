//go:build !race

package media_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"peerchat/media"
	"peerchat/media/mediatest"
	"peerchat/media/wav"
)

// spoken is a text of six sentences, some 15 s, read by espeak-ng, at 16 kHz. Without espeak-ng the test is skipped; in
// CI, which installs what .ci/deps lists, it fails.
func spoken(t *testing.T, speaker string) []int16 {
	t.Helper()
	program, err := exec.LookPath("espeak-ng")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("espeak-ng is not installed; install the package espeak-ng")
		}
		t.Skip("espeak-ng is not installed; install the package espeak-ng")
	}
	file := filepath.Join(t.TempDir(), "speech.wav")
	// From the first list of the Harvard sentences (IEEE Recommended Practice for Speech Quality Measurements, 1969).
	const text = `The birch canoe slid on the smooth planks. Glue the sheet to the dark blue background. It's easy to tell the depth of a well.
These days a chicken leg is a rare dish. Rice is often served in round bowls. The juice of lemons makes fine punch.`
	if out, err := exec.Command(program, "-v", speaker, "-s", "160", "-w", file, text).CombinedOutput(); err != nil {
		t.Fatalf("espeak-ng: %v: %s", err, out)
	}
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := wav.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	resampler, err := media.NewResampler(r.Rate(), media.SampleRate, 1)
	if err != nil {
		t.Fatal(err)
	}
	var voice []int16
	for buf := make([]int16, 4096); ; {
		n, err := r.Read(buf)
		voice = resampler.Append(voice, buf[:n])
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	voice = resampler.Flush(voice)
	if len(voice) < 10*media.SampleRate {
		t.Fatalf("espeak-ng has spoken for %d ms alone", len(voice)/16)
	}
	return voice
}

func TestConcealmentOfRealSpeech(t *testing.T) {
	for _, name := range []string{"en-us", "en-us+f3"} {
		voice := spoken(t, name)
		for _, loss := range []float64{0.01, 0.05, 0.10, 0.20} {
			var stoi [3]float64
			const runs = 1
			for seed := range uint64(runs) {
				for i, f := range fillers() {
					heard, _, _ := lossy(voice, f, loss, 40+seed)
					stoi[i] += mediatest.STOI(voice, heard) / runs
				}
			}
			table := ""
			for i, f := range fillers() {
				table += fmt.Sprintf(" %s %.4f", f.name, stoi[i])
			}
			t.Logf("%s, %.0f %% of frames lost, STOI:%s", name, 100*loss, table)
			if stoi[2] <= stoi[0] || stoi[2] <= stoi[1] {
				t.Errorf("%s: at %.0f %% loss concealment does not beat silence and repetition:%s", name, 100*loss, table)
			}
		}
		with, _ := intelligibility(voice, 0.2, true, 7)
		if t.Logf("%s, 20 %% of packets lost, with the frame before in each: STOI %.4f", name, with); with < 0.95 {
			t.Errorf("%s: at 20 %% loss the intelligibility is %.3f with redundancy", name, with)
		}
	}
}
