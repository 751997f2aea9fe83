package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/pion/logging"
	"github.com/pion/webrtc/v4"
)

// barePion is pion as it comes out of the box, but for the loopback interface, which is the only one here.
func barePion() *webrtc.API {
	var s webrtc.SettingEngine
	s.SetIncludeLoopbackCandidate(true)
	s.LoggerFactory = &logging.DefaultLoggerFactory{Writer: os.Stderr, DefaultLogLevel: logging.LogLevelDisabled}
	return webrtc.NewAPI(webrtc.WithSettingEngine(s))
}

// pionPeer is the baseline of a chat: a line of standard input is a message of a data channel, a message is a line of
// standard output. The descriptions travel as the first lines, by hand of the parent.
func pionPeer(offers bool) error {
	pc, err := barePion().NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		return err
	}
	defer pc.Close()
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(make([]byte, 64<<10), 1<<20)
	opened := make(chan *webrtc.DataChannel, 1)
	out := bufio.NewWriter(os.Stdout)
	var mu sync.Mutex
	use := func(dc *webrtc.DataChannel) {
		dc.OnMessage(func(m webrtc.DataChannelMessage) {
			mu.Lock()
			defer mu.Unlock()
			_, _ = out.Write(append(m.Data, '\n'))
			_ = out.Flush() // a parent that is gone ends us by closing our input
		})
		dc.OnOpen(func() { opened <- dc })
	}
	if offers {
		dc, err := pc.CreateDataChannel("bench", nil)
		if err != nil {
			return err
		}
		use(dc)
		offer, err := pc.CreateOffer(nil)
		if err != nil {
			return err
		}
		if err := describe(pc, offer); err != nil {
			return err
		}
	} else {
		pc.OnDataChannel(use)
	}
	if !in.Scan() {
		return errors.New("no description came on standard input")
	}
	var remote webrtc.SessionDescription
	if err := json.Unmarshal(in.Bytes(), &remote); err != nil {
		return fmt.Errorf("read a description: %w", err)
	}
	if err := pc.SetRemoteDescription(remote); err != nil {
		return err
	}
	if !offers {
		answer, err := pc.CreateAnswer(nil)
		if err != nil {
			return err
		}
		if err := describe(pc, answer); err != nil {
			return err
		}
	}
	var dc *webrtc.DataChannel
	select {
	case dc = <-opened:
	case <-time.After(time.Minute):
		return errors.New("the data channel did not open within a minute")
	}
	mu.Lock()
	fmt.Fprintln(out, "open")
	_ = out.Flush()
	mu.Unlock()

	const high, low = 1 << 20, 256 << 10
	drained := make(chan struct{}, 1)
	dc.SetBufferedAmountLowThreshold(low)
	dc.OnBufferedAmountLow(func() {
		select {
		case drained <- struct{}{}:
		default:
		}
	})
	for in.Scan() {
		if err := dc.SendText(in.Text()); err != nil {
			return err
		}
		for dc.BufferedAmount() > high {
			<-drained
		}
	}
	return in.Err()
}

// describe sets a local description, waits for its candidates, and prints it.
func describe(pc *webrtc.PeerConnection, d webrtc.SessionDescription) error {
	gathered := webrtc.GatheringCompletePromise(pc)
	if err := pc.SetLocalDescription(d); err != nil {
		return err
	}
	<-gathered
	return json.NewEncoder(os.Stdout).Encode(pc.LocalDescription())
}

// pair is two PeerConnections of one process with one data channel.
type pair struct {
	a, b *webrtc.PeerConnection
	took time.Duration // from CreateOffer to open on both sides
}

func (p *pair) close() {
	_ = p.a.Close()
	_ = p.b.Close()
}

// connect makes a pair, its candidates trickling by function call, and waits until the channel is open at both ends.
func connect(api *webrtc.API, config webrtc.Configuration, within time.Duration) (*pair, error) {
	a, err := api.NewPeerConnection(config)
	if err != nil {
		return nil, err
	}
	b, err := api.NewPeerConnection(config)
	if err != nil {
		return nil, errors.Join(err, a.Close())
	}
	p := &pair{a: a, b: b}
	if err := p.link(within); err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

// trickle carries the candidates of one side to the other once that one has its remote description.
type trickle struct {
	mu    sync.Mutex
	ready bool
	wait  []webrtc.ICECandidateInit
	to    *webrtc.PeerConnection
}

func (t *trickle) add(c *webrtc.ICECandidate) {
	if c == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.ready {
		t.wait = append(t.wait, c.ToJSON())
		return
	}
	_ = t.to.AddICECandidate(c.ToJSON()) // a refused candidate shows as a pair that does not connect
}

func (t *trickle) open() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ready = true
	for _, c := range t.wait {
		_ = t.to.AddICECandidate(c)
	}
}

func (p *pair) link(within time.Duration) error {
	open := make(chan struct{}, 2)
	toB, toA := &trickle{to: p.b}, &trickle{to: p.a}
	p.a.OnICECandidate(toB.add)
	p.b.OnICECandidate(toA.add)
	p.b.OnDataChannel(func(dc *webrtc.DataChannel) { dc.OnOpen(func() { open <- struct{}{} }) })
	dc, err := p.a.CreateDataChannel("bench", nil)
	if err != nil {
		return err
	}
	dc.OnOpen(func() { open <- struct{}{} })

	start := time.Now()
	offer, err := p.a.CreateOffer(nil)
	if err != nil {
		return err
	}
	if err := p.a.SetLocalDescription(offer); err != nil {
		return err
	}
	if err := p.b.SetRemoteDescription(offer); err != nil {
		return err
	}
	toB.open()
	answer, err := p.b.CreateAnswer(nil)
	if err != nil {
		return err
	}
	if err := p.b.SetLocalDescription(answer); err != nil {
		return err
	}
	if err := p.a.SetRemoteDescription(answer); err != nil {
		return err
	}
	toA.open()
	deadline := time.After(within)
	for range 2 {
		select {
		case <-open:
		case <-deadline:
			return fmt.Errorf("the pair did not connect within %v", within)
		}
	}
	p.took = time.Since(start)
	return nil
}

// connectReport is a line that pionConnect prints.
type connectReport struct {
	Took  []float64 `json:"took_ms"`
	Stuck int       `json:"stuck"`
}

// pionConnect is the baseline of link setup: n pairs, `stagger` apart, and how long each took.
func pionConnect(n int, stagger time.Duration) error {
	var mu sync.Mutex
	var report connectReport
	var all sync.WaitGroup
	for range n {
		all.Go(func() {
			p, err := connect(barePion(), webrtc.Configuration{}, 30*time.Second)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				report.Stuck++
				return
			}
			report.Took = append(report.Took, ms(p.took))
			go p.close()
		})
		time.Sleep(stagger)
	}
	all.Wait()
	return json.NewEncoder(os.Stdout).Encode(report)
}
