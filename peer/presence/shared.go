package presence

import (
	"crypto/ed25519"
	"crypto/sha256"
)

// Shared lets the Machines of one process verify each signature once and keep each record once, as a simulation of thousands of
// members needs: each of them knows all the others. It changes nothing of what they do. It belongs to the goroutine that steps them.
type Shared struct {
	proven  map[[ed25519.SignatureSize]byte][sha256.Size]byte // who said what, by its signature
	records map[[ed25519.SignatureSize]byte]*record
}

// maxShared is how many signatures a Shared remembers, and how many records, before it begins anew.
const maxShared = 1 << 18

// NewShared makes an empty one.
func NewShared() *Shared {
	return &Shared{proven: make(map[[ed25519.SignatureSize]byte][sha256.Size]byte), records: make(map[[ed25519.SignatureSize]byte]*record)}
}

// check is ed25519.Verify, once for each signature.
func (s *Shared) check(key ed25519.PublicKey, text, sig []byte) bool {
	if len(sig) != ed25519.SignatureSize {
		return false
	}
	h := sha256.New()
	h.Write(key)
	h.Write(text)
	said, name := [sha256.Size]byte(h.Sum(nil)), [ed25519.SignatureSize]byte(sig)
	if was, ok := s.proven[name]; ok && was == said {
		return true
	}
	if !ed25519.Verify(key, text, sig) {
		return false
	}
	if len(s.proven) >= maxShared {
		clear(s.proven)
	}
	s.proven[name] = said
	return true
}

// keep is the one copy of a record whose signature holds.
func (s *Shared) keep(r *record) *record {
	if one := s.records[r.sig]; one != nil {
		return one
	}
	if len(s.records) >= maxShared {
		clear(s.records)
	}
	one := *r
	s.records[r.sig] = &one
	return &one
}
