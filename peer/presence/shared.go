package presence

import (
	"crypto/ed25519"
	"crypto/sha256"
	"math/rand/v2"
	"slices"
	"time"
)

// Shared lets the Machines of one process verify each signature once and keep each record once, as a simulation of
// thousands of members needs: each of them knows all the others. It changes nothing of what they do. It belongs to the
// goroutine that steps them.
type Shared struct {
	proven  map[[ed25519.SignatureSize]byte][sha256.Size]byte // who said what, by its signature
	records map[saying]*record
}

// saying tells one record from all others.
type saying struct {
	sig  [ed25519.SignatureSize]byte
	beat uint64
}

// maxShared is how many signatures a Shared remembers, and how many records, before it begins anew.
const maxShared = 1 << 18

// NewShared makes an empty one.
func NewShared() *Shared {
	return &Shared{proven: make(map[[ed25519.SignatureSize]byte][sha256.Size]byte), records: make(map[saying]*record)}
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

// keep is the one copy of a record whose signature and proof hold.
func (s *Shared) keep(r *record) *record {
	if one := s.records[saying{r.sig, r.Beat}]; one != nil {
		return one
	}
	if len(s.records) >= maxShared {
		clear(s.records)
	}
	one := *r
	s.records[saying{r.sig, r.Beat}] = &one
	return &one
}

// Acquaint lets machines that share s, and have neighbours, but were told no Self yet, know each other from now on, as
// if all had been members of one room for long. What each says of itself is selfs, in the order of machines; chance
// tells how long ago. It saves a simulation n² introductions. A Tick for each must follow.
func (s *Shared) Acquaint(now time.Time, machines []*Machine, selfs []Self, chance *rand.Rand) {
	if len(machines) == 0 {
		return
	}
	t := &machines[0].timing
	period := max(t.Refresh, min(time.Duration(len(machines))*t.PerMember, MaxPeriod*time.Second)).Truncate(time.Second)
	var all table
	ages := make([]time.Duration, len(machines))
	for i, m := range machines {
		m.clock(now)
		ages[i] = time.Duration(chance.Int64N(int64(period) * 9 / 10))
		m.wish, m.member = selfs[i], true
		r := m.sign(version{Run: m.run, Seq: 1, Beat: 1}, uint16(period/time.Second), false)
		at := m.stamp() - uint32(ages[i]/(100*time.Millisecond))
		all.insert(entry{rec: r, first: at, heard: at})
		m.said = r
		m.refresh = m.now + max(period*92/100-ages[i], time.Millisecond)
	}
	for _, m := range machines {
		for b := range all.buckets {
			m.table.buckets[b] = slices.Clone(all.buckets[b])
		}
		m.table.size, m.table.members, m.table.counted, m.intro[0].count = all.size, all.members, false, all.size
	}
}
