package signaling

import (
	"context"
	"log/slog"
	"math"
	"time"
)

// This file is the goroutine that owns a Tracker.

// own is the owner goroutine.
func (t *Tracker) own() {
	if poll, err := newPoller(); err == nil {
		t.parking.poll, t.parking.buf = poll, new(inBuf)
		t.wg.Go(func() { poll.watch(t.done) })
	} else if canPoll {
		t.log.Warn("every connection takes a goroutine", "err", err)
	}
	timer := time.NewTimer(math.MaxInt64)
	defer timer.Stop()
	var at time.Time
	for t.next(timer.C, t.stop) {
		if wake := t.wake(); !wake.IsZero() && !wake.Equal(at) {
			at = wake
			timer.Reset(time.Until(wake))
		}
	}
	t.end()
}

// next awaits something and handles it. It returns false when stop is closed.
func (t *Tracker) next(tick <-chan time.Time, stop <-chan struct{}) bool {
	var events <-chan int
	var more <-chan struct{}
	if poll := t.parking.poll; poll != nil {
		events = poll.ready
		if poll.mine || len(t.parking.unread) > 0 {
			more = poll.open
		}
	}
	select {
	case p := <-t.inbox:
		t.now = time.Now()
		t.handle(p)
		t.drain()
	case n := <-events:
		t.now = time.Now()
		t.parking.poll.n, t.parking.poll.mine = n, true
	case <-more:
		t.now = time.Now()
	case <-tick:
		t.now = time.Now()
	case <-stop:
		t.now = time.Now()
		return false
	}
	t.readParked()
	t.due()
	t.flush()
	t.count()
	return true
}

// drain handles what else is waiting, so that what goes to one connection goes in one write.
func (t *Tracker) drain() {
	for range 512 {
		select {
		case p := <-t.inbox:
			t.handle(p)
		default:
			return
		}
	}
}

func (t *Tracker) handle(p post) {
	c := p.c
	switch p.op {
	case opStep:
		t.step(p.in)
		if hello, ok := p.in.(HubHello); ok && t.cfg.OnPeer != nil && t.hub.Has(hello.Conn, hello.Req.Peer) {
			if c := t.byID[hello.Conn]; c != nil {
				t.cfg.OnPeer(hello.Req.Peer, c.addr.Addr())
			}
		}
		if p.info != nil {
			t.info.Store(p.info)
		}
	case opAdmit:
		p.ack <- t.admit(c)
	case opUpgraded:
		c.upgraded = true
		t.wg.Go(func() { c.greet(p.nonce) })
		if !c.closing.Load() {
			t.queue(c, opText, (&Challenge{Nonce: p.nonce}).Append(nil))
		}
		t.touch(c)
	case opPing:
		t.queue(c, opcodePing, nil)
	case opWrote:
		c.writing = false
		if p.err != nil {
			c.nc.Close() // which ends the reader
		}
		t.touch(c)
	case opCut:
		t.cut(c, p.data, p.note)
	case opEnded:
		c.seen = p.seen
		t.gone(c, p.err)
	case opPark:
		t.park(c)
	case opMeet:
		p.met <- t.meet(p.greet)
	case opYield:
		p.met <- t.yield()
	}
}

func (t *Tracker) admit(c *conn) *ByeNote {
	t.lastID++
	c.id = t.lastID
	t.hub.Step(t.now, HubArrived{Conn: c.id, Addr: c.addr.Addr()}, &t.out)
	if len(t.out.Close) > 0 {
		// Refused before there is a WebSocket: what the hub said goes into the HTTP answer.
		no, _ := t.out.Send[len(t.out.Send)-1].Msg.(*ByeNote)
		t.deliver(c.id)
		t.metrics.refused.Inc()
		level := slog.LevelInfo
		if no.Status == Moved { // everyday on a standby
			level = slog.LevelDebug
		}
		t.log.Log(t.ctx, level, "connection refused", "addr", c.addr, "status", no.Status, "text", no.Text)
		return no
	}
	t.byID[c.id] = c
	t.deliver(0)
	return nil
}

func (t *Tracker) step(in HubInput) {
	t.hub.Step(t.now, in, &t.out)
	t.deliver(0)
}

// deliver carries out what the hub wants, except for the connection but.
func (t *Tracker) deliver(but ConnID) {
	for i := range t.out.Send {
		s := &t.out.Send[i]
		if c := t.byID[s.Conn]; c != nil && s.Conn != but {
			t.send(c, s.Msg)
		}
		t.out.Done(s.Msg)
		s.Msg = nil
	}
	for _, id := range t.out.Close {
		if c := t.byID[id]; c != nil && id != but {
			t.close(c)
		}
	}
	for _, d := range t.out.Dial {
		t.dialBack(d)
	}
	t.out.Send, t.out.Close, t.out.Dial = t.out.Send[:0], t.out.Close[:0], t.out.Dial[:0]
}

// settle tells the hub what came of delivering.
func (t *Tracker) settle() {
	for p := &t.parking; len(t.later) > 0 || len(p.broken) > 0; {
		if len(p.broken) > 0 {
			c := p.broken[0]
			p.broken = p.broken[1:]
			t.drop(c, errUnwritable)
			continue
		}
		in := t.later[0]
		t.later = t.later[1:]
		t.step(in)
	}
	t.later, t.parking.broken = nil, nil
}

// flush writes to every parked connection that has something to write, and starts a writer for the others that have
// none.
func (t *Tracker) flush() {
	for t.settle(); len(t.dirty) > 0; t.settle() {
		for i := 0; i < len(t.dirty); i++ {
			c := t.dirty[i]
			c.dirty, t.dirty[i] = false, nil
			if c.parked && c.blocked {
				t.unpark(c, nil)
			}
			t.write(c)
		}
		t.dirty = t.dirty[:0]
	}
}

func (t *Tracker) count() {
	t.conns.Store(int64(t.hub.Conns()))
	t.peers.Store(int64(t.hub.Peers()))
	t.rooms.Store(int64(t.hub.Rooms()))
	if t.sent > 0 {
		t.metrics.sent.Add(float64(t.sent))
		t.sent = 0
	}
	if t.received > 0 {
		t.metrics.received.Add(float64(t.received))
		t.received = 0
	}
}

// end is the owner's last act: everybody is told, has half a second to take it, and is closed. What was asked of the
// tracker before it was stopped comes first: it may be where everybody is to go.
func (t *Tracker) end() {
	for range len(t.inbox) { // only the owner takes
		t.handle(<-t.inbox)
	}
	t.wg.Go(func() {
		t.srv.Shutdown(context.Background()) // Close below ends it
	})
	t.cancel()
	t.sockets.close()
	t.step(HubStopped{Text: "the tracker is shutting down"})
	t.flush()
	forced := make(chan struct{})
	patience := time.AfterFunc(500*time.Millisecond, func() { close(forced) })
	defer patience.Stop()
	for len(t.byID) > 0 && t.next(nil, forced) {
	}
	for _, c := range t.byID {
		switch {
		case c.parked:
			t.parking.poll.drop(c.fd)
		case c.upgraded:
			c.nc.Close()
		}
	}
	t.srv.Close()
	close(t.done)
	if t.parking.poll != nil {
		t.parking.poll.close()
	}
	for len(t.inbox) > 0 {
		if p := <-t.inbox; p.op == opUpgraded {
			p.c.nc.Close()
		}
	}
	t.wg.Wait()
	t.count()
	t.log.Info("tracker is down")
	close(t.ended)
}
