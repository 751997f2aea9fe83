// Package wire is what peers say to each other: the names of things (PeerID, Room, Name), the signed
// items of a room's log (Event), and the frames that travel over a link (Frame), with their encoding.
//
// It is pure: it owns no state, reads no clock, starts no goroutine, and imports nothing of ours.
// It must never import any other package of this module.
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
)
