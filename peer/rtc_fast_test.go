package peer

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/pion/rtcp"

	"peerchat/peer/wire"
)

// withoutFastPath takes what says that the fast path is there out of a description, as if it were a browser's.
func withoutFastPath(d Description) Description {
	d.SDP = strings.Replace(d.SDP, "a="+rtcFastAttribute+"\r\n", "", 1)
	return d
}

func TestRTCFastFramesOfEverySize(t *testing.T) {
	for _, c := range []struct {
		name   string
		mangle func(Description) Description
		srtcp  bool
	}{
		{"the other side takes them over SRTCP", nil, true},
		{"the other side does not say so", withoutFastPath, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newRTCPair(t, rtcTestConfig(), rtcTestConfig())
			p.mangle = c.mangle
			p.open(patience)
			sizes := []int{1, 2, 3, 4, 5, 255, 256, 257, 258, wire.MaxFastFrame - 3, wire.MaxFastFrame - 2, wire.MaxFastFrame - 1, wire.MaxFastFrame}
			for _, dir := range []struct {
				from *RTC
				to   chan TransportEvent
			}{{p.a, p.evB}, {p.b, p.evA}} {
				for _, size := range append(sizes, wire.MaxFastFrame+1) {
					frame := bytes.Repeat([]byte{byte(size), 1, 0}, size)[:size] // the last bytes look like padding
					p.deliver(dir.from, dir.to, frame, true, c.name)
				}
				if n := dir.from.Counters()["fast.sent"]; n > 0 != c.srtcp || c.srtcp && n < uint64(len(sizes)) {
					t.Errorf("%d fast frames went over SRTCP, want %d, or none", n, len(sizes))
				}
			}
			if a, b := p.a.Counters(), p.b.Counters(); a["fast.received"] > b["fast.sent"] || a["fast.dropped"] != 0 || a["fast.over"] != 0 {
				t.Errorf("what came is not what was sent: %v, %v", a, b)
			}
		})
	}
}

// What one link sends by a path that makes no way for others is bounded; but nothing is lost by that.
func TestRTCFastFramesTooManyGoByTheChannel(t *testing.T) {
	p := newRTCPair(t, rtcTestConfig(), rtcTestConfig())
	const size, few, many = 200, 3, 40
	p.a.fastSent = limit{0, few * (size + rtcFastCost)}
	p.open(patience)
	for i := range byte(many) {
		p.a.Send(p.session, bytes.Repeat([]byte{i}, size), true)
	}
	seen := map[byte]bool{}
	for !seen[many-1] {
		seen[rtcWait[Received](t, p.evB, patience, "each of the frames").Data[0]] = true
	}
	for i := range byte(many) {
		if i >= few && !seen[i] {
			t.Errorf("frame %d did not come: those beyond the first %d go by the reliable channel", i, few)
		}
	}
	if c := p.a.Counters(); c["fast.sent"] != few || c["fast.over"] != many-few {
		t.Errorf("of %d frames %d went over SRTCP and %d not: want %d and %d", many, c["fast.sent"], c["fast.over"], few, many-few)
	}
}

// rtcAttacker has the offerer write what it likes as RTCP until it has done what it should: some is lost on the way
// where the machine is busy.
func rtcAttacker(t *testing.T, p *rtcPair) (source uint32, write func(what string, done func(counted map[string]uint64) bool, packets ...rtcp.Packet)) {
	s := p.a.lookup(p.session)
	return s.source, func(what string, done func(map[string]uint64) bool, packets ...rtcp.Packet) {
		t.Helper()
		for end := time.Now().Add(patience); !done(p.b.Counters()); time.Sleep(100 * time.Microsecond) {
			if time.Now().After(end) {
				t.Fatalf("not within %v: %s: %v", patience, what, p.b.Counters())
			}
			if _, err := s.pc.SCTP().Transport().WriteRTCP(packets); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestRTCBoundsAFloodOfFastFrames(t *testing.T) {
	p, _, _ := newVoicePair(t)
	p.a.reportEvery, p.b.reportEvery = time.Hour, time.Hour
	const size, few = 100, 5
	p.b.fastTaken = limit{0, few * (size + rtcFastCost)}
	p.open(patience)
	p.b.Speak([]uuid.UUID{p.session})
	source, write := rtcAttacker(t, p)
	// Many in one packet, and from other sources, too.
	write("of a flood all but the first is dropped", func(c map[string]uint64) bool { return c["fast.dropped"] > 1000 },
		&rtcp.ApplicationDefined{SSRC: source, Name: rtcFastName, Data: make([]byte, size)},
		&rtcp.ApplicationDefined{SSRC: 7, Name: rtcFastName, Data: make([]byte, size)}, &rtcp.ApplicationDefined{SSRC: source, Name: rtcFastName})
	c := p.b.Counters()
	if c["fast.received"] > few {
		t.Errorf("%d frames of a flood were taken, want %d at most", c["fast.received"], few)
	}
	if c["report.received"] != 0 || c["report.dropped"] != 0 {
		t.Errorf("fast frames count as reports: %v", c)
	}
	for range c["fast.received"] {
		rtcWait[Received](t, p.evB, patience, "a frame that was taken")
	}
	// None of it is at the expense of reports, or of the other channel.
	write("a report after a flood is taken", func(c map[string]uint64) bool { return c["report.received"] > 0 },
		&rtcp.SenderReport{SSRC: source, NTPTime: 1 << 63})
	p.a.Send(p.session, []byte("hello"), false)
	if got := rtcWait[Received](t, p.evB, patience, "a frame after a flood"); string(got.Data) != "hello" {
		t.Errorf("%d bytes came in place of a frame: more was taken than was counted", len(got.Data))
	}
}

func TestRTCRefusesFastFramesThatAreNone(t *testing.T) {
	p := newRTCPair(t, rtcTestConfig(), rtcTestConfig())
	p.open(patience)
	source, write := rtcAttacker(t, p)
	refused := func(n uint64) func(map[string]uint64) bool {
		return func(c map[string]uint64) bool { return c["rtc.refused"] >= n }
	}
	write("an empty frame is refused", refused(1), &rtcp.ApplicationDefined{SSRC: source, Name: rtcFastName})
	write("a frame that is too long is refused", refused(p.b.Counters()["rtc.refused"]+1),
		&rtcp.ApplicationDefined{SSRC: source, Name: rtcFastName, Data: make([]byte, wire.MaxFastFrame+1)})
	write("a packet of another name is no frame", func(c map[string]uint64) bool { return c["report.dropped"] > 0 },
		&rtcp.ApplicationDefined{SSRC: source, Name: "PCFG", Data: []byte("of another program")})
	p.deliver(p.a, p.evB, []byte("a frame"), true, "after those")
	// SRTCP may still bring something when the session has ended, which must be its last event.
	s := p.b.lookup(p.session)
	p.b.Close(p.session)
	if err := rtcEnd(t, p.evB, patience, "the session"); err != nil {
		t.Error(err)
	}
	before := p.b.Counters()["fast.dropped"]
	s.takeFast([]byte("late"))
	if c := p.b.Counters(); c["fast.dropped"] != before+1 || len(p.evB) != 0 {
		t.Errorf("a frame after the end of its session was taken: %v", c)
	}
}

// Of each packet that pion lets pass, the frame is what pion takes for its data.
func FuzzRTCFastFrame(f *testing.F) {
	for _, data := range []string{"", "a", "ab\x02", "abc", "abcd"} {
		raw, err := rtcp.ApplicationDefined{SSRC: 1, Name: rtcFastName, Data: []byte(data)}.Marshal()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
		f.Add(append([]byte{0xa0}, raw[1:]...))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		rtcFastFrame(raw) // whatever it is, it is borne
		packets, err := rtcp.Unmarshal(raw)
		if err != nil {
			return
		}
		for _, packet := range packets {
			again, err := packet.Marshal()
			if err != nil {
				continue
			}
			frame, ok := rtcFastFrame(again)
			if app, is := packet.(*rtcp.ApplicationDefined); ok != (is && app.Name == rtcFastName) || ok && !bytes.Equal(frame, app.Data) {
				t.Errorf("%x is taken for the frame %x (%v)", again, frame, ok)
			}
		}
	})
}
