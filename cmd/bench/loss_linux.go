package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"peerchat/cmd/peerchat/e2e/lab"
)

const (
	lossJoins   = 10 // in a round
	lossLines   = 100
	lossEvery   = 20 * time.Millisecond
	lossStagger = 250 * time.Millisecond
)

func loss(b *bench) ([]table, error) {
	var tables []table
	for _, c := range []struct {
		percent          int
		connect, chat    string
		plain, plainChat string
	}{
		{percent: 5, connect: "< 1,000", chat: "< 150"},
		{percent: 20, connect: "< 3,000", chat: "< 400"},
	} {
		joins, err := b.lossJoins(c.percent, c.connect)
		if err != nil {
			return nil, err
		}
		b.end()
		talk, err := b.lossTalk(c.percent, c.chat)
		if err != nil {
			return nil, err
		}
		b.end()
		tables = append(tables, joins, talk)
	}
	return tables, nil
}

// lossJoins has peers join, each a room of its own in which one other is, and compares with bare pion pairs.
func (b *bench) lossJoins(percent int, aim string) (table, error) {
	var ours, all, pion []float64 // links alone; from process start with everything lossy; bare pion
	stuck, stuckAll, stuckPion := 0, 0, 0
	joins := func(udpOnly bool) error {
		net, err := b.net()
		if err != nil {
			return err
		}
		if _, err := b.tracker(net); err != nil {
			return err
		}
		var anchors, comers []*lab.Proc
		for i := range lossJoins {
			p, err := b.join(net, fmt.Sprintf("anchor%d", i), "--room", fmt.Sprintf("r%d", i))
			if err != nil {
				return err
			}
			anchors = append(anchors, p)
		}
		for _, p := range anchors {
			if _, err := p.Await(0, patience, p.Name+" is ready", isReady); err != nil {
				return err
			}
		}
		match := "meta l4proto udp"
		if !udpOnly {
			match = ""
		}
		if err := net.Drop(percent, match); err != nil {
			return err
		}
		for i := range lossJoins {
			p, err := b.join(net, fmt.Sprintf("comer%d", i), "--room", fmt.Sprintf("r%d", i))
			if err != nil {
				return err
			}
			comers = append(comers, p)
			time.Sleep(lossStagger)
		}
		for i, p := range comers {
			up, err := p.Await(0, 30*time.Second, "a link under loss", isUp)
			far, farErr := anchors[i].Await(0, 30*time.Second, "a link under loss", isUp)
			if err != nil || farErr != nil {
				if udpOnly {
					stuck++
				} else {
					stuckAll++
				}
				continue
			}
			open := up.Time
			if far.Time.After(open) {
				open = far.Time
			}
			if udpOnly {
				ready, err := p.Await(0, time.Second, "ready", isReady)
				if err != nil {
					return err
				}
				ours = append(ours, ms(open.Sub(ready.Time)))
			} else {
				all = append(all, ms(up.At.Sub(p.Started)))
			}
		}
		b.end()
		return nil
	}
	bare := func() error {
		net, err := b.net()
		if err != nil {
			return err
		}
		if err := net.Drop(percent, "meta l4proto udp"); err != nil {
			return err
		}
		p, err := b.start(net, lab.Command{Name: "pion pairs", Path: b.self, Plain: true, Args: []string{
			"pion-connect", "-n", fmt.Sprint(lossJoins), "-stagger", lossStagger.String()}})
		if err != nil {
			return err
		}
		e, err := p.Await(0, 2*patience, "the report on bare pion", func(lab.Event) bool { return true })
		if err != nil {
			return err
		}
		var report connectReport
		if err := json.Unmarshal([]byte(e.Raw), &report); err != nil {
			return err
		}
		pion = append(pion, report.Took...)
		stuckPion += report.Stuck
		b.end()
		return nil
	}
	for r := range b.rounds {
		if err := swap(r, func() error { return joins(true) }, bare); err != nil {
			return table{}, err
		}
		if err := joins(false); err != nil {
			return table{}, err
		}
	}
	t := table{head: []string{fmt.Sprintf("connecting under %d %% loss, ms", percent), "p50", "p99", "worst", "stuck", "aim for p99"}}
	row := func(name string, v []float64, stuck int, aim string) {
		worst := "–"
		if len(v) > 0 {
			worst = figure(slices.Max(v))
		}
		t.row(name, figure(quantile(v, 0.5)), figure(quantile(v, 0.99)), worst,
			fmt.Sprintf("%d of %d", stuck, stuck+len(v)), aim)
	}
	row("peerchat: in the room → link up at both ends", ours, stuck, aim)
	row("bare pion: offer → channel open at both ends", pion, stuckPion, "")
	row("peerchat: process start → link up, TCP lossy too", all, stuckAll, "")
	t.note("%d connects in each of %d rounds, all taken together, %v apart. The packets lost are those of UDP, in both directions; in "+
		"the last row those of TCP too. Bare pion is signaled to by function calls, which lose nothing. Stuck is what had no "+
		"link after 30 s.", lossJoins, b.rounds, lossStagger)
	return t, nil
}

func isReady(e lab.Event) bool { return e.Type == "ready" }
func isUp(e lab.Event) bool    { return e.Type == "link" && e.State == "up" }

// lossTalk paces lines over a lossy link.
func (b *bench) lossTalk(percent int, aim string) (table, error) {
	net, err := b.net()
	if err != nil {
		return table{}, err
	}
	peers, err := b.mesh(net, 2)
	if err != nil {
		return table{}, err
	}
	from, to, err := b.pionPair(net)
	if err != nil {
		return table{}, err
	}
	if err := net.Drop(percent, "meta l4proto udp"); err != nil {
		return table{}, err
	}
	type series struct{ all, p50, p99 []float64 }
	var ours, pion series
	for r := range b.rounds {
		measure := func(from, to *lab.Proc, into *series, tag string) func() error {
			return func() error {
				took, err := pace(from, to, fmt.Sprintf("%s-%d", tag, r), lossLines, lossEvery)
				if err != nil {
					return err
				}
				v := msAll(took)
				into.all = append(into.all, v...)
				into.p50 = append(into.p50, quantile(v, 0.5))
				into.p99 = append(into.p99, quantile(v, 0.99))
				return nil
			}
		}
		if err := swap(r, measure(peers[0], peers[1], &ours, "ours"), measure(from, to, &pion, "pion")); err != nil {
			return table{}, err
		}
	}
	t := table{head: []string{fmt.Sprintf("talking under %d %% loss, ms", percent), "p50", "p99 of a round", "p99 of all", "worst",
		"aim for p99"}}
	row := func(name string, s series, aim string) {
		t.row(name, spread(s.p50), spread(s.p99), figure(quantile(s.all, 0.99)), figure(slices.Max(s.all)), aim)
	}
	row("peerchat", ours, aim)
	row("bare pion data channel", pion, "")
	t.note("%d lines a round, one every %v, %d rounds; the links were open before the loss began.", lossLines, lossEvery, b.rounds)
	return t, nil
}
