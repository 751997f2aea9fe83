// Package l16 is the audio codec of voice: raw 16-bit linear samples in network byte order, one channel, 16 kHz
// (RFC 3551 section 4.5.11; the SDP name audio/L16 is RFC 2586). A packet holds one frame of 20 ms:
//
//	 0                   1                   2                   3
//	 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//	+-------------------------------+-------------------------------+
//	|           sample 0            |           sample 1            |
//	+-------------------------------+-------------------------------+
//	                              ... 320 samples, 640 bytes, two's complement, most significant byte first
//
// It is pure: functions of their arguments, which keep and allocate nothing unless they say so.
package l16

import (
	"errors"
	"fmt"
)

// The codec's constants. They are not negotiable: a stream with other ones is another codec.
const (
	SampleRate   = 16000                            // samples a second, and the RTP clock
	FrameSamples = 320                              // samples of a frame: 20 ms
	FrameBytes   = 2 * FrameSamples                 // bytes of a frame, and of an RTP payload
	FrameMillis  = 1000 * FrameSamples / SampleRate // milliseconds of a frame
	MimeType     = "audio/L16"                      // as in pion's codec parameters
	PayloadType  = 107                              // dynamic (RFC 3551 section 6)
)

// ErrSize says that a payload or a frame is not exactly one frame of 20 ms.
var ErrSize = errors.New("not a frame of 20 ms: 640 bytes, 320 samples")

// Encode writes the 320 samples of frame into the 640 bytes of payload. It panics where either is shorter, like copying
// by index does: both are our own.
func Encode(payload []byte, frame []int16) {
	payload, frame = payload[:FrameBytes], frame[:FrameSamples]
	for i, s := range frame {
		payload[2*i] = byte(uint16(s) >> 8)
		payload[2*i+1] = byte(s)
	}
}

// Decode writes the samples of a received payload into the first 320 samples of frame. The payload must have exactly
// 640 bytes, else the error is ErrSize and frame is as it was.
func Decode(frame []int16, payload []byte) error {
	if len(payload) != FrameBytes || len(frame) < FrameSamples {
		return ErrSize
	}
	frame = frame[:FrameSamples]
	for i := range frame {
		frame[i] = int16(uint16(payload[2*i])<<8 | uint16(payload[2*i+1]))
	}
	return nil
}

// Payloader cuts encoded audio into RTP payloads of one frame each. It is an rtp.Payloader.
type Payloader struct{}

// Payload returns the frames of encoded, which it does not copy. What is not whole frames, or does not fit into mtu,
// has no payload: nil.
func (Payloader) Payload(mtu uint16, encoded []byte) [][]byte {
	if len(encoded) == 0 || len(encoded)%FrameBytes != 0 || mtu < FrameBytes {
		return nil
	}
	payloads := make([][]byte, 0, len(encoded)/FrameBytes)
	for len(encoded) > 0 {
		payloads = append(payloads, encoded[:FrameBytes:FrameBytes])
		encoded = encoded[FrameBytes:]
	}
	return payloads
}

// Depayloader takes the encoded audio out of RTP payloads. It is an rtp.Depacketizer.
type Depayloader struct{}

// Unmarshal returns payload itself if it is exactly one frame, else an error that wraps ErrSize.
func (Depayloader) Unmarshal(payload []byte) ([]byte, error) {
	if len(payload) != FrameBytes {
		return nil, fmt.Errorf("read an audio packet of %d bytes: %w", len(payload), ErrSize)
	}
	return payload, nil
}

// IsPartitionHead is true: every packet decodes by itself.
func (Depayloader) IsPartitionHead([]byte) bool { return true }

// IsPartitionTail is true: every packet decodes by itself. The marker says where a talk-spurt begins, not where a frame
// ends (RFC 3551 section 4.1).
func (Depayloader) IsPartitionTail(bool, []byte) bool { return true }
