package presence

// message is one of the types below. A message is one CBOR array (RFC 8949) in core deterministic encoding, at most
// MaxMessage bytes; what decodes re-encodes to the same bytes:
//
//	records [1, answer, [record ...], [beat ...], [down ...]]      at least one of any
//	summary [2, reply, count, hashes]                              hashes: 16 of 8 bytes
//	compare [3, chunk, bits, [count ...], hashes]                  2^bits counts, and hashes of 8 bytes
//	list    [4, chunk, [[from, to, [[key, run, seq, doubted] ...]] ...]]   1 to 512 parts, ascending
//	done    [5, chunk]
//	want    [6, [[key, run, seq, beat] ...]]                       1 to 256 items
//	branch  [7, share]
//	have    [8, [[key, gist] ...]]                                 1 to 256 items
//	vote    [9, here, [[key, gist] ...]]                           1 to 256 items
//
//	record = [age, peer, run, seq, base, period, left, voice, name, status, anchor, sig, more, proof]
//	beat   = [age, key, beat, proof]
//	down   = [peer, run, seq, beat, by, sig]
//
// age is how long ago the member said so, in tenths of a second, below three periods; it is not signed, because each
// relay writes its own. run, seq, base and beat are 1, 1, 0 and 0 or more, up to 2^53-1 (of a want, 0 or more). more is
// how many beats were said since base, at most 128; proof is a byte string of 16, empty if more is 0. period is in
// seconds, 5 to 1200. left is 0 or 1. voice is 0, or 1 plus 2 if muted plus 4 if deaf. name is a username, status the
// same or empty. peer and by are byte strings of 32, sig of 64; key is the first 8 bytes of a peer, and from and to are
// such keys, inclusive. bits is at most 8, chunk below 16: the first four bits of a peer. answer, reply, doubted and
// here are booleans. share is 0 to 2, see there. gist is a number below 2^32, see entry.gist and, of a vote,
// record.gist.
//
// A record's signature is its peer's, Ed25519 over "peerchat presence v2", 0x00 and the CBOR array
//
//	[room, peer, run, seq, base, period, left, voice, name, status, anchor]
//
// The anchor is a byte string of 16, empty if left is 1. It is x(0) of a chain of which the peer alone knows x(128),
// and the proof of beat base+k is x(k):
//
//	x(k-1) = the first 16 bytes of SHA-256(c, k as one byte, x(k))
//	c      = the first 16 bytes of SHA-256("peerchat presence chain v1", 0x00, the CBOR array [room, peer, run, seq, base])
//
// A beat is for those who have the record that is signed; who has not, or another, wants it.
//
// A down's is that of by, over "peerchat presence down v1", 0x00 and
//
//	[room, peer, run, seq, beat, by]
type message interface{ kind() uint64 }

const (
	kindRecords = 1
	kindSummary = 2
	kindCompare = 3
	kindList    = 4
	kindDone    = 5
	kindWant    = 6
	kindBranch  = 7
	kindHave    = 8
	kindVote    = 9

	chunks    = 16 // parts of the room that are compared one by one, by the first chunkBits of the peer
	chunkBits = 4
	maxBits   = 8 // of a compare
	maxParts  = 512
	maxWants  = 256
	maxNames  = 128 // bytes of a name or status: 32 code points
)

// records carries what members said: as it spreads, or in answer to a compare, list or want.
type records struct {
	answer  bool
	records []aged
	beats   []beat
	downs   []down
}

type aged struct {
	age uint32 // tenths of a second
	record
}

// beat says that the member of a key, whose record is known, is there still.
type beat struct {
	age  uint32 // tenths of a second
	key  uint64
	beat uint64
	proof
}

// summary is a room in short, for a neighbour to see whether it knows the same. reply says that it answers one.
type summary struct {
	reply  bool
	count  uint64 // members
	hashes [chunks]uint64
}

// compare asks a neighbour for what differs in one chunk, each 2^bits-th of which the sender knows so many members of.
type compare struct {
	chunk, bits uint8
	counts      []uint64
	hashes      []uint64
}

// list tells all members in some ranges of keys.
type list struct {
	chunk uint8
	parts []part
}

type part struct {
	from, to uint64
	items    []listed
}

type listed struct {
	key, run, seq uint64
	doubted       bool // it is said to be dead
}

// done ends the answer to a compare.
type done struct{ chunk uint8 }

// want asks for the records of some members, where they are newer than what the sender has, and for their downs.
type want struct{ items []wanted }

type wanted struct {
	key uint64
	version
}

// branch says what part the link has in the tree, as far as the sender is concerned.
type branch struct{ share share }

// have tells of whom there is news, to those who are not told it along the tree.
type have struct{ items []offered }

type offered struct {
	key  uint64
	gist uint32
}

// vote tells who is here and who is gone as far as the sender knows, and has said nothing since what was asked about.
type vote struct {
	here  bool
	items []offered
}

func (*records) kind() uint64 { return kindRecords }
func (*summary) kind() uint64 { return kindSummary }
func (*compare) kind() uint64 { return kindCompare }
func (*list) kind() uint64    { return kindList }
func (*done) kind() uint64    { return kindDone }
func (*want) kind() uint64    { return kindWant }
func (*branch) kind() uint64  { return kindBranch }
func (*have) kind() uint64    { return kindHave }
func (*vote) kind() uint64    { return kindVote }
