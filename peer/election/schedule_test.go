package election

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// brisk are the times of a network in which years pass quickly.
var brisk = Timing{Sync: time.Second, Refresh: 3 * time.Second, Expire: 10 * time.Second, Settle: 2 * time.Second,
	SettleTie: 3 * time.Second}

// TestSchedules lets whatever can happen happen to small networks, and looks at what is left when it is calm: in every
// connected group one leader, its best candidate, or the home tracker; everybody connected to it. The world itself fails
// the test when a term falls or a peer leads that is no candidate.
func TestSchedules(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		seed := rapid.Uint64().Draw(rt, "seed")
		schedule(rt, seed, rapid.IntRange(2, 9).Draw(rt, "peers"), rapid.SliceOfN(rapid.SampledFrom(mishaps()), 0, 12).Draw(rt, "mishaps"))
	})
}

type mishap struct {
	name string
	do   func(*world, *rand.Rand)
}

func (m mishap) String() string { return m.name }

func mishaps() []mishap {
	some := func(w *world, r *rand.Rand) *node { return w.nodes[r.IntN(len(w.nodes))] }
	stop := func(w *world, n *node) {
		if n.alive {
			w.kill(n)
		}
	}
	start := func(w *world, n *node) {
		if !n.alive {
			w.restart(n)
			for _, e := range w.graph {
				if (e[0] == n.i || e[1] == n.i) && !w.cut(e[0], e[1]) {
					w.link(w.nodes[e[0]], w.nodes[e[1]])
				}
			}
		}
	}
	return []mishap{
		{"crash", func(w *world, r *rand.Rand) { stop(w, some(w, r)) }},
		{"leader crashes", func(w *world, r *rand.Rand) {
			for _, n := range w.leaders() {
				stop(w, n)
			}
		}},
		{"cascade", func(w *world, r *rand.Rand) {
			for range 3 {
				for _, n := range w.leaders() {
					stop(w, n)
				}
				w.run(time.Duration(r.IntN(300)) * time.Millisecond)
			}
		}},
		{"restart", func(w *world, r *rand.Rand) { start(w, some(w, r)) }},
		{"all restart", func(w *world, r *rand.Rand) {
			for _, n := range w.nodes {
				start(w, n)
			}
		}},
		{"flapping", func(w *world, r *rand.Rand) {
			n := some(w, r)
			for range 4 {
				stop(w, n)
				w.run(time.Duration(r.IntN(500)) * time.Millisecond)
				start(w, n)
				w.run(time.Duration(r.IntN(500)) * time.Millisecond)
			}
		}},
		{"partition", func(w *world, r *rand.Rand) {
			var group []*node
			for _, n := range w.nodes {
				if r.IntN(2) == 0 {
					group = append(group, n)
				}
			}
			w.split(group...)
		}},
		{"asymmetric", func(w *world, r *rand.Rand) {
			if a, b := some(w, r), some(w, r); a != b {
				w.block(a.i, b.i)
			}
		}},
		{"heal", func(w *world, r *rand.Rand) { w.heal(w.graph) }},
		{"loss", func(w *world, r *rand.Rand) { w.loss, w.twice = float64(r.IntN(40))/100, float64(r.IntN(40))/100 }},
		{"calm", func(w *world, r *rand.Rand) { w.loss, w.twice = 0, 0; w.run(5 * time.Second) }},
		{"slow", func(w *world, r *rand.Rand) { w.delay = time.Duration(1+r.IntN(60)) * time.Millisecond }},
		{"clock jumps", func(w *world, r *rand.Rand) { some(w, r).skew += time.Duration(r.IntN(7200)-3600) * time.Second }},
		{"false alarm", func(w *world, r *rand.Rand) {
			if n := some(w, r); n.alive && n.target != nobody {
				target := n.target
				n.leave()
				n.target = target
				n.step(Suspect{Closed: r.IntN(2) == 0})
				if !n.joined && n.target == target {
					n.follow(target)
				}
			}
		}},
		{"hung tracker", func(w *world, r *rand.Rand) {
			for _, n := range w.leaders() {
				n.track.hung = true
				w.lose(n.i, false, nil)
				w.after(4*time.Second, func() { n.track.hung = false })
			}
		}},
		{"leader quits", func(w *world, r *rand.Rand) {
			for _, n := range w.leaders() {
				n.step(Resign{})
				life := n.life
				w.after(2*time.Second, func() {
					if n.life == life && n.alive {
						w.kill(n)
					}
				})
			}
		}},
		{"home up", func(w *world, r *rand.Rand) {
			if !w.home.up {
				w.startHome()
			}
		}},
		{"home down", func(w *world, r *rand.Rand) {
			if w.home.up {
				w.killHome()
			}
		}},
		{"host fails", func(w *world, r *rand.Rand) {
			for _, n := range w.leaders() {
				n.step(HostFailed{})
			}
		}},
	}
}

func schedule(t interface {
	rapid.TB
}, seed uint64, peers int, what []mishap) {
	w := newWorld(nil, seed)
	w.fail = func(format string, args ...any) { t.Fatalf("seed %d: %s", seed, fmt.Sprintf(format, args...)) }
	w.timing = brisk
	r := rand.New(rand.NewPCG(seed, 3))
	for i := range peers {
		n := w.add(fmt.Sprintf("p%d", i), Offer{Candidate: r.IntN(4) > 0, Dialable: r.IntN(2) == 0, Priority: int16(r.IntN(3)),
			Port: uint16(4998 + r.IntN(4))})
		n.knows = r.IntN(2) == 0
		n.term = uint64(r.IntN(5))
		for j := range i {
			if j == i-1 || r.IntN(2) == 0 {
				w.graph = append(w.graph, [2]int{j, i})
			}
		}
	}
	w.home.up = r.IntN(2) == 0
	for _, n := range w.nodes {
		w.restart(n)
		w.run(time.Duration(r.IntN(100)) * time.Millisecond)
	}
	w.heal(w.graph)
	w.run(3 * time.Second)
	for _, m := range what {
		w.note("%s", m.name)
		m.do(w, r)
		w.run(time.Duration(r.IntN(4000)) * time.Millisecond)
	}
	w.note("calm")
	w.loss, w.twice, w.delay = 0, 0, time.Millisecond
	w.heal(w.graph)
	// Calm: what was held back for flapping, the home tracker above all, takes longest.
	why := "?"
	for range 60 {
		w.run(30 * time.Second)
		if why = w.agreed(); why == "" {
			break
		}
	}
	if why != "" {
		t.Fatalf("seed %d: half an hour after the last of %v, %s", seed, what, why)
	}
	for _, f := range w.faults {
		t.Fatalf("seed %d: an honest peer was blamed: %s: %s", seed, f.Code, f.Text)
	}
}
