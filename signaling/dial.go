package signaling

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"

	"github.com/google/uuid"
	"github.com/gorilla/websocket"

	"peerchat/peer/wire"
)

// dialFunc opens a network connection, like net.Dialer.DialContext.
type dialFunc func(ctx context.Context, network, addr string) (net.Conn, error)

// raced dials the same address up to three times, 250 ms apart, and keeps the first that connects: a lost SYN would
// cost a whole second otherwise, and the next one three (RFC 6298 section 2.1). An address that refuses ends the race
// at once.
func raced(dial dialFunc) dialFunc {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		type result struct {
			conn net.Conn
			err  error
		}
		results := make(chan result)
		start := func() {
			conn, err := dial(ctx, network, addr)
			select {
			case results <- result{conn, err}:
			case <-ctx.Done():
				if conn != nil {
					conn.Close()
				}
			}
		}
		next := time.NewTicker(250 * time.Millisecond)
		defer next.Stop()
		go start()
		for racing := 1; ; {
			select {
			case r := <-results:
				return r.conn, r.err
			case <-next.C:
				if racing++; racing > 3 {
					next.Stop()
					continue
				}
				go start()
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
	}
}

// dismissed is a tracker's bye instead of an admission.
type dismissed struct{ note *ByeNote }

func (d *dismissed) Error() string {
	if d.note.Status == OK { // it leaves by itself
		return d.note.Text
	}
	return fmt.Sprintf("the tracker refused: %s (%s)", d.note.Text, d.note.Status)
}

// opening is what it takes to open a session with a tracker.
type opening struct {
	key     ed25519.PrivateKey
	name    string
	agent   string
	resume  bool
	process uuid.UUID
	dialer  *websocket.Dialer
}

// open connects to the tracker at url and says hello, until ctx ends. If conn is not nil, it is a connection to there,
// and is used, or closed.
func (o *opening) open(ctx context.Context, url string, conn net.Conn) (*websocket.Conn, *HelloAnswer, error) {
	dialer := o.dialer
	if conn != nil {
		d := *o.dialer
		d.NetDialContext = func(context.Context, string, string) (net.Conn, error) { return conn, nil }
		dialer = &d
	}
	ws, answer, err := o.handshake(ctx, dialer, url)
	if err == nil {
		return ws, answer, nil
	}
	return nil, nil, explain(ctx, url, err)
}

// explain says in an error where it happened, and what it means.
func explain(ctx context.Context, url string, err error) error {
	var gone *dismissed
	switch {
	case errors.As(err, &gone):
		return err
	case ctx.Err() != nil:
		return fmt.Errorf("%s did not answer in time", url)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("%s: nothing listens there (%w)", url, syscall.ECONNREFUSED)
	}
	return fmt.Errorf("%s: %w", url, err)
}

func leaderText(id wire.PeerID) string {
	if id.IsZero() {
		return "nobody"
	}
	return id.Tag()
}

func (o *opening) handshake(ctx context.Context, dialer *websocket.Dialer, url string) (ws *websocket.Conn, answer *HelloAnswer, err error) {
	ws, resp, err := dialer.DialContext(ctx, url, http.Header{})
	if err != nil {
		return nil, nil, refusal(resp, err)
	}
	conn := ws // the result may be nil by the time that these run
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer func() {
		if !stop() && err == nil {
			err = ctx.Err()
		}
		if err != nil {
			conn.Close()
		}
	}()
	ws.SetReadLimit(MaxMessage)
	if ws.Subprotocol() != Subprotocol {
		return nil, nil, errors.New("it is a WebSocket server, but no peerchat tracker")
	}
	first, err := readReply(ws)
	if err != nil {
		return nil, nil, err
	}
	challenge, ok := first.(*Challenge)
	if !ok {
		return nil, nil, fmt.Errorf("it began with a %T, not with a challenge", first)
	}
	id, err := uuid.NewV7()
	if err != nil {
		return nil, nil, err
	}
	hello := &HelloRequest{ID: id, Peer: wire.IDOf(o.key), Name: o.name, Agent: o.agent, Resume: o.resume, Process: o.process}
	copy(hello.Sig[:], ed25519.Sign(o.key, HelloText(challenge.Nonce, hello.Peer)))
	if err := ws.WriteMessage(websocket.TextMessage, hello.Append(nil)); err != nil {
		return nil, nil, err
	}
	second, err := readReply(ws)
	if err != nil {
		return nil, nil, err
	}
	switch m := second.(type) {
	case *HelloAnswer:
		if m.Re == id {
			return ws, m, nil
		}
	case *Answer:
		return nil, nil, &dismissed{&ByeNote{Status: m.Status, Text: m.Text}}
	}
	return nil, nil, fmt.Errorf("it answered hello with a %T", second)
}

func readReply(ws *websocket.Conn) (Message, error) {
	kind, b, err := ws.ReadMessage()
	if err != nil {
		return nil, err
	}
	if kind != websocket.TextMessage {
		return nil, errors.New("it sent a binary message")
	}
	m, err := DecodeReply(b)
	if bye, ok := m.(*ByeNote); ok && err == nil {
		return nil, &dismissed{bye}
	}
	return m, err
}

// refusal finds the tracker's bye in the HTTP answer that refused a WebSocket.
func refusal(resp *http.Response, err error) error {
	if resp == nil || !errors.Is(err, websocket.ErrBadHandshake) {
		return err
	}
	defer resp.Body.Close()
	b := make([]byte, 1024)
	n, _ := resp.Body.Read(b)
	if json.Valid(b[:n]) && strings.HasPrefix(resp.Header.Get("Content-Type"), "application/json") {
		if m, derr := DecodeReply(b[:n]); derr == nil {
			if bye, ok := m.(*ByeNote); ok {
				return &dismissed{bye}
			}
		}
	}
	return fmt.Errorf("no tracker: it answered the request for a WebSocket with %q", clip(resp.Status))
}
