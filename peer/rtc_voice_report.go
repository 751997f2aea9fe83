package peer

import (
	"io"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/pion/rtcp"
	"golang.org/x/time/rate"

	"peerchat/peer/wire"
)

// Those in voice tell each other every few seconds how their packets get through: RTCP sender and receiver reports (RFC
// 3550, section 6.4). Pion's interceptors would do it with two goroutines for each link, in voice or not. Here one
// timer serves all sessions, and what comes is taken where pion would put it to be read.

const (
	// rtcReports is the time between two reports to a peer, on the average; it differs by up to half, so that
	// peers do not report in step (RFC 3550, section 6.3.1). A report is at most 120 bytes on the wire over IPv4.
	rtcReports = 2 * time.Second
	// rtcReportName is the CNAME of the descriptions that pion makes.
	rtcReportName = "peerchat"
)

// rtcReportsTaken are the packets of RTCP that are taken from a session. Those of an honest peer are two every two
// seconds.
var rtcReportsTaken = limit{8, 32}

// VoiceReport is what this peer and one in voice with it know of the packets between them.
type VoiceReport struct {
	Peer     wire.PeerID
	RTT      time.Duration // there and back; 0: not known yet
	Sent     VoiceQuality  // how the own packets get there, as that peer says
	Received VoiceQuality  // how that peer's get here, as it is told
}

// VoiceQuality is how packets get through in one direction.
type VoiceQuality struct {
	At     time.Time     // of the report; zero: there was none yet, and the rest means nothing
	Loss   float64       // share of the packets since the report before that did not arrive, 0 to 1
	Lost   int64         // packets that did not arrive, less those that came twice, since both are in voice
	Jitter time.Duration // between arrivals (RFC 3550, A.8)
}

// rtcReport is a session's part in reports.
type rtcReport struct {
	mu   sync.Mutex // guards what follows; held for moments only
	ssrc uint32     // of the own voice

	packets, octets uint32 // sent
	sentTS          uint32 // time stamp of the last packet
	sentAt          time.Time
	spoke           bool // something was sent since the last report

	heard reception
	hears bool // something was heard since the last report

	senderReport   uint32 // the middle of the time stamp of the peer's last one
	senderReportAt time.Time

	told  VoiceReport
	taken *rate.Limiter // for packets of reports
}

// begin sets the source of the own voice.
func (r *rtcReport) begin(ssrc uint32) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ssrc = ssrc
}

// enter begins anew, because the two peers are in voice from now on. What was sent to others before is no loss.
func (r *rtcReport) enter() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.heard, r.spoke, r.hears, r.senderReport, r.senderReportAt, r.told = reception{}, false, false, 0, time.Time{}, VoiceReport{}
}

// sent notes an own packet that was sent.
func (r *rtcReport) sent(now time.Time, p VoicePacket) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.packets++
	r.octets += uint32(len(p.Payload))
	r.sentTS, r.sentAt, r.spoke = p.Timestamp, now, true
}

// hear notes a packet of the peer.
func (r *rtcReport) hear(now time.Time, ssrc uint32, seq uint16, timestamp uint32, payload int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.heard.add(now, ssrc, seq, timestamp+uint32(payload/2))
	r.hears = true
}

// make makes the report that is due: one compound packet (RFC 3550, section 6.1). Nil: since the last one nothing was
// sent or heard.
func (r *rtcReport) make(now time.Time) []rtcp.Packet {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.spoke && !r.hears {
		return nil
	}
	var blocks []rtcp.ReceptionReport
	if b, ok := r.heard.report(); ok && r.hears {
		r.told.Received = quality(now, b)
		if !r.senderReportAt.IsZero() {
			b.LastSenderReport, b.Delay = r.senderReport, uint32(now.Sub(r.senderReportAt)<<16/time.Second)
		}
		blocks = append(blocks, b)
	}
	var first rtcp.Packet = &rtcp.ReceiverReport{SSRC: r.ssrc, Reports: blocks}
	if r.spoke {
		first = &rtcp.SenderReport{
			SSRC: r.ssrc, NTPTime: ntp(now), RTPTime: r.sentTS + uint32(now.Sub(r.sentAt)*voiceClock/time.Second),
			PacketCount: r.packets, OctetCount: r.octets, Reports: blocks,
		}
	}
	r.spoke, r.hears = false, false
	return []rtcp.Packet{first, &rtcp.SourceDescription{Chunks: []rtcp.SourceDescriptionChunk{{
		Source: r.ssrc, Items: []rtcp.SourceDescriptionItem{{Type: rtcp.SDESCNAME, Text: rtcReportName}},
	}}}}
}

// take takes packets that pion brought as concerning a source, and reports whether they were of use. Pion brings a
// packet once for each source that it is from or about.
func (r *rtcReport) take(now time.Time, source uint32, packets []rtcp.Packet) (used bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range packets {
		var blocks []rtcp.ReceptionReport
		switch p := p.(type) {
		case *rtcp.SenderReport:
			if p.SSRC == source && source != r.ssrc {
				r.senderReport, r.senderReportAt, used = middle(p.NTPTime), now, true
			}
			blocks = p.Reports
		case *rtcp.ReceiverReport:
			blocks = p.Reports
		case *rtcp.SourceDescription:
			used = true // it comes with each of the others, and says nothing
		}
		for _, b := range blocks {
			if b.SSRC != source || source != r.ssrc {
				continue
			}
			r.told.Sent, used = quality(now, b), true
			if rtt := roundTrip(ntp(now), b.LastSenderReport, b.Delay); rtt > 0 {
				r.told.RTT = rtt
			}
		}
	}
	return used
}

// VoiceReports are the latest reports of those in voice, in the order of Speak. It may be called from any goroutine.
func (t *RTC) VoiceReports() []VoiceReport {
	m := t.mates.Load()
	if m == nil {
		return nil
	}
	reports := make([]VoiceReport, 0, len(m.sessions))
	for _, s := range m.sessions {
		s.report.mu.Lock()
		told := s.report.told
		s.report.mu.Unlock()
		told.Peer = s.remote
		reports = append(reports, told)
	}
	return reports
}

// reportTo begins or ends reports; there are some to write while somebody is in voice with this peer.
func (t *RTC) reportTo(somebody bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case somebody == t.reporting || t.stopped:
	case !somebody:
		t.reporter.Stop()
	case t.reporter == nil:
		t.reporter = time.AfterFunc(t.reportPause()/2, t.writeReports)
	default:
		t.reporter.Reset(t.reportPause() / 2)
	}
	t.reporting = somebody
}

// reportPause is the time until the next report.
func (t *RTC) reportPause() time.Duration { return t.reportEvery/2 + rand.N(t.reportEvery) }

// writeReports sends the reports that are due. The timer calls it.
func (t *RTC) writeReports() {
	t.mu.Lock()
	if t.stopped || !t.reporting {
		t.mu.Unlock()
		return
	}
	t.running.Add(1) // Stop waits for it
	t.mu.Unlock()
	defer t.running.Done()
	if m := t.mates.Load(); m != nil {
		for _, s := range m.sessions {
			s.writeReport(t.now())
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.reporting && !t.stopped {
		t.reporter.Reset(t.reportPause())
	}
}

func (s *rtcSession) writeReport(now time.Time) {
	if s.speaks.Load() == nil {
		return // it has ended
	}
	packets := s.report.make(now)
	if packets == nil {
		return
	}
	if err := s.pc.WriteRTCP(packets); err != nil {
		s.rtc.voice.unreported.Add(1)
	} else {
		s.rtc.voice.reports.Add(1)
	}
}

// now is the time for reports: it goes on evenly, whatever is done to the machine's clock.
func (t *RTC) now() time.Time { return t.began.Add(time.Since(t.began)) }

// rtcReportBuffer is pion's buffer for RTCP that concerns one source. It takes what it gets at once, and so needs no
// goroutine that reads.
type rtcReportBuffer struct {
	session *rtcSession
	source  uint32
	closed  chan struct{}
	once    sync.Once
}

// Write takes one packet, decrypted: a fast frame, or of a report. Pion has parsed it, and dropped what is malformed.
func (b *rtcReportBuffer) Write(raw []byte) (int, error) {
	if frame, ok := rtcFastFrame(raw); ok {
		b.session.takeFast(frame)
	} else {
		b.session.takeReport(b.source, raw)
	}
	return len(raw), nil
}

// Read waits for Close.
func (b *rtcReportBuffer) Read([]byte) (int, error) {
	<-b.closed
	return 0, io.EOF
}

// Close implements io.Closer.
func (b *rtcReportBuffer) Close() error {
	b.once.Do(func() { close(b.closed) })
	return nil
}

// takeReport takes a packet of RTCP of those in voice with this peer, within limits.
func (s *rtcSession) takeReport(source uint32, raw []byte) {
	voice := &s.rtc.voice
	now := s.rtc.now()
	s.report.mu.Lock()
	within := s.report.taken.AllowN(now, 1)
	s.report.mu.Unlock()
	if m := s.rtc.mates.Load(); !within || m == nil || !m.peers[s.remote] {
		voice.unheard.Add(1)
		return
	}
	packets, err := rtcp.Unmarshal(raw)
	if err != nil || !s.report.take(now, source, packets) {
		voice.unheard.Add(1)
		return
	}
	voice.heard.Add(1)
}
