package presence

import (
	"encoding/binary"
	"errors"
	"fmt"
	"unicode/utf8"

	"peerchat/peer/wire"
)

// CBOR major types (RFC 8949 section 3.1) that the protocol uses, and the one encoding of each value (section 4.2.1).
const (
	majorUint  = 0 << 5
	majorBytes = 2 << 5
	majorText  = 3 << 5
	majorArray = 4 << 5

	cborFalse = 0xf4
	cborTrue  = 0xf5
)

var (
	errTruncated = errors.New("ends too early")
	errTrailing  = errors.New("goes on after its end")
	errEncoding  = errors.New("is not deterministic CBOR")
)

func appendHead(dst []byte, major byte, n uint64) []byte {
	switch {
	case n < 24:
		return append(dst, major|byte(n))
	case n <= 0xff:
		return append(dst, major|24, byte(n))
	case n <= 0xffff:
		return append(dst, major|25, byte(n>>8), byte(n))
	case n <= 0xffffffff:
		return binary.BigEndian.AppendUint32(append(dst, major|26), uint32(n))
	default:
		return binary.BigEndian.AppendUint64(append(dst, major|27), n)
	}
}

func appendUint(dst []byte, n uint64) []byte { return appendHead(dst, majorUint, n) }
func appendArray(dst []byte, n int) []byte   { return appendHead(dst, majorArray, uint64(n)) }
func appendBytes(dst, b []byte) []byte {
	return append(appendHead(dst, majorBytes, uint64(len(b))), b...)
}
func appendText(dst []byte, s string) []byte {
	return append(appendHead(dst, majorText, uint64(len(s))), s...)
}
func appendBool(dst []byte, v bool) []byte {
	if v {
		return append(dst, cborTrue)
	}
	return append(dst, cborFalse)
}

// reader reads items from b. The first error ends it: what is read after that is zero.
type reader struct {
	b   []byte
	err error
}

func (r *reader) fail(err error) {
	if r.err == nil {
		r.err = err
		r.b = nil
	}
}

// head reads the head of an item of the given major type; what says what it is, for the error.
func (r *reader) head(major byte, what string) uint64 {
	if len(r.b) == 0 {
		r.fail(errTruncated)
		return 0
	}
	first := r.b[0]
	if first&0xe0 != major {
		r.fail(fmt.Errorf("%s has the wrong type (0x%02x)", what, first))
		return 0
	}
	info := first & 0x1f
	if info < 24 {
		r.b = r.b[1:]
		return uint64(info)
	}
	if info > 27 {
		r.fail(errEncoding) // indefinite lengths and reserved heads
		return 0
	}
	size := 1 << (info - 24)
	if len(r.b) < 1+size {
		r.fail(errTruncated)
		return 0
	}
	var n, least uint64
	switch size {
	case 1:
		n, least = uint64(r.b[1]), 24
	case 2:
		n, least = uint64(binary.BigEndian.Uint16(r.b[1:])), 1<<8
	case 4:
		n, least = uint64(binary.BigEndian.Uint32(r.b[1:])), 1<<16
	case 8:
		n, least = binary.BigEndian.Uint64(r.b[1:]), 1<<32
	}
	if n < least {
		r.fail(errEncoding)
		return 0
	}
	r.b = r.b[1+size:]
	return n
}

// uint reads an unsigned integer between least and most.
func (r *reader) uint(what string, least, most uint64) uint64 {
	n := r.head(majorUint, what)
	if r.err == nil && (n < least || n > most) {
		r.fail(fmt.Errorf("%s is %d: want %d to %d", what, n, least, most))
		return 0
	}
	return n
}

// array reads the head of an array of least to most items. Each item takes a byte at least, so that a length that the
// input cannot hold is refused before anything is allocated for it.
func (r *reader) array(what string, least, most int) int {
	n := r.head(majorArray, what)
	if r.err == nil && (n < uint64(least) || n > uint64(most)) {
		r.fail(fmt.Errorf("%s has %d items: want %d to %d", what, n, least, most))
		return 0
	}
	if n > uint64(len(r.b)) {
		r.fail(errTruncated)
		return 0
	}
	return int(n)
}

// take reads n bytes, which must be least to most. The result is a part of the input.
func (r *reader) take(n uint64, what string, least, most int) []byte {
	if r.err == nil && (n < uint64(least) || n > uint64(most)) {
		r.fail(fmt.Errorf("%s is %d bytes long: want %d to %d", what, n, least, most))
	}
	if r.err == nil && n > uint64(len(r.b)) {
		r.fail(errTruncated)
	}
	if r.err != nil {
		return nil
	}
	b := r.b[:n:n]
	r.b = r.b[n:]
	return b
}

func (r *reader) bytes(what string, size int) []byte {
	return r.take(r.head(majorBytes, what), what, size, size)
}

func (r *reader) text(what string, least, most int) []byte {
	b := r.take(r.head(majorText, what), what, least, most)
	if !utf8.Valid(b) {
		r.fail(fmt.Errorf("%s is not valid UTF-8", what))
		return nil
	}
	return b
}

func (r *reader) bool(what string) bool {
	if len(r.b) == 0 {
		r.fail(errTruncated)
		return false
	}
	v := r.b[0]
	if v != cborFalse && v != cborTrue {
		r.fail(fmt.Errorf("%s has the wrong type (0x%02x)", what, v))
		return false
	}
	r.b = r.b[1:]
	return v == cborTrue
}

func (r *reader) peer(what string) (id wire.PeerID) {
	copy(id[:], r.bytes(what, len(id)))
	return id
}

func (r *reader) u64(what string) uint64 {
	if b := r.bytes(what, 8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}
