package wire

import (
	"testing"
	"time"
)

func TestHighestTerm(t *testing.T) {
	for _, c := range []struct {
		at        time.Time
		own, want uint64
	}{
		{time.Unix(0, 0), 0, 1 << 20},
		{time.Unix(0, 0), 1 << 30, 1<<30 + 16},
		{time.Date(2025, 1, 1, 1, 0, 0, 0, time.UTC), 0, 3600 << 10},
		{time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), 7, 365 * 86400 << 10},
		{time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), 1<<53 - 1, 1<<53 - 2},
	} {
		if got := HighestTerm(c.at, c.own); got != c.want {
			t.Errorf("at %v, with term %d, the highest term is %d, want %d", c.at, c.own, got, c.want)
		}
	}
}
