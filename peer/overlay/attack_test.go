package overlay_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"peerchat/peer/overlay"
	"peerchat/peer/sim"
	"peerchat/peer/wire"
)

// alone is a machine with a link to each of a few peers, driven by hand.
type alone struct {
	*overlay.Machine
	t   *testing.T
	now time.Time
	out overlay.Output
}

func newAlone(t *testing.T, cfg overlay.Config) *alone {
	t.Helper()
	cfg.Self, cfg.Rand = sim.ID(1000), sim.Source(1)
	m, err := overlay.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return &alone{Machine: m, t: t, now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
}

// step gives it an input and returns what came of it.
func (a *alone) step(in overlay.Input) overlay.Output {
	a.t.Helper()
	a.out = overlay.Output{}
	a.Step(a.now, in, &a.out)
	if err := a.Check(); err != nil {
		a.t.Fatalf("after %#v: %v", in, err)
	}
	return a.out
}

func (a *alone) hear(from int, m overlay.Message) overlay.Output {
	a.t.Helper()
	return a.step(overlay.Receive{From: sim.ID(from), Message: m})
}

// neighbour makes peer i one.
func (a *alone) neighbour(i int) {
	a.t.Helper()
	a.step(overlay.LinkUp{Peer: sim.ID(i)})
	a.hear(i, overlay.Neighbor{Nonce: 1})
	if !a.Neighbor(sim.ID(i)) {
		a.t.Fatalf("peer %d is no neighbour", i)
	}
}

func connects(out overlay.Output) (n int) {
	for _, a := range out.Actions {
		if _, ok := a.(overlay.Connect); ok {
			n++
		}
	}
	return n
}

// A thousand newcomers that exist only in a neighbour's words cost some attempts to link them, at a bounded rate.
func TestInventedNewcomers(t *testing.T) {
	a := newAlone(t, overlay.Config{})
	for i := range 5 {
		a.neighbour(i)
	}
	asked := 0
	for i := range 1000 {
		a.now = a.now.Add(10 * time.Millisecond)
		asked += connects(a.hear(0, overlay.ForwardJoin{Peer: sim.ID(2000 + i), TTL: 0}))
	}
	if asked == 0 || asked > 40 {
		t.Errorf("%d links were asked for in 10 seconds, because a neighbour said so", asked)
	}
}

// Whoever floods is blamed for it, once, and what he sends is ignored.
func TestFlood(t *testing.T) {
	a := newAlone(t, overlay.Config{})
	a.neighbour(0)
	a.neighbour(1)
	faults, sent := 0, 0
	for i := range 5000 {
		out := a.hear(0, overlay.Shuffle{ID: uint64(i + 1), Origin: sim.ID(7), TTL: 6})
		sent += len(out.Sends)
		for _, f := range out.Faults {
			faults++
			if f.Peer != sim.ID(0) || f.Code != "flood" || !f.Drop || !strings.Contains(f.Text, sim.ID(0).Tag()) {
				t.Errorf("the fault is %+v", f)
			}
		}
	}
	if faults != 1 || sent > 30 {
		t.Errorf("5,000 shuffles at once made %d faults and %d messages", faults, sent)
	}
}

// Newcomers from one place push each other out, and not those from elsewhere.
func TestManyNames(t *testing.T) {
	a := newAlone(t, overlay.Config{})
	for i := range 5 {
		a.step(overlay.LinkUp{Peer: sim.ID(i), Origin: "10.0.0." + string(rune('0'+i))})
		a.hear(i, overlay.Neighbor{Nonce: 1})
	}
	for i := range 100 {
		a.now = a.now.Add(time.Second)
		a.step(overlay.LinkUp{Peer: sim.ID(100 + i), Origin: "203.0.113.66"})
		a.hear(100+i, overlay.Join{Nonce: 1})
	}
	evil := 0
	for _, id := range a.Active() {
		if !slices.Contains(ids(0, 5), id) {
			evil++
		}
	}
	if evil > 2 {
		t.Errorf("%d of 5 neighbours have one origin", evil)
	}
	// On a LAN all have one origin, and that must not keep them apart.
	b := newAlone(t, overlay.Config{})
	for i := range 10 {
		b.now = b.now.Add(time.Second)
		b.step(overlay.LinkUp{Peer: sim.ID(i), Origin: "192.168.1.0"})
		b.hear(i, overlay.Join{Nonce: 1})
	}
	if n := len(b.Active()); n != 5 {
		t.Errorf("%d of 10 on one LAN are neighbours, want 5", n)
	}
}

// Who has had too many neighbours of one origin, then few, then too many again, looks for others now and then, and not
// all the time.
func TestOneOriginAgainAndAgain(t *testing.T) {
	a := newAlone(t, overlay.Config{})
	for i := range 20 {
		if i%5 < 3 {
			a.step(overlay.LinkUp{Peer: sim.ID(i), Origin: "127.0.0.1"})
			a.hear(i, overlay.Join{Nonce: 1})
		} else {
			for k := range 20 {
				a.step(overlay.LinkDown{Peer: sim.ID(k)})
			}
		}
	}
	for i := range 5 {
		a.step(overlay.LinkUp{Peer: sim.ID(100 + i), Origin: "127.0.0.1"})
		a.hear(100+i, overlay.Join{Nonce: 1})
	}
	ticks := 0
	for end := a.now.Add(time.Hour); a.now.Before(end) && ticks < 10_000; ticks++ {
		out := a.step(overlay.Tick{})
		if out.Wake.IsZero() {
			break
		}
		a.now = out.Wake
	}
	if ticks > 3000 {
		t.Errorf("it wanted to be called %d times within an hour", ticks)
	}
}

func ids(from, to int) (list []wire.PeerID) {
	for i := from; i < to; i++ {
		list = append(list, sim.ID(i))
	}
	return list
}

// Inventions fill what is free, and do not push out those that this peer has had a link with.
func TestPoisonedSamples(t *testing.T) {
	a := newAlone(t, overlay.Config{})
	for i := range 9 { // the last five push four out
		a.step(overlay.LinkUp{Peer: sim.ID(i)})
		a.hear(i, overlay.Join{Nonce: 1})
	}
	var first wire.PeerID
	for i := range 9 {
		if a.Neighbor(sim.ID(i)) {
			first = sim.ID(i)
		}
	}
	for i := range 500 {
		a.now = a.now.Add(time.Second)
		a.step(overlay.Tick{})
		a.step(overlay.Receive{From: first, Message: overlay.Shuffle{ID: uint64(i + 1), Origin: sim.ID(5000 + i), TTL: 1,
			Sample: append(ids(10000+10*i, 10000+10*i+7), sim.ID(1000))}})
	}
	known := 0
	for _, id := range a.Passive() {
		if slices.Contains(ids(0, 9), id) {
			known++
		}
		if id == sim.ID(1000) {
			t.Error("a machine knows itself")
		}
	}
	if known == 0 {
		t.Error("everybody that was ever linked was pushed out by inventions")
	}
}

// What nobody asked for does nothing.
func TestUnasked(t *testing.T) {
	a := newAlone(t, overlay.Config{})
	a.neighbour(0)
	a.step(overlay.LinkUp{Peer: sim.ID(1)})
	for _, m := range []overlay.Message{overlay.NeighborAnswer{Nonce: 1, Accepted: true}, overlay.ShuffleReply{ID: 5, Sample: ids(50, 57)},
		overlay.Disconnect{}, nil} {
		if out := a.hear(1, m); len(out.Sends)+len(out.Actions) > 0 {
			t.Errorf("%#v made %+v", m, out)
		}
	}
	if len(a.Passive()) > 0 || len(a.Active()) != 1 {
		t.Errorf("the views are %v and %v", a.Active(), a.Passive())
	}
	if out := a.hear(1, overlay.Shuffle{ID: 5, Origin: sim.ID(1), TTL: 3}); len(out.Sends) != 1 || out.Sends[0].Message != (overlay.Disconnect{}) {
		t.Errorf("somebody who takes this peer for a neighbour is not told that it is none: %+v", out)
	}
	if out := a.hear(77, overlay.Join{Nonce: 1}); len(out.Sends) > 0 {
		t.Error("somebody without a link was answered")
	}
	a.step(overlay.LinkUp{Peer: sim.ID(1000)})
	a.step(overlay.Contacts{Peers: []overlay.Contact{{Peer: sim.ID(1000)}, {}}})
	if len(a.Passive()) > 0 {
		t.Error("a machine knows itself, or nobody")
	}
}

// After Leave a machine does nothing any more, and all it held is released.
func TestLeave(t *testing.T) {
	a := newAlone(t, overlay.Config{})
	a.neighbour(0)
	a.step(overlay.Contacts{Peers: []overlay.Contact{{Peer: sim.ID(3)}}})
	a.now = a.now.Add(3 * time.Second)
	if connects(a.step(overlay.Tick{})) != 1 {
		t.Error("nobody was asked to fill a free place")
	}
	out := a.step(overlay.Leave{})
	released := 0
	for _, x := range out.Actions {
		if _, ok := x.(overlay.Release); ok {
			released++
		}
	}
	if len(out.Sends) != 1 || out.Sends[0].Message != (overlay.Disconnect{Leaving: true}) || released != 2 || !out.Wake.IsZero() {
		t.Errorf("Leave made %+v", out)
	}
	if out := a.hear(0, overlay.Neighbor{Nonce: 9, High: true}); len(out.Sends)+len(out.Actions) > 0 {
		t.Errorf("after it: %+v", out)
	}
}

// A clock that jumps, in either direction, neither stops the timers nor lets all of them run out.
func TestClockJumps(t *testing.T) {
	for _, jump := range []time.Duration{-24 * time.Hour, 24 * time.Hour} {
		a := newAlone(t, overlay.Config{})
		a.neighbour(0)
		a.now = a.now.Add(jump)
		out := a.step(overlay.Tick{})
		if d := out.Wake.Sub(a.now); d < 0 || d > time.Minute {
			t.Errorf("after a jump of %v the machine wants to be woken after %v", jump, d)
		}
		if !a.Neighbor(sim.ID(0)) {
			t.Errorf("a jump of %v costs a neighbour", jump)
		}
	}
}

func TestConfig(t *testing.T) {
	good := overlay.Config{Self: sim.ID(1), Rand: sim.Source(1)}
	for what, c := range map[string]func(*overlay.Config){
		"nobody":         func(c *overlay.Config) { c.Self = wire.PeerID{} },
		"no chance":      func(c *overlay.Config) { c.Rand = nil },
		"a large view":   func(c *overlay.Config) { c.Active = overlay.MaxActive + 1 },
		"a long walk":    func(c *overlay.Config) { c.ActiveWalk = overlay.MaxWalk + 1 },
		"a large sample": func(c *overlay.Config) { c.SampleActive = overlay.MaxSample },
	} {
		bad := good
		c(&bad)
		if _, err := overlay.New(bad); err == nil {
			t.Errorf("a Config with %s was taken", what)
		}
	}
	for n, want := range map[int]int{-1: 5, 0: 5, 6: 5, 90: 5, 91: 6, 1000: 8, 10000: 10, 1 << 40: 29} {
		if got, _ := overlay.Sizes(n); got != want {
			t.Errorf("a room of %d has active views of %d, want %d", n, got, want)
		}
	}
}
