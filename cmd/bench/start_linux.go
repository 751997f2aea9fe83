package main

import (
	"encoding/json"
	"fmt"

	"peerchat/cmd/peerchat/e2e/lab"
)

const startSamples = 5

func start(b *bench) ([]table, error) {
	net, err := b.net()
	if err != nil {
		return nil, err
	}
	host, err := b.mesh(net, 1)
	if err != nil {
		return nil, err
	}
	a := host[0]
	var ready, link, first, bare []float64
	for r := range b.rounds {
		var readies, links, firsts, bares []float64
		for i := range startSamples {
			tag := fmt.Sprintf("s%dx%d", r, i)
			err := swap(r, func() error {
				p, err := b.join(net, tag)
				if err != nil {
					return err
				}
				if err := p.Say(tag); err != nil {
					return err
				}
				got, err := a.Await(0, patience, "the first line of a new peer", func(e lab.Event) bool {
					e = parsed(e)
					return e.Type == "message" && e.Text == tag
				})
				if err != nil {
					return err
				}
				is, err := p.Await(0, patience, "ready", func(e lab.Event) bool { return e.Type == "ready" })
				if err != nil {
					return err
				}
				up, err := p.Await(0, patience, "a link", func(e lab.Event) bool {
					return e.Type == "link" && e.State == "up"
				})
				if err != nil {
					return err
				}
				readies = append(readies, ms(is.At.Sub(p.Started)))
				links = append(links, ms(up.Time.Sub(is.Time)))
				firsts = append(firsts, ms(got.At.Sub(p.Started)))
				if err := p.CloseInput(); err != nil {
					return err
				}
				_, err = p.AwaitExit(patience)
				return err
			}, func() error {
				from, err := b.start(net, lab.Command{Name: "pion", Path: b.self, Args: []string{"pion-offer"}, Plain: true})
				if err != nil {
					return err
				}
				isSDP := func(e lab.Event) bool { return len(e.Raw) > 0 && e.Raw[0] == '{' }
				if _, err := from.Await(0, patience, "an offer", isSDP); err != nil {
					return err
				}
				to, err := b.start(net, lab.Command{Name: "pion", Path: b.self, Args: []string{"pion-answer"}, Plain: true})
				if err != nil {
					return err
				}
				if err := introduce(from, to); err != nil {
					return err
				}
				if err := to.Say(tag); err != nil {
					return err
				}
				got, err := from.Await(0, patience, "the first line over bare pion", rawIs(tag))
				if err != nil {
					return err
				}
				bares = append(bares, ms(got.At.Sub(to.Started)))
				from.Kill()
				to.Kill()
				return nil
			})
			if err != nil {
				return nil, err
			}
		}
		ready = append(ready, median(readies))
		link = append(link, median(links))
		first = append(first, median(firsts))
		bare = append(bare, median(bares))
	}
	t := table{head: []string{"from process start, tracker up", "ms", "aim"}}
	t.row("to `ready`", spread(ready), "< 150")
	t.row("to the first message delivered", spread(first), "< 150")
	t.row("of that, from `ready` to the first link up", spread(link), "")
	t.row("bare pion: to the first message delivered", spread(bare), "")
	t.note("The new process has a fresh profile; its first line waits on its standard input, and counts as delivered when the "+
		"other process has printed it. %d starts a round, %d rounds; medians of a round.", startSamples, b.rounds)
	return []table{t}, nil
}

// linkReport is the line that holdLinks prints.
type linkReport struct {
	Took       []float64 `json:"took_ms"`
	Heap       float64   `json:"heap_kib"` // heap and stacks in use, per end of a link
	RSS        float64   `json:"rss_kib"`
	Goroutines float64   `json:"goroutines"`
}

// holdAll runs "links" of each kind in a process of its own.
func (b *bench) holdAll(net *lab.Net, n int, kinds []string) (map[string]linkReport, error) {
	out := map[string]linkReport{}
	for _, kind := range kinds {
		p, err := b.start(net, lab.Command{Name: "links of " + kind, Path: b.self, Plain: true,
			Args: []string{"links", "-kind", kind, "-n", fmt.Sprint(n)}})
		if err != nil {
			return nil, err
		}
		e, err := p.Await(0, patience, "the report on links of "+kind, func(e lab.Event) bool { return true })
		if err != nil {
			return nil, err
		}
		var report linkReport
		if err := json.Unmarshal([]byte(e.Raw), &report); err != nil {
			return nil, fmt.Errorf("read the report on links of %s: %w", kind, err)
		}
		out[kind] = report
		p.Kill()
	}
	return out, nil
}

var linkKinds = []string{"peerchat", "tuned", "default"}

// rotate changes the order of kinds from round to round.
func rotate(kinds []string, round int) []string {
	n := round % len(kinds)
	return append(kinds[n:len(kinds):len(kinds)], kinds[:n]...)
}

func setup(b *bench) ([]table, error) {
	net, err := b.net()
	if err != nil {
		return nil, err
	}
	p50, p99 := map[string][]float64{}, map[string][]float64{}
	for r := range b.rounds {
		reports, err := b.holdAll(net, 50, rotate(linkKinds, r))
		if err != nil {
			return nil, err
		}
		for kind, report := range reports {
			p50[kind] = append(p50[kind], quantile(report.Took, 0.5))
			p99[kind] = append(p99[kind], quantile(report.Took, 0.99))
		}
	}
	t := table{head: []string{"link setup on loopback, ms", "p50", "p99", "aim for p50"}}
	t.row("peerchat (`peer.RTC`)", spread(p50["peerchat"]), spread(p99["peerchat"]), "< 5")
	t.row("pion, tuned", spread(p50["tuned"]), spread(p99["tuned"]), "")
	t.row("pion, default", spread(p50["default"]), spread(p99["default"]), "")
	t.note("From the call that makes the offer to channels open at both ends, both in one process, descriptions and candidates "+
		"handed over by function calls; 50 links one after the other in each of %d rounds. Tuned is: UDP only, no mDNS, no "+
		"interceptors, one certificate.", b.rounds)
	return []table{t}, nil
}

func links(b *bench) ([]table, error) {
	net, err := b.net()
	if err != nil {
		return nil, err
	}
	heap, rss, routines := map[string][]float64{}, map[string][]float64{}, map[string][]float64{}
	const held = 200
	for r := range b.rounds {
		reports, err := b.holdAll(net, held, rotate(linkKinds, r))
		if err != nil {
			return nil, err
		}
		for kind, report := range reports {
			heap[kind] = append(heap[kind], report.Heap)
			rss[kind] = append(rss[kind], report.RSS)
			routines[kind] = append(routines[kind], report.Goroutines)
		}
	}
	t := table{head: []string{"one end of an open link", "heap and stacks, KiB", "resident, KiB", "goroutines"}}
	for _, kind := range linkKinds {
		name := map[string]string{"peerchat": "peerchat (`peer.RTC`)", "tuned": "pion, tuned", "default": "pion, default"}[kind]
		t.row(name, spread(heap[kind]), spread(rss[kind]), spread(routines[kind]))
	}
	t.row("aim", "< 195", "< 195", "< 17")
	t.note("%d links between two sets of ends in one process, after a garbage collection; what the process grew by, divided by "+
		"the %d ends. Peerchat's ends have a data channel and an audio transceiver each, pion's a data channel. %d rounds.",
		held, 2*held, b.rounds)
	return []table{t}, nil
}
