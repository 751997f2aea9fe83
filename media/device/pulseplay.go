package device

import (
	"context"
	"errors"
	"sync"

	"github.com/jfreymuth/pulse/proto"

	"peerchat/media"
)

// pulseTarget is how many periods the server holds: one that it plays from and two on their way. With two, a busy
// machine hears gaps.
const pulseTarget = 3

// pulseSink is a loudspeaker. The server asks for samples as it plays; what it asked for and did not get is the room.
type pulseSink struct {
	conn   *pulseConn
	device string
	stream uint32
	wake   chan struct{}
	done   chan struct{}
	once   sync.Once
	bytes  [2 * media.MaxPacketSamples]byte // belongs to who writes

	mu        sync.Mutex // guards what follows; never held while the server is written to
	room      int        // samples
	limit     int        // samples that the server's buffer holds
	underruns uint64
	err       error
}

func (p *pulse) play(ctx context.Context, id string) (media.Sink, error) {
	s := &pulseSink{wake: make(chan struct{}, 1), done: make(chan struct{}), limit: pulseTarget * period}
	c, err := p.connect(ctx, s.on)
	if err != nil {
		return nil, err
	}
	s.conn = c
	var reply proto.CreatePlaybackStreamReply
	err = c.Request(&proto.CreatePlaybackStream{
		SampleSpec: pulseFormat, ChannelMap: proto.ChannelMap{proto.ChannelMono}, ChannelVolumes: proto.ChannelVolumes{0x10000},
		SinkIndex: proto.Undefined, SinkName: id,
		BufferMaxLength:    proto.Undefined,
		BufferTargetLength: pulseTarget * 2 * period,
		// It plays from the first period on. After a gap it waits for a period, and does not skip what was late.
		BufferPrebufferLength: 2 * period,
		BufferMinimumRequest:  2 * period,
		AdjustLatency:         true,
		Properties:            proto.PropList{"media.name": proto.PropListString("voice")},
	}, &reply)
	if err != nil {
		c.close()
		return nil, pulseRefused("speaker", err)
	}
	s.stream, s.device = reply.StreamIndex, reply.SinkName
	s.mu.Lock()
	s.room += int(reply.Missing) / 2
	s.limit = max(s.limit, int(reply.BufferTargetLength)/2)
	s.mu.Unlock()
	signal(s.wake)
	var sink proto.GetSinkInfoReply
	if err := c.Request(&proto.GetSinkInfo{SinkIndex: proto.Undefined, SinkName: reply.SinkName}, &sink); err == nil {
		s.device = sink.Device
	}
	return s, nil
}

func (s *pulseSink) on(message any) {
	switch m := message.(type) {
	case *proto.Request:
		s.mu.Lock()
		s.room = min(s.room+int(m.Length)/2, max(s.limit, s.room))
		s.mu.Unlock()
		signal(s.wake)
	case *proto.Underflow:
		s.mu.Lock()
		s.underruns++
		s.mu.Unlock()
	case *proto.PlaybackStreamKilled:
		s.fail(errors.New("play: PulseAudio took the speaker away"))
	case *proto.ConnectionClosed:
		s.fail(errors.New("play: the connection to PulseAudio ended"))
	}
}

func (s *pulseSink) fail(err error) {
	s.mu.Lock()
	if s.err == nil {
		s.err = err
		close(s.done)
	}
	s.mu.Unlock()
	signal(s.wake)
}

func (s *pulseSink) Name() string          { return s.device }
func (s *pulseSink) Period() int           { return period }
func (s *pulseSink) Wake() <-chan struct{} { return s.wake }
func (s *pulseSink) Done() <-chan struct{} { return s.done }

func (s *pulseSink) Room() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.room
}

func (s *pulseSink) Underruns() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.underruns
}

func (s *pulseSink) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// Write implements media.Sink. The server's socket has room for far more than it asks for; a server that does not read
// loses the connection after pulseReply.
func (s *pulseSink) Write(pcm []int16) {
	s.mu.Lock()
	pcm = pcm[:min(len(pcm), s.room, media.MaxPacketSamples)]
	s.room -= len(pcm)
	dead := s.err != nil
	s.mu.Unlock()
	if len(pcm) > 0 && !dead {
		_ = s.conn.Send(s.stream, asBytes(s.bytes[:], pcm)) // an error ends the connection, which tells
	}
}

func (s *pulseSink) Close() error {
	s.once.Do(func() {
		s.fail(media.ErrClosed)
		s.conn.close()
	})
	return nil
}
