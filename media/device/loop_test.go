package device

import (
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"peerchat/media"
)

// loop is two engines: one hears the monitor of the Headset, the other plays on the Loudspeaker. Packets go from one to
// the other in memory.
func loop(t testing.TB, system *System, mode media.GateMode) (talker, listener *media.Engine) {
	t.Helper()
	opened := make(chan struct{}, 8)
	event := func(ev media.VoiceEvent) {
		switch ev := ev.(type) {
		case media.DeviceOpened:
			opened <- struct{}{}
		case media.DeviceFailed:
			t.Errorf("%v %q: %v", ev.Kind, ev.Asked, ev.Err)
		}
	}
	engine := func(cfg media.EngineConfig) *media.Engine {
		cfg.Devices, cfg.Event = system, event
		e, err := media.NewEngine(cfg)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := e.Close(); err != nil {
				t.Error(err)
			}
		})
		e.Join()
		return e
	}
	listener = engine(media.EngineConfig{Input: "none", Output: "Loudspeaker"})
	talker = engine(media.EngineConfig{Input: "Monitor of Headset", Output: "none", Mode: mode, Send: func(o media.Outgoing) {
		listener.Receive(media.PeerID{1}, media.RTP{SSRC: 1, Seq: o.Seq, Timestamp: o.Timestamp, Marker: o.Marker}, o.Payload)
	}})
	for range 4 {
		select {
		case <-opened:
		case <-time.After(20 * time.Second):
			t.Fatal("the devices do not open")
		}
	}
	return talker, listener
}

func TestVoiceGoesFromOneEngineToTheOther(t *testing.T) {
	eachBackend(t, func(t *testing.T, server *pulseServer, system *System) {
		ctx := within(t, 30*time.Second)
		_, listener := loop(t, system, media.GateVoice)
		headset, err := system.OpenSink(ctx, "Headset")
		if err != nil {
			t.Fatal(err)
		}
		ear, err := system.OpenSource(ctx, "Monitor of Loudspeaker")
		if err != nil {
			t.Fatal(err)
		}
		defer ear.Close()
		speak(t, headset, 440)
		hear(t, ear, 440)
		s := listener.Stats()
		for end := time.Now().Add(20 * time.Second); !(len(s.Talkers) == 1 && s.Talkers[0].Talking) && time.Now().Before(end); {
			hear(t, ear, 440) // on a busy machine there are pauses
			s = listener.Stats()
		}
		if s.Output != "Loudspeaker" || len(s.Talkers) != 1 || !s.Talkers[0].Talking {
			t.Errorf("%+v", s)
		}
	})
}

// onsets notes when a microphone hears a click, on the clock of the test.
type onsets struct {
	mu sync.Mutex
	at []time.Time
}

// listen hears clicks until the microphone is closed. Two recordings are compared, so what recording takes cancels out.
func (o *onsets) listen(rec recorder) {
	pcm := make([]int16, period)
	quiet := 0
	for rec.read(pcm) == nil {
		now := time.Now()
		for i, s := range pcm {
			if s > -2000 && s < 2000 {
				quiet++
				continue
			}
			if quiet > media.SampleRate/20 {
				o.mu.Lock()
				o.at = append(o.at, now.Add(-time.Duration(period-i)*time.Second/media.SampleRate))
				o.mu.Unlock()
			}
			quiet = 0
		}
	}
}

// BenchmarkMouthToEar measures from the microphone's to the loudspeaker's side of the two null sinks, through both
// engines and without a network: capture, framing, gate, jitter buffer, mixing, playback.
func BenchmarkMouthToEar(b *testing.B) {
	for _, backend := range []string{"pulse", "malgo"} {
		b.Run(backend, func(b *testing.B) {
			if backend == "malgo" && newMalgo(Config{}) == nil {
				b.Skip("this build has no cgo")
			}
			server := startPulse(b)
			system := server.system(backend)
			defer system.Close()
			_, listener := loop(b, system, media.GateOpen)
			ctx := within(b, 10*time.Minute)
			p := newPulse(Config{})
			var heard [2]onsets
			var running sync.WaitGroup
			defer running.Wait()
			for i, name := range []string{"mic.monitor", "ear.monitor"} {
				rec, err := p.record(ctx, name)
				if err != nil {
					b.Fatal(err)
				}
				running.Go(func() { heard[i].listen(rec) })
				defer rec.close()
			}
			sink, err := p.play(ctx, "mic")
			if err != nil {
				b.Fatal(err)
			}
			defer sink.Close()
			click := make([]int16, 320)
			_ = tone(1000)(click)
			silence := make([]int16, period)
			at, next := 0, media.SampleRate*3
			clicks := 0
			for b.Loop() {
				for done := clicks; clicks == done || at < next; {
					<-sink.Wake()
					for sink.Room() >= period {
						if at >= next {
							sink.Write(click[:period])
							at, next = 0, media.SampleRate/4+rand.IntN(media.SampleRate/8)
							clicks++
						} else {
							sink.Write(silence)
							at += period
						}
					}
				}
			}
			time.Sleep(500 * time.Millisecond)
			var took []float64
			for i := range heard {
				heard[i].mu.Lock()
				defer heard[i].mu.Unlock()
			}
			for _, m := range heard[0].at {
				if k := slices.IndexFunc(heard[1].at, func(e time.Time) bool { return e.After(m) }); k >= 0 {
					if d := heard[1].at[k].Sub(m); d < 200*time.Millisecond {
						took = append(took, float64(d.Microseconds())/1000)
					}
				}
			}
			if len(took) == 0 {
				b.Fatalf("%d clicks were made, %d heard by the microphone, %d at the ear", clicks, len(heard[0].at), len(heard[1].at))
			}
			slices.Sort(took)
			s := listener.Stats()
			b.ReportMetric(took[len(took)/2], "p50-ms")
			b.ReportMetric(took[min(len(took)-1, len(took)*95/100)], "p95-ms")
			b.ReportMetric(float64(len(took))/float64(max(1, len(heard[0].at))), "heard/click")
			b.ReportMetric(float64(s.Underruns), "underruns")
			if len(s.Talkers) == 1 {
				b.ReportMetric(float64(s.Talkers[0].Delay.Microseconds())/1000, "buffer-ms")
				b.ReportMetric(float64(s.Talkers[0].Target.Microseconds())/1000, "target-ms")
			}
		})
	}
}
