package main

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/google/uuid"

	"peerchat/peer"
	"peerchat/peer/history"
	"peerchat/peer/wire"
	"peerchat/signaling"
	"peerchat/signaling/signalingtest"
)

// crowdRoom is the room that they are all in.
const crowdRoom = wire.Room("general")

// crowdAtOnce is how many of a crowd join at the same time: they all share a few processors. Nor does anybody join
// while more links wait to be made than are being made.
const crowdAtOnce = 8

// crowdMemory is what a crowd may use before its garbage is collected all the same. To mark the stacks and the heap of
// a thousand peers takes a second or more, in which they all wait, as peers of processes of their own never do
// together. Nor may there be too little of it: at the limit they wait all the time.
const crowdMemory = 18 << 30

// crowd is many peers in one process: whole Nodes with links over WebRTC on the loopback interface; their tracker and
// their histories are in memory.
type crowd struct {
	hub     *signalingtest.Hub
	gate    gate
	ice     peer.ICETimes
	rto     time.Duration
	wait    time.Duration // see peer.Config.Patience
	members []*crowdMember
	talk    atomic.Pointer[crowdTalk] // what is being measured
}

// crowdMember is one of them.
type crowdMember struct {
	crowd *crowd
	index int
	key   ed25519.PrivateKey
	node  *peer.Node
	rtc   *peer.RTC

	known, links atomic.Int32 // other members that it knows, links that are up
	failures     atomic.Int32
	begun, lost  atomic.Int32 // sessions that it offered, links that it lost

	mu     sync.Mutex // guards what follows: the transport calls from many goroutines
	asked  map[uuid.UUID]wire.PeerID
	open   map[uuid.UUID]wire.PeerID
	copies []crowdCopy // frames with events that were sent while somebody talked
	flood  wire.Verifier
	seen   map[uint32]bool // lines of a flood
}

// crowdCopy is a frame with events, and where it went.
type crowdCopy struct {
	session uuid.UUID
	frame   []byte
}

// crowdCommand is a crowd on its own: it reads orders from standard input and answers each with a line of JSON.
func crowdCommand(args []string) error {
	f := flag.NewFlagSet("crowd", flag.ContinueOnError)
	n := f.Int("n", 100, "peers")
	within := f.Duration("within", 5*time.Minute, "how long the room may take to form")
	calm := f.Bool("calm", false, "wait longer, as far more peers than processors need, because one that waits for its turn is not dead: links may be silent for 10s, send a check every 2s, and acknowledgements may take 1s and more")
	profile := f.String("profile", "", "file for a profile of the processor time until the room has formed")
	if err := f.Parse(args); err != nil {
		return err
	}
	c := &crowd{hub: signalingtest.New(signaling.HubConfig{Seed: 1}), gate: gate{under: map[uuid.UUID]bool{}}}
	if *calm {
		c.wait = time.Second
		c.rto = 3 * time.Second // with less than pion's floor of 1 s that would be all there is
		c.ice = peer.ICETimes{Disconnected: 5 * time.Second, Failed: 5 * time.Second, KeepAlive: 2 * time.Second}
	}
	defer c.stop()
	out := json.NewEncoder(os.Stdout)
	if *profile != "" {
		if _, err := c.order([]string{"profile", *profile}); err != nil {
			return err
		}
	}
	built, err := c.build(*n, *within)
	if *profile != "" {
		pprof.StopCPUProfile() // one of a room that did not form is what is wanted most
	}
	if err != nil {
		return err
	}
	if err := out.Encode(built); err != nil {
		return err
	}
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		answer, err := c.order(strings.Fields(in.Text()))
		if err != nil {
			return err
		}
		if err := out.Encode(answer); err != nil {
			return err
		}
	}
	return in.Err()
}

// order does what a line of standard input says: "talk", "flood" (see talkOrder), "rest DURATION", "count", "heap
// FILE", "keep" to collect no more garbage before there is much, or "profile FILE" and "profile" to end it.
func (c *crowd) order(words []string) (any, error) {
	words = append(words, "", "") // an order may lack what belongs to it, which shows where it is used
	switch words[0] {
	case "talk", "flood":
		var o talkOrder
		if err := o.parse(words[1 : len(words)-2]); err != nil {
			return nil, err
		}
		return c.measure(words[0] == "flood", o), nil
	case "rest":
		d, err := time.ParseDuration(words[1])
		if err != nil {
			return nil, err
		}
		before, wire, at := ownTime(), loopbackBytes(), time.Now()
		time.Sleep(d) // what is measured is that nothing happens
		took := time.Since(at).Seconds()
		return map[string]float64{"cpu": (ownTime() - before).Seconds() / took, "wire": float64(loopbackBytes()-wire) / took}, nil
	case "keep":
		runtime.GC()
		debug.SetMemoryLimit(crowdMemory)
		debug.SetGCPercent(-1)
		return struct{}{}, nil
	case "count":
		var b crowdBuilt
		c.count(&b)
		return b, nil
	case "heap":
		file, err := os.Create(words[1])
		if err != nil {
			return nil, err
		}
		return struct{}{}, errors.Join(pprof.WriteHeapProfile(file), file.Close())
	case "profile":
		if words[1] == "" {
			pprof.StopCPUProfile()
			return struct{}{}, nil
		}
		file, err := os.Create(words[1])
		if err != nil {
			return nil, err
		}
		return struct{}{}, pprof.StartCPUProfile(file)
	}
	return nil, fmt.Errorf("an order begins with %q", words[0])
}

// crowdBuilt is the first line that a crowd prints.
type crowdBuilt struct {
	Linked  float64 `json:"linked_s"`  // until each has three links
	Known   float64 `json:"known_s"`   // until each knows all others as well
	CPU     float64 `json:"cpu_s"`     // used until then
	Links   float64 `json:"links"`     // of a peer, on average, then
	Members int     `json:"members"`   // peers
	Begun   int     `json:"begun"`     // sessions that were offered
	Lost    int     `json:"lost"`      // links that ended, counted at both ends
	Failed  int     `json:"failures"`  // that were told
	Memory  int64   `json:"memory"`    // resident bytes
	Heap    int64   `json:"heap"`      // bytes of heap and stacks, after a collection
	Go      int64   `json:"goroutine"` // goroutines
}

// build starts n peers, a few at a time, and awaits that they are one room.
func (c *crowd) build(n int, within time.Duration) (crowdBuilt, error) {
	began := time.Now()
	lost := func(i int) error {
		return fmt.Errorf("make a room of %d peers: after %v %d were started", n, within, i)
	}
	for i := range n {
		if err := c.add(i); err != nil {
			return crowdBuilt{}, fmt.Errorf("start peer %d: %w", i, err)
		}
		if i > 0 && i%max(1, n/10) == 0 {
			fmt.Fprintf(os.Stderr, "crowd: %d of %d peers after %v, %v of processor time; %s\n", i, n, time.Since(began).Round(time.Millisecond), ownTime(), c.state())
		}
		for c.lacking() > crowdAtOnce || c.gate.queued() > crowdLinks {
			if time.Since(began) > within {
				return crowdBuilt{}, lost(i)
			}
			time.Sleep(look)
		}
	}
	var b crowdBuilt
	for {
		links, known := 0, 0
		for _, m := range c.members {
			if int(m.links.Load()) >= enough(n) {
				links++
			}
			if int(m.known.Load()) == n-1 {
				known++
			}
		}
		took := time.Since(began)
		if links == n && b.Linked == 0 {
			b.Linked = took.Seconds()
		}
		if links == n && known == n {
			b.Known = took.Seconds()
			break
		}
		if took > within {
			return b, fmt.Errorf("make a room of %d peers: after %v %d have their links, and %d know all others", n, within, links, known)
		}
		time.Sleep(look)
	}
	c.count(&b)
	return b, nil
}

// count is what the crowd is and holds now.
func (c *crowd) count(b *crowdBuilt) {
	b.CPU, b.Members = ownTime().Seconds(), len(c.members)
	for _, m := range c.members {
		b.Links += float64(m.links.Load()) / float64(len(c.members))
		b.Failed += int(m.failures.Load())
		b.Begun += int(m.begun.Load())
		b.Lost += int(m.lost.Load())
	}
	now := measureSelf()
	b.Memory, b.Heap, b.Go = now.rss, now.heap, now.goroutines
}

// state is how the crowd gets on, for whoever waits for it.
func (c *crowd) state() string {
	links, begun, lost := 0, 0, 0
	for _, m := range c.members {
		links, begun, lost = links+int(m.links.Load()), begun+int(m.begun.Load()), lost+int(m.lost.Load())
	}
	return fmt.Sprintf("%d links of %d sessions, %d ended; %d are being made, %d wait", links/2, begun, lost/2, c.gate.making(), c.gate.queued())
}

// lacking is how many of those that were started have too few links yet.
func (c *crowd) lacking() (n int) {
	for _, m := range c.members {
		if int(m.links.Load()) < min(enough(len(c.members)), len(c.members)-1) {
			n++
		}
	}
	return n
}

func (c *crowd) stop() {
	var all sync.WaitGroup
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for _, m := range c.members {
		all.Go(func() { _ = m.node.Stop(ctx) }) // the process ends with it in any case
	}
	all.Wait()
	c.hub.Close()
}

// add starts the i-th peer.
func (c *crowd) add(i int) error {
	m := &crowdMember{crowd: c, index: i, key: ed25519.NewKeyFromSeed(fmt.Appendf(nil, "%032d", i)),
		asked: map[uuid.UUID]wire.PeerID{}, open: map[uuid.UUID]wire.PeerID{}, seen: map[uint32]bool{}}
	c.members = append(c.members, m)
	name := fmt.Sprintf("p%d", i)
	var err error
	m.node, err = peer.New(peer.Config{
		Key: m.key, Name: name, Rooms: []wire.Room{crowdRoom}, Store: history.NewMemory(), Seed: uint64(i), Patience: c.wait,
		NewTransport: func(sink func(peer.TransportEvent)) (peer.Transport, error) {
			var err error
			report := func(ev peer.TransportEvent) {
				if m.carried(ev) {
					sink(ev)
				}
			}
			m.rtc, err = peer.NewRTC(peer.RTCConfig{Interfaces: []string{"lo"}, ICE: c.ice, RTOMax: c.rto}, report)
			return tap{m.rtc, m, report}, err
		},
		NewSignaling: func(sink func(signaling.ClientEvent)) (peer.Signaling, error) {
			return c.hub.NewClient(wire.IDOf(m.key), name, sink), nil
		},
		OnEvent: m.told,
	})
	return err
}

// told takes what the Node tells.
func (m *crowdMember) told(ev peer.Event) {
	switch ev := ev.(type) {
	case peer.Message:
		if t := m.crowd.talk.Load(); t != nil && !ev.Self {
			t.arrived(m.index, ev.Text)
		}
	case peer.MemberJoined:
		m.known.Add(1)
	case peer.MemberLeft:
		m.known.Add(-1)
	case peer.RoomJoined:
		m.known.Store(int32(len(ev.Members)))
	case peer.LinkChanged:
		if ev.Up {
			m.links.Add(1)
		} else {
			m.links.Add(-1)
			m.lost.Add(1)
		}
	case peer.Failure:
		m.failures.Add(1)
	}
}

// tap is a transport that notes what goes through it, and floods.
type tap struct {
	*peer.RTC
	m      *crowdMember
	report func(peer.TransportEvent)
}

// Send counts what carries events: the frame's first item is its type (see package wire).
func (t tap) Send(session uuid.UUID, frame []byte, fast bool) {
	if len(frame) > 1 && frame[1] == 3 && t.m.crowd.talk.Load() != nil {
		t.m.mu.Lock()
		t.m.copies = append(t.m.copies, crowdCopy{session, frame})
		t.m.mu.Unlock()
	}
	t.RTC.Send(session, frame, fast)
}

func (m *crowdMember) asks(session uuid.UUID, remote wire.PeerID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asked[session] = remote
}

// carried looks at what the transport reports, and tells whether it is the Node's.
func (m *crowdMember) carried(ev peer.TransportEvent) bool {
	switch ev := ev.(type) {
	case peer.Received:
		if len(ev.Data) > 0 && ev.Data[0] == floodMark {
			m.flooded(ev.Session, ev.Data)
			return false
		}
	case peer.Opened:
		m.crowd.gate.leave(ev.Session)
		m.mu.Lock()
		defer m.mu.Unlock()
		m.open[ev.Session] = m.asked[ev.Session]
	case peer.Closed:
		m.crowd.gate.leave(ev.Session)
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.asked, ev.Session)
		delete(m.open, ev.Session)
	}
	return true
}

// ownTime is the processor time that this process has used.
func ownTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0 // shows as a figure that cannot be
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// loopbackBytes is what the loopback interface of this process's network has carried, in bytes from IP upwards.
func loopbackBytes() uint64 {
	b, err := os.ReadFile("/proc/thread-self/net/dev")
	if err != nil {
		return 0 // as above
	}
	for line := range strings.Lines(string(b)) {
		if name, rest, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "lo" {
			var n uint64
			_, _ = fmt.Sscan(rest, &n) // as above
			return n
		}
	}
	return 0
}
