package main

import (
	"fmt"
	"slices"
	"time"

	"peerchat/cmd/peerchat/e2e/lab"
)

// burn is the processor time that each process uses in a stretch of time, in percent of one core.
func burn(procs []*lab.Proc, d time.Duration) ([]float64, error) {
	before := make([]usage, len(procs))
	start := time.Now()
	for i, p := range procs {
		u, err := usageOf(p.Pid())
		if err != nil {
			return nil, err
		}
		before[i] = u
	}
	time.Sleep(d)
	took := time.Since(start)
	out := make([]float64, len(procs))
	for i, p := range procs {
		u, err := usageOf(p.Pid())
		if err != nil {
			return nil, err
		}
		out[i] = 100 * float64(u.cpu-before[i].cpu) / float64(took)
	}
	return out, nil
}

// idleQuiet is how long nobody has to tell anything, until a room counts as idle.
const idleQuiet = 5 * time.Second

// silent awaits that none of some processes has printed anything for so long.
func silent(procs []*lab.Proc, quiet time.Duration) error {
	began := time.Now()
	for {
		last := began
		for _, p := range procs {
			if lines := p.Lines(); len(lines) > 0 && lines[len(lines)-1].At.After(last) {
				last = lines[len(lines)-1].At
			}
		}
		switch now := time.Now(); {
		case now.Sub(last) >= quiet:
			return nil
		case now.Sub(began) > patience:
			return fmt.Errorf("await that nobody tells anything for %v: not within %v", quiet, patience)
		default:
			time.Sleep(last.Add(quiet).Sub(now))
		}
	}
}

func idle(b *bench) ([]table, error) {
	net, err := b.net()
	if err != nil {
		return nil, err
	}
	peers, err := b.mesh(net, 10)
	if err != nil {
		return nil, err
	}
	from, to, err := b.pionPair(net)
	if err != nil {
		return nil, err
	}
	if err := silent(peers, idleQuiet); err != nil {
		return nil, err
	}
	var mean, most, pion, rss []float64
	for range b.rounds {
		all, err := burn(append(slices.Clone(peers), from, to), b.idle)
		if err != nil {
			return nil, err
		}
		sum := 0.0
		for _, v := range all[:10] {
			sum += v
		}
		mean = append(mean, sum/10)
		most = append(most, slices.Max(all[:10]))
		pion = append(pion, (all[10]+all[11])/2)
	}
	for _, p := range peers {
		u, err := usageOf(p.Pid())
		if err != nil {
			return nil, err
		}
		rss = append(rss, float64(u.rss)/(1<<20))
	}
	t := table{head: []string{"idle in a room of 10", "figure"}}
	t.row("processor time of a peer (9 links, tracker), % of a core", spread(mean))
	t.row("the busiest of the ten", spread(most))
	t.row("bare pion, 1 link, for scale", spread(pion))
	t.row("resident memory of a peer, MiB", spread(rss))
	t.note("%d rounds of %v at the same time for all, after %v in which none of them told anything; the memory is over the ten peers.",
		b.rounds, b.idle, idleQuiet)
	return []table{t}, nil
}
