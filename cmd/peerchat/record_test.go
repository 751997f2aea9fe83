package main

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"peerchat/media"
	"peerchat/media/mediatest"
	"peerchat/media/wav"
)

func readWAV(t *testing.T, file string) []int16 {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := wav.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	pcm := make([]int16, r.Samples()+1)
	n, err := r.Read(pcm)
	if err != nil && !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	return pcm[:n]
}

// A recording has what is heard and what is said, and the room knows of it.
func TestRecording(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "voice.wav")
	onStage(t, []string{"built-in"}, func(s *stage) {
		s.typed("/record " + file)
		s.wantTold("outside voice", "you are not in voice")
		s.typed("/voice join", "/vad off", "/record stop", "/record "+filepath.Join(dir, "none", "x.wav"))
		s.wantTold("bad recordings", "nothing is being recorded", "no such file or directory")
		s.sound.speak(0.5)
		s.typed("/record "+file, "/record "+file)
		s.wantTold("two recordings", "is written to "+file, "is being recorded already")
		s.bobTalks(700, 2*time.Second)
		s.typed("/record stop", "/record "+file)
		s.wantTold("its end", "recorded "+file, "file exists")
		if want := []string{"is recording the voice of this room", "has stopped recording"}; !slices.Equal(s.said, want) {
			t.Errorf("the room is told %q, want %q", s.said, want)
		}
	})
	pcm := readWAV(t, file)
	if n := len(pcm); n < 2*media.SampleRate || n > 5*media.SampleRate/2 {
		t.Fatalf("the recording has %d samples, want a little more than 2 s", n)
	}
	part := pcm[media.SampleRate/2 : 3*media.SampleRate/2]
	// The microphone is levelled automatically; bob is recorded as he came.
	for hz, want := range map[float64]float64{400: 5000, 700: 9000} {
		if got := mediatest.Amplitude(part, hz); got < want/2 || got > 2*want {
			t.Errorf("the tone of %.0f Hz has the amplitude %.0f, want about %.0f", hz, got, want)
		}
	}
}

// Whatever ends voice ends the recording, and leaves a whole file.
func TestARecordingEndsWithVoice(t *testing.T) {
	for _, end := range []struct {
		name string
		do   func(s *stage)
	}{
		{"leaving voice", func(s *stage) { s.typed("/voice leave") }},
		{"leaving the program", func(s *stage) { s.finish(s.t.Context()); s.pass(0) }},
		{"closing", func(s *stage) { s.told = append(s.told, "recorded") }},
	} {
		t.Run(end.name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			onStage(t, []string{"built-in"}, func(s *stage) {
				s.typed("/voice join", "/vad off")
				s.sound.speak(0.5)
				s.typed("/record")
				s.pass(time.Second)
				end.do(s)
				s.wantTold(end.name, "recorded")
			})
			files, err := filepath.Glob("voice-*.wav")
			if err != nil || len(files) != 1 {
				t.Fatalf("the recordings are %q, %v", files, err)
			}
			if pcm := readWAV(t, files[0]); len(pcm) < media.SampleRate || peak(pcm) < 2000 {
				t.Errorf("the recording has %d samples up to %d", len(pcm), peak(pcm))
			}
		})
	}
}

// headerOnly takes the header of a file, and no more.
type headerOnly struct{ written int }

func (d *headerOnly) Write(b []byte) (int, error) {
	if d.written > 0 {
		return 0, errors.New("no space left on device")
	}
	d.written += len(b)
	return len(b), nil
}

func (d *headerOnly) WriteAt(b []byte, _ int64) (int, error) { return len(b), nil }
func (d *headerOnly) Close() error                           { return nil }

// A disk that is full ends the recording by itself.
func TestARecordingThatFails(t *testing.T) {
	ended := make(chan struct{})
	r, err := newRecorder("voice.wav", &headerOnly{}, func() { close(ended) })
	if err != nil {
		t.Fatal(err)
	}
	r.heard(make([]int16, 160))
	<-ended
	if r.err == nil || !strings.Contains(r.err.Error(), "no space left") {
		t.Errorf("the recording failed with %v", r.err)
	}
	for range recordBlocks + 10 {
		r.heard(make([]int16, 160)) // nobody takes them any more
	}
	if r.lost.Load() == 0 {
		t.Error("what is not written is not counted")
	}
}
