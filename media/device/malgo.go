//go:build cgo

package device

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"
	"unsafe"

	"github.com/gen2brain/malgo"

	"peerchat/media"
)

const (
	malgoHeld   = 20 // periods of the microphone that wait to be read, at most: 200 ms
	malgoTarget = 2  // periods that wait for the loudspeaker to take them: it wants one at once, at any time
	malgoBuffer = 3  // periods in the device's own buffer
	// malgoStall is how long a device may say nothing before it is taken for gone: miniaudio does not notice when a
	// PulseAudio server dies. Some devices begin with a pause of 2 s.
	malgoStall = 4 * time.Second
	// malgoRelease is how long a device may take to close. With a PulseAudio server that died it takes for ever; with
	// one that is about to begin, 2 s.
	malgoRelease = 4 * time.Second
)

// malgoBackend is the backend for what miniaudio knows: ALSA, Core Audio, WASAPI and others. JACK is left out: its
// library writes to standard error when there is no server, and so would ALSA's on a machine without a sound card.
//
// Its context is made when it is first needed. Calls into C cannot be ended; a caller that must not wait makes them in
// a goroutine of its own.
type malgoBackend struct {
	mu  sync.Mutex // held during calls into the context, which is not made for more than one at a time
	ctx *malgo.AllocatedContext
}

func newMalgo(Config) backend { return &malgoBackend{} }

// context returns the context, with mu held.
func (b *malgoBackend) context(ctx context.Context) (*malgo.AllocatedContext, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if b.ctx != nil {
		return b.ctx, nil
	}
	backends := []malgo.Backend{malgo.BackendWasapi, malgo.BackendCoreaudio, malgo.BackendSndio, malgo.BackendAudio4, malgo.BackendOss,
		malgo.BackendAaudio, malgo.BackendOpensl}
	if runtime.GOOS == "linux" {
		backends = nil
		if pulseReachable() {
			backends = append(backends, malgo.BackendPulseaudio)
		}
		if cards, err := filepath.Glob("/dev/snd/pcm*"); err == nil && len(cards) > 0 {
			backends = append(backends, malgo.BackendAlsa)
		}
	}
	if len(backends) == 0 {
		return nil, fmt.Errorf("find a sound card: %w", media.ErrNoSound)
	}
	made, err := malgo.InitContext(backends, malgo.ContextConfig{}, nil)
	if err != nil {
		return nil, fmt.Errorf("start miniaudio: %w: %w", err, media.ErrNoSound)
	}
	b.ctx = made
	return made, nil
}

// pulseReachable reports whether a PulseAudio server may be there: one is named, or there is a socket.
func pulseReachable() bool {
	for _, a := range pulseAddresses("") {
		if a.network != "unix" {
			return true
		}
		if _, err := os.Stat(a.address); err == nil {
			return true
		}
	}
	return false
}

func (b *malgoBackend) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ctx != nil {
		_ = b.ctx.Uninit()
		b.ctx.Free()
		b.ctx = nil
	}
}

func (b *malgoBackend) list(ctx context.Context) (microphones, speakers []Device, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	c, err := b.context(ctx)
	if err != nil {
		return nil, nil, err
	}
	for kind, list := range map[malgo.DeviceType]*[]Device{malgo.Capture: &microphones, malgo.Playback: &speakers} {
		infos, err := c.Devices(kind)
		if err != nil {
			return nil, nil, fmt.Errorf("ask miniaudio for its devices: %w", err)
		}
		for _, info := range infos {
			*list = append(*list, Device{ID: hex.EncodeToString(info.ID[:]), Name: info.Name(), Default: info.IsDefault != 0, Backend: "malgo"})
		}
	}
	return microphones, speakers, nil
}

// malgoDevice is an open device and what keeps its ring and its life.
type malgoDevice struct {
	*ring
	label  string
	device *malgo.Device
	stall  *time.Timer // put off by each call of the audio thread
	once   sync.Once
	failed error // of closing

	backend *malgoBackend
	context *malgo.AllocatedContext
}

// open opens and starts a device. data is called by an audio thread; what it is given is memory of C, gone when it
// returns.
func (b *malgoBackend) open(ctx context.Context, kind malgo.DeviceType, id string, d *malgoDevice, data malgo.DataProc) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	c, err := b.context(ctx)
	if err != nil {
		return err
	}
	d.backend, d.context = b, c
	config := malgo.DefaultDeviceConfig(kind)
	config.SampleRate = media.SampleRate
	config.PerformanceProfile = malgo.LowLatency
	config.PeriodSizeInFrames = period
	config.Periods = malgoBuffer
	config.Pulse.StreamNameCapture, config.Pulse.StreamNamePlayback = "voice", "voice"
	side := &config.Playback
	if kind == malgo.Capture {
		side = &config.Capture
	}
	side.Format, side.Channels = malgo.FormatS16, 1
	infos, err := c.Devices(kind)
	if err != nil {
		return fmt.Errorf("ask miniaudio for its devices: %w", err)
	}
	if len(infos) == 0 {
		return fmt.Errorf("open a device with miniaudio: %w", media.ErrNoSound)
	}
	var pin runtime.Pinner
	defer pin.Unpin()
	d.label = "default"
	for i := range infos {
		info := &infos[i]
		chosen := hex.EncodeToString(info.ID[:]) == id
		if chosen || id == "" && info.IsDefault != 0 {
			d.label = info.Name()
		}
		if chosen {
			// DeviceID.Pointer would hand out memory of C that nothing can free.
			pin.Pin(&info.ID)
			side.DeviceID = unsafe.Pointer(&info.ID)
		}
	}
	if id != "" && side.DeviceID == nil {
		return errors.New("open a device with miniaudio: it is not there any more")
	}
	d.stall = time.AfterFunc(malgoStall, func() { d.fail(fmt.Errorf("the sound device said nothing for %v", malgoStall)) })
	d.device, err = malgo.InitDevice(c.Context, config, malgo.DeviceCallbacks{
		Data: func(out, in []byte, n uint32) {
			d.stall.Reset(malgoStall)
			data(out, in, n)
		},
		Stop: func() { d.fail(errors.New("the sound system stopped the device")) },
	})
	if err != nil {
		d.stall.Stop()
		return fmt.Errorf("open a device with miniaudio: %w", err)
	}
	if err := d.device.Start(); err != nil {
		d.device.Uninit()
		d.stall.Stop()
		return fmt.Errorf("start a device with miniaudio: %w", err)
	}
	return nil
}

// Close implements media.Sink. A device that does not close is given up, with its memory, its thread and its context.
func (d *malgoDevice) Close() error {
	d.once.Do(func() {
		d.fail(media.ErrClosed)
		d.stall.Stop()
		closed := make(chan struct{})
		go func() {
			d.device.Uninit() // waits for the audio thread, which never waits for us
			close(closed)
		}()
		timer := time.NewTimer(malgoRelease)
		defer timer.Stop()
		select {
		case <-closed:
		case <-timer.C:
			d.backend.abandon(d.context)
			d.failed = fmt.Errorf("close the sound device %q: it does not let go after %v", d.label, malgoRelease)
		}
	})
	return d.failed
}

// abandon forgets a context that a device hangs in.
func (b *malgoBackend) abandon(context *malgo.AllocatedContext) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ctx == context {
		b.ctx = nil
	}
}

// native reads samples as this machine stores them.
func native(pcm []int16, bytes []byte) []int16 {
	n := min(len(pcm), len(bytes)/2)
	for i := range n {
		pcm[i] = int16(binary.NativeEndian.Uint16(bytes[2*i:]))
	}
	return pcm[:n]
}

// malgoRecorder is a microphone.
type malgoRecorder struct{ malgoDevice }

func (b *malgoBackend) record(ctx context.Context, id string) (recorder, error) {
	r := &malgoRecorder{malgoDevice{ring: newRing(malgoHeld * period)}}
	var samples [4 * period]int16 // belongs to the audio thread
	err := b.open(ctx, malgo.Capture, id, &r.malgoDevice, func(_, in []byte, _ uint32) {
		for len(in) > 1 {
			pcm := native(samples[:], in)
			r.put(pcm)
			in = in[2*len(pcm):]
		}
	})
	if err != nil {
		return nil, err
	}
	return r, nil
}

func (r *malgoRecorder) name() string { return r.label }
func (r *malgoRecorder) lost() uint64 { return r.lostSamples() }
func (r *malgoRecorder) close() error { return r.Close() }

// malgoSink is a loudspeaker. It keeps malgoTarget periods ahead of the audio thread, which takes samples when it wants
// them and cannot be asked to wait.
type malgoSink struct {
	malgoDevice
	wanted chan struct{}

	underrunsLock sync.Mutex
	underruns     uint64
	started       bool // something was played
}

func (b *malgoBackend) play(ctx context.Context, id string) (media.Sink, error) {
	s := &malgoSink{malgoDevice: malgoDevice{ring: newRing(malgoTarget * period)}, wanted: make(chan struct{}, 1)}
	var samples [4 * period]int16 // belongs to the audio thread
	err := b.open(ctx, malgo.Playback, id, &s.malgoDevice, func(out, _ []byte, _ uint32) {
		for len(out) > 1 {
			part := samples[:min(len(samples), len(out)/2)]
			n := s.take(part)
			clear(part[n:])
			s.count(n, len(part))
			for i, v := range part {
				binary.NativeEndian.PutUint16(out[2*i:], uint16(v))
			}
			out = out[2*len(part):]
		}
		signal(s.wanted)
	})
	if err != nil {
		return nil, err
	}
	signal(s.wanted)
	return s, nil
}

// count notes that n of the wanted samples were there. Before the first one there is no gap to count.
func (s *malgoSink) count(n, wanted int) {
	s.underrunsLock.Lock()
	defer s.underrunsLock.Unlock()
	if n == wanted {
		s.started = true
	} else if s.started {
		s.underruns++
	}
}

func (s *malgoSink) Name() string          { return s.label }
func (s *malgoSink) Period() int           { return period }
func (s *malgoSink) Wake() <-chan struct{} { return s.wanted }
func (s *malgoSink) Room() int             { return malgoTarget*period - s.len() }
func (s *malgoSink) Done() <-chan struct{} { return s.done }
func (s *malgoSink) Err() error            { return s.cause() }

func (s *malgoSink) Underruns() uint64 {
	s.underrunsLock.Lock()
	defer s.underrunsLock.Unlock()
	return s.underruns
}

func (s *malgoSink) Write(pcm []int16) { s.put(pcm[:min(len(pcm), max(0, s.Room()))]) }
