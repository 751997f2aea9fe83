package overlay

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"peerchat/peer/wire"
)

// CBOR major types (RFC 8949 section 3.1) and simple values that the messages use.
const (
	majorUint  = 0 << 5
	majorBytes = 2 << 5
	majorArray = 4 << 5
	cborFalse  = 0xf4
	cborTrue   = 0xf5
)

// AppendMessage appends the encoding of m. It refuses what DecodeMessage would refuse; dst is then returned as it was.
func AppendMessage(dst []byte, m Message) ([]byte, error) {
	if err := check(m); err != nil {
		return dst, fmt.Errorf("encode %T: %w", m, err)
	}
	switch m := m.(type) {
	case Join:
		return head(start(dst, 2, m), majorUint, uint64(m.Nonce)), nil
	case ForwardJoin:
		return head(peer(start(dst, 3, m), m.Peer), majorUint, uint64(m.TTL)), nil
	case Neighbor:
		return flag(head(start(dst, 3, m), majorUint, uint64(m.Nonce)), m.High), nil
	case NeighborAnswer:
		return flag(head(start(dst, 3, m), majorUint, uint64(m.Nonce)), m.Accepted), nil
	case Disconnect:
		b := flag(start(dst, 3, m), m.Leaving)
		if m.Instead.IsZero() {
			return head(b, majorBytes, 0), nil
		}
		return peer(b, m.Instead), nil
	case Shuffle:
		b := head(start(dst, 5, m), majorUint, m.ID)
		return peers(head(peer(b, m.Origin), majorUint, uint64(m.TTL)), m.Sample), nil
	case ShuffleReply:
		return peers(head(start(dst, 3, m), majorUint, m.ID), m.Sample), nil
	case Ping:
		return flag(head(start(dst, 3, m), majorUint, uint64(m.Nonce)), m.Alarm), nil
	case Pong:
		return head(start(dst, 2, m), majorUint, uint64(m.Nonce)), nil
	}
	return dst, fmt.Errorf("encode %T: %w", m, errType)
}

func start(dst []byte, items int, m Message) []byte {
	return append(dst, majorArray|byte(items), majorUint|m.kind())
}

func head(dst []byte, major byte, n uint64) []byte {
	switch {
	case n < 24:
		return append(dst, major|byte(n))
	case n <= math.MaxUint8:
		return append(dst, major|24, byte(n))
	case n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(dst, major|25), uint16(n))
	case n <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(dst, major|26), uint32(n))
	default:
		return binary.BigEndian.AppendUint64(append(dst, major|27), n)
	}
}

func flag(dst []byte, v bool) []byte {
	if v {
		return append(dst, cborTrue)
	}
	return append(dst, cborFalse)
}

func peer(dst []byte, id wire.PeerID) []byte {
	return append(head(dst, majorBytes, uint64(len(id))), id[:]...)
}

func peers(dst []byte, list []wire.PeerID) []byte {
	dst = head(dst, majorArray, uint64(len(list)))
	for _, id := range list {
		dst = peer(dst, id)
	}
	return dst
}

var (
	errType      = errors.New("no message of this type exists")
	errTruncated = errors.New("it ends in the middle")
	errEncoding  = errors.New("it is not in deterministic encoding")
	errNumber    = errors.New("its nonce or id is 0")
	errPeer      = errors.New("it names the peer of 32 zero bytes, which is nobody")
)

// check tells whether m may be encoded.
func check(m Message) error {
	nonce := func(n uint64) error {
		if n == 0 {
			return errNumber
		}
		return nil
	}
	walk := func(ttl uint8) error {
		if ttl > MaxWalk {
			return fmt.Errorf("its walk is %d hops long: at most %d are allowed", ttl, MaxWalk)
		}
		return nil
	}
	named := func(list ...wire.PeerID) error {
		if len(list) > MaxSample {
			return fmt.Errorf("it names %d peers: at most %d are allowed", len(list), MaxSample)
		}
		for i := range list {
			if list[i].IsZero() {
				return errPeer
			}
		}
		return nil
	}
	switch m := m.(type) {
	case Join:
		return nonce(uint64(m.Nonce))
	case ForwardJoin:
		return errors.Join(named(m.Peer), walk(m.TTL))
	case Neighbor:
		return nonce(uint64(m.Nonce))
	case NeighborAnswer:
		return nonce(uint64(m.Nonce))
	case Disconnect:
		if m.Leaving && !m.Instead.IsZero() {
			return errors.New("who leaves gives the place to nobody")
		}
		return nil
	case Shuffle:
		return errors.Join(nonce(m.ID), named(m.Origin), walk(m.TTL), named(m.Sample...))
	case ShuffleReply:
		return errors.Join(nonce(m.ID), named(m.Sample...))
	case Ping:
		return nonce(uint64(m.Nonce))
	case Pong:
		return nonce(uint64(m.Nonce))
	}
	return errType
}

// DecodeMessage reads one message, which must be the whole of b. It refuses everything that AppendMessage would not
// have written, and keeps nothing of b.
func DecodeMessage(b []byte) (Message, error) {
	if len(b) > MaxMessage {
		return nil, fmt.Errorf("decode overlay message: it is %d bytes long: at most %d are allowed", len(b), MaxMessage)
	}
	r := &reader{b: b}
	m := r.message()
	if r.err == nil && len(r.b) > 0 {
		r.err = fmt.Errorf("more follows its end (%d B)", len(r.b))
	}
	if r.err == nil {
		r.err = check(m)
	}
	if r.err != nil {
		return nil, fmt.Errorf("decode overlay message: %w", r.err)
	}
	return m, nil
}

// reader takes a message apart. The first error sticks, and every read after it returns a zero value.
type reader struct {
	b   []byte
	err error
}

func (r *reader) fail(err error) {
	if r.err == nil {
		r.err, r.b = err, nil
	}
}

// head reads the head of an item of the given major type, whose argument is at most most.
func (r *reader) head(major byte, most uint64) uint64 {
	if len(r.b) == 0 {
		r.fail(errTruncated)
		return 0
	}
	first, info := r.b[0]&0xe0, r.b[0]&0x1f
	size := 0
	switch {
	case first != major:
		r.fail(fmt.Errorf("an item has the wrong type (0x%02x)", r.b[0]))
		return 0
	case info > 27: // reserved, or of indefinite length
		r.fail(errEncoding)
		return 0
	case info >= 24:
		size = 1 << (info - 24)
	}
	if len(r.b) < 1+size {
		r.fail(errTruncated)
		return 0
	}
	n := uint64(info)
	least := uint64(0) // a shorter form takes what is smaller
	switch size {
	case 1:
		n, least = uint64(r.b[1]), 24
	case 2:
		n, least = uint64(binary.BigEndian.Uint16(r.b[1:])), math.MaxUint8+1
	case 4:
		n, least = uint64(binary.BigEndian.Uint32(r.b[1:])), math.MaxUint16+1
	case 8:
		n, least = binary.BigEndian.Uint64(r.b[1:]), math.MaxUint32+1
	}
	switch {
	case n < least:
		r.fail(errEncoding)
		return 0
	case n > most:
		r.fail(fmt.Errorf("a number is %d: at most %d is allowed", n, most))
		return 0
	}
	r.b = r.b[1+size:]
	return n
}

func (r *reader) nonce() uint32 { return uint32(r.head(majorUint, math.MaxUint32)) }

func (r *reader) flag() bool {
	if len(r.b) == 0 {
		r.fail(errTruncated)
		return false
	}
	v := r.b[0]
	if v != cborTrue && v != cborFalse {
		r.fail(fmt.Errorf("an item has the wrong type (0x%02x)", v))
		return false
	}
	r.b = r.b[1:]
	return v == cborTrue
}

func (r *reader) peer() (id wire.PeerID) {
	n := r.head(majorBytes, uint64(len(id)))
	if r.err == nil && n != uint64(len(id)) {
		r.fail(fmt.Errorf("a peer is %d bytes long: want %d", n, len(id)))
	}
	if r.err == nil && len(r.b) < len(id) {
		r.fail(errTruncated)
	}
	if r.err != nil {
		return id
	}
	copy(id[:], r.b)
	r.b = r.b[len(id):]
	return id
}

func (r *reader) peers() []wire.PeerID {
	n := int(r.head(majorArray, MaxSample))
	if n == 0 || r.err != nil {
		return nil
	}
	list := make([]wire.PeerID, 0, n)
	for range n {
		list = append(list, r.peer())
	}
	return list
}

func (r *reader) message() Message {
	items := r.head(majorArray, 5)
	kind := r.head(majorUint, kindPong)
	if r.err == nil && (kind == 0 || items != [...]uint64{0, 2, 3, 3, 3, 3, 5, 3, 3, 2}[kind]) {
		r.fail(fmt.Errorf("an array of %d items is no message of type %d", items, kind))
	}
	if r.err != nil {
		return nil
	}
	switch kind {
	case kindJoin:
		return Join{Nonce: r.nonce()}
	case kindForwardJoin:
		return ForwardJoin{Peer: r.peer(), TTL: uint8(r.head(majorUint, MaxWalk))}
	case kindNeighbor:
		return Neighbor{Nonce: r.nonce(), High: r.flag()}
	case kindNeighborAnswer:
		return NeighborAnswer{Nonce: r.nonce(), Accepted: r.flag()}
	case kindDisconnect:
		m := Disconnect{Leaving: r.flag()}
		if len(r.b) > 0 && r.b[0] == majorBytes {
			r.b = r.b[1:]
			return m
		}
		if m.Instead = r.peer(); r.err == nil && m.Instead.IsZero() {
			r.fail(errPeer)
		}
		return m
	case kindShuffle:
		return Shuffle{ID: r.head(majorUint, math.MaxUint64), Origin: r.peer(), TTL: uint8(r.head(majorUint, MaxWalk)), Sample: r.peers()}
	case kindShuffleReply:
		return ShuffleReply{ID: r.head(majorUint, math.MaxUint64), Sample: r.peers()}
	case kindPing:
		return Ping{Nonce: r.nonce(), Alarm: r.flag()}
	default:
		return Pong{Nonce: r.nonce()}
	}
}
