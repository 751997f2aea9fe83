package media

import (
	"errors"
	"fmt"
	"time"
)

// The one sound format of the package.
const (
	SampleRate       = 16000                 // samples a second
	FrameDuration    = 20 * time.Millisecond // of one frame
	FrameSamples     = SampleRate / 50       // in one frame
	FrameBytes       = 2 * FrameSamples      // of one frame as audio/L16
	MaxPacketSamples = 2 * FrameSamples      // in the largest packet that is accepted
)

// Frame is 20 ms of sound.
type Frame [FrameSamples]int16

// ErrL16 is what ParseL16 returns, wrapped, for a payload that is no audio/L16 packet of ours.
var ErrL16 = errors.New("not an audio/L16 payload")

// AppendL16 appends samples in network byte order (RFC 3551, section 4.5.11).
func AppendL16(dst []byte, pcm []int16) []byte {
	for _, s := range pcm {
		dst = append(dst, byte(uint16(s)>>8), byte(s))
	}
	return dst
}

// ParseL16 decodes one RTP payload into dst and returns how many samples it holds. It refuses payloads that are
// empty, odd, longer than MaxPacketSamples or longer than dst, and leaves dst alone then.
func ParseL16(dst []int16, payload []byte) (int, error) {
	n := len(payload) / 2
	if n == 0 || len(payload)%2 != 0 || n > MaxPacketSamples || n > len(dst) {
		return 0, fmt.Errorf("decoding %d B of sound: %w: 2 to %d bytes, an even number, fit", len(payload), ErrL16, 2*min(len(dst), MaxPacketSamples))
	}
	for i := range n {
		dst[i] = int16(uint16(payload[2*i])<<8 | uint16(payload[2*i+1]))
	}
	return n, nil
}

// Framer cuts a stream of samples into frames. It holds less than one frame between calls.
type Framer struct {
	frame Frame
	n     int
}

// Write takes as many samples as the frame lacks and returns the rest. When full is true, Frame is complete; it is
// valid until the next Write.
//
//	for len(pcm) > 0 {
//		if pcm, full = framer.Write(pcm); full {
//			send(framer.Frame())
//		}
//	}
func (f *Framer) Write(pcm []int16) (rest []int16, full bool) {
	if f.n == FrameSamples {
		f.n = 0
	}
	k := copy(f.frame[f.n:], pcm)
	f.n += k
	return pcm[k:], f.n == FrameSamples
}

// Frame is the frame that the last Write completed.
func (f *Framer) Frame() *Frame { return &f.frame }
