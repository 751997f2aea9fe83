package signalingtest

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"peerchat/signaling"
)

// This file is how a NetClient loses a tracker and finds another.

// lost tells of a lost connection, and looks for the next; how says in what way it was lost.
func (c *NetClient) lost(now time.Time, how signaling.StateChanged, err error) {
	c.forget(err)
	c.lostAt, c.tries = now, 0
	how.State, how.Err = signaling.Lost, err
	if len(c.urls) > 0 {
		how.URL = c.urls[0]
	}
	c.emit(how)
	c.seek(now)
}

func (c *NetClient) forget(err error) {
	for id, a := range c.asked {
		delete(c.asked, id)
		if a.op == "rooms" {
			c.emit(signaling.RoomList{Ref: a.ref, Err: err})
		}
	}
}

// dismissed takes the end of a connection by the tracker.
func (c *NetClient) dismissed(now time.Time, t *netTracker) {
	bye := c.bye
	c.bye = nil
	err := fmt.Errorf("tracker %s: it said goodbye", t.url)
	switch {
	case c.closed:
	case bye != nil && bye.Status == signaling.Conflict:
		c.stopped = true
		c.forget(err)
		c.emit(signaling.StateChanged{State: signaling.Lost, URL: t.url, Closed: true, Err: err})
	case bye != nil && bye.Status == signaling.Moved && bye.Tracker != "":
		c.urls = append([]string{bye.Tracker}, slices.DeleteFunc(c.urls, func(u string) bool { return u == bye.Tracker })...)
		c.urls = c.urls[:min(len(c.urls), signaling.MaxAddresses)]
		c.lost(now, signaling.StateChanged{Closed: true, Moved: true}, err)
	default:
		c.lost(now, signaling.StateChanged{Closed: true}, err)
	}
}

func (c *NetClient) follow(now time.Time, t signaling.Target) {
	if len(t.URLs) == 0 || !c.started {
		return
	}
	if c.at != nil && c.hello != nil && c.hello.Leader == t.Leader && (!t.Leader.IsZero() || slices.Contains(t.URLs, c.at.url)) {
		c.target = nil
		return
	}
	c.target, c.failed, c.tries = &t, 0, 0
	c.n.after(t.Jitter/2, c.given(c.seek))
}

// given does f unless something else was begun meanwhile.
func (c *NetClient) given(f func(now time.Time)) func(now time.Time) {
	c.round++
	round := c.round
	return func(now time.Time) {
		if c.round == round && !c.closed {
			f(now)
		}
	}
}

// seek begins a round: where it was sent, or the last tracker, and what a search finds.
func (c *NetClient) seek(now time.Time) {
	if !c.started || c.stopped || c.closed {
		return
	}
	c.tries++
	c.n.after(netDial, c.given(c.attempt))
}

// attempt is a round: who answers first is taken.
func (c *NetClient) attempt(now time.Time) {
	silent := false
	try := func(urls []string, want *signaling.Target) bool {
		for _, u := range urls {
			t, mute := c.find(u, want)
			if silent = silent || mute; t != nil {
				c.adopt(now, t)
				return true
			}
		}
		return false
	}
	first := c.urls
	if c.target != nil {
		first = c.target.URLs
	}
	if try(first, c.target) || c.at == nil && (!c.ever || now.Sub(c.lostAt) >= netSearch) && try(c.search(), nil) {
		return
	}
	wait := time.Duration(0)
	if silent {
		wait = netTimeout
	}
	c.n.after(wait, c.given(func(time.Time) {
		backoff := min(netBackoff<<min(c.tries-1, 20), netMost) / 2
		if c.tries == 1 {
			backoff = 0
		}
		c.n.after(backoff, c.given(c.seek))
		if c.at != nil {
			return
		}
		c.failed++
		err := errors.New("no tracker answered")
		state := signaling.Searching
		if c.ever {
			state = signaling.Lost
		}
		c.emit(signaling.StateChanged{State: state, Failed: c.failed, Trying: "again", Err: err})
		if !c.ever {
			c.emit(signaling.NoneFound{Err: err})
		}
	}))
}

// search is where trackers may be: those that the user named, and those of the LAN.
func (c *NetClient) search() []string {
	var urls []string
	for _, h := range c.cfg.Named {
		urls = append(urls, TrackerURL(h))
	}
	if c.cfg.LAN {
		for _, u := range slices.Sorted(maps.Keys(c.n.trackers)) {
			if t := c.n.trackers[u]; t.info.Serving && t != c.own && !slices.Contains(urls, u) {
				urls = append(urls, u)
			}
		}
	}
	return urls
}

// find is the tracker at a URL, or where that one sends people, if it answers; silent says that nothing does, not even
// a refusal.
func (c *NetClient) find(url string, want *signaling.Target) (t *netTracker, silent bool) {
	for range 4 {
		host := strings.TrimSuffix(strings.TrimPrefix(url, "ws://"), ":5000/ws")
		t := c.n.trackers[url]
		switch {
		case !c.n.reaches(c.host, host), t != nil && t.hung:
			return nil, true
		case t == nil:
			return nil, false
		case t.info.Serving && want != nil && t.info.Leader != want.Leader:
			return nil, false
		case t.info.Serving:
			return t, false
		case t.info.Tracker == "", want != nil && t.info.Term < want.Term:
			return nil, false
		}
		url = t.info.Tracker
	}
	return nil, false
}

// adopt goes to a tracker, and says goodbye to the one before.
func (c *NetClient) adopt(now time.Time, t *netTracker) {
	old, id, alive := c.at, c.conn, c.up()
	if old != nil {
		delete(old.byConn, id)
		c.forget(errors.New("the tracker changed"))
	}
	t.admit(now, c)
	switch {
	case old == nil || old == t:
	case alive:
		old.step(now, signaling.HubRequest{Conn: id, Req: &signaling.ByeRequest{ID: newID()}, Size: 1})
	default:
		old.step(now, signaling.HubDropped{Conn: id, Seen: now})
	}
}

// look looks for other trackers as long as this peer leads, or follows a leader.
func (c *NetClient) look(now time.Time) {
	if !c.looking {
		c.looking = true
		c.n.after(0, c.looks)
	}
}

func (c *NetClient) looks(now time.Time) {
	leads := c.own != nil && c.own.info.Serving
	if c.closed || !leads && (c.at == nil || c.hello.Leader.IsZero()) {
		c.looking, c.home = false, ""
		return
	}
	every := netLook
	if !leads {
		every = 3 * time.Second
	}
	c.n.after(every, c.looks)
	if t := c.n.trackers[c.home]; c.home != "" {
		if t == nil || t.hung || !c.n.reaches(c.host, t.host) {
			c.home = ""
			c.emit(signaling.HomeGone{})
		}
	}
	var seen []*netTracker
	for _, u := range append(slices.Clone(c.scouted), c.search()...) {
		t, _ := c.find(u, nil)
		if t == nil || t == c.own || t == c.at || slices.Contains(seen, t) {
			continue
		}
		seen = append(seen, t)
		if t.owner == nil {
			if leads && c.leading.Term > t.info.Term {
				t.serve(now, signaling.Lead{Term: c.leading.Term})
			}
			if c.home == "" {
				c.home = t.url
			}
		} else if leads {
			t.owner.emit(signaling.Met{Term: c.leading.Term, Proof: c.leading.Proof})
		}
		c.emit(signaling.Met{URLs: []string{t.url}, Term: t.info.Term, Leader: t.info.Leader, Proof: t.info.Proof})
	}
}
