package signaling

import (
	"maps"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// gate bounds what one address may have of the HTTP server before the hub knows of it: connections that are no
// WebSocket yet, each of which takes a file and a goroutine until it times out, and requests. Else one machine could
// take all the files that the tracker may open, and keep it busy with pages. The server calls it from its goroutines.
type gate struct {
	limits Limits // with defaults

	mu    sync.Mutex
	from  map[netip.Addr]*caller // those who have a connection, and those who asked for something of late
	sweep int                    // so many are looked through for those to be forgotten
}

// caller is an address at the gate.
type caller struct {
	conns    int // that are no WebSocket
	requests *rate.Limiter
	seen     time.Time // the last request
}

const (
	// sweepCallers is how many addresses are remembered before the first are forgotten.
	sweepCallers = 4096
	// forgetCaller is how long an address without a connection is remembered: it may do all again by then.
	forgetCaller = 10 * time.Second
)

func newGate(l Limits) *gate {
	return &gate{limits: l, from: map[netip.Addr]*caller{}, sweep: sweepCallers}
}

// most is how many connections an address may have here: as many as the hub lets it have, and as many that wait for an
// answer or to be refused; noLimit if it may do as it likes.
func (g *gate) most(a netip.Addr) int {
	most := g.limits.PerAddress
	if a.IsLoopback() {
		most = g.limits.PerLoopback
	}
	if most >= noLimit/2 {
		return noLimit
	}
	return 2 * most
}

// callerAt is the caller at an address as net/http writes it, made if need be; nil if it may do as it likes. g.mu is
// held.
func (g *gate) callerAt(remote string, now time.Time) (c *caller, most int) {
	at, err := netip.ParseAddrPort(remote)
	if err != nil {
		return nil, noLimit
	}
	a := addrKey(at.Addr())
	if most = g.most(a); most == noLimit {
		return nil, most
	}
	if c = g.from[a]; c == nil {
		if len(g.from) >= g.sweep {
			maps.DeleteFunc(g.from, func(_ netip.Addr, o *caller) bool { return o.conns == 0 && now.Sub(o.seen) > forgetCaller })
			g.sweep = max(sweepCallers, 2*len(g.from)) // so that a crowd is not looked through for each who comes
		}
		c = &caller{requests: g.limits.requests()}
		g.from[a] = c
	}
	return c, most
}

// conn is http.Server.ConnState: it closes a connection that is one too many. What is closed or becomes a WebSocket
// counts no more.
func (g *gate) conn(nc net.Conn, state http.ConnState) {
	if state == http.StateActive || state == http.StateIdle {
		return
	}
	g.mu.Lock()
	c, most := g.callerAt(nc.RemoteAddr().String(), time.Now())
	full := false
	switch {
	case c == nil:
	case state == http.StateNew:
		c.conns++
		full = c.conns > most
	default:
		c.conns--
	}
	g.mu.Unlock()
	if full {
		nc.Close() // the server finds it closed, and says so here
	}
}

// request reports whether a request may be answered.
func (g *gate) request(remote string, now time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	c, _ := g.callerAt(remote, now)
	if c == nil {
		return true
	}
	c.seen = now
	return c.requests.AllowN(now, 1)
}

// limited is a handler behind the gate.
func (t *Tracker) limited(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if t.gate.request(r.RemoteAddr, time.Now()) {
			next.ServeHTTP(w, r)
			return
		}
		t.metrics.refused.Inc()
		w.Header().Set("Retry-After", "1")
		w.Header().Set("Connection", "close") // its next request costs it a connection
		refuse(w, http.StatusTooManyRequests, &ByeNote{Status: RateLimited, Text: "too many requests from your address; try again in a second"})
	})
}
