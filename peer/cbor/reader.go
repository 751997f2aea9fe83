package cbor

import (
	"encoding/binary"
	"errors"
	"fmt"
	"unicode/utf8"
)

// What ends a reading of any item. Those who know more of a message than Reader end it with the same.
var (
	ErrTruncated = errors.New("it ends in the middle")
	ErrEncoding  = errors.New("it is not in deterministic encoding")
)

// Reader takes a message apart, item by item. The first error sticks: every read after it returns a zero value, and Err
// the error. So a caller may read on, and ask once, but for what it does with a value that it has read.
//
// The what of each method names the item in errors.
type Reader struct {
	b   []byte
	err error
}

// NewReader returns a Reader of b, which must not be changed while parts of it are in use.
func NewReader(b []byte) Reader { return Reader{b: b} }

// Err returns the first error there was.
func (r *Reader) Err() error { return r.err }

// Len returns how many bytes are not read yet. After an error it is 0.
func (r *Reader) Len() int { return len(r.b) }

// Fail ends the reading with err, unless it has ended already.
func (r *Reader) Fail(err error) {
	if r.err == nil {
		r.err = err
		r.b = nil
	}
}

// Failf is Fail with an error of this text.
func (r *Reader) Failf(format string, args ...any) { r.Fail(fmt.Errorf(format, args...)) }

// End refuses what follows the last item, and returns the first error there was.
func (r *Reader) End() error {
	if len(r.b) > 0 {
		r.Failf("more follows its end (%d B)", len(r.b))
	}
	return r.err
}

// head reads the head of an item of the given major type.
func (r *Reader) head(major byte, what string) uint64 {
	if len(r.b) == 0 {
		r.Fail(ErrTruncated)
		return 0
	}
	first := r.b[0]
	if first&0xe0 != major {
		r.Failf("%s has the wrong type (0x%02x)", what, first)
		return 0
	}
	info := first & 0x1f
	if info < 24 {
		r.b = r.b[1:]
		return uint64(info)
	}
	if info > 27 {
		r.Fail(ErrEncoding) // indefinite lengths and reserved heads
		return 0
	}
	size := 1 << (info - 24)
	if len(r.b) < 1+size {
		r.Fail(ErrTruncated)
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
		r.Fail(ErrEncoding)
		return 0
	}
	r.b = r.b[1+size:]
	return n
}

// Uint reads an unsigned integer of least to most.
func (r *Reader) Uint(what string, least, most uint64) uint64 {
	n := r.head(majorUint, what)
	if r.err == nil && (n < least || n > most) {
		r.Failf("%s is %d: want %d to %d", what, n, least, most)
		return 0
	}
	return n
}

// Array reads the head of an array of least to most items. Each item takes a byte at least, so that a length that the
// input cannot hold is refused before anything is allocated for it.
func (r *Reader) Array(what string, least, most int) int {
	n := r.head(majorArray, what)
	if r.err == nil && (n < uint64(least) || n > uint64(most)) {
		r.Failf("%s has %d items: want %d to %d", what, n, least, most)
		return 0
	}
	if n > uint64(len(r.b)) {
		r.Fail(ErrTruncated)
		return 0
	}
	return int(n)
}

// take reads n bytes, which must be least to most.
func (r *Reader) take(n uint64, what string, least, most int) []byte {
	if r.err == nil && (n < uint64(least) || n > uint64(most)) {
		r.Failf("%s is %d bytes long: want %d to %d", what, n, least, most)
	}
	if r.err == nil && n > uint64(len(r.b)) {
		r.Fail(ErrTruncated)
	}
	if r.err != nil {
		return nil
	}
	b := r.b[:n:n]
	r.b = r.b[n:]
	return b
}

// Bytes reads a byte string of least to most bytes. The result is a part of the input.
func (r *Reader) Bytes(what string, least, most int) []byte {
	return r.take(r.head(majorBytes, what), what, least, most)
}

// Fill reads a byte string that is just as long as dst into it. After an error dst is as it was.
func (r *Reader) Fill(what string, dst []byte) { copy(dst, r.Bytes(what, len(dst), len(dst))) }

// Text reads a text string of least to most bytes of valid UTF-8. The result is a part of the input.
func (r *Reader) Text(what string, least, most int) []byte {
	b := r.take(r.head(majorText, what), what, least, most)
	if !utf8.Valid(b) {
		r.Failf("%s is not valid UTF-8", what)
		return nil
	}
	return b
}

// Bool reads a boolean.
func (r *Reader) Bool(what string) bool {
	if len(r.b) == 0 {
		r.Fail(ErrTruncated)
		return false
	}
	v := r.b[0]
	if v != valueFalse && v != valueTrue {
		r.Failf("%s has the wrong type (0x%02x)", what, v)
		return false
	}
	r.b = r.b[1:]
	return v == valueTrue
}
