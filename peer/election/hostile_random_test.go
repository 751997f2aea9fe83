package election

import (
	"bytes"
	"crypto/ed25519"
	"math/rand/v2"
	"testing"
	"time"

	"peerchat/peer/wire"
)

// Whatever neighbours send, a machine keeps within its bounds, wants to be woken in time, and sends nothing that is
// malformed.
func TestAnythingGoes(t *testing.T) {
	for seed := range uint64(liars) {
		r := rand.New(rand.NewPCG(seed, 9))
		m, step, now := lone(t)
		m.check = func(ed25519.PublicKey, []byte, []byte) bool { return true }
		keys := make([]ed25519.PrivateKey, 12)
		for i := range keys {
			keys[i] = keyOf(byte(i + 1)) // its own among them: what it said in an earlier life
		}
		num := func() uint64 {
			switch r.IntN(5) {
			case 0:
				return wire.MaxCounter - r.Uint64N(3)
			case 1:
				return 1 + r.Uint64N(20)
			case 2:
				return m.term + r.Uint64N(3)
			case 3:
				return min(m.highest()+r.Uint64N(3), wire.MaxCounter)
			}
			return 1 + r.Uint64N(wire.MaxCounter)
		}
		for range 3000 {
			key, other := keys[r.IntN(len(keys))], wire.IDOf(keys[r.IntN(len(keys))])
			rank := Rank{Dialable: r.IntN(2) == 0, Priority: int16(r.Uint32()), Port: uint16(r.Uint32()), ID: wire.IDOf(key)}
			reign := Reign{Term: num(), Seq: num(), Rank: rank}
			reign.Rank.Firm, reign.Rank.Home = r.IntN(3) > 0, r.IntN(5) == 0
			var msg Message
			switch r.IntN(8) {
			case 0:
				msg = &Candidate{Peer: rank.ID, Seq: num(), Rank: rank, Age: uint16(r.Uint32()), Addresses: []string{"x"}}
			case 1:
				msg = &Coordinator{Reign: reign, Addresses: []string{"x"}}
			case 2:
				msg = &Election{Reign: reign}
			case 3:
				msg = &Resignation{Leader: rank.ID, Term: num(), Successor: other}
			case 4:
				msg = &Answer{To: other, By: rank.ID, Term: num(), Seq: num(), Alive: r.IntN(2) == 0}
			case 5:
				msg = &Vouch{Term: num(), Leader: other}
			case 6:
				msg = &Vouched{Term: num(), Verdict: Verdict(r.IntN(3))}
			case 7:
				msg = &Summary{Reply: r.IntN(2) == 0, Floor: num(), Reign: reign, Candidates: []version{{other, num()}}}
			}
			in := Input(from(byte(2+r.IntN(2)), msg))
			switch r.IntN(40) {
			case 0:
				in = Suspect{Closed: r.IntN(2) == 0}
			case 1:
				in = Connected{Leader: other, Term: num(), Addresses: []string{"x"}}
			case 2:
				in = Connected{Term: num(), Addresses: []string{"home"}}
			case 3:
				in = HomeBack{Addresses: []string{"home"}}
			case 4:
				in = Heard{}
			case 5:
				in = HostFailed{}
			case 6:
				in = Offer{Candidate: r.IntN(4) > 0, Dialable: r.IntN(2) == 0}
			}
			*now = now.Add(time.Duration(r.IntN(200)) * time.Millisecond)
			was := m.term
			out := step(in)
			switch {
			case m.term < was:
				t.Fatalf("seed %d: the term fell from %d to %d", seed, was, m.term)
			case m.term > was && out.Persist != m.term:
				t.Fatalf("seed %d: term %d is not kept", seed, m.term)
			case m.leading && m.reign.Rank.ID != m.self:
				t.Fatalf("seed %d: it leads, but follows %s", seed, m.reign.Rank.ID.Tag())
			case len(m.ranking) > MaxRanking || len(m.heard) > 4*MaxRanking || len(m.raisers) > 4*MaxRanking || len(m.questions) > 2:
				t.Fatalf("seed %d: it keeps more than it should", seed)
			case out.Wake.IsZero() || out.Wake.Sub(*now) > time.Minute:
				t.Fatalf("seed %d: it wants to be woken in %v", seed, out.Wake.Sub(*now))
			}
			for _, s := range out.Sends {
				if msg, err := DecodeMessage(s.Data); err != nil {
					t.Fatalf("seed %d: it sends what does not decode: %v", seed, err)
				} else if c, ok := msg.(*Coordinator); ok && bytes.Equal(c.Reign.Rank.ID[:], m.self[:]) && c.Reign.Term > m.term {
					t.Fatalf("seed %d: it announces term %d, above its own %d", seed, c.Reign.Term, m.term)
				}
			}
		}
	}
}

// A liar with several identities says whatever comes to its mind, and repeats what it heard. When it is gone the others
// are at one again, and none of them has been blamed.
func TestLiarsLeaveNoTrace(t *testing.T) {
	for seed := range uint64(liars) {
		r := rand.New(rand.NewPCG(seed, 11))
		w := newWorld(t, seed)
		w.timing = brisk
		people(w, "ann bob cyd dan (eve) (mal)")
		honest, mal := w.nodes[:5], w.nodes[5]
		if seed%2 == 0 {
			atHome(w)
		} else {
			hosted(w, honest[0])
		}
		var heard [][]byte
		w.tap = func(to *node, data []byte) {
			if to == mal && len(heard) < 500 {
				heard = append(heard, bytes.Clone(data))
			}
		}
		keys := []ed25519.PrivateKey{mal.key, sybil(1), sybil(2), sybil(3)}
		places := []string{"home", "n0", "n3", "n5"}
		last := uint64(w.now.UnixMilli())
		for range 1500 {
			last++
			to, key := honest[r.IntN(5)], keys[r.IntN(len(keys))]
			rank := Rank{Dialable: r.IntN(2) == 0, Priority: int16(r.Uint32()), Port: uint16(r.Uint32()), ID: wire.IDOf(key)}
			term := to.m.term + r.Uint64N(3)
			if r.IntN(20) == 0 {
				term = to.m.highest() - r.Uint64N(3)
			}
			seq := last
			if r.IntN(20) == 0 {
				seq = wire.MaxCounter - r.Uint64N(2)
			}
			other := w.nodes[r.IntN(6)].id
			place := places[r.IntN(len(places)):][:1]
			lead := Reign{Term: term, Seq: seq, Rank: rank}
			lead.Rank.Firm, lead.Rank.Home, lead.Rank.Dialable = r.IntN(3) > 0, r.IntN(10) == 0, true
			if lead.Rank.Home {
				place = []string{"n5"}
			}
			var msg Message
			switch r.IntN(9) {
			case 0:
				msg = signed(key, &Candidate{Peer: rank.ID, Seq: seq, Rank: rank, Addresses: place})
			case 1:
				if r.IntN(5) == 0 {
					msg = signed(key, &Coordinator{Reign: lead, Addresses: place})
				}
			case 2:
				msg = signed(key, &Election{Reign: lead})
			case 3:
				msg = signed(key, &Resignation{Leader: rank.ID, Term: term, Successor: other})
			case 4:
				msg = signed(key, &Answer{To: other, By: rank.ID, Term: term, Seq: seq, Alive: r.IntN(2) == 0})
			case 5:
				msg = &Vouch{Term: term, Leader: other}
			case 6:
				msg = &Vouched{Term: term, Verdict: Verdict(r.IntN(3))}
			case 7:
				msg = &Summary{Floor: term, Reign: Reign{Term: term, Seq: seq, Rank: rank}, Candidates: []version{{other, seq}}}
			case 8:
				if len(heard) > 0 {
					b := bytes.Clone(heard[r.IntN(len(heard))])
					mal.send(to, b)
				}
			}
			if msg != nil {
				mal.say(to, msg)
			}
			w.run(time.Duration(r.IntN(20)) * time.Millisecond)
		}
		w.kill(mal)
		why := "?"
		for range 20 {
			w.run(30 * time.Second)
			if why = w.agreed(); why == "" {
				break
			}
		}
		if why != "" {
			t.Errorf("seed %d: ten minutes after the liar left, %s", seed, why)
		}
		for _, f := range w.faults {
			if f.From != mal.id && f.Drop {
				t.Errorf("seed %d: an honest peer is blamed: %s", seed, f.Text)
			}
		}
	}
}
