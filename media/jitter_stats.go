package media

import (
	"math"
	"time"
)

// JitterStats counts packets since the buffer was made: Received and Filled together are Played, Late, Duplicate,
// Refused, Dropped, and what is still queued or was thrown away by a restart.
type JitterStats struct {
	Received  uint64 // all that Push was given
	Filled    uint64 // that came only as the copy in the packet after theirs; see Redundancy
	Played    uint64
	Lost      uint64 // never seen, when their turn had passed
	Late      uint64
	Duplicate uint64
	Refused   uint64
	Dropped   uint64 // good, but thrown away to catch up
	Restarts  uint64
	Concealed uint64        // samples
	Target    time.Duration // that a typical packet shall wait
	Buffer    time.Duration // of sound that is queued now
	Jitter    time.Duration // between arrivals (RFC 3550, A.8)
	Loss      float64       // the share of the last 250 packets or so that were not there when their turn came, 0 to 1
}

// Stats returns the counters.
func (j *Jitter) Stats() JitterStats {
	s := j.stats
	s.Target, s.Jitter, s.Loss = duration(int64(j.typical())), duration(int64(j.arrivals.jitter)), j.loss
	for _, i := range j.order[:j.n] {
		s.Buffer += duration(int64(j.slots[i].n))
	}
	return s
}

// interarrival is the jitter of arrivals (RFC 3550, A.8), in samples. Packets are timed by their end, at which they
// were sent, so that their length does not matter.
type interarrival struct {
	transit int64
	begun   bool
	jitter  float64
}

func (a *interarrival) add(now, end int64) {
	transit := now - end
	if d := transit - a.transit; a.begun && max(d, -d) <= jitterJump {
		a.jitter += (math.Abs(float64(d)) - a.jitter) / 16
	}
	a.begun, a.transit = true, transit
}

// window keeps the last values, and the same ones sorted.
type window struct {
	ring, sorted [500]int32
	n, at        int
}

func (w *window) add(v int32) {
	if w.n == len(w.ring) {
		i := w.find(w.ring[w.at])
		copy(w.sorted[i:w.n-1], w.sorted[i+1:w.n])
		w.n--
	}
	i := w.find(v)
	copy(w.sorted[i+1:w.n+1], w.sorted[i:w.n])
	w.sorted[i] = v
	w.n++
	w.ring[w.at] = v
	if w.at++; w.at == len(w.ring) {
		w.at = 0
	}
}

// find is the place of the first value that is not less than v.
func (w *window) find(v int32) int {
	lo, hi := 0, w.n
	for lo < hi {
		if mid := (lo + hi) / 2; w.sorted[mid] < v {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo
}

// low is the value that the given share of all is less than; median is the middle one. The window must not be empty.
func (w *window) low(share float64) int32 { return w.sorted[int(float64(w.n)*share)] }
func (w *window) median() int32           { return w.sorted[w.n/2] }
