package l16

import (
	"bytes"
	"errors"
	"testing"

	"github.com/pion/rtp"
	"pgregory.net/rapid"
)

var (
	_ rtp.Payloader    = Payloader{}
	_ rtp.Depacketizer = Depayloader{}
)

func TestSamplesAreBigEndian(t *testing.T) {
	frame := make([]int16, FrameSamples)
	frame[0], frame[1], frame[2], frame[319] = 0x1234, -1, -32768, 1
	payload := make([]byte, FrameBytes)
	Encode(payload, frame)
	if want := []byte{0x12, 0x34, 0xff, 0xff, 0x80, 0x00}; !bytes.Equal(payload[:6], want) {
		t.Errorf("the payload begins with % x, want % x", payload[:6], want)
	}
	if want := []byte{0x00, 0x01}; !bytes.Equal(payload[638:], want) {
		t.Errorf("the payload ends with % x, want % x", payload[638:], want)
	}
}

func TestWhatIsEncodedDecodesToTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		frame := rapid.SliceOfN(rapid.Int16(), FrameSamples, FrameSamples).Draw(t, "frame")
		payload := make([]byte, FrameBytes)
		Encode(payload, frame)
		got := make([]int16, FrameSamples)
		if err := Decode(got, payload); err != nil {
			t.Fatal(err)
		}
		for i := range got {
			if got[i] != frame[i] {
				t.Fatalf("sample %d is %d, was %d", i, got[i], frame[i])
			}
		}
	})
}

func TestOtherSizesAreRefused(t *testing.T) {
	frame := make([]int16, FrameSamples)
	frame[7] = 7
	for _, n := range []int{0, 1, 2, 638, 639, 641, 642, 1280} {
		if err := Decode(frame, make([]byte, n)); !errors.Is(err, ErrSize) {
			t.Errorf("%d bytes: %v", n, err)
		}
		if _, err := (Depayloader{}).Unmarshal(make([]byte, n)); !errors.Is(err, ErrSize) {
			t.Errorf("a packet of %d bytes: %v", n, err)
		}
	}
	if frame[7] != 7 {
		t.Error("a refused payload changed the frame")
	}
	if err := Decode(frame[:319], make([]byte, FrameBytes)); !errors.Is(err, ErrSize) {
		t.Errorf("319 samples of room: %v", err)
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

func TestNothingIsAllocated(t *testing.T) {
	frame, payload := make([]int16, FrameSamples), make([]byte, FrameBytes)
	if n := testing.AllocsPerRun(100, func() {
		Encode(payload, frame)
		if Decode(frame, payload) != nil {
			t.Error("refused")
		}
	}); n != 0 {
		t.Errorf("%v allocations for a frame", n)
	}
}

// FuzzDecode checks that whatever decodes encodes to the same bytes.
func FuzzDecode(f *testing.F) {
	f.Add(make([]byte, FrameBytes))
	f.Add([]byte{1, 2, 3})
	f.Fuzz(func(t *testing.T, payload []byte) {
		frame := make([]int16, FrameSamples)
		if err := Decode(frame, payload); err != nil {
			if len(payload) == FrameBytes {
				t.Fatal(err)
			}
			return
		}
		back := make([]byte, FrameBytes)
		Encode(back, frame)
		if !bytes.Equal(back, payload) {
			t.Fatal("other bytes came back")
		}
	})
}
