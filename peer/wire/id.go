package wire

import (
	"crypto/ed25519"
	"encoding/base32"
	"fmt"
	"strings"
)

// PeerID names a peer: it is the Ed25519 public key of its identity.
type PeerID [ed25519.PublicKeySize]byte

var idEncoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// IDOf is the PeerID of a private key.
func IDOf(key ed25519.PrivateKey) PeerID { return PeerID(key.Public().(ed25519.PublicKey)) }

// ParsePeerID reads the 52 characters of PeerID.String.
func ParsePeerID(s string) (PeerID, error) {
	id, ok := parseID(s)
	if !ok {
		return id, fmt.Errorf("peer ID %q: want 52 characters of lower-case base32", clip(s))
	}
	return id, nil
}

// parseID takes no memory, which is why it is not left to encoding/base32: a tracker does little else.
func parseID[T string | []byte](s T) (id PeerID, ok bool) {
	if len(s) != idLength {
		return id, false
	}
	bits, have, at := uint(0), 0, 0
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z':
			c -= 'a'
		case '2' <= c && c <= '7':
			c -= '2' - 26
		default:
			return PeerID{}, false
		}
		bits = bits<<5 | uint(c)
		if have += 5; have >= 8 {
			have -= 8
			id[at] = byte(bits >> have)
			at++
		}
	}
	if bits&(1<<have-1) != 0 { // there is one text of an ID
		return PeerID{}, false
	}
	return id, true
}

// idLength is how long String is.
const idLength = 52

// String is the ID in lower-case base32 without padding, 52 characters.
func (id PeerID) String() string { return idEncoding.EncodeToString(id[:]) }

// Tag is the first 4 characters of String: enough for people to tell two of the same name apart.
func (id PeerID) Tag() string { return id.String()[:4] }

// IsZero reports whether id names nobody.
func (id PeerID) IsZero() bool { return id == PeerID{} }

// Key is the public key that id stands for.
func (id PeerID) Key() ed25519.PublicKey { return id[:] }

// Less orders IDs as byte strings. It is the tie-break wherever two peers must agree who goes first.
func (id PeerID) Less(other PeerID) bool { return string(id[:]) < string(other[:]) }

// MarshalText writes String, for JSON.
func (id PeerID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// AppendText appends String to b.
func (id PeerID) AppendText(b []byte) ([]byte, error) { return idEncoding.AppendEncode(b, id[:]), nil }

// UnmarshalText is ParsePeerID; the empty text is the zero ID.
func (id *PeerID) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*id = PeerID{}
		return nil
	}
	p, ok := parseID(b)
	if !ok {
		_, err := ParsePeerID(string(b))
		return err
	}
	*id = p
	return nil
}

// clip shortens hostile input for an error text.
func clip(s string) string {
	if len(s) > 80 {
		s = strings.ToValidUTF8(s[:80], "") + "…"
	}
	return s
}
