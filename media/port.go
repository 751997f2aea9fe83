package media

import (
	"context"
	"errors"
)

// ErrClosed is what reading from a Source gives after its Close.
var ErrClosed = errors.New("the sound device was closed")

// ErrNoSound is wrapped by the error of opening the default device where the machine has none, or no sound system.
var ErrNoSound = errors.New("there is no sound device")

// Source is an open microphone, or what stands for one: a file, a tone. Its clock is the device's.
type Source interface {
	// Name is what people call it.
	Name() string
	// Read waits until pcm is full of samples, at most 100 ms of them. It fails with ErrClosed after Close, with
	// another error when the device is gone. One goroutine reads.
	Read(pcm []int16) error
	// Lost counts samples that nobody read in time.
	Lost() uint64
	// Close gives the device back and wakes Read. It may be called more than once, from any goroutine.
	Close() error
}

// Sink is an open loudspeaker, or what stands for one. It has a clock: as it plays, it makes room for more samples.
type Sink interface {
	// Name is what people call it.
	Name() string
	// Period is how many samples it likes at a time: 1 to MaxPacketSamples.
	Period() int
	// Wake gets a value, and keeps it for who reads later, whenever there may be room for a period.
	Wake() <-chan struct{}
	// Room is how many samples Write takes now; it is bounded by what the device buffers.
	Room() int
	// Write plays samples behind those that wait. It does not wait; what there is no room for is thrown away.
	Write(pcm []int16)
	// Underruns counts the times when the device had nothing to play.
	Underruns() uint64
	// Done is closed when the device is gone, or after Close; Err says why, ErrClosed after Close.
	Done() <-chan struct{}
	Err() error
	// Close gives the device back. It may be called more than once, from any goroutine.
	Close() error
}

// Devices opens what SOURCE and SINK of the command line name. Opening may take seconds; ctx ends it.
type Devices interface {
	OpenSource(ctx context.Context, source string) (Source, error)
	OpenSink(ctx context.Context, sink string) (Sink, error)
}

// Defaults is what Devices may implement besides, to tell which device is the default one now. An Engine that uses the
// default one then follows when that becomes another.
type Defaults interface {
	// Default names the system's default device of a kind, in any way that tells it from others; "" if there is none.
	Default(ctx context.Context, kind DeviceKind) (name string, err error)
}
