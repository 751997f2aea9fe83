package device

import (
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/mediadevices"
	"github.com/pion/mediadevices/pkg/driver"

	"peerchat/media"
	"peerchat/media/l16"
	"peerchat/media/wav"
)

func TestSourcesAndSinksParse(t *testing.T) {
	for setting, want := range map[string]Spec{
		"":                      {},
		"default":               {},
		"none":                  {Kind: None},
		"2":                     {Kind: Real, Name: "2"},
		"USB headset: mono":     {Kind: Real, Name: "USB headset: mono"},
		"wav:a.wav":             {Kind: WAV, File: "a.wav"},
		"wav:/tmp/a b.wav?loop": {Kind: WAV, File: "/tmp/a b.wav", Loop: true},
		`wav:C:\a.wav`:          {Kind: WAV, File: `C:\a.wav`},
		"wav:what?.wav":         {Kind: WAV, File: "what?.wav"},
		"tone:440":              {Kind: Tone, Hz: 440},
		"tone:82.4":             {Kind: Tone, Hz: 82.4},
	} {
		got, err := ParseSource(setting)
		if err != nil || got != want {
			t.Errorf("%q: %+v, %v", setting, got, err)
		}
	}
	for _, setting := range []string{"tone:", "tone:x", "tone:0", "tone:19", "tone:8000", "tone:NaN", "tone:-440", "tone:1e99", "wav:", "wav:?loop", "a\x00b", strings.Repeat("x", maxSpec+1)} {
		if got, err := ParseSource(setting); err == nil {
			t.Errorf("%q is %+v", setting, got)
		}
	}
	if got, err := ParseSink("wav:a.wav?loop"); err != nil || got != (Spec{Kind: WAV, File: "a.wav?loop"}) {
		t.Errorf("a sink cannot loop, but it is %+v, %v", got, err)
	}
	if _, err := ParseSink("tone:440"); err == nil {
		t.Error("a tone is a speaker")
	}
}

// FuzzParseSource checks that whatever parses gives a setting that parses to the same.
func FuzzParseSource(f *testing.F) {
	for _, s := range []string{"", "none", "wav:a?loop", "tone:440", "3", "default"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		spec, err := ParseSource(s)
		if err != nil {
			return
		}
		if again, err := ParseSource(spec.String()); err != nil || again != spec {
			t.Fatalf("%q is %+v, is %q, is %+v, %v", s, spec, spec.String(), again, err)
		}
	})
}

func TestADeviceIsFoundByWhatIsClear(t *testing.T) {
	devices := []Device{{ID: "a1", Name: "USB Headset"}, {ID: "b2", Name: "Built-in"}, {ID: "c3", Name: "usb speaker"}, {ID: "d4", Name: "2"}}
	number(devices)
	for name, want := range map[string]string{"b2": "b2", "usb headset": "a1", "built": "b2", "2": "d4", "3": "a1", "SPEAK": "c3"} {
		if d, err := find(name, "speaker", devices); err != nil || d.ID != want {
			t.Errorf("%q is %+v, %v", name, d, err)
		}
	}
	for name, say := range map[string]string{"usb": "USB Headset", "9": "Built-in"} {
		if _, err := find(name, "speaker", devices); err == nil || !strings.Contains(err.Error(), say) {
			t.Errorf("%q: %v", name, err)
		}
	}
	if _, err := find("x", "speaker", nil); !errors.Is(err, media.ErrNoSound) {
		t.Error(err)
	}
}

func TestAMachineWithoutSoundSaysSo(t *testing.T) {
	t.Setenv("PULSE_SERVER", "unix:"+filepath.Join(t.TempDir(), "nobody"))
	s := New(Config{Backends: []string{"pulse"}})
	_, _, err := s.List(context.Background())
	_, errSource := s.OpenSource(context.Background(), "")
	_, errSink := s.OpenSink(context.Background(), "default")
	_, errNamed := s.OpenSource(context.Background(), "headset")
	for _, err := range []error{err, errSource, errSink, errNamed} {
		if !errors.Is(err, media.ErrNoSound) {
			t.Error(err)
		}
	}
	s.Close()
	if _, err := s.OpenSource(context.Background(), ""); err == nil {
		t.Error("a closed system opens a microphone")
	}
}

func TestARingForgetsTheOldest(t *testing.T) {
	r := newRing(10)
	r.put([]int16{1, 2, 3, 4, 5, 6})
	got := make([]int16, 4)
	if err := r.read(got); err != nil || !slices.Equal(got, []int16{1, 2, 3, 4}) {
		t.Fatal(got, err)
	}
	r.put([]int16{7, 8, 9, 10, 11, 12, 13, 14, 15})
	if r.lostSamples() != 1 || r.len() != 10 {
		t.Errorf("%d lost, %d there", r.lostSamples(), r.len())
	}
	r.put(make([]int16, 12))
	if r.lostSamples() != 13 {
		t.Errorf("%d lost", r.lostSamples())
	}
	boom := errors.New("boom")
	r.fail(boom)
	if err := r.read(make([]int16, 10)); err != nil {
		t.Errorf("what was there is gone: %v", err)
	}
	r.fail(media.ErrClosed)
	if err := r.read(got); !errors.Is(err, boom) {
		t.Error(err)
	}
}

func TestAClosedRingGivesNothing(t *testing.T) {
	for range 20 { // both that samples came and that it was closed wakes the reader
		r := newRing(10)
		r.put([]int16{1, 2, 3, 4})
		r.fail(media.ErrClosed)
		r.put([]int16{5, 6, 7, 8}) // an audio thread may be late
		if err := r.read(make([]int16, 4)); !errors.Is(err, media.ErrClosed) {
			t.Fatalf("what a microphone heard is there after it was closed: %v", err)
		}
	}
}

func TestATonePlaysInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Config{})
		source, err := s.OpenSource(context.Background(), "tone:440")
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		pcm := make([]int16, media.SampleRate)
		for at := 0; at < len(pcm); at += media.FrameSamples {
			if err := source.Read(pcm[at : at+media.FrameSamples]); err != nil {
				t.Fatal(err)
			}
		}
		if d := time.Since(start); d != time.Second {
			t.Errorf("a second took %v", d)
		}
		if g := goertzel(pcm, 440); g < 0.99 {
			t.Errorf("only %.3f of it is 440 Hz", g)
		}
		time.Sleep(time.Hour) // the machine slept: what was not read is not read now
		start = time.Now()
		for range 50 {
			if err := source.Read(pcm[:media.FrameSamples]); err != nil {
				t.Fatal(err)
			}
		}
		if d := time.Since(start); d < 990*time.Millisecond {
			t.Errorf("a second after a pause took %v", d)
		}
		if err := source.Close(); err != nil {
			t.Error(err)
		}
		if err := source.Read(pcm[:1]); err == nil && source.Read(pcm[:media.FrameSamples]) == nil {
			t.Error("a closed tone plays on")
		}
	})
}

// writeWAV makes a file of n samples at rate.
func writeWAV(t *testing.T, rate, n int) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "x.wav")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w, err := wav.NewWriter(f, rate)
	if err != nil {
		t.Fatal(err)
	}
	pcm := make([]int16, n)
	for i := range pcm {
		pcm[i] = int16(10000 * math.Sin(2*math.Pi*440*float64(i)/float64(rate)))
	}
	if err := errors.Join(w.Write(pcm), w.Close()); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestAFileIsAMicrophone(t *testing.T) {
	for _, rate := range []int{8000, 16000, 44100, 48000} {
		path := writeWAV(t, rate, rate) // one second, 440 whole waves
		synctest.Test(t, func(t *testing.T) {
			s := New(Config{})
			for _, loop := range []string{"", "?loop"} {
				source, err := s.OpenSource(context.Background(), "wav:"+path+loop)
				if err != nil {
					t.Fatal(err)
				}
				pcm := make([]int16, 5*media.SampleRate)
				for at := 0; at < len(pcm); at += media.FrameSamples {
					if err := source.Read(pcm[at : at+media.FrameSamples]); err != nil {
						t.Fatal(err)
					}
				}
				if g := goertzel(pcm[media.SampleRate/10:media.SampleRate*9/10], 440); g < 0.99 {
					t.Errorf("%d Hz: only %.3f is the tone", rate, g)
				}
				end := pcm[2*media.SampleRate:]
				if loop == "" && slices.ContainsFunc(end, func(v int16) bool { return v != 0 }) {
					t.Errorf("%d Hz: there is sound behind the end", rate)
				}
				if g := goertzel(end, 440); loop != "" && g < 0.95 {
					t.Errorf("%d Hz, again and again: only %.3f is the tone", rate, g)
				}
				if err := source.Close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

func TestFilesThatAreNoneAreRefused(t *testing.T) {
	s := New(Config{})
	dir := t.TempDir()
	text := filepath.Join(dir, "text")
	if err := os.WriteFile(text, []byte("no sound at all, but long enough to be read"), 0o600); err != nil {
		t.Fatal(err)
	}
	empty := writeWAV(t, 16000, 0)
	for _, source := range []string{"wav:" + empty, "wav:" + empty + "?loop", "wav:" + writeWAV(t, 44100, 0), "wav:" + dir, "wav:" + text, "wav:" + filepath.Join(dir, "none.wav"), "wav:/dev/zero"} {
		if _, err := s.OpenSource(context.Background(), source); err == nil {
			t.Errorf("%s was opened", source)
		}
	}
	for _, sink := range []string{"wav:" + dir, "wav:" + filepath.Join(dir, "no", "x.wav"), "wav:/dev/null"} {
		if _, err := s.OpenSink(context.Background(), sink); err == nil {
			t.Errorf("%s was opened", sink)
		}
	}
}

func TestAFileIsALoudspeaker(t *testing.T) {
	path := filepath.Join(t.TempDir(), "out.wav")
	synctest.Test(t, func(t *testing.T) {
		s := New(Config{})
		sink, err := s.OpenSink(context.Background(), "wav:"+path)
		if err != nil {
			t.Fatal(err)
		}
		fill := tone(440)
		pcm := make([]int16, sink.Period())
		for start := time.Now(); time.Since(start) < 2*time.Second; {
			<-sink.Wake()
			for sink.Room() >= len(pcm) {
				_ = fill(pcm)
				sink.Write(pcm)
			}
		}
		if err := sink.Close(); err != nil {
			t.Error(err)
		}
		if err := sink.Close(); err != nil {
			t.Error(err)
		}
		sink.Write(pcm)
		if !errors.Is(sink.Err(), media.ErrClosed) {
			t.Error(sink.Err())
		}
	})
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := wav.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	got := make([]int16, 4*media.SampleRate)
	n, err := r.Read(got)
	if err != nil || n < media.SampleRate*19/10 || n > media.SampleRate*21/10 {
		t.Errorf("%d samples of 2 s, %v", n, err)
	}
	if g := goertzel(got[:n], 440); g < 0.99 {
		t.Errorf("only %.3f of it is the tone", g)
	}
}

func TestATrackOfMediadevicesGivesRTP(t *testing.T) {
	source, err := openTrack(func() (recorder, error) { return newTimedRecorder("tone", tone(440)), nil })
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	if n := len(driver.GetManager().Query(driver.FilterAudioRecorder())); n != 0 {
		t.Errorf("%d drivers are left with the manager", n)
	}
	r, err := source.Track().NewRTPReader(l16.MimeType, 7, 1200)
	if err != nil {
		t.Fatal(err)
	}
	var last uint32
	for i := range 5 {
		packets, release, err := r.Read()
		if err != nil {
			t.Fatal(err)
		}
		if len(packets) != 1 || len(packets[0].Payload) != media.FrameBytes || packets[0].PayloadType != l16.PayloadType || packets[0].SSRC != 7 {
			t.Fatalf("%+v", packets)
		}
		if i > 0 && packets[0].Timestamp-last != media.FrameSamples {
			t.Errorf("the timestamp goes on by %d", packets[0].Timestamp-last)
		}
		last = packets[0].Timestamp
		release()
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if _, ok := source.Track().(*mediadevices.AudioTrack); !ok {
		t.Errorf("it is a %T", source.Track())
	}
}

func TestManyMicrophonesOpenAtOnce(t *testing.T) {
	s := New(Config{})
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			source, err := s.OpenSource(context.Background(), "none")
			if err != nil {
				t.Error(err)
				return
			}
			done := make(chan struct{})
			go func() {
				defer close(done)
				for source.Read(make([]int16, media.FrameSamples)) == nil {
				}
			}()
			if err := source.Close(); err != nil {
				t.Error(err)
			}
			<-done
		})
	}
	all.Wait()
}

func TestAPanicInsideTheTrackIsAnError(t *testing.T) {
	source, err := openTrack(func() (recorder, error) {
		return newTimedRecorder("bad", func([]int16) error { panic("index out of range") }), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	if err := source.Read(make([]int16, media.FrameSamples)); err == nil || !strings.Contains(err.Error(), "index out of range") {
		t.Error(err)
	}
}
