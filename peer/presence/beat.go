package presence

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"

	"peerchat/peer/cbor"
	"peerchat/peer/wire"
)

// This file is how a member says again that it is there, for a hash instead of a signature (Lamport, "Password
// authentication with insecure communication", CACM 1981; as in S/KEY, RFC 1760, and TESLA, RFC 4082). What it signs
// has the end of a chain of hashes, the anchor, which only it can walk backwards: with each beat it shows one more
// value. Whoever has the record it signed, and any beat of it, verifies a later one with as many hashes as there are
// beats between them. Who does not have it gets it whole.

// chainLength is how many beats a signed record is good for. So a signature serves for an hour or more, and who meets
// the record for the first time makes that many hashes at most: a fifth of what its signature takes.
const chainLength = 128

const (
	chainDomain  = "peerchat presence chain v1\x00"
	secretDomain = "peerchat presence secret v1\x00"
)

// proof is a value of a chain. To find one is to find a preimage of 128 bits. Who could find two for one hash could
// only forge a chain of its own.
type proof [16]byte

// chain is what tells one member's chain from all others: each hash has it, so that work on one is worth nothing for
// another.
type chain [16]byte

func (r *record) chain(room wire.Room) chain {
	var b [256]byte
	text := cbor.AppendText(cbor.AppendArray(append(b[:0], chainDomain...), 5), string(room))
	text = appendVersion(cbor.AppendBytes(text, r.peer[:]), r.start())
	sum := sha256.Sum256(text)
	return chain(sum[:len(chain{})])
}

// back is the value before the k-th: one block of SHA-256.
func (c chain) back(k uint64, p proof) proof {
	var b [len(c) + 1 + len(p)]byte
	copy(b[:], c[:])
	b[len(c)] = byte(k)
	copy(b[len(c)+1:], p[:])
	sum := sha256.Sum256(b[:])
	return proof(sum[:len(p)])
}

// walk goes back from the value of step from to that of step to.
func (c chain) walk(p proof, from, to uint64) proof {
	for k := from; k > to; k-- {
		p = c.back(k, p)
	}
	return p
}

// value is the k-th value of the chain of a record of key's. The last one comes from the key and all that is signed but
// the anchor, so that nobody else knows it, and there is nothing to be kept.
func (r *record) value(key ed25519.PrivateKey, room wire.Room, k uint64) proof {
	h := hmac.New(sha256.New, key.Seed())
	h.Write(r.appendBody(cbor.AppendText(cbor.AppendArray([]byte(secretDomain), 10), string(room))))
	last := proof(h.Sum(nil)[:len(proof{})])
	return r.chain(room).walk(last, chainLength, k)
}

// proves reports whether p proves that the subject of r said a beat, which is not before that of r. It makes a hash for
// each beat between them.
func (r *record) proves(room wire.Room, beat uint64, p proof) bool {
	known := r.proof
	if r.Beat == r.base {
		known = r.anchor
	}
	return r.reaches(beat) && r.chain(room).walk(p, beat-r.base, r.Beat-r.base) == known
}

// reaches reports whether the chain of r has the beat, and it is not before that of r.
func (r *record) reaches(beat uint64) bool {
	return !r.left && beat >= r.Beat && beat-r.base <= chainLength
}

// sound reports whether the beat of a record whose signature holds is proved, too: chainLength hashes at most.
func (r *record) sound(room wire.Room) bool {
	signed := *r
	signed.Beat = r.base
	return r.Beat == r.base || signed.proves(room, r.Beat, r.proof)
}

// next is what the holder of key says after r: the same, a beat later. There is none when the chain is used up.
func (r *record) next(key ed25519.PrivateKey, room wire.Room) (*record, bool) {
	if !r.reaches(r.Beat + 1) {
		return nil, false
	}
	c := *r
	c.Beat++
	c.proof = c.value(key, room, c.Beat-c.base)
	return &c, true
}

// onBeat takes a beat of somebody whose signed record is known here, by way of a neighbour.
func (m *Machine) onBeat(n *neighbour, b *beat, msg *records, out *Output) {
	if b.key == keyOf(m.self) {
		if m.said != nil && m.wasted(n, 1, out) && b.beat != m.said.Beat {
			m.queue(n, m.self, tellRecord, m.now) // of an earlier life, or old
		}
		return
	}
	e := m.table.findKey(b.key) // to find another key of the same 8 bytes takes 2^64 tries
	if e == nil {
		m.missing(n, b.key, version{}, out)
		return
	}
	direct := n.id == e.rec.peer
	switch {
	case b.age >= lifetimes*10*uint32(e.rec.period):
		m.wasted(n, 1, out)
		return
	case b.beat < e.rec.Beat:
		if e.gone() {
			m.missing(n, b.key, e.rec.version, out) // it may be of a later life
			m.queue(n, e.rec.peer, tellRecord|tellDown, m.now)
		} else if m.wasted(n, 1, out) && direct {
			m.queue(n, e.rec.peer, tellRecord|tellDown, m.now)
		}
		return
	case b.beat == e.rec.Beat && !(direct && e.state == expired):
		m.shown(n, e, msg)
		m.repeated(n, e, msg, b.age, direct, out)
		return
	case !e.rec.reaches(b.beat): // it goes on from another signature
		m.missing(n, b.key, version{}, out)
		return
	case !m.hashes(n, b.beat-e.rec.Beat, e, out):
		return
	case !e.rec.proves(m.cfg.Room, b.beat, b.proof):
		// It is forged, or goes on from another signature: its subject may have signed two. So it is not the
		// neighbour's fault for certain, but if it is one it gets dear.
		if m.wasted(n, wrongCosts, out) {
			m.missing(n, b.key, version{}, out)
		}
		return
	case !m.follows(n, e, direct, out):
		return
	}
	rec := *e.rec
	rec.Beat, rec.proof = b.beat, b.proof
	if e.gone() {
		if m.table.members >= MaxMembers && !m.makeRoom(n, rec.peer, out) {
			return
		}
		e = m.table.find(rec.peer) // making room may have moved it
	}
	m.stats.News++
	m.accept(n, e, m.keep(&rec), b.age, msg.answer, out)
}

// missing asks a neighbour for what it must have and is not known here: newer than v, or in any case if that is zero.
func (m *Machine) missing(n *neighbour, key uint64, v version, out *Output) {
	if m.wasted(n, 1, out) && m.allows(n.unknown, 1) {
		m.send(n, &want{items: []wanted{{key, v}}}, out)
	}
}

// hashes reports whether a neighbour may have so many hashes made for a beat of e's.
func (m *Machine) hashes(n *neighbour, steps uint64, e *entry, out *Output) bool {
	most := uint64(hashesTaken.burst) + 1 // more than is ever allowed
	if k := int(min(steps, most)); m.allows(n.hashed, k) && m.allows(m.walked, k) {
		m.stats.Hashes += k
		return true
	}
	m.blame(n, e.rec.peer, Flood, fmt.Sprintf("%s sends beats that take more than %v hashes a second; some are left out for now",
		n.id.Tag(), hashesTaken.rate), false, out)
	return false
}

// follows reports whether a member, who has said something new, may: it is followed if it does not do so too often.
func (m *Machine) follows(n *neighbour, e *entry, direct bool, out *Output) bool {
	if e.state == suspect || e.spend(m.stamp()) {
		return true
	}
	m.blame(n, e.rec.peer, Flood, fmt.Sprintf("%s changes more often than once in %d s; it is followed slowly", e.rec.peer.Tag(), talkEvery/10), direct, out)
	return false
}
