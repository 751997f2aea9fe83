package device

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/pion/mediadevices"
	"github.com/pion/mediadevices/pkg/driver"
	"github.com/pion/mediadevices/pkg/io/audio"
	"github.com/pion/mediadevices/pkg/prop"
	"github.com/pion/mediadevices/pkg/wave"

	"peerchat/media"
	"peerchat/media/l16"
)

// managerLock guards the driver manager of mediadevices, which is one for the whole process: GetUserMedia asks each
// driver in it for its state, and opens and closes it, without a lock. A driver of ours is in it only while this lock
// is held.
var managerLock sync.Mutex

// keptChunks is how many chunks a track may look at after they were read: it keeps the last 32 for slow readers.
const keptChunks = 64

// adapter is a microphone as mediadevices wants to see it. It is opened by AudioRecord, not by Open, because
// GetUserMedia opens and closes a driver just to look at it.
type adapter struct {
	start func() (recorder, error)
	rec   recorder // nil until AudioRecord
}

func (a *adapter) Open() error { return nil }

// Close ends the recording. Read then fails; it neither panics nor waits.
func (a *adapter) Close() error {
	if a.rec == nil {
		return nil
	}
	return a.rec.close()
}

// Properties is the one format that there is.
func (a *adapter) Properties() []prop.Media {
	return []prop.Media{{Audio: prop.Audio{
		ChannelCount:  1,
		SampleRate:    media.SampleRate,
		SampleSize:    2,
		Latency:       period * time.Second / media.SampleRate,
		IsInterleaved: true,
	}}}
}

// AudioRecord starts the recording. Chunks have 10 ms; they are used again after keptChunks others.
func (a *adapter) AudioRecord(prop.Media) (audio.Reader, error) {
	rec, err := a.start()
	if err != nil {
		return nil, err
	}
	a.rec = rec
	info := wave.ChunkInfo{Len: period, Channels: 1, SamplingRate: media.SampleRate}
	chunks := make([]*wave.Int16Interleaved, keptChunks)
	for i := range chunks {
		chunks[i] = wave.NewInt16Interleaved(info)
	}
	next := 0
	return audio.ReaderFunc(func() (wave.Audio, func(), error) {
		chunk := chunks[next]
		next = (next + 1) % len(chunks)
		if err := rec.read(chunk.Data); err != nil {
			return nil, func() {}, err
		}
		return chunk, func() {}, nil
	}), nil
}

// Source is an open microphone, file or tone: a media.Source on a track of mediadevices. The track's encoder is L16, so
// it can also be given to a peer connection as it is.
type Source struct {
	rec    recorder
	track  *mediadevices.AudioTrack
	reader audio.Reader
	rest   []int16 // of the chunk that was read last
	once   sync.Once
	err    error // of closing
}

// openTrack registers a driver, has GetUserMedia choose it, and takes it out again.
func openTrack(start func() (recorder, error)) (*Source, error) {
	managerLock.Lock()
	defer managerLock.Unlock()
	a := &adapter{start: start}
	manager := driver.GetManager()
	label := uuid.NewString()
	if err := manager.Register(a, driver.Info{Label: label, DeviceType: driver.Microphone}); err != nil {
		return nil, fmt.Errorf("register a microphone: %w", err)
	}
	ours := manager.Query(func(d driver.Driver) bool { return d.Info().Label == label })
	if len(ours) != 1 {
		return nil, fmt.Errorf("register a microphone: %d drivers have its label", len(ours))
	}
	id := ours[0].ID()
	defer manager.Delete(id)
	stream, err := mediadevices.GetUserMedia(mediadevices.MediaStreamConstraints{
		Audio: func(c *mediadevices.MediaTrackConstraints) {
			c.DeviceID = prop.StringExact(id)
			c.SampleRate = prop.IntExact(media.SampleRate)
			c.ChannelCount = prop.IntExact(1)
		},
		Codec: mediadevices.NewCodecSelector(mediadevices.WithAudioEncoders(l16.Encoder{})),
	})
	if err != nil {
		return nil, err
	}
	for _, t := range stream.GetAudioTracks() {
		if track, ok := t.(*mediadevices.AudioTrack); ok {
			return &Source{rec: a.rec, track: track, reader: track.NewReader(false)}, nil
		}
	}
	_ = a.Close()
	return nil, errors.New("open a microphone: mediadevices gave no audio track for it")
}

// Name implements media.Source.
func (s *Source) Name() string { return s.rec.name() }

// Lost implements media.Source.
func (s *Source) Lost() uint64 { return s.rec.lost() }

// Track is the microphone for those who want to send it themselves. Use it or Read, not both.
func (s *Source) Track() mediadevices.Track { return s.track }

// Read implements media.Source. mediadevices has panicked in readers of tracks that were being closed; what does is an
// error here.
func (s *Source) Read(pcm []int16) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("read from the microphone %q: mediadevices panicked: %v", s.Name(), p)
		}
	}()
	for len(pcm) > 0 {
		if len(s.rest) == 0 {
			chunk, release, err := s.reader.Read()
			if err != nil {
				return err
			}
			release()
			c, ok := chunk.(*wave.Int16Interleaved)
			if !ok || c.Size.Channels != 1 {
				return fmt.Errorf("read from the microphone %q: it gave %T", s.Name(), chunk)
			}
			s.rest = c.Data
		}
		n := copy(pcm, s.rest)
		pcm, s.rest = pcm[n:], s.rest[n:]
	}
	return nil
}

// Close implements media.Source.
func (s *Source) Close() error {
	s.once.Do(func() { s.err = s.track.Close() })
	return s.err
}
