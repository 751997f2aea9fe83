//go:build linux

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"peerchat/peer/history"
)

// chaos is a crowd on hosts of their own, at a switch, whose members and network suffer.
type chaos struct {
	*hosts
	seed    uint64
	during  time.Duration
	all     []trouble
	tracker *peer
	people  []*sufferer
	began   time.Time
	deaf    []string // by host: whom it does not hear
	spoken  int      // rounds of talk
}

// sufferer is a peer in all its lives.
type sufferer struct {
	*peer
	profile string
	lives   []*peer
}

// chaosSetting is a number that the environment may change.
func chaosSetting(t *testing.T, name string, usual uint64) uint64 {
	s := os.Getenv(name)
	if s == "" {
		return usual
	}
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil {
		t.Fatalf("%s=%q: want a number", name, s)
	}
	return n
}

// Twenty peers talk, two lines a second each, while they are killed, started again, frozen, unplugged, cut off and
// parted, and the tracker too, for two minutes. Then all logs become the same, byte by byte; all that anybody was shown
// to have said is in them, once; all know who is there; and what is said then arrives at once.
//
// PEERCHAT_E2E_SEED chooses what happens, PEERCHAT_E2E_PEERS and PEERCHAT_E2E_SECONDS to how many and for how long.
func TestNothingIsLostInChaos(t *testing.T) {
	if testing.Short() {
		t.Skip("left out by -short: it takes two minutes")
	}
	seed, n := chaosSetting(t, "PEERCHAT_E2E_SEED", 1), int(chaosSetting(t, "PEERCHAT_E2E_PEERS", 20))
	during := time.Duration(chaosSetting(t, "PEERCHAT_E2E_SECONDS", 120)) * time.Second
	c := newChaos(t, seed, n, during)
	c.start()
	c.endure()
	c.settle()
}

func newChaos(t *testing.T, seed uint64, peers int, during time.Duration) *chaos {
	t.Logf("seed %d: %d peers, %v", seed, peers, during)
	c := &chaos{hosts: newHosts(t, make([]int, peers+1)...), seed: seed, during: during, all: troubles(seed, peers, during), deaf: make([]string, peers+1)}
	t.Cleanup(c.keep)
	return c
}

// start starts the tracker and all peers, and awaits that they are one room.
func (c *chaos) start() {
	c.w.t.Helper()
	c.tracker = c.w.start(c.nets[0], "tracker", onLAN, "tracker")
	c.tracker.wantHealthy(c.nets[1], trackerAt)
	var peers []*peer
	for i := 1; i < len(c.nets); i++ {
		profile := filepath.Join(c.w.dir, fmt.Sprintf("profile%d", i))
		p := c.join(i, fmt.Sprintf("p%d", i), "--tracker", trackerAt, "--profile", profile)
		c.people = append(c.people, &sufferer{peer: p, profile: profile, lives: []*peer{p}})
		peers = append(peers, p)
	}
	c.w.wantMesh(peers...)
	for _, p := range c.people {
		p.id = p.lives[0].id
	}
}

// endure has everybody talk, and does what the schedule says, until it is over.
func (c *chaos) endure() {
	c.w.t.Helper()
	type step struct {
		at  time.Duration
		do  func(trouble)
		who trouble
	}
	var steps []step
	for _, t := range c.all {
		steps = append(steps, step{t.from, c.begin, t}, step{t.until, c.over, t})
	}
	for at := time.Duration(0); at < c.during; at += 500 * time.Millisecond / time.Duration(len(c.people)) {
		steps = append(steps, step{at, c.speak, trouble{}})
	}
	slices.SortStableFunc(steps, func(a, b step) int { return int(a.at - b.at) })
	c.began = time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for _, s := range steps {
		timer.Reset(time.Until(c.began.Add(s.at)))
		<-timer.C
		s.do(s.who)
	}
}

// speak has the next peer say a line, if it lives. Whether it was said is for it to tell.
func (c *chaos) speak(trouble) {
	p := c.people[c.spoken%len(c.people)]
	if !p.Exited() {
		_ = p.Say(fmt.Sprintf("line %d of %s", c.spoken/len(c.people), p.Name))
	}
	c.spoken++
}

// process is the process of a host.
func (c *chaos) process(host int) *peer {
	if host == 0 {
		return c.tracker
	}
	return c.people[host-1].peer
}

func (c *chaos) begin(t trouble) {
	c.w.t.Helper()
	p := c.process(t.hosts[0])
	switch t.what {
	case killed:
		p.signal(syscall.SIGKILL)
	case frozen:
		p.signal(syscall.SIGSTOP)
	case unplugged:
		c.run(t.hosts[0], "ip", "link", "set", "eth", "down")
	default:
		c.isolate()
	}
}

func (c *chaos) over(t trouble) {
	c.w.t.Helper()
	host := t.hosts[0]
	p := c.process(host)
	switch t.what {
	case killed:
		p.wantExit(p.Name+" is killed", -1, patience)
		again := p.again()
		if host == 0 {
			c.tracker = again
			return
		}
		s := c.people[host-1]
		again.id = s.id
		s.peer, s.lives = again, append(s.lives, again)
	case frozen:
		p.signal(syscall.SIGCONT)
	case unplugged:
		c.run(host, "ip", "link", "set", "eth", "up")
		c.run(host, "ip", "route", "replace", "default", "dev", "eth")
	default:
		c.isolate()
	}
}

func (c *chaos) run(host int, args ...string) {
	c.w.t.Helper()
	if err := c.nets[host].Run(args...); err != nil {
		c.w.t.Fatalf("seed %d: host %d: %v", c.seed, host, err)
	}
}

// isolate has every host drop the packets of those that it is not to hear now.
func (c *chaos) isolate() {
	c.w.t.Helper()
	now := time.Since(c.began)
	for host, n := range c.nets {
		var addresses []string
		for _, other := range deafTo(c.all, now, host, len(c.people)) {
			addresses = append(addresses, fmt.Sprintf("10.77.0.%d", other+1))
		}
		deaf := strings.Join(addresses, ", ")
		if deaf == c.deaf[host] {
			continue
		}
		c.deaf[host] = deaf
		err := n.Heal()
		if deaf != "" {
			err = n.Drop(100, "ip saddr { "+deaf+" }")
		}
		if err != nil {
			c.w.t.Fatalf("seed %d: host %d: %v", c.seed, host, err)
		}
	}
}

// settle awaits that all is well again, and holds what was shown and stored against what was promised.
func (c *chaos) settle() {
	t := c.w.t
	t.Helper()
	calm := time.Now()
	c.await("the logs are the same, and all that was said is in them", calm, 2*time.Minute, c.unequal)
	c.await("everybody knows exactly who is there", calm, 2*time.Minute, c.strangers)
	c.await("all have one tracker", calm, 2*time.Minute, c.divided)
	c.await("everybody has some links, and nobody many", calm, 2*time.Minute, c.crowded)
	for _, p := range c.people {
		line := "a last word of " + p.Name
		p.say(line)
		for _, o := range c.people {
			if e := o.wantLine(fmt.Sprintf("seed %d: %s sees the last word of %s", c.seed, o.Name, p.Name), line); e.History {
				t.Errorf("seed %d: %s is shown the last word of %s as history, though it is said in the calm", c.seed, o.Name, p.Name)
			}
		}
	}
	c.await("the last words are in all logs", time.Now(), patience, c.unequal)
	c.wantOnce()
	c.wantExport()
	c.wantModest()
}

// await polls until a complaint is no more, and logs how long after a time that was, and what the last complaint was.
func (c *chaos) await(what string, since time.Time, within time.Duration, complaint func() error) {
	c.w.t.Helper()
	last := ""
	c.w.poll(fmt.Sprintf("seed %d: %s", c.seed, what), within, func() error {
		err := complaint()
		if err != nil {
			last = "; until then " + err.Error()
		}
		return err
	})
	c.w.t.Logf("%s: after %.1f s%.300s", what, time.Since(since).Seconds(), last)
}

// saidLine is a line as its author's process showed it.
type saidLine struct{ name, id, text string }

// said are all lines that any life of anybody showed as its own.
func (c *chaos) said() (lines []saidLine) {
	for _, p := range c.people {
		for _, life := range p.lives {
			for _, e := range life.Lines() {
				if e.Type == "message" && e.Self && !e.History {
					lines = append(lines, saidLine{p.Name, e.ID, e.Text})
				}
			}
		}
	}
	return lines
}

// export is the log of a peer, from its profile.
func (p *sufferer) export() ([]byte, error) {
	var b bytes.Buffer
	err := history.ReadHistory(filepath.Join(p.profile, "history.db"), func(v history.View) error {
		return v.Export(context.Background(), &b, "", history.FormatJSON)
	})
	return b.Bytes(), err
}

// unequal says in what the logs differ, or what they lack.
func (c *chaos) unequal() error {
	var first []byte
	for i, p := range c.people {
		log, err := p.export()
		switch {
		case err != nil:
			return err
		case i == 0:
			first = log
		case !bytes.Equal(log, first):
			return fmt.Errorf("the log of %s has %d lines, that of %s %d: %s", c.people[0].Name, bytes.Count(first, []byte("\n")), p.Name,
				bytes.Count(log, []byte("\n")), difference(first, log))
		}
	}
	held := map[string]int{}
	heads := map[string]uint64{}
	for line := range bytes.Lines(first) {
		var e struct {
			ID, Peer string
			Seq      uint64
		}
		if err := json.Unmarshal(line, &e); err != nil {
			return fmt.Errorf("the log has the line %q: %w", line, err)
		}
		held[e.ID]++
		if e.Seq != heads[e.Peer]+1 {
			return fmt.Errorf("after event %d of %s there is %d in the logs", heads[e.Peer], e.Peer, e.Seq)
		}
		heads[e.Peer] = e.Seq
	}
	for _, s := range c.said() {
		if held[s.id] != 1 {
			return fmt.Errorf("%q, which %s said, is %d times in the logs", s.text, s.name, held[s.id])
		}
	}
	return nil
}

// difference are the first few lines that one log has and the other has not.
func difference(a, b []byte) string {
	var parts []string
	for i, two := range [][2][]byte{{a, b}, {b, a}} {
		has := map[string]bool{}
		for line := range bytes.Lines(two[1]) {
			has[string(line)] = true
		}
		n := 0
		for line := range bytes.Lines(two[0]) {
			if !has[string(line)] {
				if n++; n <= 3 {
					parts = append(parts, fmt.Sprintf("only the %s has %s", []string{"first", "second"}[i], bytes.TrimSpace(line)))
				}
			}
		}
		parts = append(parts, fmt.Sprintf("%d in all", n))
	}
	return strings.Join(parts, "; ")
}

// strangers says who is taken for being there and is not, or the other way round.
func (c *chaos) strangers() error {
	for _, p := range c.people {
		there := map[string]bool{}
		for _, e := range p.Lines() {
			switch {
			case e.Type == "member" && e.State == "joined":
				there[e.Peer] = true
			case e.Type == "member" && e.State == "left":
				delete(there, e.Peer)
			}
		}
		for _, o := range c.people {
			if o != p && !there[o.id] {
				return fmt.Errorf("%s does not know that %s is there", p.Name, o.Name)
			}
		}
		if len(there) != len(c.people)-1 {
			return fmt.Errorf("%s knows of %d others, want %d", p.Name, len(there), len(c.people)-1)
		}
	}
	return nil
}

// divided says who is at another tracker than the rest.
func (c *chaos) divided() error {
	for _, p := range c.people {
		if now := p.trackerNow(); now.State != "connected" || now.Leader != "" {
			return fmt.Errorf("%s says %q, leader %q: want it at the home tracker", p.Name, now.State, now.Leader)
		}
	}
	return nil
}

// crowded says who has too many links, or too few.
func (c *chaos) crowded() error {
	most := 10
	if len(c.people) <= 8 {
		most = len(c.people) - 1
	}
	for _, p := range c.people {
		up := map[string]bool{}
		for _, e := range p.Lines() {
			if e.Type == "link" {
				up[e.Peer] = e.State == "up"
			}
		}
		n := 0
		for _, is := range up {
			if is {
				n++
			}
		}
		if n < 3 || n > most {
			return fmt.Errorf("%s has %d links, want 3 to %d", p.Name, n, most)
		}
	}
	return nil
}

// wantOnce checks that no life of anybody showed a message twice, or two of one author in the wrong order.
func (c *chaos) wantOnce() {
	c.w.t.Helper()
	for _, p := range c.people {
		for i, life := range p.lives {
			shown, last := map[string]bool{}, map[string]uint64{}
			for _, e := range life.Lines() {
				if e.Type != "message" {
					continue
				}
				if shown[e.ID] {
					c.w.t.Errorf("seed %d: life %d of %s shows %q of %s twice", c.seed, i, p.Name, e.Text, e.Name)
				}
				if e.Seq <= last[e.Peer] {
					c.w.t.Errorf("seed %d: life %d of %s shows event %d of %s after its event %d", c.seed, i, p.Name, e.Seq, e.Name, last[e.Peer])
				}
				shown[e.ID], last[e.Peer] = true, e.Seq
			}
		}
	}
}

// wantExport checks that `peerchat history export` prints the same for every profile.
func (c *chaos) wantExport() {
	c.w.t.Helper()
	var first []byte
	for i, p := range c.people {
		out, err := exec.Command(binary, "history", "export", "--format", "json", "--profile", p.profile).Output()
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			err = fmt.Errorf("%w: %s", err, exit.Stderr)
		}
		switch {
		case err != nil:
			c.w.t.Fatalf("seed %d: export the history of %s: %v", c.seed, p.Name, err)
		case i == 0:
			first = out
			c.w.t.Logf("%d lines were said and kept, in %d bytes", bytes.Count(out, []byte("\n")), len(out))
		case !bytes.Equal(out, first):
			c.w.t.Errorf("seed %d: the exported histories of %s and %s differ: %s", c.seed, c.people[0].Name, p.Name, difference(first, out))
		}
	}
}

// wantModest checks what the processes have come to take.
func (c *chaos) wantModest() {
	c.w.t.Helper()
	lives, most := 0, 0
	for _, p := range c.people {
		lives += len(p.lives)
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.Pid()))
		if err != nil {
			c.w.t.Fatal(err)
		}
		for line := range strings.Lines(string(status)) {
			var kib int
			if n, _ := fmt.Sscanf(line, "VmRSS: %d kB", &kib); n == 1 {
				most = max(most, kib)
			}
		}
	}
	c.w.t.Logf("%d processes for %d peers, %d troubles; the largest takes %d MiB", lives, len(c.people), len(c.all), most>>10)
	if most > 256<<10 {
		c.w.t.Errorf("seed %d: a process takes %d MiB", c.seed, most>>10)
	}
}

// keep tells what happened in a test that failed, and copies the profiles to where PEERCHAT_E2E_KEEP says.
func (c *chaos) keep() {
	if !c.w.t.Failed() {
		return
	}
	c.w.t.Logf("run it again with PEERCHAT_E2E_SEED=%d PEERCHAT_E2E_PEERS=%d PEERCHAT_E2E_SECONDS=%.0f; set PEERCHAT_E2E_KEEP to a directory for all that was said",
		c.seed, len(c.nets)-1, c.during.Seconds())
	dir := os.Getenv("PEERCHAT_E2E_KEEP")
	if dir == "" {
		return
	}
	dir, err := os.MkdirTemp(dir, fmt.Sprintf("chaos-seed-%d-", c.seed))
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "troubles"), []byte(listOf(c.all)), 0o600)
		c.w.t.Logf("seed %d: what happened, and the profiles, are in %s", c.seed, dir)
	}
	for _, p := range c.people {
		err = errors.Join(err, os.CopyFS(filepath.Join(dir, p.Name), os.DirFS(p.profile)))
	}
	if err != nil {
		c.w.t.Log(err)
	}
}
