// Package l16 is the audio codec of voice as pion wants to see it: raw 16-bit linear samples in network byte order, one
// channel, 16 kHz (RFC 3551 section 4.5.11; the SDP name audio/L16 is RFC 2586). A packet holds one frame of 20 ms:
//
//	 0                   1                   2                   3
//	 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//	+-------------------------------+-------------------------------+
//	|           sample 0            |           sample 1            |
//	+-------------------------------+-------------------------------+
//	                              ... 320 samples, 640 bytes, two's complement, most significant byte first
//
// The conversion itself, and the more tolerant reading of what other programs send, is package media's, the only one of
// ours that this package imports. Pion has neither payloader nor encoder for audio/L16.
package l16

import (
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/pion/mediadevices/pkg/codec"
	"github.com/pion/mediadevices/pkg/io/audio"
	"github.com/pion/mediadevices/pkg/prop"
	"github.com/pion/mediadevices/pkg/wave"
	"github.com/pion/webrtc/v4"

	"peerchat/media"
)

// MimeType and PayloadType are what the codec is negotiated as. The type is a dynamic one (RFC 3551 section 6).
const (
	MimeType    = "audio/L16"
	PayloadType = 107
)

// ErrSize says that a payload or a frame is not exactly one frame of 20 ms.
var ErrSize = errors.New("not a frame of 20 ms, which has 640 bytes, 320 samples")

// Encode writes frame into the first 640 bytes of payload, which must have them.
func Encode(payload []byte, frame *media.Frame) error {
	if len(payload) < media.FrameBytes {
		return ErrSize
	}
	media.AppendL16(payload[:0], frame[:])
	return nil
}

// Decode writes the samples of payload into frame. The payload must have exactly 640 bytes, else the error is ErrSize
// and frame is as it was.
func Decode(frame *media.Frame, payload []byte) error {
	if len(payload) != media.FrameBytes {
		return ErrSize
	}
	_, err := media.ParseL16(frame[:], payload)
	return err
}

// Payloader cuts encoded audio into RTP payloads of one frame each. It is an rtp.Payloader.
type Payloader struct{}

// Payload returns the frames of encoded, which it does not copy. What is not whole frames, or does not fit into mtu,
// has no payload: nil.
func (Payloader) Payload(mtu uint16, encoded []byte) [][]byte {
	if len(encoded) == 0 || len(encoded)%media.FrameBytes != 0 || mtu < media.FrameBytes {
		return nil
	}
	payloads := make([][]byte, 0, len(encoded)/media.FrameBytes)
	for len(encoded) > 0 {
		payloads = append(payloads, encoded[:media.FrameBytes:media.FrameBytes])
		encoded = encoded[media.FrameBytes:]
	}
	return payloads
}

// Depayloader takes the encoded audio out of RTP payloads. It is an rtp.Depacketizer.
type Depayloader struct{}

// Unmarshal returns payload itself if it is exactly one frame, else an error that wraps ErrSize.
func (Depayloader) Unmarshal(payload []byte) ([]byte, error) {
	if len(payload) != media.FrameBytes {
		return nil, fmt.Errorf("read an audio packet of %d B: %w", len(payload), ErrSize)
	}
	return payload, nil
}

// IsPartitionHead is true: every packet decodes by itself.
func (Depayloader) IsPartitionHead([]byte) bool { return true }

// IsPartitionTail is true: every packet decodes by itself. The marker says where a talk-spurt begins, not where a frame
// ends (RFC 3551 section 4.1).
func (Depayloader) IsPartitionTail(bool, []byte) bool { return true }

// Encoder builds encoders for the codec selector of mediadevices. It is a codec.AudioEncoderBuilder.
type Encoder struct{}

// RTPCodec says what the encoders encode to.
func (Encoder) RTPCodec() *codec.RTPCodec {
	return &codec.RTPCodec{
		RTPCodecParameters: webrtc.RTPCodecParameters{
			RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: MimeType, ClockRate: media.SampleRate, Channels: 1},
			PayloadType:        PayloadType,
		},
		Payloader: Payloader{},
		Latency:   media.FrameDuration,
	}
}

// BuildAudioEncoder makes an encoder that reads chunks of any length from r and gives frames of 640 bytes. The chunks
// must be wave.Int16Interleaved with one channel at 16 kHz.
func (Encoder) BuildAudioEncoder(r audio.Reader, p prop.Media) (codec.ReadCloser, error) {
	if p.SampleRate != media.SampleRate || p.ChannelCount != 1 {
		return nil, fmt.Errorf("encode as L16: the microphone's rate is %d Hz and its channels are %d, not %d and 1",
			p.SampleRate, p.ChannelCount, media.SampleRate)
	}
	return &encoder{reader: r}, nil
}

type encoder struct {
	reader audio.Reader
	framer media.Framer
	rest   []int16 // of the chunk that was read last
	closed atomic.Bool
}

// Read returns one frame, in memory of its own: an interceptor may keep it to send it again.
func (e *encoder) Read() ([]byte, func(), error) {
	for {
		if e.closed.Load() {
			return nil, func() {}, media.ErrClosed
		}
		if len(e.rest) == 0 {
			chunk, release, err := e.reader.Read()
			if err != nil {
				return nil, func() {}, err
			}
			release()
			c, ok := chunk.(*wave.Int16Interleaved)
			if !ok || c.Size.Channels != 1 || c.Size.SamplingRate != media.SampleRate {
				return nil, func() {}, fmt.Errorf("encode as L16: the microphone gave a %T, or another rate or number of channels than it said", chunk)
			}
			e.rest = c.Data
		}
		var full bool
		if e.rest, full = e.framer.Write(e.rest); full {
			return media.AppendL16(make([]byte, 0, media.FrameBytes), e.framer.Frame()[:]), func() {}, nil
		}
	}
}

// Close ends the encoder, not the microphone.
func (e *encoder) Close() error {
	e.closed.Store(true)
	return nil
}

// Controller is nil: there is nothing to control.
func (e *encoder) Controller() codec.EncoderController { return nil }
