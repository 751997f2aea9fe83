package overlay_test

import (
	"testing"
	"time"

	"peerchat/peer/overlay"
	"peerchat/peer/sim"
)

func dialed(out overlay.Output) (n int) {
	for _, a := range out.Actions {
		if _, ok := a.(overlay.Connect); ok {
			n++
		}
	}
	return n
}

// surrounded is a machine in a large room with five neighbours, that knows of many others.
func surrounded(t *testing.T) *alone {
	a := newAlone(t, overlay.Config{Active: 5, Passive: 30})
	for i := range 5 {
		a.neighbour(i)
	}
	var contacts []overlay.Contact
	for i := range 30 {
		contacts = append(contacts, overlay.Contact{Peer: sim.ID(100 + i)})
	}
	a.step(overlay.Contacts{Peers: contacts})
	return a
}

// One silent neighbour is no reason to look for others, most of them are; and it asks all the others whether they live.
func TestMostMustBeSilent(t *testing.T) {
	a := surrounded(t)
	out := a.step(overlay.Suspect{Peer: sim.ID(0)})
	asked := 0
	for _, s := range out.Sends {
		if _, ok := s.Message.(overlay.Ping); ok && s.Fast {
			asked++
		}
	}
	if asked != 5 || dialed(out) > 0 {
		t.Errorf("with one silent neighbour it asks %d whether they live and dials %d: want 5 and none", asked, dialed(out))
	}
	dials := 0
	for range 10 { // nobody answers
		a.now = a.now.Add(80 * time.Millisecond)
		dials += dialed(a.step(overlay.Tick{}))
	}
	if dials < 5 || a.Sound() > 0 || len(a.Active()) != 5 {
		t.Errorf("with all silent it dials %d, and has %d neighbours, %d not suspected: want several, 5 and none", dials, len(a.Active()), a.Sound())
	}
}

// Neighbours that are heard of again keep their places, and those that were taken instead go.
func TestWhoWasSuspectedInErrorKeepsThePlace(t *testing.T) {
	a := surrounded(t)
	for i := range 4 {
		a.step(overlay.Suspect{Peer: sim.ID(i)})
	}
	for i := range 4 {
		a.step(overlay.LinkUp{Peer: sim.ID(100 + i)})
		a.hear(100+i, overlay.Neighbor{Nonce: 9})
	}
	if len(a.Active()) != 9 || a.Sound() != 5 {
		t.Fatalf("it has %d neighbours, %d of them not suspected: want 9 and 5", len(a.Active()), a.Sound())
	}
	for i := range 4 {
		a.step(overlay.Trust{Peer: sim.ID(i)})
	}
	for i := range 5 {
		if !a.Neighbor(sim.ID(i)) {
			t.Errorf("neighbour %d has lost its place", i)
		}
	}
	if len(a.Active()) != 5 {
		t.Errorf("it has %d neighbours at the end, want 5", len(a.Active()))
	}
}

// Neighbours that never answer, and others that come in their place and do not answer either, take no more than twice
// the places; and whatever they do, this peer does not look for others all the time.
func TestNeighboursThatNeverAnswer(t *testing.T) {
	a := surrounded(t)
	dials, most := 0, 0
	for k := range 600 {
		a.now = a.now.Add(100 * time.Millisecond)
		dials += dialed(a.step(overlay.Tick{}))
		if k%5 == 0 {
			i := 1000 + k
			a.step(overlay.LinkUp{Peer: sim.ID(i)})
			a.hear(i, overlay.Neighbor{Nonce: 1, High: true})
		}
		for _, id := range a.Active() {
			dials += dialed(a.step(overlay.Suspect{Peer: id}))
		}
		if k%20 == 0 {
			for _, id := range a.Active() {
				a.step(overlay.Trust{Peer: id})
			}
		}
		most = max(most, len(a.Active()))
	}
	if most > 10 {
		t.Errorf("it had %d neighbours, want at most 10", most)
	}
	if dials > 400 {
		t.Errorf("it asked for %d links within a minute", dials)
	}
	t.Logf("%d neighbours at most, %d links asked for within a minute", most, dials)
}

// A machine that finds the time to look only now and then suspects nobody for that: the answers wait, too.
func TestWhoIsLateItselfBlamesNobody(t *testing.T) {
	a := surrounded(t)
	a.step(overlay.Suspect{Peer: sim.ID(0)})
	for range 3 {
		a.now = a.now.Add(400 * time.Millisecond)
		a.step(overlay.Tick{})
	}
	if n := a.Sound(); n != 4 {
		t.Errorf("after three looks that came late %d of 5 neighbours are not suspected, want all but the one that the broadcast misses", n)
	}
}

// Where neighbours were taken for silent that only answered late, all are given more time, until that was long ago.
func TestMistakesTeachPatience(t *testing.T) {
	a := surrounded(t)
	sound := func() int { // a second after the broadcast missed one of them, when nobody answers
		a.step(overlay.Suspect{Peer: sim.ID(0)})
		for range 12 {
			a.now = a.now.Add(80 * time.Millisecond)
			a.step(overlay.Tick{})
		}
		n := a.Sound()
		for range 30 { // then all do
			a.now = a.now.Add(80 * time.Millisecond)
			for _, s := range a.step(overlay.Tick{}).Sends {
				for i := range 5 {
					if ping, ok := s.Message.(overlay.Ping); ok && s.To == sim.ID(i) {
						a.hear(i, overlay.Pong{Nonce: ping.Nonce})
					}
				}
			}
		}
		return n
	}
	if n := sound(); n != 0 {
		t.Fatalf("%d of 5 neighbours that do not answer are not suspected, want none", n)
	}
	if n := sound(); n != 4 {
		t.Errorf("after five mistakes %d of 5 neighbours are not suspected for being late, want 4", n)
	}
	a.now = a.now.Add(2 * time.Minute)
	if n := sound(); n != 0 {
		t.Errorf("two minutes later %d of 5 neighbours that do not answer are not suspected, want none", n)
	}
}

// Most neighbours together are given less time than one alone; but the full time where answers were late within the
// last minute. The fewer live, the more others are asked at once.
func TestMostAreMissedSooner(t *testing.T) {
	probed := func(late bool) (a *alone, nonces map[int]uint32) {
		a = surrounded(t)
		nonces = make(map[int]uint32)
		note := func(out overlay.Output) {
			for _, s := range out.Sends {
				for i := range 5 {
					if ping, ok := s.Message.(overlay.Ping); ok && s.To == sim.ID(i) {
						nonces[i] = ping.Nonce
					}
				}
			}
		}
		if late { // by three pings
			note(a.step(overlay.Look{}))
			for range 3 {
				a.now = a.now.Add(40 * time.Millisecond)
				a.step(overlay.Tick{})
			}
			for i := range 5 {
				a.hear(i, overlay.Pong{Nonce: nonces[i]})
			}
			a.now = a.now.Add(15 * time.Second)
			a.step(overlay.Tick{})
		}
		note(a.step(overlay.Look{}))
		return a, nonces
	}
	for _, x := range []struct {
		what   string
		late   bool
		answer int // so many of the five
		after  int // in steps of 40 ms: when those who do not are suspected
		dials  int // links that are asked for then
	}{
		{"all are silent", false, 0, 4, 16},
		{"four of five are silent", false, 1, 4, 16},
		{"three of five are silent", false, 2, 4, 7},
		{"two of five are silent", false, 3, 6, 0},
		{"all are silent, and were late before", true, 0, 6, 16},
	} {
		a, nonces := probed(x.late)
		for i := range x.answer {
			a.hear(i, overlay.Pong{Nonce: nonces[i]})
		}
		after, dials := 0, 0
		for a.Sound() == 5 && after < 20 {
			a.now = a.now.Add(40 * time.Millisecond)
			dials += dialed(a.step(overlay.Tick{}))
			after++
		}
		if after != x.after || a.Sound() != x.answer || dials != x.dials {
			t.Errorf("%s: after %d ms %d are not suspected, and %d are asked; want after %d ms %d, and %d", x.what, 40*after, a.Sound(), dials, 40*x.after,
				x.answer, x.dials)
		}
	}
}
