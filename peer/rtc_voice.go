package peer

import (
	"errors"
	"io"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/pion/rtp"
	"github.com/pion/transport/v4/packetio"
	"github.com/pion/webrtc/v4"

	"peerchat/peer/wire"
)

const (
	// MaxVoice is the longest payload of a VoicePacket, in bytes: 40 ms.
	MaxVoice = 1280
	// rtcVoiceBuffer fits a packet of MaxVoice bytes and every RTP header that comes with one.
	rtcVoiceBuffer = 1500
	// rtcVoiceFaults is how many packets of a session may be no audio before no more are read.
	rtcVoiceFaults = 64
)

// rtcVoiceTaken are the packets of a session that are taken: those of 10 ms and a little more, after a second without
// any all that was on its way. More would take the place of others' sound.
var rtcVoiceTaken = limit{125, 125}

// VoicePacket is what an RTP packet of voice says (RFC 3550 section 5.1). Its SSRC and payload type are the session's.
type VoicePacket struct {
	// Seq must grow for as long as the RTC lives, across silence too: SRTP takes a packet with an earlier one for a
	// replay.
	Seq       uint16
	Timestamp uint32 // of the first sample, in samples of 16 kHz
	Marker    bool   // a talk-spurt begins
	Payload   []byte // 16-bit samples, big-endian (RFC 3551 section 4.5.11), 1 to MaxVoice bytes
}

// rtcMates are those in voice with this peer.
type rtcMates struct {
	sessions []*rtcSession
	// Sound is taken by peer, not by session: when a link moves, its two ends do not do so at the same moment.
	peers map[wire.PeerID]bool
}

// Speak implements Transport. The sessions' tracks were negotiated when they were made, so there is nothing to
// negotiate.
func (t *RTC) Speak(sessions []uuid.UUID) {
	m := &rtcMates{peers: make(map[wire.PeerID]bool, len(sessions))}
	old := t.mates.Load()
	for _, id := range sessions {
		if s := t.lookup(id); s != nil {
			m.sessions = append(m.sessions, s)
			m.peers[s.remote] = true
			if old == nil || !slices.Contains(old.sessions, s) {
				s.report.enter()
			}
		}
	}
	t.mates.Store(m)
	t.reportTo(len(m.sessions) > 0)
}

// SendVoice sends a packet to the peers in voice. It does not wait for anybody, and keeps nothing of p. It may be
// called by any goroutine, one at a time.
func (t *RTC) SendVoice(p VoicePacket) {
	m := t.mates.Load()
	if m == nil {
		return
	}
	if len(p.Payload) == 0 || len(p.Payload) > MaxVoice {
		t.voice.failed.Add(1)
		return
	}
	packet := rtp.Packet{
		Header:  rtp.Header{Version: 2, Marker: p.Marker, SequenceNumber: p.Seq, Timestamp: p.Timestamp},
		Payload: p.Payload,
	}
	now := t.now()
	for _, s := range m.sessions {
		track := s.speaks.Load()
		if track == nil {
			continue // it has ended
		}
		if err := track.WriteRTP(&packet); err != nil {
			t.voice.failed.Add(1)
		} else {
			t.voice.sent.Add(1)
			s.report.sent(now, p)
		}
	}
}

// audioBuffer makes pion's buffer for one source of audio, or for reports that concern it.
func (s *rtcSession) audioBuffer(kind packetio.BufferPacketType, source uint32) io.ReadWriteCloser {
	if s.sources.Add(1) == rtcAudioSources+1 {
		s.post(rtcOp{kind: rtcOpSources})
	}
	if kind == packetio.RTCPBufferPacket {
		return &rtcReportBuffer{session: s, source: source, closed: make(chan struct{})}
	}
	b := packetio.NewBuffer()
	b.SetLimitSize(rtcAudioBuffer)
	return b
}

// listen begins to read the peer's audio, once there is a track and the session is open.
func (s *rtcSession) listen() {
	if s.state == rtcOpen && s.track != nil && !s.listens {
		s.listens = true
		s.listeners.Add(1)
		go s.hear(s.track)
	}
}

// hear reads the peer's audio until the session ends.
func (s *rtcSession) hear(track *webrtc.TrackRemote) {
	defer s.listeners.Done()
	voice := &s.rtc.voice
	buf := make([]byte, rtcVoiceBuffer)
	var packet rtp.Packet
	may := s.rtc.voiceTaken.limiter()
	for faults := 0; faults < rtcVoiceFaults; {
		n, _, err := track.Read(buf)
		if errors.Is(err, io.EOF) {
			return
		}
		if err == nil {
			err = packet.Unmarshal(buf[:n])
		}
		if err != nil {
			voice.bad.Add(1)
			faults++
			continue
		}
		s.checks.prove(time.Now())
		if m := s.rtc.mates.Load(); m == nil || !m.peers[s.remote] {
			voice.dropped.Add(1)
			continue
		}
		if len(packet.Payload) == 0 || len(packet.Payload) > MaxVoice {
			voice.bad.Add(1)
			continue
		}
		now := s.rtc.now()
		if !may.AllowN(now, 1) {
			voice.limited.Add(1)
			continue
		}
		voice.received.Add(1)
		s.report.hear(now, packet.SSRC, packet.SequenceNumber, packet.Timestamp, len(packet.Payload))
		s.rtc.cfg.OnVoice(s.remote, VoicePacket{
			Seq: packet.SequenceNumber, Timestamp: packet.Timestamp, Marker: packet.Marker, Payload: packet.Payload,
		}, packet.SSRC)
	}
}

// Counters are what was counted since the start: frames, those of the fast path, and packets of voice.
func (t *RTC) Counters() map[string]uint64 {
	dropped, refused := t.Dropped()
	return map[string]uint64{
		"rtc.dropped": dropped, "rtc.refused": refused,
		"fast.sent": t.fast.sent.Load(), "fast.over": t.fast.over.Load(),
		"fast.received": t.fast.received.Load(), "fast.dropped": t.fast.dropped.Load(),
		"voice.sent": t.voice.sent.Load(), "voice.failed": t.voice.failed.Load(), "voice.received": t.voice.received.Load(),
		"voice.limited": t.voice.limited.Load(), "voice.dropped": t.voice.dropped.Load(), "voice.bad": t.voice.bad.Load(),
		"report.sent": t.voice.reports.Load(), "report.failed": t.voice.unreported.Load(),
		"report.received": t.voice.heard.Load(), "report.dropped": t.voice.unheard.Load(),
	}
}
