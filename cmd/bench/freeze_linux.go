package main

import (
	"flag"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"peerchat/cmd/peerchat/e2e/lab"
)

// freeze stops the leader's process without ending it, and lets it go on after an election; then it waits for elections
// that nobody needs, while all cores are busy.
func freeze(b *bench) ([]table, error) {
	sizes, err := numbers(b.peers)
	if err != nil {
		return nil, err
	}
	t := table{head: []string{"SIGSTOP of the leader, ms", "stops", "until the first suspects it: p50", "worst", "until all know the new one: p50", "p99",
		"worst", "of that since the first suspicion: p50", "p99", "worst", "after SIGCONT, until all have one leader: p50", "worst"}}
	calm := table{head: []string{"all cores busy, nothing wrong", "minutes", "false suspicions", "changes of leader", "leader's processor time, % of a core"}}
	for _, n := range sizes {
		if err := b.freezeWorld(n, &t); err != nil {
			return nil, err
		}
		b.end()
		if err := b.calmWorld(n, &calm); err != nil {
			return nil, err
		}
		b.end()
	}
	t.note("A stopped process keeps its connections and answers nothing: only silence tells. The first line of JSON of a survivor that says that its tracker is " +
		"lost is the suspicion. An elected peer is stopped; the tracker that was there at the start has been killed.")
	calm.note("%d processes that only count run beside the peers, at the same priority. A false suspicion is a line of JSON that says that a tracker is lost.",
		2*runtime.NumCPU())
	return []table{t, calm}, nil
}

// byPeers awaits a world in which an elected peer is the tracker: it kills the one that is no peer.
func (b *bench) byPeers(net *lab.Net, n int) (*electorate, error) {
	e, err := b.electorate(net, n)
	if err != nil {
		return nil, err
	}
	if _, _, err := e.killQuietly(); err != nil {
		return nil, err
	}
	return e, e.settled()
}

func (b *bench) freezeWorld(n int, t *table) error {
	net, err := b.net()
	if err != nil {
		return err
	}
	e, err := b.byPeers(net, n)
	if err != nil {
		return err
	}
	var suspected, all, since, back []time.Duration
	for range b.rounds {
		if err := e.settled(); err != nil {
			return err
		}
		was, _, err := e.leader()
		if err != nil {
			return err
		}
		frozen, survivors := e.voter(was), e.living(was)
		at := time.Now()
		if err := frozen.Signal(syscall.SIGSTOP); err != nil {
			return err
		}
		if _, err := e.agreed(survivors, was, elected); err != nil {
			return err
		}
		time.Sleep(quiet)
		if _, err := e.agreed(survivors, was, elected); err != nil {
			return err
		}
		_, last := spanSince(survivors, at)
		if doubt := firstDoubt(survivors, at); !doubt.IsZero() {
			suspected, since = append(suspected, doubt.Sub(at)), append(since, last-doubt.Sub(at))
		}
		all = append(all, last)
		at = time.Now()
		if err := frozen.Signal(syscall.SIGCONT); err != nil {
			return err
		}
		// It believes that it leads until somebody tells it otherwise: then all agree, or they do not yet.
		if err := e.settled(); err != nil {
			return err
		}
		_, last = spanSince(e.living(""), at)
		back = append(back, max(0, last))
	}
	s, a, d, r := summary(suspected), summary(all), summary(since), summary(back)
	t.row(fmt.Sprintf("%d peers", n), count(len(all)), s[0], s[2], a[0], a[1], a[2], d[0], d[1], d[2], r[0], r[2])
	return nil
}

// firstDoubt is when the first of some peers had no tracker, after a moment; zero for never.
func firstDoubt(voters []*voter, after time.Time) (first time.Time) {
	for _, v := range voters {
		if at := v.doubted(after); !at.IsZero() && (first.IsZero() || at.Before(first)) {
			first = at
		}
	}
	return first
}

// calmWorld counts what peers say of their tracker while nothing happens but that the machine is busy.
func (b *bench) calmWorld(n int, t *table) error {
	net, err := b.net()
	if err != nil {
		return err
	}
	e, err := b.byPeers(net, n)
	if err != nil {
		return err
	}
	for i := range 2 * runtime.NumCPU() {
		if _, err := b.start(net, lab.Command{Name: fmt.Sprintf("busy%d", i), Path: b.self, Args: []string{"busy"}, Plain: true}); err != nil {
			return err
		}
	}
	id, _, err := e.leader()
	if err != nil {
		return err
	}
	all := e.living("")
	marks := make([]int, len(all))
	for i, v := range all {
		marks[i] = len(v.leads)
	}
	length := time.Duration(b.minutes * float64(time.Minute))
	used, err := burn([]*lab.Proc{e.voter(id).Proc}, length)
	if err != nil {
		return err
	}
	if err := read(all); err != nil {
		return err
	}
	doubts := 0
	leaders := map[string]bool{}
	for i, v := range all {
		before := true
		for _, l := range v.leads[marks[i]:] {
			if !l.known() && before {
				doubts++
			}
			if before = l.known(); before && l.Leader != id {
				leaders[fmt.Sprint(l.Term, l.Leader)] = true
			}
		}
	}
	t.row(fmt.Sprintf("%d peers", n), figure(b.minutes), count(doubts), count(len(leaders)), figure(used[0]))
	if doubts > 0 {
		var what []string
		for i, v := range all {
			for _, l := range v.leads[marks[i]:] {
				what = append(what, fmt.Sprintf("%s %s", v.name, l.State))
			}
		}
		t.note("With %d peers: %s.", n, strings.Join(slices.Compact(what), ", "))
	}
	return nil
}

// busyCommand uses one core until it is killed.
func busyCommand(args []string) error {
	if err := flag.NewFlagSet("busy", flag.ContinueOnError).Parse(args); err != nil {
		return err
	}
	for n := uint64(1); ; n++ {
		if n == 0 { // in some hundred years; this process is killed before
			return nil
		}
	}
}
