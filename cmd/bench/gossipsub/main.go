// Command gossipsub is many nodes of go-libp2p-pubsub's GossipSub in one process, which cmd/bench compares peerchat
// with. It is a module of its own, so that peerchat does not depend on what it is compared with.
//
//	gossipsub -n 100 [-connect 6]
//
// Each node is a libp2p host on the loopback interface, as it comes out of the box but for its transport, which is TCP
// alone, and dials some random others. It prints a line of JSON when all have joined the topic and their meshes stand,
// and then one for each order on standard input:
//
//	talk -lines 100 -senders 10 -size 100 -every 50ms
//	rest 10s
//
// The orders and the answers are those of cmd/bench's own crowd. It ends with its standard input. It owns its nodes and
// nothing else, and imports nothing of peerchat.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p"
	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "gossipsub:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	flags := flag.NewFlagSet("gossipsub", flag.ContinueOnError)
	n := flags.Int("n", 100, "nodes")
	connect := flags.Int("connect", 6, "others that each node dials")
	if err := flags.Parse(args); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	c := &crowd{}
	out := json.NewEncoder(os.Stdout)
	began := time.Now()
	if err := c.build(ctx, *n, *connect); err != nil {
		return err
	}
	if err := out.Encode(map[string]float64{"known_s": time.Since(began).Seconds(), "members": float64(*n), "links": c.connections()}); err != nil {
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

// order does what a line of standard input says.
func (c *crowd) order(words []string) (any, error) {
	if len(words) < 2 {
		return nil, errors.New("an order is too short")
	}
	switch words[0] {
	case "talk":
		f := flag.NewFlagSet("talk", flag.ContinueOnError)
		lines, senders := f.Int("lines", 100, "lines in all"), f.Int("senders", 10, "who says them, in turn")
		size, every := f.Int("size", 100, "bytes of a line"), f.Duration("every", 50*time.Millisecond, "time between two")
		if err := f.Parse(words[1:]); err != nil {
			return nil, err
		}
		return c.measure(*lines, *senders, *size, *every)
	case "rest":
		d, err := time.ParseDuration(words[1])
		if err != nil {
			return nil, err
		}
		before, wire, at := ownTime(), loopbackBytes(), time.Now()
		time.Sleep(d) // what is measured is that nothing happens
		took := time.Since(at).Seconds()
		return map[string]float64{"cpu": (ownTime() - before).Seconds() / took, "wire": float64(loopbackBytes()-wire) / took}, nil
	}
	return nil, fmt.Errorf("an order begins with %q", words[0])
}

// crowd is the nodes.
type crowd struct {
	hosts  []host.Host
	topics []*pubsub.Topic
	meshed []*mesh
	talk   atomic.Pointer[talk]
	copies atomic.Int64 // messages that were sent by any node to any other
}

// build makes n nodes and awaits that each has a mesh.
func (c *crowd) build(ctx context.Context, n, connect int) error {
	var subs []*pubsub.Subscription
	for i := range n {
		h, err := libp2p.New(libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"), libp2p.Transport(tcp.NewTCPTransport), libp2p.DisableRelay())
		if err != nil {
			return fmt.Errorf("make host %d: %w", i, err)
		}
		m := &mesh{crowd: c}
		ps, err := pubsub.NewGossipSub(ctx, h, pubsub.WithRawTracer(m))
		if err != nil {
			return fmt.Errorf("make router %d: %w", i, err)
		}
		topic, err := ps.Join("general")
		if err != nil {
			return err
		}
		sub, err := topic.Subscribe(pubsub.WithBufferSize(4096))
		if err != nil {
			return err
		}
		c.hosts, c.topics, c.meshed = append(c.hosts, h), append(c.topics, topic), append(c.meshed, m)
		subs = append(subs, sub)
	}
	for i, sub := range subs {
		go c.read(ctx, i, sub)
	}
	random := rand.New(rand.NewPCG(1, 2))
	for i, h := range c.hosts {
		for _, k := range random.Perm(n)[:min(n, connect+1)] {
			if k == i {
				continue
			}
			if err := h.Connect(ctx, peer.AddrInfo{ID: c.hosts[k].ID(), Addrs: c.hosts[k].Addrs()}); err != nil {
				return fmt.Errorf("connect %d to %d: %w", i, k, err)
			}
		}
	}
	deadline := time.Now().Add(time.Minute)
	for _, m := range c.meshed {
		for m.grafts.Load() < int64(min(n-1, pubsub.GossipSubDlo)) {
			if time.Now().After(deadline) {
				return errors.New("the meshes do not form within a minute")
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
	return nil
}

// connections is how many a node has, on average.
func (c *crowd) connections() float64 {
	all := 0
	for _, h := range c.hosts {
		all += len(h.Network().Peers())
	}
	return float64(all) / float64(len(c.hosts))
}

// read takes what comes to a node.
func (c *crowd) read(ctx context.Context, i int, sub *pubsub.Subscription) {
	for {
		m, err := sub.Next(ctx)
		if err != nil {
			return
		}
		if t := c.talk.Load(); t != nil && m.ReceivedFrom != c.hosts[i].ID() {
			t.arrived(i, m.Data)
		}
	}
}

// report is how a talk went; see talkReport of cmd/bench.
type report struct {
	P50        float64   `json:"p50_ms"`
	P99        float64   `json:"p99_ms"`
	Last       []float64 `json:"last_ms"`
	Lost       int       `json:"lost"`
	Deliveries int       `json:"deliveries"`
	Copies     int       `json:"copies"`
	CPU        float64   `json:"cpu_s"`
	Wire       float64   `json:"wire"`
	Took       float64   `json:"took_s"`
}

// talk is one talk as it goes on.
type talk struct {
	said    []time.Time
	took    [][]atomic.Int64 // nanoseconds, by line and node; 0: not yet
	missing atomic.Int64
	done    chan struct{}
}

func (t *talk) arrived(node int, text []byte) {
	now := time.Now()
	if len(text) < 8 {
		return
	}
	i, err := strconv.Atoi(string(text[:8]))
	if err != nil || i >= len(t.said) {
		return
	}
	if t.took[i][node].CompareAndSwap(0, max(1, int64(now.Sub(t.said[i])))) && t.missing.Add(-1) == 0 {
		close(t.done)
	}
}

// measure has nodes publish lines by turns.
func (c *crowd) measure(lines, senders, size int, every time.Duration) (report, error) {
	t := &talk{said: make([]time.Time, lines), took: make([][]atomic.Int64, lines), done: make(chan struct{})}
	for i := range t.took {
		t.took[i] = make([]atomic.Int64, len(c.hosts))
	}
	t.missing.Store(int64(lines) * int64(len(c.hosts)-1))
	c.copies.Store(0)
	c.talk.Store(t)
	cpu, carried, began := ownTime(), loopbackBytes(), time.Now()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for i := range lines {
		<-tick.C
		line := fmt.Sprintf("%08d ", i) + strings.Repeat("x", max(0, size-9))
		t.said[i] = time.Now()
		if err := c.topics[(i%senders)*len(c.hosts)/senders].Publish(context.Background(), []byte(line)); err != nil {
			return report{}, fmt.Errorf("publish line %d: %w", i, err)
		}
	}
	select {
	case <-t.done:
	case <-time.After(10 * time.Second):
	}
	<-tick.C // what follows the last line belongs to it, as to the others
	r := report{CPU: (ownTime() - cpu).Seconds(), Wire: float64(loopbackBytes() - carried), Took: time.Since(began).Seconds()}
	c.talk.Store(nil)
	var all []float64
	for i := range t.took {
		last := 0.0
		for k := range t.took[i] {
			if ns := t.took[i][k].Load(); ns > 0 {
				all = append(all, float64(ns)/1e6)
				last = max(last, float64(ns)/1e6)
			}
		}
		r.Last = append(r.Last, last)
	}
	slices.Sort(all)
	r.Lost, r.Deliveries, r.Copies = int(t.missing.Load()), len(all), int(c.copies.Load())
	if len(all) > 0 {
		r.P50, r.P99 = all[len(all)/2], all[len(all)*99/100]
	}
	return r, nil
}

// mesh counts what happens to a node.
type mesh struct {
	crowd  *crowd
	grafts atomic.Int64 // that are in force
}

// Graft and Prune tell of the mesh, SendRPC of what is sent; nothing else matters here.
func (m *mesh) Graft(peer.ID, string)                 { m.grafts.Add(1) }
func (m *mesh) Prune(peer.ID, string)                 { m.grafts.Add(-1) }
func (m *mesh) AddPeer(peer.ID, protocol.ID)          {}
func (m *mesh) RemovePeer(peer.ID)                    {}
func (m *mesh) Join(string)                           {}
func (m *mesh) Leave(string)                          {}
func (m *mesh) ValidateMessage(*pubsub.Message)       {}
func (m *mesh) DeliverMessage(*pubsub.Message)        {}
func (m *mesh) RejectMessage(*pubsub.Message, string) {}
func (m *mesh) DuplicateMessage(*pubsub.Message)      {}
func (m *mesh) ThrottlePeer(peer.ID)                  {}
func (m *mesh) RecvRPC(*pubsub.RPC)                   {}
func (m *mesh) DropRPC(*pubsub.RPC, peer.ID)          {}
func (m *mesh) UndeliverableMessage(*pubsub.Message)  {}
func (m *mesh) SendRPC(rpc *pubsub.RPC, _ peer.ID) {
	m.crowd.copies.Add(int64(len(rpc.GetPublish())))
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
