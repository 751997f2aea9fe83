package peer_test

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"peerchat/peer"
	"peerchat/peer/history"
	"peerchat/peer/peertest"
	"peerchat/peer/wire"
	"peerchat/signaling"
	"peerchat/signaling/signalingtest"
)

const general = wire.Room("general")

// crowd is a number of Nodes over real WebRTC on a simulated network, with a tracker in memory.
type crowd struct {
	t     *testing.T
	net   *peertest.VNet
	hub   *signalingtest.Hub
	nodes []*member
}

// member is one Node and what it told.
type member struct {
	name string
	id   wire.PeerID
	node *peer.Node
	said []string

	mu     sync.Mutex
	events []peer.Event
}

func newCrowd(t *testing.T, n int) *crowd {
	net := peertest.NewVNet(t, n, 5*time.Millisecond, 1)
	c := newCrowdOver(t, n, func(i int, _ wire.PeerID, sink func(peer.TransportEvent)) (peer.Transport, error) {
		return peer.NewRTC(peer.RTCConfig{Net: net.Nets[i]}, sink)
	})
	c.net = net
	return c
}

// newCrowdOver makes a crowd whose members have transports of another kind.
func newCrowdOver(t *testing.T, n int, transport func(i int, id wire.PeerID, sink func(peer.TransportEvent)) (peer.Transport, error)) *crowd {
	c := &crowd{t: t, hub: signalingtest.New(signaling.HubConfig{})}
	for i := range n {
		m := &member{name: fmt.Sprintf("p%d", i)}
		key := ed25519.NewKeyFromSeed([]byte(fmt.Sprintf("%032d", i)))
		m.id = wire.IDOf(key)
		store := history.NewMemory()
		var err error
		m.node, err = peer.New(peer.Config{
			Key: key, Name: m.name, Rooms: []wire.Room{general}, Store: store, Seed: uint64(i),
			NewTransport: func(sink func(peer.TransportEvent)) (peer.Transport, error) {
				return transport(i, m.id, sink)
			},
			NewSignaling: func(sink func(signaling.ClientEvent)) (peer.Signaling, error) {
				return c.hub.NewClient(m.id, m.name, sink), nil
			},
			OnEvent: func(ev peer.Event) {
				m.mu.Lock()
				defer m.mu.Unlock()
				m.events = append(m.events, ev)
			},
		})
		if err != nil {
			t.Fatalf("start %s: %v", m.name, err)
		}
		c.nodes = append(c.nodes, m)
	}
	return c
}

// stop ends everything, so that the bubble can end. The network is cut first: when both ends of a connection close at
// once, pion may hold a lock through a wait of 200 ms that another of its goroutines needs. With a real clock
// that passes; in a bubble, waiting for a lock stops the clock.
func (c *crowd) stop() {
	for i := range c.nodes {
		if c.net != nil {
			c.net.SetCut(i, true)
		}
	}
	for _, m := range c.nodes {
		m.stop(c.t, 5*time.Second)
	}
	c.hub.Close()
}

// stop stops a member's Node, which must take no longer than patience.
func (m *member) stop(t *testing.T, patience time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := m.node.Stop(ctx); err != nil {
		t.Errorf("stop %s: %v", m.name, err)
	}
}

func (c *crowd) say(i int, text string) {
	m := c.nodes[i]
	m.said = append(m.said, text)
	m.node.Do(peer.Say{Room: general, Kind: wire.KindText, Text: text})
}

// count is how many events of a member want accepts.
func (m *member) count(want func(peer.Event) bool) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := 0
	for _, ev := range m.events {
		if want(ev) {
			n++
		}
	}
	return n
}

// knows is how many others a member was told to be in the room.
func (m *member) knows() int {
	told := m.count(func(ev peer.Event) bool { _, ok := ev.(peer.MemberJoined); return ok })
	return told - m.count(func(ev peer.Event) bool { _, ok := ev.(peer.MemberLeft); return ok })
}

// links is how many links of a member are up.
func (m *member) links() int {
	up := func(state bool) func(peer.Event) bool {
		return func(ev peer.Event) bool { l, ok := ev.(peer.LinkChanged); return ok && l.Up == state }
	}
	return m.count(up(true)) - m.count(up(false))
}

// wantAll checks that everybody was shown every line, once, each author's in order.
func (c *crowd) wantAll() {
	c.t.Helper()
	for _, m := range c.nodes {
		shown := map[wire.PeerID][]peer.Message{}
		m.mu.Lock()
		for _, ev := range m.events {
			if msg, ok := ev.(peer.Message); ok {
				shown[msg.Person.Peer] = append(shown[msg.Person.Peer], msg)
			}
		}
		m.mu.Unlock()
		for _, author := range c.nodes {
			if got := peer.Shown(shown[author.id]); !slices.Equal(got, author.said) {
				c.t.Errorf("%s was shown %d lines of %s, want the %d that were said, once and in order", m.name, len(got), author.name, len(author.said))
			}
		}
	}
}

// wantMesh waits until everybody knows everybody, and is linked with everybody or, in a larger crowd, with some.
func (c *crowd) wantMesh(patience time.Duration) {
	c.t.Helper()
	want := len(c.nodes) - 1
	if len(c.nodes) > 6 {
		want = 3
	}
	began := time.Now()
	for {
		synctest.Wait()
		links, members := 0, 0
		for _, m := range c.nodes {
			links += max(0, want-m.links())
			members += len(c.nodes) - 1 - m.knows()
		}
		if links == 0 && members == 0 {
			return
		}
		if time.Since(began) > patience {
			c.t.Fatalf("after %v %d link ends are missing of the mesh of %d peers, and %d times one does not know that another is there",
				patience, links, len(c.nodes), members)
		}
		time.Sleep(50 * time.Millisecond) // of the bubble's time
	}
}

func TestEightPeersTalkOverWebRTC(t *testing.T) {
	for _, loss := range []float64{0, 0.05, 0.20} {
		t.Run(fmt.Sprintf("%.0f%% loss", 100*loss), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCrowd(t, 8)
				defer c.stop()
				c.net.SetLoss(loss)
				c.wantMesh(20 * time.Second)
				for i := range 10 {
					for p := range c.nodes {
						c.say(p, fmt.Sprintf("line %d of %d", i, p))
					}
					time.Sleep(200 * time.Millisecond)
				}
				time.Sleep(10 * time.Second)
				c.wantAll()
				ready := c.nodes[0].count(func(ev peer.Event) bool { _, ok := ev.(peer.Ready); return ok })
				if ready != 1 {
					t.Errorf("p0 told %d times that it is ready, want once", ready)
				}
			})
		})
	}
}

func TestAPeerThatIsCutOffGetsWhatItMissed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(t, 4)
		defer c.stop()
		c.wantMesh(10 * time.Second)
		c.net.SetCut(3, true)
		for i := range 5 {
			c.say(0, fmt.Sprint("while one is away ", i))
			c.say(3, fmt.Sprint("into the void ", i))
			time.Sleep(2 * time.Second)
		}
		if n := c.nodes[3].links(); n != 0 {
			t.Errorf("p3 is cut off for 10 s and still believes in %d links", n)
		}
		c.net.SetCut(3, false)
		c.wantMesh(60 * time.Second)
		time.Sleep(10 * time.Second)
		c.wantAll()
	})
}

func TestTheTrackersDeathIsNotNoticedByTheTalk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(t, 5)
		defer c.stop()
		c.wantMesh(10 * time.Second)
		c.hub.Down()
		for i := range 20 {
			c.say(i%5, fmt.Sprint("without a tracker ", i))
			time.Sleep(time.Second)
		}
		c.wantAll()
		c.hub.Up()
		time.Sleep(30 * time.Second)
		c.wantMesh(time.Second)
		for _, m := range c.nodes {
			left := m.count(func(ev peer.Event) bool { _, ok := ev.(peer.MemberLeft); return ok })
			if left > 0 || m.count(func(ev peer.Event) bool { l, ok := ev.(peer.LinkChanged); return ok && !l.Up }) > 0 {
				t.Errorf("%s lost links or members though only the tracker was away", m.name)
			}
		}
	})
}

// Over WebRTC the tests with real processes show the same; see crowd.stop for why it is not done in a bubble.
func TestLeavingIsToldAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := peertest.NewNetwork(1)
		defer net.Close()
		c := newCrowdOver(t, 3, func(_ int, id wire.PeerID, sink func(peer.TransportEvent)) (peer.Transport, error) {
			return net.Transport(id, sink), nil
		})
		defer c.stop()
		c.wantMesh(10 * time.Second)
		began := time.Now()
		if err := c.nodes[2].node.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
		for _, m := range c.nodes[:2] {
			left := m.count(func(ev peer.Event) bool { l, ok := ev.(peer.MemberLeft); return ok && l.Person.Peer == c.nodes[2].id })
			if left != 1 {
				t.Errorf("%v after p2 left, %s was told so %d times, want once", time.Since(began), m.name, left)
			}
		}
	})
}

// busyTransport keeps its Node busy from the next frame on, until idle is closed.
type busyTransport struct {
	peer.Transport
	busy atomic.Bool
	idle chan struct{}
}

func (b *busyTransport) Send(session uuid.UUID, frame []byte, fast bool) {
	if b.busy.Load() {
		<-b.idle
	}
	b.Transport.Send(session, frame, fast)
}

func TestLeavingComesAfterWhatWasSaid(t *testing.T) {
	for range 20 { // the Node, once it looks, finds both waiting
		synctest.Test(t, func(t *testing.T) {
			net := peertest.NewNetwork(1)
			defer net.Close()
			last := &busyTransport{idle: make(chan struct{})}
			c := newCrowdOver(t, 2, func(i int, id wire.PeerID, sink func(peer.TransportEvent)) (peer.Transport, error) {
				if i == 0 {
					return net.Transport(id, sink), nil
				}
				last.Transport = net.Transport(id, sink)
				return last, nil
			})
			defer c.stop()
			c.wantMesh(10 * time.Second)
			last.busy.Store(true)
			c.say(1, "first words")
			synctest.Wait()
			c.say(1, "last words")
			over, cancel := context.WithCancel(t.Context())
			cancel()
			c.nodes[1].node.Stop(over) // does not wait
			close(last.idle)
			if err := c.nodes[1].node.Stop(t.Context()); err != nil {
				t.Fatal(err)
			}
			time.Sleep(100 * time.Millisecond)
			synctest.Wait()
			if n := c.nodes[0].count(func(ev peer.Event) bool { m, ok := ev.(peer.Message); return ok && m.Text == "last words" }); n != 1 {
				t.Fatalf("what p1 said before it left came %d times, want once", n)
			}
		})
	}
}
