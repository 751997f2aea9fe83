package peer

import (
	"time"

	"github.com/pion/rtcp"
)

// What tells a jump of sequence numbers from loss and reordering (RFC 3550, A.1).
const (
	receptionDropout  = 3000
	receptionDisorder = 100
	// voiceClock is the samples a second of voice.
	voiceClock = 16000
)

// reception is what is known of the packets of one source: RFC 3550, A.1 (sequence numbers), A.3 (loss) and A.8
// (jitter). The zero value has received nothing. It is pure.
type reception struct {
	ssrc     uint32
	begun    bool
	base     int64 // extended sequence number of the first packet
	high     int64 // highest
	bad      int64 // the low 16 bits that follow a packet which jumped; else -1
	received int64

	priorExpected, priorReceived int64

	origin  time.Time // arrivals are counted from here
	transit float64   // samples
	jitter  float64   // samples
}

// add takes a packet that arrived at now. End is the time stamp behind its last sample: packets are sent when that was
// captured, so that their length does not look like jitter.
func (r *reception) add(now time.Time, ssrc uint32, seq uint16, end uint32) {
	if !r.begun || r.ssrc != ssrc {
		*r = reception{ssrc: ssrc, begun: true, base: int64(seq), high: int64(seq), bad: -1, received: 1, origin: now}
		r.transit = r.relative(now, end)
		return
	}
	switch ahead := seq - uint16(r.high); {
	case ahead < receptionDropout:
		r.high += int64(ahead)
	case -ahead <= receptionDisorder:
		// Late, or twice: it counts as received either way (A.3).
	case r.bad == int64(seq):
		// Two in a row: the source began anew. Its time stamps need not go on either.
		*r = reception{ssrc: ssrc, begun: true, base: int64(seq) - 1, high: int64(seq), bad: -1, received: 2, origin: now, jitter: r.jitter}
		r.transit = r.relative(now, end)
		return
	default:
		r.bad = int64(seq + 1)
		return
	}
	r.bad = -1
	r.received++
	transit := r.relative(now, end)
	d := transit - r.transit
	r.transit = transit
	// Time stamps wrap around, and a source may jump: neither is jitter.
	if d < 0 {
		d = -d
	}
	if d <= voiceClock {
		r.jitter += (d - r.jitter) / 16
	}
}

// relative is the packet's arrival less its time stamp, both in samples from an unknown origin.
func (r *reception) relative(now time.Time, end uint32) float64 {
	return now.Sub(r.origin).Seconds()*voiceClock - float64(end)
}

// report is what to tell the source of its packets since the last report; false: nothing came from it ever.
func (r *reception) report() (rtcp.ReceptionReport, bool) {
	if !r.begun {
		return rtcp.ReceptionReport{}, false
	}
	expected := r.high - r.base + 1
	lost := min(max(expected-r.received, -1<<23), 1<<23-1)
	interval, got := expected-r.priorExpected, r.received-r.priorReceived
	r.priorExpected, r.priorReceived = expected, r.received
	fraction := uint8(0)
	if interval > 0 && got < interval {
		fraction = uint8(min((interval-got)<<8/interval, 255))
	}
	return rtcp.ReceptionReport{
		SSRC: r.ssrc, FractionLost: fraction, TotalLost: uint32(lost) & (1<<24 - 1),
		LastSequenceNumber: uint32(r.high), Jitter: uint32(r.jitter),
	}, true
}

// quality is what a report block says.
func quality(now time.Time, b rtcp.ReceptionReport) VoiceQuality {
	lost := int64(b.TotalLost & (1<<24 - 1))
	if lost >= 1<<23 {
		lost -= 1 << 24
	}
	return VoiceQuality{
		At: now, Loss: float64(b.FractionLost) / 256, Lost: lost,
		Jitter: min(time.Duration(b.Jitter)*time.Second/voiceClock, time.Minute),
	}
}

// NTP time stamps have 32 bits of seconds since 1900 and 32 bits of fraction (RFC 3550, section 4).
const ntpEpoch = 2_208_988_800 // seconds from there to 1970

func ntp(t time.Time) uint64 {
	return uint64(t.Unix()+ntpEpoch)<<32 | uint64(t.Nanosecond())<<32/uint64(time.Second)
}

// middle is the 32 bits of an NTP time stamp that reports are answered by, in 1/65536 s.
func middle(ntp uint64) uint32 { return uint32(ntp >> 16) }

// roundTrip is the time that a report took there and back, of which the other side knows held (RFC 3550, section
// 6.4.1); 0: the answer makes no sense.
func roundTrip(now uint64, last, held uint32) time.Duration {
	d := int32(middle(now) - last - held)
	if last == 0 || d < -2 || d > 60<<16 { // -2: both ends round
		return 0
	}
	return time.Duration(max(d, 1)) * time.Second >> 16
}
