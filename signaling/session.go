package signaling

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/gorilla/websocket"
)

// session is a Client's connection to a tracker: one goroutine reads, one writes and pings. Both only post.
type session struct {
	ws    *websocket.Conn
	url   string
	label string   // the source's
	name  string   // as in its hello
	reach []string // where others reach the tracker
	ping  time.Duration

	out  chan []byte   // closed by nobody; bounded, and the owner never waits for it
	asks chan struct{} // for a ping whose pong is told
	stop chan struct{}
	once sync.Once
	why  error // the first thing that went wrong; set once, before stop is closed
	wg   sync.WaitGroup

	// Owned by the Client's owner.
	hello *HelloAnswer // its Term, Leader and Proof follow the tracker's
	since time.Time
	bye   *ByeNote
}

// What a session posts.
type (
	sessionSaid struct {
		s   *session
		msg Message
	}
	sessionEnded struct {
		s   *session
		err error
	}
	// sessionPong answers ask.
	sessionPong struct{ s *session }
)

// askedPing is what the pings of ask carry, so that no pong of another ping is taken for theirs.
const askedPing = "?"

const writeWait = 5 * time.Second

func newSession(ws *websocket.Conn, url string, hello *HelloAnswer) *session {
	ping := time.Duration(hello.Ping) * time.Millisecond
	ping = min(max(ping, 100*time.Millisecond), time.Minute)
	return &session{ws: ws, url: url, hello: hello, ping: ping, out: make(chan []byte, 512),
		asks: make(chan struct{}, 1), stop: make(chan struct{})}
}

func (s *session) start(box *mailbox) {
	// A tracker that says nothing for a ping and its answer's time is dead, or hung, which is the same to us.
	silence := s.ping + 2500*time.Millisecond
	alive := func() { s.ws.SetReadDeadline(time.Now().Add(silence)) } // the read tells
	alive()
	s.ws.SetPongHandler(func(data string) error {
		alive()
		if data == askedPing {
			box.putWait(sessionPong{s}, s.stop)
		}
		return nil
	})
	s.ws.SetPingHandler(func(data string) error {
		alive()
		s.ws.WriteControl(websocket.PongMessage, []byte(data), time.Now().Add(writeWait)) // the read tells
		return nil
	})
	s.wg.Go(s.write)
	s.wg.Go(func() {
		var err error
		for err == nil {
			var kind int
			var b []byte
			if kind, b, err = s.ws.ReadMessage(); err != nil {
				break
			}
			alive()
			if kind != websocket.TextMessage {
				err = errors.New("the tracker sent a binary message")
				break
			}
			var m Message
			if m, err = DecodeReply(b); err != nil {
				err = fmt.Errorf("the tracker sent what cannot be read: %w", err)
				break
			}
			box.putWait(sessionSaid{s, m}, s.stop)
		}
		s.fail(err)
		box.put(sessionEnded{s, s.why})
	})
}

func (s *session) write() {
	tick := time.NewTicker(s.ping)
	defer tick.Stop()
	for {
		var err error
		select {
		case b := <-s.out:
			s.ws.SetWriteDeadline(time.Now().Add(writeWait)) // the write tells
			err = s.ws.WriteMessage(websocket.TextMessage, b)
		case <-tick.C:
			err = s.ws.WriteControl(websocket.PingMessage, nil, time.Now().Add(writeWait))
		case <-s.asks:
			err = s.ws.WriteControl(websocket.PingMessage, []byte(askedPing), time.Now().Add(writeWait))
		case <-s.stop:
			return
		}
		if err != nil {
			if !hungUp(err) { // else the reader comes to the end by itself, after what the tracker said last: where everybody is to go, perhaps
				s.fail(err)
			}
			return
		}
	}
}

// send queues a message, or says that the tracker does not keep up.
func (s *session) send(b []byte) bool {
	select {
	case s.out <- b:
		return true
	default:
		return false
	}
}

// ask sends a ping now; sessionPong is posted when its pong comes.
func (s *session) ask() {
	select {
	case s.asks <- struct{}{}:
	default: // one is about to be sent
	}
}

// end closes the connection; the reader then posts sessionEnded.
func (s *session) end() { s.fail(net.ErrClosed) }

func (s *session) fail(why error) {
	s.once.Do(func() {
		s.why = why
		close(s.stop)
		s.ws.Close()
	})
}

// hungUp says whether a session ended because the tracker's side closed it, as opposed to having fallen silent or
// talked nonsense.
func hungUp(why error) bool {
	var closed *websocket.CloseError
	return errors.As(why, &closed) || errors.Is(why, io.EOF) || errors.Is(why, io.ErrUnexpectedEOF) ||
		errors.Is(why, syscall.ECONNRESET) || errors.Is(why, syscall.EPIPE)
}
