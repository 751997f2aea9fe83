package signaling

import "time"

// Bucket is a token bucket: it fills with Rate tokens a second up to Burst. The zero Bucket is full. It is pure.
type Bucket struct {
	spent float64 // tokens missing from a full bucket, as of at
	at    time.Time
}

// Take takes n tokens if they are there, and says whether they were. A rate of zero or less means no limit.
func (b *Bucket) Take(now time.Time, n, rate, burst float64) bool {
	if rate <= 0 {
		return true
	}
	// A clock that jumps back must not refill or drain the bucket.
	if d := now.Sub(b.at); d > 0 {
		b.spent = max(0, b.spent-d.Seconds()*rate)
		b.at = now
	} else if -d > time.Minute {
		b.at = now
	}
	if b.spent+n > burst {
		return false
	}
	b.spent += n
	return true
}

// Limits bounds what clients may ask of a tracker. Zero means the default, less than zero no limit.
type Limits struct {
	Connections int     // at the same time; default 19,000
	PerAddress  int     // connections from one IPv4 address or IPv6 /64, and twice as many that are no WebSocket yet; default 64
	PerLoopback int     // connections from this machine; default no limit
	RoomsPeer   int     // rooms of one peer; default 64
	Rooms       int     // rooms in all; default 16,384
	Rate        float64 // requests of one connection a second, where one of n KiB counts as 1+n, and of HTTP of one address; default 200
	Burst       float64 // requests at once; default 1,000
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
