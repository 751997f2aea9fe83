package presence

import (
	"fmt"
	"testing"
	"time"
)

// ledger keeps who comes and goes, and how late each of the others hears of it.
type ledger struct {
	w      *world
	came   map[*node]time.Time // those who were there from the beginning are not in it
	gone   map[*node]time.Time
	joins  lags
	leaves lags
	deaths lags
	stale  lags // of deaths and leaves, for newcomers: from when they came if that was later
	wrong  int  // how often somebody who is there was taken for gone
	first  string

	ghosts, strangers int // when they were counted last
}

// settledIn is how long somebody must have been there to be held to what all others know.
const settledIn = 10 * time.Second

func newLedger(w *world) *ledger {
	l := &ledger{w: w, came: map[*node]time.Time{}, gone: map[*node]time.Time{}}
	w.onChange = l.hears
	return l
}

func (l *ledger) comes(n *node) {
	l.came[n] = l.w.now
	n.run()
}

func (l *ledger) goes(n *node, dies bool) {
	l.gone[n] = l.w.now
	if dies {
		l.w.kill(n)
	} else {
		l.w.quit(n)
	}
}

// churn has a hundredth of n members go each second, half of them without a word, and as many come.
func (l *ledger) churn(d time.Duration, n int) {
	due := 0.0
	for passed := time.Duration(0); passed < d; passed += meshEvery {
		l.turn(&due, n)
		l.w.advance(meshEvery)
	}
}

// meshEvery is how often those who lack links get some.
const meshEvery = 500 * time.Millisecond

// turn is what happens in meshEvery of a churn.
func (l *ledger) turn(due *float64, n int) {
	w := l.w
	for *due += float64(n) / 100 * meshEvery.Seconds(); *due >= 1; *due-- {
		if o := w.nodes[w.rand.IntN(len(w.nodes))]; o.alive {
			l.goes(o, w.rand.IntN(2) != 0)
		}
		l.comes(w.add(fmt.Sprintf("q%d", len(w.nodes))))
	}
	w.mesh(5, nil)
}

// settle lets time pass in which nobody comes or goes.
func (l *ledger) settle(d time.Duration) {
	for passed := time.Duration(0); passed < d; passed += meshEvery {
		l.w.advance(meshEvery)
		l.w.mesh(5, nil)
	}
}

// hears notes what somebody is told of another.
func (l *ledger) hears(n *node, c Changed) {
	o := l.w.byID[c.Member.Peer]
	came, new := l.came[n]
	switch at, gone := l.gone[o]; {
	case c.What == Joined && !gone:
		if at, ok := l.came[o]; ok && (!new || at.Sub(came) >= settledIn) {
			l.joins.add(l.w.now.Sub(at))
		}
	case c.What != Left:
	case !gone:
		l.wrong++
		if l.first == "" {
			l.first = fmt.Sprintf("%v after the start %s takes %s for gone (%s)", l.w.now.Sub(l.w.start), n.name, o.name, c.Cause)
		}
	case new && at.Sub(came) < settledIn:
		if came.After(at) {
			at = came
		}
		l.stale.add(l.w.now.Sub(at))
	case o.left:
		l.leaves.add(l.w.now.Sub(at))
	default:
		l.deaths.add(l.w.now.Sub(at))
	}
}

// count counts the pairs of which one shows the other though it went more than settledIn ago, or does not know it
// though both came before that.
func (l *ledger) count() {
	l.ghosts, l.strangers = 0, 0
	before := l.w.now.Add(-settledIn)
	var ghost, there []*node
	for _, o := range l.w.nodes {
		switch at, gone := l.gone[o]; {
		case gone && at.Before(before):
			ghost = append(ghost, o)
		case o.alive && l.came[o].Before(before):
			there = append(there, o)
		}
	}
	for _, n := range there {
		for _, o := range ghost {
			if _, known := n.m.Lookup(o.id); known {
				l.ghosts++
			}
		}
		_, new := l.came[n]
		for _, o := range there {
			if _, newer := l.came[o]; !new && !newer {
				continue
			}
			if _, known := n.m.Lookup(o.id); !known {
				l.strangers++
			}
		}
	}
}

// fewGo is up to how many members of whom it may be that nobody goes in a churn.
const fewGo = 20

// judge holds the room to what is promised; a newcomer has known everybody after a while in the calm.
func (l *ledger) judge(t *testing.T, newcomer time.Duration) {
	if l.wrong > 0 {
		t.Errorf("somebody who was there was taken for gone %d times: %s", l.wrong, l.first)
	}
	for _, c := range []struct {
		what string
		lags *lags
		most time.Duration
	}{{"joins", &l.joins, 3 * time.Second}, {"leaves", &l.leaves, 3 * time.Second}, {"deaths", &l.deaths, 10 * time.Second},
		{"departures that newcomers heard of", &l.stale, 10*time.Second + newcomer}} {
		if c.lags.n == 0 && len(l.w.nodes) > fewGo || c.lags.n > 0 && c.lags.within(1) > c.most {
			t.Errorf("%s: %v, want some, and %v at most", c.what, c.lags, c.most)
		}
	}
	if l.count(); l.ghosts+l.strangers > 0 {
		t.Errorf("%d times somebody is shown who went more than %v ago, and %d times one not who came before that", l.ghosts, settledIn, l.strangers)
	}
}

func (l *ledger) String() string {
	return fmt.Sprintf("joins %v; leaves %v; deaths %v; for newcomers %v; wrong %d; ghosts %d, strangers %d",
		&l.joins, &l.leaves, &l.deaths, &l.stale, l.wrong, l.ghosts, l.strangers)
}

// lags counts how long something took, in tenths of a second.
type lags struct {
	counts []int
	n      int
}

func (l *lags) add(d time.Duration) {
	i := int(d / (100 * time.Millisecond))
	for len(l.counts) <= i {
		l.counts = append(l.counts, 0)
	}
	l.counts[i]++
	l.n++
}

// within is how long a part of all took at most, to a tenth of a second.
func (l *lags) within(part float64) time.Duration {
	seen := 0
	for i, c := range l.counts {
		if seen += c; float64(seen) >= part*float64(l.n) {
			return time.Duration(i+1) * 100 * time.Millisecond
		}
	}
	return 0
}

func (l *lags) String() string {
	return fmt.Sprintf("%d: half within %v, 99 %% %v, 99.99 %% %v, all %v", l.n, l.within(0.5), l.within(0.99), l.within(0.9999), l.within(1))
}
