package presence

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"iter"
	"math"
	"slices"

	"peerchat/peer/wire"
)

// state is what is believed of the subject of a record.
type state uint8

const (
	here    state = iota
	suspect       // said to be dead; until it is believed, it is here
	// What follows is gone: kept for a while, so that nobody can bring it back by showing an old record.
	left
	died
	expired
)

// entry is a record and what is known of it. There may be 10,000 of them in each of 10,000 machines of a simulation, so
// it is small: times are in tenths of a second.
type entry struct {
	key   uint64 // keyOf(rec.peer)
	rec   *record
	first uint32 // when this version came first
	heard uint32 // when its subject said it, as far as ages tell; not after first, but for neighbours
	by    uint16 // who introduced it: an index into introducers
	state state
	spent uint8 // changes lately
	live  bool  // it said this while this peer was there, as far as that can be known
}

func (e *entry) gone() bool { return e.state >= left }

// lacking is what to tell of the subject to one who has version v of it: a beat only if that came of the same
// signature. If it did not, because its subject signed twice from there, the beat does not fit, and is asked about.
func (e *entry) lacking(v version) uint8 {
	if e.rec.same(v) && v.Beat >= e.rec.base {
		return tellBeat
	}
	return tellRecord
}

// keyOf stands for a peer where 8 bytes do.
func keyOf(id wire.PeerID) uint64 { return binary.BigEndian.Uint64(id[:8]) }

const buckets = 256

// table is all entries, ordered by peer. The zero table is empty. A pointer to an entry is good until the next insert
// or remove.
type table struct {
	buckets [buckets][]entry // by the first byte of the peer
	size    int
	members int // that are not gone

	// The hash of each chunk's members; those in stale are to be computed anew.
	hashes  [chunks]uint64
	stale   uint16
	marks   []byte // scratch
	counted bool   // hashes were computed once
}

func (t *table) search(key uint64, id *wire.PeerID) (b *[]entry, i int, found bool) {
	b = &t.buckets[key>>56]
	i, found = slices.BinarySearchFunc(*b, id, func(e entry, id *wire.PeerID) int {
		if e.key != key {
			if e.key < key {
				return -1
			}
			return 1
		}
		return bytes.Compare(e.rec.peer[8:], id[8:])
	})
	return b, i, found
}

// find returns the entry of a peer, or nil.
func (t *table) find(id wire.PeerID) *entry {
	if b, i, ok := t.search(keyOf(id), &id); ok {
		return &(*b)[i]
	}
	return nil
}

// findKey returns the first entry of a key, or nil.
func (t *table) findKey(key uint64) *entry {
	for e := range t.within(key, key) {
		return e
	}
	return nil
}

// insert adds an entry of a peer that has none.
func (t *table) insert(e entry) *entry {
	e.key = keyOf(e.rec.peer)
	b, i, _ := t.search(e.key, &e.rec.peer)
	*b = slices.Insert(*b, i, e)
	t.size++
	if !e.gone() {
		t.members++
		t.touch(e.key)
	}
	return &(*b)[i]
}

func (t *table) remove(id wire.PeerID) {
	b, i, ok := t.search(keyOf(id), &id)
	if !ok {
		return
	}
	t.set(&(*b)[i], expired)
	*b = slices.Delete(*b, i, i+1)
	t.size--
}

// set gives an entry a state.
func (t *table) set(e *entry, s state) {
	was, doubted := e.gone(), e.state == suspect
	e.state = s
	now := e.gone()
	if now != was || doubted != (s == suspect) {
		t.touch(e.key)
	}
	if now != was {
		if now {
			t.members--
		} else {
			t.members++
		}
	}
}

// replace gives an entry another record of the same peer.
func (t *table) replace(e *entry, r *record) {
	if !e.gone() && e.rec.mark != r.mark {
		t.touch(e.key)
	}
	e.rec = r
}

func (t *table) touch(key uint64) { t.stale |= 1 << (key >> (64 - chunkBits)) }

// peers lists whom ok holds for.
func (t *table) peers(ok func(*entry) bool) (list []wire.PeerID) {
	for e := range t.all() {
		if ok(e) {
			list = append(list, e.rec.peer)
		}
	}
	return list
}

// within yields the entries whose keys are from..to, in order. There must be no insert or remove meanwhile.
func (t *table) within(from, to uint64) iter.Seq[*entry] {
	return func(yield func(*entry) bool) {
		for b := from >> 56; b <= to>>56; b++ {
			bucket := t.buckets[b]
			for i := range bucket {
				e := &bucket[i]
				if e.key < from {
					continue
				}
				if e.key > to || !yield(e) {
					return
				}
			}
		}
	}
}

// all yields all entries, in order.
func (t *table) all() iter.Seq[*entry] { return t.within(0, math.MaxUint64) }

// span is the range of keys of the i-th of 2^bits parts of a chunk.
func span(chunk, bits uint8, i int) (from, to uint64) {
	shift := 64 - chunkBits - bits
	from = (uint64(chunk)<<bits | uint64(i)) << shift
	return from, from | (1<<shift - 1)
}

// sum counts and hashes the members in a range of keys.
func (t *table) sum(from, to uint64) (count uint64, hash uint64) {
	t.marks = t.marks[:0]
	for e := range t.within(from, to) {
		if !e.gone() {
			mark := e.rec.mark
			if e.state == suspect {
				mark = ^mark
			}
			t.marks = binary.BigEndian.AppendUint64(t.marks, mark)
		}
	}
	h := sha256.Sum256(t.marks)
	return uint64(len(t.marks) / 8), binary.BigEndian.Uint64(h[:])
}

// hashed returns the hash of each chunk.
func (t *table) hashed() *[chunks]uint64 {
	if !t.counted {
		t.counted, t.stale = true, math.MaxUint16
	}
	for c := range uint8(chunks) {
		if t.stale&(1<<c) != 0 {
			_, t.hashes[c] = t.sum(span(c, 0, 0))
		}
	}
	t.stale = 0
	return &t.hashes
}
