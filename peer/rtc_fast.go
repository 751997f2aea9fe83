package peer

import (
	"slices"
	"sync"
	"time"

	"github.com/pion/rtcp"
	"golang.org/x/time/rate"

	"peerchat/peer/wire"
)

// The fast path of a link. Data channels are streams of one SCTP association: after a loss its recovery holds them all,
// the unreliable one, too. So fast frames go as application-defined packets of RTCP (RFC 3550, section 6.7) instead,
// from the source of the own voice, which every link negotiates: SRTCP encrypts and authenticates each, takes none
// twice (RFC 3711), and knows no window and no acknowledgement. A peer that did not say that it takes them, as a
// browser cannot, gets them over the fast data channel; else there is none, and what is too much for SRTCP goes over
// the reliable one.

const (
	// rtcFastName is the name of such a packet; its data is the frame.
	rtcFastName = "PCFF"
	// rtcFastAttribute is in the SDP of a peer that takes them.
	rtcFastAttribute = "peerchat-fast"
	// rtcFastHead is the length of a packet before its data.
	rtcFastHead = 12
	// rtcFastCost is what a frame costs beside its length: 28 or 48 bytes of IP and UDP, rtcFastHead, the padding, the
	// index and the tag of SRTCP.
	rtcFastCost = 64
)

var (
	// rtcFastSent is in bytes. Nothing on this path makes way when the network is full, so it may take no more than
	// two voices do; at once, as much as SCTP may after a loss.
	rtcFastSent = limit{64 << 10, rtcMinWindow}
	// rtcFastTaken is what is taken of that: twice as much, because it may have waited on the way.
	rtcFastTaken = limit{128 << 10, 128 << 10}
)

// rtcFastPath is a session's part in it.
type rtcFastPath struct {
	// Touched by the mailbox's goroutine alone.
	known bool // the peer takes fast frames over SRTCP
	sent  *rate.Limiter

	mu    sync.Mutex // guards what follows; held for moments only
	opens bool       // frames are taken
	taken *rate.Limiter
}

// open has frames taken from now on, or no more.
func (f *rtcFastPath) open(yes bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.opens = yes
}

// writeFast sends a frame of an open session, and reports whether it did.
func (s *rtcSession) writeFast(frame []byte) bool {
	if !s.fast.known || len(frame) > wire.MaxFastFrame {
		return false
	}
	if !s.fast.sent.AllowN(s.rtc.now(), len(frame)+rtcFastCost) {
		s.rtc.fast.over.Add(1)
		return false
	}
	packet := rtcp.ApplicationDefined{SSRC: s.source, Name: rtcFastName, Data: frame}
	if _, err := s.pc.SCTP().Transport().WriteRTCP([]rtcp.Packet{&packet}); err != nil {
		return false
	}
	s.rtc.fast.sent.Add(1)
	return true
}

// rtcFastFrame is the frame in a packet of RTCP that pion has parsed; false: it is of something else.
func rtcFastFrame(raw []byte) (frame []byte, ok bool) {
	if len(raw) < rtcFastHead || raw[1] != byte(rtcp.TypeApplicationDefined) || string(raw[8:rtcFastHead]) != rtcFastName {
		return nil, false
	}
	padding := 0
	if raw[0]&(1<<5) != 0 {
		padding = min(int(raw[len(raw)-1]), len(raw)-rtcFastHead)
	}
	return raw[rtcFastHead : len(raw)-padding], true
}

// takeFast takes a frame that came by the fast path, within limits. It is called by the goroutine that reads the
// session's RTCP: while the sink takes its time, packets wait in pion's buffer, which drops what is more than 1 MB.
func (s *rtcSession) takeFast(frame []byte) {
	f := &s.fast
	f.mu.Lock()
	opens := f.opens && f.taken.AllowN(s.rtc.now(), len(frame)+rtcFastCost)
	if opens {
		s.readers.Add(1) // finish waits for it
	}
	f.mu.Unlock()
	if !opens {
		s.rtc.fast.dropped.Add(1)
		return
	}
	defer s.readers.Done()
	s.checks.prove(time.Now())
	if len(frame) == 0 || len(frame) > wire.MaxFastFrame {
		s.rtc.refused.Add(1)
		return
	}
	s.rtc.fast.received.Add(1)
	s.rtc.sink(Received{Session: s.id, Data: slices.Clone(frame)})
}
