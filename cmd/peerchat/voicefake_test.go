package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"peerchat/media"
	"peerchat/media/device"
)

// fakeSound is a sound system with the devices that plugged names. Without any there is no sound.
type fakeSound struct {
	mu      sync.Mutex
	plugged []string        // the first is the default, as microphone and as speaker
	hang    map[string]bool // opening these takes until the asker gives up
	level   float64         // of the tone that microphones hear, 0 to 1
	open    []*fakeDevice
}

// fakeDevice is what is open: a microphone that hears a tone, or a speaker that keeps what it plays.
type fakeDevice struct {
	system  *fakeSound
	name    string
	speaker bool
	wake    chan struct{}
	done    chan struct{}

	mu     sync.Mutex
	err    error // why it is done
	room   int
	phase  float64
	played []int16
}

func (f *fakeSound) List(context.Context) (microphones, speakers []device.Device, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.plugged) == 0 {
		return nil, nil, media.ErrNoSound
	}
	for i, name := range f.plugged {
		microphones = append(microphones, device.Device{Number: i + 1, ID: "id" + name, Name: name, Default: i == 0, Backend: "fake"})
	}
	return microphones, slices.Clone(microphones), nil
}

// Default implements media.Defaults.
func (f *fakeSound) Default(context.Context, media.DeviceKind) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.plugged) == 0 {
		return "", nil
	}
	return f.plugged[0], nil
}

func (f *fakeSound) OpenSource(ctx context.Context, source string) (media.Source, error) {
	d, err := f.device(ctx, source, false)
	if err != nil {
		return nil, err
	}
	return d, nil
}

func (f *fakeSound) OpenSink(ctx context.Context, sink string) (media.Sink, error) {
	d, err := f.device(ctx, sink, true)
	if err != nil {
		return nil, err
	}
	return d, nil
}

func (f *fakeSound) device(ctx context.Context, name string, speaker bool) (*fakeDevice, error) {
	f.mu.Lock()
	hang := f.hang[name]
	f.mu.Unlock()
	if hang {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case name == "none":
	case len(f.plugged) == 0:
		return nil, media.ErrNoSound
	case name == "" || name == "default":
		name = f.plugged[0]
	case !slices.Contains(f.plugged, name):
		return nil, fmt.Errorf("open %q: there is none of that name", name)
	}
	d := &fakeDevice{system: f, name: name, speaker: speaker, wake: make(chan struct{}, 1), done: make(chan struct{})}
	f.open = append(f.open, d)
	go d.clock()
	return d, nil
}

// unplug takes a device away.
func (f *fakeSound) unplug(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.plugged = slices.DeleteFunc(f.plugged, func(n string) bool { return n == name })
	for _, d := range f.open {
		if d.name == name {
			d.end(errors.New("it was unplugged"))
		}
	}
}

// plug adds a device, which is the default one from now on.
func (f *fakeSound) plug(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.plugged = slices.Insert(f.plugged, 0, name)
}

// speak sets how loud it is before the microphones.
func (f *fakeSound) speak(level float64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.level = level
}

// opened names the devices that are open.
func (f *fakeSound) opened() (names []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, d := range f.open {
		names = append(names, map[bool]string{false: "mic ", true: "speaker "}[d.speaker]+d.name)
	}
	slices.Sort(names)
	return names
}

// clock makes room for 10 ms of sound each 10 ms.
func (d *fakeDevice) clock() {
	ticks := time.NewTicker(10 * time.Millisecond)
	defer ticks.Stop()
	for {
		select {
		case <-ticks.C:
			d.mu.Lock()
			d.room = min(d.room+d.Period(), 20*d.Period())
			d.mu.Unlock()
			select {
			case d.wake <- struct{}{}:
			default:
			}
		case <-d.done:
			return
		}
	}
}

func (d *fakeDevice) end(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err == nil {
		d.err = err
		close(d.done)
	}
}

func (d *fakeDevice) Name() string          { return d.name }
func (d *fakeDevice) Lost() uint64          { return 0 }
func (d *fakeDevice) Period() int           { return media.SampleRate / 100 }
func (d *fakeDevice) Wake() <-chan struct{} { return d.wake }
func (d *fakeDevice) Underruns() uint64     { return 0 }
func (d *fakeDevice) Done() <-chan struct{} { return d.done }

func (d *fakeDevice) Room() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.room
}

func (d *fakeDevice) Err() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.err
}

func (d *fakeDevice) Write(pcm []int16) {
	d.mu.Lock()
	defer d.mu.Unlock()
	pcm = pcm[:min(len(pcm), d.room)]
	d.room -= len(pcm)
	d.played = append(d.played, pcm...)
}

func (d *fakeDevice) Read(pcm []int16) error {
	for d.Room() < len(pcm) {
		select {
		case <-d.wake:
		case <-d.done:
			return d.Err()
		}
	}
	d.system.mu.Lock()
	level := d.system.level
	d.system.mu.Unlock()
	if d.name == "none" {
		level = 0
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.room -= len(pcm)
	for i := range pcm {
		pcm[i] = int16(30000 * level * math.Sin(d.phase))
		d.phase += 2 * math.Pi * 400 / media.SampleRate
	}
	return nil
}

func (d *fakeDevice) Close() error {
	d.end(media.ErrClosed)
	d.system.mu.Lock()
	defer d.system.mu.Unlock()
	d.system.open = slices.DeleteFunc(d.system.open, func(o *fakeDevice) bool { return o == d })
	return nil
}
