package signaling

import (
	"context"
	"net"
	"slices"
	"sync"
	"time"
)

// This file is how a Station looks for other trackers than the one it is connected to: the home tracker that is back,
// and the leaders of other groups, whom a broken network hid.

// MaxScouted is the most addresses that Scout takes.
const MaxScouted = 32

const (
	maxAsking = 4 // questions at once
	// scoutDial is how long a tracker has to accept a connection, scoutAsk how long to answer in all.
	scoutDial = 300 * time.Millisecond
	scoutAsk  = time.Second
	// scoutEvery is how often a leader asks at one address that it was told, or that the user named; sweepEvery how
	// often at those that the other sources find. Others look every followEvery to twice that.
	scoutEvery  = 400 * time.Millisecond
	sweepEvery  = 5 * time.Second
	followEvery = 2 * time.Second
	// maxMisses is how often the home tracker, which was seen, has to be silent to be gone.
	maxMisses = 2
)

// scout is what a Station knows of the search.
type scout struct {
	mode     scoutMode
	list     []string // what Scout was told
	turn     int      // of those that a leader asks in turn
	home     string   // the stand-alone tracker that was seen
	misses   int      // of that
	looking  int      // looks under way
	sweeping bool
	at       time.Time // when to look next
	sweepAt  time.Time // when to ask the sources next
}

type scoutMode uint8

const (
	scoutOff       scoutMode = iota
	scoutFollowing           // connected to an elected leader
	scoutLeading
)

// What the goroutines of the search post.
type (
	scoutSaw struct {
		url   string
		reach []string // where others reach it, if it serves
		hop   bool     // it was another tracker that named it
		info  Info
		err   error
	}
	scoutLooked struct{} // a look has ended
	scoutSwept  struct{} // a sweep has
)

// scouting begins or ends the search as things stand.
func (s *Station) scouting(now time.Time) {
	mode := scoutOff
	switch {
	case s.host.leading:
		mode = scoutLeading
	case s.state.State == Connected && !s.state.Leader.IsZero() && !s.state.Hosting:
		mode = scoutFollowing
	}
	sc := &s.scout
	if mode == sc.mode {
		return
	}
	sc.mode, sc.home, sc.misses = mode, "", 0
	sc.at, sc.sweepAt = time.Time{}, time.Time{}
	switch mode {
	case scoutLeading:
		sc.at, sc.sweepAt = now, now
	case scoutFollowing:
		sc.at = now.Add(s.pause())
	}
}

// pause is how long one who follows waits between two looks.
func (s *Station) pause() time.Duration {
	return followEvery + time.Duration(s.rng.Int64N(int64(followEvery)))
}

// greeting is what a leader says of itself to others; nil while this peer leads nobody.
func (s *Station) greeting() *Greeting {
	if !s.host.leading {
		return nil
	}
	return &Greeting{Term: s.host.current.Term, Proof: s.host.current.Proof}
}

// look asks at the addresses that are worth it: a leader at one after the other, another peer at all.
func (s *Station) look(now time.Time) {
	sc := &s.scout
	var home []string
	if sc.home != "" {
		home = []string{sc.home}
	}
	list, turn, all := slices.Clone(sc.list), sc.turn, sc.mode == scoutFollowing
	sc.turn++
	sc.at = now.Add(scoutEvery)
	if all {
		sc.at = now.Add(s.pause())
	}
	if sc.looking >= maxAsking {
		return
	}
	sc.looking++
	skip, g := s.skip(), s.greeting()
	s.wg.Go(func() {
		defer s.box.put(scoutLooked{})
		urls := s.unique(append(s.find(true), list...), skip)
		if !all && len(urls) > 0 {
			urls = urls[turn%len(urls):][:1]
		}
		s.askAll(s.unique(append(home, urls...), nil), false, g)
	})
}

// sweep asks at what the sources find that the user did not name: trackers of former times, of the LAN, of this
// machine.
func (s *Station) sweep(now time.Time) {
	sc := &s.scout
	sc.sweepAt = now.Add(sweepEvery)
	if sc.sweeping {
		return
	}
	sc.sweeping = true
	skip, g := s.skip(), s.greeting()
	s.wg.Go(func() {
		defer s.box.put(scoutSwept{})
		s.askAll(s.unique(s.find(false), skip), false, g)
	})
}

// find asks the sources, the user's own or the others.
func (s *Station) find(named bool) []string {
	ctx, cancel := context.WithTimeout(s.ctx, sweepEvery)
	defer cancel()
	var urls []string
	for _, src := range s.cfg.Client.Sources {
		if src.Named == named && ctx.Err() == nil {
			found := src.Find(ctx)
			urls = append(urls, found[:min(len(found), maxSwept)]...)
		}
	}
	return urls
}

// maxSwept bounds how many addresses of one source are asked at.
const maxSwept = 32

// skip returns what tells the own tracker's addresses.
func (s *Station) skip() func(string) bool {
	var own []string
	if s.host.tracker != nil {
		own = s.ownURLs()
		if s.host.alsoOpen {
			_, port, _ := net.SplitHostPort(s.host.also) // made here
			for _, u := range slices.Clone(own) {
				if ip, _ := hostOf(u); ip.IsValid() {
					own = append(own, "ws://"+net.JoinHostPort(ip.String(), port)+"/ws")
				}
			}
		}
	}
	return func(u string) bool { return slices.Contains(own, u) }
}

// unique are the URLs without those that are none, come twice, or are to be skipped.
func (s *Station) unique(addrs []string, skip func(string) bool) []string {
	var urls []string
	for _, a := range addrs {
		u, err := ParseAddr(a)
		if err == nil && !slices.Contains(urls, u) && (skip == nil || !skip(u)) {
			urls = append(urls, u)
		}
	}
	return urls
}

// askAll asks at all these addresses, a few at a time, and posts what is there. It returns when all have been asked.
func (s *Station) askAll(urls []string, hop bool, g *Greeting) {
	var wg sync.WaitGroup
	defer wg.Wait()
	for _, u := range urls {
		select {
		case s.slots <- struct{}{}:
		case <-s.ctx.Done():
			return
		}
		wg.Go(func() {
			defer func() { <-s.slots }()
			ctx, cancel := context.WithTimeout(s.ctx, scoutAsk)
			defer cancel()
			info, err := s.ask(ctx, u, g)
			saw := scoutSaw{url: u, hop: hop, info: info, err: err}
			if err == nil && info.Serving {
				saw.reach = othersReach(ctx, s.client.cfg.Dial, u, s.cfg.Client.Interfaces)
			}
			s.box.put(saw)
		})
	}
}

// ask is Ask, with the Station's way to dial.
func (s *Station) ask(ctx context.Context, url string, g *Greeting) (Info, error) {
	return Ask(ctx, func(ctx context.Context, network, addr string) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, scoutDial)
		defer cancel()
		return s.client.cfg.Dial(ctx, network, addr)
	}, url, g)
}

// saw takes what was found at an address.
func (s *Station) saw(m scoutSaw) {
	sc := &s.scout
	if sc.mode == scoutOff {
		return
	}
	i := m.info
	alone := m.err == nil && i.Serving && i.Leader.IsZero()
	if m.url == sc.home && !alone {
		if sc.misses++; sc.misses >= maxMisses {
			sc.home = ""
			s.emit(HomeGone{})
		}
	}
	switch {
	case m.err != nil:
		s.log.Debug("no tracker seen", "url", m.url, "err", m.err)
	case i.Peer == s.self, i.Leader == s.self:
	case s.state.State == Connected && !i.Leader.IsZero() && i.Leader == s.state.Leader: // the one that we are connected to
	case !i.Serving:
		if u, err := ParseAddr(i.Tracker); err == nil && !m.hop && !s.skip()(u) && sc.looking < 2*maxAsking {
			g := s.greeting()
			sc.looking++
			s.wg.Go(func() {
				defer s.box.put(scoutLooked{})
				s.askAll([]string{u}, true, g)
			})
		}
	default:
		if alone {
			if sc.home == "" {
				sc.home = m.url
			}
			if sc.home == m.url {
				sc.misses = 0
			}
		}
		s.emit(Met{URLs: m.reach, Term: i.Term, Leader: i.Leader, Proof: i.Proof})
	}
}
