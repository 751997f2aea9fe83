package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"peerchat/cmd/internal/report"
	"peerchat/peer/overlay"
	"peerchat/peer/sim"
	"peerchat/peer/sim/member"
	"peerchat/peer/wire"
)

// cycle is the time from one shuffle of a peer to its next: what the papers call a cycle.
const cycle = 10 * time.Second

// world is the network of the experiments: 5 to 50 ms one way, the end of a dead peer's links seen after a second.
func world() sim.Network {
	return sim.Network{Delay: 5 * time.Millisecond, Spread: 40 * time.Millisecond, Jitter: 5 * time.Millisecond, RoundTrips: 2, Detect: time.Second}
}

const worldNote = "A message takes 5 to 50 ms, a new link two round trips and a half, a failed one a round trip; a death shows after 1 s."

// crowd makes the room of the paper's experiments: active views of 5 and passive ones of 30; all know one random member
// when they come, one after the other, and nobody helps them later. All run a flood.
func (s *settings) crowd(cfg member.RoomConfig) *member.Room {
	cfg.Sim.Seed, cfg.Sim.Network = s.seed, world()
	cfg.Contacts, cfg.Alone = 1, true
	cfg.Overlay = overlay.Config{Active: 5, Passive: 30, Timing: overlay.Timing{Shuffle: cycle}}
	cfg.Rider = func(int, wire.PeerID, uint64) member.Rider { return member.NewFlood() }
	r := member.NewRoom(cfg)
	r.Build(s.peers, 10*time.Millisecond)
	r.Run(time.Duration(s.rounds) * cycle)
	return r
}

func flood(m *member.Member) *member.Flood { return m.Rider().(*member.Flood) }

// say lets n random peers of the largest connected part say a line each, waits until all lines have gone as far as they
// go, and returns the mean part of the living that a line reached, and its most and mean hops.
func say(r *member.Room, n int, lines *uint64) (reached, last, mean float64) {
	first := *lines
	connected := r.Graph().Components()[0]
	for range n {
		*lines++
		line := member.Line{ID: *lines, Bytes: 100}
		r.Do(connected[r.Rand().IntN(len(connected))], func(p sim.Participant, _ time.Time, out *sim.Output) {
			m := p.(*member.Member)
			flood(m).Say(line, out)
			m.SetWake(out)
		})
	}
	r.Run(900 * time.Millisecond) // less than a death takes to show
	hops, got := 0, 0
	for id := first + 1; id <= *lines; id++ {
		most := 0
		for i := range r.Len() {
			if !r.Alive(i) {
				continue
			}
			if h, ok := flood(r.Member(i)).Seen[id]; ok {
				got++
				hops += h
				most = max(most, h)
				delete(flood(r.Member(i)).Seen, id)
			}
		}
		last += float64(most)
	}
	return float64(got) / float64(n*r.Living()), last / float64(n), float64(hops) / float64(max(got, 1))
}

// accuracy is the mean part of a passive view that is alive.
func accuracy(r *member.Room) float64 {
	sum, n := 0.0, 0
	for i := range r.Len() {
		if !r.Alive(i) {
			continue
		}
		list := r.Member(i).Overlay().Passive()
		if len(list) == 0 {
			continue
		}
		alive := 0
		for _, id := range list {
			if k, ok := r.Index(id); ok && r.Alive(k) {
				alive++
			}
		}
		sum += float64(alive) / float64(len(list))
		n++
	}
	return sum / float64(max(n, 1))
}

// degrees tells how many peers are in how many active views.
func degrees(g *member.Graph) string {
	in := g.InDegrees()
	all := 0
	for _, n := range in {
		all += n
	}
	var list []string
	for d, n := range slices.Backward(in) {
		if n > 0 && len(list) < 6 {
			list = append(list, fmt.Sprintf("%d: %s %%", d, percent(float64(n)/float64(all))))
		}
	}
	return strings.Join(list, ", ")
}

// graph is the overlay after it has settled, beside Table 1 and Figure 5 of the paper.
func graph(s *settings) (report.Table, error) {
	t := report.Table{Head: []string{"", "here", "paper"}}
	r := s.crowd(member.RoomConfig{})
	g := r.Graph()
	mean, longest, inRounds := g.Paths(r.Rand(), 500)
	var lines uint64
	reached, last, _ := say(r, 50, &lines)
	t.Row("peers in the largest connected part", percent(g.Largest())+" %", "100 %")
	t.Row("views that are mutual", percent(g.Symmetric())+" %", "not printed in the paper")
	t.Row("average clustering coefficient", fmt.Sprintf("%.5f", g.Clustering()), "0.00092 (Table 1)")
	t.Row("average shortest path", fmt.Sprintf("%.3f", mean), "6.38542 (Table 1)")
	t.Row("longest shortest path", fmt.Sprint(longest), "not printed in the paper")
	t.Row("last hop of a flood in rounds, mean of 500", fmt.Sprintf("%.1f", inRounds), "9.0 (Table 1)")
	t.Row("with these delays, mean of 50", fmt.Sprintf("%.1f", last), "not measured in the paper")
	t.Row("peers that a flood reaches", percent(reached)+" %", "100 %")
	t.Row("in-degree: peers", degrees(g), "almost all 5 (a figure)")
	t.Row("alive in passive views", percent(accuracy(r))+" %", "not printed in the paper")
	t.Note("%d peers, active view 5, passive view 30, %d cycles after the last has joined. %s With delays a line comes first by the fastest way, which may have more hops than the shortest; in rounds, as in the paper, they are the same. Trace %016x.", s.peers, s.rounds, worldNote, r.Hash())
	return t, nil
}

// fail kills that many per cent of the living at once.
func fail(r *member.Room, rate int) {
	kill := r.Living() * rate / 100
	for _, i := range r.Rand().Perm(r.Len()) {
		if kill > 0 && r.Alive(i) {
			r.Kill(i)
			kill--
		}
	}
}

// outcome is what one failure did: a row of each of two tables.
type outcome struct{ reached, after []string }

// times are when messages are sent after a failure.
func times() []time.Duration {
	return []time.Duration{0, 1100 * time.Millisecond, cycle, 2 * cycle, 3 * cycle, 4 * cycle, 10 * cycle}
}

// roster is how many members a peer tries by name when it has run out of those whom its views know, as one does that
// knows by its presence who was in the room.
const roster = 16

// aftermath lets so many per cent fail and watches ten cycles.
func (s *settings) aftermath(rate int) (outcome, error) {
	r := s.crowd(member.RoomConfig{Roster: roster})
	fail(r, rate)
	largest, alive := r.Graph().Largest(), accuracy(r)
	o := outcome{reached: []string{fmt.Sprintf("%d %%", rate), percent(largest) + " %"},
		after: []string{fmt.Sprintf("%d %%", rate), percent(alive) + " %"}}
	var lines uint64
	since := r.Elapsed()
	for _, at := range times() {
		r.Run(max(0, since+at-r.Elapsed()))
		reached, _, _ := say(r, s.lines, &lines)
		o.reached = append(o.reached, percent(reached)+" %")
	}
	g := r.Graph()
	mean, _, _ := g.Paths(r.Rand(), 200)
	o.after = append(o.after, percent(accuracy(r))+" %", percent(g.Largest())+" %", percent(g.Symmetric())+" %",
		fmt.Sprintf("%.5f", g.Clustering()), fmt.Sprintf("%.2f", mean), degrees(g))
	s.say("%d %% failed: %s; %s", rate, strings.Join(o.reached[1:], ", "), strings.Join(o.after[1:], ", "))
	return o, nil
}

// aftermaths are those of all rates. Two items want to know, and it takes long.
func (s *settings) aftermaths() (list []outcome, err error) {
	if s.outcomes == nil {
		s.outcomes, err = atOnce(s.rates, s.aftermath)
	}
	return s.outcomes, err
}

// failures is who is reached by the first message after a failure, and by those of the cycles after.
func failures(s *settings) (report.Table, error) {
	t := report.Table{Head: []string{"failed", "largest part at once", "first message", "1 s", "1 cycle", "2 cycles", "3 cycles", "4 cycles", "10 cycles", "paper"}}
	paper := map[int]string{80: "first message about 0", 95: "about 90 % after 4 cycles"}
	outcomes, err := s.aftermaths()
	if err != nil {
		return t, err
	}
	for i, o := range outcomes {
		t.Row(append(o.reached, cmp.Or(paper[s.rates[i]], "curves only"))...)
	}
	t.Note("%d peers, active view 5, passive view 30, %d cycles of %v before. Each figure is the mean part of the living that %d messages reach, flooded over the active views by random peers of the largest part. "+
		"%s Who has run out of those whom it knows tries %d random members by name. The paper shows curves; what is given of them here is approximate.", s.peers, s.rounds, cycle, s.lines, worldNote,
		roster)
	return t, nil
}

// repair is the overlay some time after a failure.
func repair(s *settings) (report.Table, error) {
	t := report.Table{Head: []string{"failed", "alive in passive views at once", "after 10 cycles", "largest part", "mutual", "clustering", "shortest path", "in-degree"}}
	outcomes, err := s.aftermaths()
	if err != nil {
		return t, err
	}
	for _, o := range outcomes {
		t.Row(o.after...)
	}
	t.Note("The same %d peers as above; all but the first figure 10 cycles after the failure. None of these is printed in the paper.", s.peers)
	return t, nil
}

// coming is a row of churn: a size of the room, and which part of it is replaced each second.
type coming struct {
	peers int
	rate  float64
}

// churn is a room with sizes as they follow from its own, in which peers come and go.
func churn(s *settings) (report.Table, error) {
	t := report.Table{Head: []string{"peers", "replaced a second", "views", "largest part", "mutual", "a flood reaches", "messages a second and peer", "bytes a second and peer", "new links a minute and peer"}}
	var list []coming
	for _, n := range []int{10, 100, 1000, 10000} {
		if n <= s.peers {
			list = append(list, coming{n, 0}, coming{n, 0.01})
		}
	}
	rows, err := atOnce(list, s.churnOf)
	if err != nil {
		return t, err
	}
	for _, row := range rows {
		t.Row(row...)
	}
	t.Note("Sizes of views as they follow from the size of the room; contacts from a tracker. Those who died within the last second are still in views, "+
		"which is why these are not all mutual; and who has just come has not all neighbours yet. %s", worldNote)
	return t, nil
}

// countLinks has each end of a link counted that opens.
func countLinks(ends *int) func(int, *member.Config) {
	return func(_ int, c *member.Config) {
		c.Before = func(_ *member.Member, in overlay.Input) overlay.Input {
			if _, ok := in.(overlay.LinkUp); ok {
				*ends++
			}
			return in
		}
	}
}

func (s *settings) churnOf(c coming) ([]string, error) {
	sent, size, links := 0, 0, 0
	cfg := member.RoomConfig{Sized: true, Contacts: 8}
	cfg.Sim = sim.Config{Seed: s.seed, Network: world(), OnSend: func(_, _ int, m sim.Send) {
		if _, ok := m.Message.(member.Message); ok {
			sent++
			size += m.Message.Size()
		}
	}}
	cfg.Rider = func(int, wire.PeerID, uint64) member.Rider { return member.NewFlood() }
	cfg.Tune = countLinks(&links)
	r := member.NewRoom(cfg)
	r.Build(c.peers, 10*time.Millisecond)
	r.Resize()
	r.Run(time.Duration(min(s.rounds, 20)) * cycle)
	if c.rate > 0 {
		r.Kill(0) // somebody who is away comes for each who goes
		r.Churn(c.rate, 12*cycle, r.Born)
		r.Run(2 * cycle)
	}
	sent, size, links = 0, 0, 0
	const minutes = 1
	r.Run(minutes * time.Minute)
	g := r.Graph()
	perPeer := func(x int, d float64) string { return fmt.Sprintf("%.1f", float64(x)/float64(r.Living())/d) }
	var lines uint64
	traffic := []string{perPeer(sent, 60*minutes), perPeer(size, 60*minutes), perPeer(links, 2*minutes)}
	reached, _, _ := say(r, 10, &lines)
	active, passive := overlay.Sizes(c.peers)
	s.say("%d peers, churn %g: done", c.peers, c.rate)
	return append([]string{fmt.Sprint(c.peers), fmt.Sprintf("%g %%", 100*c.rate), fmt.Sprintf("%d, %d", active, passive), percent(g.Largest()) + " %",
		percent(g.Symmetric()) + " %", percent(reached) + " %"}, traffic...), nil
}

// percent is a part in per cent: one place after the point, and 100 only for all.
func percent(part float64) string {
	if s := fmt.Sprintf("%.1f", 100*part); part == 1 || s != "100.0" {
		return strings.TrimSuffix(s, ".0")
	}
	return "99.9+"
}
