package signaling

import (
	"bufio"
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/google/uuid"

	"peerchat/peer/wire"
)

// examples are one message of every type.
func examples() (requests []Request, replies []Message) {
	key := testKey(1)
	bob, carol := wire.IDOf(key), wire.IDOf(testKey(2))
	id := uuid.MustParse("0199a3c4-5b6d-7e8f-9a0b-1c2d3e4f5a6b")
	nonce := [32]byte{1, 2, 3, 4}
	hello := &HelloRequest{ID: id, Peer: bob, Name: "bob", Agent: "peerchat/1.0", Resume: true}
	copy(hello.Sig[:], ed25519.Sign(key, HelloText(nonce, bob)))
	requests = []Request{
		hello,
		&JoinRequest{id, "general"}, &LeaveRequest{id, "general"}, &RoomsRequest{id}, &MembersRequest{id, "general"},
		&SignalRequest{id, carol, json.RawMessage(`{"kind":"offer","sdp":"v=0…"}`)},
		&NameRequest{id, "Bób"}, &DialbackRequest{id, 5000}, &ByeRequest{id},
	}
	replies = []Message{
		&Challenge{nonce},
		&HelloAnswer{Re: id, Observed: "203.0.113.7:51820", STUN: []string{"stun:chat.example.org:5000"}, Term: 3, Leader: carol,
			Resumed: true, Ping: 1500, Proof: []byte("proof")},
		&MembersAnswer{Op: "join", Re: id, Room: "general", Members: []Member{{carol, "carol"}}, Count: 2},
		&MembersAnswer{Op: "members", Re: id, Room: "general", Members: []Member{{carol, "carol"}}, Count: 2},
		&RoomsAnswer{Re: id, Rooms: []Room{{"general", 2}, {"dev", 1}}, Total: 2},
		&Answer{Op: "signal", Re: id, Status: OK},
		&Answer{Op: "join", Re: id, Status: RateLimited, Text: "in too many rooms: at most 64 are allowed; leave one first"},
		&Answer{Re: id, Status: RequestError, Text: `member "type": "sing" is unknown; this tracker speaks peerchat.v1`},
		&JoinedNote{"general", Member{bob, "bob"}, 2}, &LeftNote{"general", bob, 1}, &RenamedNote{Member{bob, "Bób"}},
		&SignalNote{Member{bob, "bob"}, json.RawMessage(`{"kind":"offer","sdp":"v=0…"}`)},
		&DialbackAnswer{Re: id, OK: true, Address: "203.0.113.7:5000"},
		&DialbackAnswer{Re: id, Address: "203.0.113.7:5000", Text: "no tracker of yours answered at 203.0.113.7:5000"},
		&TermNote{Term: 5, Leader: carol}, &TermNote{Term: 6},
		&ByeNote{Status: OK, Text: "the tracker is shutting down"},
		&ByeNote{Status: Moved, Text: "this tracker has handed over to ws://192.168.1.20:5000/ws", Tracker: "ws://192.168.1.20:5000/ws",
			Term: 4, Leader: carol},
	}
	return requests, replies
}

func TestEveryMessageSurvivesTheWire(t *testing.T) {
	requests, replies := examples()
	for _, r := range requests {
		b := r.Append(nil)
		got, err := DecodeRequest(b)
		if err != nil || !reflect.DeepEqual(got, r) {
			t.Errorf("%s comes back as %+v, error %v; want %+v", b, got, err, r)
		}
		if !json.Valid(b) {
			t.Errorf("%s is not JSON for encoding/json", b)
		}
	}
	for _, m := range replies {
		b := m.Append(nil)
		got, err := DecodeReply(b)
		if err != nil || !reflect.DeepEqual(got, m) {
			t.Errorf("%s comes back as %+v, error %v; want %+v", b, got, err, m)
		}
		if !json.Valid(b) {
			t.Errorf("%s is not JSON for encoding/json", b)
		}
	}
}

// TestProtocolDocument holds docs/protocol.md to the code: each of its literal messages decodes, encodes to the same
// bytes, and every type of message is there.
func TestProtocolDocument(t *testing.T) {
	f, err := os.Open("../docs/protocol.md")
	if err != nil {
		t.Fatalf("the protocol's document: %v", err)
	}
	defer f.Close()
	seen := map[string]bool{}
	in, signaling := false, false
	for s := bufio.NewScanner(f); s.Scan(); {
		line := strings.TrimSpace(s.Text())
		switch {
		case strings.HasPrefix(line, "## "):
			signaling = line == "## Signaling"
			continue
		case strings.HasPrefix(line, "```"):
			in = line == "```json"
			continue
		}
		if !in || !signaling || line == "" {
			continue
		}
		var again []byte
		if r, err := DecodeRequest([]byte(line)); err == nil {
			again = r.Append(nil)
			seen[reflect.TypeOf(r).String()] = true
		} else if m, err := DecodeReply([]byte(line)); err == nil {
			again = m.Append(nil)
			seen[reflect.TypeOf(m).String()] = true
		} else if i, err := DecodeInfo([]byte(line)); err == nil {
			again = i.Append(nil)
			seen["info"] = true
		} else if g, err := DecodeGreeting([]byte(line)); err == nil {
			again = g.Append(nil)
			seen["greeting"] = true
		} else {
			t.Errorf("docs/protocol.md has a message that cannot be read: %s", line)
			continue
		}
		if string(again) != line {
			t.Errorf("docs/protocol.md says %s, the code %s", line, again)
		}
	}
	if !seen["info"] || !seen["greeting"] {
		t.Errorf("docs/protocol.md shows no Info or no Greeting")
	}
	requests, replies := examples()
	for _, r := range requests {
		if name := reflect.TypeOf(r).String(); !seen[name] {
			t.Errorf("docs/protocol.md shows no %s; add %s", name, r.Append(nil))
		}
	}
	for _, m := range replies {
		if name := reflect.TypeOf(m).String(); !seen[name] {
			t.Errorf("docs/protocol.md shows no %s; add %s", name, m.Append(nil))
		}
	}
}

func TestBadMessages(t *testing.T) {
	const id = `"id":"0199a3c4-5b6d-7e8f-9a0b-1c2d3e4f5a6b"`
	peer := wire.IDOf(testKey(1)).String()
	for _, c := range []struct{ in, want string }{
		{``, "JSON"}, {`[]`, "JSON"}, {`{"type":"join"`, "JSON"}, {`{} {}`, "more follows"}, {"{\"type\":\"\xff\"}", "UTF-8"},
		{`{"type":"join","type":"bye",` + id + `}`, "two members"},
		{`{"TYPE":"rooms",` + id + `}`, `"type"`},
		{`{"type":"sing",` + id + `}`, "unknown"},
		{`{"type":7,` + id + `}`, "want a string"},
		{`{"type":"rooms"}`, `"id": missing`},
		{`{"type":"rooms","id":"7"}`, "no UUID"},
		{`{"type":"rooms","id":"{0199a3c4-5b6d-7e8f-9a0b-1c2d3e4f5a6b}"}`, "no UUID"},
		{`{"type":"join",` + id + `}`, `"room": missing`},
		{`{"type":"join",` + id + `,"room":"a b"}`, "not allowed"},
		{`{"type":"name",` + id + `,"name":"a\u202eb"}`, "cannot be shown"},
		{`{"type":"name",` + id + `,"name":"` + strings.Repeat("x", 33) + `"}`, "at most 32"},
		{`{"type":"signal",` + id + `,"to":"` + peer + `"}`, `"data": missing`},
		{`{"type":"signal",` + id + `,"to":"` + strings.ToUpper(peer) + `","data":1}`, "peer ID"},
		{`{"type":"signal",` + id + `,"to":"` + strings.Repeat("a", 52) + `","data":1}`, "nobody"},
		{`{"type":"signal",` + id + `,"to":"` + peer + `","data":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}`, "nested"},
		{`{"type":"signal",` + id + `,"to":"` + peer + `","data":"` + strings.Repeat("x", MaxData) + `"}`, "at most"},
		{`{"type":"signal",` + id + `,"to":"` + peer + `","data":"` + strings.Repeat("x", MaxMessage) + `"}`, "at most"},
		{`{"type":"hello",` + id + `,"peer":"` + peer + `","name":"bob","agent":"` + strings.Repeat("x", 65) + `","sig":""}`, "at most 64"},
		{`{"type":"dialback",` + id + `}`, "no port"}, {`{"type":"dialback",` + id + `,"port":0}`, "no port"},
		{`{"type":"dialback",` + id + `,"port":65536}`, "no port"}, {`{"type":"dialback",` + id + `,"port":"5000"}`, "whole number"},
		{`{"type":"hello",` + id + `,"peer":"` + peer + `","name":"bob","agent":"a","sig":"AAAA"}`, "64 bytes in base64"},
	} {
		r, err := DecodeRequest([]byte(c.in))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.120s is refused with %q, got %+v and %v", c.in, c.want, r, err)
		}
	}
}

func TestBadReplies(t *testing.T) {
	const re = `"re":"0199a3c4-5b6d-7e8f-9a0b-1c2d3e4f5a6b","status":"OK"`
	for _, c := range []struct{ in, want string }{
		{`{"type":"term","term":-1}`, "whole number"}, {`{"type":"term","term":18446744073709551616}`, "whole number"},
		{`{"type":"term","term":1,"leader":"x"}`, "peer ID"},
		{`{"type":"dialback",` + re + `,"dialable":1}`, "true or false"},
		{`{"type":"hello",` + re + `,"proof":"x"}`, "base64"},
		{`{"type":"hello",` + re + `,"proof":"` + strings.Repeat("AAAA", MaxProof/3+1) + `"}`, "at most 4096"},
	} {
		m, err := DecodeReply([]byte(c.in))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.120s is refused with %q, got %+v and %v", c.in, c.want, m, err)
		}
	}
}

func FuzzDecodeRequest(f *testing.F) {
	requests, _ := examples()
	for _, r := range requests {
		f.Add(r.Append(nil))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := DecodeRequest(b)
		if err != nil {
			return
		}
		first := r.Append(nil)
		again, err := DecodeRequest(first)
		if err != nil {
			t.Fatalf("%q is read, but what it encodes to, %q, is not: %v", b, first, err)
		}
		if second := again.Append(nil); !bytes.Equal(first, second) {
			t.Fatalf("%q encodes to %q, and that to %q", b, first, second)
		}
	})
}

func FuzzDecodeReply(f *testing.F) {
	_, replies := examples()
	for _, m := range replies {
		f.Add(m.Append(nil))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := DecodeReply(b)
		if err != nil {
			return
		}
		first := m.Append(nil)
		if len(first) > MaxMessage {
			return // escapes make it longer than what was read; a tracker does not send such
		}
		again, err := DecodeReply(first)
		if err != nil {
			t.Fatalf("%q is read, but what it encodes to, %q, is not: %v", b, first, err)
		}
		if second := again.Append(nil); !bytes.Equal(first, second) {
			t.Fatalf("%q encodes to %q, and that to %q", b, first, second)
		}
	})
}

// FuzzObject holds our parser to encoding/json: what we take, it takes, with the same members. We refuse more: what
// is not UTF-8, members named twice, too many, nested too deep.
func FuzzObject(f *testing.F) {
	for _, s := range []string{`{}`, ` { "a" : [1, -0.5e+3, {"b":null}] , "\u0062":"\"\\\ud800" } `, `{"a":tru}`, `{"a":01}`, `{"a":1.}`, "{\"a\":\"\x01\"}"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var o object
		err := o.parse(b)
		var ref map[string]json.RawMessage
		referr := json.Unmarshal(b, &ref)
		if err != nil {
			if referr == nil && ref != nil && !strings.Contains(err.Error(), "two members") && !strings.Contains(err.Error(), "more than") &&
				!strings.Contains(err.Error(), "nested") && !strings.Contains(err.Error(), "UTF-8") {
				t.Fatalf("%q is JSON, but we say %v", b, err)
			}
			return
		}
		if referr != nil {
			t.Fatalf("we take %q, encoding/json says %v", b, referr)
		}
		if len(ref) != o.n {
			t.Fatalf("%q has %d members for us, %d for encoding/json", b, o.n, len(ref))
		}
		for i := range o.n {
			if want := ref[string(o.keys[i])]; !bytes.Equal(bytes.TrimSpace(want), o.vals[i]) {
				t.Fatalf("%q: member %q is %q for us, %q for encoding/json", b, o.keys[i], o.vals[i], want)
			}
			if err := elements(o.vals[i], func([]byte) error { return nil }); err != nil && o.vals[i][0] == '[' {
				t.Fatalf("%q: the array %q: %v", b, o.vals[i], err)
			}
		}
	})
}
