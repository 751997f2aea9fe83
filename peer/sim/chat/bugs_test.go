package chat

import (
	"slices"
	"testing"
	"time"

	"peerchat/peer/gossip"
	"peerchat/peer/overlay"
	"peerchat/peer/presence"
	"peerchat/peer/sim/member"
	"peerchat/peer/wire"
)

// bug is a mistake that is planted into all participants, and what must notice it first.
type bug struct {
	name   string
	caught Invariant
	seed   uint64 // of a schedule that notices, where the search begins
	spoil  spoil
}

// unsent lets the broadcast forget to send some frames.
func unsent(forget func(wire.Frame) bool) spoil {
	return spoil{gossipOut: func(_ *participant, out *gossip.Output) {
		out.Sends = slices.DeleteFunc(out.Sends, func(s gossip.Send) bool { return forget(s.Frame) })
	}}
}

// unheard lets it forget to look at some.
func unheard(forget func(wire.Frame) bool) spoil {
	return spoil{gossipIn: func(_ *participant, in gossip.Input) gossip.Input {
		if r, ok := in.(gossip.Receive); ok && forget(r.Frame) {
			return nil
		}
		return in
	}}
}

func is[F wire.Frame](f wire.Frame) bool { _, ok := f.(F); return ok }

// lateLog stores what it is given when it is given the next.
type lateLog struct {
	gossip.Log
	late []wire.Event
}

func (l *lateLog) Append(events []wire.Event) error {
	err := l.Log.Append(l.late)
	l.late = slices.Clone(events)
	return err
}

// bugs are those that a test of the room as a whole must notice. Those of one machine alone are planted beside it.
func bugs() []bug {
	return []bug{
		{"nobody asks to be in a tree (Graft)", Prompt, 3, unsent(is[wire.Graft])},
		{"nobody leaves a tree (Prune)", Lean, 6, unsent(is[wire.Prune])},
		{"logs are never compared (Digest)", Truthful, 2, unsent(is[wire.Digest])},
		{"questions are never answered (Want)", Blameless, 2, unheard(is[wire.Want])},
		{"a delivery is made twice", Once, 0, spoil{gossipOut: func(_ *participant, out *gossip.Output) {
			for _, d := range out.Delivers {
				if d.Event.Seq%7 == 3 {
					out.Delivers = append(out.Delivers, d)
				}
			}
		}}},
		{"deliveries are made in the wrong order", Order, 0, spoil{gossipOut: func(_ *participant, out *gossip.Output) { slices.Reverse(out.Delivers) }}},
		{"a text is changed on its way, and signatures are not checked", Said, 1, spoil{verify: func(*wire.Event) error { return nil },
			gossipIn: func(x *participant, in gossip.Input) gossip.Input {
				if r, ok := in.(gossip.Receive); ok && x.i%5 == 1 {
					if f, ok := r.Frame.(wire.Events); ok {
						f.Events = slices.Clone(f.Events)
						f.Events[0].Body = []byte("what nobody said")
						r.Frame = f
						return r
					}
				}
				return in
			}}},
		{"whoever offers something is blamed for it", Blameless, 0, spoil{gossipIn: func(x *participant, in gossip.Input) gossip.Input {
			if r, ok := in.(gossip.Receive); ok && is[wire.Have](r.Frame) {
				x.blame("claims", "it offers events", false)
			}
			return in
		}}},
		{"a lost log is not noticed", Numbers, 16, spoil{careless: true}},
		{"events are sent before they are stored", Durable, 0, spoil{log: func(l gossip.Log) gossip.Log { return &lateLog{Log: l} }}},
		{"the end of a link is not told to the broadcast", Bounded, 0, spoil{gossipIn: func(_ *participant, in gossip.Input) gossip.Input {
			if _, ok := in.(gossip.LinkDown); ok {
				return nil
			}
			return in
		}}},
		{"deaths are not told, and presence never expires", Known, 0, spoil{
			presence: func(c *presence.Config) { c.Timing.Refresh = presence.MaxPeriod * time.Second },
			presenceIn: func(_ *participant, in presence.Input) presence.Input {
				if down, ok := in.(presence.NeighborDown); ok {
					down.Died = false
					return down
				}
				return in
			}}},
		{"the end of a link is not told to the overlay", Mutual, 0, spoil{before: func(_ *member.Member, in overlay.Input) overlay.Input {
			if _, ok := in.(overlay.LinkDown); ok {
				return nil
			}
			return in
		}}},
		{"lost neighbours are forgotten, and who is alone is told of nobody", Connected, 261, spoil{lonely: true,
			overlay: func(c *overlay.Config) { c.Timing.Bridge, c.Timing.FillMax = 1000*time.Hour, 1000*time.Hour }}},
	}
}

// The schedules and the invariants are worth something only if they notice what is wrong. Each bug is noticed within a
// few schedules, and by the invariant that it hurts.
func TestPlantedBugs(t *testing.T) {
	for _, b := range bugs() {
		t.Run(b.name, func(t *testing.T) {
			for seed := b.seed; seed < b.seed+100; seed++ {
				if found := play(seed, &b.spoil, func(string, ...any) {}).Breaches(); len(found) > 0 {
					if found[0].Invariant != b.caught {
						t.Errorf("seed %d: another invariant was hurt first than %q: %v", seed, b.caught, found[0])
					} else {
						t.Logf("seed %d: %v", seed, found[0])
					}
					return
				}
			}
			t.Error("no schedule notices")
		})
	}
}
