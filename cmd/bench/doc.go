// Command bench measures peerchat against baselines and writes the tables of docs/performance.md.
//
//	go run ./cmd/bench [-rounds 10] [-only paced,flood] [-write ""]
//
// Every comparison is interleaved with its baseline in one run: a round measures both, one right after the other, the
// order swapped from round to round, so that whatever else the machine does hits both. A figure in a table is the
// median over the rounds, with the lowest and the highest round beside it. All traffic stays on the loopback interface
// of network namespaces that the program makes for itself, or on cables between them; peerchat is built from the
// working tree and run as its users run it, as processes that are spoken to over standard input and output.
//
// The baselines are this program's hidden subcommands (a bare pion data channel between two processes, pairs of bare
// PeerConnections in one process, the load on a tracker, a loop of bare sound devices), peerjs-server from npm, Mumble
// and GStreamer from Debian, and hashicorp/raft (directory raft, a module of its own).
//
// The program owns the processes it starts and nothing else. It must never be imported, and imports of this module only
// what it measures from within (the links of peer, the wire words of signaling, the parts of media), and what makes and
// judges sound.
package main
