package device

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"peerchat/media"
	"peerchat/media/wav"
)

// periodTime is how long a period lasts.
const periodTime = period * time.Second / media.SampleRate

// maxLag is how far a clock of ours may be behind before it gives up to catch up, as after the machine slept.
const maxLag = 200 * time.Millisecond

// timedRecorder is a microphone on the machine's clock: a file, a tone, silence.
type timedRecorder struct {
	label   string
	fill    func(pcm []int16) error // makes the next samples; nil: silence
	release func() error            // nil: nothing to give back
	due     time.Time               // when the next period has been spoken; zero: at the first read
	timer   *time.Timer
	done    chan struct{}
	once    sync.Once
	err     error      // of closing
	closing sync.Mutex // held while fill runs, so that release does not pull a file away under it
}

func newTimedRecorder(label string, fill func([]int16) error) *timedRecorder {
	return &timedRecorder{label: label, fill: fill, timer: time.NewTimer(time.Hour), done: make(chan struct{})}
}

func (t *timedRecorder) name() string { return t.label }
func (t *timedRecorder) lost() uint64 { return 0 }

func (t *timedRecorder) read(pcm []int16) error {
	now := time.Now()
	if t.due.IsZero() || now.Sub(t.due) > maxLag {
		t.due = now
	}
	t.due = t.due.Add(time.Duration(len(pcm)) * time.Second / media.SampleRate)
	t.timer.Reset(t.due.Sub(now))
	select {
	case <-t.timer.C:
	case <-t.done:
		return media.ErrClosed
	}
	if t.fill == nil {
		clear(pcm)
		return nil
	}
	t.closing.Lock()
	defer t.closing.Unlock()
	select {
	case <-t.done:
		return media.ErrClosed
	default:
		return t.fill(pcm)
	}
}

func (t *timedRecorder) close() error {
	t.once.Do(func() {
		close(t.done)
		t.closing.Lock()
		defer t.closing.Unlock()
		t.timer.Stop()
		if t.release != nil {
			t.err = t.release()
		}
	})
	return t.err
}

// tone is a sine of hz at -12 dBFS, loud enough to hear and with room above it.
func tone(hz float64) func([]int16) error {
	phase := 0.0
	return func(pcm []int16) error {
		for i := range pcm {
			pcm[i] = int16(8231 * math.Sin(phase))
			if phase += 2 * math.Pi * hz / media.SampleRate; phase > 2*math.Pi {
				phase -= 2 * math.Pi
			}
		}
		return nil
	}
}

// wavSource makes samples from a WAVE file, and silence behind its end.
type wavSource struct {
	file      *os.File
	reader    *wav.Reader
	resampler *media.Resampler // nil: the file has our rate
	loop      bool
	ended     bool
	in        []int16 // read from the file
	out       []int16 // converted
	rest      []int16 // of out, not given out yet
}

func openWAV(spec Spec) (recorder, error) {
	f, err := openRegular(spec.File)
	if err != nil {
		return nil, fmt.Errorf("play a WAVE file as microphone: %w", err)
	}
	r, err := wav.NewReader(f)
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("play %s as microphone: %w", spec.File, err)
	}
	w := &wavSource{file: f, reader: r, loop: spec.Loop, in: make([]int16, 4096)}
	if r.Rate() != media.SampleRate {
		if w.resampler, err = media.NewResampler(r.Rate(), media.SampleRate, 1); err != nil {
			_ = f.Close()
			return nil, fmt.Errorf("play %s as microphone: %w", spec.File, err)
		}
	}
	if err = w.more(); err == nil && w.ended {
		err = errors.New("it has a header, and no sound behind it: whatever recorded it was stopped too soon; use another file")
	}
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("play %s as microphone: %w", spec.File, err)
	}
	t := newTimedRecorder(spec.String(), w.fill)
	t.release = f.Close
	return t, nil
}

// openRegular opens a file to read, but no pipe or device: opening one of those may wait for ever.
func openRegular(path string) (*os.File, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	return os.Open(path)
}

func (w *wavSource) fill(pcm []int16) error {
	for len(pcm) > 0 {
		if len(w.rest) == 0 {
			if w.ended {
				clear(pcm)
				return nil
			}
			if err := w.more(); err != nil {
				return err
			}
			continue
		}
		n := copy(pcm, w.rest)
		pcm, w.rest = pcm[n:], w.rest[n:]
	}
	return nil
}

// more converts the next part of the file into rest.
func (w *wavSource) more() error {
	n, err := w.reader.Read(w.in)
	switch {
	case err == nil && w.resampler == nil:
		w.rest = w.in[:n]
	case err == nil:
		w.out = w.resampler.Append(w.out[:0], w.in[:n])
		w.rest = w.out
	case errors.Is(err, io.EOF):
		if w.loop && !w.ended {
			if err := w.reader.Rewind(); err != nil {
				return err
			}
			return w.peek()
		}
		w.ended = true
		if w.resampler != nil {
			w.out = w.resampler.Flush(w.out[:0])
			w.rest = w.out
		}
	default:
		return fmt.Errorf("read from the microphone %s: %w", w.file.Name(), err)
	}
	return nil
}

// peek reads the beginning of the file again; if there is nothing the file has ended for good.
func (w *wavSource) peek() error {
	n, err := w.reader.Read(w.in)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	w.ended = n == 0
	if w.resampler == nil {
		w.rest = w.in[:n]
	} else {
		w.out = w.resampler.Append(w.out[:0], w.in[:n])
		w.rest = w.out
	}
	return nil
}

// timedSink is a loudspeaker on the machine's clock: a file, or nothing.
type timedSink struct {
	label   string
	write   func([]int16) error // nil: nobody hears it
	release func() error        // nil: nothing to give back
	wake    chan struct{}
	stop    chan struct{}
	done    chan struct{} // closed by run
	room    atomic.Int64
	once    sync.Once

	mu  sync.Mutex // guards what follows, and that write and release do not meet
	err error
	end bool
}

func newTimedSink(label string, write func([]int16) error, release func() error) *timedSink {
	t := &timedSink{label: label, write: write, release: release,
		wake: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{})}
	go t.run()
	return t
}

// run is the clock.
func (t *timedSink) run() {
	defer close(t.done)
	timer := time.NewTimer(periodTime)
	defer timer.Stop()
	due := time.Now()
	for {
		due = due.Add(periodTime)
		now := time.Now()
		if now.Sub(due) > maxLag {
			due = now
		}
		timer.Reset(due.Sub(now))
		select {
		case <-timer.C:
		case <-t.stop:
			return
		}
		if t.room.Load() < int64(maxLag/periodTime)*period {
			t.room.Add(period)
		}
		signal(t.wake)
	}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func (t *timedSink) Name() string          { return t.label }
func (t *timedSink) Period() int           { return period }
func (t *timedSink) Wake() <-chan struct{} { return t.wake }
func (t *timedSink) Room() int             { return int(t.room.Load()) }
func (t *timedSink) Underruns() uint64     { return 0 }
func (t *timedSink) Done() <-chan struct{} { return t.done }

func (t *timedSink) Err() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.err
}

func (t *timedSink) Write(pcm []int16) {
	pcm = pcm[:min(len(pcm), int(t.room.Load()))]
	t.room.Add(int64(-len(pcm)))
	if t.write == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.end {
		return
	}
	if err := t.write(pcm); err != nil && t.err == nil {
		t.err = err
		t.once.Do(func() { close(t.stop) })
		signal(t.wake)
	}
}

// Close implements media.Sink. It returns what went wrong with the file.
func (t *timedSink) Close() error {
	t.once.Do(func() { close(t.stop) })
	<-t.done
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.end {
		return nil
	}
	t.end = true
	failed := t.err
	if t.err == nil {
		t.err = media.ErrClosed
	}
	signal(t.wake)
	if t.release == nil {
		return failed
	}
	return errors.Join(failed, t.release())
}

// createWAV makes a loudspeaker of a new WAVE file. A file that is there is replaced.
func createWAV(spec Spec) (media.Sink, error) {
	if info, err := os.Stat(spec.File); err == nil && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("record into a WAVE file: %s is not a regular file", spec.File)
	}
	f, err := os.Create(spec.File)
	if err != nil {
		return nil, fmt.Errorf("record into a WAVE file: %w", err)
	}
	w, err := wav.NewWriter(f, media.SampleRate)
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("record into %s: %w", spec.File, err)
	}
	return newTimedSink(spec.String(), w.Write, func() error { return errors.Join(w.Close(), f.Close()) }), nil
}
