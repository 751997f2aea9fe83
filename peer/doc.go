// Package peer is one participant: it finds its tracker, links to the members of its rooms, and exchanges
// events with them.
//
// Core (core.go, roster.go) is the pure part: it owns what this peer knows of the world and decides. Node (node.go) is
// its shell: one goroutine owns the Core, one timer serves its Wake, and everything else posts to the Node's mailbox.
// The package imports peer/wire, peer/gossip, peer/negotiate and signaling; it must never import tui, media or configs.
package peer
