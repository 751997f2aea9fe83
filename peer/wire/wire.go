// Package wire is what peers say to each other: the names of things (PeerID, Room, Name), the signed
// items of a room's log (Event), and the frames that travel over a link (Frame), with their encoding.
//
// It is pure: it owns no state, reads no clock, starts no goroutine. Of ours it imports peer/cbor alone, and must never
// import another.
//
// # Layout
//
// A frame is one CBOR array (RFC 8949) in core deterministic encoding (section 4.2.1): shortest heads, definite
// lengths, no tags, no floats, no maps. Every value has exactly one encoding: what decodes re-encodes to the same
// bytes, and anything else is refused. A frame is at most MaxFrame bytes; its first item is its type:
//
//	Hello    [1, version, peer, session, agent, seq, name, [room ...], voice]
//	Presence [2, seq, name, [room ...], voice]
//	Events   [3, hops, live, [item ...]]                    1 to MaxEvents events
//	Digest   [4, room, reply, [[author, base, seq] ...]]    up to MaxHeads, ascending by log
//	Have     [5, room, [[author, base, seq] ...], ways]     1 to MaxHeads, ascending by log
//	Want     [6, room, [[author, from, to] ...]]            1 to MaxRanges, ascending, not overlapping
//	Bye      [7, leaving, reason]
//	Election [8, message]
//	Signal   [9, hops, to, from, data]
//	Overlay  [10, room, message]
//	Members  [11, room, message]
//	Holders  [12, room, author, [[peer, seq] ...]]          1 to MaxHolders, ascending by peer
//	Signal   [9, passed, peer, data]
//	Prune    [13, room, [author ...]]                       1 to MaxRanges, ascending
//	Graft    [14, room, [[author, from, to] ...]]           as Want
//
// A log is an author and a run, which is (seq - 1) >> RunBits; two heads of one log are refused.
//
// version, hops, base, seq, and the from and to of Want and Graft are unsigned integers; live, reply and leaving are
// booleans; voice is [] or, while in voice, [room, muted, deaf] with one of the rooms before it and two booleans; peer,
// author, and the from and to of Signal are byte strings of 32, session and id of 16; room, name, agent and reason are
// text in their canonical form. The name of an event may be empty. message is a byte string of 1 to MaxElection bytes,
// whose layout is that of package election. ways is empty, or a byte string of two bytes for each head: hops, age.
//
// An item of Events is a single event with its proof,
//
//	[room, author, seq, name, id, lamport, time, kind, body, index, size, path, sig]
//
// or a whole batch of 2 to MaxBatch events of one name and consecutive seq that share one signature:
//
//	[room, author, seq, name, sig, [[id, lamport, time, kind, body] ...]]
//
// lamport is an unsigned integer, time the milliseconds since 1970 as an unsigned integer, kind 1 to 255, body a byte
// string, path a byte string of 32 bytes for each sibling hash, sig a byte string of 64. The batch form carries no
// paths, because the receiver can compute them; it must be used wherever all events of a batch follow each other in a
// frame. It is what makes a flood cheap: 30 bytes an event beside its body, instead of 330.
//
// # Signature
//
// The leaf of an event is SHA-256(0x00, "peerchat event v1", 0x00, E), E being the CBOR array
//
//	[room, author, seq, name, id, lamport, time, kind, body]
//
// A node is SHA-256(0x01, left, right); the tree over the leaves of a batch has the shape of RFC 9162 section 2.1. The
// author signs, with Ed25519, the bytes "peerchat event batch v1", 0x00, the number of leaves (one byte), the root.
package wire

// Limits of the protocol. A decoder refuses what exceeds them before it allocates for it.
const (
	// MaxText is the longest body of a text event, in bytes of UTF-8.
	MaxText = 64 << 10
	// MaxFrame is the longest encoded frame, in bytes. It fits one event of MaxText and its proof, and stays
	// below the 256 KiB that browsers accept as one data channel message.
	MaxFrame = 128 << 10
	// MaxFastFrame is the longest frame that may use the unreliable channel, in bytes: one UDP packet.
	MaxFastFrame = 1000
	// MaxElection is the longest message of the election, in bytes.
	MaxElection = 4 << 10
	// MaxSignal is the longest Data of a Signal, in bytes.
	MaxSignal = 60 << 10
	// MaxOverlay and MaxMembers are the longest messages of a room's overlay and of its presence, in bytes.
	MaxOverlay = 1 << 10
	MaxMembers = 8 << 10
	// MaxHolders is the most holders in one Holders.
	MaxHolders = 64
	// MaxBatch is the most events that share one signature.
	MaxBatch = 32
	// MaxName is the longest username, in Unicode code points.
	MaxName = 32
	// MaxRoomName is the longest room name, in bytes of UTF-8.
	MaxRoomName = 64
	// MaxRooms is the most rooms that one peer may be in.
	MaxRooms = 64
	// MaxTopic is the longest topic, in bytes of UTF-8.
	MaxTopic = 1024
	// MaxAgent is the longest Hello.Agent, and MaxReason the longest Bye.Reason, in bytes of UTF-8.
	MaxAgent  = 64
	MaxReason = 128
	// MaxEvents is the most events in one frame, MaxHeads the most heads, MaxRanges the most ranges of a Want.
	MaxEvents = 512
	MaxHeads  = 512
	MaxRanges = 128
	// MaxCounter is the highest sequence number, of events and presences, and Lamport clock: the greatest integer that
	// a double, hence a browser, holds exactly.
	MaxCounter = 1<<53 - 1
	// MaxTime is the latest time of an event, in milliseconds since 1970: the end of the year 9999.
	MaxTime = 253402300799999
)
