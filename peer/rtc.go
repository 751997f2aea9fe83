package peer

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/pion/transport/v4"
	"github.com/pion/webrtc/v4"

	"peerchat/peer/wire"
)

// Limits of an RTC. What a remote peer can make it hold is bounded by them.
const (
	rtcMaxSessions    = 4096      // sessions at once; a further one is Closed at once
	rtcMaxSDP         = 32 << 10  // bytes of one description
	rtcMaxCandidates  = 64        // remote candidates of one session, those inside its description included
	rtcMaxCandidate   = 1 << 10   // bytes of one candidate
	rtcHighWater      = 1 << 20   // bytes unacknowledged on the reliable channel: Pressure{High: true}
	rtcLowWater       = 256 << 10 // … and Pressure{High: false}
	rtcHardLimit      = 4 << 20   // … and frames are dropped
	rtcFastLimit      = 64 << 10  // bytes unacknowledged on the fast channel above which frames are dropped
	rtcMaxMessage     = wire.MaxFrame + 1024
	rtcSmall          = 2 << 10   // bytes of a reader's buffer while no message is longer
	rtcReceiveWindow  = 512 << 10 // bytes that SCTP holds for a peer whose frames are not taken
	rtcFlush          = 30 * time.Millisecond
	rtcStop           = time.Second
	rtcGather         = 4 * time.Millisecond
	rtcReliable       = "peerchat"
	rtcFast           = "peerchat.fast"
	rtcReliableID     = 0
	rtcFastID         = 1
	rtcDefaultOpen    = 15 * time.Second
	rtcDefaultMeasure = 5 * time.Second
)

// RTCConfig is what an RTC needs to know for its life. The zero value works.
type RTCConfig struct {
	// Interfaces restricts the network interfaces whose addresses are used; empty: all that are up.
	Interfaces []string
	// NoLoopback leaves out loopback addresses; with them, two peers on a machine without a network find each other.
	NoLoopback bool
	// Net replaces the network of the machine, in tests.
	Net transport.Net
	// Logger gets pion's own log lines, all at debug level; nil: nobody does.
	Logger *slog.Logger
	// Certificate is the DTLS certificate of every session; nil: a fresh one.
	Certificate *webrtc.Certificate
	// ICE has the times of each session's ICE agent; zero fields get their defaults, by which a peer that vanished is
	// found out within 5 s.
	ICE ICETimes
	// RTOMax is the longest that SCTP waits for an acknowledgement before it sends again (RFC 9260 section 6.3.1);
	// zero: 600 ms. Up to a second it is how long the timer runs, whatever the round trip; above, the timer follows
	// that, and runs for a second or more. The end of what was sent may be sent again before (tail loss probe, RFC 8985
	// section 7).
	RTOMax time.Duration
	// OpenTimeout ends a session that is not open so long after its start; zero: 15 s.
	OpenTimeout time.Duration
	// MeasureInterval is the time between two Measured of an open session; zero: 5 s.
	MeasureInterval time.Duration
	// OnVoice gets each packet of those in voice with this peer (see Speak), for a session in order of arrival, from
	// one goroutine for each session. It must not wait; the payload is valid during the call only. The SSRC is another
	// for each session. Nil: audio is ignored.
	OnVoice func(from wire.PeerID, p VoicePacket, ssrc uint32)
}

// ICETimes are how long a session hears nothing until it is disconnected, and how much longer until it has failed and
// is Closed; and how often one of its ends sends a check (RFC 7675), and both look at the other two: at least every 2
// s, whatever is said here.
type ICETimes struct{ Disconnected, Failed, KeepAlive time.Duration }

// tick is how often pion wants to send a check.
func (t ICETimes) tick() time.Duration {
	return min(t.KeepAlive, t.Disconnected, t.Failed, rtcSlowestTick)
}

// RTC is the Transport over WebRTC. Each session is one webrtc.PeerConnection with one negotiated data channel, or two,
// and one audio transceiver.
//
// A session is an actor without a standing goroutine: its methods and pion's callbacks only post to its mailbox, and
// whoever finds the mailbox idle starts a goroutine that serves it until it is empty. So everything of a session
// happens in order, calls into pion may block without anybody waiting, and an idle session costs no goroutine.
type RTC struct {
	cfg      RTCConfig
	sink     func(TransportEvent)
	settings webrtc.SettingEngine
	media    *webrtc.MediaEngine // pion copies it for each connection
	cert     webrtc.Certificate

	dropped atomic.Uint64 // frames that were not sent because a queue was full or the session was not open
	refused atomic.Uint64 // messages that were not taken because they were text or too long

	mates atomic.Pointer[rtcMates] // nil: nobody yet
	voice struct {                 // counts packets
		sent, failed, received atomic.Uint64
		dropped                atomic.Uint64 // of peers that are not in voice with this one
		limited                atomic.Uint64 // that came too fast
		bad                    atomic.Uint64 // that were no audio of ours

		reports, unreported atomic.Uint64 // sent, and not
		heard, unheard      atomic.Uint64 // packets of reports: of use, and not
	}
	fast struct { // counts frames of the fast path
		sent, over atomic.Uint64 // by it, and by the data channel instead because there were too many
		received   atomic.Uint64
		dropped    atomic.Uint64 // that came too fast, or before the session was open
	}
	fastSent, fastTaken limit // of each session
	voiceTaken          limit // of each session
	reportEvery         time.Duration
	gather              time.Duration // how long a description waits for host candidates to put into it
	began               time.Time     // see now

	mu       sync.Mutex // guards what follows; never held while a session or the sink is called
	sessions map[uuid.UUID]*rtcSession
	stun     []string
	stopped  bool
	running  sync.WaitGroup // one for each session in sessions, and one while reports are written

	reporting bool        // somebody is in voice with this peer
	reporter  *time.Timer // for the next reports; nil until somebody was
}

// NewRTC makes an RTC that reports to sink. The sink is called from many goroutines at once, but for one session in
// order; it must not call back and wait. A sink that takes its time over a Received slows down that peer only: its
// frames wait in SCTP's window, and it gets Pressure on its side.
func NewRTC(cfg RTCConfig, sink func(TransportEvent)) (*RTC, error) {
	if cfg.OpenTimeout <= 0 {
		cfg.OpenTimeout = rtcDefaultOpen
	}
	if cfg.MeasureInterval <= 0 {
		cfg.MeasureInterval = rtcDefaultMeasure
	}
	cfg.RTOMax = cmp.Or(cfg.RTOMax, rtcRTO)
	cfg.ICE.Disconnected = cmp.Or(cfg.ICE.Disconnected, rtcDisconnected)
	cfg.ICE.Failed = cmp.Or(cfg.ICE.Failed, rtcFailed)
	cfg.ICE.KeepAlive = cmp.Or(cfg.ICE.KeepAlive, rtcKeepAlive)
	media, err := rtcMedia()
	if err != nil {
		return nil, fmt.Errorf("set up WebRTC: %w", err)
	}
	cert := cfg.Certificate
	if cert == nil {
		if cert, err = newRTCCertificate(); err != nil {
			return nil, fmt.Errorf("make a DTLS certificate: %w", err)
		}
	}
	return &RTC{cfg: cfg, sink: sink, settings: rtcSettings(cfg), media: media, cert: *cert, sessions: map[uuid.UUID]*rtcSession{},
		fastSent: rtcFastSent, fastTaken: rtcFastTaken, voiceTaken: rtcVoiceTaken, reportEvery: rtcReports, gather: rtcGather, began: time.Now()}, nil
}

var (
	errRTCStopped  = errors.New("open a session: the transport is stopped")
	errRTCSessions = fmt.Errorf("open a session: %d are open already; close some", rtcMaxSessions)
)

// Offer implements Transport.
func (t *RTC) Offer(session uuid.UUID, remote wire.PeerID) {
	t.start(session, remote, rtcOp{kind: rtcOpOffer})
}

// Accept implements Transport.
func (t *RTC) Accept(session uuid.UUID, remote wire.PeerID, offer Description) {
	t.start(session, remote, rtcOp{kind: rtcOpAccept, desc: offer})
}

// Answer implements Transport.
func (t *RTC) Answer(session uuid.UUID, answer Description) {
	if s := t.lookup(session); s != nil {
		s.post(rtcOp{kind: rtcOpAnswer, desc: answer})
	}
}

// Candidate implements Transport.
func (t *RTC) Candidate(session uuid.UUID, candidate Candidate) {
	if s := t.lookup(session); s != nil && s.candidates.Add(1) <= rtcMaxCandidates {
		s.post(rtcOp{kind: rtcOpCandidate, candidate: candidate})
	}
}

// Send implements Transport. The frame must not be changed afterwards.
func (t *RTC) Send(session uuid.UUID, frame []byte, fast bool) {
	s := t.lookup(session)
	if s == nil || len(frame) == 0 || len(frame) > wire.MaxFrame || s.posted.Load() > rtcHardLimit {
		t.dropped.Add(1)
		return
	}
	s.posted.Add(int64(len(frame)))
	s.post(rtcOp{kind: rtcOpSend, frame: frame, fast: fast})
}

// Close implements Transport.
func (t *RTC) Close(session uuid.UUID) {
	if s := t.lookup(session); s != nil {
		s.post(rtcOp{kind: rtcOpClose})
	}
}

// SetSTUN implements Transport.
func (t *RTC) SetSTUN(urls []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stun = append([]string(nil), urls...)
}

// Stop implements Transport.
func (t *RTC) Stop() {
	t.mu.Lock()
	t.stopped = true
	if t.reporter != nil {
		t.reporter.Stop()
	}
	sessions := make([]*rtcSession, 0, len(t.sessions))
	for _, s := range t.sessions {
		sessions = append(sessions, s)
	}
	t.mu.Unlock()
	for _, s := range sessions {
		s.post(rtcOp{kind: rtcOpClose})
	}
	done := make(chan struct{})
	go func() {
		t.running.Wait()
		close(done)
	}()
	timer := time.NewTimer(rtcStop)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	}
}

// Dropped is how many frames were not sent because a queue was full, they were too long, or their session was not
// open; Refused how many messages were not taken because they were text, empty or too long.
func (t *RTC) Dropped() (dropped, refused uint64) { return t.dropped.Load(), t.refused.Load() }

func (t *RTC) lookup(session uuid.UUID) *rtcSession {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.sessions[session]
}

// start makes a session whose first work is op. A session ID that is in use is left alone.
func (t *RTC) start(session uuid.UUID, remote wire.PeerID, op rtcOp) {
	t.mu.Lock()
	var err error
	switch {
	case t.sessions[session] != nil:
		t.mu.Unlock()
		return
	case t.stopped:
		err = errRTCStopped
	case len(t.sessions) >= rtcMaxSessions:
		err = errRTCSessions
	}
	if err != nil {
		t.mu.Unlock()
		go t.sink(Closed{Session: session, Err: err}) // the caller must not find itself in its own sink
		return
	}
	s := &rtcSession{rtc: t, id: session, remote: remote, stun: t.stun, report: rtcReport{taken: rtcReportsTaken.limiter()},
		fast: rtcFastPath{sent: t.fastSent.limiter(), taken: t.fastTaken.limiter()}}
	t.sessions[session] = s
	t.running.Add(1)
	t.mu.Unlock()
	s.post(op)
}

// ended forgets a session that is closed.
func (t *RTC) ended(s *rtcSession) {
	t.mu.Lock()
	delete(t.sessions, s.id)
	t.mu.Unlock()
	t.running.Done()
}
