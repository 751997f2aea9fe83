package signaling

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"time"
)

// This file is a tracker's part in an election: it stands by or serves, and it may listen in other places.

// Lead begins to serve, or while serving changes term, leader and proof, and tells the clients. A proof longer than
// MaxProof is left out. Members count only when it begins, and nobody may change them any more. It returns at once;
// whoever connects after that is served.
func (t *Tracker) Lead(l Lead) {
	if len(l.Proof) > MaxProof {
		t.log.Error("proof of leadership is too long, and is left out", "size", len(l.Proof), "most", MaxProof)
		l.Proof = nil
	}
	l.Proof = bytes.Clone(l.Proof)
	t.post(post{op: opStep, in: HubServe{Term: l.Term, Leader: l.Leader, Proof: l.Proof, Members: l.Members},
		info: &Info{Peer: t.cfg.Self, Serving: true, Term: l.Term, Leader: l.Leader, Proof: l.Proof}})
}

// MoveTo sends everybody to another tracker, and whoever comes later, until Lead. It returns at once.
func (t *Tracker) MoveTo(m Move) {
	if m.Tracker != "" {
		u, err := ParseAddr(m.Tracker)
		if err != nil {
			t.log.Error("the tracker to move to is none; clients are sent away instead", "err", err)
		}
		m.Tracker = u
	}
	t.post(post{op: opStep, in: HubMoved(m),
		info: &Info{Peer: t.cfg.Self, Tracker: m.Tracker, Term: m.Term, Leader: m.Leader}})
}

// Info is what the tracker says of itself. It follows Lead and MoveTo in a moment. Nobody may change its Proof.
func (t *Tracker) Info() Info { return *t.info.Load() }

// sockets are what a tracker listens on.
type sockets struct {
	mu      sync.Mutex
	ln      net.Listener
	also    net.Listener   // nil if there is none
	udp     net.PacketConn // nil if STUN is off
	started bool
	closed  bool
}

func (s *sockets) get() (net.Listener, net.PacketConn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ln, s.udp
}

func (s *sockets) start(t *Tracker) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.started = true
	t.listen(s.ln, s.udp)
	if s.also != nil {
		t.listen(s.also, nil)
	}
}

func (s *sockets) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.ln.Close()
	if s.udp != nil {
		s.udp.Close()
	}
	if s.also != nil {
		s.also.Close()
	}
}

// listen takes connections, and answers STUN, until the sockets are closed.
func (t *Tracker) listen(ln net.Listener, udp net.PacketConn) {
	if t.secure {
		ln = tls.NewListener(ln, t.tls)
	}
	t.wg.Go(func() {
		if err := t.srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
			t.log.Error("tracker no longer accepts connections", "addr", ln.Addr(), "err", err)
		}
	})
	if udp != nil {
		t.wg.Go(func() { serveSTUN(udp, t.metrics.stun, t.stop) })
	}
}

var errTrackerClosed = errors.New("the tracker is shutting down")

// Also listens on a second address, "host:port" or ":port", besides its own: that of a tracker that is gone, so that
// those who know only that one find this. STUN stays where it is. Only one such address can be open. The error says so,
// or wraps ErrPortTaken.
func (t *Tracker) Also(addr string) error {
	s := &t.sockets
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return fmt.Errorf("tracker: listen also on %s: %w", addr, errTrackerClosed)
	case s.also != nil:
		return fmt.Errorf("tracker: listen also on %s: it does so on %s already; end that first", addr, s.also.Addr())
	}
	ln, _, err := bind(TrackerConfig{Listen: addr, STUN: "off"})
	if err != nil {
		return err
	}
	s.also = ln
	if s.started {
		t.listen(ln, nil)
	}
	return nil
}

// CloseAlso gives the address of Also up, if there is one. The connections that came by it stay.
func (t *Tracker) CloseAlso() {
	s := &t.sockets
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.also != nil {
		s.also.Close() // there is nothing to lose
		s.also = nil
	}
}

// Rebind moves the tracker to another address, and STUN with it if that is on the same port, and gives the present one
// up. The connections stay. After an error everything is as before.
func (t *Tracker) Rebind(listen string) error {
	s := &t.sockets
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return fmt.Errorf("tracker: listen on %s: %w", listen, errTrackerClosed)
	}
	moves := t.cfg.STUN == "same"
	cfg := TrackerConfig{Listen: listen, STUN: "off"}
	if moves {
		cfg.STUN = "same"
	}
	ln, udp, err := bind(cfg)
	if err != nil {
		return err
	}
	s.ln.Close() // there is nothing to lose
	if s.ln = ln; moves {
		s.udp.Close()
		s.udp = udp
	}
	if s.started {
		t.listen(ln, udp)
	}
	t.log.Info("tracker listens elsewhere now", "addr", ln.Addr())
	return nil
}

// dialTime is how long a dial-back may take in all.
const dialTime = time.Second

// dialBack dials a client's observed address, and never another, at the port that it names, and asks whose tracker is
// there. Neither the answer nor how long it takes tells a port that nobody listens on from one where something else
// does, so that a client behind the same address as others (a proxy's is the tracker's own machine) learns nothing
// about them.
func (t *Tracker) dialBack(d HubDial) {
	in := HubDialled{Conn: d.Conn, ID: d.ID}
	c := t.byID[d.Conn]
	if c == nil {
		t.later = append(t.later, in)
		return
	}
	t.metrics.dialbacks.Inc()
	in.Address = netip.AddrPortFrom(c.addr.Addr(), d.Port).String()
	t.wg.Go(func() {
		ctx, cancel := context.WithTimeout(t.ctx, dialTime)
		defer cancel()
		info, err := ask(ctx, new(net.Dialer).DialContext, target{host: c.addr.Addr().String(),
			port: strconv.Itoa(int(d.Port)), path: "/info"}, nil)
		if in.OK = err == nil && info.Peer == d.Peer; !in.OK {
			in.Text = "no tracker of yours answered at " + in.Address
			<-ctx.Done()
		}
		t.post(post{op: opStep, in: in})
	})
}
