package overlay_test

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"peerchat/peer/machinetest"
	"peerchat/peer/overlay"
	"peerchat/peer/sim/member"
)

// TestSchedules lets whatever can happen happen to rooms of up to a hundred, and looks at what is left when it is calm:
// one room, views that agree, a full mesh where there are few, no link that nobody needs. What must hold always is
// looked at after each step.
//
// The seeds are always the same, so that the test fails only for who broke something; -schedules tries others.
func TestSchedules(t *testing.T) {
	plans, told := machinetest.Plans(usualSchedules, once, random)
	for _, p := range plans {
		l, why := p.try(nil, told)
		if told {
			t.Log("\n" + l.log.String())
		}
		if why != "" {
			t.Errorf("seed %d, %d peers [%s]: %s", p.seed, p.peers, strings.Join(p.what, ", "), why)
		}
	}
}

// plan is one schedule: a room, and what happens to it. The seed decides the rest.
type plan struct {
	seed  uint64
	peers int
	what  []string
}

// once are plans that failed once.
var once = []plan{}

func random(seed uint64) plan {
	r, all := rand.New(rand.NewPCG(seed, 4)), mishaps()
	p := plan{seed: seed, peers: 2 + r.IntN(7)}
	if r.IntN(3) == 0 {
		p.peers = 2 + r.IntN(90)
	}
	for range r.IntN(10) {
		p.what = append(p.what, all[r.IntN(len(all))].name)
	}
	return p
}

// try runs a plan, with a bug if there is one, and says what is wrong.
func (p plan) try(b *bug, told bool) (l *lab, why string) {
	r := rand.New(rand.NewPCG(p.seed, 3))
	cfg := member.RoomConfig{Contacts: 1 + r.IntN(8), Sized: true}
	cfg.Sim.Network = home()
	l = newLab(p.seed, cfg)
	l.plant(b)
	if told {
		l.log = new(strings.Builder)
	}
	l.Build(p.peers, time.Duration(r.IntN(1000))*time.Millisecond)
	l.Run(10 * time.Second)
	all := mishaps()
	for _, name := range p.what {
		i := slices.IndexFunc(all, func(m mishap) bool { return m.name == name })
		if i < 0 {
			return l, "there is no mishap named " + name
		}
		l.tell("— %s —", name)
		all[i].do(l, r)
		l.Run(time.Duration(r.IntN(8000)) * time.Millisecond)
	}
	l.tell("— calm —")
	l.heal()
	l.SetNetwork(home())
	return l, l.settle(3 * time.Minute)
}

type mishap struct {
	name string
	do   func(*lab, *rand.Rand)
}

func (l *lab) some(r *rand.Rand) int { return r.IntN(l.Len()) }

func (l *lab) heal() {
	l.parted = false
	l.Heal()
}

func (l *lab) begin(i int) {
	if !l.Alive(i) {
		l.churned = l.churned || l.parted
		l.Begin(i)
	}
}

// kill ends the life of i, unless it is the last: a room without anybody is none.
func (l *lab) kill(i int) {
	if l.Alive(i) && l.Living() > 1 {
		delete(l.minds, l.Member(i))
		l.Kill(i)
	}
}

func mishaps() []mishap {
	return []mishap{
		{"crash", func(l *lab, r *rand.Rand) { l.kill(l.some(r)) }},
		{"half crash", func(l *lab, r *rand.Rand) {
			for i := range l.Len() {
				if r.IntN(2) == 0 {
					l.kill(i)
				}
			}
		}},
		{"restart", func(l *lab, r *rand.Rand) { l.begin(l.some(r)) }},
		{"all restart", func(l *lab, r *rand.Rand) {
			for i := range l.Len() {
				l.begin(i)
			}
		}},
		{"flapping", func(l *lab, r *rand.Rand) {
			i := l.some(r)
			for range 5 {
				l.kill(i)
				l.Run(time.Duration(r.IntN(500)) * time.Millisecond)
				l.begin(i)
				l.Run(time.Duration(r.IntN(500)) * time.Millisecond)
			}
		}},
		{"newcomers", func(l *lab, r *rand.Rand) {
			for range 1 + r.IntN(20) {
				l.churned = l.churned || l.parted
				l.Join()
			}
		}},
		{"leave", func(l *lab, r *rand.Rand) {
			i := l.some(r)
			if l.Living() < 2 {
				return
			}
			l.Input(i, overlay.Leave{})
			l.Run(100 * time.Millisecond)
			l.kill(i)
		}},
		{"partition", func(l *lab, r *rand.Rand) {
			side := make([]int, l.Len()+100)
			for i := range side {
				side[i] = r.IntN(2)
			}
			l.parted = true
			l.Partition(func(i int) int { return side[i] })
		}},
		{"long partition", func(l *lab, r *rand.Rand) {
			k := r.IntN(l.Len())
			l.parted = true
			l.Partition(func(i int) int { return min(1, i/(k+1)) })
			l.Run(5 * time.Minute)
		}},
		{"heal", func(l *lab, r *rand.Rand) { l.heal() }},
		{"cuts", func(l *lab, r *rand.Rand) {
			for range 1 + r.IntN(2*l.Len()) {
				i := l.some(r)
				if links := l.Links(i); len(links) > 0 {
					l.Cut(i, links[r.IntN(len(links))])
				}
			}
		}},
		{"bad network", func(l *lab, r *rand.Rand) {
			n := home()
			n.Loss, n.Jitter = r.Float64()/3, time.Duration(1+r.IntN(300))*time.Millisecond
			n.RoundTrips, n.Detect = 1+r.IntN(4), time.Duration(r.IntN(3000))*time.Millisecond
			l.SetNetwork(n)
		}},
		{"instant network", func(l *lab, r *rand.Rand) {
			n := home()
			n.Delay, n.Spread, n.Jitter, n.Detect = 0, 0, 0, 0
			l.SetNetwork(n)
		}},
		{"wrong size", func(l *lab, r *rand.Rand) {
			for i := range l.Len() {
				l.Input(i, overlay.RoomSize{N: r.IntN(3000)})
			}
		}},
		{"right size", func(l *lab, r *rand.Rand) { l.Resize() }},
		{"suspicions", func(l *lab, r *rand.Rand) {
			for i := range l.Len() {
				for _, k := range l.Links(i) {
					if r.IntN(2) == 0 {
						l.Input(i, overlay.Suspect{Peer: l.ID(k)})
					}
				}
			}
		}},
		{"trust", func(l *lab, _ *rand.Rand) {
			for i := range l.Len() {
				for _, k := range l.Links(i) {
					l.Input(i, overlay.Trust{Peer: l.ID(k)})
				}
			}
		}},
		{"contacts", func(l *lab, r *rand.Rand) {
			for i := range l.Len() {
				l.Input(i, overlay.Contacts{Peers: l.Sample(i)})
			}
		}},
	}
}
