// Package cbortest holds messages against another implementation of CBOR than ours. It is for tests, owns no state, and
// must import nothing of ours.
package cbortest

import (
	"bytes"
	"testing"

	"github.com/fxamacker/cbor/v2"
)

// Modes returns the other implementation, set to write core deterministic encoding (RFC 8949 section 4.2.1) and to
// refuse what peers never say: indefinite lengths, tags, and text that is not UTF-8.
func Modes(tb testing.TB) (cbor.EncMode, cbor.DecMode) {
	tb.Helper()
	enc, err := cbor.CoreDetEncOptions().EncMode()
	if err != nil {
		tb.Fatal("set up the other CBOR encoder:", err)
	}
	dec, err := cbor.DecOptions{IndefLength: cbor.IndefLengthForbidden, TagsMd: cbor.TagsForbidden, UTF8: cbor.UTF8RejectInvalid}.DecMode()
	if err != nil {
		tb.Fatal("set up the other CBOR decoder:", err)
	}
	return enc, dec
}

// WantDeterministic fails the test unless the other implementation reads b, which is what, and writes it again as the
// same bytes.
func WantDeterministic(tb testing.TB, what string, b []byte) {
	tb.Helper()
	enc, dec := Modes(tb)
	var v any
	if err := dec.Unmarshal(b, &v); err != nil {
		tb.Errorf("%s is not CBOR to another decoder: %v", what, err)
		return
	}
	again, err := enc.Marshal(v)
	if err != nil {
		tb.Errorf("%s is not encoded again by another encoder: %v", what, err)
	} else if !bytes.Equal(b, again) {
		tb.Errorf("%s is not deterministic CBOR:\nours   %x\ntheirs %x", what, b, again)
	}
}
