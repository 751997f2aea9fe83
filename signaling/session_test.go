package signaling

import (
	"context"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"
)

// pipeTracker is a tracker in a bubble: it admits whoever dials, and then does what a test wants. Nobody else is there
// to dial.
type pipeTracker struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

// admitting is a tracker that admits everybody with this answer, and then does what a test wants.
func admitting(t *testing.T, answer HelloAnswer, do func(ws *websocket.Conn)) http.HandlerFunc {
	up := websocket.Upgrader{Subprotocols: []string{Subprotocol}}
	return func(w http.ResponseWriter, r *http.Request) {
		ws, err := up.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer ws.Close()
		ws.WriteMessage(websocket.TextMessage, (&Challenge{}).Append(nil))
		_, b, err := ws.ReadMessage()
		if err != nil {
			return
		}
		m, err := DecodeRequest(b)
		hello, ok := m.(*HelloRequest)
		if !ok {
			t.Errorf("it begins with %s: %v", b, err)
			return
		}
		answer := answer
		answer.Re = hello.ID
		ws.WriteMessage(websocket.TextMessage, answer.Append(nil))
		do(ws)
	}
}

func newPipeTracker(t *testing.T, ping time.Duration, do func(ws *websocket.Conn)) *pipeTracker {
	p := &pipeTracker{conns: make(chan net.Conn), done: make(chan struct{})}
	srv := &http.Server{Handler: admitting(t, HelloAnswer{Ping: int(ping.Milliseconds())}, do)}
	go srv.Serve(p)
	t.Cleanup(func() { srv.Close() })
	return p
}

const pipeAddr = "192.0.2.1:5000"

func (p *pipeTracker) dial(_ context.Context, _, addr string) (net.Conn, error) {
	if addr != pipeAddr {
		return nil, syscall.ECONNREFUSED
	}
	a, b := net.Pipe()
	select {
	case p.conns <- b:
		return a, nil
	case <-p.done:
		return nil, syscall.ECONNREFUSED
	}
}

func (p *pipeTracker) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipeTracker) Close() error {
	p.once.Do(func() { close(p.done) })
	return nil
}

func (p *pipeTracker) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 5000} }

// A tracker that greets and then freezes, as a stopped process does, is noticed in time: its kernel still takes what is
// sent.
func TestTrackerFallsSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const ping = 100 * time.Millisecond
		tr := newPipeTracker(t, ping, func(ws *websocket.Conn) { io.Copy(io.Discard, ws.NetConn()) })
		p := newPlayer(t, 1, func(c *ClientConfig) { c.Dial = tr.dial }, at(pipeAddr))
		await(p, "connects", connected)
		start := time.Now()
		s := await(p, "the silence is noticed", func(s StateChanged) bool { return s.State == Lost })
		if d := time.Since(start); d != ping+2500*time.Millisecond {
			t.Errorf("a silent tracker is lost after a ping and 2.5 s, got %v", d)
		}
		if s.Closed {
			t.Errorf("silence is no closed connection, got %+v", s)
		}
	})
}

// hungUpConn is a connection whose other side, once it hung up, is noticed by a write before what it said last has been
// read.
type hungUpConn struct {
	net.Conn
	hungUp atomic.Bool
	closed atomic.Bool
	failed chan struct{} // a write did
	once   sync.Once
}

func (c *hungUpConn) Write(b []byte) (int, error) {
	if c.hungUp.Load() {
		c.once.Do(func() { close(c.failed) })
		return 0, syscall.EPIPE
	}
	return c.Conn.Write(b)
}

func (c *hungUpConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if c.hungUp.Load() {
		<-c.failed
		time.Sleep(time.Millisecond) // whoever wrote goes first
		if c.closed.Load() {
			return 0, net.ErrClosed
		}
	}
	return n, err
}

func (c *hungUpConn) Close() error {
	c.closed.Store(true)
	return c.Conn.Close()
}

// A tracker says where to go and hangs up, while its client is writing.
func TestLastWordsAreHeardThoughAWriteFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hangUp := make(chan struct{})
		tr := newPipeTracker(t, time.Minute, func(ws *websocket.Conn) {
			<-hangUp
			ws.WriteMessage(websocket.TextMessage, (&ByeNote{Status: Moved, Tracker: "ws://192.0.2.2:5000/ws"}).Append(nil))
		})
		conn := &hungUpConn{failed: make(chan struct{})}
		var gone atomic.Bool
		p := newPlayer(t, 1, func(c *ClientConfig) {
			c.Dial = func(ctx context.Context, network, addr string) (nc net.Conn, err error) {
				if gone.Swap(true) { // it is there once
					return nil, syscall.ECONNREFUSED
				}
				conn.Conn, err = tr.dial(ctx, network, addr)
				return conn, err
			}
		}, at(pipeAddr))
		await(p, "connects", connected)
		synctest.Wait() // its reader waits
		conn.hungUp.Store(true)
		close(hangUp)
		synctest.Wait()
		p.Join("x")
		if s := await(p, "the end is noticed", func(s StateChanged) bool { return s.State == Lost }); !s.Moved {
			t.Errorf("a tracker that says where to go and hangs up is followed, though a write failed before that was read; got %+v", s)
		}
	})
}
