package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"peerchat/media"
	"peerchat/media/wav"
	"peerchat/peer"
	"peerchat/peer/wire"
	"peerchat/tui"
)

// Bounds of recording, in samples, and in blocks of the loudspeaker.
const (
	recordBlocks = 512                    // that may wait for the disk
	recordAhead  = media.SampleRate / 25  // of the own voice before it is mixed in: 40 ms, for its jitter
	recordOwn    = media.SampleRate / 4   // of the own voice that may wait
	testSamples  = 3 * media.SampleRate   // of /audio test
	testTail     = media.SampleRate / 4   // of silence behind it, so that closing the speaker cuts off nothing
	testPart     = media.SampleRate / 100 // that is read or written at once
)

// tap opens devices for the engine, and gives what is heard and said to a recorder, if there is one.
type tap struct {
	sound    media.Devices
	recorder atomic.Pointer[recorder]
}

func (t *tap) OpenSource(ctx context.Context, source string) (media.Source, error) {
	return t.sound.OpenSource(ctx, source)
}

func (t *tap) OpenSink(ctx context.Context, sink string) (media.Sink, error) {
	s, err := t.sound.OpenSink(ctx, sink)
	if err != nil {
		return nil, err
	}
	return tappedSink{s, t}, nil
}

// Default implements media.Defaults, where the sound system does.
func (t *tap) Default(ctx context.Context, kind media.DeviceKind) (string, error) {
	if d, ok := t.sound.(media.Defaults); ok {
		return d.Default(ctx, kind)
	}
	return "", errors.ErrUnsupported
}

type tappedSink struct {
	media.Sink
	tap *tap
}

// Write implements media.Sink.
func (s tappedSink) Write(pcm []int16) {
	s.Sink.Write(pcm)
	if r := s.tap.recorder.Load(); r != nil {
		r.heard(pcm)
	}
}

// said takes a packet of the own voice.
func (t *tap) said(payload []byte) {
	if r := t.recorder.Load(); r != nil {
		r.said(payload)
	}
}

// end ends the recording, if there is one.
func (t *tap) end() *recorder {
	r := t.recorder.Swap(nil)
	if r != nil {
		close(r.stop)
		<-r.done
	}
	return r
}

// recorder writes what is heard, mixed with what is said, into a WAVE file. The engine's goroutine calls heard and
// said, which do not wait for the disk; another one writes.
type recorder struct {
	file   string
	blocks chan []int16
	stop   chan struct{}
	done   chan struct{} // closed when nothing more is written: after stop, or because that failed
	lost   atomic.Uint64 // blocks that the disk was too slow for
	err    error         // of writing; to be read after done

	// What follows belongs to the engine's goroutine.

	own []int16 // said, and not mixed in yet
	on  bool    // own is being mixed in
}

// recordFile is where a recorder writes to: an *os.File.
type recordFile interface {
	wav.File
	io.Closer
}

// newRecorder begins an empty file. It calls ended when the file does not grow any more, from another goroutine.
func newRecorder(name string, f recordFile, ended func()) (*recorder, error) {
	w, err := wav.NewWriter(f, media.SampleRate)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	r := &recorder{file: name, blocks: make(chan []int16, recordBlocks), stop: make(chan struct{}), done: make(chan struct{})}
	go func() {
		r.write(w)
		r.err = errors.Join(w.Close(), f.Close())
		close(r.done)
		ended()
	}()
	return r, nil
}

// write writes blocks until stop, and then those that wait; or until that fails, which w remembers.
func (r *recorder) write(w *wav.Writer) {
	for {
		select {
		case b := <-r.blocks:
			if w.Write(b) != nil {
				return
			}
		case <-r.stop: // a block that is just being put is left out
			for {
				select {
				case b := <-r.blocks:
					if w.Write(b) != nil {
						return
					}
				default:
					return
				}
			}
		}
	}
}

// heard takes what the loudspeaker is given.
func (r *recorder) heard(pcm []int16) {
	block := slices.Clone(pcm)
	if len(r.own) >= recordAhead {
		r.on = true
	}
	if r.on {
		n := min(len(block), len(r.own))
		for i, s := range r.own[:n] {
			block[i] = int16(min(max(int32(block[i])+int32(s), -32768), 32767))
		}
		r.own = append(r.own[:0], r.own[n:]...)
		r.on = len(r.own) > 0
	}
	select {
	case r.blocks <- block:
	default:
		r.lost.Add(1)
	}
}

// said takes a packet of the own voice.
func (r *recorder) said(payload []byte) {
	var pcm [media.MaxPacketSamples]int16
	n, err := media.ParseL16(pcm[:], payload)
	if err != nil {
		return
	}
	r.own = append(r.own, pcm[:n]...)
	if late := len(r.own) - recordOwn; late > 0 {
		r.own = append(r.own[:0], r.own[late:]...)
	}
}

// record begins to write into a file, or ends that. The room is told: nobody is recorded without knowing.
func (v *voice) record(a tui.Record) {
	now := v.tap.recorder.Load()
	switch {
	case a.Stop && now == nil:
		v.note("record", "nothing is being recorded")
		return
	case a.Stop:
		v.endRecord(true)
		return
	case now != nil:
		v.note("record", "%s is being recorded already; /record stop ends it", now.file)
		return
	case v.room == "":
		v.fail("record", errors.New("there is nothing to record: you are not in voice; /voice join"))
		return
	case v.noSpeaker || v.plays == "":
		v.fail("record", errors.New("there is nothing to record: no speaker is open; /output none makes one that nobody hears"))
		return
	}
	file := a.File
	if file == "" {
		file = "voice-" + time.Now().Format("20060102-150405") + ".wav"
	}
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		v.fail("record", fmt.Errorf("record: %w", err))
		return
	}
	var r *recorder
	r, err = newRecorder(file, f, func() {
		v.mail.Post(func() { // after this function: r is there, and in use
			if v.tap.recorder.Load() == r {
				v.endRecord(true)
			}
		})
	})
	if err != nil {
		v.fail("record", err)
		return
	}
	v.tap.recorder.Store(r)
	v.note("record", "what you hear and say is written to %s until /record stop", file)
	v.cfg.do(peer.Say{Room: v.room, Kind: wire.KindAction, Text: "is recording the voice of this room"})
}

// endRecord ends the recording, if there is one. The room is told, unless it sees by itself that its voice was left.
func (v *voice) endRecord(tell bool) {
	r := v.tap.end()
	if r == nil {
		return
	}
	if tell {
		v.cfg.do(peer.Say{Room: v.room, Kind: wire.KindAction, Text: "has stopped recording"})
	}
	if r.err != nil {
		v.fail("record", fmt.Errorf("the recording %s is not complete: %w", r.file, r.err))
		return
	}
	lost := ""
	if n := r.lost.Load(); n > 0 {
		lost = fmt.Sprintf("; the disk was too slow for some of it (parts: %d)", n)
	}
	v.note("record", "recorded %s%s", r.file, lost)
}

// test records for three seconds, and plays that.
func (v *voice) test() {
	if v.room != "" {
		v.fail("device", errors.New("the test needs the sound devices for itself: /voice leave first; in voice the status line shows the microphone's level"))
		return
	}
	mic, speaker, sound := v.mic, v.speaker, v.cfg.sound
	v.note("device", "say something: three seconds are recorded, then you hear them")
	v.beside(testPatience, func(ctx context.Context) func() {
		text, err := testSound(ctx, sound, mic, speaker)
		return func() {
			if err != nil {
				v.fail("device", err)
				return
			}
			v.note("device", "%s", text)
		}
	})
}

// testSound records and plays, and says what it heard.
func testSound(ctx context.Context, sound media.Devices, mic, speaker string) (string, error) {
	pcm := make([]int16, testSamples)
	source, err := sound.OpenSource(ctx, mic)
	if err != nil {
		return "", err
	}
	quit := context.AfterFunc(ctx, func() { _ = source.Close() }) // a microphone that says nothing must not be waited for
	var meter media.Meter
	peak := media.Floor
	for at := 0; at < len(pcm) && err == nil; at += testPart {
		if err = source.Read(pcm[at : at+testPart]); err == nil {
			meter.Add(pcm[at : at+testPart])
			peak = max(peak, meter.Level().Peak)
		}
	}
	quit()
	name := source.Name()
	_ = source.Close() // it has been read
	if err != nil {
		return "", fmt.Errorf("test the microphone %s: %w", name, err)
	}
	sink, err := sound.OpenSink(ctx, speaker)
	if err != nil {
		return "", err
	}
	for rest := append(pcm, make([]int16, testTail)...); len(rest) > 0; {
		if n := min(sink.Room(), len(rest), testPart); n > 0 {
			sink.Write(rest[:n])
			rest = rest[n:]
			continue
		}
		select {
		case <-sink.Wake():
		case <-sink.Done():
			return "", fmt.Errorf("test the speaker %s: %w", sink.Name(), errors.Join(sink.Err(), sink.Close()))
		case <-ctx.Done():
			return "", fmt.Errorf("test the speaker %s: it took too long: %w", sink.Name(), errors.Join(ctx.Err(), sink.Close()))
		}
	}
	text := fmt.Sprintf("%s: the loudest was %.0f dBFS, and %s played it", name, peak, sink.Name())
	if peak < -50 {
		text += "; that is next to nothing: is the microphone muted? /devices and /input choose another"
	}
	return text, sink.Close()
}
