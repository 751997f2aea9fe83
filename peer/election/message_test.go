package election

import (
	"bytes"
	"crypto/ed25519"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"peerchat/peer/machinetest"
	"peerchat/peer/wire"
)

func keyOf(n byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{n}, ed25519.SeedSize))
}

// one returns a message of each type.
func one() []Message {
	key := keyOf(1)
	id, other := wire.IDOf(key), wire.IDOf(keyOf(2))
	route := Route{Hops: 3, Cover: []uint32{1, short(other)}}
	lead := Reign{Term: 7, Seq: 9, Rank: Rank{Firm: true, Dialable: true, Priority: -3, Port: 5001, ID: id}}
	list := []Message{
		&Candidate{Route: route, Age: 300, Peer: id, Seq: 5, Rank: Rank{Dialable: true, Priority: 300, Port: 1, ID: id}, Addresses: []string{"ws://10.0.0.1:5000", "[::1]:5000"}},
		&Coordinator{Route: route, Reign: lead, Addresses: []string{"ws://10.0.0.1:5000"}},
		&Election{Route: route, Reign: lead},
		&Resignation{Route: route, Leader: id, Term: 7, Successor: other},
		&Answer{To: other, By: id, Term: 8, Seq: 4, Alive: true},
		&Vouch{Term: 7, Leader: other},
		&Vouched{Term: 7, Verdict: Alive},
		&Summary{Reply: true, Floor: 7, Reign: lead, Candidates: []version{{id, 1}, {other, wire.MaxCounter}}},
	}
	for _, m := range list {
		if signature(m) != nil {
			sign(key, m)
		}
	}
	return list
}

func TestRoundTrip(t *testing.T) {
	for _, m := range one() {
		machinetest.RoundTrip(t, m, AppendMessage, DecodeMessage)
	}
}

func TestRefused(t *testing.T) {
	id := wire.IDOf(keyOf(1))
	lead := Reign{Seq: 1, Rank: Rank{ID: id}}
	long := strings.Repeat("a", MaxAddress+1)
	for what, m := range map[string]Message{
		"a long address":            &Coordinator{Reign: lead, Addresses: []string{long}},
		"an empty address":          &Coordinator{Reign: lead, Addresses: []string{""}},
		"an address with an escape": &Coordinator{Reign: lead, Addresses: []string{"a\x1b[2J"}},
		"nine addresses":            &Candidate{Peer: id, Rank: Rank{ID: id}, Seq: 1, Addresses: strings.Split("a a a a a a a a a", " ")},
		"a candidate for home":      &Candidate{Peer: id, Rank: Rank{ID: id, Home: true}, Seq: 1},
		"a term without end":        &Election{Reign: Reign{Term: wire.MaxCounter + 1, Seq: 1, Rank: Rank{ID: id}}},
		"too many hops":             &Resignation{Route: Route{Hops: MaxHops + 1}, Leader: id, Successor: id},
		"too many covered":          &Resignation{Route: Route{Cover: make([]uint32, maxCover+1)}, Leader: id, Successor: id},
		"too many candidates":       &Summary{Candidates: make([]version, MaxRanking+2)},
		"a leader that is nobody":   &Coordinator{Reign: Reign{Seq: 1}},
		"an heir that is nobody":    &Resignation{Leader: id},
		"an answer of nobody":       &Answer{To: id, Seq: 1},
		"an unknown verdict":        &Vouched{Verdict: 3},
	} {
		if b, err := AppendMessage(nil, m); err == nil || len(b) > 0 {
			t.Errorf("%s is encoded", what)
		}
	}
}

// TestForged changes each byte that is signed, and each that says who signed.
func TestForged(t *testing.T) {
	for _, m := range one() {
		if signature(m) == nil {
			continue
		}
		b, _ := AppendMessage(nil, m)
		text, _ := sealed(nil, m)
		body := len(text) - len(domain) - 1 + 64
		for i := len(b) - body; i < len(b); i++ {
			c := bytes.Clone(b)
			c[i] ^= 1
			got, err := DecodeMessage(c)
			if err != nil {
				continue
			}
			text, signer := sealed(nil, got)
			if ed25519.Verify(signer.Key(), text, signature(got)[:]) {
				t.Errorf("%T with byte %d changed still passes", m, i)
			}
		}
	}
}

// lone is a machine with the neighbours 2 and 3 that follows peer 4 in term 10.
func lone(t *testing.T) (*Machine, func(Input) Output, *time.Time) {
	m := New(Config{Key: keyOf(1), Term: 10, Rand: rand.NewPCG(1, 1), Offer: Offer{Candidate: true}})
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	step := func(in Input) Output {
		var out Output
		m.Step(now, in, &out)
		return out
	}
	step(NeighbourUp{Peer: wire.IDOf(keyOf(2))})
	step(NeighbourUp{Peer: wire.IDOf(keyOf(3))})
	step(Connected{Leader: wire.IDOf(keyOf(4)), Term: 10})
	return m, step, &now
}

func coordinator(key byte, term uint64) *Coordinator {
	k := keyOf(key)
	c := &Coordinator{Reign: Reign{Term: term, Seq: 1, Rank: Rank{Firm: true, ID: wire.IDOf(k)}}, Addresses: []string{"a"}}
	sign(k, c)
	return c
}

func from(key byte, m Message) Receive {
	b, err := AppendMessage(nil, m)
	if err != nil {
		panic(err)
	}
	return Receive{From: wire.IDOf(keyOf(key)), Data: b}
}

func TestHostile(t *testing.T) {
	t.Run("a lower term is refused", func(t *testing.T) {
		m, step, _ := lone(t)
		if step(from(2, coordinator(5, 9))); m.reign.Term != 10 {
			t.Errorf("it follows term %d after term 10", m.reign.Term)
		}
	})
	t.Run("a forged announcement costs its sender the link", func(t *testing.T) {
		m, step, _ := lone(t)
		c := coordinator(5, 11)
		c.Reign.Term = 12
		out := step(from(2, c))
		if m.term != 10 || len(out.Faults) != 1 || !out.Faults[0].Drop || out.Faults[0].From != wire.IDOf(keyOf(2)) {
			t.Errorf("term %d, faults %v: want term 10 and neighbour 2 blamed", m.term, out.Faults)
		}
	})
	t.Run("garbage costs its sender the link", func(t *testing.T) {
		_, step, _ := lone(t)
		if out := step(Receive{From: wire.IDOf(keyOf(2)), Data: make([]byte, 100)}); len(out.Faults) != 1 || !out.Faults[0].Drop {
			t.Errorf("faults %v: want one", out.Faults)
		}
	})
	t.Run("forged announcements shown by a tracker do not use up what honest ones may raise", func(t *testing.T) {
		m, step, _ := lone(t)
		for i := range 200 {
			c := coordinator(byte(10+i%50), 11)
			c.Sig[0] ^= 1
			b, err := AppendMessage(nil, c)
			if err != nil {
				t.Fatal(err)
			}
			step(Learn{Data: b})
		}
		if step(from(2, coordinator(5, 11))); m.reign.Term != 11 {
			t.Errorf("it stays at term %d when a leader of term 11 is announced", m.reign.Term)
		}
	})
	t.Run("strangers are not heard", func(t *testing.T) {
		m, step, _ := lone(t)
		if out := step(from(9, coordinator(9, 11))); m.term != 10 || len(out.Sends) > 0 {
			t.Errorf("a peer without a link raised the term to %d", m.term)
		}
	})
	t.Run("a giant leap of the term is ignored", func(t *testing.T) {
		m, step, _ := lone(t)
		if out := step(from(2, coordinator(5, m.highest()+1))); m.term != 10 || len(out.Faults) != 1 {
			t.Errorf("term %d, faults %v: want term 10 and one fault", m.term, out.Faults)
		}
	})
	t.Run("one liar cannot drive the term up", func(t *testing.T) {
		m, step, now := lone(t)
		taken := 0
		for i := range 1000 {
			was := m.reign.Term
			step(from(2, coordinator(5, uint64(11+i))))
			if m.reign.Term > was {
				taken++
			}
			*now = now.Add(100 * time.Millisecond)
		}
		if taken < 4 || taken > 30 { // 4 at once, then one in 5 s of 100 s
			t.Errorf("it raised the term %d times in 100 s, want about 24", taken)
		}
	})
	t.Run("an announcement from an earlier life is no lead", func(t *testing.T) {
		m, step, _ := lone(t)
		out := step(from(2, coordinator(1, 11)))
		if m.leading || !m.suspect || m.term != 11 {
			t.Errorf("leading %v, in doubt %v, term %d: want it in doubt of its former self in term 11", m.leading, m.suspect, m.term)
		}
		if out.Persist != 11 {
			t.Errorf("term %d was to be kept, want 11", out.Persist)
		}
	})
	t.Run("a flood is cut off", func(t *testing.T) {
		_, step, _ := lone(t)
		dropped := false
		for range 3000 {
			for _, f := range step(from(2, &Vouch{Term: 10})).Faults {
				dropped = dropped || f.Code == "flood" && f.Drop
			}
		}
		if !dropped {
			t.Error("3000 messages at once are taken")
		}
	})
	t.Run("many identities fill no memory", func(t *testing.T) {
		m, step, now := lone(t)
		for i := range 500 {
			k := ed25519.NewKeyFromSeed(append(make([]byte, 30), byte(i>>8), byte(i)))
			c := &Candidate{Peer: wire.IDOf(k), Seq: 1, Rank: Rank{Priority: int16(i), ID: wire.IDOf(k)}}
			sign(k, c)
			e := &Election{Reign: Reign{Term: 11, Seq: 1, Rank: Rank{ID: wire.IDOf(k)}}}
			sign(k, e)
			l := &Coordinator{Reign: Reign{Term: uint64(12 + i), Seq: 1, Rank: Rank{ID: wire.IDOf(k)}}}
			sign(k, l)
			step(from(2, c))
			step(from(2, e))
			step(from(2, l))
			*now = now.Add(20 * time.Millisecond)
		}
		if len(m.ranking) > MaxRanking || len(m.heard) > 4*MaxRanking || len(m.raisers) > 4*MaxRanking {
			t.Errorf("%d candidates, %d elections, %d leaders that raised the term are kept", len(m.ranking), len(m.heard), len(m.raisers))
		}
	})
}

func TestClock(t *testing.T) {
	m, step, now := lone(t)
	for _, jump := range []time.Duration{-time.Hour, 24 * time.Hour, -48 * time.Hour, time.Hour} {
		*now = now.Add(jump)
		out := step(Tick{})
		if wait := out.Wake.Sub(*now); wait <= 0 || wait > time.Minute {
			t.Errorf("after a jump of %v, it wants to be woken in %v", jump, wait)
		}
		if m.suspect || m.leading {
			t.Errorf("a jump of %v made it doubt its leader", jump)
		}
	}
}

func FuzzMessage(f *testing.F) {
	for _, m := range one() {
		b, _ := AppendMessage(nil, m)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := DecodeMessage(b)
		if err != nil {
			return
		}
		again, err := AppendMessage(nil, m)
		if err != nil || !bytes.Equal(again, b) {
			t.Fatalf("%x decodes to %#v, which encodes to %x (%v)", b, m, again, err)
		}
		machine, step, _ := lone(&testing.T{})
		machine.check = func(ed25519.PublicKey, []byte, []byte) bool { return true }
		step(Receive{From: wire.IDOf(keyOf(2)), Data: b})
	})
}
