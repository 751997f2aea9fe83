package presence

import (
	"encoding/binary"
)

// appendMessage appends the encoding of m. The caller sees to it that m is one that decodes: the tests hold that to be so.
func appendMessage(b []byte, m message) []byte {
	switch m := m.(type) {
	case *records:
		b = appendRecordsHead(b, m.answer)
		b = appendArray(b, len(m.records))
		for i := range m.records {
			b = m.records[i].append(b, m.records[i].age)
		}
		b = appendArray(b, len(m.beats))
		for i := range m.beats {
			b = m.beats[i].append(b)
		}
		b = appendArray(b, len(m.downs))
		for i := range m.downs {
			b = m.downs[i].append(b)
		}
	case *summary:
		b = appendBool(appendUint(appendArray(b, 4), kindSummary), m.reply)
		b = appendHashes(appendUint(b, m.count), m.hashes[:])
	case *compare:
		b = appendUint(appendUint(appendUint(appendArray(b, 5), kindCompare), uint64(m.chunk)), uint64(m.bits))
		b = appendArray(b, len(m.counts))
		for _, n := range m.counts {
			b = appendUint(b, n)
		}
		b = appendHashes(b, m.hashes)
	case *list:
		b = appendArray(appendUint(appendUint(appendArray(b, 3), kindList), uint64(m.chunk)), len(m.parts))
		for i := range m.parts {
			p := &m.parts[i]
			b = appendArray(appendKey(appendKey(appendArray(b, 3), p.from), p.to), len(p.items))
			for _, l := range p.items {
				b = appendBool(appendUint(appendUint(appendKey(appendArray(b, 4), l.key), l.run), l.seq), l.doubted)
			}
		}
	case *done:
		b = appendUint(appendUint(appendArray(b, 2), kindDone), uint64(m.chunk))
	case *want:
		b = appendArray(appendUint(appendArray(b, 2), kindWant), len(m.items))
		for _, w := range m.items {
			b = appendVersion(appendKey(appendArray(b, 4), w.key), w.version)
		}
	case *branch:
		b = appendUint(appendUint(appendArray(b, 2), kindBranch), uint64(m.share))
	case *have:
		b = appendOffered(appendUint(appendArray(b, 2), kindHave), m.items)
	case *vote:
		b = appendOffered(appendBool(appendUint(appendArray(b, 3), kindVote), m.here), m.items)
	}
	return b
}

func appendOffered(b []byte, items []offered) []byte {
	b = appendArray(b, len(items))
	for _, o := range items {
		b = appendUint(appendKey(appendArray(b, 2), o.key), uint64(o.gist))
	}
	return b
}

func appendRecordsHead(b []byte, answer bool) []byte {
	return appendBool(appendUint(appendArray(b, 5), kindRecords), answer)
}

func (r *record) append(b []byte, age uint32) []byte {
	b = appendUint(appendArray(b, 14), uint64(age))
	b = appendBytes(r.appendAnchor(r.appendBody(b)), r.sig[:])
	b = appendUint(b, r.Beat-r.base)
	if r.Beat == r.base {
		return appendBytes(b, nil)
	}
	return appendBytes(b, r.proof[:])
}

func (t *beat) append(b []byte) []byte {
	b = appendKey(appendUint(appendArray(b, 4), uint64(t.age)), t.key)
	return appendBytes(appendUint(b, t.beat), t.proof[:])
}

func (d *down) append(b []byte) []byte {
	return appendBytes(d.appendBody(appendArray(b, 6)), d.sig[:])
}

func appendKey(b []byte, key uint64) []byte {
	return binary.BigEndian.AppendUint64(append(b, majorBytes|8), key)
}

func appendHashes(b []byte, hashes []uint64) []byte {
	b = appendHead(b, majorBytes, uint64(8*len(hashes)))
	for _, h := range hashes {
		b = binary.BigEndian.AppendUint64(b, h)
	}
	return b
}
