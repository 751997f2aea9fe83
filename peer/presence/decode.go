package presence

import (
	"encoding/binary"
	"fmt"
	"math"

	"peerchat/peer/cbor"
	"peerchat/peer/wire"
)

// A record, a beat and a down take at least so many bytes, so a message has at most so many.
const (
	leastRecord = 1 + 1 + 34 + 3 + 1 + 1 + 1 + 2 + 1 + 1 + 66 + 1 + 1
	leastBeat   = 1 + 1 + 9 + 1 + 17
	leastDown   = 1 + 34 + 3 + 34 + 66
	maxRecords  = MaxMessage / leastRecord
	maxBeats    = MaxMessage / leastBeat
	maxDowns    = MaxMessage / leastDown
)

// decodeMessage reads one message. scratch, if it is not nil, lends its memory to a records message: the result is then
// good until the next call.
func decodeMessage(data []byte, scratch *records) (message, error) {
	if len(data) > MaxMessage {
		return nil, fmt.Errorf("presence message is %d bytes long: at most %d are allowed", len(data), MaxMessage)
	}
	r := &reader{cbor.NewReader(data)}
	items := r.Array("presence message", 2, 5)
	kind := r.Uint("type of presence message", kindRecords, kindVote)
	var m message
	switch kind {
	case kindRecords:
		m = r.records(scratch)
	case kindSummary:
		m = r.summary()
	case kindCompare:
		m = r.compare()
	case kindList:
		m = r.list()
	case kindDone:
		m = &done{chunk: uint8(r.Uint("chunk", 0, chunks-1))}
	case kindWant:
		m = r.want()
	case kindBranch:
		m = &branch{share(r.Uint("share", 0, uint64(parent)))}
	case kindHave:
		m = &have{r.offered()}
	case kindVote:
		m = &vote{here: r.Bool("here"), items: r.offered()}
	}
	if r.Err() == nil && items != [...]int{0, 5, 4, 5, 3, 2, 2, 2, 2, 3}[kind] {
		r.Failf("type %d has %d items", kind, items)
	}
	if err := r.End(); err != nil {
		return nil, fmt.Errorf("presence message of type %d: %w", kind, err)
	}
	return m, nil
}

// reader reads what the messages are made of.
type reader struct{ cbor.Reader }

func (r *reader) peer(what string) (id wire.PeerID) {
	r.Fill(what, id[:])
	return id
}

func (r *reader) u64(what string) uint64 {
	var b [8]byte
	r.Fill(what, b[:])
	return binary.BigEndian.Uint64(b[:])
}

func (r *reader) records(m *records) *records {
	if m == nil {
		m = &records{}
	}
	m.records, m.beats, m.downs = m.records[:0], m.beats[:0], m.downs[:0]
	m.answer = r.Bool("answer")
	for range r.Array("records", 0, maxRecords) {
		if r.Err() != nil {
			return m
		}
		m.records = append(m.records, r.record())
	}
	for range r.Array("beats", 0, maxBeats) {
		if r.Err() != nil {
			return m
		}
		m.beats = append(m.beats, r.beat())
	}
	least := 0
	if len(m.records)+len(m.beats) == 0 {
		least = 1
	}
	for range r.Array("downs", least, maxDowns) {
		if r.Err() != nil {
			return m
		}
		m.downs = append(m.downs, r.down())
	}
	return m
}

func (r *reader) items(what string, n int) { r.Array(what, n, n) }

func (r *reader) version(what string, least uint64) version {
	return version{Run: r.Uint(what+"'s run", least, wire.MaxCounter), Seq: r.Uint(what+"'s seq", least, wire.MaxCounter),
		Beat: r.Uint(what+"'s beat", 0, wire.MaxCounter)}
}

func (r *reader) record() (a aged) {
	r.items("record", 14)
	a.age = r.age()
	a.peer = r.peer("peer")
	a.version = r.version("record", 1)
	a.base = a.Beat
	a.period = uint16(r.Uint("period", MinPeriod, MaxPeriod))
	if a.age >= uint32(a.period)*lifetimes*10 {
		r.Failf("record of period %d s is %d.%d s old", a.period, a.age/10, a.age%10)
	}
	a.left = r.Uint("left", 0, 1) == 1
	bits := r.Uint("voice", 0, 7)
	a.voice = Voice{In: bits&1 != 0, Muted: bits&2 != 0, Deaf: bits&4 != 0}
	if !a.voice.valid() {
		r.Failf("voice is %d: muted or deaf without being in it", bits)
	}
	a.name = r.name("name", 1)
	a.status = r.name("status", 0)
	if a.left {
		r.Bytes("anchor", 0, 0)
	} else {
		r.Fill("anchor", a.anchor[:])
	}
	r.Fill("signature", a.sig[:])
	most := min(uint64(chainLength), wire.MaxCounter-a.base)
	if a.left {
		most = 0
	}
	if more := r.Uint("beats since", 0, most); more == 0 {
		r.Bytes("proof", 0, 0)
	} else {
		a.Beat += more
		a.proof = r.proof()
	}
	return a
}

func (r *reader) age() uint32 { return uint32(r.Uint("age", 0, MaxPeriod*lifetimes*10-1)) }

func (r *reader) proof() (p proof) {
	r.Fill("proof", p[:])
	return p
}

func (r *reader) beat() (b beat) {
	r.items("beat", 4)
	b.age = r.age()
	b.key = r.u64("key")
	b.beat = r.Uint("beat", 1, wire.MaxCounter)
	b.proof = r.proof()
	return b
}

// name reads a username in its canonical form, or nothing where that is allowed.
func (r *reader) name(what string, least int) string {
	b := r.Text(what, least, maxNames)
	if len(b) == 0 {
		return ""
	}
	s := string(b)
	if name, err := wire.ParseName(s); err != nil || name != s {
		r.Failf("%s %q is not in canonical form", what, s)
	}
	return s
}

func (r *reader) down() (d down) {
	r.items("down", 6)
	d.peer = r.peer("peer")
	d.version = r.version("down", 1)
	d.by = r.peer("reporter")
	r.Fill("signature", d.sig[:])
	return d
}

func (r *reader) hashes(n int) []uint64 {
	b := r.Bytes("hashes", 8*n, 8*n)
	if b == nil {
		return nil
	}
	hashes := make([]uint64, n)
	for i := range hashes {
		hashes[i] = binary.BigEndian.Uint64(b[8*i:])
	}
	return hashes
}

func (r *reader) summary() *summary {
	m := &summary{reply: r.Bool("reply"), count: r.Uint("count", 0, MaxMembers)}
	copy(m.hashes[:], r.hashes(chunks))
	return m
}

func (r *reader) compare() *compare {
	m := &compare{chunk: uint8(r.Uint("chunk", 0, chunks-1)), bits: uint8(r.Uint("bits", 0, maxBits))}
	n := r.Array("counts", 1<<m.bits, 1<<m.bits)
	for range n {
		m.counts = append(m.counts, r.Uint("count", 0, MaxMembers))
	}
	m.hashes = r.hashes(n)
	return m
}

func (r *reader) list() *list {
	m := &list{chunk: uint8(r.Uint("chunk", 0, chunks-1))}
	for range r.Array("parts", 1, maxParts) {
		if r.Err() != nil {
			return m
		}
		r.items("part", 3)
		p := part{from: r.u64("from"), to: r.u64("to")}
		if n := len(m.parts); p.from > p.to || p.from>>(64-chunkBits) != uint64(m.chunk) || p.to>>(64-chunkBits) != uint64(m.chunk) ||
			n > 0 && p.from <= m.parts[n-1].to {
			r.Failf("parts of a list are out of order")
		}
		for range r.Array("items", 0, MaxMessage/12) {
			if r.Err() != nil {
				return m
			}
			r.items("item", 4)
			l := listed{key: r.u64("key"), run: r.Uint("run", 1, wire.MaxCounter), seq: r.Uint("seq", 1, wire.MaxCounter),
				doubted: r.Bool("doubted")}
			if n := len(p.items); l.key < p.from || l.key > p.to || n > 0 && l.key <= p.items[n-1].key {
				r.Failf("items of a list are out of order")
			}
			p.items = append(p.items, l)
		}
		m.parts = append(m.parts, p)
	}
	return m
}

func (r *reader) want() *want {
	m := &want{}
	for range r.Array("items", 1, maxWants) {
		if r.Err() != nil {
			return m
		}
		r.items("item", 4)
		m.items = append(m.items, wanted{key: r.u64("key"), version: r.version("item", 0)})
	}
	return m
}

func (r *reader) offered() (items []offered) {
	for range r.Array("items", 1, maxWants) {
		if r.Err() != nil {
			return items
		}
		r.items("item", 2)
		items = append(items, offered{key: r.u64("key"), gist: uint32(r.Uint("gist", 0, math.MaxUint32))})
	}
	return items
}
