package peer

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/pion/rtcp"
	"pgregory.net/rapid"
)

func TestReceptionCountsWhatIsLost(t *testing.T) {
	at := time.Unix(1_800_000_000, 0)
	for _, c := range []struct {
		what     string
		seqs     []uint16
		lost     int64
		fraction uint8
	}{
		{"nothing is lost", []uint16{5, 6, 7, 8}, 0, 0},
		{"one of four", []uint16{5, 6, 8}, 1, 64},
		{"numbers wrap around", []uint16{65534, 65535, 1, 2}, 1, 51},
		{"out of order", []uint16{5, 7, 6, 8}, 0, 0},
		{"twice", []uint16{5, 6, 6, 7}, -1, 0},
		{"one stray", []uint16{5, 6, 30000, 7, 8}, 0, 0},
		{"begun anew", []uint16{5, 6, 30000, 30001, 30003}, 1, 64},
		{"all but the first and the last", []uint16{5, 1004}, 998, 255},
	} {
		var r reception
		for i, seq := range c.seqs {
			r.add(at.Add(time.Duration(i)*20*time.Millisecond), 1, seq, uint32(seq)*320)
		}
		b, ok := r.report()
		if q := quality(at, b); !ok || q.Lost != c.lost || b.FractionLost != c.fraction {
			t.Errorf("%s: %d lost, %d of 256 of the last; want %d and %d", c.what, q.Lost, b.FractionLost, c.lost, c.fraction)
		}
		if b, _ = r.report(); b.FractionLost != 0 {
			t.Errorf("%s: and then nothing more, but %d of 256 are lost of it", c.what, b.FractionLost)
		}
	}
	if _, ok := new(reception).report(); ok {
		t.Error("there is a report of a source that never was heard")
	}
}

// RFC 3550, A.8: a sixteenth of how far the spacing of arrivals differs from that of time stamps, each time.
func TestReceptionMeasuresJitter(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for _, c := range []struct {
		what        string
		spread      float64 // ms, uniform; the mean difference of two is a third of it
		packet      func(i int) (samples, end int)
		least, most float64 // samples
	}{
		{"even arrivals", 0, func(i int) (int, int) { return 320, 320 * i }, 0, 0.01},
		{"30 ms", 30, func(i int) (int, int) { return 320, 320 * i }, 120, 210},
		{"time stamps that wrap around", 0, func(i int) (int, int) { return 320, 1<<32 - 32000 + 320*i }, 0, 0.01},
		{"packets of one and two frames in turn", 0, func(i int) (int, int) { return 320 * (1 + i%2), 320 * i }, 0, 0.01},
	} {
		var q reception
		sum := 0.0
		at := time.Unix(1_800_000_000, 0)
		for i := range 500 {
			_, end := c.packet(i)
			late := time.Duration(r.Float64() * c.spread * float64(time.Millisecond))
			q.add(at.Add(time.Duration(i)*20*time.Millisecond+late), 1, uint16(i), uint32(end))
			sum += q.jitter / 500
		}
		if sum < c.least || sum > c.most {
			t.Errorf("%s: the jitter is %.1f samples on the average, want %v to %v", c.what, sum, c.least, c.most)
		}
	}
}

// A source that is lost, late, doubled and restarted at random is counted as the packets were.
func TestReceptionAgreesWithCounting(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var r reception
		at := time.Unix(1_800_000_000, 0)
		seq := rapid.IntRange(0, 65535).Draw(t, "first")
		first, got := seq, int64(0)
		send := func(n int) {
			r.add(at, 1, uint16(n), uint32(n)*320)
			got++
		}
		send(seq)
		for range rapid.IntRange(0, 300).Draw(t, "steps") {
			at = at.Add(20 * time.Millisecond)
			switch rapid.IntRange(0, 9).Draw(t, "fate") {
			case 0:
				seq += rapid.IntRange(1, 200).Draw(t, "lost")
			case 1:
				send(max(first, seq-rapid.IntRange(0, 50).Draw(t, "again")))
				continue
			case 2: // a stray packet of elsewhere, alone
				r.add(at, 1, uint16(seq+rapid.IntRange(receptionDropout+1000, 1<<16-receptionDisorder-1000).Draw(t, "stray")), 0)
			}
			seq++
			send(seq)
		}
		b, _ := r.report()
		if lost, want := quality(at, b).Lost, int64(seq-first+1)-got; lost != want {
			t.Fatalf("%d packets are lost, want %d", lost, want)
		}
		if b.LastSequenceNumber&0xffff != uint32(seq)&0xffff {
			t.Fatalf("the highest number is %d, want %d", b.LastSequenceNumber, seq)
		}
	})
}

func TestRoundTripMakesSense(t *testing.T) {
	sent := time.Unix(1_800_000_000, 999_000_000)
	last := middle(ntp(sent))
	for _, c := range []struct {
		what        string
		after, held time.Duration
		least, most time.Duration
	}{
		{"20 ms, of which 5 were spent there", 20 * time.Millisecond, 5 * time.Millisecond, 14900 * time.Microsecond, 15100 * time.Microsecond},
		{"no time at all", 0, 0, time.Microsecond, 40 * time.Microsecond},
		{"longer there than it took", 10 * time.Millisecond, time.Second, 0, 0},
		{"an hour", time.Hour, 0, 0, 0},
	} {
		if d := roundTrip(ntp(sent.Add(c.after)), last, uint32(c.held<<16/time.Second)); d < c.least || d > c.most {
			t.Errorf("%s: the round trip is %v, want %v to %v", c.what, d, c.least, c.most)
		}
	}
	if d := roundTrip(ntp(sent), 0, 0); d != 0 {
		t.Errorf("without a report to answer, the round trip is %v", d)
	}
}

func TestRTCReportsWhileInVoice(t *testing.T) {
	p, atA, atB := newVoicePair(t)
	p.a.reportEvery, p.b.reportEvery = 10*time.Millisecond, 10*time.Millisecond
	p.a.voiceTaken, p.b.voiceTaken = limit{1e9, 1e9}, limit{1e9, 1e9}
	began := time.Now()
	p.open(patience)
	seq := uint16(65500)
	for round := range 2 {
		p.a.Speak([]uuid.UUID{p.session})
		p.b.Speak([]uuid.UUID{p.session})
		both := func() []VoiceReport { return append(p.a.VoiceReports(), p.b.VoiceReports()...) }
		told := func(r VoiceReport) bool { return !r.Sent.At.IsZero() && !r.Received.At.IsZero() && r.RTT > 0 }
		for end := time.Now().Add(patience); !told(both()[0]) || !told(both()[1]); seq++ {
			if time.Now().After(end) {
				t.Fatalf("round %d: after %v it is told: %+v; %v, %v", round, patience, both(), p.a.Counters(), p.b.Counters())
			}
			packet := VoicePacket{Seq: seq, Timestamp: uint32(seq) * 320, Payload: make([]byte, 640)}
			p.a.SendVoice(packet)
			p.b.SendVoice(packet)
			waitVoice(t, atA, "voice")
			waitVoice(t, atB, "voice")
		}
		for _, r := range both() {
			if r.RTT > time.Since(began) || r.Sent.Loss != 0 || r.Sent.Lost != 0 || r.Received.Lost != 0 {
				t.Errorf("round %d: over loopback it is told: %+v", round, r)
			}
		}
		p.a.Speak(nil)
		p.b.Speak(nil)
		if r := p.a.VoiceReports(); len(r) != 0 {
			t.Errorf("out of voice there are reports: %+v", r)
		}
		seq += 500 // to others: when the two are in voice again, that is no loss
	}
	if c := p.a.Counters(); c["report.sent"] == 0 || c["report.received"] == 0 || c["report.failed"] != 0 {
		t.Errorf("reports are counted as %v", c)
	}
}

func TestRTCTakesNoReportsFromOthers(t *testing.T) {
	p, _, _ := newVoicePair(t)
	p.a.reportEvery, p.b.reportEvery = time.Hour, time.Hour
	p.open(patience)
	a, b := p.a.lookup(p.session), p.b.lookup(p.session)
	dtls := a.pc.SCTP().Transport()
	b.report.mu.Lock()
	own := b.report.ssrc
	b.report.mu.Unlock()
	lie := func(about uint32) []rtcp.Packet {
		return []rtcp.Packet{
			&rtcp.SenderReport{SSRC: a.report.ssrc, NTPTime: 1<<64 - 1, Reports: []rtcp.ReceptionReport{
				{SSRC: about, FractionLost: 255, TotalLost: 1<<24 - 1, Jitter: 1<<32 - 1, LastSenderReport: 77, Delay: 1<<32 - 1},
			}},
		}
	}
	// send sends packets until they have done what they should: some are lost on the way where the machine is busy.
	send := func(what string, packets []rtcp.Packet, done func() bool) {
		t.Helper()
		for end := time.Now().Add(patience); !done(); time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("not within %v: %s: %v", patience, what, p.b.Counters())
			}
			if _, err := dtls.WriteRTCP(packets); err != nil {
				t.Fatal(err)
			}
		}
	}
	dropped := func(n uint64) func() bool {
		n += p.b.Counters()["report.dropped"]
		return func() bool { return p.b.Counters()["report.dropped"] >= n }
	}
	// Not lie(own): one that is late would be taken after Speak.
	send("a report to one that is not in voice is dropped", lie(a.report.ssrc), dropped(1))
	p.b.Speak([]uuid.UUID{p.session})
	send("its own report, as if b had sent it, is dropped", lie(a.report.ssrc), dropped(1))
	send("what is no report is dropped", []rtcp.Packet{&rtcp.PictureLossIndication{MediaSSRC: own}}, dropped(1))
	if r := p.b.VoiceReports()[0]; r.Sent != (VoiceQuality{}) {
		t.Errorf("a report about somebody else was taken: %+v", r)
	}
	send("an absurd report is told", lie(own), func() bool { return p.b.VoiceReports()[0].Sent != (VoiceQuality{}) })
	send("a flood is dropped", lie(own), dropped(100))
	if n := p.b.Counters()["report.received"]; n > uint64(rtcReportsTaken.burst+5*int(rtcReportsTaken.rate)) {
		t.Errorf("%d reports of a flood were taken", n)
	}
	r := p.b.VoiceReports()[0]
	if r.RTT != 0 || r.Sent.Lost != -1 || r.Sent.Jitter != time.Minute || r.Sent.Loss >= 1 {
		t.Errorf("an absurd report is told as %+v", r)
	}
}
