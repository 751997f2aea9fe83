package overlay_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"peerchat/peer/overlay"
	"peerchat/peer/sim"
	"peerchat/peer/sim/member"
	"peerchat/peer/wire"
)

func wireID(i int) wire.PeerID     { return sim.ID(i) }
func source(seed uint64) *rand.PCG { return sim.Source(seed) }

// plant puts a bug into all members.
func (l *lab) plant(b *bug) { l.bug = b }

// sends lets a bug look at each message that leaves, change it, or lose it by returning nil.
func sends(f func(overlay.Send) overlay.Message) func(*member.Member, overlay.Input, *overlay.Output) {
	return func(_ *member.Member, _ overlay.Input, out *overlay.Output) {
		kept := out.Sends[:0]
		for _, s := range out.Sends {
			if s.Message = f(s); s.Message != nil {
				kept = append(kept, s)
			}
		}
		out.Sends = kept
	}
}

// bugs are mistakes that are planted on purpose, to see that the schedules notice.
var bugs = []bug{
	{name: "a dropped neighbour is not told", after: sends(func(s overlay.Send) overlay.Message {
		if _, ok := s.Message.(overlay.Disconnect); ok {
			return nil
		}
		return s.Message
	})},
	{name: "a refusal counts as a yes", before: func(_ *member.Member, in overlay.Input) overlay.Input {
		if r, ok := in.(overlay.Receive); ok {
			if a, ok := r.Message.(overlay.NeighborAnswer); ok {
				r.Message = overlay.NeighborAnswer{Nonce: a.Nonce, Accepted: true}
				return r
			}
		}
		return in
	}},
	{name: "a broken link is not noticed", before: func(_ *member.Member, in overlay.Input) overlay.Input {
		if _, ok := in.(overlay.LinkDown); ok {
			return nil
		}
		return in
	}},
	{name: "walks have no end", after: sends(func(s overlay.Send) overlay.Message {
		switch m := s.Message.(type) {
		case overlay.ForwardJoin:
			m.TTL = 6
			return m
		case overlay.Shuffle:
			m.TTL = 6
			return m
		}
		return s.Message
	})},
	{name: "links are never released", after: func(_ *member.Member, _ overlay.Input, out *overlay.Output) {
		out.Actions = slices.DeleteFunc(out.Actions, func(a overlay.Action) bool { _, ok := a.(overlay.Release); return ok })
	}},
	{name: "the loss of a neighbour is not told", after: func(_ *member.Member, _ overlay.Input, out *overlay.Output) {
		out.Actions = slices.DeleteFunc(out.Actions, func(a overlay.Action) bool { _, ok := a.(overlay.NeighborDown); return ok })
	}},
	{name: "who is asked for help may refuse", after: sends(func(s overlay.Send) overlay.Message {
		if n, ok := s.Message.(overlay.Neighbor); ok {
			n.High = false
			return n
		}
		return s.Message
	})},
	{name: "lost neighbours are forgotten", born: func(m *overlay.Machine) { m.NoBridges() }},
	{name: "everybody is welcome", born: func(m *overlay.Machine) { m.Unbound() }},
	{name: "the timer is not set", after: func(_ *member.Member, _ overlay.Input, out *overlay.Output) { out.Wake = time.Time{} }},
}

// telling are plans that notice what few do.
var telling = []plan{
	{peers: 8, what: []string{"cuts", "partition", "wrong size", "leave", "newcomers", "half crash"}},
	{seed: 41, peers: 3, what: []string{"right size", "heal", "partition", "all restart", "cuts", "instant network", "flapping", "newcomers", "flapping"}},
	{seed: 310, peers: 45, what: []string{"long partition"}},
	{seed: 76, peers: 4, what: []string{"contacts", "instant network", "instant network", "partition", "suspicions", "instant network",
		"instant network", "flapping", "wrong size"}},
}

// The schedules, and what is looked at after each step of them, are worth something only if they notice what is wrong.
func TestPlantedBugs(t *testing.T) {
	for _, b := range bugs {
		caught := 0
		plans := slices.Clone(telling)
		for seed := range uint64(60) {
			plans = append(plans, random(seed))
		}
		for _, p := range plans {
			if _, why := p.try(&b, false); why != "" {
				caught++
				t.Logf("%s: seed %d: %s", b.name, p.seed, why)
				break
			}
		}
		if caught == 0 {
			t.Errorf("%s, and no schedule notices", b.name)
		}
	}
}
