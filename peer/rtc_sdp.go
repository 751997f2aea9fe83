package peer

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/pion/webrtc/v4"
)

// rtcFingerprint brings a SHA-256 fingerprint to the form of Description: 32 upper-case hex pairs with colons (RFC 8122
// section 5). It is "" for anything else.
func rtcFingerprint(s string) string {
	s = strings.ToUpper(s)
	if len(s) != 32*3-1 {
		return ""
	}
	for i := range s {
		if i%3 == 2 {
			if s[i] != ':' {
				return ""
			}
		} else if c := s[i]; (c < '0' || c > '9') && (c < 'A' || c > 'F') {
			return ""
		}
	}
	return s
}

// rtcTold is what a description says beside what pion reads.
type rtcTold struct {
	candidates int  // how many are in it
	fast       bool // the peer takes fast frames over SRTCP
}

// rtcCheckSDP checks a description that came over the network, of which only the fingerprint has been authenticated:
// that its SDP is of a bearable size, and that its fingerprints are all that one and of SHA-256, so that DTLS cannot
// end at anybody else.
func rtcCheckSDP(kind webrtc.SDPType, d Description) (told rtcTold, err error) {
	if len(d.SDP) > rtcMaxSDP {
		return rtcTold{}, fmt.Errorf("its SDP is %d bytes long: at most %d are allowed", len(d.SDP), rtcMaxSDP)
	}
	want := rtcFingerprint(d.Fingerprint)
	if want == "" {
		return rtcTold{}, errors.New("its fingerprint is not a SHA-256 in hex pairs")
	}
	parsed, err := (&webrtc.SessionDescription{Type: kind, SDP: d.SDP}).Unmarshal()
	if err != nil {
		return rtcTold{}, fmt.Errorf("its SDP cannot be read: %w", err)
	}
	if n := len(parsed.MediaDescriptions); n == 0 || n > 4 {
		return rtcTold{}, fmt.Errorf("its SDP has %d media: 1 to 4 are allowed", n)
	}
	attributes := parsed.Attributes
	data := false
	for _, m := range parsed.MediaDescriptions {
		attributes = append(attributes, m.Attributes...)
		data = data || m.MediaName.Media == "application"
	}
	if !data {
		return rtcTold{}, errors.New("its SDP has no data channel")
	}
	found := false
	for _, a := range attributes {
		switch strings.ToLower(a.Key) {
		case "fingerprint":
			hash, value, _ := strings.Cut(a.Value, " ")
			if !strings.EqualFold(hash, "sha-256") {
				return rtcTold{}, fmt.Errorf("its SDP has a fingerprint of %.20q: only sha-256 is allowed", hash)
			}
			if rtcFingerprint(value) != want {
				return rtcTold{}, errors.New("its SDP has another fingerprint than the signed one")
			}
			found = true
		case rtcFastAttribute:
			told.fast = true
		case "candidate":
			told.candidates++
			if len(a.Value) > rtcMaxCandidate {
				return rtcTold{}, fmt.Errorf("its SDP has a candidate of %d bytes: at most %d are allowed", len(a.Value), rtcMaxCandidate)
			}
		}
	}
	if !found {
		return rtcTold{}, errors.New("its SDP has no fingerprint")
	}
	if told.candidates > rtcMaxCandidates {
		return rtcTold{}, fmt.Errorf("its SDP has %d candidates: at most %d are allowed", told.candidates, rtcMaxCandidates)
	}
	return told, nil
}

// rtcDescription makes a Description of a local SDP, and says in it what the other side may do that pion does not know
// of.
func rtcDescription(d *webrtc.SessionDescription, cert webrtc.Certificate) (Description, error) {
	prints, err := cert.GetFingerprints()
	if err != nil {
		return Description{}, err
	}
	for _, p := range prints {
		if strings.EqualFold(p.Algorithm, "sha-256") {
			// An attribute of the session, before its first medium (RFC 8866 section 5); who does not know it ignores
			// it.
			sdp := strings.Replace(d.SDP, "\r\nm=", "\r\na="+rtcFastAttribute+"\r\nm=", 1)
			return Description{SDP: sdp, Fingerprint: rtcFingerprint(p.Value)}, nil
		}
	}
	return Description{}, errors.New("the DTLS certificate has no SHA-256 fingerprint")
}

// rtcICEKey is the key of the checks that the describing side answers (RFC 8839 section 5.4), or "".
func rtcICEKey(sdp string) string {
	_, after, _ := strings.Cut(sdp, "\na=ice-pwd:")
	key, _, _ := strings.Cut(after, "\n")
	return strings.TrimSpace(key)
}

// rtcHexPairs writes a hash as a fingerprint.
func rtcHexPairs(sum []byte) string {
	h := strings.ToUpper(hex.EncodeToString(sum))
	var b strings.Builder
	for i := 0; i < len(h); i += 2 {
		if i > 0 {
			b.WriteByte(':')
		}
		b.WriteString(h[i : i+2])
	}
	return b.String()
}
