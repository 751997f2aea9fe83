//go:build !race

package peer

import (
	"testing"
	"time"

	"peerchat/peer/wire"
)

// Two peers lose their link while there is no tracker, and nobody who could be one. A common neighbour passes their signals.
func TestALinkIsMendedByWayOfANeighbour(t *testing.T) {
	for seed := range uint64(10) {
		w := newWorld(seed, 4, general)
		w.run(5 * time.Second)
		w.setTracker(false)
		w.cutLink(0, 1, true)
		w.run(10 * time.Second)
		a, b := w.peers[0], w.peers[1]
		if n := a.core.net().Linked; n != 2 {
			t.Fatalf("seed %d: with one of three ways cut p0 has %d links, want 2", seed, n)
		}
		w.cutLink(0, 1, false)
		w.run(40 * time.Second)
		if l := a.core.links[b.id]; l == nil || !l.up {
			t.Errorf("seed %d: p0 and p1 have no link again: %v", seed, a.core.counters)
		}
		for _, p := range w.peers {
			p.say(general, p.name+" is there")
		}
		w.run(2 * time.Second)
		wantSame(t, w, general, seed)
	}
}

// A neighbour passes on what is for its own neighbours, for those who ask at a decent rate, one step far.
func TestPassingSignalsOnIsLimited(t *testing.T) {
	w := newWorld(1, 3, general)
	w.run(5 * time.Second)
	a, b, c := w.peers[0], w.peers[1], w.peers[2]
	session := a.core.links[b.id].session
	counted := func(what string) uint64 { return b.core.counters[what] }
	from := func(s wire.Signal) {
		frame, err := wire.AppendFrame(nil, s)
		if err != nil {
			t.Fatal(err)
		}
		b.step(Received{Session: session, Data: frame})
	}
	from(wire.Signal{To: c.id, From: a.id, Data: []byte("{}")})
	if n := counted("signal.passed"); n != 1 {
		t.Errorf("b passed %d signals on, want the one for its neighbour c", n)
	}
	from(wire.Signal{To: wire.PeerID{9}, From: a.id, Data: []byte("{}")}) // nobody
	from(wire.Signal{To: a.id, From: c.id, Data: []byte("{}")})           // back
	if p, n := counted("signal.passed"), counted("signal.not_passed"); p != 1 || n != 2 {
		t.Errorf("b passed %d signals and refused %d, want 1 and 2: it is asked for nobody, and for the sender itself", p, n)
	}
	for range 1000 {
		from(wire.Signal{To: c.id, From: a.id, Data: []byte("{}")})
	}
	if n := counted("signal.passed"); n > 300 {
		t.Errorf("b passed %d of 1,000 signals that came at once: want a limit", n)
	}
	from(wire.Signal{To: b.id, From: c.id, Data: []byte("{}")})
	if n := counted("signal.forged") + counted("signal.bad") + counted("signal.limited"); n == 0 {
		t.Error("a signal in c's name that c did not sign was taken")
	}
}
