package overlay

import (
	"slices"
	"time"
)

// bucket limits a rate: burst at once, then one in every.
type bucket struct {
	burst int
	every time.Duration
	full  time.Time // when it will be full again
}

func (b *bucket) take(now time.Time) bool {
	if b.full.Before(now) {
		b.full = now
	}
	if b.full.Sub(now) > time.Duration(b.burst-1)*b.every {
		return false
	}
	b.full = b.full.Add(b.every)
	return true
}

// rates is what one linked peer may do. What is beyond is ignored or refused; only beyond all is it blamed, because an
// honest peer passes on what others began.
type rates struct {
	all      bucket // messages of any kind
	asks     bucket // Join and Neighbor
	joins    bucket // Joins that are told to others
	walks    bucket // ForwardJoin
	shuffles bucket
	pings    bucket
	blamed   bool
}

func newRates() rates {
	return rates{
		all:      bucket{burst: 1000, every: 10 * time.Millisecond},
		asks:     bucket{burst: 16, every: time.Second},
		joins:    bucket{burst: 2, every: 10 * time.Second},
		walks:    bucket{burst: 100, every: 50 * time.Millisecond},
		shuffles: bucket{burst: 20, every: 500 * time.Millisecond},
		pings:    bucket{burst: 20, every: 500 * time.Millisecond},
	}
}

// originBucket limits what comes from one origin.
type originBucket struct {
	origin string
	bucket
}

// maxOrigins is how many origins are told apart. The one that has been quiet longest makes room.
const maxOrigins = 64

// admit tells whether one more peer of the origin may push itself in: each of them costs somebody else a neighbour.
func (m *Machine) admit(origin string) bool {
	if origin != "" {
		i := slices.IndexFunc(m.origins, func(b originBucket) bool { return b.origin == origin })
		if i < 0 {
			if len(m.origins) >= maxOrigins {
				oldest := 0
				for k := range m.origins {
					if m.origins[k].full.Before(m.origins[oldest].full) {
						oldest = k
					}
				}
				m.origins = slices.Delete(m.origins, oldest, oldest+1)
			}
			m.origins = append(m.origins, originBucket{origin, bucket{burst: 16, every: time.Second}})
			i = len(m.origins) - 1
		}
		if !m.origins[i].take(m.now) {
			return false
		}
	}
	return m.admits.take(m.now)
}
