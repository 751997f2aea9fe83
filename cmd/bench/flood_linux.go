package main

import (
	"fmt"
	"strings"
	"time"

	"peerchat/cmd/peerchat/e2e/lab"
)

const floodLines = 20_000

// pour writes the lines of a flood to a process, and returns the rate at which the last of the receivers had them all,
// in lines a second.
func pour(from *lab.Proc, to []*lab.Proc, tag string, n int) (float64, error) {
	marks := make([]int, len(to))
	for i, p := range to {
		marks[i] = p.Mark()
	}
	text := make([]byte, 0, n*32)
	for i := range n {
		text = fmt.Appendf(text, "%s %d\n", tag, i)
	}
	start := time.Now()
	wrote := make(chan error, 1)
	go func() {
		for len(text) > 0 {
			chunk := text[:min(len(text), 32<<10)]
			text = text[len(chunk):]
			if err := from.Write(chunk); err != nil {
				wrote <- err
				return
			}
		}
		wrote <- nil
	}()
	last := start
	for i, p := range to {
		got := 0
		e, err := p.Await(marks[i], patience, fmt.Sprintf("%s shows all of %s", p.Name, tag), func(e lab.Event) bool {
			if strings.Contains(e.Raw, tag) {
				got++
			}
			return got == n
		})
		if err != nil {
			return 0, fmt.Errorf("%d of %d arrived: %w", got, n, err)
		}
		if e.At.After(last) {
			last = e.At
		}
	}
	if err := <-wrote; err != nil {
		return 0, err
	}
	return float64(n) / last.Sub(start).Seconds(), nil
}

func flood(b *bench) ([]table, error) {
	var ours, pion []float64
	for r := range b.rounds {
		net, err := b.net() // fresh processes in each round: a flood leaves a long history behind
		if err != nil {
			return nil, err
		}
		err = swap(r, func() error {
			peers, err := b.mesh(net, 3)
			if err != nil {
				return err
			}
			if _, err := pour(peers[0], peers[1:], "warmup", 500); err != nil {
				return err
			}
			rate, err := pour(peers[0], peers[1:], "flood", floodLines)
			ours = append(ours, rate)
			return err
		}, func() error {
			from, to, err := b.pionPair(net)
			if err != nil {
				return err
			}
			if _, err := pour(from, []*lab.Proc{to}, "warmup", 500); err != nil {
				return err
			}
			rate, err := pour(from, []*lab.Proc{to}, "flood", floodLines)
			pion = append(pion, rate)
			return err
		})
		b.end()
		if err != nil {
			return nil, err
		}
	}
	t := table{head: []string{"flood", "messages/s", "aim"}}
	t.row("peerchat, one to two, signed, stored", spread(ours), "20,000")
	t.row("bare pion data channel, one to one, for scale", spread(pion), "")
	t.note("%d short lines written to the standard input of one peer, until both others have printed all of them; fresh "+
		"processes in each of %d rounds.", floodLines, b.rounds)
	return []table{t}, nil
}
