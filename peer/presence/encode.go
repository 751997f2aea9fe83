package presence

import (
	"encoding/binary"

	"peerchat/peer/cbor"
)

// appendMessage appends the encoding of m. The caller sees to it that m is one that decodes: the tests hold that to be
// so.
func appendMessage(b []byte, m message) []byte {
	switch m := m.(type) {
	case *records:
		b = appendRecordsHead(b, m.answer)
		b = cbor.AppendArray(b, len(m.records))
		for i := range m.records {
			b = m.records[i].append(b, m.records[i].age)
		}
		b = cbor.AppendArray(b, len(m.beats))
		for i := range m.beats {
			b = m.beats[i].append(b)
		}
		b = cbor.AppendArray(b, len(m.downs))
		for i := range m.downs {
			b = m.downs[i].append(b)
		}
	case *summary:
		b = cbor.AppendBool(cbor.AppendUint(cbor.AppendArray(b, 4), kindSummary), m.reply)
		b = appendHashes(cbor.AppendUint(b, m.count), m.hashes[:])
	case *compare:
		b = cbor.AppendUint(cbor.AppendUint(cbor.AppendUint(cbor.AppendArray(b, 5), kindCompare), uint64(m.chunk)), uint64(m.bits))
		b = cbor.AppendArray(b, len(m.counts))
		for _, n := range m.counts {
			b = cbor.AppendUint(b, n)
		}
		b = appendHashes(b, m.hashes)
	case *list:
		b = cbor.AppendArray(cbor.AppendUint(cbor.AppendUint(cbor.AppendArray(b, 3), kindList), uint64(m.chunk)), len(m.parts))
		for i := range m.parts {
			p := &m.parts[i]
			b = cbor.AppendArray(appendKey(appendKey(cbor.AppendArray(b, 3), p.from), p.to), len(p.items))
			for _, l := range p.items {
				b = cbor.AppendBool(cbor.AppendUint(cbor.AppendUint(appendKey(cbor.AppendArray(b, 4), l.key), l.run), l.seq), l.doubted)
			}
		}
	case *done:
		b = cbor.AppendUint(cbor.AppendUint(cbor.AppendArray(b, 2), kindDone), uint64(m.chunk))
	case *want:
		b = cbor.AppendArray(cbor.AppendUint(cbor.AppendArray(b, 2), kindWant), len(m.items))
		for _, w := range m.items {
			b = appendVersion(appendKey(cbor.AppendArray(b, 4), w.key), w.version)
		}
	case *branch:
		b = cbor.AppendUint(cbor.AppendUint(cbor.AppendArray(b, 2), kindBranch), uint64(m.share))
	case *have:
		b = appendOffered(cbor.AppendUint(cbor.AppendArray(b, 2), kindHave), m.items)
	case *vote:
		b = appendOffered(cbor.AppendBool(cbor.AppendUint(cbor.AppendArray(b, 3), kindVote), m.here), m.items)
	}
	return b
}

func appendOffered(b []byte, items []offered) []byte {
	b = cbor.AppendArray(b, len(items))
	for _, o := range items {
		b = cbor.AppendUint(appendKey(cbor.AppendArray(b, 2), o.key), uint64(o.gist))
	}
	return b
}

func appendRecordsHead(b []byte, answer bool) []byte {
	return cbor.AppendBool(cbor.AppendUint(cbor.AppendArray(b, 5), kindRecords), answer)
}

func (r *record) append(b []byte, age uint32) []byte {
	b = cbor.AppendUint(cbor.AppendArray(b, 14), uint64(age))
	b = cbor.AppendBytes(r.appendAnchor(r.appendBody(b)), r.sig[:])
	b = cbor.AppendUint(b, r.Beat-r.base)
	if r.Beat == r.base {
		return cbor.AppendBytes(b, nil)
	}
	return cbor.AppendBytes(b, r.proof[:])
}

func (t *beat) append(b []byte) []byte {
	b = appendKey(cbor.AppendUint(cbor.AppendArray(b, 4), uint64(t.age)), t.key)
	return cbor.AppendBytes(cbor.AppendUint(b, t.beat), t.proof[:])
}

func (d *down) append(b []byte) []byte {
	return cbor.AppendBytes(d.appendBody(cbor.AppendArray(b, 6)), d.sig[:])
}

func appendKey(b []byte, key uint64) []byte {
	return binary.BigEndian.AppendUint64(cbor.AppendBytesHead(b, 8), key)
}

func appendHashes(b []byte, hashes []uint64) []byte {
	b = cbor.AppendBytesHead(b, 8*len(hashes))
	for _, h := range hashes {
		b = binary.BigEndian.AppendUint64(b, h)
	}
	return b
}
