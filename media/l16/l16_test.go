package l16

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/pion/mediadevices/pkg/codec"
	"github.com/pion/mediadevices/pkg/io/audio"
	"github.com/pion/mediadevices/pkg/prop"
	"github.com/pion/mediadevices/pkg/wave"
	"github.com/pion/rtp"
	"pgregory.net/rapid"

	"peerchat/media"
)

var (
	_ rtp.Payloader             = Payloader{}
	_ rtp.Depacketizer          = Depayloader{}
	_ codec.AudioEncoderBuilder = Encoder{}
)

func TestSamplesAreBigEndian(t *testing.T) {
	frame := media.Frame{0: 0x1234, 1: -1, 2: -32768, 319: 1}
	payload := make([]byte, media.FrameBytes)
	if err := Encode(payload, &frame); err != nil {
		t.Fatal(err)
	}
	if want := []byte{0x12, 0x34, 0xff, 0xff, 0x80, 0x00}; !bytes.Equal(payload[:6], want) {
		t.Errorf("the payload begins with % x, want % x", payload[:6], want)
	}
	if want := []byte{0x00, 0x01}; !bytes.Equal(payload[638:], want) {
		t.Errorf("the payload ends with % x, want % x", payload[638:], want)
	}
}

func TestWhatIsEncodedDecodesToTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var frame, got media.Frame
		copy(frame[:], rapid.SliceOfN(rapid.Int16(), media.FrameSamples, media.FrameSamples).Draw(t, "frame"))
		payload := make([]byte, media.FrameBytes)
		if err := errors.Join(Encode(payload, &frame), Decode(&got, payload)); err != nil {
			t.Fatal(err)
		}
		if got != frame {
			t.Fatal("other samples came back")
		}
	})
}

func TestOtherSizesAreRefused(t *testing.T) {
	frame := media.Frame{7: 7}
	for _, n := range []int{0, 1, 2, 638, 639, 641, 642, 1280} {
		if err := Decode(&frame, make([]byte, n)); !errors.Is(err, ErrSize) {
			t.Errorf("%d bytes: %v", n, err)
		}
		if _, err := (Depayloader{}).Unmarshal(make([]byte, n)); !errors.Is(err, ErrSize) {
			t.Errorf("a packet of %d bytes: %v", n, err)
		}
	}
	if frame[7] != 7 {
		t.Error("a refused payload changed the frame")
	}
	if err := Encode(make([]byte, 639), &frame); !errors.Is(err, ErrSize) {
		t.Errorf("639 bytes of room: %v", err)
	}
}

func TestPayloaderCutsWholeFrames(t *testing.T) {
	for _, c := range []struct {
		mtu     uint16
		bytes   int
		packets int
	}{{1200, 640, 1}, {640, 640, 1}, {639, 640, 0}, {1200, 1280, 2}, {1200, 641, 0}, {1200, 0, 0}, {1200, 639, 0}} {
		if got := (Payloader{}).Payload(c.mtu, make([]byte, c.bytes)); len(got) != c.packets {
			t.Errorf("%d bytes at an MTU of %d are %d packets, want %d", c.bytes, c.mtu, len(got), c.packets)
		}
	}
}

func TestConversionAllocatesNothing(t *testing.T) {
	frame, payload := new(media.Frame), make([]byte, media.FrameBytes)
	if n := testing.AllocsPerRun(100, func() {
		if Encode(payload, frame) != nil || Decode(frame, payload) != nil {
			t.Error("refused")
		}
	}); n != 0 {
		t.Errorf("%v allocations for a frame", n)
	}
}

// chunks is a microphone that gives 1, 2, 3 ... in chunks of the given lengths, then ends.
func chunks(lengths ...int) audio.Reader {
	next := int16(0)
	return audio.ReaderFunc(func() (wave.Audio, func(), error) {
		if len(lengths) == 0 {
			return nil, func() {}, io.EOF
		}
		c := wave.NewInt16Interleaved(wave.ChunkInfo{Len: lengths[0], Channels: 1, SamplingRate: media.SampleRate})
		lengths = lengths[1:]
		for i := range c.Data {
			next++
			c.Data[i] = next
		}
		return c, func() {}, nil
	})
}

func format(rate, channels int) prop.Media {
	return prop.Media{Audio: prop.Audio{SampleRate: rate, ChannelCount: channels}}
}

func TestEncoderMakesFramesOfChunksOfAnyLength(t *testing.T) {
	e, err := Encoder{}.BuildAudioEncoder(chunks(160, 160, 1, 319, 641, 0, 319), format(16000, 1))
	if err != nil {
		t.Fatal(err)
	}
	want := int16(0)
	for i := range 5 {
		payload, release, err := e.Read()
		if err != nil {
			t.Fatalf("frame %d: %v", i, err)
		}
		release()
		var frame media.Frame
		if err := Decode(&frame, payload); err != nil {
			t.Fatal(err)
		}
		for _, s := range frame {
			if want++; s != want {
				t.Fatalf("frame %d has sample %d, want %d", i, s, want)
			}
		}
	}
	if _, _, err := e.Read(); !errors.Is(err, io.EOF) {
		t.Errorf("after the last chunk: %v", err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := e.Read(); !errors.Is(err, media.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

func TestEncoderRefusesOtherFormats(t *testing.T) {
	for _, p := range []prop.Media{format(48000, 1), format(16000, 2), format(0, 0)} {
		if _, err := (Encoder{}).BuildAudioEncoder(chunks(), p); err == nil {
			t.Errorf("%+v was accepted", p.Audio)
		}
	}
	stereo := audio.ReaderFunc(func() (wave.Audio, func(), error) {
		return wave.NewInt16Interleaved(wave.ChunkInfo{Len: 160, Channels: 2, SamplingRate: 16000}), func() {}, nil
	})
	e, err := Encoder{}.BuildAudioEncoder(stereo, format(16000, 1))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := e.Read(); err == nil {
		t.Error("a microphone that said one channel and gave two was encoded")
	}
}

// FuzzDecode checks that whatever decodes encodes to the same bytes.
func FuzzDecode(f *testing.F) {
	f.Add(make([]byte, media.FrameBytes))
	f.Add([]byte{1, 2, 3})
	f.Fuzz(func(t *testing.T, payload []byte) {
		var frame media.Frame
		if err := Decode(&frame, payload); err != nil {
			if len(payload) == media.FrameBytes {
				t.Fatal(err)
			}
			return
		}
		back := make([]byte, media.FrameBytes)
		if err := Encode(back, &frame); err != nil || !bytes.Equal(back, payload) {
			t.Fatal("other bytes came back")
		}
	})
}
