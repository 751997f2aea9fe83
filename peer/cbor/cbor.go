// Package cbor writes and reads the part of CBOR (RFC 8949) that peers speak: unsigned integers, byte strings, text
// strings, arrays and booleans, in core deterministic encoding (section 4.2.1). Every value has exactly one encoding,
// and Reader refuses all others, so that what is read and written again is the same bytes: signatures are over them.
//
// It knows the items, not what they mean: packages wire and presence say what stands in which order.
//
// It is pure: it owns no state, reads no clock, starts no goroutine. It must never import any other package of this
// module.
package cbor
