package chat

import (
	"slices"
	"time"
)

// Result is what some lines cost and how they got around, on average over the lines where nothing else is said.
type Result struct {
	Lines int
	// Redundancy is the relative message redundancy of the Plumtree paper, section 4.1: copies sent for each peer that
	// was to be reached, less one. Second is the part of it that went from one peer to another more than once.
	Redundancy, Second float64
	// MaxHops is the last delivery hop, the highest of all lines; MeanLast their mean; MeanHops is over all deliveries.
	MaxHops            int
	MeanLast, MeanHops float64
	// Half is when a line had reached half of those it reached, Last the last one; Worst is the highest Last.
	Half, Last, Worst time.Duration
	// Reached is the part of those who were there from beginning to end that held a line when it was looked at, Least
	// the smallest of all lines.
	Reached, Least float64
	// Control is frames without events for each delivery, Of which what.
	Control, Offers, Acks, Asks, Digests float64
	// Bytes is all that was sent for each delivery, Payload the frames with events.
	Bytes, Payload float64
}

// Each lets each of senders say a line, in that order.
func Each(senders []int) (lines int, sender func(k int) int) {
	return len(senders), func(k int) int { return senders[k] }
}

// Measure has lines said, the k-th by sender(k), one each gap, and looks at each after a while.
func (r *Room) Measure(lines int, sender func(k int) int, gap, look time.Duration) Result {
	var res Result
	type watched struct {
		line    *Line
		lives   map[int]int // who was there
		reached float64
	}
	var list []*watched
	traffic := r.Traffic
	for k := range lines {
		w := &watched{lives: r.living()}
		w.line = r.Say(sender(k))
		list = append(list, w)
		r.After(look, func() { w.reached = r.share(w.line, w.lives) })
		r.Run(gap)
	}
	r.Run(max(0, look-gap) + time.Millisecond)
	traffic = r.Traffic.Sub(traffic)
	deliveries, copies, second := 0, 0, 0
	res.Lines, res.Least = len(list), 1
	for _, w := range list {
		res.Reached += w.reached
		res.Least = min(res.Least, w.reached)
		deliveries += max(0, len(w.line.Got)-1)
		copies, second = copies+w.line.Copies, second+w.line.Second
		last := 0
		var after []time.Duration
		for _, got := range w.line.Got {
			if w.lives[got.Peer] == got.Life { // it did not come later, and fetched the line as history
				last = max(last, got.Hops)
				res.MeanHops += float64(got.Hops)
				after = append(after, got.After)
			}
		}
		if len(after) == 0 {
			continue
		}
		res.MaxHops = max(res.MaxHops, last)
		res.MeanLast += float64(last)
		slices.Sort(after)
		res.Half += after[len(after)/2]
		res.Last += after[len(after)-1]
		res.Worst = max(res.Worst, after[len(after)-1])
	}
	of := func(n int) float64 { return float64(n) / float64(max(deliveries, 1)) }
	lines = max(lines, 1)
	res.Redundancy, res.Second = of(copies)-1, of(second)
	res.MeanLast, res.MeanHops = res.MeanLast/float64(lines), res.MeanHops/float64(max(deliveries, 1))
	res.Half, res.Last = res.Half/time.Duration(lines), res.Last/time.Duration(lines)
	res.Reached /= float64(lines)
	res.Offers, res.Acks, res.Digests = of(traffic.Offers), of(traffic.Acks), of(traffic.Digests)
	res.Asks = of(traffic.Grafts + traffic.Prunes + traffic.Wants)
	res.Control = res.Offers + res.Acks + res.Asks + res.Digests
	res.Bytes, res.Payload = of(traffic.Bytes), of(traffic.EventBytes)
	return res
}

// share is the part of those who live on, of lives, that have been reached by a line.
func (r *Room) share(l *Line, lives map[int]int) float64 {
	all, reached := 0, 0
	for i, life := range lives {
		if r.Alive(i) && r.peers[i].lives == life {
			if all++; l.reached[i] {
				reached++
			}
		}
	}
	return float64(reached) / float64(max(all, 1))
}
