package device

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/jfreymuth/pulse/proto"

	"peerchat/media"
)

// pulsePeriod is how much sound the server takes from us at a time, and gives us, in samples: 5 ms.
const pulsePeriod = media.FrameSamples / 4

// What the server holds, in periods: pulseLeast to begin with, one that it plays from and one on its way. A machine
// that is too busy for that hears a gap, after which it is one more, up to pulseMost. After pulseCalm without a gap it
// is one less.
const (
	pulseLeast = 2
	pulseMost  = 12
	pulseCalm  = 10 * time.Second
	pulseWary  = time.Hour // longest calm that is waited for: each time that one less was too little, it is twice as long
)

// pulseSink is a loudspeaker. The server asks for samples as it plays. It would take pulseMost periods; how many are
// given to it is decided here, so that this can change in a moment.
type pulseSink struct {
	conn   *pulseConn
	device string
	stream uint32
	wake   chan struct{}
	done   chan struct{}
	once   sync.Once
	bytes  [2 * media.MaxPacketSamples]byte // belongs to who writes

	mu        sync.Mutex // guards what follows; never held while the server is written to
	asked     int        // samples that the server asked for and did not get
	limit     int        // samples that the server's buffer holds
	fill      fill
	underruns uint64
	err       error
}

// fill is how many samples the server is to hold.
type fill struct {
	target int
	calm   time.Duration // without a gap, before the target is lowered
	since  time.Time     // the last gap, or the last lowering; zero: neither yet
	lower  bool          // the last change was a lowering
}

func newFill() fill { return fill{target: pulseLeast * pulsePeriod, calm: pulseCalm} }

// gap notes that the server had nothing to play.
func (f *fill) gap(now time.Time) {
	if f.lower {
		f.calm = min(2*f.calm, pulseWary)
	}
	f.target = min(f.target+pulsePeriod, pulseMost*pulsePeriod)
	f.since, f.lower = now, false
}

// played notes that the server has played.
func (f *fill) played(now time.Time) {
	if f.since.IsZero() || now.Sub(f.since) < f.calm || f.target == pulseLeast*pulsePeriod {
		return
	}
	f.target -= pulsePeriod
	f.since, f.lower = now, true
}

func (p *pulse) play(ctx context.Context, id string) (media.Sink, error) {
	s := &pulseSink{wake: make(chan struct{}, 1), done: make(chan struct{}), limit: pulseMost * pulsePeriod, fill: newFill()}
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
		BufferTargetLength: pulseMost * 2 * pulsePeriod,
		// It plays from the first period on. After a gap it waits for a period, and does not skip what was late.
		BufferPrebufferLength: 2 * pulsePeriod,
		BufferMinimumRequest:  2 * pulsePeriod,
		EarlyRequests:         true, // it asks each time that it has taken a period, and takes no more at a time
		Properties:            proto.PropList{"media.name": proto.PropListString("voice")},
	}, &reply)
	if err != nil {
		c.close()
		return nil, pulseRefused("speaker", err)
	}
	s.stream, s.device = reply.StreamIndex, reply.SinkName
	s.mu.Lock()
	s.asked += int(reply.Missing) / 2
	s.limit = max(s.limit, s.asked)
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
		s.asked = min(s.asked+int(m.Length)/2, s.limit)
		s.fill.played(time.Now())
		s.mu.Unlock()
		signal(s.wake)
	case *proto.Underflow:
		s.mu.Lock()
		s.underruns++
		s.fill.gap(time.Now())
		s.mu.Unlock()
		signal(s.wake)
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
func (s *pulseSink) Period() int           { return pulsePeriod }
func (s *pulseSink) Wake() <-chan struct{} { return s.wake }
func (s *pulseSink) Done() <-chan struct{} { return s.done }

func (s *pulseSink) Room() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.room()
}

// room is what lacks to what the server is to hold. It holds what it has room for, less what it asks for.
func (s *pulseSink) room() int { return max(s.asked-(s.limit-s.fill.target), 0) }

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
	pcm = pcm[:min(len(pcm), s.room(), media.MaxPacketSamples)]
	s.asked -= len(pcm)
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
