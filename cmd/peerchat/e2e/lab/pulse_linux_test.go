package lab

import (
	"math"
	"os"
	"testing"
	"time"
)

func TestWhatASoundPlaysIsRecorded(t *testing.T) {
	s, err := NewSound(newNet(t), "one", "two")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	tone := make([]int16, soundRate)
	for i := range tone {
		tone[i] = int16(8000 * math.Sin(2*math.Pi*500*float64(i)/soundRate))
	}
	loudest := func(pcm []int16) (most int16) {
		for _, v := range pcm {
			most = max(most, v)
		}
		return most
	}
	for _, life := range []string{"at first", "after a crash"} {
		one, err := s.Record("one")
		if err != nil {
			t.Fatal(err)
		}
		two, err := s.Record("two")
		if err != nil {
			t.Fatal(err)
		}
		player, err := s.Play("one", tone)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := one.Await(0, 20*time.Second, life+" the tone is recorded", func(pcm []int16) bool { return loudest(pcm) > 7900 }); err != nil {
			t.Fatal(err)
		}
		if status, err := player.AwaitExit(20 * time.Second); err != nil || status != 0 {
			t.Errorf("%s the player ended with status %d, %v", life, status, err)
		}
		if pcm, err := two.Seconds(0, 0.5); err != nil || loudest(pcm) > 0 {
			t.Errorf("%s the other loudspeaker plays too, or not at all: %d, %v", life, loudest(pcm), err)
		}
		s.Kill()
		if _, err := two.Await(0, 20*time.Second, "what never comes", func([]int16) bool { return false }); err == nil {
			t.Error("a recording goes on without its daemon")
		}
		if err := s.Start(); err != nil {
			t.Fatal(err)
		}
	}
	if speech, err := s.Speak("en", "hello"); err != nil || len(speech) < 1000 {
		t.Errorf("espeak-ng says %d bytes, %v", len(speech), err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(s.dir); err == nil {
		t.Error("it leaves files behind")
	}
}
