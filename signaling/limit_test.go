package signaling

import (
	"testing"
	"time"
)

func TestLimitsOfRequests(t *testing.T) {
	now := time.Unix(1e9, 0)
	may := Limits{Rate: 10, Burst: 20}.requests()
	allow := func(n int, want bool, why string) {
		t.Helper()
		if got := may.AllowN(now, n); got != want {
			t.Errorf("%s: a request that costs %d is let through: %v, want %v", why, n, got, want)
		}
	}
	allow(20, true, "at first the whole burst is there")
	allow(1, false, "then nothing is")
	now = now.Add(500 * time.Millisecond)
	allow(6, false, "half a second gives five")
	allow(5, true, "half a second gives five")
	now = now.Add(time.Hour)
	allow(21, false, "an hour gives no more than the burst")
	allow(20, true, "but the burst")
	may = Limits{Rate: -1, Burst: 20}.requests()
	allow(1e9, true, "without a limit")
	may = Limits{}.withDefaults().requests()
	allow(1001, false, "by default 1,000 at once are let through")
	allow(1000, true, "by default 1,000 at once are let through")
	now = now.Add(time.Second)
	allow(201, false, "and 200 a second")
	allow(200, true, "and 200 a second")
}
