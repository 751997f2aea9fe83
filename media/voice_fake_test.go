package media

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// fakeSource is a microphone that speaks a tone, at its own clock.
type fakeSource struct {
	name  string
	level func() float64 // of the tone, 0 to 1
	phase float64
	ticks *time.Ticker
	gone  chan struct{} // unplugged
	done  chan struct{} // closed
	once  sync.Once
}

func (s *fakeSource) Name() string { return s.name }
func (s *fakeSource) Lost() uint64 { return 0 }

func (s *fakeSource) Read(pcm []int16) error {
	select {
	case <-s.ticks.C:
	case <-s.gone:
		return errors.New("unplugged")
	case <-s.done:
		return ErrClosed
	}
	for i := range pcm {
		pcm[i] = int16(20000 * s.level() * math.Sin(s.phase))
		s.phase += 2 * math.Pi * 400 / SampleRate
	}
	return nil
}

func (s *fakeSource) Close() error {
	s.once.Do(func() { s.ticks.Stop(); close(s.done) })
	return nil
}

// fakeSink is a loudspeaker of 10 ms periods that keeps what it plays.
type fakeSink struct {
	name string
	wake chan struct{}
	done chan struct{}
	stop chan struct{}

	mu     sync.Mutex
	room   int
	played []int16
	err    error
	closed bool
}

func newFakeSink(name string) *fakeSink {
	s := &fakeSink{name: name, wake: make(chan struct{}, 1), done: make(chan struct{}), stop: make(chan struct{})}
	go func() {
		ticks := time.NewTicker(10 * time.Millisecond)
		defer ticks.Stop()
		for {
			select {
			case <-ticks.C:
				s.mu.Lock()
				s.room = min(s.room+160, 480)
				s.mu.Unlock()
				select {
				case s.wake <- struct{}{}:
				default:
				}
			case <-s.stop:
				return
			}
		}
	}()
	return s
}

func (s *fakeSink) Name() string          { return s.name }
func (s *fakeSink) Period() int           { return 160 }
func (s *fakeSink) Wake() <-chan struct{} { return s.wake }
func (s *fakeSink) Done() <-chan struct{} { return s.done }
func (s *fakeSink) Underruns() uint64     { return 0 }

func (s *fakeSink) Room() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.room
}

func (s *fakeSink) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

func (s *fakeSink) Write(pcm []int16) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.room -= len(pcm)
	s.played = append(s.played, pcm...)
}

func (s *fakeSink) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.err = err
		close(s.done)
	}
}

func (s *fakeSink) Close() error {
	s.fail(ErrClosed)
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.closed = true
		close(s.stop)
	}
	return nil
}

// freeze stops the loudspeaker's clock without a word.
func (s *fakeSink) freeze() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.closed = true
		close(s.stop)
	}
}

// loudness is the root mean square of the last d that was played.
func (s *fakeSink) loudness(d time.Duration) float64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	pcm := s.played[max(0, len(s.played)-int(d*SampleRate/time.Second)):]
	sum := 0.0
	for _, v := range pcm {
		sum += float64(v) * float64(v)
	}
	return math.Sqrt(sum / float64(max(1, len(pcm))))
}

// fakeDevices opens fakes. What is in missing cannot be opened.
type fakeDevices struct {
	mu      sync.Mutex
	level   float64
	missing map[string]bool
	sources []*fakeSource
	sinks   []*fakeSink
	opened  []string
	slow    time.Duration
	usual   map[DeviceKind]string
	looks   int
}

// Default implements Defaults.
func (d *fakeDevices) Default(_ context.Context, kind DeviceKind) (string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.looks++
	if d.usual == nil {
		return "", ErrNoSound
	}
	return d.usual[kind], nil
}

// prefer makes a device the system's default.
func (d *fakeDevices) prefer(kind DeviceKind, name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.usual == nil {
		d.usual = map[DeviceKind]string{}
	}
	d.usual[kind] = name
}

func (d *fakeDevices) try(ctx context.Context, what, spec string) error {
	d.mu.Lock()
	slow := d.slow
	d.mu.Unlock()
	select {
	case <-time.After(slow):
	case <-ctx.Done():
		return ctx.Err()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.opened = append(d.opened, what+" "+spec)
	if d.missing[spec] {
		return fmt.Errorf("open %q: %w", spec, ErrNoSound)
	}
	return nil
}

func (d *fakeDevices) OpenSource(ctx context.Context, spec string) (Source, error) {
	if err := d.try(ctx, "source", spec); err != nil {
		return nil, err
	}
	s := &fakeSource{name: "mic " + spec, ticks: time.NewTicker(FrameDuration), gone: make(chan struct{}), done: make(chan struct{}),
		level: func() float64 { d.mu.Lock(); defer d.mu.Unlock(); return d.level }}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sources = append(d.sources, s)
	return s, nil
}

func (d *fakeDevices) OpenSink(ctx context.Context, spec string) (Sink, error) {
	if err := d.try(ctx, "sink", spec); err != nil {
		return nil, err
	}
	s := newFakeSink("speaker " + spec)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sinks = append(d.sinks, s)
	return s, nil
}

func (d *fakeDevices) speak(level float64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.level = level
}

func (d *fakeDevices) miss(spec string, missing bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.missing[spec] = missing
}

// wait makes opening slow from now on.
func (d *fakeDevices) wait(long time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.slow = long
}

func (d *fakeDevices) looked() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.looks
}

// last is the speaker that was opened last.
func (d *fakeDevices) last() *fakeSink {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.sinks[len(d.sinks)-1]
}

// open is how many devices are open.
func (d *fakeDevices) open() (n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, s := range d.sources {
		select {
		case <-s.done:
		default:
			n++
		}
	}
	for _, s := range d.sinks {
		select {
		case <-s.done:
		default:
			n++
		}
	}
	return n
}

func (d *fakeDevices) tries() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.opened)
}

// rig is an engine with fake devices in virtual time.
type rig struct {
	*Engine
	t       *testing.T
	devices *fakeDevices

	mu     sync.Mutex
	sent   []Outgoing
	at     []time.Time
	events []VoiceEvent
	to     func(Outgoing)
}

func newRig(t *testing.T, cfg EngineConfig) *rig {
	t.Helper()
	r := &rig{t: t, devices: &fakeDevices{missing: map[string]bool{}}}
	cfg.Devices = r.devices
	cfg.Send = func(o Outgoing) {
		o.Payload = slices.Clone(o.Payload)
		r.mu.Lock()
		r.sent, r.at = append(r.sent, o), append(r.at, time.Now())
		to := r.to
		r.mu.Unlock()
		if to != nil {
			to(o)
		}
	}
	cfg.Event = func(ev VoiceEvent) {
		if _, ok := ev.(InputLevel); ok {
			return
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.events = append(r.events, ev)
	}
	var err error
	if r.Engine, err = NewEngine(cfg); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *rig) packets() []Outgoing {
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.sent)
}

// told returns the events so far and forgets them.
func (r *rig) told() []VoiceEvent {
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	events := r.events
	r.events = nil
	return events
}

func (r *rig) expect(what string, want ...VoiceEvent) {
	r.t.Helper()
	got := r.told()
	if len(got) != len(want) {
		r.t.Fatalf("%s: %+v, want %+v", what, got, want)
	}
	for i := range got {
		g := got[i]
		if f, ok := g.(DeviceFailed); ok {
			f.Err = nil
			g = f
		}
		if g != want[i] {
			r.t.Errorf("%s: %+v, want %+v", what, got[i], want[i])
		}
	}
}

func (r *rig) close() {
	r.t.Helper()
	if err := r.Close(); err != nil {
		r.t.Error(err)
	}
}

var (
	bob   = PeerID{1}
	carol = PeerID{2}
)

// link sends what r says to another rig as from peer.
func (r *rig) link(to *rig, peer PeerID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.to = func(o Outgoing) {
		to.Receive(peer, RTP{SSRC: uint32(peer[0]), Seq: o.Seq, Timestamp: o.Timestamp, Marker: o.Marker}, o.Payload)
	}
}

func bubble(t *testing.T, do func(t *testing.T)) { t.Helper(); synctest.Test(t, do) }
