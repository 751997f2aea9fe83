package signaling

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"peerchat/peer/wire"
)

// StationConfig is what a Station is made of.
type StationConfig struct {
	// Client is the client's part. Its Sink gets the Station's events, too, one at a time.
	Client ClientConfig
	// Host is what the own tracker needs; nil: this peer never has one.
	Host *HostConfig
}

// HostConfig says how a peer's own tracker is to be.
type HostConfig struct {
	// Listen is the address of the own tracker, "host:port" or ":port". Where the port is taken, it is one of the next
	// PortsTried, else any.
	Listen string
	LAN    bool // announce it on the local network while it leads, on Client.Interfaces
	// Standby is how long after the first connection to a tracker the own one is bound, so that the start is not slower
	// for it; default 100 ms.
	Standby time.Duration
}

// PortsTried is how many ports after the one that is asked for are tried for an own tracker.
const PortsTried = 20

// ErrElsewhere says that this machine has a tracker already.
var ErrElsewhere = errors.New("this machine has a tracker that serves already")

// Times of a Station.
const (
	// holderPatience is how long what holds a port has to answer as a tracker.
	holderPatience = 2 * time.Second
	dialbackAfter  = 500 * time.Millisecond // a new connection
	dialbackEvery  = 5 * time.Minute
	dialbackAgain  = 10 * time.Second // where the tracker did not try
	bindAgain      = 30 * time.Second
	alsoEvery      = time.Second
	alsoFor        = 30 * time.Second
	tellPatience   = 3 * time.Second
	maxTelling     = 4
)

// Station is everything that a peer has to do with trackers: its Client, its own Tracker, which stands by or leads, the
// announcement of that on the LAN, and the search for other trackers.
//
// One goroutine owns it; every method only posts, except Close, which waits. What takes time (asking other trackers,
// binding where others may have the port, the LAN) has goroutines of its own, which only post, too.
type Station struct {
	// Immutable.
	cfg    StationConfig
	log    *slog.Logger
	self   wire.PeerID
	client *Client
	box    *mailbox
	done   chan struct{} // closed when the owner has ended
	ended  chan struct{} // closed when everything has ended
	begin  sync.Once
	close  sync.Once
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
	advert chan *Tracker // what to announce on the LAN, nil for nothing; the last counts
	slots  chan struct{} // one for each question under way

	peers     atomic.Bool              // another peer was admitted by the own tracker; set by that
	unreached atomic.Bool              // another tracker tried last to reach it, and did not; set by the owner
	where     atomic.Pointer[[]string] // the own tracker's addresses; set by the owner

	// Owned by the owner goroutine.
	rng     *rand.Rand
	state   StateChanged // the client's last
	host    hosting
	scout   scout
	telling int
}

// What is posted.
type (
	stationSaid   struct{ ev ClientEvent }
	stationFollow struct{ to Target }
	stationLead   struct{ lead Lead }
	stationDown   struct{ to Target }
	stationHome   struct {
		term uint64
		urls []string
	}
	stationTold  struct{} // a TellHome has ended
	stationScout struct{ urls []string }
	stationClose struct{}
	// From the own tracker.
	stationPeer  struct{}
	stationMeet  struct{ g Greeting }
	stationYield struct{}
)

// NewStation makes a Station; nothing happens before Start.
func NewStation(cfg StationConfig) *Station {
	if cfg.Client.Logger == nil {
		cfg.Client.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Station{cfg: cfg, log: cfg.Client.Logger, self: wire.IDOf(cfg.Client.Key), box: newMailbox(),
		done: make(chan struct{}), ended: make(chan struct{}), advert: make(chan *Tracker, 1), slots: make(chan struct{}, maxAsking),
		rng: rand.New(rand.NewPCG(cfg.Client.Seed, 0x73746174696f6e))}
	if cfg.Host != nil {
		h := *cfg.Host
		if h.Standby == 0 {
			h.Standby = 100 * time.Millisecond
		}
		s.cfg.Host = &h
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	c := cfg.Client
	c.Sink = func(ev ClientEvent) { s.box.putWait(stationSaid{ev}, s.done) }
	c.Sources = slices.Clone(c.Sources)
	for i := range c.Sources {
		c.Sources[i].Find = s.others(c.Sources[i].Find)
	}
	s.client = NewClient(c)
	return s
}

// others finds what find does but the own tracker: while that stands by it leads nowhere, and while it leads the client
// needs no search to go there.
func (s *Station) others(find func(context.Context) []string) func(context.Context) []string {
	return func(ctx context.Context) []string {
		found := find(ctx)
		if own := s.where.Load(); own != nil {
			found = slices.DeleteFunc(slices.Clone(found), func(a string) bool {
				u, err := ParseAddr(a)
				return err == nil && slices.Contains(*own, u)
			})
		}
		return found
	}
}

// Start begins to look for a tracker.
func (s *Station) Start() {
	s.begin.Do(func() {
		if s.cfg.Host != nil && s.cfg.Host.LAN {
			s.wg.Go(s.announce)
		}
		go s.own()
		s.client.Start()
	})
}

// Join enters a room, now and after each reconnection. A Joined follows each time.
func (s *Station) Join(room wire.Room) { s.client.Join(room) }

// Leave leaves a room.
func (s *Station) Leave(room wire.Room) { s.client.Leave(room) }

// SetName changes the name.
func (s *Station) SetName(name string) { s.client.SetName(name) }

// Signal has the tracker hand data, a JSON value, to another peer.
func (s *Station) Signal(to wire.PeerID, data []byte) { s.client.Signal(to, data) }

// List asks for the tracker's rooms; a RoomList with ref follows.
func (s *Station) List(ref any) { s.client.List(ref) }

// Redial tries to connect at once; a connection that is up is made anew.
func (s *Station) Redial() { s.client.Redial() }

// Ping asks the tracker for a sign of life: a Pong follows if it has one.
func (s *Station) Ping() { s.client.Ping() }

// Follow goes to another tracker, as Client.Follow does. Whoever comes to the own tracker is sent there, too.
func (s *Station) Follow(t Target) { s.box.put(stationFollow{t}) }

// Lead makes this peer's tracker serve, under another term if it serves already, and has the client go there. Leading
// or LeadFailed follows.
func (s *Station) Lead(l Lead) { s.box.put(stationLead{l}) }

// StepDown ends that: everybody is sent to another tracker, and whoever comes later.
func (s *Station) StepDown(t Target) { s.box.put(stationDown{t}) }

// TellHome tells a stand-alone tracker, at the first of its addresses that answers, the term that it has to exceed.
func (s *Station) TellHome(term uint64, urls []string) {
	s.box.put(stationHome{term, slices.Clone(urls[:min(len(urls), MaxAddresses)])})
}

// Scout says where it is worth looking for other trackers besides the sources, in place of what it said before: at most
// MaxScouted addresses.
func (s *Station) Scout(urls []string) {
	s.box.put(stationScout{slices.Clone(urls[:min(len(urls), MaxScouted)])})
}

// Close says goodbye to the tracker, ends the own one, and waits for it, at most until ctx is done. No event comes
// after it.
func (s *Station) Close(ctx context.Context) error {
	s.box.put(stationClose{})
	s.begin.Do(func() { go s.own() }) // never started: there is still an owner to end
	s.close.Do(func() {
		go func() {
			<-s.done
			s.wg.Wait()
			close(s.ended)
		}()
	})
	<-s.done
	errs := []error{s.client.Close(ctx)}
	if t := s.host.tracker; t != nil { // the owner has ended
		errs = append(errs, t.Shutdown(ctx))
	}
	select {
	case <-s.ended:
	case <-ctx.Done():
		errs = append(errs, fmt.Errorf("end what looks for trackers: %w", ctx.Err()))
	}
	return errors.Join(errs...)
}

// own is the owner goroutine.
func (s *Station) own() {
	timer := time.NewTimer(math.MaxInt64)
	defer timer.Stop()
	defer close(s.done)
	for {
		msgs := s.box.take()
		for i, m := range msgs {
			if _, end := m.(stationClose); end {
				s.end(msgs[i:])
				return
			}
			s.handle(time.Now(), m)
		}
		s.tick(time.Now())
		timer.Reset(s.wake(time.Now()))
		select {
		case <-s.box.wake:
		case <-timer.C:
		}
	}
}

// end is the owner's last act. A tracker that was bound and not taken in yet is ended here.
func (s *Station) end(rest []any) {
	s.cancel()
	for _, m := range append(rest, s.box.close()...) {
		s.dropBound(m)
	}
}

// deadlines are the times at which something has to be done.
func (s *Station) deadlines() [6]*time.Time {
	h := &s.host
	return [...]*time.Time{&h.bindAt, &h.dialAt, &h.alsoAt, &s.scout.at, &s.scout.sweepAt, &h.tellAt}
}

func (s *Station) wake(now time.Time) time.Duration {
	at := now.Add(time.Hour)
	for _, t := range s.deadlines() {
		if !t.IsZero() && t.Before(at) {
			at = *t
		}
	}
	return max(0, at.Sub(now))
}

func (s *Station) tick(now time.Time) {
	do := [...]func(time.Time){s.standBy, s.dialback, s.also, s.look, s.sweep, s.offer}
	for i, t := range s.deadlines() {
		if !t.IsZero() && !now.Before(*t) {
			*t = time.Time{}
			do[i](now)
		}
	}
}

func (s *Station) emit(e ClientEvent) { s.cfg.Client.Sink(e) }

func (s *Station) handle(now time.Time, m any) {
	switch m := m.(type) {
	case stationSaid:
		s.said(now, m.ev)
	case stationFollow:
		s.follow(now, m.to)
	case stationLead:
		s.lead(now, m.lead)
	case stationBound:
		s.bound(now, m)
	case stationDown:
		s.stepDown(now, m.to)
	case stationHome:
		s.tellHome(m)
	case stationTold:
		s.telling--
	case stationScout:
		s.scout.list = m.urls
		s.scouting(now)
	case scoutSaw:
		s.saw(m)
	case scoutLooked:
		s.scout.looking--
	case scoutSwept:
		s.scout.sweeping = false
	case stationPeer:
		if !s.host.dialable {
			s.host.dialable = true
			s.offer(now)
		}
	case stationMeet:
		if s.host.leading && len(m.g.Proof) > 0 {
			s.emit(Met{Term: m.g.Term, Proof: m.g.Proof})
		}
	case stationYield:
		s.yield(now)
	}
}

// said takes what the client reports.
func (s *Station) said(now time.Time, ev ClientEvent) {
	switch ev := ev.(type) {
	case StateChanged:
		s.changed(now, ev)
	case Dialled:
		s.dialled(now, ev)
	default:
		s.emit(ev)
	}
}

// changed follows the client's connection.
func (s *Station) changed(now time.Time, ev StateChanged) {
	was := s.state
	ev.Hosting = ev.State == Connected && s.isOwn(ev)
	s.state = ev
	s.emit(ev)
	defer s.scouting(now)
	if ev.State != Connected || ev.Hosting {
		return
	}
	h := &s.host
	switch {
	case s.cfg.Host == nil:
		return
	case h.leading:
		if now.Sub(h.since) > time.Second { // else it is only on its way
			s.client.Follow(s.ownTarget())
		}
		return
	case h.tracker == nil && !h.binding && h.bindAt.IsZero():
		h.bindAt = now.Add(s.cfg.Host.Standby)
	}
	s.point(Move{Tracker: ev.Addresses[0], Term: ev.Term, Leader: ev.Leader})
	if was.State != Connected || was.URL != ev.URL || was.Hosting {
		h.dialAt = now.Add(dialbackAfter)
	}
}

// tellHome tells a stand-alone tracker the term. One that is told too seldom is told again by whoever sees its low
// term.
func (s *Station) tellHome(m stationHome) {
	if s.telling >= maxTelling {
		return
	}
	s.telling++
	s.wg.Go(func() {
		defer s.box.put(stationTold{})
		ctx, cancel := context.WithTimeout(s.ctx, tellPatience)
		defer cancel()
		for _, u := range m.urls {
			info, err := s.ask(ctx, u, &Greeting{Term: m.term})
			if err == nil {
				s.log.Info("told the home tracker the term", "url", u, "term", m.term, "its_term", info.Term)
				return
			}
			s.log.Debug("the home tracker was not told the term", "url", u, "err", err)
		}
	})
}
