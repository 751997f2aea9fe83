//go:build !race

package media_test

import (
	"math"
	"slices"
	"testing"
	"time"

	"peerchat/media"
	"peerchat/media/mediatest"
)

// mic feeds a gate with a sound, frame by frame, from time from, and collects what it decides.
func mic(g *media.Gate, from time.Time, pcm []int16) (sent []media.Frame, decided []media.Transmit) {
	for i := 0; (i+1)*media.FrameSamples <= len(pcm); i++ {
		f := media.Frame(pcm[i*media.FrameSamples:])
		t := g.Step(from.Add(time.Duration(i)*media.FrameDuration), &f)
		decided = append(decided, t)
		if t.Send {
			sent = append(sent, f)
		}
	}
	return sent, decided
}

func count(decided []media.Transmit, which func(media.Transmit) bool) (n int) {
	for _, t := range decided {
		if which(t) {
			n++
		}
	}
	return n
}

func talking(t media.Transmit) bool { return t.Talking }
func sending(t media.Transmit) bool { return t.Send }

func noKeepAlive() media.GateConfig { return media.GateConfig{KeepAlive: -1} }

func TestGateOpensForVoiceAndNotForNoise(t *testing.T) {
	for _, noise := range []float64{10, 60, 200} {
		g := media.NewGate(noKeepAlive())
		mic(g, epoch(), mediatest.Noise(15*media.SampleRate, 1, noise)) // the room
		_, decided := mic(g, epoch().Add(15*time.Second), mediatest.Noise(5*media.SampleRate, 2, noise))
		if n := count(decided, sending); n != 0 {
			t.Errorf("in noise of %.0f dBFS %d of 250 frames are sent", mediatest.DB(noise/32768), n)
		}
		voice := mediatest.Mix(mediatest.Speech(5*media.SampleRate, 3), mediatest.Noise(5*media.SampleRate, 4, noise))
		_, decided = mic(g, epoch().Add(20*time.Second), voice)
		missed := 0
		for i, d := range decided {
			if !d.Talking && mediatest.RMS(voice[i*320:(i+1)*320]) > 1000 {
				missed++
			}
		}
		if missed > 0 {
			t.Errorf("in noise of %v %d loud frames of voice are not sent", noise, missed)
		}
	}
}

func TestGateMarksAndFadesTalkSpurts(t *testing.T) {
	g := media.NewGate(noKeepAlive())
	g.Set(media.GatePTT, false, false)
	steady := slices.Repeat([]int16{5000}, media.FrameSamples)
	step := func(i int) (media.Frame, media.Transmit) {
		f := media.Frame(steady)
		d := g.Step(epoch().Add(time.Duration(i)*media.FrameDuration), &f)
		return f, d
	}
	if _, d := step(0); d.Send {
		t.Fatal("the key is up, and a frame is sent")
	}
	g.Set(media.GatePTT, false, true)
	f, d := step(1)
	if !d.Send || !d.Marker || !d.Talking || f[0] > 200 || f[100] != 5000 {
		t.Errorf("the first frame is %+v and begins with %d", d, f[0])
	}
	if f, d = step(2); !d.Send || d.Marker || f[0] != 5000 {
		t.Errorf("the second frame is %+v and begins with %d", d, f[0])
	}
	g.Set(media.GatePTT, false, false)
	if f, d = step(3); !d.Send || d.Marker || f[0] < 4900 || f[319] != 0 {
		t.Errorf("the last frame is %+v and goes from %d to %d", d, f[0], f[319])
	}
	if f, d = step(4); !d.Send || d.Talking || f != (media.Frame{}) {
		t.Errorf("after the last frame there is no silent one: %+v", d)
	}
	if _, d = step(5); d.Send {
		t.Error("the gate does not shut")
	}
}

func TestGateHangsOnBetweenWords(t *testing.T) {
	g := media.NewGate(noKeepAlive())
	talk, pause := mediatest.Tone(16000, 300, 8000), make([]int16, 16000)
	mic(g, epoch(), talk)
	_, decided := mic(g, epoch().Add(time.Second), pause)
	if n := count(decided, talking); n < 14 || n > 17 {
		t.Errorf("the gate hangs on for %d frames after the voice, want 300 ms", n)
	}
}

func TestGateShutsWhileDucked(t *testing.T) {
	g := media.NewGate(media.GateConfig{KeepAlive: -1})
	g.Set(media.GateOpen, false, false)
	var f media.Frame
	at := epoch()
	step := func(ducked bool) media.Transmit {
		for i := range f {
			f[i] = int16(5000 * math.Sin(float64(i)/5))
		}
		g.Duck(ducked)
		at = at.Add(media.FrameDuration)
		return g.Step(at, &f)
	}
	if s := step(false); !s.Send || !s.Talking || !s.Speech {
		t.Errorf("open: %+v", s)
	}
	if s := step(true); !s.Send || !s.Talking || s.Speech || f[len(f)-1] != 0 {
		t.Errorf("the last frame fades out: %+v, and ends with %d", s, f[len(f)-1])
	}
	before := g.Threshold()
	for i := range 200 {
		if s := step(true); s.Talking || s.Speech || s.Cue || s.Send != (i == 0) {
			t.Fatalf("ducked, frame %d: %+v", i, s)
		}
	}
	if g.Threshold() != before {
		t.Errorf("the threshold went from %.1f to %.1f dBFS by what the loudspeaker says", before, g.Threshold())
	}
	if s := step(false); !s.Send || !s.Marker {
		t.Errorf("open again: %+v", s)
	}
}

func TestGateTellsWhoTalksWhileMuted(t *testing.T) {
	g := media.NewGate(noKeepAlive())
	g.Set(media.GateVoice, true, false)
	_, decided := mic(g, epoch(), mediatest.Speech(15*media.SampleRate, 5))
	cues := count(decided, func(t media.Transmit) bool { return t.Cue })
	if n := count(decided, sending); n != 0 || cues < 1 || cues > 2 {
		t.Errorf("of 15 s of talk while muted %d frames are sent, and %d cues are given, want 0, and one in 10 s", n, cues)
	}
	_, decided = mic(g, epoch().Add(time.Minute), mediatest.Noise(15*media.SampleRate, 6, 10))
	if n := count(decided, func(t media.Transmit) bool { return t.Cue }); n != 0 {
		t.Errorf("noise gives %d cues", n)
	}
}

func TestGateKeepsTheWayAlive(t *testing.T) {
	g := media.NewGate(media.GateConfig{})
	g.Set(media.GateVoice, true, false)
	sent, _ := mic(g, epoch(), mediatest.Speech(60*media.SampleRate, 5))
	if len(sent) != 12 {
		t.Errorf("a muted minute has %d keep-alives, want one in 5 s", len(sent))
	}
	for _, f := range sent {
		if f != (media.Frame{}) {
			t.Fatal("a keep-alive has sound in it")
		}
	}
}

func TestGateTakesAThreshold(t *testing.T) {
	g := media.NewGate(media.GateConfig{Threshold: -20, KeepAlive: -1})
	_, decided := mic(g, epoch(), mediatest.Tone(16000, 300, 3276.8)) // -23 dBFS
	if n := count(decided, talking); n != 0 || g.Threshold() != -20 {
		t.Errorf("below the threshold %d frames are sent", n)
	}
	_, decided = mic(g, epoch(), mediatest.Tone(16000, 300, 6553.6)) // -17 dBFS
	if n := count(decided, talking); n != 50 {
		t.Errorf("above the threshold %d of 50 frames are sent", n)
	}
}

func TestTalkKey(t *testing.T) {
	at := func(millis int) time.Time { return epoch().Add(time.Duration(millis) * time.Millisecond) }
	for name, c := range map[string]struct {
		keys []int  // ms
		want string // one letter for each 100 ms: up or Down
	}{
		"held for a second":         {[]int{0, 500, 533, 566, 600, 633, 666, 700, 733, 766, 800, 833, 866, 900, 933, 966}, "DDDDDDDDDDDDuuuu"},
		"tapped":                    {[]int{0}, "DDDDDDDDDDDDDDDDDDDD"},
		"tapped, and tapped again":  {[]int{0, 1000}, "DDDDDDDDDDuuuuuu"},
		"tapped twice in a moment":  {[]int{0, 300}, "DDDDDuuuuu"},
		"a slow first repeat":       {[]int{0, 660, 690, 720, 750}, "DDDDDDDDDDuuuu"},
		"a press that bounces once": {[]int{0, 5}, "DDDDDDDDDDDDDDDDDD"},
	} {
		var p media.PTT
		got := ""
		keys := c.keys
		for now := 0; now < 100*len(c.want); now += 100 {
			for len(keys) > 0 && keys[0] <= now {
				p.Key(at(keys[0]))
				keys = keys[1:]
			}
			down, wake := p.Down(at(now))
			if down && !wake.After(at(now)) {
				t.Fatalf("%s: at %d ms it asks to be woken at %v", name, now, wake)
			}
			got += map[bool]string{true: "D", false: "u"}[down]
		}
		if got != c.want {
			t.Errorf("%s: the key is\n%s, want\n%s", name, got, c.want)
		}
	}
}

func TestTalkKeyEndsByItself(t *testing.T) {
	p := media.PTT{Limit: time.Second}
	p.Key(epoch())
	if down, wake := p.Down(epoch().Add(900 * time.Millisecond)); !down || !wake.Equal(epoch().Add(time.Second)) || !p.Latched() {
		t.Errorf("after 0.9 s it is down: %v, wakes at %v", down, wake)
	}
	if down, _ := p.Down(epoch().Add(time.Second)); down || !p.Expired() {
		t.Error("after its limit it is down")
	}
	// A key that is held all the time does not talk again until it is let go.
	now := epoch()
	p = media.PTT{Limit: time.Second}
	for range 100 {
		p.Key(now)
		now = now.Add(30 * time.Millisecond)
	}
	if down, _ := p.Down(now); down || !p.Expired() {
		t.Error("held beyond its limit, it talks again")
	}
	now = now.Add(time.Second)
	p.Key(now)
	if down, _ := p.Down(now); !down || p.Expired() {
		t.Error("let go, and pressed again, it does not talk")
	}
	p.Release(now)
	if down, wake := p.Down(now); down || !wake.IsZero() {
		t.Error("released, it talks")
	}
}

func TestAGCBringsVoicesToOneLevel(t *testing.T) {
	for _, scale := range []float64{0.15, 0.5, 1, 4} {
		var a media.AGC
		voice := mediatest.Speech(30*media.SampleRate, 6)
		var out []int16
		for at := 0; at < len(voice); at += media.FrameSamples {
			var f media.Frame
			var before, after int16
			for i := range f {
				f[i] = int16(min(max(float64(voice[at+i])*scale, -32767), 32767))
				before = max(before, f[i], -f[i])
			}
			a.Process(&f, mediatest.RMS(f[:]) > 500*scale)
			for _, v := range f {
				after = max(after, v, -v)
			}
			if after > max(before, 29001) {
				t.Fatalf("at %v times the level a peak of %d becomes %d", scale, before, after)
			}
			out = append(out, f[:]...)
		}
		loud := mediatest.DB(mediatest.RMS(out[20*media.SampleRate:]) / 32768)
		if loud < -28 || loud > -20 {
			t.Errorf("a voice at %.1f times the level comes to %.1f dBFS, gain %.1f dB", scale, loud, a.Gain())
		}
	}
}

func TestAGCDoesNotRaiseNoise(t *testing.T) {
	var a media.AGC
	for i := range 500 {
		f := media.Frame(mediatest.Noise(media.FrameSamples, uint64(i), 30))
		a.Process(&f, false)
	}
	if a.Gain() != 0 {
		t.Errorf("noise is raised by %.1f dB", a.Gain())
	}
}

func TestMeterReadsLevels(t *testing.T) {
	var m media.Meter
	if l := m.Level(); l != (media.Level{RMS: media.Floor, Peak: media.Floor, Hold: media.Floor}) {
		t.Errorf("silence reads %+v", l)
	}
	tone := mediatest.Tone(2*media.SampleRate, 500, 16384)
	for at := 0; at < len(tone); at += 320 {
		m.Add(tone[at : at+320])
	}
	l := m.Level()
	for what, v := range map[string][2]float64{"RMS": {l.RMS, -9.03}, "peak": {l.Peak, -6.02}, "hold": {l.Hold, -6.02}} {
		if math.Abs(v[0]-v[1]) > 0.1 {
			t.Errorf("the %s of a tone of -6 dB is %.2f, want %.2f", what, v[0], v[1])
		}
	}
	silence := make([]int16, 320)
	for range 45 { // 0.9 s
		m.Add(silence)
	}
	if l := m.Level(); l.Peak != media.Floor || l.Hold < -6.1 || l.RMS > -20 {
		t.Errorf("0.9 s after a tone it reads %+v", l)
	}
	for range 30 { // 0.6 s more, of which 0.5 fall
		m.Add(silence)
	}
	if l := m.Level(); math.Abs(l.Hold+16) > 1 {
		t.Errorf("1.5 s after a tone its peak reads %.1f, want about -16", l.Hold)
	}
	m.Add(slices.Repeat([]int16{math.MinInt16}, 320))
	if l := m.Level(); l.Peak != 0 || l.Hold != 0 {
		t.Errorf("the loudest sample reads %+v", l)
	}
}

func TestCaptureTakesNoMemory(t *testing.T) {
	g, r := media.NewGate(media.GateConfig{}), must(media.NewResampler(48000, 16000, 2))
	var a media.AGC
	var m media.Meter
	var framer media.Framer
	in, mono, now := mediatest.Speech(2*960, 1), make([]int16, 0, 1024), epoch()
	if n := testing.AllocsPerRun(200, func() {
		mono = r.Append(mono[:0], in)
		for rest, full := mono, false; len(rest) > 0; {
			if rest, full = framer.Write(rest); full {
				f := framer.Frame()
				m.Add(f[:])
				a.Process(f, true)
				now = now.Add(media.FrameDuration)
				g.Step(now, f)
			}
		}
	}); n != 0 {
		t.Errorf("a frame takes %v allocations", n)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
