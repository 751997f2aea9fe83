package signaling

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// maxFound bounds how many addresses of one source are tried in a round.
const maxFound = 16

// plan is one round of looking for a tracker.
type plan struct {
	opening
	try     int
	first   []candidate // where to go before the sources are asked
	sources []Source
	host    func(context.Context) (string, error) // nil if this round must not host
	timeout time.Duration                         // for each address
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
		err   error
	}
	probeDone struct{ found candidate }
)

// seek tries the first candidates, then what the sources know, then to host. It posts what it tries and how it ended.
func (p *plan) seek(ctx context.Context, round int, box *mailbox) {
	s, err := p.round(ctx, func(c candidate) {
		box.put(seekTrying{round, c.url, fmt.Sprintf("%s (%s), try %d", c.url, c.label, p.try)})
	})
	if !box.put(seekDone{round, s, err}) && s != nil {
		s.end()
	}
}

func (p *plan) round(ctx context.Context, trying func(candidate)) (*session, error) {
	var tried []string
	var errs []error
	hops := 0
	var attempt func(candidate) *session
	attempt = func(c candidate) *session {
		url, err := ParseAddr(c.url)
		if err != nil {
			errs = append(errs, err)
			return nil
		}
		if slices.Contains(tried, url) || ctx.Err() != nil {
			return nil
		}
		tried = append(tried, url)
		trying(candidate{url, c.label})
		tctx, cancel := context.WithTimeout(ctx, p.timeout)
		defer cancel()
		ws, hello, err := p.open(tctx, url)
		if err == nil {
			s := newSession(ws, url, hello)
			s.label, s.name = c.label, p.name
			return s
		}
		errs = append(errs, err)
		var gone *dismissed
		if errors.As(err, &gone) && gone.note.Status == Moved && gone.note.Tracker != "" && hops < 3 {
			hops++
			return attempt(candidate{gone.note.Tracker, "moved there"})
		}
		return nil
	}
	for _, c := range p.first {
		if s := attempt(c); s != nil {
			return s, nil
		}
	}
	for _, src := range p.sources {
		if ctx.Err() != nil {
			break
		}
		found := src.Find(ctx)
		for _, url := range found[:min(len(found), maxFound)] {
			if s := attempt(candidate{url, src.Label}); s != nil {
				return s, nil
			}
		}
	}
	if p.host != nil && ctx.Err() == nil {
		trying(candidate{"a tracker of our own", "no other answered"})
		url, err := p.host(ctx)
		if err == nil {
			tried = nil // our own tracker may well be where none was a moment ago
			if s := attempt(candidate{url, "hosted here"}); s != nil {
				s.hosted = true
				return s, nil
			}
		} else {
			errs = append(errs, fmt.Errorf("host a tracker: %w", err))
		}
	}
	return nil, failure(errs)
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

// probe looks whether one of the sources has a tracker that answers, without saying hello to it.
func (p *plan) probeNamed(ctx context.Context, not string, box *mailbox) {
	p.probe = true
	for _, src := range p.sources {
		found := src.Find(ctx)
		for _, addr := range found[:min(len(found), maxFound)] {
			url, err := ParseAddr(addr)
			if err != nil || url == not {
				continue
			}
			tctx, cancel := context.WithTimeout(ctx, p.timeout)
			_, _, err = p.open(tctx, url)
			cancel()
			if err == nil {
				box.put(probeDone{candidate{url, src.Label}})
				return
			}
		}
	}
	box.put(probeDone{})
}
