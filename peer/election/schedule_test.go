package election

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"peerchat/peer/machinetest"
)

// brisk are the times of a network in which years pass quickly.
var brisk = Timing{Sync: time.Second, Refresh: 3 * time.Second, Expire: 10 * time.Second, Settle: 2 * time.Second,
	SettleTie: 3 * time.Second}

// TestSchedules lets whatever can happen happen to small networks, and looks at what is left when it is calm: in every
// connected group one leader, its best candidate, or the home tracker; everybody connected to it. The world itself
// fails the test when a term falls or a peer leads that is no candidate.
//
// The seeds are always the same, so that the test fails only for who broke something; -schedules tries others.
func TestSchedules(t *testing.T) {
	plans, told := machinetest.Plans(usualSchedules, once, random)
	var log *strings.Builder
	if told {
		log = new(strings.Builder)
	}
	for _, p := range plans {
		why := p.try(log)
		if log != nil {
			t.Log(log)
		}
		if why != "" {
			t.Errorf("seed %d, %d peers [%s]: %s", p.seed, p.peers, p.what, why)
		}
	}
}

// plan is one schedule: a network, and what happens to it. The seed decides the rest.
type plan struct {
	seed  uint64
	peers int
	what  string // names of mishaps, parted by commas
}

// once are plans that failed once.
var once = []plan{
	// A peer joins the tracker of a group that it has no links with, and its neighbour lost a leader of a lower term.
	{22403, 5, "slow, slow, clock jumps, leader crashes, leader quits, flapping"},
	// A newcomer with a higher term than its tracker's, and no links to it.
	{22676, 4, "asymmetric, leader crashes, flapping, loss, asymmetric"},
}

// random draws a plan with rather few peers: most of what goes wrong takes two or three.
func random(seed uint64) plan {
	r, all := rand.New(rand.NewPCG(seed, 4)), mishaps()
	p := plan{seed: seed, peers: 2 + r.IntN(2+r.IntN(7))}
	var names []string
	for range r.IntN(13) {
		names = append(names, all[r.IntN(len(all))].name)
	}
	p.what = strings.Join(names, ", ")
	return p
}

// try runs a plan and says what is wrong at its end.
func (p plan) try(log *strings.Builder) (why string) {
	type failure string
	defer func() {
		if r := recover(); r != nil {
			f, ok := r.(failure)
			if !ok {
				panic(r)
			}
			why = string(f)
		}
	}()
	w := newWorld(nil, p.seed)
	w.log = log
	w.fail = func(format string, args ...any) { panic(failure(fmt.Sprintf(format, args...))) }
	var what []mishap
	for name := range strings.SplitSeq(p.what, ", ") {
		i := slices.IndexFunc(mishaps(), func(m mishap) bool { return m.name == name })
		if i >= 0 {
			what = append(what, mishaps()[i])
		} else if p.what != "" {
			return "there is no mishap named " + name
		}
	}
	return schedule(w, rand.New(rand.NewPCG(p.seed, 3)), p.peers, what)
}

type mishap struct {
	name string
	do   func(*world, *rand.Rand)
}

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

// schedule makes a random network, lets the mishaps happen, and says what is wrong in the calm after them.
func schedule(w *world, r *rand.Rand, peers int, what []mishap) string {
	w.timing = brisk
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
			w.run(time.Minute)
			if why = w.agreed(); why == "" {
				break
			}
		}
		w.introduce()
	}
	if why != "" {
		return "half an hour later, " + why
	}
	for _, f := range w.faults {
		return fmt.Sprintf("an honest peer was blamed: %s: %s", f.Code, f.Text)
	}
	return ""
}
