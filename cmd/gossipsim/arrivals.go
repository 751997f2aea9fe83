package main

import (
	"fmt"
	"time"

	"peerchat/cmd/internal/report"
	"peerchat/peer/overlay"
	"peerchat/peer/sim"
	"peerchat/peer/sim/member"
)

// flock is so many peers that come within a time, each told of so many members that are there.
type flock struct {
	peers    int
	within   time.Duration
	contacts int
}

// arrivals is what it takes to make a room of many who come at once, as a peer of peerchat does: a link takes long, and
// one place more than is wanted may be taken.
func arrivals(s *settings) (report.Table, error) {
	t := report.Table{Head: []string{"peers", "that come within", "each told of", "links made, each", "of these stay", "made for one that stays", "connected part when the last has come",
		"20 s later", "peers that have all neighbours then", "path", "clustering"}}
	var list []flock
	for _, n := range []int{30, 100, 300, 1000} {
		for _, within := range []time.Duration{5 * time.Second, 50 * time.Second} {
			for _, contacts := range []int{1, 8} {
				if n <= s.peers {
					list = append(list, flock{n, within, contacts})
				}
			}
		}
	}
	rows, err := atOnce(list, s.arrive)
	if err != nil {
		return t, err
	}
	for _, row := range rows {
		t.Row(row...)
	}
	net := slow()
	t.Note("Sizes of views as they follow from the size of the room, of which all are told ten times while they come, and at the end. A link of the views may be one more than wanted (Slack 1). "+
		"A message takes 5 to 50 ms, a new link %d round trips and a half, which is 0.1 to 1 s. Links are counted once, not at both ends; those that stay are there two minutes after the last has come.", net.RoundTrips)
	return t, nil
}

// slow is a network in which a link takes as long as one over WebRTC.
func slow() sim.Network {
	net := world()
	net.RoundTrips = 10
	return net
}

func (s *settings) arrive(f flock) ([]string, error) {
	links := 0
	cfg := member.RoomConfig{Sized: true, Contacts: f.contacts}
	cfg.Overlay = overlay.Config{Slack: 1, Timing: overlay.Timing{Connect: 10 * time.Second, Shuffle: 20 * time.Second, FillMax: 20 * time.Second}}
	cfg.Sim = sim.Config{Seed: s.seed, Network: slow()}
	cfg.Tune = countLinks(&links)
	r := member.NewRoom(cfg)
	for range 10 {
		r.Build(f.peers/10, f.within/time.Duration(f.peers))
		r.Resize()
	}
	then := r.Graph().Largest()
	r.Run(20 * time.Second)
	g := r.Graph()
	want, _ := overlay.Sizes(f.peers)
	full := 0
	for _, out := range g.Out {
		if len(out) >= want {
			full++
		}
	}
	later := g.Largest()
	r.Run(100 * time.Second)
	g = r.Graph()
	stay := 0
	for _, out := range g.Out {
		stay += len(out)
	}
	mean, _, _ := g.Paths(r.Rand(), 200)
	each := func(x int) string { return fmt.Sprintf("%.1f", float64(x)/float64(2*f.peers)) } // both ends are counted
	s.say("%d peers within %v: done", f.peers, f.within)
	return []string{fmt.Sprint(f.peers), f.within.String(), fmt.Sprint(f.contacts), each(links), each(stay), fmt.Sprintf("%.2f", float64(links)/float64(stay)), percent(then) + " %",
		percent(later) + " %", percent(float64(full)/float64(f.peers)) + " %", fmt.Sprintf("%.2f", mean), fmt.Sprintf("%.4f", g.Clustering())}, nil
}
