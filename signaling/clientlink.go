package signaling

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// This file is the client's part in connections: finding one, taking it into use, going elsewhere, losing it.

// seek begins a round: where we were sent, or the tracker that was lost, and the sources when they may help.
func (c *Client) seek(now time.Time) {
	c.endSeek()
	if c.backoff.Tries() == 0 {
		c.backoff.Next(c.rng)
	}
	p := plan{opening: opening{key: c.cfg.Key, name: c.name, agent: c.cfg.Agent, resume: c.ever, process: c.process, dialer: c.dialer},
		try: c.backoff.Tries(), timeout: c.cfg.Handshake, dial: c.dialer.NetDialContext, interfaces: c.cfg.Interfaces}
	urls, label := c.urls, c.label
	if c.target != nil {
		p.want, urls, label = c.target, c.target.URLs, targetLabel(c.target)
	}
	for _, u := range urls {
		if s := c.session; s != nil && s.url == u && p.want != nil && s.hello.Leader != p.want.Leader {
			continue // it is here, and is led by another: a second hello to it would only end the session
		}
		p.first = append(p.first, candidate{u, label})
	}
	if c.session == nil && (!c.ever || now.Sub(c.lostAt) >= c.cfg.SeekAfter) {
		p.sources = c.cfg.Sources
	}
	c.seeking = ""
	if len(p.first) > 0 {
		c.seeking = p.first[0].url
	}
	c.round++
	round := c.round
	var ctx context.Context
	ctx, c.endRound = context.WithCancel(c.ctx)
	c.wg.Go(func() { p.seek(ctx, round, c.box) })
}

func targetLabel(t *Target) string {
	if t.Leader.IsZero() {
		return "home"
	}
	return "elected"
}

// follow goes to another tracker.
func (c *Client) follow(now time.Time, t Target) {
	var urls []string
	for _, u := range t.URLs {
		if url, err := ParseAddr(u); err == nil && !slices.Contains(urls, url) && len(urls) < MaxAddresses {
			urls = append(urls, url)
		}
	}
	if c.closing || len(urls) == 0 {
		return
	}
	t.URLs = urls
	if c.endRound != nil && c.target == nil && c.seeking != "" && slices.Contains(urls, c.seeking) {
		// It is on its way there already, because the old tracker said so, too. To begin anew could leave a hello
		// behind that throws out the next.
		c.target, c.failed = &t, 0
		return
	}
	if old := c.target; old != nil && old.Leader == t.Leader {
		// What a leader that was not reached yet says again makes up for no failure: else one that says it often enough
		// is never found out, and can have many dial wherever it likes.
		c.target = &t
		if c.endRound != nil || c.stopped || c.round == 0 || slices.Equal(old.URLs, urls) || c.backoff.Tries() > quickRounds {
			return
		}
		c.seek(now)
		return
	}
	c.endSeek()
	if s := c.session; s != nil && s.hello.Leader == t.Leader && (!t.Leader.IsZero() || slices.Contains(urls, s.url)) {
		c.target = nil
		c.note(s.url, urls)
		return
	}
	c.target, c.failed = &t, 0
	c.backoff.Reset()
	switch {
	case c.stopped, c.round == 0: // until Redial, until Start
	case t.Jitter > 0:
		c.retryAt = now.Add(time.Duration(c.rng.Int64N(int64(t.Jitter))))
	default:
		c.seek(now)
	}
}

// quickRounds is how many rounds begin as soon as a leader that was not reached names other addresses.
const quickRounds = 3

// endSeek ends a round, or the wait for one.
func (c *Client) endSeek() {
	c.retryAt = time.Time{}
	if c.endRound != nil {
		c.endRound()
		c.endRound = nil
		c.round++ // what it still posts is of the past
	}
}

// note keeps where the tracker is that we are at: by the address that worked first.
func (c *Client) note(url string, others []string) {
	urls := []string{url}
	for _, u := range others {
		if !slices.Contains(urls, u) && len(urls) < MaxAddresses {
			urls = append(urls, u)
		}
	}
	c.urls = urls
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
	if len(d.named) > 0 {
		c.named = d.named
	}
	switch {
	case d.s != nil:
		c.adopt(now, d.s)
	case c.session != nil:
		c.log.Debug("the tracker to go to does not answer", "try", c.backoff.Tries(), "err", d.err)
		c.retryAt = now.Add(c.backoff.Next(c.rng))
	default:
		c.err = d.err
		c.failed++
		c.log.Debug("no tracker", "try", c.backoff.Tries(), "err", d.err)
		c.later(now)
		if !c.ever {
			c.emit(NoneFound{Err: d.err})
		}
	}
}

// later plans the next round.
func (c *Client) later(now time.Time) {
	wait := c.backoff.Next(c.rng)
	if wait == 0 {
		c.seek(now)
		return
	}
	c.retryAt = now.Add(wait)
	c.down(c.place(), fmt.Sprintf("again in %v, try %d", wait.Round(100*time.Millisecond), c.backoff.Tries()))
}

// place is the tracker in question, for people.
func (c *Client) place() string {
	switch {
	case c.target != nil:
		return c.target.URLs[0]
	case len(c.urls) > 0:
		return c.urls[0]
	}
	return ""
}

// up tells of the connection.
func (c *Client) up() {
	s, h := c.session, c.session.hello
	c.termAt = time.Time{}
	c.emit(StateChanged{State: Connected, URL: s.url, Leader: h.Leader, Term: h.Term, Proof: h.Proof,
		Addresses: slices.Clone(s.reach), Named: slices.Contains(c.named, s.url), Observed: h.Observed,
		STUN: h.STUN, Resumed: h.Resumed})
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
	c.session, c.label, c.err = s, s.label, nil
	if c.target != nil && slices.Contains(c.target.URLs, s.url) {
		c.urls = c.target.URLs
	}
	c.note(s.url, c.urls)
	c.target = nil
	s.since = now
	c.ever, c.closed, c.moved, c.failed = true, false, false, 0
	s.start(c.box)
	h := s.hello
	c.log.Info("connected to a tracker", "url", s.url, "source", s.label, "term", h.Term, "leader", leaderText(h.Leader), "resumed", h.Resumed)
	c.up()
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
	c.session, c.termAt = nil, time.Time{}
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
	c.closed, c.moved = s.bye != nil || hungUp(why), false
	if s.bye != nil {
		switch {
		case s.bye.Status == Conflict && s.bye.Process == c.process:
			// Our own doing: the tracker has read the hello of an attempt that was given up, or of one that is under
			// way.
			c.moved = true
			if c.endRound != nil {
				return // its end will tell
			}
		case s.bye.Status == Conflict:
			c.stop(now)
			return
		case s.bye.Status == Moved && s.bye.Tracker != "":
			c.moved = true
			if url, err := ParseAddr(s.bye.Tracker); err == nil {
				c.note(url, c.urls)
				c.label = "moved there"
			}
		}
	}
	c.down(s.url, "")
	waits := !c.retryAt.IsZero() && c.backoff.Tries() == 0 // one of many who go to the same place
	if c.endRound == nil && !waits {
		c.retryAt = time.Time{}
		c.later(now)
	}
}

// stop stays away from the tracker, because another client with this identity is there.
func (c *Client) stop(now time.Time) {
	c.stopped = true
	c.endSeek()
	url := c.place()
	c.err = fmt.Errorf("tracker %s: another client with this identity took its place; this one stays away until it is told to reconnect", url)
	c.down(url, "")
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
		c.session, c.termAt = nil, time.Time{}
		c.lostAt = now
		s.end()
		c.wg.Go(s.wg.Wait)
		c.forget("a new connection was asked for")
	}
	c.seek(now)
}

// goodbye begins the end: the tracker is told, and has a moment to take it.
func (c *Client) goodbye(now time.Time) {
	if c.closing {
		return
	}
	c.closing = true
	c.retryAt = time.Time{}
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
