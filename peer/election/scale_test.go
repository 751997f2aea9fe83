package election

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// classic is the number of messages of Bully after Garcia-Molina (1982) for n peers that miss their leader and of whom
// the lowest notices first: each that is asked asks all above it, each of those answers, and the highest tells all.
func classic(n int) int {
	asks := n * (n - 1) / 2
	return asks + asks + n - 1
}

// crowd makes n running peers with a random overlay of the given degree, of whom at most candidates may host, and lets
// them get to know each other. The tracker is the home tracker, or the best candidate.
func crowd(t testing.TB, seed uint64, n, degree, candidates int, home bool) *world {
	w := newWorld(t, seed)
	for i := range n {
		w.add(fmt.Sprintf("p%d", i), Offer{Candidate: i < candidates, Dialable: i < candidates/2, Priority: int16(w.rand.IntN(5)), Port: DefaultPort}).run()
	}
	for i := 1; i < n; i++ { // connected in any case
		w.link(w.nodes[i], w.nodes[w.rand.IntN(i)])
	}
	for i := 0; i < n*(degree-2)/2; i++ {
		a, b := w.rand.IntN(n), w.rand.IntN(n)
		if a != b && len(w.nodes[a].links) < 2*degree && len(w.nodes[b].links) < 2*degree {
			w.link(w.nodes[a], w.nodes[b])
		}
	}
	first := w.nodes[0]
	for _, c := range w.nodes[:candidates] {
		if a, b := c.m.rank(), first.m.rank(); a.Compare(&b) > 0 {
			first = c
		}
	}
	if home {
		w.home.up = true
	} else {
		first.step(Host{})
	}
	for _, o := range w.nodes {
		switch {
		case home:
			o.follow(homeTarget)
		case o != first:
			o.follow(first.i)
		}
	}
	w.run(12 * time.Second)
	if why := w.agreed(); why != "" {
		t.Fatalf("seed %d, before the kill: %s", seed, why)
	}
	return w
}

// fall kills the tracker and returns the messages that the election took, and when the last peer knew the new leader.
func (w *world) fall(home bool) (messages int, last time.Duration) {
	clear(w.sent)
	dead := w.leaders()
	if home {
		w.killHome()
	} else {
		w.kill(dead[0])
	}
	start := w.now
	var group []*node // the dead may have been somebody's only way to the others
	for _, g := range w.components() {
		if len(g) > len(group) {
			group = g
		}
	}
	for w.now.Sub(start) < 3*time.Second {
		w.run(time.Millisecond)
		known := true
		for _, n := range group {
			if n.alive && (n.m.suspect || n.m.reign.Rank.Home || !home && n.m.reign.leader() == dead[0].id) {
				known = false
				break
			}
		}
		if known {
			last = w.now.Sub(start)
			break
		}
	}
	w.run(time.Second)
	return w.elections(), last
}

func TestMessagesAndTime(t *testing.T) {
	for _, n := range []int{3, 5, 10, 20, 100, 1000, 10000} {
		if n > mostPeers || testing.Short() && n > 100 {
			continue
		}
		for _, home := range []bool{true, false} {
			if n == 10000 && home { // it differs in nothing but the time it takes
				continue
			}
			rounds := max(1, min(20, mostPeers/10/n))
			worst, slowest, seed := 0, time.Duration(0), uint64(0)
			for r := range rounds {
				w := crowd(t, uint64(r), n, 6, min(n, 40, max(20, 4000/n)), home)
				messages, last := w.fall(home)
				if why := w.agreed(); why != "" {
					t.Errorf("%d peers, seed %d: after the kill, %s", n, r, why)
				}
				if last == 0 {
					t.Errorf("%d peers, seed %d: not everybody knew the new leader after 3 s", n, r)
				}
				if messages > worst {
					worst, seed = messages, uint64(r)
				}
				slowest = max(slowest, last)
			}
			t.Logf("%5d peers, home %-5v: at most %6d messages (%.2f n, classic Bully %d), all know after at most %v",
				n, home, worst, float64(worst)/float64(n), classic(n), slowest)
			if worst > 3*n {
				t.Errorf("%d peers, seed %d: the election took %d messages, more than 3 × %d", n, seed, worst, n)
			}
		}
	}
}

// BenchmarkElection prints the messages and the virtual time of an election.
func BenchmarkElection(b *testing.B) {
	for _, n := range []int{10, 100, 1000, 10000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			var messages, upkeep int
			var last time.Duration
			for b.Loop() {
				b.StopTimer()
				w := crowd(b, rand.Uint64(), n, 6, min(n, 20), false)
				b.StartTimer()
				m, d := w.fall(false)
				messages, last = messages+m, last+d
				upkeep += w.sent["candidate"] + w.sent["summary"]
			}
			b.ReportMetric(float64(messages)/float64(b.N), "messages/election")
			b.ReportMetric(float64(upkeep)/float64(b.N), "upkeep/election")
			b.ReportMetric(float64(classic(n)), "classic")
			b.ReportMetric(float64(last.Microseconds())/1000/float64(b.N), "virtual-ms")
		})
	}
}
