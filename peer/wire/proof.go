package wire

import (
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"

	"peerchat/peer/cbor"
)

// What is hashed and signed begins with one of these, so that nothing else that an identity key ever signs can pass
// for an event, nor an event for something else.
const (
	leafDomain  = "\x00peerchat event v1\x00"
	batchDomain = "peerchat event batch v1\x00"
)

// ErrForged is what Verifier.Verify returns for an event whose proof does not show that its author signed it.
var ErrForged = errors.New("event is forged: its proof does not fit its author and content")

// Hash is the leaf hash of the event: it covers everything but the Proof. Two events of the same (Room, Author, Seq)
// with different hashes are an equivocation.
func (e *Event) Hash() [32]byte {
	var scratch [512]byte
	return e.hash(scratch[:0])
}

func (e *Event) hash(scratch []byte) [32]byte {
	b := append(scratch[:0], leafDomain...)
	b = cbor.AppendArray(b, 9)
	b = cbor.AppendText(b, e.Room)
	b = cbor.AppendBytes(b, e.Author[:])
	b = cbor.AppendText(cbor.AppendUint(b, e.Seq), e.Name)
	b = appendContent(b, e)
	return sha256.Sum256(b)
}

func nodeHash(left, right *[32]byte) [32]byte {
	var b [65]byte
	b[0] = 1
	copy(b[1:], left[:])
	copy(b[33:], right[:])
	return sha256.Sum256(b[:])
}

// split is the size of the left subtree: the largest power of two below n, for n > 1 (RFC 9162 section 2.1.1).
func split(n int) int {
	k := 1
	for k*2 < n {
		k *= 2
	}
	return k
}

// pathLen is the length of the inclusion path of the leaf at index in a tree of size leaves.
func pathLen(index, size int) int {
	n := 0
	for size > 1 {
		if k := split(size); index < k {
			size = k
		} else {
			index, size = index-k, size-k
		}
		n++
	}
	return n
}

// rootOf computes the root from a leaf and its inclusion path (leaf to root), whose length must be right.
func rootOf(leaf [32]byte, index, size int, path [][32]byte) [32]byte {
	if size == 1 {
		return leaf
	}
	last := len(path) - 1
	if k := split(size); index < k {
		left := rootOf(leaf, index, k, path[:last])
		return nodeHash(&left, &path[last])
	} else {
		right := rootOf(leaf, index-k, size-k, path[:last])
		return nodeHash(&path[last], &right)
	}
}

// grow computes the root of the tree over leaves and appends to every leaf's path its siblings, leaf to root.
func grow(leaves [][32]byte, paths [][][32]byte) [32]byte {
	if len(leaves) == 1 {
		return leaves[0]
	}
	k := split(len(leaves))
	left, right := grow(leaves[:k], paths[:k]), grow(leaves[k:], paths[k:])
	for i := range paths {
		if i < k {
			paths[i] = append(paths[i], right)
		} else {
			paths[i] = append(paths[i], left)
		}
	}
	return nodeHash(&left, &right)
}

// maxPath is the length of the longest inclusion path in a batch: log2(MaxBatch).
const maxPath = 5

// provePaths gives the events of one whole batch their Index, Size and Path, and returns the root.
func provePaths(events []Event) [32]byte {
	var (
		leaves  [MaxBatch][32]byte
		paths   [MaxBatch][][32]byte
		scratch [512]byte
	)
	n := len(events)
	backing := make([][32]byte, n*maxPath)
	for i := range events {
		leaves[i] = events[i].hash(scratch[:])
		paths[i] = backing[i*maxPath : i*maxPath : (i+1)*maxPath]
	}
	root := grow(leaves[:n], paths[:n])
	for i := range events {
		p := &events[i].Proof
		p.Index, p.Size, p.Path = uint8(i), uint8(n), paths[i]
		if len(p.Path) == 0 {
			p.Path = nil
		}
	}
	return root
}

func signed(size int, root *[32]byte) []byte {
	b := make([]byte, 0, len(batchDomain)+1+len(root))
	b = append(b, batchDomain...)
	b = append(b, byte(size))
	return append(b, root[:]...)
}

// SignBatch signs 1 to MaxBatch events of key's owner with one signature and fills in their Proofs. An event that could
// not be encoded is an error, and then no Proof is to be used.
func SignBatch(key ed25519.PrivateKey, events []Event) error {
	if len(events) == 0 || len(events) > MaxBatch {
		return fmt.Errorf("sign a batch of %d events: want 1 to %d", len(events), MaxBatch)
	}
	author := IDOf(key)
	for i := range events {
		if events[i].Author != author {
			return fmt.Errorf("sign event %d of a batch: its author %s is not the key's owner", i, events[i].Author)
		}
		if err := events[i].check(); err != nil {
			return fmt.Errorf("sign event %d of a batch: %w", i, err)
		}
	}
	root := provePaths(events)
	sig := [64]byte(ed25519.Sign(key, signed(len(events), &root)))
	for i := range events {
		events[i].Proof.Sig = sig
	}
	return nil
}

// verified names a batch whose signature was found good.
type verified struct {
	author PeerID
	root   [32]byte
	sig    [64]byte
	size   uint8
}

// maxVerified bounds a Verifier's memory: about 400 KiB.
const maxVerified = 1024

// Verifier checks the proofs of events. It remembers the last batches whose signature was good, so that a batch costs
// one Ed25519 verification however its events come. The zero Verifier is ready; it is not for concurrent use.
type Verifier struct {
	good map[verified]struct{}
	ring []verified // the keys of good, oldest at next once it is full
	next int
}

// Verify returns nil if the author signed the event, else ErrForged. For a given batch, every event has exactly one
// proof that is accepted.
func (v *Verifier) Verify(e *Event) error {
	p := &e.Proof
	index, size := int(p.Index), int(p.Size)
	if size < 1 || size > MaxBatch || index >= size || len(p.Path) != pathLen(index, size) {
		return ErrForged
	}
	b := verified{author: e.Author, root: rootOf(e.Hash(), index, size, p.Path), sig: p.Sig, size: p.Size}
	if _, ok := v.good[b]; ok {
		return nil
	}
	if !ed25519.Verify(e.Author.Key(), signed(size, &b.root), p.Sig[:]) {
		return ErrForged
	}
	if size > 1 { // a batch of one will hardly come again: keep the room for the others
		v.remember(b)
	}
	return nil
}

func (v *Verifier) remember(b verified) {
	if v.good == nil {
		v.good = make(map[verified]struct{})
	}
	v.good[b] = struct{}{}
	if len(v.ring) < maxVerified {
		v.ring = append(v.ring, b)
		return
	}
	delete(v.good, v.ring[v.next])
	v.ring[v.next] = b
	v.next = (v.next + 1) % maxVerified
}
