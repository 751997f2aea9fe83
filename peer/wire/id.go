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
	var id PeerID
	b, err := idEncoding.DecodeString(s)
	if err != nil || len(b) != len(id) || idEncoding.EncodeToString(b) != s {
		return id, fmt.Errorf("peer ID %q: want 52 characters of lower-case base32", clip(s))
	}
	return PeerID(b), nil
}

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

// UnmarshalText is ParsePeerID; the empty text is the zero ID.
func (id *PeerID) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*id = PeerID{}
		return nil
	}
	p, err := ParsePeerID(string(b))
	if err == nil {
		*id = p
	}
	return err
}

// clip shortens hostile input for an error text.
func clip(s string) string {
	if len(s) > 80 {
		s = strings.ToValidUTF8(s[:80], "") + "…"
	}
	return s
}
