package wire

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"peerchat/peer/cbor"
)

// Types of frames: the first item of each.
const (
	typeHello    = 1
	typePresence = 2
	typeEvents   = 3
	typeDigest   = 4
	typeHave     = 5
	typeWant     = 6
	typeBye      = 7
	typeElection = 8
	typeSignal   = 9
	typeOverlay  = 10
	typeMembers  = 11
	typeHolders  = 12
	typePrune    = 13
	typeGraft    = 14
)

// EventOverhead bounds what an encoded event takes beside its Room, Name, Body and Path, in bytes.
const EventOverhead = 200

// EncodedSize bounds the length of the event in a frame, in bytes. Frame heads take less than EventOverhead again.
func (e *Event) EncodedSize() int {
	return EventOverhead + len(e.Room) + len(e.Name) + len(e.Body) + 32*len(e.Proof.Path)
}

// AppendFrame appends the encoding of f to dst. It refuses what DecodeFrame would refuse; dst is then returned as it
// was.
func AppendFrame(dst []byte, f Frame) ([]byte, error) {
	start := len(dst)
	b, err := appendFrame(dst, f)
	if err == nil && len(b)-start > MaxFrame {
		err = fmt.Errorf("it is %d bytes long: at most %d are allowed", len(b)-start, MaxFrame)
	}
	if err != nil {
		return dst[:start], fmt.Errorf("encode %T: %w", f, err)
	}
	return b, nil
}

func appendFrame(b []byte, f Frame) ([]byte, error) {
	switch f := f.(type) {
	case Hello:
		if f.Version < 1 || f.Version > MaxCounter {
			return nil, fmt.Errorf("version %d is not allowed", f.Version)
		}
		if err := checkText("agent", f.Agent, MaxAgent); err != nil {
			return nil, err
		}
		b = cbor.AppendUint(cbor.AppendArray(b, 9), typeHello)
		b = cbor.AppendUint(b, f.Version)
		b = cbor.AppendBytes(b, f.Peer[:])
		b = cbor.AppendBytes(b, f.Session[:])
		b = cbor.AppendText(b, f.Agent)
		return appendPresence(b, f.Presence)
	case Presence:
		return appendPresence(cbor.AppendUint(cbor.AppendArray(b, 5), typePresence), f)
	case Events:
		return appendEvents(b, f)
	case Digest:
		b = cbor.AppendUint(cbor.AppendArray(b, 4), typeDigest)
		b = cbor.AppendText(b, f.Room)
		b = cbor.AppendBool(b, f.Reply)
		return appendHeads(b, f.Room, f.Heads, 0)
	case Have:
		if len(f.Ways) > 0 && len(f.Ways) != len(f.Heads) {
			return nil, fmt.Errorf("%d ways of %d heads: want one of each, or none", len(f.Ways), len(f.Heads))
		}
		b = cbor.AppendUint(cbor.AppendArray(b, 4), typeHave)
		b, err := appendHeads(cbor.AppendText(b, f.Room), f.Room, f.Heads, 1)
		if err != nil {
			return nil, err
		}
		b = cbor.AppendBytesHead(b, 2*len(f.Ways))
		for _, w := range f.Ways {
			b = append(b, w.Hops, w.Age)
		}
		return b, nil
	case Want:
		return appendWant(b, typeWant, f.Room, f.Ranges)
	case Graft:
		return appendWant(b, typeGraft, f.Room, f.Ranges)
	case Prune:
		return appendPrune(b, f)
	case Bye:
		if err := checkText("reason", f.Reason, MaxReason); err != nil {
			return nil, err
		}
		b = cbor.AppendUint(cbor.AppendArray(b, 3), typeBye)
		return cbor.AppendText(cbor.AppendBool(b, f.Leaving), f.Reason), nil
	case Election:
		if len(f.Data) < 1 || len(f.Data) > MaxElection {
			return nil, fmt.Errorf("an election message of %d bytes: 1 to %d are allowed", len(f.Data), MaxElection)
		}
		return cbor.AppendBytes(cbor.AppendUint(cbor.AppendArray(b, 2), typeElection), f.Data), nil
	case Signal:
		if len(f.Data) < 1 || len(f.Data) > MaxSignal {
			return nil, fmt.Errorf("a signal of %d bytes: 1 to %d are allowed", len(f.Data), MaxSignal)
		}
		b = cbor.AppendUint(cbor.AppendUint(cbor.AppendArray(b, 5), typeSignal), uint64(f.Hops))
		return cbor.AppendBytes(cbor.AppendBytes(cbor.AppendBytes(b, f.To[:]), f.From[:]), f.Data), nil
	case Overlay:
		return appendRoomData(cbor.AppendUint(cbor.AppendArray(b, 3), typeOverlay), f.Room, f.Data, MaxOverlay)
	case Members:
		return appendRoomData(cbor.AppendUint(cbor.AppendArray(b, 3), typeMembers), f.Room, f.Data, MaxMembers)
	case Holders:
		if err := f.check(); err != nil {
			return nil, err
		}
		b = cbor.AppendText(cbor.AppendUint(cbor.AppendArray(b, 4), typeHolders), f.Room)
		b = cbor.AppendArray(cbor.AppendBytes(b, f.Author[:]), len(f.Holders))
		for _, h := range f.Holders {
			b = cbor.AppendUint(cbor.AppendBytes(cbor.AppendArray(b, 2), h.Peer[:]), h.Seq)
		}
		return b, nil
	default:
		return nil, fmt.Errorf("no frame of this type exists")
	}
}

// appendRoomData appends a room and a message of it that another package knows.
func appendRoomData(b []byte, room Room, data []byte, most int) ([]byte, error) {
	if err := room.check(); err != nil {
		return nil, err
	}
	if len(data) < 1 || len(data) > most {
		return nil, fmt.Errorf("a message of %d bytes: 1 to %d are allowed", len(data), most)
	}
	return cbor.AppendBytes(cbor.AppendText(b, room), data), nil
}

func (f Holders) check() error {
	if err := f.Room.check(); err != nil {
		return err
	}
	if len(f.Holders) < 1 || len(f.Holders) > MaxHolders {
		return fmt.Errorf("%d holders: 1 to %d are allowed", len(f.Holders), MaxHolders)
	}
	for i, h := range f.Holders {
		if h.Seq < 1 || h.Seq > MaxCounter {
			return fmt.Errorf("seq %d of a holder is out of range", h.Seq)
		}
		if i > 0 && !f.Holders[i-1].Peer.Less(h.Peer) {
			return errors.New("holders are not in ascending order")
		}
	}
	return nil
}

func appendPresence(b []byte, p Presence) ([]byte, error) {
	if p.Seq < 1 || p.Seq > MaxCounter {
		return nil, fmt.Errorf("seq %d of a presence is out of range", p.Seq)
	}
	if err := checkName(p.Name); err != nil {
		return nil, err
	}
	if len(p.Rooms) > MaxRooms {
		return nil, fmt.Errorf("%d rooms: at most %d are allowed", len(p.Rooms), MaxRooms)
	}
	b = cbor.AppendArray(cbor.AppendText(cbor.AppendUint(b, p.Seq), p.Name), len(p.Rooms))
	for i, room := range p.Rooms {
		if err := room.check(); err != nil {
			return nil, err
		}
		for _, other := range p.Rooms[:i] {
			if room == other {
				return nil, fmt.Errorf("room %q comes twice", string(room))
			}
		}
		b = cbor.AppendText(b, room)
	}
	if err := p.Voice.check(p.Rooms); err != nil {
		return nil, err
	}
	if p.Voice == (Voice{}) {
		return cbor.AppendArray(b, 0), nil
	}
	b = cbor.AppendText(cbor.AppendArray(b, 3), p.Voice.Room)
	return cbor.AppendBool(cbor.AppendBool(b, p.Voice.Muted), p.Voice.Deaf), nil
}

func appendHeads(b []byte, room Room, heads []Head, least int) ([]byte, error) {
	if err := room.check(); err != nil {
		return nil, err
	}
	if len(heads) < least || len(heads) > MaxHeads {
		return nil, fmt.Errorf("%d heads: want %d to %d", len(heads), least, MaxHeads)
	}
	b = cbor.AppendArray(b, len(heads))
	for i := range heads {
		h := &heads[i]
		if err := h.check(); err != nil {
			return nil, err
		}
		if i > 0 && heads[i-1].Log().Compare(h.Log()) >= 0 {
			return nil, errOrder
		}
		b = cbor.AppendBytes(cbor.AppendArray(b, 3), h.Author[:])
		b = cbor.AppendUint(cbor.AppendUint(b, h.Base), h.Seq)
	}
	return b, nil
}

func appendWant(b []byte, kind uint64, room Room, ranges []Range) ([]byte, error) {
	if err := room.check(); err != nil {
		return nil, err
	}
	if len(ranges) < 1 || len(ranges) > MaxRanges {
		return nil, fmt.Errorf("%d ranges: want 1 to %d", len(ranges), MaxRanges)
	}
	b = cbor.AppendText(cbor.AppendUint(cbor.AppendArray(b, 3), kind), room)
	b = cbor.AppendArray(b, len(ranges))
	for i := range ranges {
		r := &ranges[i]
		if err := r.check(); err != nil {
			return nil, err
		}
		if i > 0 && !ranges[i-1].before(r) {
			return nil, errOrder
		}
		b = cbor.AppendBytes(cbor.AppendArray(b, 3), r.Author[:])
		b = cbor.AppendUint(cbor.AppendUint(b, r.From), r.To)
	}
	return b, nil
}

func appendPrune(b []byte, f Prune) ([]byte, error) {
	if err := f.Room.check(); err != nil {
		return nil, err
	}
	if len(f.Authors) < 1 || len(f.Authors) > MaxRanges {
		return nil, fmt.Errorf("%d authors: want 1 to %d", len(f.Authors), MaxRanges)
	}
	b = cbor.AppendText(cbor.AppendUint(cbor.AppendArray(b, 3), typePrune), f.Room)
	b = cbor.AppendArray(b, len(f.Authors))
	for i := range f.Authors {
		if i > 0 && !f.Authors[i-1].Less(f.Authors[i]) {
			return nil, errOrder
		}
		b = cbor.AppendBytes(b, f.Authors[i][:])
	}
	return b, nil
}

func appendEvents(b []byte, f Events) ([]byte, error) {
	if len(f.Events) < 1 || len(f.Events) > MaxEvents {
		return nil, fmt.Errorf("%d events: want 1 to %d", len(f.Events), MaxEvents)
	}
	b = cbor.AppendUint(cbor.AppendArray(b, 4), typeEvents)
	b = cbor.AppendBool(cbor.AppendUint(b, uint64(f.Hops)), f.Live)
	var sizes [MaxEvents]uint8
	items := 0
	for i := 0; i < len(f.Events); i += int(sizes[items-1]) {
		sizes[items] = uint8(wholeBatch(f.Events[i:]))
		items++
	}
	b = cbor.AppendArray(b, items)
	for i, item := 0, 0; i < len(f.Events); item++ {
		n := int(sizes[item])
		for j := i; j < i+n; j++ {
			if err := f.Events[j].check(); err != nil {
				return nil, err
			}
		}
		if n == 1 {
			e := &f.Events[i]
			p := &e.Proof
			if p.Size < 1 || p.Size > MaxBatch || p.Index >= p.Size || len(p.Path) != pathLen(int(p.Index), int(p.Size)) {
				return nil, errProof
			}
			b = AppendEvent(b, e)
		} else {
			b = appendBatch(b, f.Events[i:i+n])
		}
		i += n
	}
	return b, nil
}

// AppendEvent appends the encoding of a single event with its proof, an item of an Events frame. It checks nothing:
// e must come from DecodeFrame, DecodeEvent or SignBatch.
func AppendEvent(b []byte, e *Event) []byte {
	b = cbor.AppendText(cbor.AppendArray(b, 13), e.Room)
	b = cbor.AppendUint(cbor.AppendBytes(b, e.Author[:]), e.Seq)
	b = cbor.AppendText(b, e.Name)
	b = appendContent(b, e)
	b = cbor.AppendUint(cbor.AppendUint(b, uint64(e.Proof.Index)), uint64(e.Proof.Size))
	b = cbor.AppendBytesHead(b, 32*len(e.Proof.Path))
	for i := range e.Proof.Path {
		b = append(b, e.Proof.Path[i][:]...)
	}
	return cbor.AppendBytes(b, e.Proof.Sig[:])
}

func appendBatch(b []byte, events []Event) []byte {
	first := &events[0]
	b = cbor.AppendText(cbor.AppendArray(b, 6), first.Room)
	b = cbor.AppendUint(cbor.AppendBytes(b, first.Author[:]), first.Seq)
	b = cbor.AppendText(b, first.Name)
	b = cbor.AppendArray(cbor.AppendBytes(b, first.Proof.Sig[:]), len(events))
	for i := range events {
		b = appendContent(cbor.AppendArray(b, 5), &events[i])
	}
	return b
}

// appendContent appends what an event says of itself, without an array head: id, lamport, time, kind, body.
func appendContent(b []byte, e *Event) []byte {
	b = cbor.AppendUint(cbor.AppendBytes(b, e.ID[:]), e.Lamport)
	b = cbor.AppendUint(b, uint64(e.Time.UnixMilli()))
	return cbor.AppendBytes(cbor.AppendUint(b, uint64(e.Kind)), e.Body)
}

// wholeBatch tells how many events at the start of events are one item: all those of a batch if they are there in order
// and with the paths that the receiver will compute, else 1.
func wholeBatch(events []Event) int {
	first := &events[0]
	n := int(first.Proof.Size)
	if n < 2 || n > MaxBatch || first.Proof.Index != 0 || n > len(events) || first.Seq > MaxCounter-MaxBatch {
		return 1
	}
	for i := 1; i < n; i++ {
		e := &events[i]
		if int(e.Proof.Index) != i || e.Proof.Size != first.Proof.Size || e.Seq != first.Seq+uint64(i) ||
			e.Author != first.Author || e.Room != first.Room || e.Name != first.Name || e.Proof.Sig != first.Proof.Sig {
			return 1
		}
	}
	var again [MaxBatch]Event
	copy(again[:n], events)
	provePaths(again[:n])
	for i := range n {
		path := events[i].Proof.Path
		if len(path) != len(again[i].Proof.Path) {
			return 1
		}
		for j := range path {
			if path[j] != again[i].Proof.Path[j] {
				return 1
			}
		}
	}
	return n
}

var (
	errOrder = fmt.Errorf("its entries are not in ascending order")
	errProof = fmt.Errorf("the proof of an event has a shape that no proof has")
)

// check tells whether the event, its proof aside, may be encoded.
func (e *Event) check() error {
	if err := e.Room.check(); err != nil {
		return err
	}
	if e.Seq < 1 || e.Seq > MaxCounter || e.Lamport < 1 || e.Lamport > MaxCounter {
		return fmt.Errorf("seq %d or lamport %d is out of range", e.Seq, e.Lamport)
	}
	if ms := e.Time.UnixMilli(); ms < 0 || ms > MaxTime || e.Time.Nanosecond()%1e6 != 0 {
		return fmt.Errorf("time %v is not a millisecond between 1970 and 9999", e.Time)
	}
	if e.Name != "" {
		if err := checkName(e.Name); err != nil {
			return err
		}
	}
	return CheckBody(e.Kind, e.Body)
}

// checkName tells whether a username is canonical. It is on the path of every event, hence the short cut for ASCII.
func checkName(s string) error {
	plain := len(s) > 0 && len(s) <= MaxName && s[0] != ' ' && s[len(s)-1] != ' '
	for i := 0; i < len(s) && plain; i++ {
		plain = s[i] >= ' ' && s[i] < 0x7f
	}
	if plain {
		return nil
	}
	name, err := ParseName(s)
	if err == nil && name != s {
		err = fmt.Errorf("username %q is not in its canonical form", clip(s))
	}
	return err
}

// CheckBody tells whether body fits kind: nil, or what is wrong with it. A kind that is not known may have any body up
// to MaxText.
func CheckBody(kind Kind, body []byte) error {
	limit := MaxText
	if kind == KindTopic {
		limit = MaxTopic
	}
	if len(body) > limit {
		return fmt.Errorf("body is %d bytes long: at most %d are allowed", len(body), limit)
	}
	switch kind {
	case 0:
		return fmt.Errorf("kind 0 is not allowed")
	case KindText, KindAction, KindTopic:
		if !utf8.Valid(body) {
			return fmt.Errorf("body is not valid UTF-8")
		}
	}
	return nil
}

// check tells whether a peer that is in rooms may be so in voice.
func (v Voice) check(rooms []Room) error {
	if v != (Voice{}) && !slices.Contains(rooms, v.Room) {
		return fmt.Errorf("voice is in room %q, which is none of the peer's", clip(string(v.Room)))
	}
	return nil
}

func (h *Head) check() error {
	if h.Seq < 1 || h.Seq > MaxCounter || h.Base > h.Seq {
		return fmt.Errorf("head from %d to %d is out of range", h.Base, h.Seq)
	}
	return nil
}

func (r *Range) check() error {
	if r.From < 1 || r.To < r.From || r.To > MaxCounter {
		return fmt.Errorf("range from %d to %d is out of range", r.From, r.To)
	}
	return nil
}

// before tells whether r lies wholly before o in the order of a Want.
func (r *Range) before(o *Range) bool {
	c := bytes.Compare(r.Author[:], o.Author[:])
	return c < 0 || (c == 0 && r.To < o.From)
}

// check tells whether the name is canonical. It is on the path of every event, hence the short cut for ASCII.
func (r Room) check() error {
	plain := len(r) > 0 && len(r) <= MaxRoomName
	for i := 0; i < len(r) && plain; i++ {
		c := r[i]
		plain = c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '.'
	}
	if plain {
		return nil
	}
	if strings.HasPrefix(string(r), "#") {
		return fmt.Errorf("room name %q is not in its canonical form", clip(string(r)))
	}
	canonical, err := ParseRoom(string(r))
	if err == nil && canonical != r {
		err = fmt.Errorf("room name %q is not in its canonical form", clip(string(r)))
	}
	return err
}

func checkText(what, s string, most int) error {
	if len(s) > most {
		return fmt.Errorf("%s is %d bytes long: at most %d are allowed", what, len(s), most)
	}
	if !utf8.ValidString(s) {
		return fmt.Errorf("%s is not valid UTF-8", what)
	}
	return nil
}
