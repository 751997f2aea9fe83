//go:build linux

package e2e

import (
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"peerchat/cmd/peerchat/e2e/lab"
)

// patience is how long a test awaits what should come at once: a machine may be slow, nothing should be lost.
const patience = 30 * time.Second

// quick fails unless one of three tries takes no longer than most: the machine may stand still during one.
func quick(t *testing.T, what string, most time.Duration, try func(n int) time.Duration) {
	t.Helper()
	least := time.Duration(math.MaxInt64)
	for n := range 3 {
		if least = min(least, try(n)); least <= most {
			return
		}
	}
	t.Errorf("%s: it takes %v at least, want %v", what, least, most)
}

// binary is the peerchat that is tested. TestMain builds it.
var binary string

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	if kind := os.Getenv(villainEnv); kind != "" {
		return runVillain(kind)
	}
	status, again, err := lab.Enter()
	if err != nil {
		fmt.Fprintln(os.Stderr, "end-to-end tests:", err)
		return 1
	}
	if again {
		return status
	}
	dir, err := os.MkdirTemp("", "peerchat-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "end-to-end tests:", err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = os.Getenv("PEERCHAT_E2E_BINARY")
	if binary == "" {
		binary = filepath.Join(dir, "peerchat")
		args, cgo := []string{"build", "-o", binary}, "CGO_ENABLED=0" // as make build makes it
		if os.Getenv("PEERCHAT_E2E_RACE") != "" {
			args, cgo = append(args, "-race"), "CGO_ENABLED=1"
		}
		build := exec.Command("go", append(args, "peerchat/cmd/peerchat")...)
		build.Env = append(os.Environ(), cgo)
		out, err := build.CombinedOutput()
		if err != nil {
			fmt.Fprintf(os.Stderr, "end-to-end tests: build peerchat: %v\n%s", err, out)
			return 1
		}
	}
	return m.Run()
}

// world is the ground of one test: networks, processes and their directories.
type world struct {
	t     testing.TB
	dir   string // the processes' homes are in it
	net   *lab.Net
	procs []*lab.Proc
	homes int
}

// newWorld makes a world with one network, in which trackers listen on 127.0.0.1:5000.
func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir()} // first: it is removed after what runs in it has ended
	w.net = w.network()
	t.Cleanup(w.end)
	return w
}

// network makes one more network.
func (w *world) network() *lab.Net {
	w.t.Helper()
	n, err := lab.NewNet()
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		if err := n.Close(); err != nil {
			w.t.Error(err)
		}
	})
	return n
}

// end kills what still runs, shows the outputs of a test that failed, and reports what no process may do.
func (w *world) end() {
	for _, p := range w.procs {
		p.Kill()
		if alarm := p.Alarm(); alarm != "" {
			w.t.Errorf("%s: %s\n%s", p.Name, alarm, p.Tail(40))
		}
	}
	if !w.t.Failed() {
		return
	}
	for i, p := range w.procs {
		w.t.Log(p.Tail(12))
		w.keep(i, p)
	}
}

// keep writes all that a process of a failed test said into the directory that PEERCHAT_E2E_KEEP names.
func (w *world) keep(i int, p *lab.Proc) {
	dir := os.Getenv("PEERCHAT_E2E_KEEP")
	if dir == "" {
		return
	}
	var b strings.Builder
	for _, e := range p.Lines() {
		b.WriteString(e.Raw + "\n")
	}
	name := fmt.Sprintf("%s-%02d-%s", strings.ReplaceAll(w.t.Name(), "/", "-"), i, p.Name)
	if err := os.WriteFile(filepath.Join(dir, name), []byte(b.String()), 0o600); err != nil {
		w.t.Log(err)
	}
}

// start starts a peerchat process in the world.
func (w *world) start(n *lab.Net, name string, env []string, args ...string) *peer {
	w.t.Helper()
	return w.startCommand(n, lab.Command{Name: name, Path: binary, Args: args, Env: env})
}

func (w *world) startCommand(n *lab.Net, c lab.Command) *peer {
	w.t.Helper()
	c.Env = append([]string{
		"PEERCHAT_LAN=off", "PEERCHAT_INTERFACE=lo", "GORACE=halt_on_error=1 atexit_sleep_ms=0", "NO_COLOR=1",
	}, c.Env...)
	if c.Home == "" {
		w.homes++
		c.Home = filepath.Join(w.dir, fmt.Sprintf("home%d", w.homes))
		if err := os.MkdirAll(c.Home, 0o700); err != nil {
			w.t.Fatal(err)
		}
	}
	running := 0
	for _, p := range w.procs {
		if !p.Exited() {
			running++
		}
	}
	if running >= 64 {
		w.t.Fatal("a test has at most 64 processes at a time")
	}
	p, err := n.Start(c)
	if err != nil {
		w.t.Fatal(err)
	}
	w.procs = append(w.procs, p)
	return &peer{Proc: p, w: w, command: c, net: n}
}

// tracker starts a stand-alone tracker on 127.0.0.1:5000 and awaits that it answers.
func (w *world) tracker() *peer {
	w.t.Helper()
	p := w.start(w.net, "tracker", nil, "tracker", "--listen", address, "--stun", address)
	p.wantHealthy(w.net, address)
	return p
}

// address is where the trackers of a world listen: it has a network of its own, so that the port is always free.
const address = "127.0.0.1:5000"

// wantHealthy awaits that /healthz answers at an address.
func (p *peer) wantHealthy(n *lab.Net, at string) {
	p.w.t.Helper()
	p.w.poll(fmt.Sprintf("%s answers at %s", p.Name, at), patience, func() error {
		_, err := get(n, "http://"+at+"/healthz")
		return err
	})
}

// get fetches a page inside the world's network.
func (w *world) get(url string) (string, error) { return get(w.net, url) }

func get(n *lab.Net, url string) (string, error) {
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{Dial: n.Dial, DisableKeepAlives: true}}
	res, err := client.Get(url)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s says %s", url, res.Status)
	}
	return string(body), err
}

// poll asks for something that sends no event of its own, until it is so or the time is over.
func (w *world) poll(what string, within time.Duration, try func() error) {
	w.t.Helper()
	deadline := time.Now().Add(within)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := try()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("%s: not within %v: %v", what, within, err)
		}
		<-tick.C
	}
}

// join starts a peer in JSON mode with the world's tracker; more arguments go behind.
func (w *world) join(name string, args ...string) *peer {
	w.t.Helper()
	args = append([]string{"join", "--json", "--username", name, "--tracker", address, "--listen", address}, args...)
	return w.start(w.net, name, nil, args...)
}

// peer is a peerchat process.
type peer struct {
	*lab.Proc
	w       *world
	net     *lab.Net
	command lab.Command
	id      string
}

// say writes a line to the peer's standard input.
func (p *peer) say(line string) {
	p.w.t.Helper()
	if err := p.Say(line); err != nil {
		p.w.t.Fatal(err)
	}
}

// want awaits a line of any age, wantFrom one after a Mark.
func (p *peer) want(what string, match func(lab.Event) bool) lab.Event {
	p.w.t.Helper()
	return p.wantFrom(0, what, match)
}

func (p *peer) wantFrom(mark int, what string, match func(lab.Event) bool) lab.Event {
	p.w.t.Helper()
	e, err := p.Await(mark, patience, what, match)
	if err != nil {
		p.w.t.Fatal(err)
	}
	return e
}

// ready awaits that the peer is in its rooms, and learns its ID.
func (p *peer) ready() *peer {
	p.w.t.Helper()
	p.id = p.want(p.Name+" is ready", ofType("ready")).Peer
	if p.id == "" {
		p.w.t.Fatalf("%s: its ready line names no peer", p.Name)
	}
	return p
}

// wantLine awaits a message with this text.
func (p *peer) wantLine(what, text string) lab.Event {
	p.w.t.Helper()
	return p.want(what, message(text))
}

// wantExit awaits the end of the process with this status, within a time.
func (p *peer) wantExit(what string, status int, within time.Duration) {
	p.w.t.Helper()
	got, err := p.AwaitExit(within)
	if err != nil {
		p.w.t.Fatalf("%s: %v", what, err)
	}
	if got != status {
		p.w.t.Fatalf("%s: it ended with status %d, want %d\n%s", what, got, status, p.Tail(15))
	}
}

func (p *peer) signal(s syscall.Signal) {
	p.w.t.Helper()
	if err := p.Signal(s); err != nil {
		p.w.t.Fatalf("send %v to %s: %v", s, p.Name, err)
	}
}

// again starts the same command line with the same directory once more.
func (p *peer) again() *peer {
	p.w.t.Helper()
	return p.w.startCommand(p.net, p.command)
}

func ofType(kind string) func(lab.Event) bool {
	return func(e lab.Event) bool { return e.Type == kind }
}

func message(text string) func(lab.Event) bool {
	return func(e lab.Event) bool { return e.Type == "message" && e.Text == text }
}

// tracker awaits a state of the tracker.
func trackerIs(state string) func(lab.Event) bool {
	return func(e lab.Event) bool { return e.Type == "tracker" && e.State == state }
}

// trackerGone awaits that the tracker is lost, or is being replaced.
func trackerGone(e lab.Event) bool { return trackerIs("lost")(e) || trackerIs("electing")(e) }

// member awaits that somebody of this name joined, left or is renamed in a room.
func member(room, name, state string) func(lab.Event) bool {
	return func(e lab.Event) bool {
		return e.Type == "member" && e.State == state && e.Name == name && plainRoom(e.Room) == room
	}
}

// link awaits that a link to somebody of this name goes up or down.
func link(name, state string) func(lab.Event) bool {
	return func(e lab.Event) bool { return e.Type == "link" && e.State == state && e.Name == name }
}

// linked awaits that n links are up.
func linked(n int) func(lab.Event) bool {
	up := map[string]bool{}
	return func(e lab.Event) bool {
		if e.Type != "link" {
			return false
		}
		if e.State == "up" {
			up[e.Peer] = true
		} else {
			delete(up, e.Peer)
		}
		return len(up) >= n
	}
}

// counts awaits that so many are in a room, as far as one knows.
func counts(n int) func(lab.Event) bool {
	return func(e lab.Event) bool {
		return (e.Type == "member" || e.Type == "room") && string(e.Members) == strconv.Itoa(n)
	}
}

func plainRoom(room string) string { return strings.TrimPrefix(room, "#") }
