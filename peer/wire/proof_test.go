package wire

import (
	"crypto/ed25519"
	"errors"
	"testing"
	"time"
)

func TestEveryEventOfEveryBatchVerifiesAlone(t *testing.T) {
	for n := 1; n <= MaxBatch; n++ {
		for i, e := range testBatch(t, testKey(1), 100, n) {
			if err := new(Verifier).Verify(&e); err != nil {
				t.Fatalf("event %d of a batch of %d: %v", i, n, err)
			}
		}
	}
}

// refused fails unless a changed copy of a good event is refused, by a verifier that knows the good batch and by
// one that does not.
func refused(t *testing.T, good Event, what string, change func(*Event)) {
	t.Helper()
	known := new(Verifier)
	if err := known.Verify(&good); err != nil {
		t.Fatalf("the good event is refused: %v", err)
	}
	bad := good
	bad.Body = append([]byte(nil), good.Body...)
	bad.Proof.Path = append([][32]byte(nil), good.Proof.Path...)
	change(&bad)
	for _, v := range []*Verifier{known, new(Verifier)} {
		if err := v.Verify(&bad); !errors.Is(err, ErrForged) {
			t.Errorf("batch of %d, event %d, %s: got %v, want it refused as forged", good.Proof.Size, good.Proof.Index,
				what, err)
		}
	}
}

func TestNothingInAnEventCanBeChanged(t *testing.T) {
	for _, n := range []int{1, 2, 3, 5, 8, 31, 32} {
		batch := testBatch(t, testKey(1), 100, n)
		for i, e := range batch {
			if n > 8 && i != 0 && i != n/2 && i != n-1 {
				continue // the first, one in the middle and the last stand for all
			}
			refused(t, e, "other room", func(e *Event) { e.Room = "dev" })
			refused(t, e, "other author", func(e *Event) { e.Author = IDOf(testKey(2)) })
			refused(t, e, "other name", func(e *Event) { e.Name = "eve" })
			refused(t, e, "other seq", func(e *Event) { e.Seq++ })
			refused(t, e, "other id", func(e *Event) { e.ID[15] ^= 1 })
			refused(t, e, "other lamport", func(e *Event) { e.Lamport++ })
			refused(t, e, "other time", func(e *Event) { e.Time = e.Time.Add(time.Millisecond) })
			refused(t, e, "other kind", func(e *Event) { e.Kind = KindAction })
			refused(t, e, "longer body", func(e *Event) { e.Body = append(e.Body, 0) })
			refused(t, e, "shorter body", func(e *Event) { e.Body = e.Body[1:] })
			refused(t, e, "longer path", func(e *Event) { e.Proof.Path = append(e.Proof.Path, [32]byte{}) })
			refused(t, e, "size 0", func(e *Event) { e.Proof.Size = 0 })
			refused(t, e, "size above the limit", func(e *Event) { e.Proof.Size = MaxBatch + 1 })
			refused(t, e, "index at size", func(e *Event) { e.Proof.Index = e.Proof.Size })
			for _, bit := range []int{0, 31, 32, 63} {
				refused(t, e, "other signature", func(e *Event) { e.Proof.Sig[bit] ^= 1 })
			}
			for i := range e.Proof.Path {
				refused(t, e, "other path", func(e *Event) { e.Proof.Path[i][0] ^= 1 })
			}
			if n > 1 {
				refused(t, e, "shorter path", func(e *Event) { e.Proof.Path = e.Proof.Path[1:] })
			}
			for size := 1; size <= MaxBatch; size++ { // all other places of all other trees
				for index := 0; index < size; index++ {
					if size != n || index != int(e.Proof.Index) {
						refused(t, e, "other place", func(e *Event) {
							e.Proof.Index, e.Proof.Size = uint8(index), uint8(size)
						})
					}
				}
			}
		}
	}
}

func TestAnInnerNodeIsNoEvent(t *testing.T) {
	// Without the prefixes of RFC 9162 the concatenation of two leaves would hash like an event.
	a, b := [32]byte{1}, [32]byte{2}
	e := testBatch(t, testKey(1), 1, 1)[0]
	e.Body = append(a[:], b[:]...)
	if e.Hash() == nodeHash(&a, &b) {
		t.Error("a leaf hashes like a node")
	}
}

func TestSignBatchRefusesWhatItCannotSign(t *testing.T) {
	good := testBatch(t, testKey(1), 1, 3)
	if SignBatch(testKey(1), nil) == nil {
		t.Error("an empty batch was signed")
	}
	if SignBatch(testKey(1), make([]Event, MaxBatch+1)) == nil {
		t.Error("a batch above MaxBatch was signed")
	}
	if SignBatch(testKey(2), good) == nil {
		t.Error("another author's events were signed")
	}
	good[1].Seq = 0
	if SignBatch(testKey(1), good) == nil {
		t.Error("an event that cannot be encoded was signed")
	}
}

func TestVerifierIsBoundedAndNeedsOneSignatureABatch(t *testing.T) {
	v := new(Verifier)
	for i := range uint64(maxVerified/2 + 10) {
		for _, e := range testBatch(t, testKey(1), 1+2*i, 2) {
			if err := v.Verify(&e); err != nil {
				t.Fatal(err)
			}
		}
	}
	for i := range 2 * maxVerified {
		v.remember(verified{size: 2, author: PeerID{byte(i), byte(i >> 8)}})
	}
	if len(v.good) != maxVerified || len(v.ring) != maxVerified {
		t.Errorf("the verifier remembers %d batches in a ring of %d: want %d", len(v.good), len(v.ring), maxVerified)
	}
}

func TestSignatureIsBoundToItsDomain(t *testing.T) {
	e := testBatch(t, testKey(1), 1, 1)[0]
	root := e.Hash()
	e.Proof.Sig = [64]byte(ed25519.Sign(testKey(1), root[:]))
	if new(Verifier).Verify(&e) == nil {
		t.Error("a signature over the bare root was accepted: something else signed by the key could pass for an event")
	}
}
