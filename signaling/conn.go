package signaling

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/gorilla/websocket"
)

// conn is one client's connection to a Tracker.
//
// gorilla/websocket upgrades it and reads from it. What is written is framed here (RFC 6455 section 5.2 takes a few lines for a
// server), because then everything that waits for a connection is one byte slice, written by one system call.
//
// An idle connection holds one goroutine with a small stack, and no buffers: it reads through Read below, which takes
// a buffer only when the socket has something.
type conn struct {
	net.Conn // nil before hijack
	t        *Tracker
	nc       net.Conn // Conn, under the name by which the owner knows it
	addr     netip.AddrPort
	host     string // what the client dialled, from its request

	closing atomic.Bool // set by the owner: nothing that the client says matters any more

	// Owned by the owner goroutine.
	id       ConnID
	pending  *outBuf
	upgraded bool
	writing  bool
	dirty    bool
	final    bool // the close frame is in pending or written

	// Owned by the goroutine that reads.
	ws      *websocket.Conn
	raw     syscall.RawConn // nil if the connection has none (TLS)
	try     func(fd uintptr) bool
	in      *inBuf
	rest    []byte // unread part of in
	readErr error
	seen    time.Time
	armed   time.Time
	fixed   bool // the deadline is the handshake's
	pinged  bool
}

// pools are the buffers that connections share.
type pools struct{ in, out, scratch, ws sync.Pool }

type (
	inBuf   struct{ b [16 << 10]byte }
	outBuf  struct{ b []byte }
	scratch struct {
		dec decoder
		b   [MaxMessage + 1]byte
	}
)

func get[T any](p *sync.Pool) *T {
	if v, ok := p.Get().(*T); ok {
		return v
	}
	return new(T)
}

const (
	opText      = websocket.TextMessage
	opcodePing  = websocket.PingMessage
	opcodePong  = websocket.PongMessage
	opcodeClose = websocket.CloseMessage
)

// appendHeader adds the header of an unmasked, unfragmented frame (RFC 6455 section 5.2).
func appendHeader(b []byte, opcode byte, size int) []byte {
	b = append(b, 0x80|opcode)
	switch {
	case size < 126:
		return append(b, byte(size))
	case size < 1<<16:
		return binary.BigEndian.AppendUint16(append(b, 126), uint16(size))
	}
	return binary.BigEndian.AppendUint64(append(b, 127), uint64(size))
}

// ---- The owner's part.

// send queues a message.
func (t *Tracker) send(c *conn, m Message) {
	if c.final {
		return
	}
	b := t.buffer(c)
	// The length comes before the message: leave room for the longest header that is likely, and close the gap.
	at := len(b.b)
	b.b = append(b.b, 0, 0, 0, 0)
	b.b = m.Append(b.b)
	size := len(b.b) - at - 4
	switch {
	case size > MaxMessage:
		b.b = b.b[:at]
		t.log.Error("message too long to send", "size", size, "type", fmt.Sprintf("%T", m))
	case size < 126:
		b.b[at], b.b[at+1] = 0x80|opText, byte(size)
		b.b = append(b.b[:at+2], b.b[at+4:]...)
	case size < 1<<16:
		b.b[at], b.b[at+1] = 0x80|opText, 126
		binary.BigEndian.PutUint16(b.b[at+2:], uint16(size))
	default: // exactly MaxMessage
		b.b = append(appendHeader(b.b[:at], opText, size), m.Append(nil)...)
	}
	t.metrics.sent.Inc()
	t.queued(c)
}

// queue queues a frame.
func (t *Tracker) queue(c *conn, opcode byte, data []byte) {
	if c.final {
		return
	}
	b := t.buffer(c)
	b.b = append(appendHeader(b.b, opcode, len(data)), data...)
	t.queued(c)
}

func (t *Tracker) buffer(c *conn) *outBuf {
	if c.pending == nil {
		c.pending = get[outBuf](&t.pools.out)
	}
	return c.pending
}

// queued looks after the queue's bound.
func (t *Tracker) queued(c *conn) {
	size := len(c.pending.b)
	switch {
	case size > 64<<10 && !c.writing:
		t.write(c)
	case size > t.cfg.Limits.Queue:
		t.metrics.slow.Inc()
		t.log.Warn("slow reader cut off", "conn", c.id, "addr", c.addr, "waiting", size)
		t.cut(c, &ByeNote{Status: RateLimited, Text: "slow reader: too much was waiting for this connection"})
	default:
		t.touch(c)
	}
}

func (t *Tracker) touch(c *conn) {
	if !c.dirty && c.pending != nil {
		c.dirty = true
		t.dirty = append(t.dirty, c)
	}
}

// cut ends a connection for its own fault. What waited for a slow reader is dropped, and it has little time to take the rest.
func (t *Tracker) cut(c *conn, why *ByeNote) {
	if c.final {
		return
	}
	if c.writing && c.pending != nil {
		c.pending.b = c.pending.b[:0]
		c.nc.SetWriteDeadline(t.now.Add(250 * time.Millisecond)) //nolint // a closed socket needs no deadline
	}
	t.metrics.cut.Inc()
	t.send(c, why)
	t.close(c)
	t.later = append(t.later, HubDropped{Conn: c.id, Seen: t.now}) // deliver may be at work: see settle
}

// close ends the queue with a close frame.
func (t *Tracker) close(c *conn) {
	if c.final {
		return
	}
	c.closing.Store(true)
	t.queue(c, opcodeClose, websocket.FormatCloseMessage(websocket.CloseNormalClosure, ""))
	c.final = true
}

// write hands the queue to a new writer, unless one is at work.
func (t *Tracker) write(c *conn) {
	if c.writing || c.pending == nil || !c.upgraded {
		return
	}
	b, last := c.pending, c.final
	c.pending, c.writing = nil, true
	t.wg.Go(func() { c.write(b, last) })
}

// ---- The writer's part.

func (c *conn) write(b *outBuf, last bool) {
	c.nc.SetWriteDeadline(time.Now().Add(c.t.cfg.WriteTimeout)) //nolint // the write tells
	_, err := c.nc.Write(b.b)
	if cap(b.b) <= 64<<10 {
		b.b = b.b[:0]
		c.t.pools.out.Put(b)
	}
	if last && err == nil {
		// Closing at once would reset the connection if the client has just said something, and the reset would overtake
		// our goodbye. So end our half, and let the reader see the client's end, or the deadline.
		if h, ok := c.nc.(interface{ CloseWrite() error }); ok {
			err = h.CloseWrite()
		}
		c.nc.SetReadDeadline(time.Now().Add(time.Second)) //nolint // Close follows
	}
	if !c.t.post(post{op: opWrote, c: c, err: err}) {
		c.nc.Close()
	}
}

// ---- The reader's part.

// greet runs from the upgrade to the hello. The reading goes on in a fresh goroutine, whose stack has not grown.
func (c *conn) greet(nonce [32]byte) {
	c.fixed = true
	c.nc.SetReadDeadline(time.Now().Add(c.t.cfg.Handshake)) //nolint // the read tells
	for range 3 {
		req, size, err := c.message()
		if err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
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
		c.t.wg.Go(c.read)
		return
	}
	c.end(&ByeNote{Status: Unauthorized, Text: "say hello first"}, errors.New("no hello"))
}

func (c *conn) read() {
	for {
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

// end closes the connection, after note if there is one, and tells the owner.
func (c *conn) end(note *ByeNote, err error) {
	if note != nil && c.t.post(post{op: opCut, c: c, note: note}) {
		c.nc.SetReadDeadline(time.Now().Add(time.Second)) //nolint // Close follows
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
		c.t.post(post{op: opCut, c: c, note: &ByeNote{Status: RequestError, Text: "binary message: this protocol is JSON in text messages"}})
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
	c.nc.SetReadDeadline(time.Now().Add(time.Second)) //nolint // the read tells
	var sink [4096]byte
	var err error
	for err == nil {
		_, err = c.Read(sink[:])
	}
}

var errSilent = errors.New("the client has been silent for too long")

// Read is how gorilla reads. It waits without a buffer, pings a silent client once, and gives up on a dead one.
func (c *conn) Read(p []byte) (int, error) {
	for {
		if len(c.rest) > 0 {
			n := copy(p, c.rest)
			if c.rest = c.rest[n:]; len(c.rest) == 0 {
				c.t.pools.in.Put(c.in)
				c.in, c.rest = nil, nil
			}
			return n, nil
		}
		now := time.Now()
		quiet := c.t.cfg.Ping + c.t.cfg.Ping/3
		// Moving a timer costs something, so a busy connection does it twice a second.
		if !c.fixed && !c.pinged && !c.closing.Load() && now.Sub(c.armed) > min(quiet/4, 500*time.Millisecond) {
			c.armed = now
			c.nc.SetReadDeadline(now.Add(quiet)) //nolint // the read tells
		}
		n, err := c.fill(p)
		switch {
		case err == nil:
			c.seen = time.Now()
			if c.pinged {
				c.pinged, c.armed = false, time.Time{}
			}
			if n > 0 {
				return n, nil
			}
		case c.fixed || c.closing.Load() || !errors.Is(err, os.ErrDeadlineExceeded):
			return 0, err
		case c.pinged:
			return 0, errSilent
		default:
			c.pinged = true
			c.t.post(post{op: opPing, c: c})
			c.nc.SetReadDeadline(time.Now().Add(quiet)) //nolint // the read tells
		}
	}
}

// fill waits for input and reads it into a pooled buffer as c.rest, or straight into p.
func (c *conn) fill(p []byte) (int, error) {
	if c.raw == nil {
		return c.nc.Read(p)
	}
	c.readErr = nil
	if err := c.raw.Read(c.try); err != nil {
		return 0, err
	}
	return 0, c.readErr
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
}

// tryRead reads what the socket has, and takes a buffer only for that. False means wait.
func (c *conn) tryRead(fd uintptr) bool {
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
	rand.Read(n[:]) //nolint // never fails (crypto/rand)
	return n
}
