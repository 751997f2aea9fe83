package signaling

import (
	"crypto/ed25519"
	"net/http"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"peerchat/peer/wire"
)

// guest is a client by hand: it speaks the protocol, and breaks it where a test wants that.
type guest struct {
	*websocket.Conn
	t     *testing.T
	nonce [32]byte
}

func dialGuest(t *testing.T, tr *Tracker, header http.Header) (*guest, *http.Response, error) {
	t.Helper()
	d := websocket.Dialer{Subprotocols: []string{Subprotocol}, HandshakeTimeout: patience}
	ws, resp, err := d.Dial(tr.URL(), header)
	if err != nil {
		return nil, resp, err
	}
	t.Cleanup(func() { ws.Close() })
	g := &guest{Conn: ws, t: t}
	g.nonce = want[*Challenge](g, "the tracker speaks first").Nonce
	return g, resp, nil
}

func newGuest(t *testing.T, tr *Tracker) *guest {
	t.Helper()
	g, _, err := dialGuest(t, tr, nil)
	if err != nil {
		t.Fatalf("a guest connects: %v", err)
	}
	return g
}

func (g *guest) say(m Message) {
	g.t.Helper()
	if err := g.WriteMessage(websocket.TextMessage, m.Append(nil)); err != nil {
		g.t.Fatalf("say %s: %v", m.Append(nil), err)
	}
}

func (g *guest) sign(n int) *HelloRequest {
	h := &HelloRequest{ID: newID(), Peer: wire.IDOf(testKey(n)), Name: "guest", Agent: "test"}
	copy(h.Sig[:], ed25519.Sign(testKey(n), HelloText(g.nonce, h.Peer)))
	return h
}

func (g *guest) hello(n int) *guest {
	g.t.Helper()
	g.say(g.sign(n))
	want[*HelloAnswer](g, "hello is answered")
	return g
}

// want reads messages until one of type T comes.
func want[T Message](g *guest, what string) T {
	g.t.Helper()
	for {
		g.SetReadDeadline(time.Now().Add(patience))
		_, b, err := g.ReadMessage()
		if err != nil {
			var zero T
			g.t.Fatalf("%s: want a %T, got %v", what, zero, err)
		}
		m, err := DecodeReply(b)
		if err != nil {
			g.t.Fatalf("%s: the tracker says %s: %v", what, b, err)
		}
		if m, ok := m.(T); ok {
			return m
		}
	}
}

// ended fails unless the connection ends, after a bye with status.
func (g *guest) ended(what string, status Status) {
	g.t.Helper()
	if bye := want[*ByeNote](g, what); bye.Status != status {
		g.t.Errorf("%s: want a bye with %s, got %+v", what, status, bye)
	}
	g.SetReadDeadline(time.Now().Add(patience))
	if _, _, err := g.ReadMessage(); !websocket.IsCloseError(err, websocket.CloseNormalClosure) {
		g.t.Errorf("%s: after the bye comes a close frame, got %v", what, err)
	}
}
