package peer

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/uuid"

	"peerchat/peer/negotiate"
	"peerchat/peer/wire"
)

// rtcPeer is a transport and the negotiation with one remote peer, in one goroutine.
type rtcPeer struct {
	self    wire.PeerID
	rtc     *RTC
	machine *negotiate.Machine
	in      chan any // TransportEvent or negotiate.Input
	other   *rtcPeer
	changes chan negotiate.Change
	begun   int
	stop    chan struct{}
	stopped chan struct{}
}

func newRTCPeers(t testing.TB, ca, cb RTCConfig) (a, b *rtcPeer) {
	a, b = &rtcPeer{self: wire.PeerID{1}}, &rtcPeer{self: wire.PeerID{2}}
	a.other, b.other = b, a
	for _, p := range []*rtcPeer{a, b} {
		cfg := ca
		if p == b {
			cfg = cb
		}
		p.in = make(chan any, 1<<12)
		p.changes = make(chan negotiate.Change, 1<<10)
		p.stop, p.stopped = make(chan struct{}), make(chan struct{})
		var err error
		if p.rtc, err = NewRTC(cfg, func(ev TransportEvent) { p.post(ev) }); err != nil {
			t.Fatal(err)
		}
		p.machine = negotiate.New(negotiate.Config{
			Self: p.self, Remote: p.other.self, Rand: rand.New(rand.NewPCG(1, uint64(p.self[0]))),
			Instance: uuid.New(), NewID: func() uuid.UUID { return uuid.Must(uuid.NewV7()) },
		})
	}
	go a.run()
	go b.run()
	t.Cleanup(func() {
		for _, p := range []*rtcPeer{a, b} {
			close(p.stop)
			<-p.stopped
			p.rtc.Stop()
		}
	})
	return a, b
}

func (p *rtcPeer) post(in any) {
	select {
	case p.in <- in:
	case <-p.stopped:
	}
}

func (p *rtcPeer) run() {
	defer close(p.stopped)
	timer := time.NewTimer(time.Hour)
	for {
		var in negotiate.Input
		select {
		case x := <-p.in:
			switch x := x.(type) {
			case Described:
				in = negotiate.Described{Session: x.Session, Description: x.Description}
			case Gathered:
				in = negotiate.Gathered{Session: x.Session, Candidate: x.Candidate}
			case Opened:
				in = negotiate.Opened{Session: x.Session}
			case Closed:
				in = negotiate.Closed{Session: x.Session, Err: x.Err}
			case negotiate.Input:
				in = x
			default:
				continue
			}
		case <-timer.C:
			in = negotiate.Tick{}
		case <-p.stop:
			return
		}
		var out negotiate.Output
		p.machine.Step(time.Now(), in, &out)
		for _, m := range out.Signals {
			go p.other.post(negotiate.Remote{Message: m})
		}
		for _, a := range out.Actions {
			switch a := a.(type) {
			case negotiate.Offer:
				p.begun++
				p.rtc.Offer(a.Session, p.other.self)
			case negotiate.Accept:
				p.rtc.Accept(a.Session, p.other.self, a.Offer)
			case negotiate.Answer:
				p.rtc.Answer(a.Session, a.Answer)
			case negotiate.AddCandidate:
				p.rtc.Candidate(a.Session, a.Candidate)
			case negotiate.CloseSession:
				p.rtc.Close(a.Session)
			}
		}
		for _, c := range out.Changes {
			p.changes <- c
		}
		if timer.Stop(); !out.Wake.IsZero() {
			timer.Reset(time.Until(out.Wake))
		}
	}
}

func (p *rtcPeer) up(t testing.TB, within time.Duration, what string) {
	t.Helper()
	timer := time.NewTimer(within)
	defer timer.Stop()
	for {
		select {
		case c := <-p.changes:
			if _, ok := c.(negotiate.LinkUp); ok {
				return
			}
		case <-timer.C:
			t.Fatalf("%s: no link within %v", what, within)
		}
	}
}

func TestNegotiatedPairLinksThoughBothOffer(t *testing.T) {
	a, b := newRTCPeers(t, rtcTestConfig(), rtcTestConfig())
	a.post(negotiate.Want{Eager: true})
	b.post(negotiate.Want{Eager: true})
	a.up(t, patience, "the polite side")
	b.up(t, patience, "the impolite side")
}
