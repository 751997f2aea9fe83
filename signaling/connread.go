package signaling

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/gorilla/websocket"
)

// This file is the reading half of a connection. Two goroutines take turns at it: wait, which is shallow enough for
// the smallest stack and sits there while the client is idle, and work, which reads through gorilla, needs several
// times that, and ends when the input is used up. (A goroutine's stack that has grown for one message would stay so
// for as long as the connection lasts.) Over TLS there is no telling when the input is used up, and work stays.

// greet runs from the upgrade to the hello. The reading goes on in a fresh goroutine, whose stack has not grown.
func (c *conn) greet(nonce [32]byte) {
	c.fixed = true
	c.nc.SetReadDeadline(time.Now().Add(c.t.cfg.Handshake)) // the read tells
	for range 3 {
		req, size, err := c.message()
		if err != nil {
			// gorilla hides which error it was, but not that it was a deadline.
			if late := net.Error(nil); errors.As(err, &late) && late.Timeout() {
				c.end(&ByeNote{Status: Unauthorized, Text: fmt.Sprintf("no hello within %v", c.t.cfg.Handshake)}, err)
				return
			}
			c.end(nil, err)
			return
		}
		hello, ok := req.(*HelloRequest)
		if !ok {
			if req != nil {
				c.t.post(post{op: opStep, in: HubRequest{Conn: c.id, Req: req, Size: size}})
			}
			continue
		}
		if !ed25519.Verify(hello.Peer.Key(), HelloText(nonce, hello.Peer), hello.Sig[:]) {
			text := "the signature does not fit the peer and this connection's nonce"
			no := Answer{Op: "hello", Re: hello.ID, Status: Unauthorized, Text: text}
			c.t.post(post{op: opCut, c: c, data: no.Append(nil), note: &ByeNote{Status: Unauthorized, Text: text}})
			c.drain()
			return
		}
		in := HubHello{Conn: c.id, Req: hello, Observed: c.addr.String(), STUN: c.t.stunURLs(c)}
		if !c.t.post(post{op: opStep, in: in}) {
			c.end(nil, net.ErrClosed)
			return
		}
		c.fixed = false
		c.next()
		return
	}
	c.end(&ByeNote{Status: Unauthorized, Text: "say hello first"}, errors.New("no hello"))
}

// next goes on in the goroutine that fits.
func (c *conn) next() {
	if c.raw != nil && len(c.rest) == 0 && c.frame.boundary() {
		c.park()
	} else {
		c.t.wg.Go(c.work)
	}
}

// park gives the connection to the owner. The reader's goroutine ends.
func (c *conn) park() {
	if !canPoll {
		c.t.wg.Go(c.wait)
	} else if !c.t.post(post{op: opPark, c: c}) {
		c.end(nil, net.ErrClosed)
	}
}

// wait waits for input.
func (c *conn) wait() {
	if _, err := c.more(nil); err != nil {
		c.end(nil, err)
		return
	}
	c.t.wg.Go(c.work)
}

// work handles requests while there is input.
func (c *conn) work() {
	for {
		for c.takePing() {
		}
		if c.raw != nil && len(c.rest) == 0 && c.frame.boundary() {
			c.park()
			return
		}
		req, size, err := c.message()
		if err != nil {
			c.end(nil, err)
			return
		}
		if req != nil && !c.t.post(post{op: opStep, in: HubRequest{Conn: c.id, Req: req, Size: size}}) {
			c.end(nil, net.ErrClosed)
			return
		}
	}
}

// takePing answers a whole ping, or drops a whole pong, that is next in rest. Others are gorilla's, which ends in the
// same pong.
func (c *conn) takePing() bool {
	const whole = 0x80
	b := c.rest
	if !c.frame.boundary() || len(b) < 6 || b[0] != whole|opcodePing && b[0] != whole|opcodePong ||
		b[1] < 0x80 || b[1] > 0x80+125 {
		return false
	}
	end := 6 + int(b[1]-0x80)
	if len(b) < end {
		return false
	}
	if b[0] == whole|opcodePing {
		var data [125]byte
		n := copy(data[:], b[6:end])
		for i := range n {
			data[i] ^= b[2+i%4]
		}
		if c.pong(string(data[:n])) != nil {
			c.nc.Close() // the next read tells
		}
	}
	c.took(end)
	return true
}

// framing follows the frames of the input (RFC 6455 section 5.2), so that we know when gorilla has nothing left in
// its buffer.
type framing struct {
	head [14]byte
	n    int   // bytes of head
	left int64 // bytes of the frame after head, as far as they are known to follow
	body bool  // head is complete
}

func (f *framing) boundary() bool { return f.n == 0 }

// feed says how many bytes of b, at least one, belong to the present frame, and counts them as handed on.
func (f *framing) feed(b []byte) int {
	n := 0
	for !f.body && n < len(b) {
		f.head[f.n] = b[n]
		f.n++
		n++
		need, size := 2, int64(0)
		if f.n >= 2 {
			switch size = int64(f.head[1] & 0x7f); size {
			case 126:
				need = 4
				size = int64(binary.BigEndian.Uint16(f.head[2:]))
			case 127:
				need = 10
				size = max(0, int64(binary.BigEndian.Uint64(f.head[2:])))
			}
			if f.head[1]&0x80 != 0 {
				need += 4
			}
		}
		if f.n == need {
			f.body, f.left = true, size
		}
	}
	if f.body {
		k := min(int64(len(b)-n), f.left)
		f.left -= k
		n += int(k)
		if f.left == 0 {
			*f = framing{}
		}
	}
	return n
}

// end closes the connection, after note if there is one, and tells the owner.
func (c *conn) end(note *ByeNote, err error) {
	if note != nil && c.t.post(post{op: opCut, c: c, note: note}) {
		c.nc.SetReadDeadline(time.Now().Add(time.Second)) // Close follows
		c.drain()
		return
	}
	c.nc.Close()
	c.t.post(post{op: opEnded, c: c, err: err, seen: c.seen})
}

// drain reads on without interest until the client has closed, so that our goodbye is not lost.
func (c *conn) drain() {
	c.fixed = true
	var sink [512]byte
	var err error
	for err == nil {
		_, err = c.Read(sink[:])
	}
	c.end(nil, err)
}

var errTooLong = fmt.Errorf("message longer than %d bytes", MaxMessage)

// message reads the next request. It returns nil for one that could not be read, which is answered.
func (c *conn) message() (Request, int, error) {
	kind, r, err := c.ws.NextReader()
	if err != nil {
		return nil, 0, err
	}
	s := get[scratch](&c.t.pools.scratch)
	defer c.t.pools.scratch.Put(s)
	c.began = time.Now()
	defer func() { c.began = time.Time{} }()
	size := 0
	for err == nil && size < len(s.b) {
		var n int
		n, err = r.Read(s.b[size:])
		size += n
	}
	c.t.metrics.received.Inc()
	switch {
	case c.closing.Load():
		return nil, size, nil
	case err == nil:
		c.t.post(post{op: opCut, c: c, note: &ByeNote{Status: RequestError, Text: errTooLong.Error()}})
		c.discard()
		return nil, 0, errTooLong
	case err != io.EOF:
		return nil, 0, err
	case kind != websocket.TextMessage:
		c.t.post(post{op: opCut, c: c, note: &ByeNote{Status: RequestError,
			Text: "binary message: this protocol is JSON in text messages"}})
		c.discard()
		return nil, 0, errors.New("binary message")
	}
	req, err := s.dec.request(s.b[:size])
	s.dec.object = object{}
	if err != nil {
		bad := new(BadRequest)
		errors.As(err, &bad)
		c.t.post(post{op: opStep, in: HubBad{Conn: c.id, Err: bad}})
		return nil, size, nil
	}
	return req, size, nil
}

// discard is drain without the end.
func (c *conn) discard() {
	c.fixed = true
	c.nc.SetReadDeadline(time.Now().Add(time.Second)) // the read tells
	var sink [4096]byte
	var err error
	for err == nil {
		_, err = c.Read(sink[:])
	}
}

// pong answers a ping from here: a tracker does little else for thousands of idle clients, and a write from the
// goroutine that is awake anyway costs a third of the way over the owner. A frame in one Write cannot get into the
// middle of another's.
func (c *conn) pong(data string) error {
	if c.closing.Load() {
		return nil // nothing may follow our close frame
	}
	b := append(appendHeader(make([]byte, 0, 2+125), opcodePong, len(data)), data...)
	c.nc.SetWriteDeadline(time.Now().Add(c.t.cfg.WriteTimeout)) // the write tells
	_, err := c.nc.Write(b)
	return err
}

// messageTime is how long a message may take from its first byte to its last, because a buffer waits with it.
const messageTime = 15 * time.Second

var errDripping = errors.New("a message took too long to arrive")

var errUnwritable = errors.New("the connection takes nothing more")

var errSilent = errors.New("the client has been silent for too long")

// Read is how gorilla reads: never beyond the end of a frame.
func (c *conn) Read(p []byte) (int, error) {
	if c.raw == nil {
		return c.more(p)
	}
	if len(c.rest) == 0 {
		if _, err := c.more(nil); err != nil {
			return 0, err
		}
	}
	n := copy(p, c.rest)
	n = c.frame.feed(c.rest[:n])
	c.took(n)
	return n, nil
}

// took drops what was read from rest, and gives the buffer back when it is empty.
func (c *conn) took(n int) {
	if c.rest = c.rest[n:]; len(c.rest) == 0 {
		c.t.pools.in.Put(c.in)
		c.in, c.rest = nil, nil
	}
}

// more waits for input. It pings a silent client once, and gives up on a dead one. The input becomes c.rest, or goes
// into p where the connection cannot be read without a buffer at hand.
func (c *conn) more(p []byte) (n int, err error) {
	for {
		quiet := time.Duration(c.quiet.Load())
		// Moving a timer costs something, so a busy connection does it twice a second.
		ours := !c.fixed && !c.pinged && !c.closing.Load()
		if now := time.Now(); ours && now.Sub(c.armed) > min(quiet/4, 500*time.Millisecond) {
			c.armed = now
			c.nc.SetReadDeadline(now.Add(quiet)) // the read tells
		}
		if c.raw == nil {
			n, err = c.nc.Read(p)
		} else if err = c.raw.Read(c.try); err == nil {
			err = c.readErr
		}
		switch {
		case err == nil:
			c.seen = time.Now()
			if !c.began.IsZero() && c.seen.Sub(c.began) > messageTime {
				return 0, errDripping
			}
			if c.pinged {
				c.pinged, c.armed = false, time.Time{}
			}
			return n, nil
		case c.fixed || c.closing.Load() || !errors.Is(err, os.ErrDeadlineExceeded):
			return 0, err
		case c.pinged:
			return 0, errSilent
		default:
			c.pinged = true
			c.t.post(post{op: opPing, c: c})
			c.nc.SetReadDeadline(time.Now().Add(quiet)) // the read tells
		}
	}
}

// attach makes c the connection nc.
func (c *conn) attach(nc net.Conn) {
	c.Conn, c.nc = nc, nc
	if tcp, ok := nc.(*net.TCPConn); ok && canRead {
		if raw, err := tcp.SyscallConn(); err == nil {
			c.raw, c.try = raw, c.tryRead
		}
	}
	c.seen = time.Now()
	c.quiet.Store(int64(c.t.cfg.Ping) * 4 / 3)
}

// tryRead reads what the socket has, and takes a buffer only for that. False means wait.
func (c *conn) tryRead(fd uintptr) bool {
	c.readErr = nil
	buf := get[inBuf](&c.t.pools.in)
	n, again, err := readFD(fd, buf.b[:])
	switch {
	case n > 0:
		c.in, c.rest = buf, buf.b[:n]
		return true
	case again:
		c.t.pools.in.Put(buf)
		return false
	case err == nil:
		err = io.EOF
	}
	c.t.pools.in.Put(buf)
	c.readErr = err
	return true
}

func newNonce() (n [32]byte) {
	rand.Read(n[:]) // never fails (crypto/rand)
	return n
}
