package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/pion/ice/v4"
	"github.com/pion/interceptor"
	"github.com/pion/logging"
	"github.com/pion/webrtc/v4"

	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"

	"peerchat/peer"
	"peerchat/peer/wire"
)

// holdLinks opens n links of a kind in this process, one after the other, and prints how long each took and what all of
// them hold.
func holdLinks(kind string, n int) error {
	open, err := opener(kind)
	if err != nil {
		return err
	}
	if _, err := open(); err != nil { // what only the first one costs is not a link's
		return err
	}
	before := measureSelf()
	var report linkReport
	for range n {
		took, err := open()
		if err != nil {
			return err
		}
		report.Took = append(report.Took, ms(took))
	}
	calm() // whatever runs only at the start of a link has ended by then
	after := measureSelf()
	ends := float64(2 * n)
	report.Heap = float64(after.heap-before.heap) / 1024 / ends
	report.RSS = float64(after.rss-before.rss) / 1024 / ends
	report.Goroutines = float64(after.goroutines-before.goroutines) / ends
	return json.NewEncoder(os.Stdout).Encode(report)
}

// calm awaits that this process has had no fewer goroutines for a second than it has now; ten at most.
func calm() {
	least, since := runtime.NumGoroutine(), time.Now()
	for began := since; time.Since(since) < time.Second && time.Since(began) < 10*time.Second; time.Sleep(look) {
		if n := runtime.NumGoroutine(); n < least {
			least, since = n, time.Now()
		}
	}
}

type selfMeasure struct{ heap, rss, goroutines int64 }

func measureSelf() selfMeasure {
	runtime.GC()
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	u, err := usageOf(os.Getpid())
	if err != nil {
		u.rss = 0 // shows as a negative figure
	}
	return selfMeasure{int64(m.HeapInuse + m.StackInuse), u.rss, int64(runtime.NumGoroutine())}
}

// opener returns what opens one more link of a kind and keeps it open.
func opener(kind string) (func() (time.Duration, error), error) {
	switch kind {
	case "default":
		return pionOpener(barePion(), webrtc.Configuration{}), nil
	case "tuned":
		return tunedOpener()
	case "peerchat":
		return rtcOpener()
	}
	return nil, fmt.Errorf("links of kind %q: want peerchat, tuned or default", kind)
}

func pionOpener(api *webrtc.API, config webrtc.Configuration) func() (time.Duration, error) {
	var held []*pair
	return func() (time.Duration, error) {
		p, err := connect(api, config, patience)
		if err != nil {
			return 0, err
		}
		held = append(held, p)
		return p.took, nil
	}
}

func tunedOpener() (func() (time.Duration, error), error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	cert, err := webrtc.GenerateCertificate(key)
	if err != nil {
		return nil, err
	}
	var s webrtc.SettingEngine
	s.SetIncludeLoopbackCandidate(true)
	s.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	s.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4, webrtc.NetworkTypeUDP6})
	s.LoggerFactory = &logging.DefaultLoggerFactory{Writer: os.Stderr, DefaultLogLevel: logging.LogLevelDisabled}
	api := webrtc.NewAPI(webrtc.WithSettingEngine(s), webrtc.WithInterceptorRegistry(&interceptor.Registry{}))
	return pionOpener(api, webrtc.Configuration{Certificates: []webrtc.Certificate{*cert}}), nil
}

// rtcPair is two peerchat transports in one process, each session's events handed to the other side.
type rtcPair struct {
	mu    sync.Mutex
	sides [2]*peer.RTC
	waits map[uuid.UUID]chan error // gets one value for each end that opened or closed
}

func rtcOpener() (func() (time.Duration, error), error) {
	p := &rtcPair{waits: map[uuid.UUID]chan error{}}
	for side := range p.sides {
		rtc, err := peer.NewRTC(peer.RTCConfig{Interfaces: []string{"lo"}}, func(ev peer.TransportEvent) { p.event(side, ev) })
		if err != nil {
			return nil, err
		}
		p.sides[side] = rtc
	}
	return p.open, nil
}

func (p *rtcPair) event(side int, ev peer.TransportEvent) {
	other := p.sides[1-side]
	switch ev := ev.(type) {
	case peer.Described:
		if side == 0 {
			other.Accept(ev.Session, wire.PeerID{1}, ev.Description)
		} else {
			other.Answer(ev.Session, ev.Description)
		}
	case peer.Gathered:
		other.Candidate(ev.Session, ev.Candidate)
	case peer.Opened:
		p.tell(ev.Session, nil)
	case peer.Closed:
		err := ev.Err
		if err == nil {
			err = errors.New("the link closed")
		}
		p.tell(ev.Session, err)
	}
}

func (p *rtcPair) tell(session uuid.UUID, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if wait := p.waits[session]; wait != nil {
		select {
		case wait <- err:
		default: // nobody waits any more
		}
	}
}

func (p *rtcPair) open() (time.Duration, error) {
	session, err := uuid.NewV7()
	if err != nil {
		return 0, err
	}
	wait := make(chan error, 2)
	p.mu.Lock()
	p.waits[session] = wait
	p.mu.Unlock()
	start := time.Now()
	p.sides[0].Offer(session, wire.PeerID{2})
	deadline := time.After(patience)
	for range 2 {
		select {
		case err := <-wait:
			if err != nil {
				return 0, err
			}
		case <-deadline:
			return 0, fmt.Errorf("the link did not open within %v", patience)
		}
	}
	took := time.Since(start)
	p.mu.Lock()
	delete(p.waits, session)
	p.mu.Unlock()
	return took, nil
}
