// Package signaling is how peers meet: the protocol between a peer and a tracker, the tracker itself, and the client
// that a peer keeps to it. docs/protocol.md shows the protocol message by message.
//
// Pure: Hub (hub.go, hubroom.go, hubserve.go) is the tracker as a function; Limits (limit.go), Backoff
// (backoff.go), the messages (message.go) with their encoding (encode.go, decode.go, scan.go), and ParseAddr (addr.go).
//
// Shells: one goroutine owns a Tracker with its Hub (tracker.go), and everything that waits for a connection (conn.go);
// connections are read by goroutines of their own (connread.go), and STUN too (stun.go); http.go lets them in. serve.go
// is the tracker's part in an election, meet.go what it answers to other trackers, info.go what they say. One goroutine
// owns a Client (client.go) and its dealings with trackers (clientlink.go); rounds of looking for one (seek.go,
// dial.go) and the connection to it (session.go) have goroutines that only post to the owner. lan.go announces a
// tracker on the LAN, browse.go finds one.
//
// The package imports peer/wire and nothing else of ours; it must never import peer, tui, media or configs.
package signaling
