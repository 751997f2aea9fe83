package peer

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/pion/datachannel"
	"github.com/pion/webrtc/v4"

	"peerchat/peer/wire"
)

// rtcSession is one attempt at a PeerConnection.
type rtcSession struct {
	rtc    *RTC
	id     uuid.UUID
	remote wire.PeerID
	stun   []string

	// May be touched by anybody.
	candidates atomic.Int64                               // remote candidates posted
	sources    atomic.Int64                               // sources of audio, and of reports about it, that pion has met
	posted     atomic.Int64                               // bytes of frames in the mailbox
	speaks     atomic.Pointer[webrtc.TrackLocalStaticRTP] // out while open
	box        rtcMailbox
	report     rtcReport // of voice
	fast       rtcFastPath
	checks     rtcChecks

	// Set before pion knows of the session, and by it alone thereafter.
	pc  *webrtc.PeerConnection
	out *webrtc.TrackLocalStaticRTP // the own voice: nothing, as long as nobody writes to it
	dc  [2]*webrtc.DataChannel      // by channel ID
	// source is the SSRC of the own voice.
	source uint32

	// Touched by the mailbox's goroutine alone.
	state       rtcState
	answers     bool        // the peer offered the session
	fingerprint string      // the remote certificate's
	early       []Candidate // remote candidates from before the remote description
	gathered    []Candidate // local candidates from before the local description
	described   bool        // Described has been reported
	remoteSet   bool        // the remote description is set
	connected   bool        // ICE has found a path
	opened      int         // channels that are open
	raw         [2]datachannel.ReadWriteCloser
	readers     sync.WaitGroup      // of channels, which end when the other side closes, and of the fast path
	track       *webrtc.TrackRemote // the peer's voice
	listens     bool                // it is being read
	listeners   sync.WaitGroup      // of audio: they end with the PeerConnection
	hungUp      bool                // SCTP ended without our doing
	sctpEnded   chan struct{}       // pion has taken note of that
	high        bool                // Pressure{High: true} was reported
	nudges      int
	alarm       *time.Timer // the watchdog, then the measuring
	nudge       *time.Timer
	flush       *time.Timer
}

type rtcState uint8

const (
	rtcOpening rtcState = iota
	rtcOpen
	rtcClosing // Close was called; waiting for the queue to be sent
	rtcClosed
)

type rtcOpKind uint8

const (
	rtcOpOffer rtcOpKind = iota
	rtcOpAccept
	rtcOpAnswer
	rtcOpCandidate
	rtcOpSend
	rtcOpClose
	rtcOpGathered // pion: a local candidate
	rtcOpICE      // pion: ICE has a path
	rtcOpChannel  // pion: a data channel is open
	rtcOpTrack    // pion: a track is negotiated
	rtcOpLow      // pion: the reliable channel's queue is below its low threshold
	rtcOpFailed   // pion: the connection failed
	rtcOpHungUp   // pion: the other side closed it
	rtcOpAlarm    // timer: watchdog or measuring
	rtcOpNudge    // timer: check candidates now
	rtcOpSources  // pion: too many sources of audio
	rtcOpFlushed  // timer: closing has waited long enough
)

type rtcOp struct {
	kind      rtcOpKind
	desc      Description
	candidate Candidate
	frame     []byte
	fast      bool
	channel   int
	track     *webrtc.TrackRemote
}

// rtcMailbox is a queue of ops that are served one after the other by a goroutine that lives only while there are some.
type rtcMailbox struct {
	mu      sync.Mutex
	queue   []rtcOp
	spare   []rtcOp
	serving bool
}

func (s *rtcSession) post(op rtcOp) {
	b := &s.box
	b.mu.Lock()
	b.queue = append(b.queue, op)
	start := !b.serving
	b.serving = true
	b.mu.Unlock()
	if start {
		go s.serve()
	}
}

func (s *rtcSession) serve() {
	b := &s.box
	for {
		b.mu.Lock()
		ops := b.queue
		if len(ops) == 0 {
			b.serving = false
			b.spare = nil
			b.queue = nil
			b.mu.Unlock()
			return
		}
		b.queue = b.spare[:0]
		b.mu.Unlock()
		for i := range ops {
			s.handle(&ops[i])
			ops[i] = rtcOp{}
		}
		b.spare = ops
	}
}

func (s *rtcSession) handle(op *rtcOp) {
	if op.kind == rtcOpSend {
		s.posted.Add(-int64(len(op.frame)))
		s.write(op.frame, op.fast)
		s.press()
		return
	}
	if s.state == rtcClosed {
		return
	}
	switch op.kind {
	case rtcOpOffer, rtcOpAccept:
		if err := s.begin(op); err != nil {
			s.finish(err)
		}
	case rtcOpAnswer:
		if err := s.setRemote(webrtc.SDPTypeAnswer, op.desc); err != nil {
			s.finish(fmt.Errorf("take the peer's answer: %w", err))
		}
	case rtcOpCandidate:
		s.addCandidate(op.candidate)
	case rtcOpGathered:
		if s.described {
			s.rtc.sink(Gathered{Session: s.id, Candidate: op.candidate})
		} else {
			s.gathered = append(s.gathered, op.candidate)
		}
	case rtcOpICE:
		s.connected = true
		s.nudge.Stop()
		s.choosePath()
	case rtcOpChannel:
		s.channelOpen(op.channel)
	case rtcOpTrack:
		if s.track == nil {
			s.track = op.track
			s.listen()
		}
	case rtcOpLow:
		s.drained()
	case rtcOpClose:
		s.close()
	case rtcOpFailed:
		s.finish(s.failure())
	case rtcOpHungUp:
		s.hungUp = true
		if s.state == rtcClosing {
			s.finish(nil)
		} else {
			s.finish(errors.New("the peer closed the link"))
		}
	case rtcOpAlarm:
		if s.state == rtcOpening {
			s.finish(fmt.Errorf("open a link: not done after %v: %s", s.rtc.cfg.OpenTimeout, s.stage()))
		} else {
			s.rtc.sink(Measured{Session: s.id, Path: s.path()})
			s.alarm.Reset(s.rtc.cfg.MeasureInterval)
		}
	case rtcOpNudge:
		s.nudgeICE()
	case rtcOpSources:
		s.finish(fmt.Errorf("the peer sends audio from more than %d sources", rtcAudioSources))
	case rtcOpFlushed:
		s.finish(nil)
	}
}

// begin makes the PeerConnection and its local description.
func (s *rtcSession) begin(op *rtcOp) error {
	s.alarm = time.AfterFunc(s.rtc.cfg.OpenTimeout, func() { s.post(rtcOp{kind: rtcOpAlarm}) })
	s.nudge = time.AfterFunc(time.Hour, func() { s.post(rtcOp{kind: rtcOpNudge}) })
	s.nudge.Stop()
	s.answers = op.kind == rtcOpAccept
	if s.answers {
		// Before anything is built for it.
		if _, err := rtcCheckSDP(webrtc.SDPTypeOffer, op.desc); err != nil {
			return fmt.Errorf("take the peer's offer: %w", err)
		}
	}
	if err := s.build(); err != nil {
		return fmt.Errorf("make a connection: %w", err)
	}
	var local webrtc.SessionDescription
	var err error
	if op.kind == rtcOpAccept {
		if err := s.setRemote(webrtc.SDPTypeOffer, op.desc); err != nil {
			return fmt.Errorf("take the peer's offer: %w", err)
		}
		local, err = s.pc.CreateAnswer(nil)
	} else {
		local, err = s.pc.CreateOffer(nil)
	}
	if err != nil {
		return fmt.Errorf("describe the connection: %w", err)
	}
	// Addresses of the own interfaces are there almost at once. With them in the description the other side needs no
	// further message; what STUN finds later trickles.
	gathered := webrtc.GatheringCompletePromise(s.pc)
	if err := s.pc.SetLocalDescription(local); err != nil {
		return fmt.Errorf("describe the connection: %w", err)
	}
	wait := time.NewTimer(s.rtc.gather)
	select {
	case <-gathered:
	case <-wait.C:
	}
	wait.Stop()
	desc, err := rtcDescription(s.pc.LocalDescription(), s.rtc.cert)
	if err != nil {
		return fmt.Errorf("describe the connection: %w", err)
	}
	s.checks.guard.local = rtcICEKey(desc.SDP)
	s.described = true
	s.rtc.sink(Described{Session: s.id, Description: desc})
	for _, c := range s.gathered {
		if !strings.Contains(desc.SDP, strings.TrimPrefix(c.Candidate, "candidate:")) {
			s.rtc.sink(Gathered{Session: s.id, Candidate: c})
		}
	}
	s.gathered = nil
	return nil
}

func (s *rtcSession) build() error {
	conf := webrtc.Configuration{Certificates: []webrtc.Certificate{s.rtc.cert}}
	if len(s.stun) > 0 {
		conf.ICEServers = []webrtc.ICEServer{{URLs: s.stun}}
	}
	ice := s.rtc.cfg.ICE
	s.checks.every, s.checks.waits, s.checks.fails = ice.tick(), s.answers, ice.Disconnected+ice.Failed
	s.checks.gone = func() { s.post(rtcOp{kind: rtcOpFailed}) }
	api, err := s.rtc.newAPI(s.audioBuffer, &s.checks)
	if err != nil {
		return err
	}
	pc, err := api.NewPeerConnection(conf)
	if err != nil {
		return err
	}
	s.pc = pc
	s.sctpEnded = make(chan struct{})
	ended := sync.OnceFunc(func() { close(s.sctpEnded) })
	pc.SCTP().OnClose(func(error) {
		ended()
		s.post(rtcOp{kind: rtcOpHungUp})
	})
	pc.OnICECandidate(func(c *webrtc.ICECandidate) {
		if c != nil {
			j := c.ToJSON()
			s.post(rtcOp{kind: rtcOpGathered, candidate: Candidate{Candidate: j.Candidate, SDPMid: j.SDPMid, SDPMLineIndex: j.SDPMLineIndex}})
		}
	})
	pc.OnICEConnectionStateChange(func(state webrtc.ICEConnectionState) {
		if state == webrtc.ICEConnectionStateConnected {
			s.post(rtcOp{kind: rtcOpICE})
		}
	})
	pc.OnConnectionStateChange(func(state webrtc.PeerConnectionState) {
		switch state {
		case webrtc.PeerConnectionStateFailed:
			s.post(rtcOp{kind: rtcOpFailed})
		case webrtc.PeerConnectionStateClosed:
			s.post(rtcOp{kind: rtcOpHungUp})
		}
	})
	if s.rtc.cfg.OnVoice != nil {
		pc.OnTrack(func(track *webrtc.TrackRemote, _ *webrtc.RTPReceiver) { s.post(rtcOp{kind: rtcOpTrack, track: track}) })
	}
	s.out, err = webrtc.NewTrackLocalStaticRTP(rtcL16.RTPCodecCapability, "voice", "peerchat")
	if err != nil {
		return err
	}
	voice, err := pc.AddTransceiverFromTrack(s.out)
	if err != nil {
		return err
	}
	s.source = uint32(voice.Sender().GetParameters().Encodings[0].SSRC)
	s.report.begin(s.source)
	if err := s.addChannel(rtcReliableID); err != nil {
		return err
	}
	s.dc[rtcReliableID].SetBufferedAmountLowThreshold(rtcLowWater)
	s.dc[rtcReliableID].OnBufferedAmountLow(func() { s.post(rtcOp{kind: rtcOpLow}) })
	return nil
}

// addChannel makes a data channel, negotiated: both sides make it, and no packet is needed that could be lost.
func (s *rtcSession) addChannel(id int) error {
	yes, no, none, sid := true, false, uint16(0), uint16(id)
	label, init := rtcReliable, webrtc.DataChannelInit{ID: &sid, Negotiated: &yes}
	if id == rtcFastID {
		label, init.Ordered, init.MaxRetransmits = rtcFast, &no, &none
	}
	dc, err := s.pc.CreateDataChannel(label, &init)
	if err != nil {
		return err
	}
	s.dc[id] = dc
	dc.OnOpen(func() { s.post(rtcOp{kind: rtcOpChannel, channel: id}) })
	return nil
}

func (s *rtcSession) setRemote(kind webrtc.SDPType, desc Description) error {
	if s.remoteSet {
		return errors.New("there was one already")
	}
	told, err := rtcCheckSDP(kind, desc)
	if err != nil {
		return err
	}
	s.candidates.Add(int64(told.candidates))
	if s.fast.known = told.fast; !told.fast {
		if err := s.addChannel(rtcFastID); err != nil {
			return err
		}
	}
	if err := s.pc.SetRemoteDescription(webrtc.SessionDescription{Type: kind, SDP: desc.SDP}); err != nil {
		return err
	}
	s.remoteSet = true
	s.checks.guard.remote = rtcICEKey(desc.SDP)
	s.fingerprint = rtcFingerprint(desc.Fingerprint)
	for _, c := range s.early {
		s.addCandidate(c)
	}
	s.early = nil
	s.nudge.Reset(rtcNudgeFirst)
	return nil
}

func (s *rtcSession) addCandidate(c Candidate) {
	if c.Candidate == "" || len(c.Candidate) > rtcMaxCandidate {
		return
	}
	if !s.remoteSet {
		s.early = append(s.early, c) // at most rtcMaxCandidates are posted
		return
	}
	// A bad candidate costs its sender a path, nothing else.
	_ = s.pc.AddICECandidate(webrtc.ICECandidateInit{
		Candidate: c.Candidate, SDPMid: c.SDPMid, SDPMLineIndex: c.SDPMLineIndex,
	})
}

// nudgeICE makes the ICE agent send its connectivity checks now rather than at its next 200 ms tick, which is what a
// lost packet costs otherwise. The agent has no call for that, but a new remote candidate does it, and one for passive
// TCP is never paired with anything, because active TCP is off.
func (s *rtcSession) nudgeICE() {
	if s.connected || s.state != rtcOpening {
		return
	}
	s.nudges++
	_ = s.pc.AddICECandidate(webrtc.ICECandidateInit{
		Candidate: "candidate:1 1 tcp 1 127.0.0.1 " + strconv.Itoa(s.nudges) + " typ host tcptype passive",
	})
	s.nudge.Reset(min(rtcNudgeFirst+time.Duration(s.nudges)*8*time.Millisecond, rtcNudgeLast))
}

// channelOpen takes note of an open data channel. When all are, so is the session.
func (s *rtcSession) channelOpen(id int) {
	if s.state != rtcOpening || s.raw[id] != nil {
		return
	}
	raw, err := s.dc[id].Detach()
	if err != nil {
		s.finish(fmt.Errorf("open a data channel: %w", err))
		return
	}
	s.raw[id] = raw
	if s.opened++; s.opened == 1 && s.dc[rtcFastID] != nil {
		return
	}
	sum := sha256.Sum256(s.pc.SCTP().Transport().GetRemoteCertificate())
	if rtcHexPairs(sum[:]) != s.fingerprint {
		// Pion has checked it; this is for the day that it does not.
		s.finish(errors.New("the peer's certificate is not the one that it signed"))
		return
	}
	s.state = rtcOpen
	s.nudge.Stop()
	s.alarm.Reset(s.rtc.cfg.MeasureInterval)
	s.speaks.Store(s.out)
	s.rtc.sink(Opened{Session: s.id, Path: s.path()})
	s.fast.open(true)
	s.choosePath()
	s.checks.open(time.Now())
	for _, raw := range s.raw {
		if raw != nil {
			s.readers.Add(1)
			go s.read(raw)
		}
	}
	s.listen()
}

// read takes messages from a channel until it is closed.
func (s *rtcSession) read(raw datachannel.ReadWriteCloser) {
	defer s.readers.Done()
	buf, few := make([]byte, rtcSmall), 0
	for {
		n, text, err := raw.ReadDataChannel(buf)
		// A message that does not fit stays, and its length is not told. SCTP holds no more than its window.
		for errors.Is(err, io.ErrShortBuffer) && len(buf) < rtcReceiveWindow {
			buf = make([]byte, min(8*len(buf), rtcReceiveWindow))
			n, text, err = raw.ReadDataChannel(buf)
		}
		if err != nil {
			s.post(rtcOp{kind: rtcOpHungUp})
			return
		}
		if text || n == 0 || n > wire.MaxFrame {
			s.rtc.refused.Add(1)
		} else {
			s.checks.prove(time.Now())
			s.rtc.sink(Received{Session: s.id, Data: append(make([]byte, 0, n), buf[:n]...)})
		}
		if few++; n > rtcSmall {
			few = 0
		}
		if len(buf) > wire.MaxFrame || few >= 64 && len(buf) > rtcSmall {
			buf = make([]byte, rtcSmall)
		}
	}
}

// close ends the session, after a moment in which queued frames can leave.
func (s *rtcSession) close() {
	if s.state == rtcOpen && s.dc[rtcReliableID].BufferedAmount() > 0 {
		s.state = rtcClosing
		s.flush = time.AfterFunc(rtcFlush, func() { s.post(rtcOp{kind: rtcOpFlushed}) })
		s.dc[rtcReliableID].SetBufferedAmountLowThreshold(0)
		return
	}
	s.finish(nil)
}

// finish ends the session for good. Closing a PeerConnection tells the other side at once (SCTP ABORT, DTLS
// close_notify); closing it gracefully waits for what it started.
func (s *rtcSession) finish(err error) {
	s.state = rtcClosed
	for _, t := range []*time.Timer{s.alarm, s.nudge, s.flush} {
		if t != nil {
			t.Stop()
		}
	}
	s.speaks.Store(nil)
	s.fast.open(false)
	told := false
	if s.hungUp {
		// The readers end by themselves, so that this need not wait for pion, which can take 400 ms.
		told = within(rtcFlush, s.readers.Wait)
		if told {
			s.rtc.sink(Closed{Session: s.id, Err: err})
		}
	}
	if s.pc != nil {
		within(rtcStop, func() {
			if s.opened > 0 && (s.hungUp || s.answers) {
				// Pion holds a lock while it sends its ABORT, for up to 400 ms if SCTP is dead already. What has to
				// note that SCTP is dead needs the same lock, so let it finish first. Two ends often close at one
				// moment, because one says goodbye: so that both do not send their ABORT then, the one that offered
				// goes first, which it does when it has waited for its goodbye to leave.
				within(2*rtcFlush, func() { <-s.sctpEnded })
			}
			_ = s.pc.GracefulClose()
			s.readers.Wait()
			s.listeners.Wait()
		})
	}
	s.early, s.gathered = nil, nil
	if !told {
		s.rtc.sink(Closed{Session: s.id, Err: err})
	}
	s.rtc.ended(s)
}

// within reports whether f returns in time.
func within(d time.Duration, f func()) bool {
	done := make(chan struct{})
	go func() {
		f()
		close(done)
	}()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-done:
		return true
	case <-timer.C:
		return false
	}
}

// failure tells why pion gave up.
func (s *rtcSession) failure() error {
	if s.state == rtcOpen || s.state == rtcClosing {
		return fmt.Errorf("nothing has come from the peer for %v", s.rtc.cfg.ICE.Disconnected+s.rtc.cfg.ICE.Failed)
	}
	return fmt.Errorf("open a link: failed: %s", s.stage())
}

// stage tells how far an opening session has come.
func (s *rtcSession) stage() string {
	if s.pc == nil || !s.described {
		return "it was still gathering its own addresses"
	}
	if !s.remoteSet {
		return "no answer came from the peer"
	}
	if !s.connected {
		return "none of the peer's addresses answered (ICE)"
	}
	switch dtls := s.pc.SCTP().Transport().State(); dtls {
	case webrtc.DTLSTransportStateConnected:
		return "the addresses answered and the certificate is right, but no data channel opened (SCTP)"
	default:
		return fmt.Sprintf("an address answered, but no secure connection came about (DTLS is %s)", dtls)
	}
}

// choosePath tells the checks which path pion has chosen, if it has.
func (s *rtcSession) choosePath() {
	if to, err := netip.ParseAddrPort(s.path().Remote); err == nil {
		s.checks.choose(to)
	}
}

// path is the way that the session takes now.
func (s *rtcSession) path() Path {
	ice := s.pc.SCTP().Transport().ICETransport()
	pair, err := ice.GetSelectedCandidatePair()
	if err != nil || pair == nil {
		return Path{}
	}
	p := Path{
		Kind:   pair.Local.Typ.String(),
		Local:  net.JoinHostPort(pair.Local.Address, strconv.Itoa(int(pair.Local.Port))),
		Remote: net.JoinHostPort(pair.Remote.Address, strconv.Itoa(int(pair.Remote.Port))),
	}
	if stats, ok := ice.GetSelectedCandidatePairStats(); ok {
		p.RTT = time.Duration(stats.CurrentRoundTripTime * float64(time.Second))
	}
	return p
}
