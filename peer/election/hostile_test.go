package election

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"math/rand/v2"
	"testing"
	"time"

	"peerchat/peer/wire"
)

// This file is what a peer, or many identities of one, can do to others that they have a link with. A tracker's lies
// are in hostile_tracker_test.go.

// sybil is one of as many identities as somebody likes to have.
func sybil(n int) ed25519.PrivateKey {
	seed := sha256.Sum256(binary.BigEndian.AppendUint64([]byte("sybil"), uint64(n)))
	return ed25519.NewKeyFromSeed(seed[:])
}

func idOf(n byte) wire.PeerID { return wire.IDOf(keyOf(n)) }

func signed[M Message](key ed25519.PrivateKey, m M) M {
	sign(key, m)
	return m
}

// best is the highest rank that a peer can claim.
func best(key ed25519.PrivateKey) Rank {
	return Rank{Dialable: true, Priority: 1<<15 - 1, Port: DefaultPort, ID: wire.IDOf(key)}
}

func firm(r Rank) Rank {
	r.Firm = true
	return r
}

// ownerless signs m in the name of the zero ID, which nobody has the key of: as an Ed25519 public key it is a point of
// order 4, so that a signature of it can be guessed with one try in four.
func ownerless(t *testing.T, m Message, vary func(i uint64)) {
	t.Helper()
	identity := append([]byte{1}, make([]byte, 31)...)
	for i := range uint64(100) {
		vary(i + 1)
		*signature(m) = [64]byte{}
		copy(signature(m)[:], identity)
		if text, signer := sealed(nil, m); ed25519.Verify(signer.Key(), text, signature(m)[:]) {
			return
		}
	}
	t.Fatalf("no signature of the zero key was found for a %T", m)
}

// Nobody signs in the name of the home tracker, whose ID is zero.
func TestNobodySpeaksAsTheZeroPeer(t *testing.T) {
	t.Run("a resignation of the home tracker", func(t *testing.T) {
		m, step, _ := lone(t)
		step(Connected{Term: 10, Addresses: []string{"home"}})
		if !m.reign.Rank.Home {
			t.Fatal("it does not follow the home tracker, so this tests nothing")
		}
		r := &Resignation{Term: m.reign.Term, Successor: m.self}
		ownerless(t, r, func(i uint64) { r.Route.Hops = 1; m.term, m.reign.Term, r.Term = 10+i, 10+i, 10+i })
		step(Receive{From: idOf(2), Data: forced(r)})
		if m.leading {
			t.Error("a forged resignation of the home tracker made this peer the leader")
		}
	})
	t.Run("an announcement by nobody", func(t *testing.T) {
		m, step, _ := lone(t)
		c := &Coordinator{Addresses: []string{"a"}}
		ownerless(t, c, func(i uint64) { c.Reign = Reign{Term: 11, Seq: i, Rank: Rank{Firm: true, Dialable: true}} })
		b := forced(c)
		step(Receive{From: idOf(2), Data: b})
		if m.reign.Term != 10 {
			t.Error("an announcement that nobody can have signed is followed")
		}
	})
	t.Run("a candidate that is nobody", func(t *testing.T) {
		m, step, _ := lone(t)
		c := &Candidate{Addresses: []string{"a"}}
		ownerless(t, c, func(i uint64) { c.Seq = i })
		step(Receive{From: idOf(2), Data: forced(c)})
		if len(m.ranking) > 0 {
			t.Error("the zero peer is a candidate")
		}
	})
}

// forced encodes what AppendMessage may refuse.
func forced(m Message) []byte {
	b := []byte{m.kind()}
	switch m := m.(type) {
	case *Candidate:
		b = append(m.body(binary.BigEndian.AppendUint16(m.Route.append(b), m.Age)), m.Sig[:]...)
	case *Coordinator:
		b = append(m.body(m.Route.append(b)), m.Sig[:]...)
	case *Resignation:
		b = append(m.body(m.Route.append(b)), m.Sig[:]...)
	}
	return b
}

// The numbers with which a peer orders its own words are its own: whoever could drive them up could make it mute, for
// good.
func TestNobodyElseNumbersOnesWords(t *testing.T) {
	for what, lie := range map[string]func(m *Machine) Message{
		"a summary": func(m *Machine) Message {
			return &Summary{Floor: 10, Reign: m.reign, Candidates: []version{{m.self, wire.MaxCounter}}}
		},
		"a forged candidate": func(m *Machine) Message {
			return &Candidate{Peer: m.self, Seq: wire.MaxCounter, Rank: Rank{ID: m.self}}
		},
	} {
		m, step, now := lone(t)
		*now = now.Add(time.Second)
		step(Tick{})
		if m.own == nil {
			t.Fatal("it did not announce itself, so this tests nothing")
		}
		step(from(2, lie(m)))
		*now = now.Add(time.Second)
		step(Tick{})
		if m.seq > uint64(now.UnixMilli())+100 {
			t.Errorf("%s of a neighbour drove this peer's number to %d", what, m.seq)
		}
	}
}

// A peer whose clock is behind its former life's still gets above what it said then.
func TestAnEarlierLifesNumberIsExceeded(t *testing.T) {
	m, step, now := lone(t)
	before := signed(keyOf(1), &Candidate{Peer: m.self, Seq: uint64(now.UnixMilli()) + 1e9, Rank: Rank{ID: m.self}})
	out := step(from(2, &Summary{Floor: 10, Reign: m.reign, Candidates: []version{{m.self, before.Seq}}}))
	asked := false
	for _, s := range out.Sends {
		asked = asked || s.To == idOf(2) && s.Data[0] == kindSummary
	}
	if !asked {
		t.Error("it hears of a later word of its own, but does not ask for it")
	}
	step(from(2, before))
	*now = now.Add(time.Second)
	step(Tick{})
	if m.own == nil || m.own.Seq <= before.Seq {
		t.Errorf("it announces itself with %+v, want a number above %d", m.own, before.Seq)
	}
}

// mob is a mesh of five honest peers, led by the best, and one more who does as the tests want.
func mob(t *testing.T, seed uint64) (w *world, honest []*node, mal *node) {
	w = newWorld(t, seed)
	p := people(w, "ann bob cyd dan eve (mal)")
	hosted(w, p[0])
	return w, p[:5], p[5]
}

// say has a node send a message, whatever its machine thinks of it.
func (n *node) say(to *node, m Message) { n.send(to, forcedOr(m)) }

func forcedOr(m Message) []byte {
	if b, err := AppendMessage(nil, m); err == nil {
		return b
	}
	return forced(m)
}

// Whatever a neighbour floods, within what it may send, those who pass it on must stay within what they may send. Else
// one liar makes honest peers cut each other off.
func TestAFloodPartsNoHonestPeers(t *testing.T) {
	floods := map[string]func(w *world, i int) Message{
		"elections": func(w *world, i int) Message {
			key := sybil(i % 5)
			return signed(key, &Election{Reign: Reign{Term: w.nodes[1].m.term + 1, Seq: uint64(i + 1), Rank: Rank{Firm: true, ID: wire.IDOf(key)}}})
		},
		"elections of ever new identities": func(w *world, i int) Message {
			key := sybil(i)
			return signed(key, &Election{Reign: Reign{Term: w.nodes[1].m.term + 1, Seq: 1, Rank: Rank{Firm: true, ID: wire.IDOf(key)}}})
		},
		"ever better candidates": func(w *world, i int) Message {
			key := sybil(i)
			return signed(key, &Candidate{Peer: wire.IDOf(key), Seq: 1, Rank: Rank{Priority: int16(min(i, 1<<15-1)), ID: wire.IDOf(key)}})
		},
		"announcements of one term": func(w *world, i int) Message {
			key := sybil(0)
			return signed(key, &Coordinator{Reign: Reign{Term: 2, Seq: uint64(i + 1), Rank: firm(best(key))}, Addresses: []string{"n0"}})
		},
		"resignations": func(w *world, i int) Message {
			key := sybil(0)
			if i < 5 {
				return signed(key, &Coordinator{Reign: Reign{Term: 2, Seq: 1, Rank: firm(best(key))}, Addresses: []string{"n0"}})
			}
			return signed(key, &Resignation{Leader: wire.IDOf(key), Term: 2, Successor: wire.IDOf(sybil(i))})
		},
	}
	for what, flood := range floods {
		t.Run(what, func(t *testing.T) {
			w, honest, mal := mob(t, 3)
			clear(w.sent)
			for i := range floodSeconds * 180 * len(honest) {
				mal.say(honest[i%len(honest)], flood(w, i))
				if i%len(honest) == len(honest)-1 {
					w.run(time.Second / 180)
				}
			}
			w.run(time.Second)
			for _, f := range w.faults {
				if f.From != mal.id && f.Drop {
					t.Fatalf("an honest peer is cut off: %s", f.Text)
				}
			}
			sent := -floodSeconds * 180 * len(honest) // by the liar
			for _, n := range w.sent {
				sent += n
			}
			if most := (400 + floodSeconds*100) * len(honest); sent > most {
				t.Errorf("the others sent %d messages in %d s, want %d at most", sent, floodSeconds, most)
			}
		})
	}
}

// A small question must not get large answers as often as a neighbour likes.
func TestSummariesAreAnsweredWithinReason(t *testing.T) {
	m, step, now := lone(t)
	for i := range MaxRanking {
		key := sybil(i)
		step(from(2, signed(key, &Candidate{Peer: wire.IDOf(key), Seq: 1, Rank: best(key), Addresses: []string{"ws://10.0.0.1:5000/ws"}})))
	}
	bytes := 0
	for range 10 * 150 {
		*now = now.Add(time.Second / 150)
		for _, s := range step(from(3, &Summary{Reign: m.reign})).Sends {
			if s.To == idOf(3) {
				bytes += len(s.Data)
			}
		}
	}
	if most := 400 << 10; bytes > most {
		t.Errorf("a neighbour that asks all the time gets %d bytes in 10 s, want at most %d", bytes, most)
	}
}

// A better candidate that says that it takes over, and never does, delays an election, but not for ever.
func TestWhoNeverTakesOverIsNotWaitedForForEver(t *testing.T) {
	key := keyOf(5)
	for what, hold := range map[string]func(m *Machine, sent []Send) (out []Message){
		"answers": func(m *Machine, sent []Send) (out []Message) {
			for _, s := range sent {
				if msg, _ := DecodeMessage(s.Data); s.To == idOf(3) {
					if e, ok := msg.(*Election); ok {
						out = append(out, signed(key, &Answer{To: m.self, By: wire.IDOf(key), Term: e.Reign.Term, Seq: e.Reign.Seq}))
					}
				}
			}
			return out
		},
		"asks": func(m *Machine, sent []Send) (out []Message) {
			if m.phase == waiting || m.phase == asking || m.phase == electing {
				out = append(out, signed(key, &Election{Reign: Reign{Term: m.term + 1, Seq: uint64(m.now.UnixMilli()), Rank: firm(best(key))}}))
			}
			return out
		},
	} {
		t.Run(what, func(t *testing.T) {
			m, step, now := lone(t)
			step(from(3, signed(key, &Candidate{Peer: wire.IDOf(key), Seq: 1, Rank: best(key), Addresses: []string{"a"}})))
			sent := step(Suspect{Closed: true}).Sends
			for range 1000 {
				var next []Send
				for _, s := range sent {
					if s.Data[0] == kindVouch {
						next = append(next, step(Receive{From: s.To, Data: forcedOr(&Vouched{Term: 10, Verdict: Gone})}).Sends...)
					}
				}
				for _, msg := range hold(m, sent) {
					next = append(next, step(from(3, msg)).Sends...)
				}
				*now = now.Add(10 * time.Millisecond)
				sent = append(next, step(Tick{}).Sends...)
				if m.leading {
					return
				}
			}
			t.Errorf("after 10 s without a tracker this candidate still waits for one that does not take over (phase %d)", m.phase)
		})
	}
}

// Many identities that each announce themselves once must not take the leave away that an honest leader needs.
func TestManyIdentitiesDoNotSilenceAnHonestLeader(t *testing.T) {
	m, step, now := lone(t)
	taken := false
	for i := range 600 { // one minute
		*now = now.Add(100 * time.Millisecond)
		for j := range 5 {
			key := sybil(5*i + j)
			step(from(2, signed(key, &Coordinator{Reign: Reign{Term: m.term + 1, Seq: 1, Rank: firm(Rank{ID: wire.IDOf(key)})}, Addresses: []string{"a"}})))
		}
		if i%7 == 0 {
			step(from(3, signed(keyOf(5), &Coordinator{Reign: Reign{Term: m.term + 1, Seq: uint64(i + 1), Rank: firm(best(keyOf(5)))}, Addresses: []string{"a"}})))
			taken = taken || m.reign.Rank.ID == idOf(5)
		}
	}
	if !taken {
		t.Error("an honest leader was not believed once in a minute")
	}
}

// In a room of three whose tracker is dead, one that says that it lives is no majority.
func TestOneLiarOfTwoIsNoMajority(t *testing.T) {
	m, step, now := lone(t)
	sent := step(Suspect{}).Sends
	for range 1000 {
		var next []Send
		for _, s := range sent {
			if s.Data[0] == kindVouch {
				verdict := Gone
				if s.To == idOf(2) {
					verdict = Alive
				}
				next = append(next, step(Receive{From: s.To, Data: forcedOr(&Vouched{Term: 10, Verdict: verdict})}).Sends...)
			}
		}
		*now = now.Add(20 * time.Millisecond)
		if sent = append(next, step(Tick{}).Sends...); m.leading {
			return
		}
	}
	t.Error("after 20 s a liar, against this peer's own word and another's, still keeps it from replacing the tracker")
}

// Who is connected to the home tracker knows where it is, whatever others say: it defends it there.
func TestTheHomeTrackerIsDefendedWhereItIs(t *testing.T) {
	m, step, now := lone(t)
	step(Connected{Term: 10, Addresses: []string{"home"}})
	key := keyOf(5)
	lie := &Coordinator{Reign: Reign{Term: 11, Seq: 1, Rank: firm(Rank{Home: true, Dialable: true, ID: wire.IDOf(key)})}, Addresses: []string{"elsewhere"}}
	out := step(from(2, signed(key, lie)))
	for _, a := range out.Actions {
		if f, ok := a.(Follow); ok {
			t.Errorf("it is connected to the home tracker, but goes to %q, which another calls so", f.Addresses)
		}
	}
	step(from(2, coordinator(6, 12)))
	var said []string
	for range 100 {
		*now = now.Add(100 * time.Millisecond)
		out := step(Tick{})
		for _, s := range out.Sends {
			if msg, _ := DecodeMessage(s.Data); s.Data[0] == kindCoordinator && msg.(*Coordinator).Reign.Rank.ID == m.self {
				said = msg.(*Coordinator).Addresses
			}
		}
	}
	if len(said) != 1 || said[0] != "home" {
		t.Errorf("it announces the home tracker at %q, want it where this peer is connected to it", said)
	}
}

// Two processes with one identity (a profile that was copied) must not raise the term against each other for ever. Bob
// is linked with both, and shows each the highest announcement that there is.
func TestTwinsDoNotRaiseTheTermForEver(t *testing.T) {
	a, step, now := lone(t)
	b := New(Config{Key: keyOf(1), Term: 10, Rand: rand.NewPCG(2, 2), Offer: Offer{Candidate: true}})
	var out Output
	b.Step(*now, NeighbourUp{Peer: idOf(2)}, &out)
	b.Step(*now, Host{}, &out)
	*now = now.Add(time.Second)
	step(Host{})
	for range 3000 { // five minutes
		*now = now.Add(100 * time.Millisecond)
		best := a.proof
		if b.proof != nil && b.reign.compare(&a.reign) > 0 {
			best = b.proof
		}
		step(from(2, best))
		b.Step(*now, from(2, best), &out)
		step(from(2, &Vouched{Term: best.Reign.Term, Verdict: Alive}))
		b.Step(*now, from(2, &Vouched{Term: best.Reign.Term, Verdict: Alive}), &out)
		step(Tick{})
		b.Step(*now, Tick{}, &out)
		out.Reset()
	}
	if term := max(a.term, b.term); term > 20 {
		t.Errorf("two with one identity drove the term to %d in five minutes", term)
	}
	if a.leading == b.leading {
		t.Errorf("of two with one identity, one leads: want that, not %v and %v", a.leading, b.leading)
	}
}

// A peer that ceases to be a candidate in the midst of an election is one again later.
func TestACandidateAgainAfterAnElection(t *testing.T) {
	m, step, now := lone(t)
	key := keyOf(5)
	step(from(3, signed(key, &Candidate{Peer: wire.IDOf(key), Seq: 1, Rank: best(key), Addresses: []string{"a"}})))
	sent := step(Suspect{Closed: true}).Sends
	for range 50 {
		for _, s := range sent {
			if s.Data[0] == kindVouch {
				step(Receive{From: s.To, Data: forcedOr(&Vouched{Term: 10, Verdict: Gone})})
			}
		}
		if m.phase == electing {
			break
		}
		*now = now.Add(10 * time.Millisecond)
		sent = step(Tick{}).Sends
	}
	if m.phase != electing {
		t.Fatal("it does not ask for better ones, so this tests nothing")
	}
	step(Offer{})
	for range 20 {
		*now = now.Add(10 * time.Millisecond)
		step(Tick{})
	}
	if s := m.State(); s.Phase == PhaseElecting {
		t.Errorf("it is no candidate, but says that it is %s", s.Phase)
	}
	step(Offer{Candidate: true})
	if m.phase != waiting {
		t.Errorf("it is a candidate again and there is no tracker, but its phase is %d: want it to wait for its turn", m.phase)
	}
}

// Who raises the term all the time uses up no other's leave to do so.
func TestWhoRaisesTheTermAllTheTimeHoldsNobodyUp(t *testing.T) {
	m, step, now := lone(t)
	before := m.term
	for range 40 {
		*now = now.Add(20 * time.Millisecond)
		step(from(2, coordinator(5, m.term+1)))
	}
	if m.term == before || m.term > before+5 {
		t.Errorf("one peer raised the term from %d to %d in a second: want a few steps", before, m.term)
	}
	next := m.term + 1
	step(from(3, coordinator(6, next)))
	if s := m.State(); m.term != next || s.Leader != wire.IDOf(keyOf(6)) {
		t.Errorf("the term that another raised to %d is not followed: the machine is at %d, %+v", next, m.term, s)
	}
}
