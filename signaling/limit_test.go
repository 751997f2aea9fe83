package signaling

import (
	"testing"
	"time"
)

func TestBucket(t *testing.T) {
	now := time.Unix(1e9, 0)
	var b Bucket
	take := func(n float64, want bool, why string) {
		t.Helper()
		if got := b.Take(now, n, 10, 20); got != want {
			t.Errorf("%s: taking %g is %v, want %v", why, n, got, want)
		}
	}
	take(20, true, "it begins full")
	take(1, false, "then it is empty")
	now = now.Add(500 * time.Millisecond)
	take(6, false, "half a second gives five")
	take(5, true, "half a second gives five")
	now = now.Add(-time.Second)
	take(1, false, "a clock that jumps back gives nothing")
	now = now.Add(time.Hour)
	take(21, false, "it never holds more than the burst")
	take(20, true, "but the burst")
	now = now.Add(-24 * time.Hour)
	take(1, false, "a clock that jumps back far gives nothing")
	now = now.Add(time.Second)
	take(10, true, "but starts again from there")
	if !b.Take(now, 1e9, 0, 0) {
		t.Errorf("no rate is no limit")
	}
}
