package peer

import (
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/pion/ice/v4"
	"github.com/pion/webrtc/v4"
)

// BenchmarkRTCSetup is the time from Offer to Opened on both sides, over loopback, with descriptions handed over in
// memory: ns/op is the mean, p50-ms and p99-ms say more.
func BenchmarkRTCSetup(b *testing.B) {
	p := newRTCPair(b, rtcTestConfig(), rtcTestConfig())
	var took []time.Duration
	for b.Loop() {
		p.session = uuid.Must(uuid.NewV7())
		start := time.Now()
		p.open(patience)
		took = append(took, time.Since(start))
		p.a.Close(p.session)
		rtcWait[Closed](b, p.evA, patience, "the offerer closes")
		rtcWait[Closed](b, p.evB, patience, "the answerer closes")
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
}

// BenchmarkRTCMemory is what one end of an open session costs: heap and stack in KiB, and goroutines.
func BenchmarkRTCMemory(b *testing.B) {
	const sessions = 100
	for b.Loop() {
		p := newRTCPair(b, rtcTestConfig(), rtcTestConfig())
		p.open(patience) // what is shared is there
		before, goroutines := memory(), runtime.NumGoroutine()
		for range sessions {
			p.session = uuid.Must(uuid.NewV7())
			p.open(patience)
		}
		time.Sleep(300 * time.Millisecond) // goroutines of the setup end
		after := memory()
		b.ReportMetric(float64(after.heap-before.heap)/1024/(2*sessions), "heap-KiB/end")
		b.ReportMetric(float64(after.stack-before.stack)/1024/(2*sessions), "stack-KiB/end")
		b.ReportMetric(float64(runtime.NumGoroutine()-goroutines)/(2*sessions), "goroutines/end")
		p.a.Stop()
		p.b.Stop()
	}
}

type memoryUse struct{ heap, stack uint64 }

func memory() memoryUse {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return memoryUse{m.HeapAlloc, m.StackInuse}
}

// BenchmarkRTCRoundTrip is a frame of 200 bytes to the other side and back, each next to one on a bare pion data
// channel.
func BenchmarkRTCRoundTrip(b *testing.B) {
	p := newRTCPair(b, rtcTestConfig(), rtcTestConfig())
	p.open(patience)
	bare := newBarePair(b)
	frame := make([]byte, 200)
	var ours, theirs []time.Duration
	for b.Loop() {
		start := time.Now()
		p.a.Send(p.session, frame, false)
		p.b.Send(p.session, rtcWait[Received](b, p.evB, patience, "there").Data, false)
		rtcWait[Received](b, p.evA, patience, "and back")
		ours = append(ours, time.Since(start))
		start = time.Now()
		if err := bare.Send(frame); err != nil {
			b.Fatal(err)
		}
		<-bare.back
		theirs = append(theirs, time.Since(start))
	}
	slices.Sort(ours)
	slices.Sort(theirs)
	micros := func(d []time.Duration, at int) float64 { return float64(d[len(d)*at/100].Nanoseconds()) / 1000 }
	b.ReportMetric(micros(ours, 50), "p50-µs")
	b.ReportMetric(micros(ours, 99), "p99-µs")
	b.ReportMetric(micros(theirs, 50), "bare-p50-µs")
	b.ReportMetric(micros(theirs, 99), "bare-p99-µs")
}

// barePair is pion with its defaults: one data channel whose other end sends everything back.
type barePair struct {
	*webrtc.DataChannel
	back chan struct{}
}

func newBarePair(b *testing.B) barePair {
	var e webrtc.SettingEngine
	e.SetIncludeLoopbackCandidate(true)
	e.SetInterfaceFilter(func(name string) bool { return name == "lo" })
	e.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	api := webrtc.NewAPI(webrtc.WithSettingEngine(e))
	var pcs [2]*webrtc.PeerConnection
	for i := range pcs {
		pc, err := api.NewPeerConnection(webrtc.Configuration{})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = pc.GracefulClose() })
		pcs[i] = pc
	}
	pcs[1].OnDataChannel(func(dc *webrtc.DataChannel) {
		dc.OnMessage(func(m webrtc.DataChannelMessage) { _ = dc.Send(m.Data) })
	})
	dc, err := pcs[0].CreateDataChannel("bare", nil)
	if err != nil {
		b.Fatal(err)
	}
	p := barePair{dc, make(chan struct{}, 1)}
	open := make(chan struct{})
	dc.OnOpen(func() { close(open) })
	dc.OnMessage(func(webrtc.DataChannelMessage) { p.back <- struct{}{} })
	describe := func(pc *webrtc.PeerConnection, d webrtc.SessionDescription, err error) webrtc.SessionDescription {
		if err != nil {
			b.Fatal(err)
		}
		done := webrtc.GatheringCompletePromise(pc)
		if err := pc.SetLocalDescription(d); err != nil {
			b.Fatal(err)
		}
		<-done
		return *pc.LocalDescription()
	}
	offer, err := pcs[0].CreateOffer(nil)
	offer = describe(pcs[0], offer, err)
	if err := pcs[1].SetRemoteDescription(offer); err != nil {
		b.Fatal(err)
	}
	answer, err := pcs[1].CreateAnswer(nil)
	answer = describe(pcs[1], answer, err)
	if err := pcs[0].SetRemoteDescription(answer); err != nil {
		b.Fatal(err)
	}
	select {
	case <-open:
	case <-time.After(10 * time.Second):
		b.Fatal("a bare data channel did not open within 10 s")
	}
	return p
}

// BenchmarkRTCThroughput is frames of 1 KiB one way, with at most 1,000 of them on the way.
func BenchmarkRTCThroughput(b *testing.B) {
	p := newRTCPair(b, rtcTestConfig(), rtcTestConfig())
	p.open(patience)
	frame := make([]byte, 1<<10)
	b.SetBytes(int64(len(frame)))
	onTheWay := 0
	for b.Loop() {
		p.a.Send(p.session, frame, false)
		if onTheWay++; onTheWay == 1000 {
			for ; onTheWay > 500; onTheWay-- {
				rtcWait[Received](b, p.evB, patience, "a frame")
			}
		}
	}
	for ; onTheWay > 0; onTheWay-- {
		rtcWait[Received](b, p.evB, patience, "a frame")
	}
}

// BenchmarkRTCFast is a fast frame of 150 bytes, which is what an acknowledgement or a second copy of a line takes, to
// the other side, one at a time: over SRTCP, and over the data channel. With -cpu 1 on a machine that does nothing
// else, ns/op is the processor time of both ends.
func BenchmarkRTCFast(b *testing.B) {
	for _, way := range []string{"srtcp", "channel"} {
		b.Run(way, func(b *testing.B) {
			p := newRTCPair(b, rtcTestConfig(), rtcTestConfig())
			p.a.fastSent, p.b.fastTaken = limit{1e9, 1e9}, limit{1e9, 1e9}
			if way == "channel" {
				p.mangle = withoutFastPath
			}
			p.open(patience)
			frame := make([]byte, 150)
			for b.Loop() {
				p.a.Send(p.session, frame, true)
				rtcWait[Received](b, p.evB, patience, "a fast frame")
			}
			if n := p.a.Counters()["fast.sent"]; (n > 0) != (way == "srtcp") {
				b.Errorf("%d frames went over SRTCP", n)
			}
		})
	}
}
