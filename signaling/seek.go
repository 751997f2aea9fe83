package signaling

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"
)

const (
	// maxFound bounds how many addresses of one source are tried in a round.
	maxFound = 16
	// stagger is the time between the beginnings of dials to several addresses of one tracker.
	stagger = 100 * time.Millisecond
)

// plan is one round of looking for a tracker.
type plan struct {
	opening
	try     int
	first   []candidate // where to go before the sources are asked, best first
	want    *Target     // who must lead at the first; nil: anybody
	sources []Source
	timeout time.Duration // for each address
	dial    dialFunc

	interfaces []string
}

type candidate struct{ url, label string }

// What a round posts.
type (
	seekTrying struct {
		round int
		url   string
		text  string
	}
	seekDone struct {
		round int
		s     *session // nil if nobody answered
		named []string // what the user's own sources said
		err   error
	}
)

// seek tries the first candidates, then what the sources know. It posts what it tries and how it ended.
func (p *plan) seek(ctx context.Context, round int, box *mailbox) {
	s, named, err := p.round(ctx, func(c candidate) {
		box.put(seekTrying{round, c.url, fmt.Sprintf("%s (%s), try %d", c.url, c.label, p.try)})
	})
	if !box.put(seekDone{round, s, named, err}) && s != nil {
		s.end()
	}
}

func (p *plan) round(ctx context.Context, trying func(candidate)) (found *session, named []string, err error) {
	var tried []string
	var errs []error
	hops := 0
	var attempt func(c candidate, want *Target, conn net.Conn) *session
	attempt = func(c candidate, want *Target, conn net.Conn) *session {
		drop := func() *session {
			if conn != nil {
				conn.Close()
			}
			return nil
		}
		url, err := ParseAddr(c.url)
		if err != nil {
			errs = append(errs, err)
			return drop()
		}
		if slices.Contains(tried, url) || ctx.Err() != nil {
			return drop()
		}
		tried = append(tried, url)
		trying(candidate{url, c.label})
		tctx, cancel := context.WithTimeout(ctx, p.timeout)
		defer cancel()
		ws, hello, err := p.open(tctx, url, conn)
		// Who leads by a later term counts for more than the one that is wanted, and may be where that one sends us.
		if err == nil && want != nil && hello.Leader != want.Leader && (want.Leader.IsZero() || hello.Term <= want.Term) {
			ws.Close()
			err = fmt.Errorf("%s: another tracker is there now, led by %s", url, leaderText(hello.Leader))
		}
		if err == nil {
			s := newSession(ws, url, hello)
			s.label, s.name, s.reach = c.label, p.name, othersReach(ctx, p.dial, url, p.interfaces)
			return s
		}
		errs = append(errs, err)
		var gone *dismissed
		if errors.As(err, &gone) && gone.note.Status == Moved && gone.note.Tracker != "" && hops < 3 &&
			// Who stands by and has not yet heard of the tracker that we want would send us to the one before.
			(want == nil || gone.note.Term >= want.Term) {
			hops++
			if want != nil && !want.Leader.IsZero() { // it stands by for another of its term, or a later one: that one counts for more
				want = &Target{Leader: gone.note.Leader, Term: gone.note.Term}
			}
			return attempt(candidate{gone.note.Tracker, "moved there"}, want, nil)
		}
		return nil
	}
	if s := p.reach(ctx, &errs, attempt); s != nil {
		return s, nil, nil
	}
	for _, src := range p.sources {
		if ctx.Err() != nil {
			break
		}
		found := src.Find(ctx)
		found = found[:min(len(found), maxFound)]
		if src.Named {
			named = append(named, found...)
		}
		for _, url := range found {
			if s := attempt(candidate{url, src.Label}, nil, nil); s != nil {
				return s, named, nil
			}
		}
	}
	return nil, named, failure(errs)
}

// reach attempts the first candidates in the order in which they accept connections: they are one tracker's addresses,
// and not all of them need to lead there from here.
func (p *plan) reach(ctx context.Context, errs *[]error, attempt func(candidate, *Target, net.Conn) *session) *session {
	if len(p.first) < 2 {
		for _, c := range p.first {
			return attempt(c, p.want, nil)
		}
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	type reached struct {
		c    candidate
		conn net.Conn
		err  error
	}
	results := make(chan reached, len(p.first))
	dialled, open := 0, 0
	defer func() {
		cancel()
		for range open {
			if r := <-results; r.conn != nil {
				r.conn.Close()
			}
		}
	}()
	next := func() {
		if dialled == len(p.first) {
			return
		}
		c := p.first[dialled]
		dialled++
		open++
		go func() {
			conn, err := dialURL(ctx, p.dial, c.url)
			results <- reached{c, conn, err}
		}()
	}
	tick := time.NewTicker(stagger)
	defer tick.Stop()
	for next(); open > 0; {
		select {
		case <-tick.C:
			next()
		case r := <-results:
			open--
			if r.err != nil {
				*errs = append(*errs, r.err)
				next()
				continue
			}
			if s := attempt(r.c, p.want, r.conn); s != nil {
				return s
			}
			next()
		}
	}
	return nil
}

// dialURL connects to the host of a tracker's URL.
func dialURL(ctx context.Context, dial dialFunc, tracker string) (net.Conn, error) {
	u, err := url.Parse(tracker)
	if err != nil {
		return nil, err
	}
	conn, err := dial(ctx, "tcp", u.Host)
	if err != nil {
		return nil, explain(ctx, tracker, err)
	}
	return conn, nil
}

// failure sums up why a round failed.
func failure(errs []error) error {
	if len(errs) == 0 {
		return errors.New("no tracker is known: name one with --tracker HOST:PORT, or start one with: peerchat tracker")
	}
	texts := make([]string, 0, len(errs))
	for _, err := range errs[:min(len(errs), 5)] {
		texts = append(texts, err.Error())
	}
	return &seekError{"no tracker answered: " + strings.Join(texts, "; "), errs}
}

type seekError struct {
	text string
	errs []error
}

func (e *seekError) Error() string   { return e.text }
func (e *seekError) Unwrap() []error { return e.errs }
