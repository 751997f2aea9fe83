package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"time"

	"peerchat/cmd/peerchat/e2e/lab"
)

// gossipsubModule is the program of the baseline, from the module's root.
const gossipsubModule = "cmd/bench/gossipsub"

// Of the comparison with GossipSub.
const (
	sideBySide  = 100 // nodes
	sideSenders = 10
	sideLines   = 200 // in a round
	sideSize    = 100 // bytes
	sideEvery   = 100 * time.Millisecond
	sideSettle  = 25 * time.Second // until what serves no room any more is closed
)

// buildModule builds a baseline that is a module of its own and returns its program.
func (b *bench) buildModule(module string) (string, error) {
	root, err := moduleRoot()
	if err != nil {
		return "", err
	}
	program := filepath.Join(b.dir, filepath.Base(module))
	cmd := exec.Command("go", "build", "-o", program, ".")
	cmd.Dir = filepath.Join(root, module)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w: %s", module, err, bytes.TrimSpace(out))
	}
	return program, nil
}

// crowdProc is a crowd in a process and a network of its own.
type crowdProc struct {
	*lab.Proc
	built crowdBuilt
}

// gather starts a process that makes a crowd, and awaits that it stands.
func (b *bench) gather(c lab.Command, within time.Duration) (*crowdProc, error) {
	net, err := b.net()
	if err != nil {
		return nil, err
	}
	c.Plain = true
	p, err := b.start(net, c)
	if err != nil {
		return nil, err
	}
	crowd := &crowdProc{Proc: p}
	return crowd, crowd.answer(0, within, &crowd.built)
}

// answer awaits a line of JSON.
func (p *crowdProc) answer(mark int, within time.Duration, into any) error {
	e, err := p.Await(mark, within, "the answer of "+p.Name, func(lab.Event) bool { return true })
	if err != nil {
		return fmt.Errorf("%w\n%s", err, p.Tail(5))
	}
	if err := json.Unmarshal([]byte(e.Raw), into); err != nil {
		return fmt.Errorf("read the answer of %s: %w", p.Name, err)
	}
	return nil
}

// ask gives an order and awaits what it came to.
func (p *crowdProc) ask(order string, within time.Duration, into any) error {
	mark := p.Mark()
	if err := p.Say(order); err != nil {
		return err
	}
	return p.answer(mark, within, into)
}

// talks are the figures of a crowd, a value for each round.
type talks struct {
	p50, p99, last50, last99, redundancy, second, wire, cpu []float64
	lost                                                    int
}

// talk has the crowd do an order of talkOrder's, by "talk" or "flood", and adds its figures.
func (t *talks) talk(p *crowdProc, how string, o talkOrder) error {
	var r talkReport
	if err := p.ask(how+" "+o.String(), time.Duration(o.lines)*o.every+talkPatience+patience, &r); err != nil {
		return err
	}
	n := float64(r.Deliveries)
	t.lost += r.Lost
	t.p50, t.p99 = append(t.p50, r.P50), append(t.p99, r.P99)
	t.last50, t.last99 = append(t.last50, quantile(r.Last, 0.5)), append(t.last99, quantile(r.Last, 0.99))
	t.redundancy, t.second = append(t.redundancy, float64(r.Copies)/n-1), append(t.second, float64(r.Second)/n)
	t.wire, t.cpu = append(t.wire, r.Wire/n/float64(o.size)), append(t.cpu, r.CPU/n*1e6)
	return nil
}

// rest is what a crowd uses while nobody says anything: the part of a processor, and bytes a second.
type rest struct {
	CPU  float64 `json:"cpu"`
	Wire float64 `json:"wire"`
}

// gossipsub talks in a room of peerchat and in a topic of GossipSub by turns.
func gossipsub(b *bench) ([]table, error) {
	program, err := b.buildModule(gossipsubModule)
	if err != nil {
		return nil, err
	}
	n := fmt.Sprint(sideBySide)
	env := []string{"GOMAXPROCS=" + crowdThreads, "GOGC=" + crowdGC} // nodes of their own have no heap of a hundred to mark
	theirs, err := b.gather(lab.Command{Name: "GossipSub", Path: program, Env: env, Args: []string{"-n", n}}, 2*patience)
	if err != nil {
		return nil, err
	}
	ours, err := b.gather(lab.Command{Name: "a crowd", Path: b.self, Env: env, Args: []string{"crowd", "-n", n}}, crowdPatience)
	if err != nil {
		return nil, err
	}
	var first struct{ ours, theirs talks }
	var ourRest, theirRest rest
	if err := ours.ask(fmt.Sprintf("rest %v", sideSettle), sideSettle+patience, &ourRest); err != nil {
		return nil, err
	}
	// The first line of each sender makes its tree; GossipSub knows no such thing.
	o := talkOrder{lines: sideSenders, senders: sideSenders, size: sideSize, every: 2 * sideEvery}
	if err := first.ours.talk(ours, "talk", o); err != nil {
		return nil, err
	}
	if err := first.theirs.talk(theirs, "talk", o); err != nil {
		return nil, err
	}
	o.lines, o.every = sideLines, sideEvery
	var us, them talks
	for r := range b.rounds {
		err := swap(r, func() error { return us.talk(ours, "talk", o) }, func() error { return them.talk(theirs, "talk", o) })
		if err != nil {
			return nil, err
		}
	}
	for _, s := range []struct {
		p    *crowdProc
		into *rest
	}{{ours, &ourRest}, {theirs, &theirRest}} {
		if err := s.p.ask(fmt.Sprintf("rest %v", b.idle), b.idle+patience, s.into); err != nil {
			return nil, err
		}
	}
	t := table{head: []string{n + " nodes, a line", "peerchat", "GossipSub", "ratio", "aim"}}
	t.compare("delivery, p50, ms", us.p50, them.p50, "")
	t.compare("delivery, p99, ms", us.p99, them.p99, "")
	t.compare("the last node has it, p50, ms", us.last50, them.last50, "")
	t.compare("the last node has it, p99, ms", us.last99, them.last99, "≤ 1/3")
	t.compare("redundancy: copies a delivery, less one", us.redundancy, them.redundancy, "≤ 1/100")
	t.compare("bytes on the wire for each byte delivered", us.wire, them.wire, "")
	t.compare("processor time of a delivery, µs", us.cpu, them.cpu, "")
	t.compare("the first line of each sender, the last node, p50, ms", first.ours.last50, first.theirs.last50, "")
	t.compare("its redundancy", first.ours.redundancy, first.theirs.redundancy, "")
	t.row("nothing is said: processor time of all, % of a core", figure(100*ourRest.CPU), figure(100*theirRest.CPU), figure(ourRest.CPU/theirRest.CPU), "")
	t.row("nothing is said: KiB/s of all", figure(ourRest.Wire/1024), figure(theirRest.Wire/1024), figure(ourRest.Wire/theirRest.Wire), "")
	t.row("connections of a node", figure(ours.built.Links), figure(theirs.built.Links), "", "")
	if us.lost+them.lost > 0 {
		t.note("Not delivered within %v of the last line: %d of peerchat, %d of GossipSub.", talkPatience, us.lost, them.lost)
	}
	t.note("Two processes, each with %s nodes that talk over the loopback interface of a network of its own: whole peerchat Nodes over WebRTC, with a "+
		"history in memory; and go-libp2p-pubsub v0.14.2 at its defaults (mesh degree 6, signed messages, publishers send to all they are connected to) over TCP, "+
		"each node dialling 6 others. %d senders by turns, a line of %d bytes every %v, %d lines in each of %d rounds; from the call that says it to the event or message at each other node. "+
		"The bytes are those of IP upwards, and those that are sent while nothing is said are in them. Both run with GOMAXPROCS=%s and GOGC=%s.", n, sideSenders, sideSize, sideEvery, sideLines, b.rounds, crowdThreads, crowdGC)
	return []table{t}, nil
}
