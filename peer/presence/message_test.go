package presence

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"peerchat/peer/cbor/cbortest"
	"peerchat/peer/machinetest"
	"peerchat/peer/wire"
)

const room = wire.Room("general")

func keyFor(i int) ed25519.PrivateKey {
	seed := sha256.Sum256(fmt.Appendf(nil, "peer %d", i))
	return ed25519.NewKeyFromSeed(seed[:])
}

// sealed signs a record as its subject would.
func sealed(key ed25519.PrivateKey, r record) record {
	r.peer = wire.IDOf(key)
	if r.period == 0 {
		r.period = 30
	}
	if r.name == "" {
		r.name = "bob"
	}
	if r.Beat-r.base > chainLength {
		r.base = r.Beat
	}
	more := r.Beat - r.base // beats since it was signed
	if !r.left {
		r.anchor = r.value(key, room, 0)
	}
	copy(r.sig[:], ed25519.Sign(key, r.seal(nil, room)))
	if more > 0 {
		r.proof = r.value(key, room, more)
	}
	return r
}

// told is the last beat of a record, for those who know what was signed.
func told(r record) beat { return beat{0, keyOf(r.peer), r.Beat, r.proof} }

func reported(key ed25519.PrivateKey, d down) down {
	d.by = wire.IDOf(key)
	copy(d.sig[:], ed25519.Sign(key, d.seal(nil, room)))
	return d
}

// one has a message of each type and more.
func one() []message {
	r := sealed(keyFor(1), record{version: version{1_790_000_000_000, 3, 7}, base: 7, voice: Voice{In: true, Deaf: true}, status: "away"})
	again := sealed(keyFor(3), record{version: version{1_790_000_000_000, 3, 7 + chainLength}, base: 7})
	l := sealed(keyFor(2), record{version: version{1, 1, 0}, left: true, period: MaxPeriod, name: "Zoë"})
	d := reported(keyFor(1), down{peer: l.peer, version: l.version})
	return []message{
		&records{records: []aged{{0, r}, {35_999, l}}, downs: []down{d}},
		&records{answer: true, records: []aged{{899, r}}},
		&records{downs: []down{d, d}},
		&records{beats: []beat{told(again), {35_999, 0, 1, proof{}}}},
		&records{records: []aged{{5, again}}, beats: []beat{told(again)}, downs: []down{d}},
		&summary{count: MaxMembers},
		&summary{reply: true, count: 3, hashes: [chunks]uint64{1, math.MaxUint64}},
		&compare{chunk: 15, counts: []uint64{30}, hashes: []uint64{7}},
		&compare{chunk: 0, bits: 2, counts: []uint64{0, 1, 2, 500}, hashes: []uint64{1, 2, 3, 4}},
		&list{chunk: 1, parts: []part{{from: 1 << 60, to: 1 << 60}, {from: 1<<60 + 1, to: 2<<60 - 1,
			items: []listed{{1<<60 + 5, 1, 1, false}, {2<<60 - 1, wire.MaxCounter, wire.MaxCounter, true}}}}},
		&done{chunk: 3},
		&want{items: []wanted{{0, version{}}, {math.MaxUint64, version{1, 2, 3}}}},
		&branch{},
		&branch{parent},
		&have{items: []offered{{0, 0}, {math.MaxUint64, math.MaxUint32}}},
		&vote{here: true, items: []offered{{0, 0}, {math.MaxUint64, math.MaxUint32}}},
	}
}

func TestMessagesSurviveTheWire(t *testing.T) {
	encode := func(dst []byte, m message) ([]byte, error) { return appendMessage(dst, m), nil }
	decode := func(b []byte) (message, error) { return decodeMessage(b, nil) }
	for _, m := range one() {
		if back := machinetest.RoundTrip(t, m, encode, decode); normal(m) != normal(back) {
			t.Errorf("%T changed on the wire:\nsent %+v\ngot  %+v", m, m, back)
		}
	}
}

// normal makes empty and nil slices the same.
func normal(m message) string { return fmt.Sprintf("%+v", m) }

func TestMessagesAreDeterministicCBOR(t *testing.T) {
	for _, m := range one() {
		cbortest.WantDeterministic(t, fmt.Sprintf("%T", m), appendMessage(nil, m))
	}
}

func TestBadMessagesAreRefused(t *testing.T) {
	good := sealed(keyFor(1), record{version: version{1, 1, 0}})
	bye := sealed(keyFor(1), record{version: version{1, 2, 0}, left: true})
	rec := func(change func(*aged)) message {
		a := aged{0, good}
		change(&a)
		return &records{records: []aged{a}}
	}
	for what, m := range map[string]message{
		"no records":              &records{},
		"no name":                 rec(func(a *aged) { a.name = "" }),
		"a long name":             rec(func(a *aged) { a.name = strings.Repeat("a", 33) }),
		"a name with an escape":   rec(func(a *aged) { a.name = "a\x1b[2J" }),
		"a name with a space":     rec(func(a *aged) { a.name = " a" }),
		"a name that is not NFC":  rec(func(a *aged) { a.name = "Zoe\u0308" }),
		"a name that is no UTF-8": rec(func(a *aged) { a.name = "\xff" }),
		"a status of two lines":   rec(func(a *aged) { a.status = "a\nb" }),
		"run 0":                   rec(func(a *aged) { a.Run = 0 }),
		"a run without end":       rec(func(a *aged) { a.Run = wire.MaxCounter + 1 }),
		"seq 0":                   rec(func(a *aged) { a.Seq = 0 }),
		"a seq without end":       rec(func(a *aged) { a.Seq = wire.MaxCounter + 1 }),
		"a beat without end":      rec(func(a *aged) { a.base, a.Beat = wire.MaxCounter+1, wire.MaxCounter+1 }),
		"a beat after the end":    rec(func(a *aged) { a.base, a.Beat = wire.MaxCounter, wire.MaxCounter+1 }),
		"a beat beyond the chain": rec(func(a *aged) { a.Beat = chainLength + 1 }),
		"beats of one that left":  &records{records: []aged{{0, bye}, {0, func(r record) record { r.Beat++; return r }(bye)}}},
		"beat 0":                  &records{beats: []beat{{}}},
		"an old beat":             &records{beats: []beat{{age: 36_000, beat: 1}}},
		"beats of no end":         &records{beats: make([]beat, maxBeats+1)},
		"a period of a second":    rec(func(a *aged) { a.period = 1 }),
		"a period of a day":       rec(func(a *aged) { a.period = MaxPeriod + 1 }),
		"an age of three periods": rec(func(a *aged) { a.age = 900 }),
		"muted nowhere":           rec(func(a *aged) { a.voice = Voice{Muted: true} }),
		"a down without a run":    &records{downs: []down{{version: version{0, 1, 0}}}},
		"a count without end":     &summary{count: MaxMembers + 1},
		"a chunk beyond the last": &done{chunk: chunks},
		"too many bits":           &compare{bits: 9, counts: make([]uint64, 512), hashes: make([]uint64, 512)},
		"too few counts":          &compare{bits: 1, counts: make([]uint64, 1), hashes: make([]uint64, 2)},
		"too few hashes":          &compare{bits: 1, counts: make([]uint64, 2), hashes: make([]uint64, 1)},
		"an empty list":           &list{},
		"a list of another chunk": &list{chunk: 2, parts: []part{{from: 1 << 60, to: 1 << 60}}},
		"parts that overlap":      &list{parts: []part{{from: 1, to: 5}, {from: 5, to: 9}}},
		"a part backwards":        &list{parts: []part{{from: 5, to: 1}}},
		"items backwards":         &list{parts: []part{{from: 1, to: 9, items: []listed{{5, 1, 1, false}, {4, 1, 1, false}}}}},
		"an item twice":           &list{parts: []part{{from: 1, to: 9, items: []listed{{5, 1, 1, false}, {5, 1, 1, false}}}}},
		"an item outside":         &list{parts: []part{{from: 1, to: 9, items: []listed{{10, 1, 1, false}}}}},
		"nothing wanted":          &want{},
		"too much wanted":         &want{items: make([]wanted, maxWants+1)},
		"nothing offered":         &have{},
		"too much offered":        &have{items: make([]offered, maxWants+1)},
		"no votes":                &vote{},
		"too many votes":          &vote{items: make([]offered, maxWants+1)},
		"an unknown share":        &branch{parent + 1},
		"a message that is long":  &records{answer: true, records: slicesRepeat(aged{0, good}, maxRecords)},
	} {
		if back, err := decodeMessage(appendMessage(nil, m), nil); err == nil {
			t.Errorf("%s decodes, to %.200s", what, fmt.Sprintf("%+v", back))
		}
	}
	for what, b := range map[string][]byte{
		"empty":              {},
		"not an array":       {0x01},
		"an unknown type":    {0x82, 0x09, 0x00},
		"type 0":             {0x82, 0x00, 0x00},
		"indefinite array":   {0x9f, 0x05, 0x03, 0xff},
		"long array head":    {0x98, 0x02, 0x05, 0x03},
		"long type":          {0x82, 0x18, 0x05, 0x03},
		"long chunk":         {0x82, 0x05, 0x18, 0x03},
		"tag":                {0x82, 0x05, 0xc0, 0x03},
		"wrong item count":   {0x83, 0x05, 0x03, 0x03},
		"no records at all":  {0x85, 0x01, 0xf4, 0x80, 0x80, 0x80},
		"array far too long": {0x85, 0x01, 0xf4, 0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
	} {
		if m, err := decodeMessage(b, nil); err == nil {
			t.Errorf("%s: %x decodes, to %+v", what, b, m)
		}
	}
	if _, err := decodeMessage([]byte{0x82, 0x05, 0x03}, nil); err != nil {
		t.Errorf("the plain form of these, 82 05 03, does not decode: %v", err)
	}
}

func slicesRepeat[T any](v T, n int) []T {
	list := make([]T, n)
	for i := range list {
		list[i] = v
	}
	return list
}

// Whatever is changed of a signed item, in whichever room, its signature does not fit any more.
func TestSignaturesCoverEverything(t *testing.T) {
	key := keyFor(1)
	r := sealed(key, record{version: version{5, 6, 7}, voice: Voice{In: true}, status: "away"})
	other := wire.IDOf(keyFor(2))
	for what, change := range map[string]func(*record){
		"the peer":   func(r *record) { r.peer = other },
		"the run":    func(r *record) { r.Run++ },
		"the seq":    func(r *record) { r.Seq++ },
		"the beat":   func(r *record) { r.base++ },
		"the anchor": func(r *record) { r.anchor[0]++ },
		"the period": func(r *record) { r.period++ },
		"leaving":    func(r *record) { r.left = true },
		"the voice":  func(r *record) { r.voice.Muted = true },
		"the name":   func(r *record) { r.name = "bab" },
		"the status": func(r *record) { r.status = "" },
	} {
		c := r
		change(&c)
		if ed25519.Verify(c.peer.Key(), c.seal(nil, room), c.sig[:]) {
			t.Errorf("a record passes with %s changed", what)
		}
	}
	if ed25519.Verify(r.peer.Key(), r.seal(nil, "dev"), r.sig[:]) {
		t.Error("a record of one room passes in another")
	}
	d := reported(key, down{peer: other, version: version{5, 6, 7}})
	for what, change := range map[string]func(*down){
		"the peer":     func(d *down) { d.peer = r.peer },
		"the version":  func(d *down) { d.Beat++ },
		"the reporter": func(d *down) { d.by = other },
	} {
		c := d
		change(&c)
		if ed25519.Verify(c.by.Key(), c.seal(nil, room), c.sig[:]) {
			t.Errorf("a down passes with %s changed", what)
		}
	}
}

func TestAnyRecordSurvivesTheWire(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		counter := rapid.Uint64Range(1, wire.MaxCounter)
		in := rapid.Bool().Draw(t, "in")
		r := aged{record: record{
			peer:    wire.PeerID(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "peer")),
			version: version{counter.Draw(t, "run"), counter.Draw(t, "seq"), counter.Draw(t, "beat")},
			period:  rapid.Uint16Range(MinPeriod, MaxPeriod).Draw(t, "period"),
			left:    rapid.Bool().Draw(t, "left"),
			voice:   Voice{in, in && rapid.Bool().Draw(t, "muted"), in && rapid.Bool().Draw(t, "deaf")},
			name:    rapid.StringMatching(`[a-zäöü]{1,32}`).Draw(t, "name"),
			status:  rapid.StringMatching(`[a-zäöü]{0,32}`).Draw(t, "status"),
		}}
		if r.base = r.Beat; !r.left {
			r.anchor = proof(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "anchor"))
			if more := min(rapid.Uint64Range(0, chainLength).Draw(t, "more"), r.base); more > 0 {
				r.base -= more
				r.proof = proof(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "proof"))
			}
		}
		r.age = rapid.Uint32Range(0, 10*lifetimes*uint32(r.period)-1).Draw(t, "age")
		b := appendMessage(nil, &records{records: []aged{r}})
		back, err := decodeMessage(b, nil)
		if err != nil || !reflect.DeepEqual(back.(*records).records[0], r) {
			t.Fatalf("%+v came back as %+v (%v)", r, back, err)
		}
		if len(b) > roomLeft {
			t.Fatalf("a record takes %d bytes: more than the %d that are kept free for one", len(b), roomLeft)
		}
	})
}

func FuzzDecodeMessage(f *testing.F) {
	for _, m := range one() {
		f.Add(appendMessage(nil, m))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := decodeMessage(b, nil)
		if err != nil {
			return
		}
		if again := appendMessage(nil, m); !bytes.Equal(again, b) {
			t.Errorf("%x decodes to %+v, which encodes to %x", b, m, again)
		}
	})
}
