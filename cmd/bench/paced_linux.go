package main

import (
	"fmt"
	"strings"
	"time"

	"peerchat/cmd/peerchat/e2e/lab"
)

// Pace of the paced lines.
const (
	pacedLines  = 300
	pacedWarmup = 20
	pacedEvery  = 5 * time.Millisecond
)

// pace says n lines at a steady pace to one process and returns how long each took to come out of the other.
func pace(from, to *lab.Proc, tag string, n int, every time.Duration) ([]time.Duration, error) {
	took, err := paceAll(from, []*lab.Proc{to}, tag, n, every)
	return took[0], err
}

// paceAll is pace to several, with a list for each of them.
func paceAll(from *lab.Proc, to []*lab.Proc, tag string, n int, every time.Duration) ([][]time.Duration, error) {
	marks := make([]int, len(to))
	for k, p := range to {
		marks[k] = p.Mark()
	}
	took := make([][]time.Duration, len(to))
	said := make([]time.Time, n)
	tick := time.NewTicker(every)
	defer tick.Stop()
	for i := range n {
		said[i] = time.Now()
		if err := from.Say(fmt.Sprintf("%s %d", tag, i)); err != nil {
			return took, err
		}
		<-tick.C
	}
	for k, p := range to {
		took[k] = make([]time.Duration, n)
		missing := n
		_, err := p.Await(marks[k], patience, fmt.Sprintf("%s shows all of %s", p.Name, tag), func(e lab.Event) bool {
			_, rest, ok := strings.Cut(e.Raw, tag+" ") // in the JSON of a message, or alone on the line
			if ok {
				var i int
				if _, err := fmt.Sscanf(rest, "%d", &i); err == nil && i >= 0 && i < n && took[k][i] == 0 {
					took[k][i] = e.At.Sub(said[i])
					missing--
				}
			}
			return missing == 0
		})
		if err != nil {
			return took, err
		}
	}
	return took, nil
}

func paced(b *bench) ([]table, error) {
	net, err := b.net()
	if err != nil {
		return nil, err
	}
	peers, err := b.mesh(net, 2)
	if err != nil {
		return nil, err
	}
	from, to, err := b.pionPair(net)
	if err != nil {
		return nil, err
	}
	var ours, pion struct{ p50, p99 []float64 }
	for r := range b.rounds {
		measure := func(from, to *lab.Proc, into *struct{ p50, p99 []float64 }, tag string) func() error {
			return func() error {
				took, err := pace(from, to, fmt.Sprintf("%s-%d", tag, r), pacedLines+pacedWarmup, pacedEvery)
				if err != nil {
					return err
				}
				all := msAll(took[pacedWarmup:])
				into.p50 = append(into.p50, quantile(all, 0.5))
				into.p99 = append(into.p99, quantile(all, 0.99))
				return nil
			}
		}
		err := swap(r, measure(peers[0], peers[1], &ours, "ours"), measure(from, to, &pion, "pion"))
		if err != nil {
			return nil, err
		}
	}
	t := table{head: []string{"paced delivery", "peerchat", "bare pion data channel", "ratio", "aim"}}
	t.compare("p50, ms", ours.p50, pion.p50, "≤ 1.5")
	t.compare("p99, ms", ours.p99, pion.p99, "≤ 1.5")
	t.note("From the write of a line to the standard input of one process to its arrival on the standard output of the "+
		"other: %d lines a round, one every %v, %d rounds.", pacedLines, pacedEvery, b.rounds)
	return []table{t}, nil
}
