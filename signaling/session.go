package signaling

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// session is a Client's connection to a tracker: one goroutine reads, one writes and pings. Both only post.
type session struct {
	ws     *websocket.Conn
	url    string
	label  string // the source's
	name   string // as in its hello
	hosted bool
	hello  *HelloAnswer
	ping   time.Duration

	out  chan []byte // closed by nobody; bounded, and the owner never waits for it
	stop chan struct{}
	once sync.Once
	wg   sync.WaitGroup

	// Owned by the Client's owner.
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
)

const writeWait = 5 * time.Second

func newSession(ws *websocket.Conn, url string, hello *HelloAnswer) *session {
	ping := time.Duration(hello.Ping) * time.Millisecond
	ping = min(max(ping, 100*time.Millisecond), time.Minute)
	return &session{ws: ws, url: url, hello: hello, ping: ping, out: make(chan []byte, 512), stop: make(chan struct{})}
}

func (s *session) start(box *mailbox) {
	// A tracker that says nothing for a ping and its answer's time is dead, or hung, which is the same to us.
	silence := s.ping + 2500*time.Millisecond
	alive := func() { s.ws.SetReadDeadline(time.Now().Add(silence)) } // the read tells
	alive()
	s.ws.SetPongHandler(func(string) error { alive(); return nil })
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
		s.end()
		box.put(sessionEnded{s, err})
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
		case <-s.stop:
			return
		}
		if err != nil {
			s.end()
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

// end closes the connection; the reader then posts sessionEnded.
func (s *session) end() {
	s.once.Do(func() {
		close(s.stop)
		s.ws.Close()
	})
}
