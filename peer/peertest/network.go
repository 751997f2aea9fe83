// Package peertest has transports for tests: Network, which is in memory, and VNet, which is the WebRTC one over a
// simulated network. It is imported by tests only.
//
// A Network owns all of its sessions and one goroutine, which hands every event to its sink at its time. Both work in a
// testing/synctest bubble.
package peertest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/google/uuid"

	"peerchat/peer"
	"peerchat/peer/wire"
)

// The marks of the WebRTC transport.
const (
	highWater = 1 << 20
	hardLimit = 4 << 20
	// Lifeless is how long a path may be cut until its sessions are closed.
	Lifeless = 4500 * time.Millisecond
)

// Network connects transports in memory. Its methods may be called at any time, from sinks too; nothing blocks.
type Network struct {
	mu       sync.Mutex
	rand     *rand.Rand
	nodes    map[wire.PeerID]*node
	sessions map[uuid.UUID]*session
	delay    time.Duration
	fastLoss float64
	failing  func(offerer, answerer wire.PeerID) bool
	cut      map[pair]bool
	stalled  map[pair]bool // by (sender, receiver)
	tasks    tasks
	seq      uint64
	wake     chan struct{}
	stop     chan struct{}
	done     chan struct{}
}

type pair struct{ a, b wire.PeerID }

func both(a, b wire.PeerID) pair {
	if b.Less(a) {
		a, b = b, a
	}
	return pair{a, b}
}

// NewNetwork makes a network without delay or loss. Close it.
func NewNetwork(seed uint64) *Network {
	n := &Network{
		rand: rand.New(rand.NewPCG(seed, 0)), nodes: map[wire.PeerID]*node{}, sessions: map[uuid.UUID]*session{},
		cut: map[pair]bool{}, stalled: map[pair]bool{},
		wake: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{}),
	}
	go n.run()
	return n
}

// Close stops the network; events that are on their way are lost.
func (n *Network) Close() {
	close(n.stop)
	<-n.done
}

// SetDelay sets how long everything takes one way, from now on.
func (n *Network) SetDelay(d time.Duration) { n.locked(func() { n.delay = d }) }

// SetFastLoss sets which part of the frames on the unreliable channel is lost, from 0 to 1.
func (n *Network) SetFastLoss(p float64) { n.locked(func() { n.fastLoss = p }) }

// SetFailing sets which new sessions never open: they are closed after Lifeless with an error. Nil: none.
func (n *Network) SetFailing(f func(offerer, answerer wire.PeerID) bool) {
	n.locked(func() { n.failing = f })
}

// Cut holds up everything between two peers. If that lasts for Lifeless, their sessions are closed.
func (n *Network) Cut(a, b wire.PeerID) {
	n.locked(func() {
		n.cut[both(a, b)] = true
		for _, s := range n.sessions {
			if both(s.ends[0].self(), s.ends[1].self()) == both(a, b) && s.cutAt.IsZero() {
				n.mark(s)
			}
		}
	})
}

// Heal undoes Cut.
func (n *Network) Heal(a, b wire.PeerID) {
	n.locked(func() {
		delete(n.cut, both(a, b))
		for _, s := range n.sessions {
			if both(s.ends[0].self(), s.ends[1].self()) == both(a, b) {
				s.cutAt = time.Time{}
				n.release(s)
				if s.open && (s.ends[0].closed || s.ends[1].closed) {
					n.hangUp(s)
				}
			}
		}
	})
}

// Stall makes one peer take nothing that another sends, so that its send queue fills; Unstall undoes it.
func (n *Network) Stall(from, to wire.PeerID) {
	n.locked(func() { n.stalled[pair{from, to}] = true })
}

// Unstall undoes Stall.
func (n *Network) Unstall(from, to wire.PeerID) {
	n.locked(func() {
		delete(n.stalled, pair{from, to})
		for _, s := range n.sessions {
			n.release(s)
		}
	})
}

// Sessions is how many sessions there are at a peer.
func (n *Network) Sessions(id wire.PeerID) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	count := 0
	for _, s := range n.sessions {
		for _, e := range s.ends {
			if e.node != nil && e.node.id == id && !e.closed {
				count++
			}
		}
	}
	return count
}

// Speaking is whom a peer sends its voice to, and whose it hears: it carries no voice, but notes who would get it.
func (n *Network) Speaking(id wire.PeerID) []wire.PeerID {
	n.mu.Lock()
	defer n.mu.Unlock()
	nd := n.nodes[id]
	if nd == nil {
		return nil
	}
	var to []wire.PeerID
	for _, id := range nd.speaking {
		s := n.sessions[id]
		if i := s.endOf(nd); i >= 0 && s.open {
			to = append(to, s.ends[1-i].peer)
		}
	}
	return to
}

// Transport makes the transport of a peer. A second one of the same peer takes the place of the first, as after a
// restart.
func (n *Network) Transport(id wire.PeerID, sink func(peer.TransportEvent)) peer.Transport {
	nd := &node{net: n, id: id, sink: sink}
	n.locked(func() { n.nodes[id] = nd })
	return nd
}

func (n *Network) locked(f func()) {
	n.mu.Lock()
	f()
	n.mu.Unlock()
	select {
	case n.wake <- struct{}{}:
	default:
	}
}

type session struct {
	id    uuid.UUID
	ends  [2]end // offerer, answerer
	fails bool
	open  bool
	cutAt time.Time
}

func (n *Network) isCut(s *session) bool { return n.cut[both(s.ends[0].peer, s.ends[1].peer)] }

// held reports whether what end i sends cannot arrive now.
func (n *Network) held(s *session, i int) bool {
	return n.isCut(s) || n.stalled[pair{s.ends[i].peer, s.ends[1-i].peer}]
}

func (n *Network) tryOpen(s *session) {
	if s.open || s.fails || s.ends[0].closed || s.ends[1].closed || n.isCut(s) {
		return // expire closes it
	}
	s.open = true
	for i := range s.ends {
		n.emit(0, s.ends[i].node, peer.Opened{Session: s.id, Path: n.path()})
	}
}

func (n *Network) path() peer.Path {
	return peer.Path{Kind: "host", Local: "192.0.2.1:1", Remote: "192.0.2.2:2", RTT: 2 * n.delay}
}

// expire closes a session that does not open.
func (n *Network) expire(s *session) {
	n.at(Lifeless+2*n.delay, func() {
		if !s.open {
			n.die(s, errors.New("open a link: it never opened"))
		}
	})
}

// mark begins the time after which a cut session is dead.
func (n *Network) mark(s *session) {
	at := time.Now()
	s.cutAt = at
	n.at(Lifeless, func() {
		if s.cutAt == at && s.open {
			n.die(s, fmt.Errorf("nothing has come from the peer for %v", Lifeless))
		}
	})
}

func (n *Network) die(s *session, err error) {
	for i := range s.ends {
		if e := &s.ends[i]; e.node != nil && !e.closed {
			e.closed = true
			n.emit(0, e.node, peer.Closed{Session: s.id, Err: err})
		}
	}
	delete(n.sessions, s.id)
}

// close closes one end; the other notices after the delay, if anything gets through to it.
func (n *Network) close(s *session, i int, err error) {
	e := &s.ends[i]
	if e.closed {
		return
	}
	e.closed = true
	n.emit(0, e.node, peer.Closed{Session: s.id, Err: err})
	other := &s.ends[1-i]
	if other.node == nil || other.closed {
		delete(n.sessions, s.id)
		return
	}
	if s.open && !n.isCut(s) {
		n.hangUp(s)
	}
	// Otherwise, as in WebRTC, the other end learns nothing and fails in time: expire or mark does that.
}

// hangUp tells the end that is still open that the other is not.
func (n *Network) hangUp(s *session) {
	n.at(n.delay, func() { n.die(s, errors.New("the peer closed the link")) })
}

func (n *Network) deliver(s *session, to *end, frame []byte) {
	n.at(n.delay, func() {
		if !to.closed {
			to.node.net.emit(0, to.node, peer.Received{Session: s.id, Data: append([]byte(nil), frame...)})
		}
	})
}

// release sends what was held up.
func (n *Network) release(s *session) {
	for i := range s.ends {
		e := &s.ends[i]
		if n.held(s, i) || len(e.queue) == 0 {
			continue
		}
		for _, f := range e.queue {
			n.deliver(s, &s.ends[1-i], f)
		}
		e.queue, e.queued = nil, 0
		if e.high {
			e.high = false
			n.emit(0, e.node, peer.Pressure{Session: s.id, High: false})
		}
	}
}
