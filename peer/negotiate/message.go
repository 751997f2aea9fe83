package negotiate

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/google/uuid"

	"peerchat/peer/wire"
)

// Kind is the kind of a Message.
type Kind string

// The kinds. A reject says that its sender does not have, or no longer has, the session.
const (
	KindOffer     Kind = "offer"
	KindAnswer    Kind = "answer"
	KindCandidate Kind = "candidate"
	KindReject    Kind = "reject"
)

// Limits of a Message.
const (
	MaxMessage     = 48 << 10 // bytes of JSON
	maxSDP         = 32 << 10
	maxCandidate   = 1 << 10
	maxMid         = 32
	fingerprintLen = 32*3 - 1
)

// domain separates these signatures from all others of the same key.
const domain = "peerchat link v1\x00"

// Message is what two peers say to each other to make a session, as JSON:
//
//	{"kind":"offer","session":"0190…","instance":"0190…","sdp":"v=0…","fingerprint":"AB:CD:…","sig":"<64 bytes in base64>"}
//	{"kind":"answer", … the same …}
//	{"kind":"candidate","session":"0190…","candidate":{"candidate":"candidate:…","sdpMid":"0","sdpMLineIndex":0}}
//	{"kind":"reject","session":"0190…"}
//
// Offers and answers are signed by the sender's identity. The signature is over the DTLS fingerprint and not over the
// rest of the SDP, for a wrong address in it can lead nowhere but to a failed handshake. Instance is the sender's; see
// Config.
type Message struct {
	Kind        Kind       `json:"kind"`
	Session     uuid.UUID  `json:"session"`
	Instance    uuid.UUID  `json:"instance,omitzero"`
	SDP         string     `json:"sdp,omitempty"`
	Fingerprint string     `json:"fingerprint,omitempty"`
	Candidate   *Candidate `json:"candidate,omitempty"`
	Sig         []byte     `json:"sig,omitempty"`
}

// Parse reads a Message. It refuses unknown fields, and everything that Append would not write.
func Parse(b []byte) (Message, error) {
	if len(b) > MaxMessage {
		return Message{}, fmt.Errorf("negotiation message: %d bytes are too many: at most %d are allowed", len(b), MaxMessage)
	}
	if !utf8.Valid(b) {
		return Message{}, errors.New("negotiation message: not valid UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	var m Message
	if err := d.Decode(&m); err != nil {
		return Message{}, fmt.Errorf("negotiation message: %w", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return Message{}, errors.New("negotiation message: something follows it")
	}
	if len(m.Sig) == 0 {
		m.Sig = nil // "" and absent are the same
	}
	if err := m.check(); err != nil {
		return Message{}, err
	}
	return m, nil
}

// Append adds the message's JSON to b.
func (m Message) Append(b []byte) ([]byte, error) {
	if err := m.check(); err != nil {
		return b, err
	}
	j, err := json.Marshal(m)
	if err != nil {
		return b, fmt.Errorf("negotiation message: %w", err)
	}
	if len(j) > MaxMessage {
		return b, fmt.Errorf("negotiation message: %d bytes are too many: at most %d are allowed", len(j), MaxMessage)
	}
	return append(b, j...), nil
}

func (m *Message) check() error {
	bad := func(format string, a ...any) error { return fmt.Errorf("negotiation message: "+format, a...) }
	if m.Session == uuid.Nil {
		return bad("it names no session")
	}
	described := false
	switch m.Kind {
	case KindOffer, KindAnswer:
		described = true
	case KindCandidate, KindReject:
	default:
		return bad("unknown kind %.20q", m.Kind)
	}
	if (m.Kind == KindCandidate) != (m.Candidate != nil) {
		return bad("a candidate belongs into kind %q, and nowhere else", KindCandidate)
	}
	if c := m.Candidate; c != nil {
		if len(c.Candidate) > maxCandidate || (c.SDPMid != nil && len(*c.SDPMid) > maxMid) {
			return bad("its candidate is too long")
		}
		if !utf8.ValidString(c.Candidate) || (c.SDPMid != nil && !utf8.ValidString(*c.SDPMid)) {
			return bad("its candidate is not valid UTF-8")
		}
	}
	if !described {
		if m.Instance != uuid.Nil || m.SDP != "" || m.Fingerprint != "" || m.Sig != nil {
			return bad("kind %q has no description", m.Kind)
		}
		return nil
	}
	switch {
	case m.Instance == uuid.Nil:
		return bad("kind %q has to name its sender's instance", m.Kind)
	case m.SDP == "" || len(m.SDP) > maxSDP:
		return bad("its SDP is %d bytes long: 1 to %d are allowed", len(m.SDP), maxSDP)
	case !utf8.ValidString(m.SDP):
		return bad("its SDP is not valid UTF-8")
	case !isFingerprint(m.Fingerprint):
		return bad("its fingerprint is not 32 upper-case hex pairs with colons")
	case len(m.Sig) != ed25519.SignatureSize:
		return bad("its signature is %d bytes long: want %d", len(m.Sig), ed25519.SignatureSize)
	}
	return nil
}

func isFingerprint(s string) bool {
	if len(s) != fingerprintLen {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if i%3 == 2 {
			if c != ':' {
				return false
			}
		} else if (c < '0' || c > '9') && (c < 'A' || c > 'F') {
			return false
		}
	}
	return true
}

// Sign signs an offer or an answer from the owner of key to a peer. Other kinds carry no signature.
func (m *Message) Sign(key ed25519.PrivateKey, to wire.PeerID) {
	if m.Kind == KindOffer || m.Kind == KindAnswer {
		m.Sig = ed25519.Sign(key, m.signed(wire.IDOf(key), to))
	}
}

// Verify checks that an offer or answer is from one peer to another. Other kinds are nobody's word: a Machine takes
// them for sessions that it knows, and the worst that a forged one does is to end an attempt.
func (m *Message) Verify(from, to wire.PeerID) error {
	if m.Kind != KindOffer && m.Kind != KindAnswer {
		return nil
	}
	if !ed25519.Verify(from.Key(), m.signed(from, to), m.Sig) {
		return fmt.Errorf("verify the %s of a link: it is not signed by %s for %s", m.Kind, from.Tag(), to.Tag())
	}
	return nil
}

// signed is what the signature is over. All parts but the kind, which a zero byte ends, and the last are of fixed
// length.
func (m *Message) signed(from, to wire.PeerID) []byte {
	b := make([]byte, 0, 256)
	b = append(b, domain...)
	b = append(b, m.Kind...)
	b = append(b, 0)
	b = append(b, from[:]...)
	b = append(b, to[:]...)
	b = append(b, m.Session[:]...)
	b = append(b, m.Instance[:]...)
	return append(b, m.Fingerprint...)
}
