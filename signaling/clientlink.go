package signaling

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// This file is the client's part in connections: finding one, taking it into use, losing it.

// seek begins a round of the usual order: where the tracker moved, the last tracker, the sources, hosting.
func (c *Client) seek(now time.Time) {
	c.retryAt = time.Time{}
	p := plan{sources: c.cfg.Sources}
	if c.moved != "" {
		p.first = append(p.first, candidate{c.moved, "moved there"})
		c.moved = ""
	}
	if c.url != "" {
		p.first = append(p.first, candidate{c.url, c.label})
	}
	if !c.ever || c.backoff.Tries() > 2 && !now.Before(c.hostAt) {
		p.host = c.cfg.Host
	}
	c.search(now, p)
}

// search begins a round, in place of one that is on.
func (c *Client) search(_ time.Time, p plan) {
	if c.endRound != nil {
		c.endRound()
	}
	if c.backoff.Tries() == 0 {
		c.backoff.Next(c.rng)
	}
	p.opening = c.opening()
	p.timeout = c.cfg.Handshake
	p.try = c.backoff.Tries()
	c.round++
	round := c.round
	var ctx context.Context
	ctx, c.endRound = context.WithCancel(c.ctx)
	c.wg.Go(func() { p.seek(ctx, round, c.box) })
}

func (c *Client) opening() opening {
	return opening{key: c.cfg.Key, name: c.name, agent: c.cfg.Agent, resume: c.ever, dialer: c.dialer}
}

// sought takes a round's end.
func (c *Client) sought(now time.Time, d seekDone) {
	if d.round != c.round || c.stopped || c.closing {
		if d.s != nil {
			d.s.end()
		}
		return
	}
	c.endRound()
	c.endRound = nil
	if d.s == nil {
		c.err = d.err
		c.log.Debug("no tracker", "try", c.backoff.Tries(), "err", d.err)
		if c.session == nil {
			c.later(now)
		}
		return
	}
	c.adopt(now, d.s)
}

// later plans the next round.
func (c *Client) later(now time.Time) {
	wait := c.backoff.Next(c.rng)
	if wait == 0 {
		c.seek(now)
		return
	}
	c.retryAt = now.Add(wait)
	c.down(c.url, fmt.Sprintf("again in %v, try %d", wait.Round(100*time.Millisecond), c.backoff.Tries()))
}

// adopt takes a session into use, in place of one that is up.
func (c *Client) adopt(now time.Time, s *session) {
	if old := c.session; old != nil {
		// Say a proper goodbye there, so that nobody waits for us. Its end is no concern of ours any more.
		old.send((&ByeRequest{ID: newID()}).Append(nil))
		c.wg.Go(func() {
			select {
			case <-old.stop:
			case <-time.After(time.Second):
			case <-c.ctx.Done():
			}
			old.end()
			old.wg.Wait()
		})
		c.forget("the tracker changed")
	}
	c.session, c.url, c.label, c.err = s, s.url, s.label, nil
	s.since = now
	c.ever = true
	c.probeAt = time.Time{}
	if s.hosted {
		c.probeAt = now.Add(c.cfg.Probe)
	}
	s.start(c.box)
	h := s.hello
	c.log.Info("connected to a tracker", "url", s.url, "source", s.label, "term", h.Term, "resumed", h.Resumed)
	c.emit(StateChanged{State: Connected, URL: s.url, Hosting: s.hosted, Leader: h.Leader, Term: h.Term,
		Observed: h.Observed, STUN: h.STUN, Resumed: h.Resumed})
	for _, room := range c.rooms {
		c.ask(now, &JoinRequest{ID: newID(), Room: room}, asked{room: room})
	}
	queue := c.queue
	c.queue = nil
	for _, q := range queue {
		c.signal(now, cmdSignal{q.to, q.data})
	}
	if c.session == s && c.name != s.name {
		c.ask(now, &NameRequest{ID: newID(), Name: c.name}, asked{})
	}
}

// lost ends the session and plans what follows.
func (c *Client) lost(now time.Time, why error) {
	s := c.session
	if s == nil {
		return
	}
	c.session = nil
	c.probeAt = time.Time{}
	s.end()
	c.wg.Go(s.wg.Wait)
	c.forget("the connection to the tracker was lost")
	c.err = fmt.Errorf("tracker %s: connection lost: %w", s.url, why)
	c.log.Info("lost the tracker", "url", s.url, "err", why)
	if c.closing {
		return
	}
	if now.Sub(s.since) > 5*time.Second || c.lostAt.IsZero() {
		c.backoff.Reset()
	}
	c.lostAt = now
	c.hostAt = now.Add(c.cfg.HostAfter + time.Duration(c.rng.Int64N(int64(c.cfg.HostAfter))))
	if s.bye != nil {
		switch s.bye.Status {
		case Conflict:
			c.stopped = true
			c.err = fmt.Errorf("tracker %s: %s; this one stays away until it is told to reconnect", s.url, s.bye.Text)
			c.down(s.url, "")
			return
		case Moved:
			c.moved = s.bye.Tracker
		}
	}
	if c.endRound != nil {
		return // a round is on already
	}
	c.later(now)
}

// forget drops what waits for answers.
func (c *Client) forget(why string) {
	for _, id := range c.order {
		if a, ok := c.asked[id]; ok && a.op == "rooms" {
			c.emit(RoomList{Ref: a.ref, Err: fmt.Errorf("list rooms: %s before it answered", why)})
		}
	}
	clear(c.asked)
	c.order = nil
}

func (c *Client) redial(now time.Time) {
	if c.closing {
		return
	}
	c.stopped = false
	c.backoff.Reset()
	if s := c.session; s != nil {
		c.session = nil
		c.probeAt = time.Time{}
		s.end()
		c.wg.Go(s.wg.Wait)
		c.forget("a new connection was asked for")
	}
	c.backoff.Next(c.rng)
	c.seek(now)
}

// goodbye begins the end: the tracker is told, and has a moment to take it.
func (c *Client) goodbye(now time.Time) {
	if c.closing {
		return
	}
	c.closing = true
	c.retryAt, c.probeAt = time.Time{}, time.Time{}
	if c.endRound != nil {
		c.endRound()
	}
	if s := c.session; s != nil {
		if !s.send((&ByeRequest{ID: newID()}).Append(nil)) {
			c.lost(now, nil)
			return
		}
		c.wg.Go(func() {
			select {
			case <-s.stop: // the tracker answers bye with an end
			case <-time.After(300 * time.Millisecond):
				s.end()
			case <-c.ctx.Done():
			}
		})
	}
}

// probe looks for a named tracker while we host one.
func (c *Client) probe(now time.Time) {
	c.probeAt = now.Add(c.cfg.Probe)
	if c.probing || c.session == nil {
		return
	}
	named := slices.DeleteFunc(slices.Clone(c.cfg.Sources), func(s Source) bool { return !s.Named })
	if len(named) == 0 {
		return
	}
	c.probing = true
	p := plan{opening: c.opening(), sources: named, timeout: c.cfg.Handshake}
	not := c.session.url
	c.wg.Go(func() { p.probeNamed(c.ctx, not, c.box) })
}
