package signaling

import (
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"time"
)

// This file is the owner's part in parked connections. A connection that has said hello and has nothing unusual about
// it is parked: it has no goroutine, and the owner itself reads from its socket and writes to it, neither of which
// waits. That is what makes relaying cheap: a system call to read, one to write, and nobody to wake. Whatever does not
// fit (a message in pieces, a client that does not read) takes the connection out again, and it is served by goroutines
// as in conn.go and connread.go until it is idle. So is TLS, and everything where there is no poller.

// parking is the owner's state of it.
type parking struct {
	poll   *poller // nil if there is none
	byFD   []*conn // index: the socket
	all    []*conn // in any order; conn.place is the index
	unread []*conn // those that have more to read than was read in one go
	broken []*conn // those that could not be written to
	buf    *inBuf
	dec    decoder
	signal SignalRequest
	req    HubRequest
	swept  time.Time

	// Connections with an answer that may wait for company: the older and the younger ones.
	lazy [2][]*conn
	held time.Time // when lazy[0] is older than lazyTime
}

const (
	sweepTime = 250 * time.Millisecond
	// lazyTime is how long the answer OK to a signal waits, at least and half of it at most, for something that goes to
	// the same client and costs a write anyway. Nobody waits for it: what tells a peer that its signal arrived is the
	// other peer's, and a refusal is not held.
	lazyTime = 120 * time.Millisecond
)

// park takes a connection from its reader, which has ended.
func (t *Tracker) park(c *conn) {
	if t.parking.poll == nil || c.raw == nil || c.writing || c.final {
		t.wg.Go(c.wait)
		return
	}
	p := &t.parking
	fd, err := p.poll.add(c.raw)
	if err != nil {
		t.wg.Go(c.wait)
		return
	}
	c.nc.Close() // the socket lives on in fd
	c.Conn, c.nc, c.raw, c.try = nil, nil, nil, nil
	c.parked, c.blocked, c.pinged = true, false, false
	c.fd, c.place = fd, len(p.all)
	p.all = append(p.all, c)
	if fd >= len(p.byFD) {
		p.byFD = append(p.byFD, make([]*conn, fd+1-len(p.byFD))...)
	}
	p.byFD[fd] = c
	t.touch(c)
}

func (p *parking) forget(c *conn) {
	last := len(p.all) - 1
	p.all[c.place] = p.all[last]
	p.all[c.place].place = c.place
	p.all[last] = nil
	p.all = p.all[:last]
	p.byFD[c.fd] = nil
	c.parked = false
}

// unpark gives a connection to a reader of its own, with what was read of it.
func (t *Tracker) unpark(c *conn, rest []byte) {
	p := &t.parking
	p.forget(c)
	nc, err := p.poll.remove(c.fd)
	if err != nil {
		t.gone(c, err)
		return
	}
	c.attach(nc)
	c.pinged, c.armed = false, time.Time{}
	if len(rest) > 0 {
		c.in, c.rest = p.buf, rest
		p.buf = get[inBuf](&t.pools.in)
	}
	t.touch(c)
	t.wg.Go(c.work)
}

// drop closes a parked connection.
func (t *Tracker) drop(c *conn, err error) {
	if c.parked {
		t.parking.forget(c)
		t.parking.poll.drop(c.fd)
		t.gone(c, err)
	}
}

// gone forgets a connection that is closed.
func (t *Tracker) gone(c *conn, err error) {
	c.final, c.pending = true, nil
	if t.byID[c.id] == c {
		delete(t.byID, c.id)
		t.step(HubDropped{Conn: c.id, Seen: c.seen})
		t.log.Debug("connection ended", "conn", c.id, "addr", c.addr, "err", err)
	}
}

// readParked reads what parked connections have.
func (t *Tracker) readParked() {
	p := &t.parking
	if unread := p.unread; len(unread) > 0 {
		p.unread = nil
		for _, c := range unread {
			if c.parked {
				t.read(c, true)
			}
		}
	}
	if p.poll != nil && p.poll.mine {
		p.poll.each(t.readable)
		p.poll.more()
	}
}

// readable handles an event. Its socket may have changed hands since, which does no harm.
func (t *Tracker) readable(fd int, hup bool) {
	if fd < len(t.parking.byFD) {
		if c := t.parking.byFD[fd]; c != nil {
			t.read(c, hup)
		}
	}
}

// read reads once. If that was not all, or more says so, the connection's next turn comes after the others'.
func (t *Tracker) read(c *conn, more bool) {
	p := &t.parking
	n, again, err := readFD(uintptr(c.fd), p.buf.b[:])
	switch {
	case again:
		return
	case err != nil:
		t.drop(c, err)
		return
	case n == 0:
		t.drop(c, io.EOF)
		return
	}
	c.seen, c.pinged = t.now, false
	rest := t.frames(c, p.buf.b[:n])
	switch {
	case c.final: // what it says does not matter, but that it ends
		p.unread = append(p.unread, c)
	case len(rest) > 0:
		t.unpark(c, rest)
	case more || n == len(p.buf.b):
		p.unread = append(p.unread, c)
	}
}

// frames handles whole, unfragmented frames, and returns what is not one.
func (t *Tracker) frames(c *conn, b []byte) []byte {
	const whole, mask = 0x80, 0x80
	for len(b) >= 6 {
		head, size := 2, int(b[1])-mask
		switch {
		case size < 0 || size == 127:
			return b
		case size == 126:
			head, size = 4, int(binary.BigEndian.Uint16(b[2:]))
		}
		end := head + 4 + size
		control := b[0] == whole|opcodePing || b[0] == whole|opcodePong
		if end > len(b) || !control && b[0] != whole|opText || control && head > 2 || head > 2 && size < 126 {
			return b
		}
		body := b[head+4 : end]
		unmask(body, [4]byte(b[head:]))
		switch {
		case c.final:
			return nil
		case b[0] == whole|opText:
			t.text(c, body)
		case b[0] == whole|opcodePing:
			t.queue(c, opcodePong, body)
		}
		b = b[end:]
	}
	return b
}

func unmask(b []byte, key [4]byte) {
	k := uint64(binary.LittleEndian.Uint32(key[:]))
	k |= k << 32
	for len(b) >= 8 {
		binary.LittleEndian.PutUint64(b, binary.LittleEndian.Uint64(b)^k)
		b = b[8:]
	}
	for i := range b {
		b[i] ^= key[i%4]
	}
}

// text handles a message. What the hub gets of it aliases b, and is encoded before text returns.
func (t *Tracker) text(c *conn, b []byte) {
	p := &t.parking
	t.received++
	req, err := p.dec.requestOf(b, &p.signal)
	if err != nil {
		bad := new(BadRequest)
		errors.As(err, &bad)
		t.step(HubBad{Conn: c.id, Err: bad})
		return
	}
	p.req = HubRequest{Conn: c.id, Req: req, Size: len(b)}
	t.step(&p.req)
}

// writeParked writes what waits for a connection. What the socket does not take stays, and flush takes the connection
// out.
func (t *Tracker) writeParked(c *conn) {
	p := &t.parking
	b := c.pending
	n, again, err := p.poll.write(c.fd, b.b)
	switch {
	case err != nil:
		p.broken = append(p.broken, c)
		b.b = b.b[:0]
		return
	case again:
		b.b = slices.Delete(b.b, 0, n)
		c.blocked = true
		t.touch(c)
		return
	}
	c.pending = nil
	t.recycle(b)
	if c.final {
		c.armed = t.now
		if err := p.poll.finish(c.fd); err != nil {
			p.broken = append(p.broken, c)
		}
	}
}

// hold lets what was queued for a parked connection wait for company.
func (t *Tracker) hold(c *conn) {
	p := &t.parking
	if c.held {
		return
	}
	c.held = true
	p.lazy[1] = append(p.lazy[1], c)
	if p.held.IsZero() {
		p.held = t.now.Add(lazyTime / 2)
	}
}

// unhold lets go what has waited for long enough.
func (t *Tracker) unhold() {
	p := &t.parking
	for i, c := range p.lazy[0] {
		c.held = false
		t.touch(c)
		p.lazy[0][i] = nil
	}
	p.lazy[0], p.lazy[1] = p.lazy[1], p.lazy[0][:0]
	p.held = time.Time{}
	if len(p.lazy[0]) > 0 {
		p.held = t.now.Add(lazyTime / 2)
	}
}

// sweep pings parked connections that are silent, and drops the dead.
func (t *Tracker) sweep() {
	p := &t.parking
	p.swept = t.now
	for i := len(p.all) - 1; i >= 0; i-- {
		c := p.all[i] // dropping it puts one here that was looked at before
		quiet := time.Duration(c.quiet.Load())
		switch {
		case c.final:
			if t.now.Sub(c.armed) > time.Second {
				t.drop(c, errSilent)
			}
		case c.pinged:
			if t.now.Sub(c.armed) > quiet {
				t.drop(c, errSilent)
			}
		case t.now.Sub(c.seen) > quiet:
			c.pinged, c.armed = true, t.now
			t.queue(c, opcodePing, nil)
		}
	}
}

// wake is when the owner has something to do at the latest; zero means never.
func (t *Tracker) wake() time.Time {
	at := t.out.Wake
	sooner := func(w time.Time) {
		if at.IsZero() || w.Before(at) {
			at = w
		}
	}
	if !t.parking.held.IsZero() {
		sooner(t.parking.held)
	}
	if len(t.parking.all) > 0 {
		sooner(t.parking.swept.Add(sweepTime))
	}
	return at
}

// due does what its time has come for.
func (t *Tracker) due() {
	if p := &t.parking; !p.held.IsZero() && !t.now.Before(p.held) {
		t.unhold()
	}
	if t.now.Sub(t.parking.swept) >= sweepTime {
		t.sweep()
	}
	if !t.out.Wake.IsZero() && !t.now.Before(t.out.Wake) {
		t.step(HubTick{})
	}
}
