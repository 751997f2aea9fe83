package negotiate

import (
	"bytes"
	"crypto/ed25519"
	"reflect"
	"strings"
	"testing"

	"github.com/google/uuid"

	"peerchat/peer/wire"
)

var testSession = uuid.MustParse("0190a1b2-c3d4-7e5f-8000-000000000001")

var testInstance = uuid.MustParse("0190a1b2-c3d4-7e5f-8000-0000000000aa")

func testKey(b byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{b}, ed25519.SeedSize))
}

func testMessages() []Message {
	mid, line := "0", uint16(0)
	key, to := testKey(1), wire.IDOf(testKey(2))
	described := func(k Kind) Message {
		m := Message{Kind: k, Session: testSession, Instance: testInstance, SDP: "v=0\r\n", Fingerprint: strings.Repeat("AB:", 31) + "CD"}
		m.Sign(key, to)
		return m
	}
	return []Message{
		described(KindOffer), described(KindAnswer),
		{Kind: KindCandidate, Session: testSession, Candidate: &Candidate{Candidate: "candidate:1 …", SDPMid: &mid, SDPMLineIndex: &line}},
		{Kind: KindCandidate, Session: testSession, Candidate: &Candidate{}},
		{Kind: KindReject, Session: testSession},
	}
}

func TestMessagesSurviveTheWire(t *testing.T) {
	for _, m := range testMessages() {
		b, err := m.Append(nil)
		if err != nil {
			t.Fatalf("%s: %v", m.Kind, err)
		}
		back, err := Parse(b)
		if err != nil {
			t.Fatalf("%s: %v", m.Kind, err)
		}
		if !reflect.DeepEqual(m, back) {
			t.Errorf("%s came back as %+v from %s", m.Kind, back, b)
		}
	}
}

func TestSignatureBindsEverything(t *testing.T) {
	key, other := testKey(1), testKey(3)
	from, to := wire.IDOf(key), wire.IDOf(testKey(2))
	for _, m := range testMessages()[:2] {
		if err := m.Verify(from, to); err != nil {
			t.Fatalf("a good %s: %v", m.Kind, err)
		}
		for what, forged := range map[string]func() error{
			"another sender":   func() error { return m.Verify(wire.IDOf(other), to) },
			"another receiver": func() error { return m.Verify(from, wire.IDOf(other)) },
			"the other kind": func() error {
				x := m
				if x.Kind = KindOffer; m.Kind == KindOffer {
					x.Kind = KindAnswer
				}
				return x.Verify(from, to)
			},
			"another session":  func() error { x := m; x.Session[15]++; return x.Verify(from, to) },
			"another instance": func() error { x := m; x.Instance[15]++; return x.Verify(from, to) },
			"another fingerprint": func() error {
				x := m
				x.Fingerprint = "00" + m.Fingerprint[2:]
				return x.Verify(from, to)
			},
			"no signature": func() error { x := m; x.Sig = nil; return x.Verify(from, to) },
		} {
			if forged() == nil {
				t.Errorf("a %s with %s is taken", m.Kind, what)
			}
		}
	}
}

func TestParseRefuses(t *testing.T) {
	good, err := testMessages()[0].Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	swap := func(old, new string) string {
		s := strings.Replace(string(good), old, new, 1)
		if s == string(good) {
			t.Fatalf("%q is not in %s", old, good)
		}
		return s
	}
	for what, s := range map[string]string{
		"nothing":                "",
		"an array":               "[]",
		"null":                   "null",
		"something after it":     string(good) + "{}",
		"an unknown field":       swap(`{`, `{"x":1,`),
		"an unknown kind":        swap(`"offer"`, `"offers"`),
		"no session":             swap(testSession.String(), uuid.Nil.String()),
		"no instance":            swap(`"instance":"`+testInstance.String()+`",`, ""),
		"a zero instance":        swap(testInstance.String(), uuid.Nil.String()),
		"an instance no UUID is": swap(testInstance.String(), "1"),
		"a reject's instance":    `{"kind":"reject","session":"` + testSession.String() + `","instance":"` + testInstance.String() + `"}`,
		"lower-case fingerprint": swap("AB:", "ab:"),
		"a short fingerprint":    swap("AB:", ""),
		"an empty SDP":           swap(`v=0\r\n`, ""),
		"a long SDP":             swap(`v=0`, strings.Repeat("v", maxSDP)),
		"a rejecting SDP":        swap(`"offer"`, `"reject"`),
		"a short signature":      swap(`"sig":"`, `"sig":"AAAA","Sig":"`),
		"invalid UTF-8":          swap(`v=0`, "\xff"),
		"49 KiB":                 string(good) + strings.Repeat(" ", 49<<10),
		"no candidate":           `{"kind":"candidate","session":"` + testSession.String() + `"}`,
		"a long candidate":       `{"kind":"candidate","session":"` + testSession.String() + `","candidate":{"candidate":"` + strings.Repeat("c", 1025) + `"}}`,
	} {
		if what == "a short signature" {
			s = swap(`"sig":"`, `"sig":"AAAA`)
		}
		if m, err := Parse([]byte(s)); err == nil {
			t.Errorf("%s is taken: %+v", what, m)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, m := range testMessages() {
		b, err := m.Append(nil)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte(`{"kind":"candidate","session":"0190a1b2c3d47e5f8000000000000001","candidate":{"sdpMid":null}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := Parse(b)
		if err != nil {
			return
		}
		first, err := m.Append(nil)
		if err != nil {
			if strings.Contains(err.Error(), "bytes are too many") {
				return // JSON escapes make it longer than it was
			}
			t.Fatalf("what was parsed cannot be written: %v", err)
		}
		again, err := Parse(first)
		if err != nil {
			t.Fatalf("what was written cannot be parsed: %v\n%s", err, first)
		}
		second, err := again.Append(nil)
		if err != nil || !bytes.Equal(first, second) || !reflect.DeepEqual(m, again) {
			t.Fatalf("%s became %s (%v)", first, second, err)
		}
		_ = m.Verify(wire.PeerID{1}, wire.PeerID{2})
	})
}
