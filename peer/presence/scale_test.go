package presence

import (
	"cmp"
	"flag"
	"fmt"
	"math"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

var (
	scale      = flag.String("scale", "", "print the table of docs/presence.md for rooms of these sizes, parted by commas")
	scaleQuiet = flag.Duration("scale-quiet", 60*time.Second, "how long the quiet of -scale lasts")
	scaleChurn = flag.Duration("scale-churn", 20*time.Second, "how long the churn of -scale lasts")
	scaleDie   = flag.Int("scale-die", 80, "how many per cent die at once in TestScaleDeaths")
)

// TestScale measures what a room costs its members as it grows. Without -scale it only does so for a small one.
func TestScale(t *testing.T) {
	for _, n := range scales(t) {
		r := measure(t, n)
		progress("%+v", r)
		if r.newcomer > 30*time.Second || r.leave > 5*time.Second || r.death > 10*time.Second {
			t.Errorf("a room of %d: %+v", n, r)
		}
		r.book.judge(t, r.newcomer)
	}
}

// scales are the sizes of the rooms to measure.
func scales(t *testing.T) (sizes []int) {
	for s := range strings.SplitSeq(cmp.Or(*scale, "200"), ",") {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatal(err)
		}
		sizes = append(sizes, n)
	}
	return sizes
}

// TestScaleDeaths measures how soon all know that most of a room died at once: of those who had a neighbour that lives,
// by its report, of the others by the roll call.
func TestScaleDeaths(t *testing.T) {
	for _, n := range scales(t) {
		w := settled(t, n)
		book := newLedger(w)
		for i := range n * *scaleDie / 100 {
			book.goes(w.nodes[i], true)
		}
		start, pairs := w.now, len(book.gone)*(n-len(book.gone))
		for book.deaths.n < pairs && w.now.Sub(start) < 2*time.Minute {
			book.settle(time.Second)
			progress("%d members, after %v: known of the dead: %.2f %%", n, w.now.Sub(start), 100*float64(book.deaths.n)/float64(pairs))
		}
		progress("%v", book)
		if book.wrong > 0 || book.deaths.n < pairs || len(w.faults) > 0 {
			t.Errorf("a room of %d, of which %d %% died at once: want that all know all of them within two minutes, and nobody else is taken for gone; after %v: %v; faults %.5q",
				n, *scaleDie, w.now.Sub(start), book, w.faults)
		}
	}
}

// result is what a room of some size costs.
type result struct {
	members         int
	quiet, churn    cost
	newcomer        time.Duration // until it knows everybody, while all is quiet
	newcomerBytes   int
	leave, death    time.Duration // until all know it
	missing, ghosts float64       // under churn, members that are not known, and that are known though they are gone, on average
	bytesPerRecord  int
	book            *ledger // of the churn, and until 20 s after it
}

// cost is per member and second.
type cost struct {
	bytes, messages, checks float64
	most                    float64 // bytes of the member that sends most
	cpu                     time.Duration
}

// settled makes a world of n members, five links each, who have known each other for long.
func settled(t *testing.T, n int) *world {
	w := newWorld(t, uint64(n))
	w.lean = true
	w.delay = [2]time.Duration{10 * time.Millisecond, 50 * time.Millisecond}
	period := min(max(30, n*60/1000), MaxPeriod)
	var template table
	for i := range n {
		p := w.add(fmt.Sprintf("p%d", i))
		age := uint32(w.rand.IntN(period * 92 / 10))
		r := sealed(p.key, record{version: version{1_790_000_000_000, 1, 5}, period: uint16(period), name: p.name})
		r.mark = markOf(r.peer, r.version)
		w.shared[saying{r.sig, r.Beat}] = &r
		at := uint32(origin/(100*time.Millisecond)) - age
		template.insert(entry{rec: &r, first: at, heard: at})
	}
	for _, p := range w.nodes {
		p.wish = Self{}
		p.run() // says nothing yet
		w.faults = nil
		p.wish = Self{Name: p.name}
		m := p.m
		for b := range template.buckets {
			m.table.buckets[b] = slices.Clone(template.buckets[b])
		}
		m.table.size, m.table.members, m.intro[0].count = n, n, n
	}
	for _, p := range w.nodes {
		for range 20 {
			if o := w.nodes[w.rand.IntN(n)]; len(p.links) < 5 && len(o.links) < 5 {
				w.link(p, o)
			}
		}
	}
	for _, p := range w.nodes {
		m := p.m
		e := m.table.find(p.id)
		m.wish, m.member, m.said, m.run, m.signings = p.wish, true, e.rec, e.rec.Run, 1
		age := time.Duration(m.stamp()-e.heard) * 100 * time.Millisecond
		m.refresh = m.now + max(m.said.lasts()*92/100-age, time.Millisecond)
		p.step(Tick{})
	}
	w.mesh(5, nil)
	w.advance(40 * time.Second) // the tree is there
	return w
}

// during measures what d costs, while f is called every half a second.
func (w *world) during(d time.Duration, f func()) (c cost) {
	checks := func() (n int) {
		for _, p := range w.nodes {
			if p.alive {
				n += p.m.stats.Checks
			}
		}
		return n
	}
	alive := 0
	for _, p := range w.nodes {
		p.sent = tally{}
		if p.alive {
			alive++
		}
	}
	before, start := checks(), cpuTime()
	for passed := time.Duration(0); passed < d; passed += 500 * time.Millisecond {
		f()
		w.advance(500 * time.Millisecond)
	}
	seconds := d.Seconds() * float64(alive)
	c.cpu = time.Duration(float64(cpuTime()-start) / seconds)
	c.checks = float64(checks()-before) / seconds
	for _, p := range w.nodes {
		c.bytes += float64(p.sent.bytes) / seconds
		c.messages += float64(p.sent.messages) / seconds
		c.most = max(c.most, float64(p.sent.bytes)/d.Seconds())
	}
	return c
}

// untilAllKnow is how long it takes until everybody has seen a member go.
func (w *world) untilAllKnow(gone *node) time.Duration {
	left, start, last := 0, w.now, w.now
	w.onChange = func(_ *node, c Changed) {
		if c.What == Left && c.Member.Peer == gone.id {
			left++
			last = w.now
		}
	}
	w.advance(15 * time.Second)
	w.onChange = nil
	alive := 0
	for _, p := range w.nodes {
		if p.alive {
			alive++
		}
	}
	if left != alive {
		return time.Hour
	}
	return last.Sub(start)
}

// progress is for those who wait for the table.
func progress(format string, args ...any) {
	if *scale != "" {
		fmt.Printf(format+"\n", args...)
	}
}

func measure(t *testing.T, n int) (r result) {
	if n >= 3000 {
		defer debug.SetGCPercent(debug.SetGCPercent(25))
	}
	w := settled(t, n)
	r.members = n
	clear(w.sent)
	r.quiet = w.during(*scaleQuiet, func() {})
	progress("quiet %+v", r.quiet)
	for k, v := range w.sent {
		progress("quiet %s: %.0f bytes, %.2f messages", k, float64(v.bytes)/scaleQuiet.Seconds()/float64(n), float64(v.messages)/scaleQuiet.Seconds()/float64(n))
	}

	w.quit(w.nodes[n/3])
	r.leave = w.untilAllKnow(w.nodes[n/3])
	progress("leave %v", r.leave)
	w.kill(w.nodes[n/2])
	r.death = w.untilAllKnow(w.nodes[n/2])

	p := w.add("newcomer")
	p.run()
	start := w.now
	for len(p.links) < 5 && len(p.links) < n/2 {
		w.link(p, w.nodes[w.rand.IntN(n)])
	}
	for p.m.Count() < n-1 && w.now.Sub(start) < time.Minute {
		w.advance(20 * time.Millisecond)
	}
	r.newcomer, r.newcomerBytes = w.now.Sub(start), p.got.bytes
	progress("newcomer %v, %d bytes", r.newcomer, r.newcomerBytes)
	r.bytesPerRecord = weigh(t, p.m)
	if len(w.faults) > 0 {
		t.Errorf("faults were reported: %.5q", w.faults)
	}

	due := 0.0
	clear(w.sent)
	r.book = newLedger(w)
	r.churn = w.during(*scaleChurn, func() { r.book.turn(&due, n) })
	for k, v := range w.sent {
		progress("churn %s: %.0f bytes, %.1f messages", k, float64(v.bytes)/scaleChurn.Seconds()/float64(n), float64(v.messages)/scaleChurn.Seconds()/float64(n))
	}
	r.missing, r.ghosts = w.errors()
	progress("churn %+v, missing %v ghosts %v", r.churn, r.missing, r.ghosts)
	for range 4 {
		r.book.settle(5 * time.Second)
		r.book.count()
		progress("%v: %v", w.now.Sub(w.start), r.book)
	}
	w.onChange = nil
	return r
}

// weigh is what a machine keeps for each record that another one knows.
func weigh(t testing.TB, of *Machine) int {
	l := alone(t, 2)
	l.hear(2, &summary{count: MaxMembers})
	l.m.check = of.check
	before, n := heap(), 0
	for e := range of.table.all() {
		l.hearRecords(2, *e.rec)
		n++
		if n%100 == 0 {
			l.advance(100 * time.Millisecond)
			l.reset()
		}
	}
	l.reset()
	if l.m.Count() < n/2 {
		t.Errorf("of %d records %d were taken", n, l.m.Count())
	}
	after := heap()
	runtime.KeepAlive(l)
	return (after - before) / n
}

func heap() int {
	var s runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&s)
	return int(s.HeapAlloc)
}

// errors counts, on average of a sample in which there are newcomers, too, who is missing and who is a ghost.
func (w *world) errors() (missing, ghosts float64) {
	sample := 0
	for i, n := range w.nodes {
		if !n.alive || i%max(1, len(w.nodes)/50) != 0 {
			continue
		}
		sample++
		for _, o := range w.nodes {
			if _, known := n.m.Lookup(o.id); known && !o.alive {
				ghosts++
			} else if !known && o.alive {
				missing++
			}
		}
	}
	return math.Round(missing / float64(sample)), math.Round(ghosts / float64(sample))
}
