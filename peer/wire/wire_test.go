package wire

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"peerchat/peer/cbor"
	"peerchat/peer/cbor/cbortest"
	"peerchat/peer/machinetest"
)

func testKey(n byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{n}, ed25519.SeedSize))
}

// testBatch makes n signed events of the key's owner.
func testBatch(tb testing.TB, key ed25519.PrivateKey, seq uint64, n int) []Event {
	tb.Helper()
	events := make([]Event, n)
	for i := range events {
		events[i] = Event{
			Room: "general", Name: "bob", Author: IDOf(key), Seq: seq + uint64(i), Lamport: seq + uint64(i) + 7,
			ID:   uuid.UUID(bytes.Repeat([]byte{byte(i + 1)}, 16)),
			Time: time.UnixMilli(1_790_000_000_000 + int64(i)).UTC(), Kind: KindText,
			Body: fmt.Appendf(nil, "line %d", seq+uint64(i)),
		}
	}
	if err := SignBatch(key, events); err != nil {
		tb.Fatalf("sign %d events: %v", n, err)
	}
	return events
}

func head(n byte, base, seq uint64) Head { return Head{Author: PeerID{n}, Base: base, Seq: seq} }

// frames has one of each type and more.
func frames(tb testing.TB) []Frame {
	b := testBatch(tb, testKey(1), 5, 5)
	mixed := append(append([]Event{b[3]}, b...), testBatch(tb, testKey(2), 1, 1)...)
	return []Frame{
		Hello{Version: 1, Peer: IDOf(testKey(1)), Session: uuid.UUID{1, 2}, Agent: "peerchat/1",
			Presence: Presence{Seq: 1, Name: "bob", Rooms: []Room{"general", "dev"}}},
		Presence{Seq: 1, Name: "Zoë"},
		Presence{Seq: 9, Name: "Zoë", Rooms: []Room{"dev", "general"}, Voice: Voice{Room: "general", Deaf: true}},
		Presence{Seq: 9, Name: "Zoë", Rooms: []Room{"dev"}, Voice: Voice{Room: "dev", Muted: true}},
		Presence{Seq: 1, Name: "Bob", Rooms: []Room{"straße", "a.b-c_d"}},
		Events{Hops: 3, Live: true, Events: testBatch(tb, testKey(1), 1, 1)},
		Events{Events: testBatch(tb, testKey(1), 1, 32)},
		Events{Events: b[:3]},
		Events{Events: b[1:]},
		Events{Events: mixed},
		Digest{Room: "general"},
		Digest{Room: "general", Reply: true, Heads: []Head{head(1, 0, 5), head(2, 300, 1<<40)}},
		Digest{Room: "general", Heads: []Head{head(1, 0, 5), head(1, 1<<RunBits, 1<<RunBits+1), head(2, 0, 1)}},
		Have{Room: "dev", Heads: []Head{head(9, 0, 1)}},
		Have{Room: "dev", Heads: []Head{head(8, 0, 1), head(9, 0, 1)}, Ways: []Way{{0, 255}, {3, 1}}},
		Prune{Room: "dev", Authors: []PeerID{{1}, {2}}},
		Graft{Room: "dev", Ranges: []Range{{PeerID{1}, 6, MaxCounter}, {PeerID{2}, 1, 1}}},
		Want{Room: "dev", Ranges: []Range{{PeerID{1}, 1, 5}, {PeerID{1}, 7, 7}, {PeerID{2}, 1, 1000}}},
		Bye{Leaving: true, Reason: "quit"},
		Bye{},
		Election{Data: []byte{6, 1, 2}},
		Signal{To: PeerID{1}, From: PeerID{2}, Data: []byte("{}")},
		Signal{Hops: MaxHops, To: PeerID{2}, Data: []byte{0}},
		Overlay{Room: "a", Data: []byte{1}},
		Members{Room: "a", Data: []byte{1, 2}},
		Holders{Room: "a", Author: PeerID{3}, Holders: []Holder{{PeerID{1}, 1}, {PeerID{2}, 7}}},
	}
}

func TestFramesSurviveTheWire(t *testing.T) {
	for _, f := range frames(t) {
		if back := machinetest.RoundTrip(t, f, AppendFrame, DecodeFrame); !reflect.DeepEqual(f, back) {
			t.Errorf("a frame changed on the wire:\nsent %#v\ngot  %#v", f, back)
		}
	}
}

func TestFramesAreDeterministicCBOR(t *testing.T) {
	for _, f := range frames(t) {
		b, err := AppendFrame(nil, f)
		if err != nil {
			t.Fatal(err)
		}
		cbortest.WantDeterministic(t, fmt.Sprintf("%T", f), b)
	}
}

func TestWholeBatchCarriesNoPaths(t *testing.T) {
	whole, err := AppendFrame(nil, Events{Events: testBatch(t, testKey(1), 1, 32)})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(whole); n > 200+32*45 {
		t.Errorf("a batch of 32 short lines takes %d bytes: want under %d", n, 200+32*45)
	}
}

func TestEncoderRefusesWhatTheDecoderWould(t *testing.T) {
	good := testBatch(t, testKey(1), 1, 1)[0]
	event := func(change func(*Event)) Frame {
		e := good
		change(&e)
		return Events{Events: []Event{e}}
	}
	long := bytes.Repeat([]byte("x"), MaxText+1)
	bad := map[string]Frame{
		"no frame":           nil,
		"no version":         Hello{Presence: Presence{Seq: 1, Name: "bob"}},
		"long agent":         Hello{Version: 1, Agent: string(long[:65]), Presence: Presence{Seq: 1, Name: "bob"}},
		"no name":            Presence{Seq: 1},
		"no seq":             Presence{Name: "bob"},
		"presence seq high":  Presence{Seq: MaxCounter + 1, Name: "bob"},
		"name with a space":  Presence{Seq: 1, Name: " bob"},
		"upper-case room":    Presence{Seq: 1, Name: "bob", Rooms: []Room{"General"}},
		"room with #":        Presence{Seq: 1, Name: "bob", Rooms: []Room{"#general"}},
		"room twice":         Presence{Seq: 1, Name: "bob", Rooms: []Room{"a", "b", "a"}},
		"voice elsewhere":    Presence{Seq: 1, Name: "bob", Rooms: []Room{"a"}, Voice: Voice{Room: "b"}},
		"muted nowhere":      Presence{Seq: 1, Name: "bob", Rooms: []Room{"a"}, Voice: Voice{Muted: true}},
		"too many rooms":     Presence{Seq: 1, Name: "bob", Rooms: make([]Room, MaxRooms+1)},
		"no events":          Events{},
		"too many events":    Events{Events: make([]Event, MaxEvents+1)},
		"event without room": event(func(e *Event) { e.Room = "" }),
		"name with newline":  event(func(e *Event) { e.Name = "a\nb" }),
		"seq 0":              event(func(e *Event) { e.Seq = 0 }),
		"seq too high":       event(func(e *Event) { e.Seq = MaxCounter + 1 }),
		"lamport 0":          event(func(e *Event) { e.Lamport = 0 }),
		"time before 1970":   event(func(e *Event) { e.Time = time.UnixMilli(-1) }),
		"time of microsec":   event(func(e *Event) { e.Time = e.Time.Add(time.Microsecond) }),
		"kind 0":             event(func(e *Event) { e.Kind = 0 }),
		"invalid UTF-8":      event(func(e *Event) { e.Body = []byte{0xff} }),
		"long text":          event(func(e *Event) { e.Body = long }),
		"long topic":         event(func(e *Event) { e.Kind, e.Body = KindTopic, long[:MaxTopic+1] }),
		"no proof":           event(func(e *Event) { e.Proof = Proof{} }),
		"path too long":      event(func(e *Event) { e.Proof.Path = make([][32]byte, 1) }),
		"heads unsorted":     Digest{Room: "a", Heads: []Head{head(2, 0, 1), head(1, 0, 1)}},
		"head twice":         Digest{Room: "a", Heads: []Head{head(1, 0, 1), head(1, 0, 2)}},
		"head at 0":          Have{Room: "a", Heads: []Head{head(1, 0, 0)}},
		"base above seq":     Have{Room: "a", Heads: []Head{head(1, 9, 8)}},
		"nothing to have":    Have{Room: "a"},
		"too many heads":     Digest{Room: "a", Heads: make([]Head, MaxHeads+1)},
		"nothing wanted":     Want{Room: "a"},
		"backward range":     Want{Room: "a", Ranges: []Range{{PeerID{1}, 5, 4}}},
		"overlapping ranges": Want{Room: "a", Ranges: []Range{{PeerID{1}, 1, 4}, {PeerID{1}, 4, 5}}},
		"way of no head":     Have{Room: "a", Heads: []Head{head(1, 0, 1)}, Ways: make([]Way, 2)},
		"nothing to prune":   Prune{Room: "a"},
		"prune unsorted":     Prune{Room: "a", Authors: []PeerID{{2}, {1}}},
		"prune twice":        Prune{Room: "a", Authors: []PeerID{{2}, {2}}},
		"too much to prune":  Prune{Room: "a", Authors: make([]PeerID, MaxRanges+1)},
		"nothing to graft":   Graft{Room: "a"},
		"graft of no room":   Graft{Ranges: []Range{{PeerID{1}, 1, 2}}},
		"empty election":     Election{},
		"empty signal":       Signal{},
		"long signal":        Signal{Data: make([]byte, MaxSignal+1)},
		"empty overlay":      Overlay{Room: "a"},
		"long overlay":       Overlay{Room: "a", Data: make([]byte, MaxOverlay+1)},
		"members of no room": Members{Data: []byte{1}},
		"long members":       Members{Room: "a", Data: make([]byte, MaxMembers+1)},
		"no holders":         Holders{Room: "a"},
		"holder of nothing":  Holders{Room: "a", Holders: []Holder{{PeerID{1}, 0}}},
		"holders unordered":  Holders{Room: "a", Holders: []Holder{{PeerID{2}, 1}, {PeerID{1}, 1}}},
		"long election":      Election{Data: make([]byte, MaxElection+1)},
		"long reason":        Bye{Reason: string(long[:129])},
		"frame too long": Events{Events: func() []Event {
			b := testBatch(t, testKey(1), 1, 2)
			b[0].Body, b[1].Body = long[:MaxText], long[:MaxText]
			return b
		}()},
	}
	for what, f := range bad {
		if b, err := AppendFrame([]byte("keep"), f); err == nil || string(b) != "keep" {
			t.Errorf("%s: encoded to %d bytes with error %v: want it refused", what, len(b), err)
		}
	}
}

// mangle appends the same frame in other encodings of CBOR, none of which may be accepted.
func TestDecoderRefusesOtherEncodings(t *testing.T) {
	cases := map[string][]byte{
		"empty":                    {},
		"not an array":             {0x01},
		"indefinite array":         {0x9f, 0x07, 0xf4, 0x60, 0xff},
		"long array head":          {0x98, 0x03, 0x07, 0xf4, 0x60},
		"long type":                {0x83, 0x18, 0x07, 0xf4, 0x60},
		"indefinite text":          {0x83, 0x07, 0xf4, 0x7f, 0xff},
		"bytes instead of text":    {0x83, 0x07, 0xf4, 0x40},
		"tag":                      {0x83, 0x07, 0xf4, 0xc0, 0x60},
		"null":                     {0x83, 0x07, 0xf6, 0x60},
		"long text length":         {0x83, 0x07, 0xf4, 0x78, 0x01, 'x'},
		"wrong number of items":    {0x84, 0x07, 0xf4, 0x60, 0x60},
		"unknown type":             {0x83, 0x18, 0x20, 0x60},
		"election without data":    {0x82, 0x08, 0x40},
		"text far longer than it":  {0x83, 0x07, 0xf4, 0x7b, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff},
		"length above 2^63":        {0x83, 0x07, 0xf4, 0x7b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
		"array far longer than it": {0x83, 0x05, 0x61, 'a', 0x19, 0x02, 0x00},
		"invalid UTF-8":            {0x83, 0x07, 0xf4, 0x61, 0xff},
		"presence without voice":   {0x84, 0x02, 0x01, 0x61, 'b', 0x80},
		"voice in no room of its":  {0x85, 0x02, 0x01, 0x61, 'b', 0x81, 0x61, 'x', 0x83, 0x61, 'y', 0xf4, 0xf4},
		"voice of two items":       {0x85, 0x02, 0x01, 0x61, 'b', 0x81, 0x61, 'x', 0x82, 0x61, 'x', 0xf4},
		"voice without a room":     {0x85, 0x02, 0x01, 0x61, 'b', 0x81, 0x61, 'x', 0x83, 0x60, 0xf4, 0xf4},
		"voice muted by a number":  {0x85, 0x02, 0x01, 0x61, 'b', 0x81, 0x61, 'x', 0x83, 0x61, 'x', 0x00, 0xf4},
		"ways of half the heads": append(append(append([]byte{0x84, 0x05, 0x61, 'a', 0x82, 0x83, 0x58, 0x20, 1}, make([]byte, 31)...),
			append([]byte{0, 1, 0x83, 0x58, 0x20, 2}, make([]byte, 31)...)...), 0, 1, 0x42, 0, 0),
		"prune of nobody":    {0x83, 0x11, 0x61, 'a', 0x80},
		"room not canonical": {0x83, 0x05, 0x61, 'A', 0x80},
	}
	for what, b := range cases {
		if f, err := DecodeFrame(b); err == nil {
			t.Errorf("%s: %x was accepted as %#v", what, b, f)
		}
	}
	if f, err := DecodeFrame([]byte{0x83, 0x07, 0xf4, 0x60}); err != nil || f != (Bye{}) {
		t.Errorf("the plain form of these, 830 7f460, gave %#v, %v", f, err)
	}
	if _, err := DecodeFrame(make([]byte, MaxFrame+1)); err == nil {
		t.Error("a frame above MaxFrame was accepted")
	}
}

func TestBatchWrittenAsSingleEventsIsRefused(t *testing.T) {
	events := testBatch(t, testKey(1), 1, 3)
	b := cbor.AppendUint(cbor.AppendArray(nil, 4), typeEvents)
	b = cbor.AppendBool(cbor.AppendUint(b, 0), false)
	b = cbor.AppendArray(b, len(events))
	for i := range events {
		b = AppendEvent(b, &events[i])
	}
	if _, err := DecodeFrame(b); err == nil {
		t.Error("a whole batch written as single events was accepted: it has a second encoding")
	}
}

func TestEventSurvivesTheStore(t *testing.T) {
	for _, e := range testBatch(t, testKey(3), 8, 7) {
		b := AppendEvent(nil, &e)
		back, err := DecodeEvent(b)
		if err != nil || !reflect.DeepEqual(e, back) {
			t.Fatalf("event %d came back as %#v, %v", e.Seq, back, err)
		}
		if n := e.EncodedSize(); len(b) > n {
			t.Errorf("event %d takes %d bytes, EncodedSize promised at most %d", e.Seq, len(b), n)
		}
	}
}

func TestEncodedSizeBoundsAnyEvent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := Event{Room: Room(rapid.StringMatching(`[a-z]{1,64}`).Draw(t, "room")),
			Name:    rapid.StringMatching(`[a-z]{0,32}`).Draw(t, "name"),
			Seq:     rapid.Uint64Range(1, MaxCounter).Draw(t, "seq"),
			Lamport: rapid.Uint64Range(1, MaxCounter).Draw(t, "lamport"),
			Time:    time.UnixMilli(rapid.Int64Range(0, MaxTime).Draw(t, "time")).UTC(),
			Kind:    Kind(rapid.Uint8Range(1, 255).Draw(t, "kind")),
			Body:    bytes.Repeat([]byte("a"), rapid.IntRange(0, MaxTopic).Draw(t, "body"))}
		e.Proof.Size = rapid.Uint8Range(1, MaxBatch).Draw(t, "size")
		e.Proof.Index = rapid.Uint8Range(0, e.Proof.Size-1).Draw(t, "index")
		e.Proof.Path = make([][32]byte, pathLen(int(e.Proof.Index), int(e.Proof.Size)))
		b, err := AppendFrame(nil, Events{Events: []Event{e}})
		if err != nil {
			t.Fatalf("encode: %v", err)
		}
		if len(b) > e.EncodedSize() {
			t.Fatalf("a frame of one event takes %d bytes, EncodedSize promised at most %d", len(b), e.EncodedSize())
		}
	})
}
