package signaling

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/gorilla/websocket"
)

// conn is one client's connection to a Tracker.
//
// gorilla/websocket upgrades it and reads from it. What is written is framed here (RFC 6455 section 5.2 takes a few
// lines for a server), because then everything that waits for a connection is one byte slice, written by one system
// call.
//
// What an idle connection costs is what limits a tracker, so it holds one goroutine with the smallest stack, and no
// buffers; see connread.go.
type conn struct {
	net.Conn // nil before hijack
	t        *Tracker
	nc       net.Conn // Conn, under the name by which the owner knows it
	addr     netip.AddrPort
	host     string // what the client dialled, from its request

	closing atomic.Bool  // set by the owner: nothing that the client says matters any more
	quiet   atomic.Int64 // set by the owner: the silence after which to ping, then to give up, in nanoseconds

	// Owned by the owner goroutine.
	id       ConnID
	pending  *outBuf
	upgraded bool
	writing  bool
	dirty    bool
	final    bool // the close frame is in pending or written
	held     bool // in parking.lazy

	// While it is parked, the owner has the socket, too, and what the reader has otherwise; see parked.go. Then there
	// are no Conn, nc, raw and try.
	parked  bool
	blocked bool // the socket does not take all of pending
	fd      int
	place   int // in parking.all

	// Owned by the goroutine that reads.
	ws      *websocket.Conn
	raw     syscall.RawConn // nil if the connection has none (TLS)
	try     func(fd uintptr) bool
	in      *inBuf
	rest    []byte // unread part of in
	frame   framing
	readErr error
	seen    time.Time
	armed   time.Time
	began   time.Time // when the message that is being read began; zero between messages
	fixed   bool      // the deadline is the handshake's
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
	if h, ok := m.(*HelloAnswer); ok {
		c.quiet.Store(int64(h.Ping) * int64(time.Millisecond) * 4 / 3)
	}
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
	t.sent++
	if a, ok := m.(*Answer); ok && c.parked && a.Status == OK && a.Op == "signal" && len(b.b) < 1<<10 {
		t.hold(c)
		return
	}
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
	case size > 64<<10 && !c.writing && !c.blocked:
		t.write(c)
	case size > t.cfg.Limits.Queue:
		t.metrics.slow.Inc()
		t.log.Warn("slow reader cut off", "conn", c.id, "addr", c.addr, "waiting", size)
		t.cut(c, nil, &ByeNote{Status: RateLimited, Text: "slow reader: too much was waiting for this connection"})
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

// cut ends a connection for its own fault, with last, if that is not nil, and a bye. If it is for reading slowly, what
// waited is dropped, and there is little time to take the rest. All others have their answers first: that a writer is
// at work tells nothing about them.
func (t *Tracker) cut(c *conn, last []byte, why *ByeNote) {
	if c.final {
		return
	}
	if c.writing && c.pending != nil && len(c.pending.b) > t.cfg.Limits.Queue {
		c.pending.b = c.pending.b[:0]
		c.nc.SetWriteDeadline(t.now.Add(250 * time.Millisecond)) // a closed socket needs no deadline
	}
	t.metrics.cut.Inc()
	if last != nil {
		t.queue(c, opText, last)
	}
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
	if c.parked {
		t.writeParked(c)
		return
	}
	b, last := c.pending, c.final
	c.pending, c.writing = nil, true
	t.wg.Go(func() { c.write(b, last) })
}

func (t *Tracker) recycle(b *outBuf) {
	if cap(b.b) <= 64<<10 {
		b.b = b.b[:0]
		t.pools.out.Put(b)
	}
}

// ---- The writer's part.

func (c *conn) write(b *outBuf, last bool) {
	c.nc.SetWriteDeadline(time.Now().Add(c.t.cfg.WriteTimeout)) // the write tells
	_, err := c.nc.Write(b.b)
	c.t.recycle(b)
	if last && err == nil {
		// Closing at once would reset the connection if the client has just said something, and the reset would
		// overtake our goodbye. So end our half, and let the reader see the client's end, or the deadline.
		if h, ok := c.nc.(interface{ CloseWrite() error }); ok {
			err = h.CloseWrite()
		}
		c.nc.SetReadDeadline(time.Now().Add(time.Second)) // Close follows
	}
	if !c.t.post(post{op: opWrote, c: c, err: err}) {
		c.nc.Close()
	}
}
