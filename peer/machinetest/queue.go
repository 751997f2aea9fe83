package machinetest

import "time"

// Queue is what will happen in a simulated world: events in the order of their times, those of one time in the order in
// which they were put in. The zero Queue is empty.
type Queue[E any] struct {
	heap []queued[E]
	next uint64
}

type queued[E any] struct {
	at    time.Time
	order uint64
	event E
}

func (a *queued[E]) before(b *queued[E]) bool {
	if !a.at.Equal(b.at) {
		return a.at.Before(b.at)
	}
	return a.order < b.order
}

// Len is how many events are under way.
func (q *Queue[E]) Len() int { return len(q.heap) }

// Push puts in what happens at a time.
func (q *Queue[E]) Push(at time.Time, event E) {
	q.next++
	q.heap = append(q.heap, queued[E]{at, q.next, event})
	for i := len(q.heap) - 1; i > 0; {
		p := (i - 1) / 2
		if !q.heap[i].before(&q.heap[p]) {
			break
		}
		q.heap[i], q.heap[p] = q.heap[p], q.heap[i]
		i = p
	}
}

// Pop takes out what happens first, and tells when, unless that is after end.
func (q *Queue[E]) Pop(end time.Time) (at time.Time, event E, ok bool) {
	if len(q.heap) == 0 || q.heap[0].at.After(end) {
		return at, event, false
	}
	top, last := q.heap[0], len(q.heap)-1
	q.heap[0] = q.heap[last]
	q.heap[last] = queued[E]{}
	q.heap = q.heap[:last]
	for i := 0; ; {
		c := 2*i + 1
		if c >= last {
			break
		}
		if c+1 < last && q.heap[c+1].before(&q.heap[c]) {
			c++
		}
		if !q.heap[c].before(&q.heap[i]) {
			break
		}
		q.heap[i], q.heap[c] = q.heap[c], q.heap[i]
		i = c
	}
	return top.at, top.event, true
}
