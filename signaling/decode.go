package signaling

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"

	"peerchat/peer/wire"
)

// BadRequest is the error of DecodeRequest. ID and Op are what could be read of the request, so that its answer finds
// back.
type BadRequest struct {
	ID  uuid.UUID
	Op  string
	Err error
}

func (e *BadRequest) Error() string { return e.Err.Error() }
func (e *BadRequest) Unwrap() error { return e.Err }

// DecodeRequest reads what a client sends. The error is a *BadRequest. The request does not alias b.
func DecodeRequest(b []byte) (Request, error) { return new(decoder).request(b) }

func (d *decoder) request(b []byte) (Request, error) {
	r, err := d.requestOf(b, new(SignalRequest))
	if s, ok := r.(*SignalRequest); ok {
		s.Data = bytes.Clone(s.Data)
	}
	return r, err
}

// requestOf is request, but what it returns may be signal, whose Data aliases b.
func (d *decoder) requestOf(b []byte, signal *SignalRequest) (Request, error) {
	d.err = nil
	d.open(b)
	word := d.text("type")
	id := d.uuid("id")
	if d.err == nil && string(word) == "signal" {
		*signal = SignalRequest{ID: id, To: d.peer("to"), Data: d.data()}
		if d.err != nil {
			return nil, &BadRequest{ID: id, Op: "signal", Err: d.err}
		}
		return signal, nil
	}
	op := string(word)
	var r Request
	switch {
	case d.err != nil:
	case op == "hello":
		r = &HelloRequest{ID: id, Peer: d.peer("peer"), Name: d.name(), Agent: d.agent(), Sig: d.sig(),
			Resume: d.bool("resume"), Process: d.process()}
	case op == "join":
		r = &JoinRequest{ID: id, Room: d.room()}
	case op == "leave":
		r = &LeaveRequest{ID: id, Room: d.room()}
	case op == "rooms":
		r = &RoomsRequest{ID: id}
	case op == "members":
		r = &MembersRequest{ID: id, Room: d.room()}
	case op == "name":
		r = &NameRequest{ID: id, Name: d.name()}
	case op == "dialback":
		r = &DialbackRequest{ID: id, Port: d.port()}
	case op == "bye":
		r = &ByeRequest{ID: id}
	default:
		d.fail("type", fmt.Errorf("%q is unknown; this tracker speaks %s", clip(op), Subprotocol))
		op = ""
	}
	if d.err != nil {
		return nil, &BadRequest{ID: id, Op: knownOp(op), Err: d.err}
	}
	return r, nil
}

// DecodeReply reads what a tracker sends: an answer or a notification. It does not alias b.
func DecodeReply(b []byte) (Message, error) {
	d := decoder{}
	d.open(b)
	op := d.string("type", true)
	var m Message
	switch {
	case d.err != nil:
	case d.get("re") != nil:
		m = d.answer(op)
	case op == "challenge":
		m = &Challenge{Nonce: [32]byte(d.base64("nonce", 32))}
	case op == "joined":
		m = &JoinedNote{Room: d.room(), Member: d.member(), Count: d.count("count")}
	case op == "left":
		m = &LeftNote{Room: d.room(), Peer: d.peer("peer"), Count: d.count("count")}
	case op == "renamed":
		m = &RenamedNote{Member: d.member()}
	case op == "signal":
		m = &SignalNote{From: Member{Peer: d.peer("from"), Name: d.name()}, Data: bytes.Clone(d.data())}
	case op == "term":
		m = &TermNote{Term: d.uint("term"), Leader: d.leader()}
	case op == "bye":
		m = &ByeNote{Status: d.status(), Text: d.string("text", true), Tracker: d.string("tracker", true),
			Term: d.uint("term"), Leader: d.leader(), Process: d.process()}
	default:
		d.fail("type", fmt.Errorf("%q is unknown", clip(op)))
	}
	if d.err != nil {
		return nil, d.err
	}
	return m, nil
}

func (d *decoder) answer(op string) Message {
	re, status := d.uuid("re"), d.status()
	if d.err != nil {
		return nil
	}
	if status == OK {
		switch op {
		case "hello":
			return &HelloAnswer{Re: re, Observed: d.string("observed", true), STUN: d.strings("stun", 16),
				Term: d.uint("term"), Leader: d.leader(), Resumed: d.bool("resumed"), Ping: d.count("ping"), Proof: d.proof()}
		case "join", "members":
			return &MembersAnswer{Op: op, Re: re, Room: d.room(), Members: d.members(), Count: d.count("count")}
		case "rooms":
			return &RoomsAnswer{Re: re, Rooms: d.rooms(), Total: d.count("total")}
		case "dialback":
			return &DialbackAnswer{Re: re, OK: d.bool("dialable"), Address: d.string("address", true), Text: d.string("text", true)}
		}
	}
	return &Answer{Op: knownOp(op), Re: re, Status: status, Text: d.string("text", true)}
}

// decoder reads members of one object and keeps the first error; after it every read returns zero.
type decoder struct {
	object
	err error
}

func (d *decoder) open(b []byte) {
	if len(b) > MaxMessage {
		d.err = fmt.Errorf("message of %d bytes: at most %d are allowed", len(b), MaxMessage)
		return
	}
	d.err = d.parse(b)
}

func (d *decoder) fail(key string, err error) {
	if d.err == nil {
		d.err = fmt.Errorf("member %q: %w", key, err)
	}
}

var errMissing = errors.New("missing")

// value is the raw value of key; null counts as missing.
func (d *decoder) value(key string, optional bool) []byte {
	if d.err != nil {
		return nil
	}
	v := d.get(key)
	if v == nil || string(v) == "null" {
		if !optional {
			d.fail(key, errMissing)
		}
		return nil
	}
	return v
}

func (d *decoder) string(key string, optional bool) string {
	v := d.value(key, optional)
	if v == nil {
		return ""
	}
	s, err := unquote(v)
	if err != nil {
		d.fail(key, err)
	}
	return s
}

// text is string without a copy: what it returns may alias the input.
func (d *decoder) text(key string) []byte {
	v := d.value(key, false)
	if v == nil {
		return nil
	}
	s, err := unquoted(v)
	if err != nil {
		d.fail(key, err)
	}
	return s
}

func (d *decoder) uuid(key string) uuid.UUID {
	// The ID is read even after an error, so that the answer to a bad request finds back.
	v := d.get(key)
	if v == nil {
		d.fail(key, errMissing)
		return uuid.UUID{}
	}
	s, err := unquoted(v)
	id, ok := parseUUID(s)
	if err != nil || !ok {
		d.fail(key, fmt.Errorf("%q is no UUID; want 36 characters in lower case", clip(string(s))))
		return uuid.UUID{}
	}
	return id
}

// parseUUID reads the one form that has lower case and hyphens (RFC 9562 section 4).
func parseUUID(s []byte) (id uuid.UUID, ok bool) {
	if len(s) != 36 {
		return id, false
	}
	n := 0
	for i, c := range s {
		switch {
		case i == 8 || i == 13 || i == 18 || i == 23:
			if c != '-' {
				return uuid.UUID{}, false
			}
			continue
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		default:
			return uuid.UUID{}, false
		}
		id[n/2] = id[n/2]<<4 | c
		n++
	}
	return id, true
}

func (d *decoder) peer(key string) wire.PeerID {
	s := d.text(key)
	if d.err != nil {
		return wire.PeerID{}
	}
	var p wire.PeerID
	if err := p.UnmarshalText(s); err != nil {
		d.fail(key, err)
	} else if p.IsZero() {
		d.fail(key, errors.New("the zero ID is nobody's"))
	}
	return p
}

func (d *decoder) process() uuid.UUID {
	if d.value("process", true) == nil {
		return uuid.UUID{}
	}
	return d.uuid("process")
}

func (d *decoder) leader() wire.PeerID {
	if d.value("leader", true) == nil {
		return wire.PeerID{}
	}
	return d.peer("leader")
}

func (d *decoder) room() wire.Room {
	s := d.string("room", false)
	if d.err != nil {
		return ""
	}
	r, err := wire.ParseRoom(s)
	if err != nil {
		d.fail("room", err)
	}
	return r
}

func (d *decoder) name() string {
	s := d.string("name", false)
	if d.err != nil {
		return ""
	}
	n, err := wire.ParseName(s)
	if err != nil {
		d.fail("name", err)
	}
	return n
}

func (d *decoder) agent() string {
	s := d.string("agent", true)
	if len(s) > MaxAgent {
		d.fail("agent", fmt.Errorf("%d bytes long: at most %d are allowed", len(s), MaxAgent))
	}
	return s
}

func (d *decoder) member() Member { return Member{Peer: d.peer("peer"), Name: d.name()} }

func (d *decoder) base64(key string, size int) []byte {
	out := make([]byte, size)
	s := d.string(key, false)
	if d.err != nil {
		return out
	}
	b, err := base64.StdEncoding.Strict().DecodeString(s)
	if err != nil || len(b) != size || strings.ContainsAny(s, "\r\n") {
		d.fail(key, fmt.Errorf("want %d bytes in base64", size))
		return out
	}
	return b
}

// proof is a leader's announcement, which may be missing.
func (d *decoder) proof() []byte {
	s := d.string("proof", true)
	if s == "" || d.err != nil {
		return nil
	}
	b, err := base64.StdEncoding.Strict().DecodeString(s)
	if err != nil || len(b) > MaxProof || strings.ContainsAny(s, "\r\n") {
		d.fail("proof", fmt.Errorf("want at most %d bytes in base64", MaxProof))
		return nil
	}
	return b
}

func (d *decoder) port() uint16 {
	n := d.uint("port")
	if d.err == nil && (n < 1 || n > 65535) {
		d.fail("port", fmt.Errorf("%d is no port from 1 to 65535", n))
	}
	return uint16(n)
}

func (d *decoder) sig() [64]byte { return [64]byte(d.base64("sig", 64)) }

func (d *decoder) data() []byte {
	v := d.get("data")
	switch {
	case d.err != nil:
		return nil
	case v == nil:
		d.fail("data", errMissing)
	case len(v) > MaxData:
		d.fail("data", fmt.Errorf("%d bytes long: at most %d are allowed", len(v), MaxData))
	}
	return v
}

func (d *decoder) bool(key string) bool {
	switch v := d.value(key, true); string(v) {
	case "true":
		return true
	case "false", "":
	default:
		d.fail(key, errors.New("want true or false"))
	}
	return false
}

func (d *decoder) uint(key string) uint64 {
	v := d.value(key, true)
	if v == nil {
		return 0
	}
	n, err := strconv.ParseUint(string(v), 10, 64)
	if err != nil {
		d.fail(key, fmt.Errorf("%s is no whole number from 0 on", clip(string(v))))
	}
	return n
}

func (d *decoder) count(key string) int {
	n := d.uint(key)
	if n > 1<<31-1 {
		d.fail(key, fmt.Errorf("%d is too large", n))
		return 0
	}
	return int(n)
}

func (d *decoder) status() Status {
	s := Status(d.string("status", false))
	if d.err != nil {
		return ""
	}
	switch s {
	case OK, RequestError, Unauthorized, NotFound, Conflict, RateLimited, ServerError, Moved:
	default:
		d.fail("status", fmt.Errorf("%q is unknown", clip(string(s))))
	}
	return s
}

func (d *decoder) strings(key string, most int) []string {
	v := d.value(key, true)
	if v == nil {
		return nil
	}
	var out []string
	err := elements(v, func(e []byte) error {
		s, err := unquote(e)
		if len(out) == most {
			return fmt.Errorf("more than %d", most)
		}
		out = append(out, s)
		return err
	})
	if err != nil {
		d.fail(key, err)
	}
	return out
}

func (d *decoder) members() []Member {
	var out []Member
	d.objects("members", func(e *decoder) { out = append(out, e.member()) })
	return out
}

func (d *decoder) rooms() []Room {
	var out []Room
	d.objects("rooms", func(e *decoder) { out = append(out, Room{Room: e.room(), Members: e.count("members")}) })
	return out
}

func (d *decoder) objects(key string, each func(*decoder)) {
	v := d.value(key, true)
	if v == nil {
		return
	}
	err := elements(v, func(b []byte) error {
		var e decoder
		e.open(b)
		each(&e)
		return e.err
	})
	if err != nil {
		d.fail(key, err)
	}
}

// knownOp keeps a stranger's word for a type out of what is sent on.
func knownOp(op string) string {
	switch op {
	case "hello", "join", "leave", "rooms", "members", "signal", "name", "dialback", "bye":
		return op
	}
	return ""
}

// clip shortens hostile input for an error text.
func clip(s string) string {
	if len(s) > 80 {
		n := 80
		for n > 0 && !utf8.RuneStart(s[n]) {
			n--
		}
		s = s[:n] + "…"
	}
	return s
}
