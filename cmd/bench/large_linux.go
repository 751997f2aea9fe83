package main

import (
	"fmt"
	"time"

	"peerchat/cmd/peerchat/e2e/lab"
)

// Of the large crowd.
const (
	crowdGC       = "300"            // to collect the garbage of so many goroutines costs more than they do
	crowdThreads  = "16"             // the Go runtime looks for packets when a thread has nothing else to do, or every 10 ms: with more threads than processors there is one
	crowdPatience = 20 * time.Minute // until it stands
	largeLines    = 50               // in a round
	largeEvery    = 2 * time.Second
	largeSize     = 100
	largeTalk     = 5 // senders
	largeRounds   = 3
)

// large makes a room of very many peers in one process, and has them talk over their trees, and flood over the same
// links.
func large(b *bench) ([]table, error) {
	n := fmt.Sprint(b.room)
	p, err := b.gather(lab.Command{Name: "a crowd", Path: b.self, Env: []string{"GOGC=" + crowdGC, "GOMAXPROCS=" + crowdThreads},
		Args: []string{"crowd", "-n", n, "-calm", "-within", crowdPatience.String()}}, crowdPatience+patience)
	if err != nil {
		return nil, err
	}
	var settled, idle rest
	if err := p.ask(fmt.Sprintf("rest %v", sideSettle), sideSettle+patience, &settled); err != nil {
		return nil, err
	}
	if err := p.ask(fmt.Sprintf("rest %v", b.idle), b.idle+patience, &idle); err != nil {
		return nil, err
	}
	var now crowdBuilt
	if err := p.ask("count", patience, &now); err != nil {
		return nil, err
	}
	// Garbage is collected before each order, and none while it lasts.
	said := func(into *talks, how string, o talkOrder) error {
		var kept struct{}
		if err := p.ask("keep", patience, &kept); err != nil {
			return err
		}
		return into.talk(p, how, o)
	}
	var first, trees, flood talks
	o := talkOrder{lines: largeTalk, senders: largeTalk, size: largeSize, every: largeEvery}
	if err := said(&first, "talk", o); err != nil {
		return nil, err
	}
	o.lines, o.every = largeLines, largeEvery
	for r := range min(b.rounds, largeRounds) {
		err := swap(r, func() error { return said(&trees, "talk", o) }, func() error { return said(&flood, "flood", o) })
		if err != nil {
			return nil, err
		}
	}
	size := float64(b.room)
	made := table{head: []string{n + " peers in one process", "figure"}}
	made.row("until each has its links, s", figure(p.built.Linked))
	made.row("until each knows all others as well, s", figure(p.built.Known))
	made.row("processor time until then, s", figure(p.built.CPU))
	made.row("links of a peer then, on average", figure(p.built.Links))
	made.row("links of a peer when those are closed that serve no room", figure(now.Links))
	made.row("resident memory, MiB; KiB a peer", fmt.Sprintf("%s; %s", figure(float64(now.Memory)/(1<<20)), figure(float64(now.Memory)/1024/size)))
	made.row("heap and stacks after a collection, MiB; KiB a peer", fmt.Sprintf("%s; %s", figure(float64(now.Heap)/(1<<20)), figure(float64(now.Heap)/1024/size)))
	made.row("goroutines a peer", figure(float64(now.Go)/size))
	made.row("nothing is said: processor time of all, % of a core", figure(100*idle.CPU))
	made.row("nothing is said: bytes a second and peer", figure(idle.Wire/size))
	t := table{head: []string{"a line to " + n, "peerchat", "flooding", "ratio", "aim"}}
	t.compare("delivery, p50, ms", trees.p50, flood.p50, "")
	t.compare("the last peer has it, p50, ms", trees.last50, flood.last50, "")
	t.compare("the last peer has it, p99, ms", trees.last99, flood.last99, "≤ 1/4")
	t.compare("redundancy: copies a delivery, less one", trees.redundancy, flood.redundancy, "≤ 0.02")
	t.compare("of that, copies because no acknowledgement had come", trees.second, flood.second, "")
	t.compare("bytes on the wire for each byte delivered", trees.wire, flood.wire, "")
	t.compare("processor time of a delivery, µs", trees.cpu, flood.cpu, "")
	t.row("the first line of each sender, the last peer, p50, ms", figure(median(first.last50)), "", "", "")
	t.row("its redundancy", figure(median(first.redundancy)), "", "", "")
	if trees.lost+flood.lost > 0 {
		t.note("Not delivered within %v of the last line: %d over the trees, %d by the flood.", talkPatience, trees.lost, flood.lost)
	}
	t.note("Whole Nodes over WebRTC on the loopback interface, with their tracker and their histories in memory, which join as fast as their links open, %d at a time, with %d links being made. A link may be silent for 10 s, and sends a check every 2 s, where a peer on a machine of its own allows 4 s and sends one every second, and neighbours have a second to acknowledge a line. Flooding is done "+
		"over the same links by the same process: the same signed event in a frame of the same size, verified once by each peer and sent on to all that it is linked with but the one it came from. "+
		"%d senders by turns, a line of %d bytes every %v, %d lines in each of %d rounds. The process runs with GOGC=%s and GOMAXPROCS=%s, and collects no garbage while they talk, which would halt all of them for about a second.", crowdAtOnce, crowdLinks, largeTalk, largeSize, largeEvery, largeLines, len(trees.p50), crowdGC, crowdThreads)
	return []table{made, t}, nil
}
