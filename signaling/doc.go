// Package signaling is how peers meet: the protocol between a peer and a tracker, the tracker itself (hub, connections,
// STUN), and the client that a peer keeps to it.
//
// Hub, Limiter and Backoff are pure. Tracker owns the hub in one goroutine and has one bounded queue per connection; Client owns
// its connection in one goroutine. The package imports peer/wire and nothing else of ours.
package signaling
