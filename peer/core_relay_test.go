//go:build !race

package peer

import (
	"slices"
	"testing"
	"time"

	"peerchat/peer/wire"
)

// Two peers lose their link while there is no tracker, and nobody who could be one. A common neighbour passes their
// signals.
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

// In a large room that mends itself without a tracker nearly all signals for those who live find their way, though what
// each knows of the way to others is from before.
func TestSignalsFindTheirWayInALargeRoom(t *testing.T) {
	for seed := range uint64(3) {
		w := newWorld(seed, 40, general)
		w.run(30 * time.Second)
		w.setTracker(false)
		w.run(10 * time.Second)
		dead, living := w.peers[:16], w.peers[16:]
		arrived := map[string]bool{} // by what they say
		steps := 0
		for _, p := range living {
			p.meddle = func(op opSend) bool {
				s, ok := frameOf(op).(wire.Signal)
				if !ok || slices.ContainsFunc(dead, func(d *simPeer) bool { return d.id == s.To }) {
					return true
				}
				steps++
				to := p.core.sessions[op.session].peer == s.To
				arrived[string(s.Data)] = arrived[string(s.Data)] || to
				return true
			}
		}
		for _, p := range dead {
			p.kill()
		}
		w.run(time.Minute)
		lost := 0
		for _, there := range arrived {
			if !there {
				lost++
			}
		}
		t.Logf("seed %d: %d signals in %d steps, %d lost", seed, len(arrived), steps, lost)
		if len(arrived) < 100 || lost*20 > len(arrived) {
			t.Errorf("seed %d: of %d signals for the living %d were lost, want some and less than a twentieth", seed, len(arrived), lost)
		}
	}
}

func TestTrailsFade(t *testing.T) {
	at := time.Unix(0, 0)
	var ts trails
	pair := func(i int) trail { return trail{wire.PeerID{byte(i), byte(i >> 8)}, wire.PeerID{9}} }
	by := wire.PeerID{1}
	ts.leave(at, pair(0), step{by: by})
	if got := ts.last(at.Add(trailLife/2), pair(0)).by; got != by {
		t.Errorf("after half its life a trail leads to %v, want %v", got, by)
	}
	if got := ts.last(at.Add(2*trailLife), pair(0)).by; got != (wire.PeerID{}) {
		t.Errorf("an old trail leads to %v", got)
	}
	at = at.Add(time.Hour)
	for i := range 10 * maxTrails {
		ts.leave(at, pair(i), step{by: by})
	}
	if n := len(ts.now) + len(ts.before); n > maxTrails {
		t.Errorf("%d trails are kept, want %d at most", n, maxTrails)
	}
	if got := ts.last(at, pair(10*maxTrails-1)).by; got != by {
		t.Error("the latest trail is lost among many")
	}
}
