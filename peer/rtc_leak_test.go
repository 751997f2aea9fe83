package peer

import (
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"peerchat/peer/wire"
)

// Sessions in every stage leave no goroutine behind.
func TestRTCLeavesNothingBehind(t *testing.T) {
	p := newRTCPair(t, rtcTestConfig(), rtcTestConfig())
	p.open(patience)
	p.deliver(p.a, p.evB, []byte("a fast frame"), true, "offerer to answerer")
	p.deliver(p.b, p.evA, []byte("and another"), true, "answerer to offerer")
	offered := uuid.Must(uuid.NewV7())
	events := make(chan TransportEvent, 100)
	lonely, err := NewRTC(rtcTestConfig(), func(ev TransportEvent) { events <- ev })
	if err != nil {
		t.Fatal(err)
	}
	lonely.Offer(offered, wire.PeerID{3})
	rtcWait[Described](t, events, patience, "an offer that nobody answers")
	lonely.Stop()
	p.a.Stop()
	p.b.Stop()
	var left string
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		left = ""
		buf := make([]byte, 1<<20)
		for _, g := range strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
			if (strings.Contains(g, "pion/") || strings.Contains(g, "peer.(*rtcSession)")) && !strings.Contains(g, "TestRTCLeaves") {
				left += g + "\n\n"
			}
		}
		if left == "" {
			return
		}
	}
	t.Errorf("goroutines are left:\n%s", left)
}
