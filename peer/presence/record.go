package presence

import (
	"cmp"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"time"

	"peerchat/peer/cbor"
	"peerchat/peer/wire"
)

// What is signed begins with one of these, so that nothing else that an identity key signs can pass for it. The room is
// signed with it, so that what was said in one room is worth nothing in another.
const (
	recordDomain = "peerchat presence v2\x00"
	downDomain   = "peerchat presence down v1\x00"
)

// version numbers what a member says. The highest one counts, so that old ones may come at any time and do no harm.
type version struct {
	Run  uint64 // the start of its process, in milliseconds since 1970
	Seq  uint64 // counts what it changed
	Beat uint64 // counts how often it said that again
}

func (v version) compare(o version) int {
	return cmp.Or(cmp.Compare(v.Run, o.Run), cmp.Compare(v.Seq, o.Seq), cmp.Compare(v.Beat, o.Beat))
}

// same reports whether two versions say the same but for the time.
func (v version) same(o version) bool { return v.Run == o.Run && v.Seq == o.Seq }

// record is what a member says of itself, and how often it has said so. It is not changed once it is known to others.
type record struct {
	peer wire.PeerID
	version
	base   uint64 // the beat that is signed
	period uint16 // it says something again within so many seconds
	left   bool
	voice  Voice
	name   string
	status string
	anchor proof // proves the beat that is signed, as it were; of one that has left there is none
	sig    [ed25519.SignatureSize]byte
	proof  proof  // of Beat, if that is not base
	mark   uint64 // stands for (peer, run, seq) where neighbours compare
}

// start is the version that is signed.
func (r *record) start() version { return version{r.Run, r.Seq, r.base} }

// signed reports whether o comes of the same signature, so that only their beats differ.
func (r *record) signed(o *record) bool {
	c := *o
	c.Beat, c.proof, c.mark = r.Beat, r.proof, r.mark
	return *r == c
}

func (r *record) member() Member {
	return Member{Peer: r.peer, Name: r.name, Status: r.status, Voice: r.voice}
}

func (r *record) lasts() time.Duration { return time.Duration(r.period) * time.Second }

// markOf is a hash that nobody can aim at another's.
func markOf(peer wire.PeerID, v version) uint64 {
	var b [len(peer) + 16]byte
	copy(b[:], peer[:])
	binary.BigEndian.PutUint64(b[len(peer):], v.Run)
	binary.BigEndian.PutUint64(b[len(peer)+8:], v.Seq)
	h := sha256.Sum256(b[:])
	return binary.BigEndian.Uint64(h[:])
}

// seal appends what the subject of r signs.
func (r *record) seal(b []byte, room wire.Room) []byte {
	b = append(b, recordDomain...)
	b = cbor.AppendText(cbor.AppendArray(b, 11), string(room))
	return r.appendAnchor(r.appendBody(b))
}

// appendBody appends nine of the ten signed items.
func (r *record) appendBody(b []byte) []byte {
	b = appendVersion(cbor.AppendBytes(b, r.peer[:]), r.start())
	b = cbor.AppendUint(cbor.AppendUint(b, uint64(r.period)), bitIf(r.left, 1))
	b = cbor.AppendUint(b, r.voice.bits())
	return cbor.AppendText(cbor.AppendText(b, r.name), r.status)
}

// appendAnchor appends the last of them.
func (r *record) appendAnchor(b []byte) []byte {
	if r.left {
		return cbor.AppendBytes(b, nil)
	}
	return cbor.AppendBytes(b, r.anchor[:])
}

func appendVersion(b []byte, v version) []byte {
	return cbor.AppendUint(cbor.AppendUint(cbor.AppendUint(b, v.Run), v.Seq), v.Beat)
}

func bitIf(v bool, bit uint64) uint64 {
	if v {
		return bit
	}
	return 0
}

func (v Voice) bits() uint64 { return bitIf(v.In, 1) | bitIf(v.Muted, 2) | bitIf(v.Deaf, 4) }

// valid reports whether v says something: nobody is muted where it is not.
func (v Voice) valid() bool { return v.In || v == Voice{} }

// down is one member's word that the link to another broke, after it had said version last.
type down struct {
	peer wire.PeerID
	version
	by  wire.PeerID
	sig [ed25519.SignatureSize]byte
}

// seal appends what the reporter signs.
func (d *down) seal(b []byte, room wire.Room) []byte {
	b = append(b, downDomain...)
	b = cbor.AppendText(cbor.AppendArray(b, 6), string(room))
	return d.appendBody(b)
}

// appendBody appends the five signed items.
func (d *down) appendBody(b []byte) []byte {
	return cbor.AppendBytes(appendVersion(cbor.AppendBytes(b, d.peer[:]), d.version), d.by[:])
}
