package chat

import (
	"slices"
	"testing"
	"time"

	"peerchat/peer/sim"
	"peerchat/peer/wire"
)

// well fails if something did not hold.
func well(t *testing.T, r *Room) {
	t.Helper()
	r.CheckBounds()
	for _, b := range r.Breaches() {
		t.Error(b)
	}
}

// settled makes a room of n that is settled.
func settled(t *testing.T, cfg Config, n int) *Room {
	t.Helper()
	cfg.Network = home()
	r := New(cfg)
	r.Fill(n, 20*time.Millisecond)
	r.Run(20 * time.Second)
	if _, err := r.Settle(2 * time.Minute); err != nil {
		t.Fatal(err)
	}
	return r
}

// The whole participant gives the same world for the same seed, to the bit, in every process. The hash changes with
// what any of the machines does.
func TestHash(t *testing.T) {
	life := func(seed uint64) *Room {
		net := home()
		net.Loss, net.Duplicate, net.Reorder, net.Rate, net.Buffer = 0.05, 0.05, 50*time.Millisecond, 1e5, 20_000
		r := New(Config{Seed: seed, Network: net})
		r.Fill(40, 100*time.Millisecond)
		r.Churn(0.05, 20*time.Second, r.Born)
		for k := range 20 {
			r.Talk(r.Random(1)[0], 1+k%3)
			r.Run(time.Second)
			if k == 10 {
				r.Partition(func(i int) int { return i % 2 })
			}
		}
		r.Heal()
		r.Run(20 * time.Second)
		well(t, r)
		return r
	}
	a, b, c := life(1), life(1), life(2)
	if a.Hash() != b.Hash() || a.Steps() != b.Steps() {
		t.Errorf("the same seed gave the hashes %x and %x, after %d and %d steps", a.Hash(), b.Hash(), a.Steps(), b.Steps())
	}
	if a.Hash() == c.Hash() {
		t.Error("another seed gave the same hash")
	}
	const want = 0x41a4a6c9e20ec54f
	if a.Hash() != want {
		t.Errorf("after %d steps the hash is %#x, want %#x: if it is meant that the machines do something else, this is the new one", a.Steps(), a.Hash(),
			uint64(want))
	}
}

// What was stored before a crash is said after it, and a number that was used is not used again.
func TestCrash(t *testing.T) {
	r := settled(t, Config{Seed: 1}, 12)
	line := r.CrashSaying(3)
	r.Run(10 * time.Second)
	if n := r.Holders(line); n > 0 {
		t.Errorf("a line that was never sent has reached %d", n)
	}
	r.Begin(3)
	r.Say(3)
	if _, err := r.Settle(time.Minute); err != nil {
		t.Error(err)
	}
	if n := r.Holders(line); n < 11 {
		t.Errorf("the line that was stored before the crash has reached %d of 12", n)
	}
	r.Kill(3)
	r.Forget(3)
	r.Begin(3)
	fresh := r.Say(3)
	r.Run(30 * time.Second)
	if n := r.Holders(fresh); n < 12 {
		t.Errorf("a line after the loss of the log has reached %d of 12", n)
	}
	well(t, r)
}

// What is said without any link goes out when there is one, and nobody keeps its neighbours waiting who is slow.
func TestAlone(t *testing.T) {
	r := settled(t, Config{Seed: 2}, 12)
	r.Partition(func(i int) int { return min(i, 1) })
	r.Run(10 * time.Second)
	lines := r.Talk(0, 30)
	r.Run(5 * time.Second)
	if n := r.Holders(lines[29]); n != 1 {
		t.Errorf("who is alone has %d listeners", n-1)
	}
	r.Heal()
	if _, err := r.Settle(2 * time.Minute); err != nil {
		t.Fatal(err)
	}
	r.Slow(5, 500)
	before := r.Elapsed()
	lines = nil
	for range 50 {
		lines = append(lines, r.Talk(7, 4)...)
		r.Run(20 * time.Millisecond)
	}
	r.Run(time.Second)
	for _, l := range lines {
		if n := r.Holders(l); n < 11 {
			t.Fatalf("one slow peer of 12, and a line said %v after it became slow has reached %d", l.Said-before, n)
		}
	}
	r.Slow(5, 0)
	if _, err := r.Settle(2 * time.Minute); err != nil {
		t.Fatal(err)
	}
	well(t, r)
}

// Who is there is known: a goodbye at once, a death within 10 s.
func TestWhoIsThere(t *testing.T) {
	r := settled(t, Config{Seed: 3}, 60)
	r.Leave(17)
	r.Run(time.Second)
	if why := r.mistaken(); why != "" {
		t.Errorf("1 s after a goodbye: %s", why)
	}
	net := home()
	net.Detect = 5 * time.Second
	r.SetNetwork(net)
	r.Kill(23)
	r.Run(10 * time.Second)
	if why := r.mistaken(); why != "" {
		t.Errorf("10 s after a death: %s", why)
	}
	well(t, r)
}

// A bare room becomes a whole one, which is the same as one that was whole from the start.
func TestAcquaint(t *testing.T) {
	r := New(Config{Seed: 5, Network: home(), Bare: true})
	r.Fill(100, 20*time.Millisecond)
	r.Run(20 * time.Second)
	r.Acquaint()
	if why := r.mistaken(); why != "" {
		t.Errorf("at once: %s", why)
	}
	r.Run(40 * time.Second)
	r.Leave(7)
	r.Enter()
	r.Run(5 * time.Second)
	if why := r.mistaken(); why != "" {
		t.Errorf("5 s after one has left and another has come: %s", why)
	}
	if _, err := r.Settle(time.Minute); err != nil {
		t.Error(err)
	}
	well(t, r)
}

// The aims of docs/gossip.md, for a small room.
func TestAims(t *testing.T) {
	net := sim.Network{Delay: 20 * time.Millisecond, Detect: 5 * time.Second}
	r := New(Config{Seed: 1, Network: net, Active: 5, Passive: 30, Bare: true})
	r.Fill(200, 20*time.Millisecond)
	r.Run(30 * time.Second)
	many := func(senders []int) Result {
		n, sender := Each(senders)
		return r.Measure(n, sender, time.Second, 2*time.Second)
	}
	senders := r.Random(20)
	first := many(senders)
	many(senders)
	stable, one := many(senders), many(slices.Repeat(senders[:1], 5))
	for what, x := range map[string]Result{"the first lines of 20 senders": first, "20 senders": stable, "one sender": one} {
		if x.MaxHops > 12 || x.Least < 1 {
			t.Errorf("%s: %d hops, and a line that reached %.3f: want at most 12, and 1", what, x.MaxHops, x.Least)
		}
	}
	if stable.Redundancy > 0.02 || one.Redundancy > 0.02 || first.Redundancy > 0.05 {
		t.Errorf("the redundancy is %.3f, %.3f with one sender, and %.3f of the first lines: want at most 0.02, 0.02 and 0.05", stable.Redundancy,
			one.Redundancy, first.Redundancy)
	}
	r.Churn(0.01, 30*time.Second, r.Born)
	n, sender := Each(r.Random(1))
	r.Measure(n, sender, time.Second, 10*time.Second)
	r.Partition(func(i int) int { return i % 2 })
	r.Run(30 * time.Second)
	r.Say(r.Random(1)[0])
	r.Heal()
	if _, err := r.Settle(5 * time.Minute); err != nil {
		t.Error(err)
	}
	well(t, r)
}

// Three peers in one house talk fast while much is lost. What one line waits for, all that its author says after it
// waits for, too.
func TestTalkUnderLoss(t *testing.T) {
	net := sim.Network{Delay: 150 * time.Microsecond, Jitter: 100 * time.Microsecond, RoundTrips: 2, Detect: time.Second, Retransmit: 330 * time.Millisecond}
	for loss, most := range map[float64]time.Duration{0: time.Millisecond, 0.05: 50 * time.Millisecond, 0.2: 500 * time.Millisecond} {
		var after []time.Duration
		copies, deliveries := 0, 0
		for seed := range uint64(3) {
			r := New(Config{Seed: seed, Network: net})
			r.Fill(3, 200*time.Millisecond)
			r.Run(5 * time.Second)
			r.Say(0)
			r.Run(time.Second)
			lossy := net
			lossy.Loss = loss
			r.SetNetwork(lossy)
			from := len(r.Lines)
			for range 500 {
				r.Say(0)
				r.Run(20 * time.Millisecond)
			}
			r.Run(3 * time.Second)
			for _, l := range r.Lines[from:] {
				copies, deliveries = copies+l.Copies, deliveries+2
				for _, got := range l.Got[1:] {
					after = append(after, got.After)
				}
			}
		}
		slices.Sort(after)
		p99 := after[len(after)*99/100]
		t.Logf("%.0f %% loss: half within %v, p99 %v, %.2f copies a delivery", 100*loss, after[len(after)/2], p99, float64(copies)/float64(deliveries))
		if len(after) != deliveries || p99 > most || loss == 0 && copies != deliveries {
			t.Errorf("%.0f %% loss: %d of %d came, p99 %v, %d copies: want all, within %v, and without loss no copy too many",
				100*loss, len(after), deliveries, p99, copies, most)
		}
	}
}

// When most die at once, the first line reaches those who are left before a link is seen to end, and the next ones all.
func TestDeaths(t *testing.T) {
	for _, part := range []float64{0.5, 0.8, 0.95} {
		r := New(Config{Seed: 1, Network: sim.Network{Delay: 20 * time.Millisecond, Detect: 5 * time.Second}, Active: 5, Passive: 30, Alone: true, Bare: true})
		r.Fill(300, 20*time.Millisecond)
		r.Run(30 * time.Second)
		n, sender := Each(r.Random(3))
		r.Measure(n, sender, time.Second, 2*time.Second)
		r.Fail(part)
		connected := r.Connected()
		line := r.Say(connected[0])
		r.Run(2 * time.Second)
		if got := r.Reached(line, connected); part < 0.9 && got < len(connected)*9/10 {
			t.Errorf("%.0f %% dead: the first line reaches %d of the %d connected in 2 s, before a link ends: want 90 %%", 100*part, got, len(connected))
		}
		r.Run(33 * time.Second)
		line = r.Say(r.Random(1)[0])
		r.Run(2 * time.Second)
		if got := r.Holders(line); got < r.Living()*95/100 {
			t.Errorf("%.0f %% dead: a line in the fourth cycle reaches %d of %d: want 95 %%", 100*part, got, r.Living())
		}
		if _, err := r.Settle(3 * time.Minute); err != nil {
			t.Errorf("%.0f %% dead: %v", 100*part, err)
		}
		well(t, r)
	}
}

// The mistakes of which a test of the judge must know that it sees them, and that no machine of ours makes.
func TestJudge(t *testing.T) {
	r := settled(t, Config{Seed: 4}, 3)
	r.Say(0)
	r.Run(time.Second)
	x := r.participant(1)
	e := wire.Event{Author: r.ID(0), Seq: 1, Body: []byte("another")}
	r.stored(0, &e)
	r.durable(0, &wire.Event{Author: r.ID(0), Seq: 9})
	x.blame("flood", "it talks too much", true)
	x.blame("claims", "it offers what it does not have", false)
	var got []Invariant
	for _, b := range r.Breaches() {
		got = append(got, b.Invariant)
	}
	if want := []Invariant{Numbers, Durable, Blameless}; !slices.Equal(got, want) {
		t.Errorf("the judge sees %q, want %q", got, want)
	}
}
