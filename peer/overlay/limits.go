package overlay

import (
	"slices"
	"time"

	"golang.org/x/time/rate"
)

// rates is what one linked peer may do. What is beyond is ignored or refused; only beyond all is it blamed, because an
// honest peer passes on what others began.
type rates struct {
	all      *rate.Limiter // messages of any kind
	asks     *rate.Limiter // Join and Neighbor
	joins    *rate.Limiter // Joins that are told to others
	walks    *rate.Limiter // ForwardJoin
	shuffles *rate.Limiter
	pings    *rate.Limiter
	blamed   bool
}

func newRates() rates {
	return rates{
		all:      rate.NewLimiter(rate.Every(10*time.Millisecond), 1000),
		asks:     rate.NewLimiter(rate.Every(time.Second), 16),
		joins:    rate.NewLimiter(rate.Every(10*time.Second), 2),
		walks:    rate.NewLimiter(rate.Every(50*time.Millisecond), 100),
		shuffles: rate.NewLimiter(rate.Every(500*time.Millisecond), 20),
		pings:    rate.NewLimiter(rate.Every(500*time.Millisecond), 20),
	}
}

// originLimit limits what comes from one origin.
type originLimit struct {
	origin string
	joins  *rate.Limiter
}

// maxOrigins is how many origins are told apart. The one that may do most again, and of those the first, makes room.
const maxOrigins = 64

// admit tells whether one more peer of the origin may push itself in: each of them costs somebody else a neighbour.
func (m *Machine) admit(origin string) bool {
	if origin != "" {
		i := slices.IndexFunc(m.origins, func(l originLimit) bool { return l.origin == origin })
		if i < 0 {
			if len(m.origins) >= maxOrigins {
				calmest := 0
				for k := range m.origins {
					if m.origins[k].joins.TokensAt(m.now) > m.origins[calmest].joins.TokensAt(m.now) {
						calmest = k
					}
				}
				m.origins = slices.Delete(m.origins, calmest, calmest+1)
			}
			m.origins = append(m.origins, originLimit{origin, rate.NewLimiter(rate.Every(time.Second), 16)})
			i = len(m.origins) - 1
		}
		if !m.origins[i].joins.AllowN(m.now, 1) {
			return false
		}
	}
	return m.admits.AllowN(m.now, 1)
}
