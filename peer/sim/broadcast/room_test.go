package broadcast

import (
	"flag"
	"slices"
	"testing"
	"time"

	"peerchat/peer/sim"
)

var (
	peers = flag.Int("peers", 100, "how many peers the tables of docs/gossip.md are made with: 10,000 there")
	part1 = flag.Float64("failed", -1, "the only part that TestFailures ends; -1: all")
	seed  = flag.Uint64("seed", 1, "where chance begins")
)

// alike is a network in which every message takes 20 ms, as in the papers a round; apart one with links of 5 to 50 ms.
func alike() sim.Network { return sim.Network{Delay: 20 * time.Millisecond, Detect: 5 * time.Second} }
func apart() sim.Network {
	return sim.Network{Delay: 5 * time.Millisecond, Spread: 40 * time.Millisecond, Jitter: 5 * time.Millisecond, Detect: 5 * time.Second}
}

func room(t *testing.T, net sim.Network) *Room {
	t.Helper()
	start := time.Now()
	r := New(Config{Seed: *seed, Network: net, Active: 5, Passive: 30})
	r.Fill(*peers, 5*time.Millisecond)
	r.Run(time.Minute)
	t.Logf("%d peers, %.2f links each, built in %v", r.Living(), r.degree(), time.Since(start).Round(time.Second))
	return r
}

func (r *Room) degree() float64 {
	n := 0
	for _, out := range r.Graph().Mutual().Out {
		n += len(out)
	}
	return float64(n) / float64(r.Living())
}

func show(t *testing.T, what string, x Result) {
	t.Helper()
	t.Logf("| %s | %.4f (%.4f) | %d | %.1f | %v | %v | %v | %.4f (%.4f) | %.2f = %.2f + %.2f + %.2f + %.2f | %.0f (%.0f) |", what, x.Redundancy, x.Second, x.MaxHops,
		x.MeanLast, x.Half.Round(time.Millisecond), x.Last.Round(time.Millisecond), x.Worst.Round(time.Millisecond), x.Reached, x.Least, x.Control, x.Offers, x.Acks, x.Asks, x.Digests,
		x.Bytes, x.Payload)
}

const header = "| | redundancy (second copies) | last hop | mean of it | half | last | worst | reached (least) | control = offers + acks + asks + digests | bytes (payload) |"

// say has each of senders say a line.
func (r *Room) say(senders []int, gap, look time.Duration) Result {
	n, sender := Each(senders)
	return r.Measure(n, sender, gap, look)
}

// same is n times the same sender.
func same(i, n int) []int { return slices.Repeat([]int{i}, n) }

func TestStable(t *testing.T) {
	t.Log(header)
	for what, net := range map[string]sim.Network{"alike": alike(), "apart": apart()} {
		t.Run(what, func(t *testing.T) {
			r := room(t, net)
			first := r.say(same(0, 1), 3*time.Second, 3*time.Second)
			show(t, "first line of the room", first)
			r.say(same(0, 3), 2*time.Second, 2*time.Second)
			one := r.say(same(0, 10), 2*time.Second, 2*time.Second)
			show(t, "one sender", one)
			senders := r.Random(20)
			news := r.say(senders, 2*time.Second, 2*time.Second)
			show(t, "first lines of 20 senders", news)
			r.say(senders, 2*time.Second, 2*time.Second)
			many := r.say(senders, 2*time.Second, 2*time.Second)
			show(t, "20 senders", many)
			busy := r.say(append(slices.Clone(senders), senders...), 10*time.Millisecond, 3*time.Second)
			show(t, "20 senders, 100 lines a second", busy)
			for _, x := range []Result{one, many} {
				if x.Redundancy > 0.02 || x.Least < 1 {
					t.Errorf("redundancy %.4f, %.4f reached at least: want at most 0.02, and all", x.Redundancy, x.Least)
				}
			}
			if what == "alike" && (many.MaxHops > 12 || news.MaxHops > 12 || news.Redundancy > 0.05) {
				t.Errorf("up to %d hops, %d for first lines, and redundancy %.3f of those: want at most 12, 12 and 0.05", many.MaxHops, news.MaxHops, news.Redundancy)
			}
		})
	}
}

func TestLoss(t *testing.T) {
	t.Log(header)
	r := room(t, apart())
	senders := r.Random(5)
	for range 2 {
		r.say(senders, 2*time.Second, 2*time.Second)
	}
	for _, loss := range []float64{0, 0.05, 0.2} {
		net := apart()
		net.Loss, net.Retransmit = loss, time.Second
		r.SetNetwork(net)
		r.say(senders, 2*time.Second, 2*time.Second)
		x := r.say(append(slices.Clone(senders), senders...), 2*time.Second, 10*time.Second)
		show(t, map[float64]string{0: "no loss", 0.05: "5 % loss", 0.2: "20 % loss"}[loss], x)
		if x.Least < 1 {
			t.Errorf("with a loss of %.2f a line reached %.4f in 10 s: want all", loss, x.Least)
		}
	}
}

// Three peers in one house talk fast while much is lost. What one line waits for, all that its author says after it waits for, too.
func TestTalkUnderLoss(t *testing.T) {
	net := sim.Network{Delay: 150 * time.Microsecond, Jitter: 100 * time.Microsecond, RoundTrips: 2, Detect: time.Second, Retransmit: 330 * time.Millisecond}
	for loss, most := range map[float64]time.Duration{0: time.Millisecond, 0.05: 50 * time.Millisecond, 0.2: 120 * time.Millisecond} {
		var after []time.Duration
		copies, deliveries := 0, 0
		for seed := range uint64(3) {
			r := New(Config{Seed: seed, Network: net})
			r.Fill(3, 200*time.Millisecond)
			r.Run(5 * time.Second)
			r.say([]int{0}, time.Second, time.Second)
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

func TestChurn(t *testing.T) {
	r := room(t, apart())
	t.Log(header)
	r.say(r.Random(5), 2*time.Second, 2*time.Second)
	r.Churn(0.01, 90*time.Second, r.Born)
	r.Run(10 * time.Second)
	from := len(r.Lines)
	regular := r.Random(1)[0]
	for what, sender := range map[string]func(int) int{
		"1 %/s, a sender that stays as long as it lives": func(int) int {
			if !r.Alive(regular) {
				regular = r.Random(1)[0]
			}
			return regular
		},
		"1 %/s, random senders": func(int) int { return r.Random(1)[0] },
	} {
		show(t, what+", after 2 s", r.Measure(20, sender, time.Second, 2*time.Second))
		show(t, what+", after 10 s", r.Measure(10, sender, time.Second, 10*time.Second))
	}
	lines := r.Lines[from:]
	r.Run(2 * time.Minute)
	short := 0
	for _, l := range lines {
		if r.Holders(l) < r.Living() {
			short++
		}
	}
	t.Logf("at the end %d of %d lines are not held by all who live", short, len(lines))
	if short > 0 {
		t.Errorf("%d lines are missing somewhere: want none", short)
	}
}

func TestPartition(t *testing.T) {
	r := room(t, apart())
	senders := r.Random(10)
	r.say(senders, time.Second, 2*time.Second)
	r.Partition(func(i int) int { return i % 2 })
	r.Run(30 * time.Second)
	var lines []*Line
	for _, i := range senders {
		lines = append(lines, r.Say(i))
		r.Run(time.Second)
	}
	parted := r.Holders(lines[0])
	r.Heal()
	took := time.Duration(-1)
	start := r.Elapsed()
	for r.Elapsed()-start < 10*time.Minute {
		r.Run(time.Second)
		if !slices.ContainsFunc(lines, func(l *Line) bool { return r.Holders(l) < r.Living() }) {
			took = r.Elapsed() - start
			break
		}
	}
	t.Logf("a line reached %d of %d while they were parted; after the heal all lines were everywhere within %v", parted, r.Living(), took)
	if took < 0 {
		t.Error("10 minutes after the heal some lines are missing")
	}
	x := r.say(senders, 2*time.Second, 5*time.Second)
	show(t, "after the heal", x)
}

// TestFailures ends a part of all peers at once, and has a survivor speak at that very moment. The connected are those whom knowledge of
// each other, in views, holds together then; nobody gets help from outside.
func TestFailures(t *testing.T) {
	t.Log("| links end after | failed | connected | of these the first line reaches in 1 s | 2 s | 5 s | 10 s | of all in 10 s | 40 s | lines said 10 s after | 20 s | 30 s | 40 s | in the end |")
	for _, detect := range []time.Duration{5 * time.Second, time.Second} {
		for _, part := range []float64{0.8, 0.95, 0.5, 0.9, 0.3, 0.7, 0.1, 0.2, 0.4, 0.6} {
			if *part1 >= 0 && part != *part1 {
				continue
			}
			fail(t, detect, part)
		}
	}
}

func fail(t *testing.T, detect time.Duration, part float64) {
	net := alike()
	net.Detect = detect
	r := New(Config{Seed: *seed, Network: net, Active: 5, Passive: 30, Roster: 16})
	r.Fill(*peers, 5*time.Millisecond)
	r.Run(time.Minute)
	r.say(r.Random(5), time.Second, 2*time.Second)
	from := len(r.Lines)
	r.Fail(part)
	group := r.Connected()
	first := r.Say(group[r.Rand().IntN(len(group))])
	all := func(l *Line) float64 { return 100 * float64(r.Holders(l)) / float64(r.Living()) }
	connected := func(l *Line) float64 {
		n := 0
		for _, i := range group {
			if l.reached[i] {
				n++
			}
		}
		return 100 * float64(n) / float64(len(group))
	}
	var at [4]float64
	for i, d := range []time.Duration{time.Second, 2 * time.Second, 5*time.Second - time.Millisecond, 10 * time.Second} {
		r.After(d, func() { at[i] = connected(first) })
	}
	var late [2]float64
	for i, d := range []time.Duration{10 * time.Second, 40 * time.Second} {
		r.After(d, func() { late[i] = all(first) })
	}
	var later [4]float64
	for i := range later {
		r.Run(10*time.Second - time.Millisecond)
		l := r.Say(r.Random(1)[0])
		r.After(2*time.Second, func() { later[i] = all(l) })
	}
	r.Run(3 * time.Minute)
	end := 100.0
	for _, l := range r.Lines[from:] {
		end = min(end, all(l))
	}
	t.Logf("| %v | %.0f %% | %.1f | %.1f | %.1f | %.1f | %.1f | %.1f | %.1f | %.1f | %.1f | %.1f | %.1f | %.2f |", detect, 100*part,
		100*float64(len(group))/float64(r.Living()), at[0], at[1], at[2], at[3], late[0], late[1], later[0], later[1], later[2], later[3], end)
	if end < 100 {
		t.Errorf("with %.0f %% dead the lines of the rest are held by %.2f %% of them at the end: want all", 100*part, end)
	}
	if part == 0.8 && at[2] < 90 {
		t.Errorf("with %.0f %% dead the first line reaches %.1f %% of the connected before a link is seen to end: want 90 %%", 100*part, at[2])
	}
	if later[3] < 95 {
		t.Errorf("with %.0f %% dead a line said 40 s after reaches %.1f %% of the living: want 95 %%", 100*part, later[3])
	}
}
