package main

import (
	"cmp"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"peerchat/cmd/internal/report"
	"peerchat/peer/sim"
	"peerchat/peer/sim/chat"
)

// rounds is a network in which every message takes as long as the next, as a round in the papers. A death shows late,
// as on a link that is silent when its other end is gone.
func rounds() sim.Network {
	return sim.Network{Delay: 20 * time.Millisecond, Detect: 5 * time.Second}
}

const roundsNote = "A message takes 20 ms, whoever it is for; a death shows on its links after 5 s."

// apart is a network of links of 5 to 50 ms.
func apart() sim.Network {
	n := world()
	n.Detect = 5 * time.Second
	return n
}

const apartNote = "A message takes 5 to 50 ms, a death shows on its links after 5 s."

// talkers is a room of the paper's sizes in which nobody has said anything. Nobody helps a peer when it has come in.
// Presence is left out: the broadcast does not need it, but for the names of members when a peer has lost all whom it
// knew.
func (s *settings) talkers(net sim.Network) *chat.Room {
	r := chat.New(chat.Config{Seed: s.seed, Network: net, Active: 5, Passive: 30, Alone: true, Bare: true})
	r.Fill(s.peers, 5*time.Millisecond)
	r.Run(30 * time.Second)
	s.say("%d peers, %.2f links each", r.Living(), r.Degree())
	return r
}

// judged is the first thing that did not hold in a room, as an error.
func judged(r *chat.Room) error {
	if b := r.Breaches(); len(b) > 0 {
		return b[0]
	}
	return nil
}

// sayAll lets each of senders say a line, one each gap, and looks at each after a while.
func sayAll(r *chat.Room, senders []int, gap, look time.Duration) chat.Result {
	n, sender := chat.Each(senders)
	return r.Measure(n, sender, gap, look)
}

func ms(d time.Duration) string { return fmt.Sprint(d.Milliseconds()) }

// stable is what the broadcast costs and how it goes when nothing goes wrong.
func stable(s *settings) (report.Table, error) {
	t := report.Table{Head: []string{"", "redundancy", "last hop", "mean of it", "until half have it, ms", "until all have it, ms", "reached",
		"frames a delivery: offers", "acknowledgements", "questions", "digests", "bytes a delivery", "of it events"}}
	r := s.talkers(rounds())
	row := func(what string, x chat.Result) {
		t.Row(what, fmt.Sprintf("%.4f", x.Redundancy), fmt.Sprint(x.MaxHops), fmt.Sprintf("%.1f", x.MeanLast), ms(x.Half), ms(x.Last), percent(x.Least)+" %",
			fmt.Sprintf("%.2f", x.Offers), fmt.Sprintf("%.2f", x.Acks), fmt.Sprintf("%.2f", x.Asks), fmt.Sprintf("%.2f", x.Digests),
			fmt.Sprintf("%.0f", x.Bytes), fmt.Sprintf("%.0f", x.Payload))
		s.say("%s: done", what)
	}
	one, many := r.Random(1), r.Random(20)
	row("the room's first line", sayAll(r, one, 0, 3*time.Second))
	sayAll(r, slices.Repeat(one, 3), 2*time.Second, 2*time.Second)
	row("one sender, 10 lines", sayAll(r, slices.Repeat(one, 10), 2*time.Second, 2*time.Second))
	row("20 senders, the first line of each", sayAll(r, many, 2*time.Second, 2*time.Second))
	sayAll(r, many, 2*time.Second, 2*time.Second)
	row("20 senders after that", sayAll(r, many, 2*time.Second, 2*time.Second))
	row("20 senders, 100 lines a second", sayAll(r, slices.Repeat(many, 3), 10*time.Millisecond, 3*time.Second))
	t.Row("Plumtree's paper", "0 when stable; flooding 3", "17 to 18 with many senders, 50 to 78 without optimisation", "", "", "", "100 %", "", "", "", "", "", "")
	if _, err := r.Spread(5 * time.Minute); err != nil {
		return t, err
	}
	t.Note("%d peers, active view 5, passive view 30. %s Redundancy is the paper's: copies for each peer that is to be reached, less one; second copies "+
		"on links whose round trip is not known yet are in it. At the end everybody held everything. Trace %016x.", s.peers, roundsNote, r.Hash())
	return t, judged(r)
}

// deaths is who is reached by the first lines after many die at once, and by those of the cycles after.
func deaths(s *settings) (report.Table, error) {
	t := report.Table{Head: []string{"die", "linked by what is left", "connected", "first lines reach of these in 1 s", "2 s", "5 s", "1 cycle", "lines of cycle 1 reach of all in 2 s",
		"2", "3", "4", "all lines in the end", "papers"}}
	rows, err := atOnce(s.rates, s.deathsOf)
	if err != nil {
		return t, err
	}
	for _, row := range rows {
		t.Row(row...)
	}
	t.Note("%d peers, active view 5, passive view 30, a cycle is %v. Per cent of those who live, but for the first lines, which are said in the moment of the deaths by %d of "+
		"the connected: those who are not cut off from the others because nobody whom they know, or who knows them, lives. Linked are those whom the links that are left "+
		"hold together: all whom a flood could reach. %s The papers show curves; what is given of them here is approximate.",
		s.peers, cycle, firstLines, roundsNote)
	return t, nil
}

// firstLines is how many are said in the moment of the deaths.
const firstLines = 5

func (s *settings) deathsOf(rate int) ([]string, error) {
	paper := map[int]string{80: "first line about 0", 95: "about 90 % after 4 cycles"}
	r := s.talkers(rounds())
	sayAll(r, r.Random(5), time.Second, 2*time.Second)
	from := len(r.Lines)
	r.Fail(float64(rate) / 100)
	part := r.Connected()
	row := []string{fmt.Sprintf("%d %%", rate), percent(r.Graph().Largest()) + " %", percent(float64(len(part))/float64(r.Living())) + " %"}
	reach := func(l *chat.Line) float64 { return float64(r.Holders(l)) / float64(r.Living()) }
	var first []*chat.Line
	for range firstLines {
		first = append(first, r.Say(part[r.Rand().IntN(len(part))]))
	}
	at := make([]float64, 4)
	for k, d := range []time.Duration{time.Second, 2 * time.Second, 5*time.Second - 1, cycle - 1} {
		r.After(d, func() {
			for _, l := range first {
				at[k] += float64(r.Reached(l, part)) / float64(len(part)) / firstLines
			}
		})
	}
	later := make([]float64, 4)
	start := r.Elapsed()
	for k := range later {
		r.Run(start + time.Duration(k+1)*cycle - r.Elapsed())
		l := r.Say(r.Random(1)[0])
		r.Run(2 * time.Second)
		later[k] = reach(l)
	}
	r.Run(time.Minute)
	for _, x := range append(at, later...) {
		row = append(row, percent(x)+" %")
	}
	least := 1.0
	for _, l := range r.Lines[from:] {
		least = min(least, reach(l))
	}
	row = append(row, percent(least)+" %", cmp.Or(paper[rate], "curves only"))
	s.say("%s", strings.Join(row, ", "))
	if linked := r.Graph().Largest(); least < linked {
		return row, fmt.Errorf("%d %% dead: a line is held by %.4f, though %.4f are connected", rate, least, linked)
	}
	return row, judged(r)
}

// atOnce does something for each of a list, on all processors, and returns what came of it in the order of the list.
func atOnce[A, B any](list []A, do func(A) (B, error)) ([]B, error) {
	results, errs := make([]B, len(list)), make([]error, len(list))
	var wg sync.WaitGroup
	free := make(chan struct{}, runtime.GOMAXPROCS(0))
	for i, x := range list {
		free <- struct{}{}
		wg.Go(func() {
			results[i], errs[i] = do(x)
			<-free
		})
	}
	wg.Wait()
	return results, errors.Join(errs...)
}

// trouble is what goes wrong with links and peers all the time.
func trouble(s *settings) (report.Table, error) {
	t := report.Table{Head: []string{"", "redundancy", "of it second copies", "last hop", "until half have it, ms", "until all have it, ms", "worst", "reached in 10 s",
		"everybody holds everything after"}}
	rooms, err := atOnce([]func(*disturbed) error{losses, comings, partition}, func(f func(*disturbed) error) (*disturbed, error) {
		d := &disturbed{Room: s.talkers(apart()), settings: s}
		return d, f(d)
	})
	if err != nil {
		return t, err
	}
	var traces []string
	for _, d := range rooms {
		for _, row := range d.rows {
			t.Row(row...)
		}
		traces = append(traces, fmt.Sprintf("%016x", d.Hash()))
	}
	t.Note("%d peers, active view 5, passive view 30; one room for the losses, one for those who come and go, one for the partition. %s With churn those who come later, too, hold "+
		"everything in the end; it is counted from the end of the churn, and from the heal. Traces %s.", s.peers, apartNote, strings.Join(traces, ", "))
	return t, nil
}

// disturbed is a room in which something goes wrong, with the rows of the table that it has made.
type disturbed struct {
	*chat.Room
	*settings
	rows [][]string
}

// row adds one, when everybody holds everything; since is from when on the time to that counts, zero for since the last
// line.
func (d *disturbed) row(what string, x chat.Result, since time.Duration) error {
	took, err := d.Spread(15 * time.Minute)
	if since == 0 && took > 0 {
		since = d.Elapsed() - took - 10*time.Second
	}
	all := fmt.Sprintf("%.0f s", (d.Elapsed() - since).Seconds())
	if since == 0 {
		all = "10 s, when it was looked at"
	}
	d.rows = append(d.rows, []string{what, fmt.Sprintf("%.3f", x.Redundancy), fmt.Sprintf("%.3f", x.Second), fmt.Sprint(x.MaxHops), ms(x.Half), ms(x.Last), ms(x.Worst),
		percent(x.Least) + " %", all})
	d.say("%s: done", what)
	if err == nil {
		err = judged(d.Room)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// random is a sender of each line by chance.
func (d *disturbed) random(int) int { return d.Random(1)[0] }

// losses are packets that do not arrive.
func losses(d *disturbed) error {
	senders := d.Random(10)
	for range 2 {
		sayAll(d.Room, senders, 2*time.Second, 2*time.Second)
	}
	for _, loss := range []float64{0, 0.05, 0.2} {
		net := apart()
		net.Loss, net.Retransmit = loss, time.Second
		d.SetNetwork(net)
		what := "no loss"
		if loss > 0 {
			sayAll(d.Room, senders, 2*time.Second, 2*time.Second)
			what = fmt.Sprintf("%g %% of packets lost, 1 s to notice on the reliable channel", 100*loss)
		}
		if err := d.row(what, sayAll(d.Room, senders, 2*time.Second, 10*time.Second), 0); err != nil {
			return err
		}
	}
	return nil
}

// comings are peers that come and go.
func comings(d *disturbed) error {
	d.Kill(0) // somebody who is away comes for each who goes
	d.Churn(0.01, 60*time.Second, d.Born)
	d.Run(20 * time.Second)
	since := d.Elapsed()
	x := d.Measure(20, d.random, time.Second, 10*time.Second)
	d.Run(since + 42*time.Second - d.Elapsed())
	return d.row("1 % of the peers replaced each second, random senders", x, d.Elapsed())
}

// partition is a network in two halves, which then are one again.
func partition(d *disturbed) error {
	d.Partition(func(i int) int { return i % 2 })
	d.Run(30 * time.Second)
	parted := d.Measure(10, d.random, time.Second, 10*time.Second)
	d.Heal()
	if err := d.row("parted into halves for 50 s, lines of both; then healed", parted, d.Elapsed()); err != nil {
		return err
	}
	return d.row("after the heal", d.Measure(10, d.random, 2*time.Second, 10*time.Second), 0)
}

// sizes are those of the rooms that grow: powers of ten up to most, and that.
func sizes(most int) (list []int) {
	for n := 10; n < most; n *= 10 {
		list = append(list, n)
	}
	return append(list, most)
}

// whole is a room of n whole participants, but for presence, which Acquaint adds.
func (s *settings) whole(n int) *chat.Room {
	r := chat.New(chat.Config{Seed: s.seed, Network: apart(), Bare: true})
	r.Fill(n, 10*time.Millisecond)
	r.Resize()
	r.Run(time.Minute)
	return r
}

// growth is what the whole participant, presence included, costs as the room grows.
func growth(s *settings) (report.Table, error) {
	t := report.Table{Head: []string{"peers", "links each", "quiet, bytes a second and peer: overlay", "broadcast", "presence", "redundancy", "last hop",
		"until all have a line, ms", "a leave is known to all after", "a death", "a newcomer knows all after"}}
	for _, n := range sizes(s.peers) {
		r := s.whole(n)
		bare := heap()
		r.Acquaint()
		r.Run(5 * time.Second)
		const quiet = 10 * time.Second
		before := r.Traffic
		r.Run(quiet)
		traffic := r.Traffic.Sub(before)
		each := func(bytes int) string { return fmt.Sprintf("%.0f", float64(bytes)/float64(n)/quiet.Seconds()) }
		row := []string{fmt.Sprint(n), fmt.Sprintf("%.1f", r.Degree()), each(traffic.OverlayBytes), each(traffic.Bytes), each(traffic.PresenceBytes)}
		s.say("%d peers are quiet; %.2f KiB of memory each, %.2f without presence", n, float64(heap())/float64(n)/1024, float64(bare)/float64(n)/1024)
		senders := r.Random(5)
		for range 3 {
			sayAll(r, senders, time.Second, 2*time.Second)
		}
		x := sayAll(r, senders, time.Second, 2*time.Second)
		row = append(row, fmt.Sprintf("%.3f", x.Redundancy), fmt.Sprint(x.MaxHops), ms(x.Last))

		start := r.Elapsed()
		gone := r.Random(1)[0]
		r.Leave(gone)
		row = append(row, until(r, start, time.Minute, func() bool { return r.Believers(gone) == 0 }))
		start, gone = r.Elapsed(), r.Random(1)[0]
		r.Kill(gone)
		row = append(row, until(r, start, time.Minute, func() bool { return r.Believers(gone) == 0 }))
		start = r.Elapsed()
		comes := r.Enter()
		row = append(row, until(r, start, time.Minute, func() bool { return r.Knows(comes) == r.Living() }))
		t.Row(row...)
		s.say("%v", row)
		if _, err := r.Spread(time.Minute); err != nil {
			return t, fmt.Errorf("%d peers: %w", n, err)
		}
		r.CheckBounds()
		if err := judged(r); err != nil {
			return t, fmt.Errorf("%d peers: %w", n, err)
		}
		s.say("%d peers, trace %016x", n, r.Hash())
	}
	t.Note("Whole participants: overlay with views as they follow from the size of the room, broadcast, history, presence. %s In the end everybody holds everything.", apartNote)
	return t, nil
}

// turnover is what the whole participant, presence included, costs and does while a hundredth of the peers are replaced
// each second.
func turnover(s *settings) (report.Table, error) {
	t := report.Table{Head: []string{"peers", "bytes a second and peer: overlay", "broadcast", "presence", "redundancy", "last hop", "until half have a line, ms", "until all have it, ms",
		"reached in 10 s", "known though gone, at the end", "unknown though there", "everybody knows all after", "everybody holds everything after"}}
	list := slices.DeleteFunc(sizes(s.peers), func(n int) bool { return n < 100 && n < s.peers }) // of ten, one goes in ten seconds
	rows, err := atOnce(list, s.turnoverOf)
	if err != nil {
		return t, err
	}
	for _, row := range rows {
		t.Row(row...)
	}
	t.Note("Whole participants as above, of which 1 %% are replaced each second, for 40 s: one dies without a word, another comes that was away, with the log that it had. From the 10th second "+
		"on 20 lines are said, one each second, by random members; bytes are those of these 20 s. What a peer knows is the mean over up to 200 of them, and the times count from the end of the churn. %s", apartNote)
	return t, nil
}

func (s *settings) turnoverOf(n int) ([]string, error) {
	r := s.whole(n)
	r.Acquaint()
	r.Run(5 * time.Second)
	r.Kill(0) // somebody who is away comes for each who goes
	const lines, churn = 20, 40 * time.Second
	start := r.Elapsed()
	r.Churn(0.01, churn, r.Born)
	r.Run(10 * time.Second)
	before := r.Traffic
	var traffic chat.Traffic
	r.After(lines*time.Second, func() { traffic = r.Traffic.Sub(before) })
	x := r.Measure(lines, func(int) int { return r.Random(1)[0] }, time.Second, 10*time.Second)
	r.Run(start + churn - r.Elapsed())
	gone, unknown := r.Mistakes()
	s.say("%d peers, churn: done", n)
	end := r.Elapsed()
	knows := until(r, end, 5*time.Minute, func() bool { gone, unknown := r.Mistakes(); return gone == 0 && unknown == 0 })
	holds, err := r.Spread(5 * time.Minute)
	if err != nil {
		return nil, fmt.Errorf("%d peers: %w", n, err)
	}
	held := fmt.Sprintf("%.0f s", (r.Elapsed() - end).Seconds())
	if holds == 0 {
		held = "no more than that"
	}
	r.CheckBounds()
	each := func(bytes int) string { return fmt.Sprintf("%.0f", float64(bytes)/float64(n)/lines) }
	row := []string{fmt.Sprint(n), each(traffic.OverlayBytes), each(traffic.Bytes), each(traffic.PresenceBytes), fmt.Sprintf("%.3f", x.Redundancy), fmt.Sprint(x.MaxHops),
		ms(x.Half), ms(x.Last), percent(x.Least) + " %", fmt.Sprintf("%.1f", gone), fmt.Sprintf("%.1f", unknown), knows, held}
	s.say("%v; trace %016x", row, r.Hash())
	return row, judged(r)
}

// until is how long it took since start, in steps, until ok.
func until(r *chat.Room, start, most time.Duration, ok func() bool) string {
	for !ok() {
		if r.Elapsed()-start > most {
			return fmt.Sprintf("more than %v", most)
		}
		r.Run(50 * time.Millisecond)
	}
	return fmt.Sprintf("%.2f s", (r.Elapsed() - start).Seconds())
}

// heap is the memory in use, in bytes.
func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
