package main

import (
	"fmt"
	"slices"
	"time"

	"peerchat/cmd/peerchat/e2e/lab"
)

const (
	apartFor = 60 * time.Second // at most, until the halves of a network have no links with each other
	cutHold  = 2 * time.Second  // before the cable is put back
)

// office is hosts, a network each, at a switch of two segments. Host i has the address of host(i) and is in segment
// i%2.
type office struct {
	*lab.Switch
	hosts []*lab.Net
}

func host(i int) string { return fmt.Sprintf("10.0.0.%d", i+1) }

func (b *bench) office(n int) (*office, error) {
	s, err := lab.NewSwitch()
	if err != nil {
		return nil, err
	}
	b.nets = append(b.nets, s)
	o := &office{Switch: s}
	for i := range n {
		net, err := b.net()
		if err != nil {
			return nil, err
		}
		if err := s.Plug(net, i%2, host(i)+"/24"); err != nil {
			return nil, err
		}
		o.hosts = append(o.hosts, net)
	}
	return o, nil
}

// onHosts starts a peer on each host. The first one finds no tracker, and becomes it; the others are told its address.
func (b *bench) onHosts(o *office) (*electorate, error) {
	e := &electorate{b: b}
	for i, net := range o.hosts {
		args := []string{"--interface", "eth"}
		if i > 0 {
			args = append(args, "--tracker", host(0)+":5000")
		}
		if err := e.add(net, "0.0.0.0", 5000, args...); err != nil {
			return nil, err
		}
		if i == 0 {
			if err := accepts(net, host(0)+":5000"); err != nil {
				return nil, err
			}
		}
	}
	return e, e.settled()
}

// cut pulls the cable of the leader's machine, and puts it back after an election.
func cut(b *bench) ([]table, error) {
	sizes, err := numbers(b.peers)
	if err != nil {
		return nil, err
	}
	t := table{head: []string{"the leader's cable pulled, ms", "cuts", "until the first suspects it: p50", "worst", "until all others know the new one: p50",
		"p99", "worst", "of that since the first suspicion: p50", "worst", "cable back, until all have one leader: p50", "worst"}}
	for _, n := range sizes {
		o, err := b.office(n)
		if err != nil {
			return nil, err
		}
		e, err := b.onHosts(o)
		if err != nil {
			return nil, err
		}
		var suspected, all, since, back []time.Duration
		for range b.rounds {
			if err := e.settled(); err != nil {
				return nil, err
			}
			was, _, err := e.leader()
			if err != nil {
				return nil, err
			}
			others := e.living(was)
			i := slices.Index(e.voters, e.voter(was))
			at := time.Now()
			if err := o.Unplug(o.hosts[i]); err != nil {
				return nil, err
			}
			if _, err := e.agreed(others, was, elected); err != nil {
				return nil, err
			}
			time.Sleep(cutHold)
			if _, err := e.agreed(others, was, elected); err != nil {
				return nil, err
			}
			_, last := spanSince(others, at)
			if doubt := firstDoubt(others, at); !doubt.IsZero() {
				suspected, since = append(suspected, doubt.Sub(at)), append(since, last-doubt.Sub(at))
			}
			all = append(all, last)
			at = time.Now()
			if err := o.Replug(o.hosts[i], i%2); err != nil {
				return nil, err
			}
			if err := e.settled(); err != nil {
				return nil, err
			}
			_, last = spanSince(e.living(""), at)
			back = append(back, max(0, last))
		}
		b.end()
		s, a, d, r := summary(suspected), summary(all), summary(since), summary(back)
		t.row(fmt.Sprintf("%d machines", n), count(len(all)), s[0], s[2], a[0], a[1], a[2], d[0], d[2], r[0], r[2])
	}
	t.note("Each peer has a network namespace of its own, with a cable to a switch. It is pulled behind the switch: no machine is told, packets just "+
		"vanish. It is put back %v after the others have agreed; then the old leader is the one that has to learn.", cutHold)
	return []table{t}, nil
}

// heal parts a network in halves, waits until each has its own leader, and joins them again.
func heal(b *bench) ([]table, error) {
	sizes, err := numbers(b.peers)
	if err != nil {
		return nil, err
	}
	t := table{head: []string{"a network parted in halves and joined again, ms", "times", "joined, until all have one leader: p50", "p99", "worst",
		"until as many links as before: p50", "worst"}}
	for _, n := range sizes {
		office, err := b.office(n)
		if err != nil {
			return nil, err
		}
		e, err := b.onHosts(office)
		if err != nil {
			return nil, err
		}
		var one, linked []time.Duration
		for range b.rounds {
			o, l, err := e.part(office)
			if err != nil {
				return nil, err
			}
			one, linked = append(one, o), append(linked, l)
		}
		b.end()
		o, l := summary(one), summary(linked)
		t.row(fmt.Sprintf("%d machines", n), count(len(one)), o[0], o[1], o[2], l[0], l[2])
	}
	t.note("Each half has elected its own leader and has lost all links with the other before the halves are joined. Nobody is told that packets pass " +
		"again.")
	return []table{t}, nil
}

// part takes the halves of the network apart and puts them together again; it returns how long it took until there was
// one leader, and as many links as before.
func (e *electorate) part(o *office) (one, linked time.Duration, err error) {
	if err := e.settled(); err != nil {
		return 0, 0, err
	}
	links := e.links()
	halves := [2][]*voter{}
	for i, v := range e.voters {
		halves[i%2] = append(halves[i%2], v)
	}
	if err := o.Cut(); err != nil {
		return 0, 0, err
	}
	var leaders [2]string
	err = await(e.voters, apartFor, "the halves have no links with each other, and a leader each", func() bool {
		for side, half := range halves {
			leaders[side] = half[0].follows()
			own := func(id string) bool { return slices.ContainsFunc(half, func(v *voter) bool { return v.id == id }) }
			for _, v := range half {
				if v.follows() == "" || v.follows() != leaders[side] || !own(leaders[side]) {
					return false
				}
				for id := range v.links {
					if !own(id) {
						return false
					}
				}
			}
		}
		return true
	})
	if err != nil {
		return 0, 0, err
	}
	at := time.Now()
	if err := o.Join(); err != nil {
		return 0, 0, err
	}
	if _, err := e.agreed(e.voters, "", elected); err != nil {
		return 0, 0, err
	}
	if err := await(e.voters, elected, "there are as many links as before", func() bool { return e.links() >= links }); err != nil {
		return 0, 0, err
	}
	for _, v := range e.voters {
		linked = max(linked, v.news.Sub(at))
	}
	if err := e.settled(); err != nil {
		return 0, 0, err
	}
	_, one = spanSince(e.voters, at)
	return one, linked, nil
}

// links is the number of ends of links.
func (e *electorate) links() (n int) {
	for _, v := range e.voters {
		n += len(v.links)
	}
	return n
}
