package presence

import (
	"crypto/sha256"
	"encoding/hex"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"peerchat/peer/cbor/cbortest"
	"peerchat/peer/wire"
)

// later is a record some beats on.
func later(t testing.TB, i int, r record, beats int) record {
	for range beats {
		next, ok := r.next(keyFor(i), room)
		if !ok {
			t.Fatalf("there is no beat after %d of %d", r.Beat, r.base)
		}
		r = *next
	}
	return r
}

// hearBeats gives the machine beats of what it knows the signature of.
func (l *lone) hearBeats(from int, list ...record) {
	m := &records{}
	for _, r := range list {
		m.beats = append(m.beats, told(r))
	}
	l.hear(from, m)
}

func (l *lone) known(i int) version {
	if e := l.m.table.find(wire.IDOf(keyFor(i))); e != nil {
		return e.rec.version
	}
	return version{}
}

// wants are what the machine asked a neighbour for.
func (l *lone) wants(of int) (list []wanted) {
	for _, s := range l.sends {
		if m, err := decodeMessage(s.Data, nil); err == nil && s.To == wire.IDOf(keyFor(of)) {
			if w, ok := m.(*want); ok {
				list = append(list, w.items...)
			}
		}
	}
	return list
}

// The chain is as the comment of message.go says, computed here by another CBOR encoder.
func TestChainIsAsDocumented(t *testing.T) {
	r := person(1, 3, 7)
	r = sealed(keyFor(1), record{version: r.version, base: 7, name: "bob"})
	enc, _ := cbortest.Modes(t)
	text, err := enc.Marshal([]any{string(room), r.peer[:], r.Run, r.Seq, r.base})
	if err != nil {
		t.Fatal(err)
	}
	c := sha256.Sum256(append([]byte("peerchat presence chain v1\x00"), text...))
	x := later(t, 1, r, 2).proof
	for k := byte(2); k > 0; k-- {
		sum := sha256.Sum256(append(append(c[:16:16], k), x[:]...))
		x = proof(sum[:16])
	}
	if x != r.anchor {
		t.Errorf("the anchor is %x, but the second value leads back to %x", r.anchor, x)
	}
	for k, want := range []string{"ede09e286926051cfd1632a5915f0975", "19af471c8134c804d39406c5ef0c46f9"} {
		if v := r.value(keyFor(1), room, uint64(k)); hex.EncodeToString(v[:]) != want {
			t.Errorf("value %d is %x, want %s", k, v, want)
		}
	}
}

// Any later beat is proved to who knows any earlier one, and nothing else is.
func TestAnyBeatProvesItselfAlone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key := keyFor(rapid.IntRange(1, 3).Draw(t, "who"))
		base := rapid.Uint64Range(0, 1000).Draw(t, "base")
		first := sealed(key, record{version: version{rapid.Uint64Range(1, 5).Draw(t, "run"), rapid.Uint64Range(1, 5).Draw(t, "seq"), base}, base: base})
		at := func(more uint64) record {
			r := first
			if r.Beat += more; more > 0 {
				r.proof = r.value(key, room, more)
			}
			return r
		}
		from := rapid.Uint64Range(0, chainLength-1).Draw(t, "from")
		to := rapid.Uint64Range(from+1, chainLength).Draw(t, "to")
		known, said := at(from), at(to)
		if !known.proves(room, said.Beat, said.proof) || !said.sound(room) {
			t.Fatalf("beat %d is not proved to who knows %d", said.Beat, known.Beat)
		}
		wrong := func(what string, k record, room wire.Room, beat uint64, p proof) {
			if k.proves(room, beat, p) {
				t.Fatalf("beat %d passes after %d with %s", beat, k.Beat, what)
			}
		}
		flipped := said.proof
		flipped[rapid.IntRange(0, 15).Draw(t, "byte")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		wrong("a bit changed", known, room, said.Beat, flipped)
		wrong("another room", known, "dev", said.Beat, said.proof)
		wrong("a later number", known, room, said.Beat+1, said.proof)
		wrong("an earlier number", known, room, said.Beat-1, said.proof)
		wrong("a number beyond the chain", known, room, base+chainLength+1, said.proof)
		wrong("the beat before it", said, room, known.Beat, known.proof)
		for what, change := range map[string]func(*record){"run": func(r *record) { r.Run++ }, "seq": func(r *record) { r.Seq++ },
			"base": func(r *record) { r.base, r.Beat = r.base+1, r.Beat+1 }, "peer": func(r *record) { r.peer[5] ^= 1 }} {
			other := known
			change(&other)
			wrong("another "+what, other, room, said.Beat, said.proof)
			other = sealed(key, record{version: other.start(), base: other.base}) // a chain of its own
			if what != "peer" {
				wrong("the chain of another "+what, other, room, other.base+to, said.proof)
			}
		}
	})
}

func TestBeatsAreFollowedWithoutSignatures(t *testing.T) {
	l := alone(t, 2, 3)
	r := person(4, 1, 0)
	l.hearRecords(2, r)
	l.reset()
	checks := l.m.stats.Checks
	for _, to := range []int{1, 2, 10, chainLength} { // of some that are skipped nobody ever hears
		l.hearBeats(2, later(t, 4, r, to))
		if v := l.known(4); v.Beat != uint64(to) {
			t.Errorf("after beat %d it is at %v", to, v)
		}
	}
	l.hearBeats(2, later(t, 4, r, 5)) // an old one
	l.advance(time.Second)
	l.wantQuiet("beats")
	if n := l.m.stats.Checks - checks; n != 0 || l.m.stats.Hashes != chainLength {
		t.Errorf("%d beats cost %d signatures and %d hashes, want 0 and %d", chainLength, n, l.m.stats.Hashes, chainLength)
	}
	// What goes on is a beat, and is what came.
	passed := 0
	for _, s := range l.sends {
		if m, err := decodeMessage(s.Data, nil); err == nil {
			if m, ok := m.(*records); ok && s.To == wire.IDOf(keyFor(3)) {
				passed += len(m.beats)
				if len(m.records) > 0 {
					t.Errorf("a whole record is passed on: %+v", m)
				}
			}
		}
	}
	if passed == 0 {
		t.Error("no beat is passed on")
	}
	// The chain is used up: it goes on from another signature.
	next := sealed(keyFor(4), record{version: version{r.Run, 1, chainLength + 1}, base: chainLength + 1, name: r.name})
	l.hearRecords(2, next)
	l.hearBeats(2, later(t, 4, next, 1))
	if v := l.known(4); v.Beat != chainLength+2 || l.m.stats.Checks != checks+1 {
		t.Errorf("after the second chain it is at %v, for %d signatures", v, l.m.stats.Checks-checks)
	}
	// A whole record whose signature is known costs none.
	l.hearRecords(3, later(t, 4, next, 3))
	if v := l.known(4); v.Beat != chainLength+4 || l.m.stats.Checks != checks+1 {
		t.Errorf("after the same signature it is at %v, for %d signatures", v, l.m.stats.Checks-checks)
	}
	l.wantQuiet("the next chain")
}

// Nothing that is not the next beat of what is known counts: not for somebody who is dead, suspected, or gone, nor in
// another room or run.
func TestForgedBeatsDoNothing(t *testing.T) {
	r := person(4, 1, 0)
	other := func(change func(*record)) record {
		o := r
		change(&o)
		return later(t, 4, sealed(keyFor(4), o), 3)
	}
	elsewhere := r
	elsewhere.anchor = r.value(keyFor(4), "dev", 0)
	elsewhere.Beat, elsewhere.proof = 1, elsewhere.value(keyFor(4), "dev", 1)
	torn := later(t, 4, r, 1)
	torn.proof[0] ^= 1
	mine := later(t, 5, person(5, 1, 0), 1)
	mine.peer = r.peer
	for what, forged := range map[string]record{
		"one of another's":          mine,
		"one with a bit changed":    torn,
		"one of another room":       elsewhere,
		"one of another run":        other(func(r *record) { r.Run++ }),
		"one of another seq":        other(func(r *record) { r.Seq++ }),
		"one of another signature":  other(func(r *record) { r.base, r.Beat = 2, 2 }),
		"one beyond the chain":      {peer: r.peer, version: version{r.Run, 1, chainLength + 9}},
		"one beyond all numbers":    {peer: r.peer, version: version{r.Run, 1, wire.MaxCounter}},
		"the anchor, as a beat":     {peer: r.peer, version: version{r.Run, 1, 1}, proof: r.anchor},
		"nothing, as a beat":        {peer: r.peer, version: version{r.Run, 1, 1}},
		"one of one that is nobody": later(t, 9, person(9, 1, 0), 1),
	} {
		l := alone(t, 2, 3)
		l.hearRecords(2, r)
		l.hear(2, &records{downs: []down{reported(keyFor(2), down{peer: r.peer, version: r.version})}}) // by nobody yet
		l.hearRecords(3, person(3, 1, 0))
		l.hear(3, &records{downs: []down{reported(keyFor(3), down{peer: r.peer, version: r.version})}})
		l.reset()
		l.hearBeats(2, forged)
		l.wantQuiet(what)
		if l.known(4) != r.version || l.m.Stats().Suspect != 1 || l.m.table.find(r.peer).state != suspect {
			t.Errorf("%s: it is at %v, of %d that are suspected", what, l.known(4), l.m.Stats().Suspect)
		}
		// Whoever knows it must know what it comes of.
		if w := l.wants(2); len(w) != 1 || w[0].version != (version{}) || w[0].key != keyOf(forged.peer) {
			t.Errorf("%s: asked for %+v, want all of it", what, w)
		}
		// In a whole record it is forgery, and there the neighbour is to blame.
		if forged.peer == r.peer && forged.Run == r.Run && forged.Seq == r.Seq && forged.Beat <= chainLength && forged.base == 0 {
			whole := r
			whole.Beat, whole.proof = forged.Beat, forged.proof
			l.hearRecords(2, whole)
			l.wantFault(Forged, true, what+", in a whole record")
			if l.known(4) != r.version {
				t.Errorf("%s: in a whole record it counts", what)
			}
		}
		l.advance(4 * time.Second)
		l.reset()
		l.hearBeats(3, forged)
		l.wantQuiet(what + ", of a dead one")
		l.hearBeats(3, later(t, 4, r, 1))
		if _, here := l.m.Lookup(r.peer); !here {
			t.Errorf("after %s a true one does not count", what)
		}
	}
}

// A member that signs two chains from one place on makes its neighbours tell others what does not fit there. That is
// not their fault, and mends.
func TestWhoSignsTwiceSetsNobodyAtOdds(t *testing.T) {
	l := alone(t, 2, 3)
	one := person(4, 1, 0)
	two := sealed(keyFor(4), record{version: version{one.Run, 1, 3}, base: 3, name: one.name})
	l.hearRecords(2, later(t, 4, one, 5))
	l.reset()
	l.hearBeats(3, later(t, 4, two, 3))
	l.wantQuiet("a beat of the other chain")
	if w := l.wants(3); len(w) != 1 || w[0].version != (version{}) {
		t.Fatalf("asked for %+v, want all of it", w)
	}
	l.hearRecords(3, later(t, 4, two, 3))
	l.hearBeats(3, later(t, 4, two, 4))
	l.wantQuiet("the other chain")
	if v := l.known(4); v.Beat != 7 {
		t.Errorf("it is at %v, want beat 7", v)
	}
}

// A neighbour that sends wrong beats costs little, is found out, and keeps nobody from following the true ones.
func TestAFloodOfWrongBeats(t *testing.T) {
	l := alone(t, 2, 3)
	r := person(4, 1, 0)
	l.hearRecords(3, r)
	l.reset()
	chance := rand.New(rand.NewPCG(1, 1))
	sent, beats := 0, 0
	for i := range 5000 { // 50,000 a second
		m := &records{}
		for range 100 {
			b := beat{key: keyOf(r.peer), beat: chainLength}
			for i := range b.proof {
				b.proof[i] = byte(chance.Uint32())
			}
			m.beats = append(m.beats, b)
			sent++
		}
		l.hear(2, m)
		l.now = l.now.Add(2 * time.Millisecond)
		if i%500 == 250 {
			beats++
			l.hearBeats(3, later(t, 4, r, beats))
			if v := l.known(4); v.Beat != uint64(beats) {
				t.Fatalf("after %d wrong beats the true one, %d, is not followed: %v", sent, beats, v)
			}
		}
	}
	l.wantFault(Flood, true, "500,000 wrong beats")
	if most := hashesTaken.burst + 11*int(hashesTaken.rate); l.m.stats.Hashes > most {
		t.Errorf("%d wrong beats in 10 s cost %d hashes, want at most %d", sent, l.m.stats.Hashes, most)
	}
	if w := l.wants(2); len(w) > wondered.burst+11*int(wondered.rate) {
		t.Errorf("and %d questions", len(w))
	}
	if l.m.stats.Checks > 2 {
		t.Errorf("and %d signatures", l.m.stats.Checks)
	}
}

// Who is told of somebody of whom it knows nothing asks for all of it.
func TestABeatOfAStrangerIsAskedAbout(t *testing.T) {
	l := alone(t, 2)
	r := later(t, 4, person(4, 1, 0), 7)
	l.hearBeats(2, r)
	l.wantQuiet("a beat of a stranger")
	if w := l.wants(2); !slices.Contains(w, wanted{keyOf(r.peer), version{}}) {
		t.Fatalf("asked for %+v", w)
	}
	l.hearRecords(2, r)
	if v := l.known(4); v != r.version {
		t.Errorf("then it is at %v, want %v", v, r.version)
	}
}

// In the calm hardly anything is signed or checked, and nobody is lost when chains are used up.
func TestTheCalmNeedsNoSignatures(t *testing.T) {
	w := newWorld(t, 1)
	w.timing.Refresh = MinPeriod * time.Second
	crowdOf(w, 12)
	w.mesh(3, nil)
	w.advance(10 * time.Second)
	for _, n := range w.nodes {
		n.m.stats = Stats{}
	}
	const chains = 3
	w.advance(chains * chainLength * MinPeriod * time.Second)
	if why := w.wrong(); why != "" {
		t.Error(why)
	}
	if len(w.faults) > 0 {
		t.Errorf("faults were reported: %.5q", w.faults)
	}
	for _, n := range w.nodes {
		said := int((n.m.said.Beat + 1) * uint64(len(w.nodes)-1))
		if s := n.m.stats; s.Checks > (chains+2)*len(w.nodes) || s.News < said*9/10 || n.m.said.base == 0 {
			t.Errorf("%s checked %d signatures and made %d hashes for %d beats; its own last signature was at beat %d of %d", n.name, s.Checks, s.Hashes, s.News,
				n.m.said.base, n.m.said.Beat)
		}
	}
}
