package main

import (
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"peerchat/peer"
	"peerchat/peer/wire"
)

// How many links of a crowd are made at the same time.
const (
	crowdLinks    = 32
	crowdLinkTime = 3 * time.Second // and how long one of them may take before it does not count any more
)

// gate lets a crowd make only so many links at a time. All of it shares a few processors: a session that is begun when
// there is no time for it comes to nothing, and is begun again, and soon nothing else is done. Peers on machines of
// their own need no such thing. The offer that came last goes first, for the others may have been given up.
type gate struct {
	mu      sync.Mutex
	under   map[uuid.UUID]bool // sessions that are neither open nor closed
	waiting []waitingOffer
}

type waitingOffer struct {
	session uuid.UUID
	start   func()
}

// enter begins a session, now or later.
func (g *gate) enter(session uuid.UUID, start func()) {
	g.mu.Lock()
	if len(g.under) >= crowdLinks {
		g.waiting = append(g.waiting, waitingOffer{session, start})
		g.mu.Unlock()
		return
	}
	g.under[session] = true
	g.mu.Unlock()
	g.begin(waitingOffer{session, start})
}

// begin begins a session. One that nobody answers holds the others up for a while only.
func (g *gate) begin(w waitingOffer) {
	time.AfterFunc(crowdLinkTime, func() { g.leave(w.session) })
	w.start()
}

// leave is told that a session is open, or closed.
func (g *gate) leave(session uuid.UUID) {
	g.mu.Lock()
	if !g.under[session] {
		g.mu.Unlock()
		return
	}
	delete(g.under, session)
	var next waitingOffer
	if n := len(g.waiting); n > 0 {
		next, g.waiting = g.waiting[n-1], g.waiting[:n-1]
		g.under[next.session] = true
	}
	g.mu.Unlock()
	if next.start != nil {
		g.begin(next)
	}
}

// cancel takes a session back that has not begun, and tells whether it was one.
func (g *gate) cancel(session uuid.UUID) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	i := slices.IndexFunc(g.waiting, func(w waitingOffer) bool { return w.session == session })
	if i < 0 {
		return false
	}
	g.waiting = slices.Delete(g.waiting, i, i+1)
	return true
}

// Offer implements peer.Transport, as do the others.
func (t tap) Offer(session uuid.UUID, remote wire.PeerID) {
	t.m.asks(session, remote)
	t.m.begun.Add(1)
	t.m.crowd.gate.enter(session, func() { t.RTC.Offer(session, remote) })
}

// Accept begins a session at the other side.
func (t tap) Accept(session uuid.UUID, remote wire.PeerID, offer peer.Description) {
	t.m.asks(session, remote)
	t.RTC.Accept(session, remote, offer)
}

// Close ends a session, which may not have begun.
func (t tap) Close(session uuid.UUID) {
	if t.m.crowd.gate.cancel(session) {
		go t.report(peer.Closed{Session: session}) // its caller must not find itself in its own sink
		return
	}
	t.RTC.Close(session)
}

// making and queued are how many links are being made now, and how many are yet to be begun.
func (g *gate) making() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.under)
}

func (g *gate) queued() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.waiting)
}
