package machinetest

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestEventsHappenInOrder(t *testing.T) {
	type event struct{ at, number int }
	var q Queue[event]
	var want, got []event
	r, start := rand.New(rand.NewPCG(1, 2)), time.Unix(0, 0)
	for i := range 1000 {
		e := event{r.IntN(100), i}
		want = append(want, e)
		q.Push(start.Add(time.Duration(e.at)*time.Second), e)
	}
	slices.SortStableFunc(want, func(a, b event) int { return a.at - b.at })
	for end := range 100 {
		for {
			at, e, ok := q.Pop(start.Add(time.Duration(end) * time.Second))
			if !ok {
				break
			}
			if d := at.Sub(start); d != time.Duration(e.at)*time.Second || e.at > end {
				t.Fatalf("what happens after %d s is said to happen after %v, and is taken out at %d s", e.at, d, end)
			}
			got = append(got, e)
		}
	}
	if !slices.Equal(got, want) || q.Len() > 0 {
		t.Errorf("events happen as %v, and %d never: want them by time, and those of one time as they were put in", got, q.Len())
	}
}
