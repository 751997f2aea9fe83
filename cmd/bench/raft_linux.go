package main

import (
	"bytes"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"peerchat/cmd/peerchat/e2e/lab"
)

// raftModule is the program of the baseline, from the module's root.
const raftModule = "cmd/bench/raft"

// moduleRoot is the directory of peerchat's go.mod.
func moduleRoot() (string, error) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "peerchat").Output()
	if err != nil {
		return "", fmt.Errorf("find the directory of peerchat's module: %w; run this inside it", err)
	}
	return string(bytes.TrimSpace(out)), nil
}

// raftCluster is nodes of hashicorp/raft.
type raftCluster struct {
	b        *bench
	net      *lab.Net
	program  string
	timeout  time.Duration
	nodes    []*lab.Proc
	address  []string
	all      []time.Duration // from each kill until all know the new leader
	anywhere []time.Duration // until the first knows it
}

// raft starts a cluster and awaits that all nodes know one leader. A time-out of zero is the library's default.
func (b *bench) raft(net *lab.Net, program string, n, firstPort int, timeout time.Duration) (*raftCluster, error) {
	c := &raftCluster{b: b, net: net, program: program, timeout: timeout, nodes: make([]*lab.Proc, n)}
	for i := range n {
		c.address = append(c.address, fmt.Sprintf("127.0.0.1:%d", firstPort+i))
	}
	for i := range n {
		if err := c.start(i); err != nil {
			return nil, err
		}
	}
	_, _, err := c.agreed("", time.Now())
	return c, err
}

func (c *raftCluster) start(i int) (err error) {
	c.nodes[i], err = c.b.start(c.net, lab.Command{Name: "raft " + c.address[i], Path: c.program, Plain: true,
		Args: []string{"-self", c.address[i], "-nodes", strings.Join(c.address, ","), "-timeout", c.timeout.String()}})
	return err
}

// agreed awaits that all living nodes know one leader that is not the one that was. It returns when the first and when
// the last knew it, counted from a moment.
func (c *raftCluster) agreed(was string, from time.Time) (first, last time.Duration, err error) {
	deadline := time.Now().Add(patience)
	for {
		var at []time.Time
		var leaders []string
		for i, p := range c.nodes {
			if c.address[i] == was {
				continue
			}
			leader, since := "", time.Time{}
			if lines := p.Lines(); len(lines) > 0 {
				leader, _ = strings.CutPrefix(lines[len(lines)-1].Raw, "leader")
				since = lines[len(lines)-1].At
			}
			leaders, at = append(leaders, strings.TrimSpace(leader)), append(at, since)
		}
		if leaders[0] != "" && leaders[0] != was && !slices.ContainsFunc(leaders, func(l string) bool { return l != leaders[0] }) {
			return slices.MinFunc(at, time.Time.Compare).Sub(from), slices.MaxFunc(at, time.Time.Compare).Sub(from), nil
		}
		if time.Now().After(deadline) {
			return 0, 0, fmt.Errorf("raft: %d nodes have one leader: not within %v; they name %q", len(leaders), patience, leaders)
		}
		time.Sleep(look)
	}
}

// leader is the address of the leader.
func (c *raftCluster) leader() (string, error) {
	if _, _, err := c.agreed("", time.Now()); err != nil {
		return "", err
	}
	lines := c.nodes[0].Lines()
	address, _ := strings.CutPrefix(lines[len(lines)-1].Raw, "leader ")
	return address, nil
}

// kill kills the leader, measures, and starts it again.
func (c *raftCluster) kill() error {
	was, err := c.leader()
	if err != nil {
		return err
	}
	i := slices.Index(c.address, was)
	if i < 0 {
		return fmt.Errorf("raft: kill the leader: no node has the address %q", was)
	}
	at := time.Now()
	if err := c.nodes[i].Signal(syscall.SIGKILL); err != nil {
		return err
	}
	first, last, err := c.agreed(was, at)
	if err != nil {
		return err
	}
	c.all, c.anywhere = append(c.all, last), append(c.anywhere, first)
	if _, err := c.nodes[i].AwaitExit(patience); err != nil {
		return err
	}
	if err := c.start(i); err != nil {
		return err
	}
	_, _, err = c.agreed("", at) // the killed one, too
	return err
}

// raftRun kills leaders of peerchat and of hashicorp/raft by turns.
func raftRun(b *bench) ([]table, error) {
	sizes, err := numbers(b.peers)
	if err != nil {
		return nil, err
	}
	program, err := b.buildModule(raftModule)
	if err != nil {
		return nil, err
	}
	t := table{head: []string{"kill -9 of the leader, ms", "kills", "the first knows the new one: p50", "p99", "worst", "all survivors know it: p50", "p99", "worst"}}
	for _, n := range sizes {
		net, err := b.net()
		if err != nil {
			return nil, err
		}
		ours, err := b.electorate(net, n)
		if err != nil {
			return nil, err
		}
		fast, err := b.raft(net, program, n, 7000, 100*time.Millisecond)
		if err != nil {
			return nil, err
		}
		slow, err := b.raft(net, program, n, 8000, 0)
		if err != nil {
			return nil, err
		}
		var first, all []time.Duration
		kill := func() error {
			f, l, err := ours.killQuietly()
			first, all = append(first, f), append(all, l)
			return err
		}
		if was, _, err := ours.leader(); err == nil && was == homeTracker { // from now on peers lead, as nodes do
			_, _, err = ours.killQuietly()
			if err != nil {
				return nil, err
			}
		}
		for r := range b.rounds {
			err := swap(r, kill, func() error { return errors.Join(fast.kill(), slow.kill()) })
			if err != nil {
				return nil, err
			}
		}
		b.end()
		for _, row := range []struct {
			what       string
			first, all []time.Duration
		}{
			{"peerchat", first, all},
			{"hashicorp/raft, time-outs of 100 ms", fast.anywhere, fast.all},
			{"hashicorp/raft, default time-outs", slow.anywhere, slow.all},
		} {
			cells := append([]string{fmt.Sprintf("%d peers: %s", n, row.what), count(len(row.all))}, summary(row.first)...)
			t.row(append(cells, summary(row.all)...)...)
		}
	}
	t.note("From the moment before the signal is sent to the line that names the new leader, on the standard output of the first and of the last " +
		"survivor. All three groups live in one network at the same time and are killed in by turns; nobody talks; the killed process is started again before " +
		"the next kill. The nodes of hashicorp/raft v1.8.0 talk over TCP and keep everything in memory: they write neither terms nor votes to disk, as a " +
		"real one must and peerchat does.")
	return []table{t}, nil
}

// killQuietly kills the leader while nobody talks, starts it again, and returns when the first and the last survivor
// knew the new one.
func (e *electorate) killQuietly() (first, last time.Duration, err error) {
	if err := e.settled(); err != nil {
		return 0, 0, err
	}
	was, _, err := e.leader()
	if err != nil {
		return 0, 0, err
	}
	survivors := e.living(was)
	at, err := e.kill(was)
	if err != nil {
		return 0, 0, err
	}
	if _, err := e.agreed(survivors, was, elected); err != nil {
		return 0, 0, err
	}
	time.Sleep(quiet)
	_, now, err := e.leader() // of those who are left, and what they stay with
	if err != nil {
		return 0, 0, err
	}
	first, last = spanSince(survivors, at)
	if was == homeTracker {
		return first, last, nil
	}
	return first, last, e.start(e.voter(was), "--tracker", now)
}

// spanSince is when the first and the last of some peers began to follow whom they follow, counted from a moment.
func spanSince(voters []*voter, from time.Time) (first, last time.Duration) {
	at := make([]time.Time, len(voters))
	for i, v := range voters {
		at[i] = v.since()
	}
	return slices.MinFunc(at, time.Time.Compare).Sub(from), slices.MaxFunc(at, time.Time.Compare).Sub(from)
}
