package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"peerchat/cmd/peerchat/e2e/lab"
)

// Of the comparison with peerjs-server.
const (
	peerjsPackage = "peer@1.0.2"
	peerjsAddress = "127.0.0.1:9000"
	relayClients  = 2000
	relayLength   = 4 * time.Second
	loaders       = 4 // processes that hold the idle peers: each may open 20,000 files at most
	crowdSettle   = 20 * time.Second
)

// installPeerjs installs peerjs-server with npm, once a run, and returns its program. PEERCHAT_BENCH_PEERJS names a
// directory where it is installed already.
func (b *bench) installPeerjs() (string, error) {
	dir := os.Getenv("PEERCHAT_BENCH_PEERJS")
	if dir == "" {
		dir = filepath.Join(b.dir, "peerjs")
	}
	program := filepath.Join(dir, "node_modules", "peer", "dist", "bin", "peerjs.js")
	if _, err := os.Stat(program); err == nil {
		return program, nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	cmd := exec.Command("npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", dir, peerjsPackage)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("install %s with npm: %w: %s", peerjsPackage, err, strings.TrimSpace(string(out)))
	}
	if _, err := os.Stat(program); err != nil {
		return "", fmt.Errorf("install %s with npm: %w", peerjsPackage, err)
	}
	return program, nil
}

// peerjs starts a peerjs-server in the network.
func (b *bench) peerjs(n *lab.Net, program string) (*lab.Proc, error) {
	p, err := b.start(n, lab.Command{Name: "peerjs-server", Path: "node", Plain: true,
		Args: []string{program, "--host", "127.0.0.1", "--port", "9000", "--concurrent_limit", "30000"},
		Env:  []string{"NODE_ENV=production"}})
	if err != nil {
		return nil, err
	}
	return p, accepts(n, peerjsAddress)
}

// load starts a load process and awaits that its clients are connected.
func (b *bench) load(n *lab.Net, kind string, clients, first int, from string, more ...string) (*lab.Proc, error) {
	address := trackerAddress
	if kind == "peerjs" {
		address = peerjsAddress
	}
	p, err := b.start(n, lab.Command{Name: "load on " + kind, Path: b.self, Plain: true, Args: append([]string{
		"load", "-kind", kind, "-address", address, "-n", fmt.Sprint(clients), "-first", fmt.Sprint(first), "-from", from}, more...)})
	if err != nil {
		return nil, err
	}
	_, err = p.Await(0, 5*time.Minute, fmt.Sprintf("%d clients of %s are connected", clients, kind), rawIs("connected"))
	return p, err
}

// counted asks a load process how many messages it has relayed and how many connections it has lost.
func counted(p *lab.Proc, ask string) (relayed, lost int, err error) {
	mark := p.Mark()
	if err := p.Say(ask); err != nil {
		return 0, 0, err
	}
	e, err := p.Await(mark, patience, "the count of a load", func(lab.Event) bool { return true })
	if err != nil {
		return 0, 0, err
	}
	_, err = fmt.Sscanf(e.Raw, "relayed %d lost %d", &relayed, &lost)
	return relayed, lost, err
}

func idlePeers(b *bench) ([]table, error) {
	program, noPeerjs := b.installPeerjs()
	type result struct{ kib, cpu []float64 }
	var ours, theirs result
	fill := func(kind string, into *result) error {
		net, err := b.net()
		if err != nil {
			return err
		}
		var p *lab.Proc
		if kind == "peerjs" {
			p, err = b.peerjs(net, program)
		} else {
			p, err = b.tracker(net)
		}
		if err != nil {
			return err
		}
		before, err := usageOf(p.Pid())
		if err != nil {
			return err
		}
		var loads []*lab.Proc
		each := b.crowd / loaders
		for i := range loaders {
			l, err := b.load(net, kind, each, i*each, fmt.Sprintf("127.0.0.%d", 2+i))
			if err != nil {
				return err
			}
			loads = append(loads, l)
		}
		time.Sleep(crowdSettle)
		cpu, err := burn([]*lab.Proc{p}, 10*time.Second)
		if err != nil {
			return err
		}
		after, err := usageOf(p.Pid())
		if err != nil {
			return err
		}
		for _, l := range loads {
			_, lost, err := counted(l, "count")
			if err != nil {
				return err
			}
			if lost > 0 {
				return fmt.Errorf("%s lost %d of its idle peers", kind, lost)
			}
		}
		into.kib = append(into.kib, float64(after.rss-before.rss)/1024/float64(each*loaders))
		into.cpu = append(into.cpu, cpu[0])
		b.end()
		return nil
	}
	for r := range min(b.rounds, b.crowdRounds) {
		err := swap(r, func() error { return fill("peerchat", &ours) }, func() error {
			if noPeerjs != nil {
				return nil
			}
			return fill("peerjs", &theirs)
		})
		if err != nil {
			return nil, err
		}
	}
	t := table{head: []string{fmt.Sprintf("%s idle peers", figure(float64(b.crowd))), "KiB a peer, resident", "% of a core", "aim"}}
	t.row("peerchat tracker", spread(ours.kib), spread(ours.cpu), "≤ 8 KiB")
	if noPeerjs == nil {
		t.row("peerjs-server", spread(theirs.kib), spread(theirs.cpu), "")
	} else {
		t.note("There is no row for peerjs-server: %v.", noPeerjs)
	}
	t.note("What the server process has grown by, %v after the last peer has come, divided by the peers. Ten peers are in a room; they "+
		"send what idle clients send: peerchat's a ping every 1.5 s, those of peerjs a heartbeat every 5 s. %d rounds.",
		crowdSettle, len(ours.kib))
	return []table{t}, nil
}

// relaying is one server under relay load, and what it did in each round.
type relaying struct {
	server, load *lab.Proc
	perCPU, rate []float64
}

// measure loads the server for a while.
func (s *relaying) measure() error {
	if s.server == nil {
		return nil
	}
	if _, _, err := counted(s.load, "go"); err != nil {
		return err
	}
	defer func() { _, _, _ = counted(s.load, "stop") }() // the error of the measurement matters
	time.Sleep(relayLength / 4)
	u0, err := usageOf(s.server.Pid())
	if err != nil {
		return err
	}
	n0, _, err := counted(s.load, "count")
	if err != nil {
		return err
	}
	start := time.Now()
	time.Sleep(relayLength)
	u1, err := usageOf(s.server.Pid())
	if err != nil {
		return err
	}
	n1, lost, err := counted(s.load, "count")
	if err != nil {
		return err
	}
	if lost > 0 {
		return fmt.Errorf("%s lost %d connections while relaying", s.server.Name, lost)
	}
	s.perCPU = append(s.perCPU, float64(n1-n0)/(u1.cpu-u0.cpu).Seconds())
	s.rate = append(s.rate, float64(n1-n0)/time.Since(start).Seconds())
	return nil
}

func relay(b *bench) ([]table, error) {
	program, noPeerjs := b.installPeerjs()
	t := table{head: []string{"signaling relays", "a CPU-second of the server", "a second", "aim"}}
	for _, burst := range []int{1, 8} {
		var ours, theirs relaying
		net, err := b.net()
		if err != nil {
			return nil, err
		}
		if ours.server, err = b.tracker(net); err != nil {
			return nil, err
		}
		more := []string{"-relay", "-burst", fmt.Sprint(burst)}
		if ours.load, err = b.load(net, "peerchat", relayClients, 0, "127.0.0.2", more...); err != nil {
			return nil, err
		}
		if noPeerjs == nil {
			if theirs.server, err = b.peerjs(net, program); err != nil {
				return nil, err
			}
			if theirs.load, err = b.load(net, "peerjs", relayClients, 0, "127.0.0.3", more...); err != nil {
				return nil, err
			}
		}
		for r := range b.rounds {
			if err := swap(r, ours.measure, theirs.measure); err != nil {
				return nil, err
			}
		}
		b.end()
		how := fmt.Sprintf(", %d under way", burst)
		t.row("peerchat tracker"+how, spread(ours.perCPU), spread(ours.rate), "3× peerjs-server")
		if noPeerjs == nil {
			t.row("peerjs-server"+how, spread(theirs.perCPU), spread(theirs.rate), "")
			t.row("ratio"+how, spread(ratios(ours.perCPU, theirs.perCPU)), spread(ratios(ours.rate, theirs.rate)), "≥ 3")
		}
	}
	if noPeerjs != nil {
		t.note("There is no row for peerjs-server: %v.", noPeerjs)
	}
	t.note("%s clients in pairs, each answering a relayed ICE candidate of %d bytes with the like, so that 1 or 8 of them are "+
		"always under way in each direction: 8 is what a browser's or a peer's candidates look like. Both servers run all the time, "+
		"and are loaded by turns for %v in each of %d rounds. Peerchat's tracker also answers each request with a status.",
		figure(relayClients), len(loadData), relayLength, b.rounds)
	return []table{t}, nil
}
