package main

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// Pace of a talk: one peer says a line at every step, and the others by turns one at every fifth.
const (
	talkSlow = 5
	gapExtra = 15 * time.Millisecond // beyond a step: a gap that counts
)

// talkStep is the pace of a talk of n peers: a step of 5 ms for four. In larger groups it is longer, so that the same
// number of lines is shown in all, because all processes share one machine.
func talkStep(n int) time.Duration { return 5 * time.Millisecond * time.Duration(max(3, n-1)) / 3 }

// talk is lines that some peers say to each other while something happens to others. Every line must be shown exactly
// once by each of them.
type talk struct {
	tag    string
	step   time.Duration
	voters []*voter
	fast   int // the one of them that says a line at every step
	stop   chan struct{}
	ended  chan error
	said   [][]time.Time // by each, when
	heard  [][][]arrival // by each, of each
}

// arrival is the first showing of a line, and how often it was shown.
type arrival struct {
	at    time.Time
	times int
}

// startTalk has voters talk until finish.
func startTalk(tag string, voters []*voter) *talk {
	t := &talk{tag: tag, step: talkStep(len(voters)), voters: voters, fast: rand.IntN(len(voters)), stop: make(chan struct{}), ended: make(chan error, 1),
		said: make([][]time.Time, len(voters)), heard: make([][][]arrival, len(voters))}
	for i, v := range voters {
		t.heard[i] = make([][]arrival, len(voters))
		v.heard = func(at time.Time, text string) {
			var tag string
			var by, n int
			if _, err := fmt.Sscanf(text, "%s %d %d", &tag, &by, &n); err != nil || tag != t.tag || by < 0 || by >= len(voters) || n < 0 || n > 1e6 {
				return // of another talk
			}
			of := t.heard[i][by]
			for len(of) <= n {
				of = append(of, arrival{})
			}
			if of[n].times++; of[n].times == 1 {
				of[n].at = at
			}
			t.heard[i][by] = of
		}
	}
	go func() { t.ended <- t.speak() }()
	return t
}

func (t *talk) speak() error {
	tick := time.NewTicker(t.step)
	defer tick.Stop()
	for step := 0; ; step++ {
		for i := range t.voters {
			if i != t.fast && step%(talkSlow*len(t.voters)) != i*talkSlow {
				continue
			}
			t.said[i] = append(t.said[i], time.Now())
			if err := t.voters[i].Say(fmt.Sprintf("%s%s %d %d%s", talkMark, t.tag, i, len(t.said[i])-1, talkMark)); err != nil {
				return err
			}
		}
		select {
		case <-tick.C:
		case <-t.stop:
			return nil
		}
	}
}

// talked is what became of a talk.
type talked struct {
	lines         int // that were to be shown, all listeners taken together
	lost, doubled int
	before, after gaps // of the fast one's lines, in the second before a moment and from it on
}

// gaps are silences on the ways from the fast one to the others.
type gaps struct {
	worst time.Duration
	long  int // ways with one of more than a step and gapExtra
	ways  int
}

// finish ends the talk and awaits that everybody has shown everything.
func (t *talk) finish(moment time.Time) (talked, error) {
	close(t.stop)
	err := <-t.ended
	complete := func() bool {
		for i := range t.voters {
			for j := range t.voters {
				if len(t.heard[i][j]) < len(t.said[j]) {
					return false
				}
				for _, a := range t.heard[i][j] {
					if a.times == 0 {
						return false
					}
				}
			}
		}
		return true
	}
	if err == nil {
		_ = await(t.voters, 20*time.Second, "all lines arrive", complete) // what has not come is counted below
	}
	var out talked
	for i, v := range t.voters {
		v.heard = nil
		for j := range t.voters {
			out.lines += len(t.said[j])
			got := 0
			for _, a := range t.heard[i][j] {
				if a.times > 0 {
					got++
					out.doubled += a.times - 1
				}
			}
			out.lost += len(t.said[j]) - got
		}
		if i != t.fast {
			out.before.add(t.gap(i, moment.Add(-time.Second), moment), t.step+gapExtra)
			out.after.add(t.gap(i, moment, moment.Add(time.Second)), t.step+gapExtra)
		}
	}
	return out, err
}

// gap is the longest time between two arrivals at i of lines that the fast one said in a stretch of time. What the
// speaker itself was late does not count.
func (t *talk) gap(i int, from, to time.Time) (worst time.Duration) {
	said, got := t.said[t.fast], t.heard[i][t.fast]
	for n := 1; n < min(len(said), len(got)); n++ {
		if said[n].Before(from) || said[n].After(to) || got[n].times == 0 || got[n-1].times == 0 {
			continue
		}
		late := max(0, said[n].Sub(said[n-1])-t.step)
		worst = max(worst, got[n].at.Sub(got[n-1].at)-late)
	}
	return worst
}

func (g *gaps) add(worst, limit time.Duration) {
	g.worst = max(g.worst, worst)
	g.ways++
	if worst > limit {
		g.long++
	}
}

func (g *gaps) join(o gaps) {
	g.worst, g.long, g.ways = max(g.worst, o.worst), g.long+o.long, g.ways+o.ways
}
