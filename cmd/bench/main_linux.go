package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"peerchat/cmd/peerchat/e2e/lab"
)

// item is one thing that is measured: it returns what belongs between its markers in the document.
type item struct {
	name string
	what string
	run  func(*bench) ([]table, error)
}

func items() []item {
	return []item{
		{"paced", "delivery of paced lines between two processes", paced},
		{"flood", "flood from one peer to two others", flood},
		{"start", "process start to ready and to the first message", start},
		{"setup", "link setup on loopback", setup},
		{"loss", "joining and talking under random loss", loss},
		{"paths", "talking under random loss with two paths", twoPaths},
		{"links", "memory and goroutines of a link", links},
		{"idle", "processor time of an idle peer", idle},
		{"tracker", "memory of an idle peer at the tracker", idlePeers},
		{"relay", "signaling relays of the tracker", relay},
		{"failover", "killing the leader while the others talk", failover},
		{"voicekill", "killing the leader while all are in voice", voiceKill},
		{"raft", "killing the leader, beside hashicorp/raft", raftRun},
		{"freeze", "stopping the leader without ending it, and false elections", freeze},
		{"cut", "pulling the leader's cable", cut},
		{"heal", "joining the halves of a network again", heal},
		{"messages", "messages of an election", messages},
		{"gossipsub", "a room of 100, beside GossipSub", gossipsub},
		{"large", "a large room in one process, beside flooding", large},
		{"growth", "a peer's cost as the room grows, simulated", growth},
		{"history", "a million events, and a peer that has missed many", historyRun},
		{"voice-delay", "from mouth to ear", voiceDelay},
		{"voice-rough", "from mouth to ear over a bad network", voiceRough},
		{"voice-conceal", "speech with lost packets", voiceConceal},
		{"voice-wire", "what a listener costs on the wire", voiceWire},
		{"voice-mix", "hearing 24 talkers", voiceMix},
		{"voice-drift", "a day with a wrong clock", voiceDrift},
		{"voice-jitter", "the jitter buffer's delay against the loss it causes", voiceJitter},
	}
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) > 0 {
		if hidden, ok := subcommands()[args[0]]; ok {
			return hidden(args[1:])
		}
	}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	b := &bench{}
	flags.IntVar(&b.rounds, "rounds", 10, "rounds of each comparison")
	flags.IntVar(&b.crowd, "crowd", 19000, "idle peers at the tracker")
	flags.IntVar(&b.crowdRounds, "crowd-rounds", 3, "rounds of filling the tracker with idle peers")
	flags.DurationVar(&b.idle, "idle", 20*time.Second, "length of a round of idling")
	flags.IntVar(&b.room, "room", 300, "peers of the large room in one process")
	flags.IntVar(&b.simulated, "simulated", 10_000, "peers of the largest simulated room")
	flags.StringVar(&b.peers, "peers", "5,20", "numbers of peers that elect a leader")
	flags.Float64Var(&b.minutes, "minutes", 1, "minutes of waiting for false elections")
	flags.BoolVar(&b.inTime, "rt", false, "voice: let what is measured go before all else, for a machine that is busy with other things")
	only := flags.String("only", "", "comma-separated items to run (default: all)")
	file := flags.String("write", "docs/performance.md", "document whose tables are rewritten; empty: they are only printed")
	binary := flags.String("peerchat", "", "measure this binary instead of building one")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil
		}
		return err
	}
	if status, again, err := lab.Enter(); err != nil {
		return err
	} else if again {
		os.Exit(status)
	}
	if err := b.prepare(*binary); err != nil {
		return err
	}
	defer os.RemoveAll(b.dir)

	var failed error
	put := func(name, text string) error {
		fmt.Printf("## %s\n\n%s\n", name, text)
		if *file == "" {
			return nil
		}
		return write(documentOf(*file, name), name, text)
	}
	for _, it := range items() {
		if *only != "" && !strings.Contains(","+*only+",", ","+it.name+",") {
			continue
		}
		fmt.Fprintf(os.Stderr, "bench: %s …\n", it.what)
		began := time.Now()
		tables, err := it.run(b)
		b.end()
		if err != nil {
			fmt.Fprintf(os.Stderr, "bench: %s: %v\n", it.what, err)
			failed = errors.Join(failed, fmt.Errorf("%s: failed", it.name))
			continue
		}
		var text []string
		for _, t := range tables {
			text = append(text, t.markdown())
		}
		text = append(text, fmt.Sprintf("Measured in %v on %s", time.Since(began).Round(time.Second), machine(began)))
		if err := put(it.name, strings.Join(text, "\n")); err != nil {
			return err
		}
	}
	return failed
}

// documentOf is where an item's table is: beside the others, or in the document that explains it.
func documentOf(file, item string) string {
	if item == "voice-drift" || item == "voice-jitter" {
		return filepath.Join(filepath.Dir(file), "voice.md")
	}
	return file
}

// bench is one run of the program.
type bench struct {
	rounds, crowd, crowdRounds int
	room, simulated            int // peers of the large rooms
	idle                       time.Duration
	peers                      string  // how many peers elect: a comma-separated list
	minutes                    float64 // of waiting for false elections
	inTime                     bool    // voice goes before all else

	dir      string
	peerchat string // the binary that is measured
	self     string // this program, for the baselines

	// Of the item that runs:
	nets  []io.Closer // networks and switches
	procs []*lab.Proc
	homes int
}

func (b *bench) prepare(binary string) error {
	var err error
	if b.self, err = os.Executable(); err != nil {
		return err
	}
	if b.dir, err = os.MkdirTemp("", "peerchat-bench-"); err != nil {
		return err
	}
	if b.peerchat = binary; binary != "" {
		b.peerchat, err = filepath.Abs(binary)
		return err
	}
	b.peerchat = filepath.Join(b.dir, "peerchat")
	out, err := exec.Command("go", "build", "-o", b.peerchat, "peerchat/cmd/peerchat").CombinedOutput()
	if err != nil {
		return errors.Join(fmt.Errorf("build peerchat: %w: %s", err, out), os.RemoveAll(b.dir))
	}
	return nil
}

// end ends everything that an item has started.
func (b *bench) end() {
	for _, p := range b.procs {
		p.Kill()
		if alarm := p.Alarm(); alarm != "" {
			fmt.Fprintf(os.Stderr, "bench: %s: %s\n%s", p.Name, alarm, p.Tail(10))
		}
	}
	for _, n := range b.nets {
		_ = n.Close() // it has no error to tell
	}
	b.procs, b.nets = nil, nil
}

// net makes a network for an item.
func (b *bench) net() (*lab.Net, error) {
	n, err := lab.NewNet()
	if err == nil {
		b.nets = append(b.nets, n)
	}
	return n, err
}

// start starts a process with a home of its own, unless it has one.
func (b *bench) start(n *lab.Net, c lab.Command) (*lab.Proc, error) {
	b.homes++
	if c.Home == "" {
		c.Home = filepath.Join(b.dir, fmt.Sprintf("home%d", b.homes))
	}
	if err := os.MkdirAll(c.Home, 0o700); err != nil {
		return nil, err
	}
	c.Env = append([]string{"PEERCHAT_LAN=off", "PEERCHAT_INTERFACE=lo"}, c.Env...)
	p, err := n.Start(c)
	if err == nil {
		b.procs = append(b.procs, p)
	}
	return p, err
}

// trackerAddress is where the tracker of a network is.
const trackerAddress = "127.0.0.1:5000"

// tracker starts a tracker in the network and awaits that it accepts connections.
func (b *bench) tracker(n *lab.Net) (*lab.Proc, error) {
	p, err := b.start(n, lab.Command{Name: "tracker", Path: b.peerchat, Plain: true, Args: []string{
		"tracker", "--listen", trackerAddress, "--stun", trackerAddress, "--log-level", "warn"}})
	if err != nil {
		return nil, err
	}
	return p, accepts(n, trackerAddress)
}

// accepts awaits that somebody listens on a TCP address.
func accepts(n *lab.Net, address string) error {
	deadline := time.Now().Add(20 * time.Second)
	for {
		c, err := n.Dial("tcp", address)
		if err == nil {
			return c.Close()
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("await a server on %s: %w", address, err)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// join starts a peer in JSON mode.
func (b *bench) join(n *lab.Net, name string, args ...string) (*lab.Proc, error) {
	return b.start(n, b.joinCommand(name, args...))
}

func (b *bench) joinCommand(name string, args ...string) lab.Command {
	return lab.Command{Name: name, Path: b.peerchat, Args: append([]string{
		"join", "--json", "--username", name, "--tracker", trackerAddress, "--no-host"}, args...)}
}

const patience = 60 * time.Second

// linked awaits that p is ready and has n links.
func linked(p *lab.Proc, n int) error {
	up := map[string]bool{}
	_, err := p.Await(0, patience, fmt.Sprintf("%s has %d links", p.Name, n), func(e lab.Event) bool {
		if e = parsed(e); e.Type == "link" {
			if e.State == "up" {
				up[e.Peer] = true
			} else {
				delete(up, e.Peer)
			}
		}
		return len(up) >= n
	})
	return err
}

// parsed reads a line of a process whose lines are not read as they come, so that reading them takes no time from what
// is measured.
func parsed(e lab.Event) lab.Event {
	if e.Type == "" && strings.HasPrefix(e.Raw, "{") {
		_ = json.Unmarshal([]byte(e.Raw), &e) // what is no JSON has no type
	}
	return e
}

// mesh starts a tracker and n peers and awaits that all are linked to all, or, if they are more than six, each to
// three. Their lines come unparsed.
func (b *bench) mesh(n *lab.Net, count int) ([]*lab.Proc, error) {
	if _, err := b.tracker(n); err != nil {
		return nil, err
	}
	var peers []*lab.Proc
	for i := range count {
		c := b.joinCommand(fmt.Sprintf("p%d", i))
		c.Plain = true
		p, err := b.start(n, c)
		if err != nil {
			return nil, err
		}
		peers = append(peers, p)
	}
	for _, p := range peers {
		if err := linked(p, enough(count)); err != nil {
			return nil, err
		}
	}
	return peers, nil
}

// enough is how many links a peer of so many has soon.
func enough(count int) int {
	if count > 6 {
		return 3
	}
	return count - 1
}

// pionPair starts the two processes of a bare data channel and awaits that it is open. The first one offers.
func (b *bench) pionPair(n *lab.Net) (from, to *lab.Proc, err error) {
	from, err = b.start(n, lab.Command{Name: "pion offers", Path: b.self, Args: []string{"pion-offer"}, Plain: true})
	if err != nil {
		return nil, nil, err
	}
	to, err = b.start(n, lab.Command{Name: "pion answers", Path: b.self, Args: []string{"pion-answer"}, Plain: true})
	if err != nil {
		return nil, nil, err
	}
	if err := introduce(from, to); err != nil {
		return nil, nil, err
	}
	for _, p := range []*lab.Proc{from, to} {
		if _, err := p.Await(0, patience, p.Name+" is open", rawIs("open")); err != nil {
			return nil, nil, err
		}
	}
	return from, to, nil
}

// introduce carries offer and answer between two bare pion processes.
func introduce(from, to *lab.Proc) error {
	isSDP := func(e lab.Event) bool { return strings.HasPrefix(e.Raw, `{"type":`) }
	offer, err := from.Await(0, patience, "the offer of bare pion", isSDP)
	if err != nil {
		return err
	}
	if err := to.Say(offer.Raw); err != nil {
		return err
	}
	answer, err := to.Await(0, patience, "the answer of bare pion", isSDP)
	if err != nil {
		return err
	}
	return from.Say(answer.Raw)
}

func rawIs(text string) func(lab.Event) bool {
	return func(e lab.Event) bool { return e.Raw == text }
}

// swap runs two measurements, in an order that changes from round to round.
func swap(round int, ours, baseline func() error) error {
	if round%2 == 1 {
		ours, baseline = baseline, ours
	}
	if err := ours(); err != nil {
		return err
	}
	return baseline()
}
