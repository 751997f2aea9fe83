package presence

import (
	"fmt"
	"testing"
	"time"
)

// growth is what it takes that a room comes together, for each pair of its members.
type growth struct {
	messages, records, checks, repeats float64
	all                                time.Duration // from the last arrival until all know all
}

// grow has n members come, so many a second. Each takes the place of one end of a few links, as the overlay has it.
func grow(t *testing.T, seed uint64, n, rate int) (r growth) {
	w := newWorld(t, seed)
	w.lean = true
	w.delay = [2]time.Duration{10 * time.Millisecond, 50 * time.Millisecond}
	const places, most, least = 4, 8, 2
	for i := range n {
		p := w.add(fmt.Sprintf("p%d", i))
		p.run()
		for range min(i, places) {
			o := w.nodes[w.rand.IntN(i)]
			w.link(p, o)
			if len(o.links) <= most {
				continue
			}
			if l := o.links[w.rand.IntN(len(o.links))]; l.to != p && len(l.to.links) > least {
				w.unlink(o, l)
				w.link(p, l.to)
			}
		}
		w.advance(time.Second / time.Duration(rate))
	}
	strangers := func() (lacking int) {
		for _, p := range w.nodes {
			lacking += n - p.m.Count()
		}
		return lacking
	}
	last := w.now
	for strangers() != 0 {
		if w.now.Sub(last) > time.Minute {
			t.Fatalf("a minute after the last of %d has come, at %d a second, %d times somebody does not know somebody (seed %d)", n, rate, strangers(), seed)
		}
		w.advance(50 * time.Millisecond)
	}
	pairs := float64(n) * float64(n-1)
	r.all = w.now.Sub(last)
	for kind, v := range w.sent {
		r.messages += float64(v.messages) / pairs
		if kind == "records" {
			r.records = float64(v.messages) / pairs
		}
	}
	for _, p := range w.nodes {
		r.checks += float64(p.m.stats.Checks) / pairs
		r.repeats += float64(p.m.stats.Repeats) / pairs
	}
	if len(w.faults) > 0 {
		t.Errorf("faults were reported: %.5q (seed %d)", w.faults, seed)
	}
	return r
}

// While a room fills, each member is told of by fewer and fewer messages, because those who come travel together, and
// its signature is checked once by each other.
func TestManyComeTogether(t *testing.T) {
	const seed = 7
	few, many := grow(t, seed, 50, 10), grow(t, seed, 400, 10)
	t.Logf("50: %+v; 400: %+v", few, many)
	if many.checks > 1.01 {
		t.Errorf("each of 400 that came checked the signature of each other %.2f times (seed %d)", many.checks, seed)
	}
	if many.messages > few.messages/2 || many.messages > 1.5 {
		t.Errorf("for a pair of members %.2f messages were sent while 400 came, and %.2f while 50 did (seed %d)", many.messages, few.messages, seed)
	}
	if many.all > 10*time.Second {
		t.Errorf("the last of 400 that came was known to all after %v (seed %d)", many.all, seed)
	}
}

// Who has promised a period goes on with it while the room grows or shrinks to about half of that: a new promise is a
// signature that all have to check.
func TestAPromiseLastsWhileTheRoomGrows(t *testing.T) {
	l := alone(t, 2)
	signed := func(members int) int {
		l.m.table.members = members // as far as the promise is concerned
		before := l.m.signings
		l.m.again = true
		l.m.speak(l.m.now)
		l.advance(time.Second)
		return l.m.signings - before
	}
	for _, c := range []struct{ members, want int }{{400, 0}, {990, 0}, {1050, 1}, {2000, 0}, {600, 0}, {400, 1}} {
		if got := signed(c.members); got != c.want {
			t.Errorf("in a room of %d a member signed %d records, want %d; it promises %v", c.members, got, c.want, l.m.said.lasts())
		}
	}
}
