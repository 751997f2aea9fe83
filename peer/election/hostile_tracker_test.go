package election

import (
	"crypto/ed25519"
	"math/rand/v2"
	"testing"
	"time"

	"peerchat/peer/wire"
)

// This file is what trackers can do to a machine by their word, and terms near the end of what there is.

// Somebody has driven a group's term up for a while. Who comes with no term at all must still be able to follow its
// leader.
func TestANewcomerFollowsHoweverHighTheTermIs(t *testing.T) {
	for _, term := range []uint64{5 << 20, 3600 << 10, wire.HighestTerm(newWorld(t, 4).now, 0)} {
		w := newWorld(t, 4)
		p := people(w, "ann bob cyd")
		for _, n := range p {
			n.m.term, n.term, n.maxTerm = term, term, term
		}
		hosted(w, p[0])
		p[1].step(Offer{Candidate: true, Dialable: true, Priority: 49, Port: DefaultPort, Addresses: p[1].offer.Addresses})
		late := w.add("late", Offer{Candidate: true, Dialable: true, Port: DefaultPort})
		late.run()
		late.follow(0)
		w.run(100 * time.Millisecond)
		w.link(late, p[1])
		w.run(10 * time.Second)
		if why := w.agreed(); why != "" {
			t.Errorf("term %d: 10 s after a newcomer came, %s", term, why)
		}
		w.kill(p[0])
		w.run(10 * time.Second)
		if why := w.agreed(); why != "" {
			t.Errorf("term %d: 10 s after the leader's death, %s", term, why)
		}
	}
}

// A tracker may say that its term is any number. Whoever believed it is still at one with the others in the end.
func TestALyingTrackerPartsNobodyFromTheOthers(t *testing.T) {
	for _, lie := range []uint64{wire.MaxCounter, 1<<64 - 1, 1 << 40} {
		w := newWorld(t, 6)
		p := people(w, "ann bob cyd")
		hosted(w, p[0])
		victim := p[2]
		for i := range uint64(200) { // as often as it likes, in steps or at once
			victim.step(Connected{Term: lie, Addresses: []string{"evil"}})
			victim.step(Connected{Term: (i + 1) << 20, Addresses: []string{"evil"}})
			victim.step(Connected{Leader: idOf(9), Term: victim.m.term + 1<<20, Addresses: []string{"evil"}})
			w.run(10 * time.Millisecond)
		}
		victim.follow(0)
		w.run(30 * time.Second)
		for _, n := range p {
			if n.m.reign.Term != p[0].m.reign.Term || n.m.reign.Rank != p[0].m.reign.Rank {
				t.Errorf("after the lie of term %d, %s follows term %d, but ann term %d", lie, n.name, n.m.reign.Term, p[0].m.reign.Term)
			}
		}
		if p[0].m.term > wire.MaxCounter/2 {
			t.Errorf("the lie of term %d used up the numbers: the term is %d", lie, p[0].m.term)
		}
	}
}

// A home tracker whose term strangers have raised is still the home tracker.
func TestAHomeTrackerOfAHighTermIsFollowed(t *testing.T) {
	m := New(Config{Key: keyOf(1), Rand: rand.NewPCG(1, 1), Offer: Offer{Candidate: true}})
	now := time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)
	var out Output
	m.Step(now, NeighbourUp{Peer: idOf(2)}, &out)
	m.Step(now, Connected{Term: 5 << 20, Addresses: []string{"home"}}, &out)
	if s := m.State(); !s.Home || s.Phase != PhaseFollowing {
		t.Fatalf("connected to a home tracker of term %d, its state is %+v", 5<<20, s)
	}
	c := signed(keyOf(5), &Coordinator{Reign: Reign{Term: 1, Seq: 1, Rank: firm(best(keyOf(5)))}, Addresses: []string{"a"}})
	m.Step(now, from(2, c), &out)
	if s := m.State(); !s.Home {
		t.Errorf("a leader of term 1 took it away from there: %+v", s)
	}
}

// The numbers must last: nothing that can be said makes a machine take a term that leaves none.
func TestTermsCannotBeUsedUp(t *testing.T) {
	m, step, now := lone(t)
	m.check = func(ed25519.PublicKey, []byte, []byte) bool { return true }
	for i := range 2000 {
		*now = now.Add(100 * time.Millisecond)
		for _, term := range []uint64{wire.MaxCounter, m.term + 1<<20, m.highest(), m.highest() + 1, 1 << 52} {
			k := keyOf(byte(5 + i%50))
			step(from(2, &Coordinator{Reign: Reign{Term: min(term, wire.MaxCounter), Seq: uint64(i + 1), Rank: firm(best(k))}, Addresses: []string{"a"}}))
			step(from(3, &Election{Reign: Reign{Term: min(term, wire.MaxCounter), Seq: uint64(i + 1), Rank: firm(best(k))}}))
			step(from(3, &Summary{Floor: min(term, wire.MaxCounter), Reign: m.reign}))
			step(Connected{Term: term, Addresses: []string{"home"}})
		}
	}
	if m.term > 1<<51 {
		t.Errorf("in 200 s the term was driven to %d of %d", m.term, uint64(wire.MaxCounter))
	}
}
