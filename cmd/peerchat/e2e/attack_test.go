//go:build linux

package e2e

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"peerchat/cmd/peerchat/e2e/lab"
	api "peerchat/peer"
	"peerchat/peer/history"
	"peerchat/peer/negotiate"
	"peerchat/peer/wire"
	"peerchat/signaling"
)

// villainEnv names what the test's own program is to do, as a process of a world, instead of testing: one of villains.
const villainEnv = "PEERCHAT_E2E_VILLAIN"

// villains are ways to misuse a link. Each gets the number of a frame and returns the frame.
var villains = map[string]func(v *villain, n int) []byte{
	"garbage": func(*villain, int) []byte { return []byte(rand.Text()) },
	"offers": func(_ *villain, n int) []byte { // of what does not exist
		return encodeFrame(wire.Have{Room: "general", Heads: invented(n, 512), Ways: make([]wire.Way, 512)})
	},
	"digests": func(_ *villain, n int) []byte {
		return encodeFrame(wire.Digest{Room: "general", Heads: invented(n, wire.MaxHeads)})
	},
	"flood": func(v *villain, _ int) []byte {
		return encodeFrame(wire.Have{Room: "general", Heads: []wire.Head{{Author: v.id, Seq: 1}}})
	},
	"bulk": func(_ *villain, n int) []byte { // as long as a frame may be, and longer
		return make([]byte, wire.MaxFrame+n%2*512)
	},
}

// invented are heads of logs that nobody has.
func invented(n, heads int) []wire.Head {
	list := make([]wire.Head, heads)
	for i := range list {
		list[i] = wire.Head{Author: wire.PeerID{byte(n >> 8), byte(n), byte(i >> 8), byte(i), 1}, Seq: 1 << 40}
	}
	return list
}

func encodeFrame(f wire.Frame) []byte {
	b, err := wire.AppendFrame(nil, f)
	if err != nil {
		panic(err)
	}
	return b
}

// villain is a peer that joins and links like any other, and then sends what it should not over each link.
type villain struct {
	id    wire.PeerID
	key   ed25519.PrivateKey
	frame func(v *villain, n int) []byte
	rtc   *api.RTC

	mu    sync.Mutex
	heard map[uuid.UUID]int // frames of each session
}

// A villain sends so many frames at each pace over each link, for so long.
const (
	villainPace   = 2 * time.Millisecond
	villainFrames = 20
	villainLong   = 5 * time.Second
)

// runVillain is the process: it misbehaves until its standard input ends.
func runVillain(kind string) int {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	switch kind {
	case "half":
		return halfOpen()
	case "surround":
		return surround()
	}
	v := &villain{id: wire.IDOf(key), key: key, frame: villains[kind], heard: map[uuid.UUID]int{}}
	node, err := api.New(api.Config{
		Key: key, Name: kind, Rooms: []wire.Room{"general"}, Store: history.NewMemory(), OnEvent: func(api.Event) {},
		NewTransport: func(sink func(api.TransportEvent)) (api.Transport, error) {
			var err error
			v.rtc, err = api.NewRTC(api.RTCConfig{Interfaces: []string{"lo"}}, func(ev api.TransportEvent) {
				sink(ev)
				v.see(ev)
			})
			return v.rtc, err
		},
		NewSignaling: func(sink func(signaling.ClientEvent)) (api.Signaling, error) {
			return signaling.NewStation(signaling.StationConfig{Client: clientOf(key, kind, sink)}), nil
		},
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	awaitEnd()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := node.Stop(ctx); err != nil {
		return 1
	}
	return 0
}

func clientOf(key ed25519.PrivateKey, name string, sink func(signaling.ClientEvent)) signaling.ClientConfig {
	return signaling.ClientConfig{Key: key, Name: name, Sink: sink, Interfaces: []string{"lo"},
		Sources: []signaling.Source{{Label: "named", Named: true, Find: func(context.Context) []string { return []string{address} }}}}
}

// awaitEnd returns when standard input ends.
func awaitEnd() {
	buf := make([]byte, 512)
	for {
		if _, err := os.Stdin.Read(buf); err != nil {
			return
		}
	}
}

// see waits until a link is in use on both sides, which its second frame shows, and then attacks.
func (v *villain) see(ev api.TransportEvent) {
	f, ok := ev.(api.Received)
	if !ok {
		return
	}
	v.mu.Lock()
	v.heard[f.Session]++
	begin := v.heard[f.Session] == 2
	v.mu.Unlock()
	if begin {
		go v.attack(f.Session)
	}
}

func (v *villain) attack(session uuid.UUID) {
	tick := time.NewTicker(villainPace)
	defer tick.Stop()
	end := time.After(villainLong)
	for n := 0; ; {
		select {
		case <-end:
			return
		case <-tick.C:
			for range villainFrames {
				v.rtc.Send(session, v.frame(v, n), false)
				n++
			}
		}
	}
}

// halfOpen offers links in the name of forty, and does nothing with the answers.
func halfOpen() int {
	for i := range 40 {
		_, key, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			return 1
		}
		var client *signaling.Client
		var rtc *api.RTC
		offers := map[uuid.UUID]wire.PeerID{} // it is touched while the mutex is held
		var mu sync.Mutex
		rtc, err = api.NewRTC(api.RTCConfig{Interfaces: []string{"lo"}}, func(ev api.TransportEvent) {
			d, ok := ev.(api.Described)
			if !ok {
				return
			}
			mu.Lock()
			to := offers[d.Session]
			mu.Unlock()
			m := negotiate.Message{Kind: negotiate.KindOffer, Session: d.Session, Instance: uuid.New(), SDP: d.Description.SDP,
				Fingerprint: d.Description.Fingerprint}
			m.Sign(key, to)
			if data, err := m.Append(nil); err == nil {
				client.Signal(to, data)
			}
		})
		if err != nil {
			return 1
		}
		client = signaling.NewClient(clientOf(key, fmt.Sprint("half", i), func(ev signaling.ClientEvent) {
			if j, ok := ev.(signaling.Joined); ok {
				for _, m := range j.Members {
					if strings.HasPrefix(m.Name, "half") {
						continue
					}
					id := uuid.New()
					mu.Lock()
					offers[id] = m.Peer
					mu.Unlock()
					rtc.Offer(id, m.Peer)
				}
			}
		}))
		client.Start()
		client.Join("general")
	}
	awaitEnd()
	return 0
}

// villain starts the test's own program as an attacker in the world.
func (w *world) villain(kind string) *peer {
	w.t.Helper()
	self, err := os.Executable()
	if err != nil {
		w.t.Fatal(err)
	}
	return w.startCommand(w.net, lab.Command{Name: kind, Path: self, Env: []string{villainEnv + "=" + kind}, Plain: true})
}

// peak is the most memory that a process had at a time, in KiB.
func (p *peer) peak() int {
	p.w.t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.Pid()))
	if err != nil {
		p.w.t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			n, err := strconv.Atoi(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")))
			if err != nil {
				p.w.t.Fatal(err)
			}
			return n
		}
	}
	p.w.t.Fatalf("no VmHWM in %s", b)
	return 0
}

// Three peers talk on while others at their links do the worst that they can; their memory stays bounded, and they say
// what is wrong.
func TestVillainsOnTheWire(t *testing.T) {
	for _, c := range []struct {
		villains []string
		told     []string // codes, each by somebody
	}{
		{[]string{"garbage", "flood"}, []string{"protocol", "flood"}},
		{[]string{"offers", "digests"}, []string{"claims"}},
		{[]string{"bulk", "half"}, []string{"protocol"}},
	} {
		t.Run(strings.Join(c.villains, "-"), func(t *testing.T) {
			w := newWorld(t)
			w.tracker()
			honest := w.crowd(3)
			before := 0
			for _, p := range honest {
				before = max(before, p.peak())
			}
			for _, kind := range c.villains {
				w.villain(kind)
			}
			who := honest[:1]
			if slices.Contains(c.villains, "half") { // so many names make it a large room
				who = honest
			}
			for _, code := range c.told {
				w.somebodyWants(fmt.Sprintf("somebody is told of %q", code), complaint(code), who...)
			}
			chat := newTalk("chat")
			for range 10 {
				chat.say(3, honest...)
				chat.want("the honest talk on", honest...)
			}
			for _, p := range honest {
				for _, e := range p.Lines() {
					if e.Type == "link" && e.State == "down" && strings.HasPrefix(e.Name, "p") {
						t.Errorf("%s lost its link with %s: %s", p.Name, e.Name, e.Raw)
					}
				}
				peak := p.peak()
				t.Logf("%s had %d MiB at most, %d MiB before", p.Name, peak>>10, before>>10)
				if peak > before+200<<10 {
					t.Errorf("%s had %d MiB: want 200 MiB at most more than the %d MiB before", p.Name, peak>>10, before>>10)
				}
			}
		})
	}
}

// somebodyWants awaits an event at one of some peers, whoever it is: in a room of many names not everybody has a link
// with each attacker.
func (w *world) somebodyWants(what string, match func(lab.Event) bool, ps ...*peer) {
	w.t.Helper()
	errs := make(chan error, len(ps))
	for _, p := range ps {
		go func() {
			_, err := p.Await(0, patience, what, match)
			errs <- err
		}()
	}
	var err error
	for range ps {
		if err = <-errs; err == nil {
			return // the others end with their patience, or with their processes
		}
	}
	w.t.Fatal(err)
}

// complaint is an error or notice with a code.
func complaint(code string) func(lab.Event) bool {
	return func(e lab.Event) bool { return (e.Type == "error" || e.Type == "notice") && e.Code == code }
}
