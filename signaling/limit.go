package signaling

import "golang.org/x/time/rate"

// Limits bounds what clients may ask of a tracker. Zero means the default, less than zero no limit.
type Limits struct {
	Connections int     // at the same time; default 19,000
	PerAddress  int     // connections from one IPv4 address or IPv6 /64, and twice as many that are no WebSocket yet; default 64
	PerLoopback int     // connections from this machine; default no limit
	RoomsPeer   int     // rooms of one peer; default 64
	Rooms       int     // rooms in all; default 16,384
	Rate        float64 // requests of one connection a second, where one of n KiB counts as 1+n, and of HTTP of one address; default 200
	Burst       int     // requests at once; default 1,000
	Queue       int     // bytes waiting for one connection before it is cut off as a slow reader; default 512 KiB
}

const noLimit = 1<<31 - 1

func (l Limits) withDefaults() Limits {
	set := func(v *int, def int) {
		switch {
		case *v == 0:
			*v = def
		case *v < 0:
			*v = noLimit
		}
	}
	set(&l.Connections, 19000)
	set(&l.PerAddress, 64)
	set(&l.PerLoopback, noLimit)
	set(&l.RoomsPeer, 64)
	set(&l.Rooms, 16384)
	set(&l.Queue, 512<<10)
	if l.Rate == 0 {
		l.Rate = 200
	}
	if l.Burst == 0 {
		l.Burst = 1000
	}
	return l
}

// requests limits the requests of one connection, or of one address.
func (l Limits) requests() *rate.Limiter {
	if l.Rate < 0 {
		return rate.NewLimiter(rate.Inf, 0)
	}
	return rate.NewLimiter(rate.Limit(l.Rate), l.Burst)
}
