package peertest

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"

	"github.com/google/uuid"

	"peerchat/peer"
	"peerchat/peer/wire"
)

// node implements peer.Transport.
type node struct {
	net     *Network
	id      wire.PeerID
	sink    func(peer.TransportEvent)
	stopped bool

	speaking []uuid.UUID
}

type end struct {
	node   *node
	peer   wire.PeerID // the end's ID even if its node is not known yet
	closed bool
	high   bool
	queue  [][]byte // held by a cut or a stall
	queued int
}

func (e *end) self() wire.PeerID { return e.peer }

func fingerprint(id wire.PeerID) string {
	sum := sha256.Sum256(id[:])
	return strings.ReplaceAll(fmt.Sprintf("% X", sum[:]), " ", ":")
}

func (d *node) describe(session uuid.UUID, kind string) peer.Description {
	f := fingerprint(d.id)
	return peer.Description{SDP: fmt.Sprintf("%s %s %s\r\n", kind, session, f), Fingerprint: f}
}

// Offer implements peer.Transport.
func (d *node) Offer(id uuid.UUID, remote wire.PeerID) {
	d.net.locked(func() {
		if d.refused(id) {
			return
		}
		s := &session{id: id}
		s.ends[0] = end{node: d, peer: d.id}
		s.ends[1] = end{peer: remote}
		d.net.sessions[id] = s
		d.net.expire(s)
		d.net.emit(0, d, peer.Described{Session: id, Description: d.describe(id, "offer")})
	})
}

// Accept implements peer.Transport.
func (d *node) Accept(id uuid.UUID, remote wire.PeerID, offer peer.Description) {
	d.net.locked(func() {
		if d.stopped {
			d.net.emit(0, d, peer.Closed{Session: id, Err: errStopped})
			return
		}
		s := d.net.sessions[id]
		if s != nil && s.ends[1].node != nil {
			return
		}
		want := (&node{id: remote}).describe(id, "offer")
		if s == nil || s.ends[0].closed || s.ends[0].peer != remote || offer != want {
			d.net.emit(0, d, peer.Closed{Session: id, Err: errors.New("take the peer's offer: nobody made it")})
			return
		}
		s.ends[1] = end{node: d, peer: d.id}
		s.fails = d.net.failing != nil && d.net.failing(remote, d.id)
		d.net.emit(0, d, peer.Described{Session: id, Description: d.describe(id, "answer")})
	})
}

// Answer implements peer.Transport.
func (d *node) Answer(id uuid.UUID, answer peer.Description) {
	n := d.net
	n.locked(func() {
		s := n.sessions[id]
		if s == nil || s.ends[0].node != d || s.ends[0].closed || s.open {
			return
		}
		if a := s.ends[1].node; a == nil || answer != a.describe(id, "answer") {
			n.close(s, 0, errors.New("take the peer's answer: nobody gave it"))
			return
		}
		n.at(2*n.delay, func() { n.tryOpen(s) })
	})
}

// Candidate implements peer.Transport.
func (d *node) Candidate(uuid.UUID, peer.Candidate) {}

// Speak implements peer.Transport.
func (d *node) Speak(sessions []uuid.UUID) {
	d.net.locked(func() { d.speaking = append([]uuid.UUID(nil), sessions...) })
}

// SetSTUN implements peer.Transport.
func (d *node) SetSTUN([]string) {}

// Send implements peer.Transport.
func (d *node) Send(id uuid.UUID, frame []byte, fast bool) {
	n := d.net
	n.locked(func() {
		s := n.sessions[id]
		i := s.endOf(d)
		if i < 0 || !s.open || s.ends[i].closed || len(frame) > wire.MaxFrame {
			return
		}
		e, other := &s.ends[i], &s.ends[1-i]
		if n.held(s, i) {
			if !fast && e.queued+len(frame) <= hardLimit {
				e.queue = append(e.queue, frame)
				if e.queued += len(frame); e.queued > highWater && !e.high {
					e.high = true
					n.emit(0, d, peer.Pressure{Session: id, High: true})
				}
			}
			return
		}
		if fast && n.rand.Float64() < n.fastLoss {
			return
		}
		n.deliver(s, other, frame)
	})
}

// Close implements peer.Transport.
func (d *node) Close(id uuid.UUID) {
	d.net.locked(func() {
		if s := d.net.sessions[id]; s.endOf(d) >= 0 {
			d.net.close(s, s.endOf(d), nil)
		}
	})
}

// Stop implements peer.Transport.
func (d *node) Stop() {
	d.net.locked(func() {
		d.stopped = true
		for _, s := range d.net.sessions {
			if i := s.endOf(d); i >= 0 {
				d.net.close(s, i, nil)
			}
		}
	})
}

var errStopped = errors.New("open a session: the transport is stopped")

func (d *node) refused(id uuid.UUID) bool {
	if d.stopped {
		d.net.emit(0, d, peer.Closed{Session: id, Err: errStopped})
		return true
	}
	return d.net.sessions[id] != nil
}

func (s *session) endOf(d *node) int {
	if s != nil {
		for i := range s.ends {
			if s.ends[i].node == d {
				return i
			}
		}
	}
	return -1
}
