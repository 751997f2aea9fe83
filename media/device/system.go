package device

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"peerchat/media"
)

// openTimeout bounds how long a sound system may take for an answer.
const openTimeout = 3 * time.Second

// Config says where a System finds sound. The zero value is good.
type Config struct {
	// Backends to try, in order: "pulse", "malgo". Nil: both. A build without cgo has no malgo.
	Backends []string
	// Server is the PulseAudio server, in the form of PULSE_SERVER; empty: what the environment says.
	Server string
	// App is the name under which the sound system shows us. Empty: peerchat.
	App string
	// Log gets what went wrong on the way to a device that was then found elsewhere. Nil: nobody does.
	Log *slog.Logger
}

// recorder is an open microphone of a backend.
type recorder interface {
	name() string
	read(pcm []int16) error // waits until pcm is full
	lost() uint64           // samples
	close() error           // wakes read; may be called more than once
}

// backend is one way to the machine's sound devices. Its methods may be called from any goroutine.
type backend interface {
	// list returns all devices, unnumbered; the error wraps media.ErrNoSound where there is no such sound system.
	list(ctx context.Context) (microphones, speakers []Device, err error)
	// record and play open a device by ID; empty: the default one.
	record(ctx context.Context, id string) (recorder, error)
	play(ctx context.Context, id string) (media.Sink, error)
	// close gives back what list, record and play need in common. Nothing of the backend is open then.
	close()
}

// System finds and opens sound devices. It implements media.Devices and media.Defaults. It may be used from any
// goroutine.
type System struct {
	cfg Config

	mu       sync.Mutex // guards what follows
	backends []named    // nil until somebody asks for a device
	closed   bool
}

type named struct {
	name string
	backend
}

// New makes a System. It touches no device, and no sound system, before it is asked for one.
func New(cfg Config) *System {
	if cfg.App == "" {
		cfg.App = "peerchat"
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Backends == nil {
		cfg.Backends = []string{"pulse", "malgo"}
	}
	return &System{cfg: cfg}
}

// each tries the backends in order until do succeeds; where none does it returns what the first one with sound said.
func (s *System) each(do func(named) error) error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return fmt.Errorf("use the sound system: %w", media.ErrClosed)
	}
	if s.backends == nil {
		for _, name := range s.cfg.Backends {
			switch name {
			case "pulse":
				s.backends = append(s.backends, named{name, newPulse(s.cfg)})
			case "malgo":
				if b := newMalgo(s.cfg); b != nil {
					s.backends = append(s.backends, named{name, b})
				}
			}
		}
	}
	backends := s.backends
	s.mu.Unlock()
	first := fmt.Errorf("find a sound system: %w", media.ErrNoSound)
	for _, b := range backends {
		err := do(b)
		if err == nil {
			return nil
		}
		s.cfg.Log.Debug("sound backend", "backend", b.name, "error", err)
		if errors.Is(first, media.ErrNoSound) {
			first = err
		}
	}
	return first
}

// List returns the microphones and the loudspeakers, real microphones before monitors. They come from the first sound
// system that answers; the error wraps media.ErrNoSound where none does.
func (s *System) List(ctx context.Context) (microphones, speakers []Device, err error) {
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	err = s.each(func(b named) error {
		microphones, speakers, err = b.list(ctx)
		return err
	})
	if err != nil {
		return nil, nil, fmt.Errorf("list the sound devices: %w", err)
	}
	number(microphones)
	number(speakers)
	return microphones, speakers, nil
}

// number puts devices in their order and numbers them.
func number(devices []Device) {
	slices.SortStableFunc(devices, func(a, b Device) int {
		if a.Monitor != b.Monitor {
			if b.Monitor {
				return -1
			}
			return 1
		}
		return strings.Compare(a.Name, b.Name)
	})
	for i := range devices {
		devices[i].Number = i + 1
	}
}

// Default implements media.Defaults.
func (s *System) Default(ctx context.Context, kind media.DeviceKind) (string, error) {
	all, speakers, err := s.List(ctx)
	if kind != media.Microphone {
		all = speakers
	}
	for _, d := range all {
		if d.Default {
			return d.ID, err
		}
	}
	return "", err
}

// OpenSource opens what source names; see ParseSource. For "none" it is a microphone that hears nothing, but keeps
// time. A device that is there but cannot be opened is an error; the error for "default" wraps media.ErrNoSound where
// there is no microphone.
func (s *System) OpenSource(ctx context.Context, source string) (media.Source, error) {
	spec, err := ParseSource(source)
	if err != nil {
		return nil, err
	}
	return openTrack(func() (recorder, error) {
		switch spec.Kind {
		case None:
			return newTimedRecorder("none", nil), nil
		case Tone:
			return newTimedRecorder(spec.String(), tone(spec.Hz)), nil
		case WAV:
			return openWAV(spec)
		}
		var rec recorder
		err := s.open(ctx, spec, "microphone", func(ctx context.Context, b named, id string) (err error) {
			rec, err = b.record(ctx, id)
			return err
		})
		return rec, err
	})
}

// OpenSink opens what sink names; see ParseSink. For "none" it is a loudspeaker that plays nothing, but keeps time. The
// error for "default" wraps media.ErrNoSound where there is no loudspeaker.
func (s *System) OpenSink(ctx context.Context, sink string) (media.Sink, error) {
	spec, err := ParseSink(sink)
	if err != nil {
		return nil, err
	}
	switch spec.Kind {
	case None:
		return newTimedSink("none", nil, nil), nil
	case WAV:
		return createWAV(spec)
	}
	var out media.Sink
	err = s.open(ctx, spec, "speaker", func(ctx context.Context, b named, id string) (err error) {
		out, err = b.play(ctx, id)
		return err
	})
	return out, err
}

// open finds the device that spec names and has do open it.
func (s *System) open(ctx context.Context, spec Spec, what string, do func(context.Context, named, string) error) error {
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	if spec.Kind == Default {
		if err := s.each(func(b named) error { return do(ctx, b, "") }); err != nil {
			return fmt.Errorf("open the default %s: %w", what, err)
		}
		return nil
	}
	return s.each(func(b named) error {
		microphones, speakers, err := b.list(ctx)
		if err != nil {
			return err
		}
		if what == "microphone" {
			speakers = microphones
		}
		number(speakers)
		device, err := find(spec.Name, what, speakers)
		if err != nil {
			return err
		}
		if err := do(ctx, b, device.ID); err != nil {
			return fmt.Errorf("open the %s %q: %w", what, device.Name, err)
		}
		return nil
	})
}

// Close gives the sound systems back. What was opened must be closed before.
func (s *System) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for _, b := range s.backends {
		b.close()
	}
	s.backends = nil
}
