package wire

import (
	"fmt"
	"time"

	"github.com/google/uuid"

	"peerchat/peer/cbor"
)

// DecodeFrame reads one frame, which must be the whole of b. It refuses everything that AppendFrame would not have
// written, so f re-encodes to b. Event bodies, and what other packages know, are parts of b, which must not be changed
// afterwards. Proofs have the right shape; whether they are true is for a Verifier to say.
func DecodeFrame(b []byte) (f Frame, err error) {
	if len(b) > MaxFrame {
		return nil, fmt.Errorf("decode frame: it is %d bytes long: at most %d are allowed", len(b), MaxFrame)
	}
	r := &reader{cbor.NewReader(b)}
	fields := r.Array("frame", 2, 9)
	kind := r.Uint("frame type", 0, MaxCounter)
	want := 0
	if r.Err() == nil {
		switch kind {
		case typeHello:
			want, f = 9, r.hello()
		case typePresence:
			want, f = 5, r.presence()
		case typeEvents:
			want, f = 4, r.events()
		case typeDigest:
			d := Digest{Room: r.room(""), Reply: r.Bool("reply")}
			d.Heads = r.heads(0)
			want, f = 4, d
		case typeHave:
			h := Have{Room: r.room("")}
			h.Heads = r.heads(1)
			h.Ways = r.ways(len(h.Heads))
			want, f = 4, h
		case typeWant:
			w := Want{Room: r.room("")}
			w.Ranges = r.ranges()
			want, f = 3, w
		case typeGraft:
			g := Graft{Room: r.room("")}
			g.Ranges = r.ranges()
			want, f = 3, g
		case typePrune:
			want, f = 3, r.prune()
		case typeBye:
			bye := Bye{Leaving: r.Bool("leaving")}
			bye.Reason = string(r.Text("reason", 0, MaxReason))
			want, f = 3, bye
		case typeElection:
			want, f = 2, Election{Data: r.Bytes("election message", 1, MaxElection)}
		case typeSignal:
			sig := Signal{Hops: uint8(r.Uint("hops", 0, MaxHops))}
			sig.To, sig.From = r.peer("to"), r.peer("from")
			sig.Data = r.Bytes("signal", 1, MaxSignal)
			want, f = 5, sig
		case typeOverlay:
			o := Overlay{Room: r.room("")}
			o.Data = r.Bytes("overlay message", 1, MaxOverlay)
			want, f = 3, o
		case typeMembers:
			m := Members{Room: r.room("")}
			m.Data = r.Bytes("members message", 1, MaxMembers)
			want, f = 3, m
		case typeHolders:
			want, f = 4, r.holders()
		default:
			return nil, fmt.Errorf("decode frame: type %d is not known", kind)
		}
	}
	if r.Err() == nil && fields != want {
		r.Failf("a frame of type %d has %d items: want %d", kind, fields, want)
	}
	if err := r.End(); err != nil {
		return nil, fmt.Errorf("decode frame: %w", err)
	}
	return f, nil
}

// DecodeEvent reads what AppendEvent wrote, as strictly as DecodeFrame does. The body is a part of b.
func DecodeEvent(b []byte) (Event, error) {
	r := &reader{cbor.NewReader(b)}
	r.Array("event", 13, 13)
	e := r.single(r.room(""), "")
	if err := r.End(); err != nil {
		return Event{}, fmt.Errorf("decode event: %w", err)
	}
	return e, nil
}

// reader reads what the frames are made of.
type reader struct{ cbor.Reader }

func (r *reader) peer(what string) (id PeerID) {
	r.Fill(what, id[:])
	return id
}

func (r *reader) hello() Frame {
	h := Hello{Version: r.Uint("version", 1, MaxCounter), Peer: r.peer("peer")}
	r.Fill("session", h.Session[:])
	h.Agent = string(r.Text("agent", 0, MaxAgent))
	h.Presence = r.presence()
	return h
}

func (r *reader) holders() Frame {
	h := Holders{Room: r.room(""), Author: r.peer("author")}
	n := r.Array("holders", 1, MaxHolders)
	h.Holders = make([]Holder, 0, n)
	for range n {
		r.Array("holder", 2, 2)
		o := Holder{Peer: r.peer("peer")}
		o.Seq = r.Uint("seq", 1, MaxCounter)
		h.Holders = append(h.Holders, o)
	}
	if r.Err() == nil {
		if err := h.check(); err != nil {
			r.Fail(err)
		}
	}
	return h
}

func (r *reader) presence() Presence {
	p := Presence{Seq: r.Uint("seq", 1, MaxCounter), Name: r.name("")}
	if p.Name == "" {
		r.Failf("username is empty")
	}
	n := r.Array("rooms", 0, MaxRooms)
	if n > 0 {
		p.Rooms = make([]Room, 0, n)
	}
	for range n {
		room := r.room("")
		for _, other := range p.Rooms {
			if room == other {
				r.Failf("room %q comes twice", string(room))
			}
		}
		p.Rooms = append(p.Rooms, room)
	}
	p.Voice = r.voice(p.Rooms)
	return p
}

// voice reads how a peer that is in rooms takes part in voice.
func (r *reader) voice(rooms []Room) (v Voice) {
	switch n := r.Array("voice", 0, 3); {
	case n == 0 || r.Err() != nil:
		return v
	case n != 3:
		r.Failf("voice has %d items: want 3, or none", n)
		return v
	}
	v = Voice{Room: r.room(""), Muted: r.Bool("muted"), Deaf: r.Bool("deaf")}
	if err := v.check(rooms); err != nil && r.Err() == nil {
		r.Fail(err)
	}
	return v
}

// room reads a room's name, and returns last if it is the same: a frame of events seldom has more than one.
func (r *reader) room(last Room) Room {
	b := r.Text("room", 1, MaxRoomName)
	if r.Err() != nil || string(b) == string(last) {
		return last
	}
	room := Room(b)
	if err := room.check(); err != nil {
		r.Fail(err)
		return ""
	}
	return room
}

// name reads a username, which may be empty, and returns last if it is the same.
func (r *reader) name(last string) string {
	b := r.Text("username", 0, 4*MaxName)
	if r.Err() != nil || len(b) == 0 {
		return ""
	}
	if string(b) == last {
		return last
	}
	name := string(b)
	if err := checkName(name); err != nil {
		r.Fail(err)
		return ""
	}
	return name
}

func (r *reader) heads(least int) []Head {
	n := r.Array("heads", least, MaxHeads)
	if n == 0 {
		return nil
	}
	heads := make([]Head, 0, min(n, r.Len()/36+1)) // a head takes 37 bytes at least
	for i := 0; i < n && r.Err() == nil; i++ {
		r.Array("head", 3, 3)
		h := Head{Author: r.peer("author"), Base: r.Uint("base", 0, MaxCounter), Seq: r.Uint("seq", 1, MaxCounter)}
		if r.Err() == nil {
			if err := h.check(); err != nil {
				r.Fail(err)
			}
		}
		if i > 0 && r.Err() == nil && heads[i-1].Log().Compare(h.Log()) >= 0 {
			r.Fail(errOrder)
		}
		heads = append(heads, h)
	}
	return heads
}

func (r *reader) ranges() []Range {
	n := r.Array("ranges", 1, MaxRanges)
	ranges := make([]Range, 0, min(n, r.Len()/36+1))
	for i := 0; i < n && r.Err() == nil; i++ {
		r.Array("range", 3, 3)
		x := Range{Author: r.peer("author"), From: r.Uint("from", 1, MaxCounter), To: r.Uint("to", 1, MaxCounter)}
		if r.Err() == nil {
			if err := x.check(); err != nil {
				r.Fail(err)
			}
		}
		if i > 0 && r.Err() == nil && !ranges[i-1].before(&x) {
			r.Fail(errOrder)
		}
		ranges = append(ranges, x)
	}
	return ranges
}

// ways reads one way for each of n heads, or none.
func (r *reader) ways(n int) []Way {
	b := r.Bytes("ways", 0, 2*n)
	if len(b) == 0 {
		return nil
	}
	if len(b) != 2*n {
		r.Failf("ways of %d heads take %d bytes: want %d, or none", n, len(b), 2*n)
		return nil
	}
	ways := make([]Way, n)
	for i := range ways {
		ways[i] = Way{Hops: b[2*i], Age: b[2*i+1]}
	}
	return ways
}

func (r *reader) prune() Frame {
	p := Prune{Room: r.room("")}
	n := r.Array("authors", 1, MaxRanges)
	p.Authors = make([]PeerID, 0, min(n, r.Len()/34+1))
	for i := 0; i < n && r.Err() == nil; i++ {
		p.Authors = append(p.Authors, r.peer("author"))
		if i > 0 && r.Err() == nil && !p.Authors[i-1].Less(p.Authors[i]) {
			r.Fail(errOrder)
		}
	}
	return p
}

// Smallest encodings, in bytes: of a batch's event beside its body, and of a single event.
const (
	minContent = 1 + 17 + 1 + 1 + 1 + 1
	minSingle  = 1 + 2 + 34 + 1 + 1 + 17 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 66
)

func (r *reader) events() Frame {
	f := Events{Hops: uint8(r.Uint("hops", 0, 255)), Live: r.Bool("live")}
	items := r.Array("events", 1, MaxEvents)
	var room Room
	var name string
	checks := false // some single event might belong to a whole batch
	for i := 0; i < items && r.Err() == nil; i++ {
		fields := r.Array("event", 6, 13)
		room = r.room(room)
		switch {
		case r.Err() != nil:
		case fields == 13:
			if f.Events == nil {
				f.Events = make([]Event, 0, min(items, r.Len()/minSingle+1))
			}
			e := r.single(room, name)
			name = e.Name
			checks = checks || (e.Proof.Size > 1 && e.Proof.Index == 0)
			f.Events = append(f.Events, e)
		case fields == 6:
			f.Events = r.batch(f.Events, room)
		default:
			r.Failf("an event has %d items: want 13, or 6 for a batch", fields)
		}
		if len(f.Events) > MaxEvents {
			r.Failf("more than %d events", MaxEvents)
		}
	}
	if checks && r.Err() == nil {
		r.checkSingles(f.Events, items)
	}
	return f
}

// checkSingles refuses single events that are a whole batch, because the batch form is the only encoding of that.
func (r *reader) checkSingles(events []Event, items int) {
	n := 0
	for i := 0; i < len(events); i += wholeBatch(events[i:]) {
		n++
	}
	if n != items {
		r.Fail(cbor.ErrEncoding)
	}
}

// single reads an event with its proof; the array's head and the room are read. lastName is that of the event before.
func (r *reader) single(room Room, lastName string) Event {
	e := Event{Room: room, Author: r.peer("author"), Seq: r.Uint("seq", 1, MaxCounter)}
	e.Name = r.name(lastName)
	r.content(&e)
	e.Proof.Index = uint8(r.Uint("index", 0, MaxBatch-1))
	e.Proof.Size = uint8(r.Uint("size", 1, MaxBatch))
	path := r.Bytes("path", 0, 32*maxPath)
	sig := r.Bytes("sig", 64, 64)
	if r.Err() != nil {
		return Event{}
	}
	index, size := int(e.Proof.Index), int(e.Proof.Size)
	if index >= size || len(path) != 32*pathLen(index, size) {
		r.Fail(errProof)
		return Event{}
	}
	if len(path) > 0 {
		e.Proof.Path = make([][32]byte, len(path)/32)
		for i := range e.Proof.Path {
			e.Proof.Path[i] = [32]byte(path[32*i:])
		}
	}
	e.Proof.Sig = [64]byte(sig)
	return e
}

// batch reads a whole batch and appends its events; the array's head and the room are read.
func (r *reader) batch(events []Event, room Room) []Event {
	author, seq := r.peer("author"), r.Uint("seq", 1, MaxCounter-MaxBatch)
	name := r.name("")
	sig := r.Bytes("sig", 64, 64)
	n := r.Array("batch", 2, MaxBatch)
	if r.Err() == nil && n*minContent > r.Len() {
		r.Fail(cbor.ErrTruncated)
	}
	if r.Err() != nil {
		return events
	}
	start := len(events)
	if events == nil {
		events = make([]Event, 0, n)
	}
	for i := range n {
		r.Array("event", 5, 5)
		e := Event{Room: room, Author: author, Seq: seq + uint64(i), Name: name}
		r.content(&e)
		if r.Err() != nil {
			return events
		}
		e.Proof.Sig = [64]byte(sig)
		events = append(events, e)
	}
	provePaths(events[start:])
	return events
}

// content reads id, lamport, time, kind and body.
func (r *reader) content(e *Event) {
	id := r.Bytes("id", 16, 16)
	e.Lamport = r.Uint("lamport", 1, MaxCounter)
	ms := r.Uint("time", 0, MaxTime)
	e.Kind = Kind(r.Uint("kind", 1, 255))
	e.Body = r.Bytes("body", 0, MaxText)
	if r.Err() != nil {
		return
	}
	e.ID = uuid.UUID(id)
	e.Time = time.UnixMilli(int64(ms)).UTC()
	if err := CheckBody(e.Kind, e.Body); err != nil {
		r.Fail(err)
	}
}
