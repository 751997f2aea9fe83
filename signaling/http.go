package signaling

import (
	"bufio"
	"encoding/json"
	"log"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/gorilla/websocket"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// newServer is the tracker's HTTP side: the WebSocket endpoint (at /ws, and at / for those who type only an address),
// /healthz and /metrics, and what trackers say to each other (meet.go).
func newServer(t *Tracker) *http.Server {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /ws", t.serveWS)
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		if websocket.IsWebSocketUpgrade(r) {
			t.serveWS(w, r)
			return
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Write([]byte("This is a peerchat tracker. Join it with: peerchat join --tracker " + r.Host + "\n"))
	})
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(map[string]any{ // the reader's trouble
			"status": "ok", "connections": t.conns.Load(), "peers": t.peers.Load(), "rooms": t.rooms.Load(),
			"term": t.Info().Term,
		})
	})
	mux.HandleFunc("GET /info", t.serveInfo)
	mux.HandleFunc("POST /meet", t.serveMeet)
	mux.HandleFunc("POST /yield", t.serveYield)
	mux.Handle("GET /metrics", promhttp.HandlerFor(t.metrics.registry, promhttp.HandlerOpts{}))
	return &http.Server{
		Handler:           t.limited(mux),
		ConnState:         t.gate.conn,
		ReadHeaderTimeout: t.cfg.Handshake,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      10 * time.Second,
		IdleTimeout:       10 * time.Second,
		MaxHeaderBytes:    8 << 10,
		ErrorLog:          log.New(logWriter{t}, "", 0),
	}
}

type logWriter struct{ t *Tracker }

func (w logWriter) Write(b []byte) (int, error) {
	w.t.log.Debug("http", "text", strings.TrimSpace(string(b)))
	return len(b), nil
}

// refuse answers a request for a WebSocket with what would have been its bye.
func refuse(w http.ResponseWriter, code int, note *ByeNote) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	w.Write(note.Append(nil)) // the reader's trouble
}

func (t *Tracker) serveWS(w http.ResponseWriter, r *http.Request) {
	addr, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		refuse(w, http.StatusBadRequest, &ByeNote{Status: RequestError, Text: "no address"})
		return
	}
	if origin := r.Header.Get("Origin"); !t.originAllowed(origin, r.Host) {
		t.metrics.refused.Inc()
		refuse(w, http.StatusForbidden, &ByeNote{Status: Unauthorized,
			Text: "pages from " + clip(origin) + " may not use this tracker; its operator can allow them"})
		return
	}
	if !websocket.IsWebSocketUpgrade(r) || !slices.Contains(websocket.Subprotocols(r), Subprotocol) {
		t.metrics.refused.Inc()
		refuse(w, http.StatusBadRequest, &ByeNote{Status: RequestError,
			Text: "want a WebSocket with the subprotocol " + Subprotocol})
		return
	}
	c := &conn{t: t, addr: netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port()), host: r.Host}
	ack := make(chan *ByeNote, 1)
	if !t.post(post{op: opAdmit, c: c, ack: ack}) {
		return
	}
	select {
	case no := <-ack:
		if no != nil {
			code := http.StatusServiceUnavailable
			if no.Status == RateLimited {
				code = http.StatusTooManyRequests
			}
			refuse(w, code, no)
			return
		}
	case <-t.done:
		return
	}
	// The client's stall while it reads our few bytes is bounded by the server's WriteTimeout.
	up := websocket.Upgrader{
		ReadBufferSize: 128, WriteBufferSize: 128, WriteBufferPool: &t.pools.ws,
		Subprotocols: []string{Subprotocol}, CheckOrigin: func(*http.Request) bool { return true },
		HandshakeTimeout: t.cfg.Handshake,
	}
	ws, err := up.Upgrade(&hijacker{w, c}, r, nil)
	if err != nil {
		t.post(post{op: opEnded, c: c, err: err})
		return
	}
	c.ws = ws
	nc := c.nc // the owner's after the post
	ws.SetPingHandler(c.pong)
	ws.SetCloseHandler(func(int, string) error { return nil })
	ok := t.post(post{op: opUpgraded, c: c, nonce: newNonce()})
	select {
	case <-t.done:
		// If the post came after the owner's last look, nobody else closes this.
		ok = false
	default:
	}
	if !ok {
		nc.Close()
	}
}

// hijacker puts c between gorilla and the network.
type hijacker struct {
	http.ResponseWriter
	c *conn
}

func (h *hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	nc, rw, err := http.NewResponseController(h.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	h.c.attach(nc)
	return h.c, rw, nil
}

// originAllowed keeps pages of strangers from using a visitor's browser to reach this tracker.
func (t *Tracker) originAllowed(origin, host string) bool {
	if origin == "" {
		return true
	}
	u, err := url.Parse(origin)
	if err == nil && u.Host != "" && strings.EqualFold(u.Host, host) {
		return true
	}
	return slices.ContainsFunc(t.cfg.Origins, func(o string) bool { return o == "*" || strings.EqualFold(o, origin) })
}
