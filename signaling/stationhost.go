package signaling

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"peerchat/peer/wire"
)

// This file is a Station's part in its own tracker.

// hosting is what a Station knows of its own tracker.
type hosting struct {
	tracker *Tracker // nil until it is bound
	leading bool     // it serves
	wanted  *Lead    // what it is to serve as while it is being bound for that
	binding bool     // that is under way
	current Lead
	since   time.Time // when it began to serve
	moved   Move      // where it sends people while it stands by

	dialable bool
	dialled  netip.AddrPort // where the other tracker reached it
	told     *Offered

	also     string // the second address that it listens on, or is to; empty if there is none
	alsoOpen bool
	alsoTill time.Time

	bindAt time.Time // when to bind a tracker that stands by
	dialAt time.Time // when to have the tracker dial back
	alsoAt time.Time // when to try to open the second address
	tellAt time.Time // when to look whether the addresses changed
}

// stationBound is what came of binding a tracker to lead.
type stationBound struct {
	tracker   *Tracker // nil if there is none
	elsewhere Target   // the tracker that is there already
	err       error
}

// listening is where the own tracker is to be: the host, the port, and the last port to try.
func (h *HostConfig) listening() (host string, first, last int, err error) {
	host, text, err := net.SplitHostPort(h.Listen)
	if err == nil {
		first, err = strconv.Atoi(text)
	}
	if err != nil || first < 0 || first > 65535 {
		return "", 0, 0, fmt.Errorf("listen on %q: want host:port or :port, as in :%d", h.Listen, DefaultPort)
	}
	if last = first; first != 0 {
		last = min(first+PortsTried, 65535)
	}
	return host, first, last, nil
}

// bindOwn binds the own tracker at the first port that is free. What taken says of one that is not ends the search if
// it is true.
func (s *Station) bindOwn(standby bool, l Lead, taken func(port int) bool) (*Tracker, error) {
	host, first, last, err := s.cfg.Host.listening()
	if err != nil {
		return nil, err
	}
	cfg := TrackerConfig{Logger: s.log, Seed: s.cfg.Client.Seed, Self: s.self, Standby: standby, Term: l.Term, Leader: l.Leader,
		OnPeer: s.admitted,
		OnMeet: func(g Greeting) { s.box.put(stationMeet{g}) }, OnYield: func() { s.box.put(stationYield{}) }}
	for port := first; ; port++ {
		if port > last {
			port = 0
		}
		cfg.Listen = net.JoinHostPort(host, strconv.Itoa(port))
		t, err := NewTracker(cfg)
		if err == nil {
			return t, nil
		}
		if !errors.Is(err, ErrPortTaken) || port == 0 || taken(port) {
			return nil, err
		}
	}
}

// admitted is called by the own tracker's owner for each peer that it admits, with its address. One on this machine
// shows that the tracker can be reached as long as nobody has tried from elsewhere.
func (s *Station) admitted(p wire.PeerID, from netip.Addr) {
	if p == s.self || s.peers.Load() || s.unreached.Load() && (from.IsLoopback() || slices.Contains(ownAddresses(nil), from)) {
		return
	}
	if !s.peers.Swap(true) {
		s.box.put(stationPeer{})
	}
}

// standBy binds a tracker that can take over at once.
func (s *Station) standBy(now time.Time) {
	h := &s.host
	if h.tracker != nil || h.binding {
		return
	}
	t, err := s.bindOwn(true, Lead{}, func(int) bool { return false })
	if err != nil {
		s.log.Warn("this peer cannot be the tracker, if one is needed", "err", err)
		h.bindAt = now.Add(bindAgain)
		s.tell(Offered{})
		return
	}
	h.tracker = t
	if h.moved != (Move{}) {
		t.MoveTo(h.moved)
	}
	t.Start()
	s.offer(now)
}

// lead begins to serve.
func (s *Station) lead(now time.Time, l Lead) {
	h := &s.host
	switch {
	case s.cfg.Host == nil:
		s.emit(LeadFailed{Err: errors.New("this peer may not be a tracker")})
	case h.tracker != nil:
		s.serve(now, l)
	case h.binding:
		h.wanted = &l
	default:
		h.binding, h.wanted, h.bindAt = true, &l, time.Time{}
		s.wg.Go(func() {
			if b := s.bindToLead(l); !s.box.put(b) {
				s.dropBound(b)
			}
		})
	}
}

// bindToLead binds a tracker and has it serve. When many peers start at once on a machine, the port decides which of
// them is the tracker: who finds it taken by one goes there.
func (s *Station) bindToLead(l Lead) stationBound {
	var elsewhere Target
	// Where members are to be expected, it begins to serve by Lead below; else it does so at once, for those who ask.
	t, err := s.bindOwn(len(l.Members) > 0, l, func(port int) bool {
		if !l.Solo {
			return false
		}
		host, _, _, _ := s.cfg.Host.listening() // it was good before
		if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip.IsUnspecified() {
			host = "127.0.0.1"
		}
		ctx, cancel := context.WithTimeout(s.ctx, holderPatience)
		defer cancel()
		url := "ws://" + net.JoinHostPort(host, strconv.Itoa(port)) + "/ws"
		info, err := s.ask(ctx, url, nil)
		if err == nil && !info.Serving && info.Tracker != "" {
			url = info.Tracker
			info, err = s.ask(ctx, url, nil)
		}
		if err == nil && info.Serving {
			elsewhere = Target{Leader: info.Leader, Term: info.Term, URLs: []string{url}}
		}
		return elsewhere.URLs != nil || s.ctx.Err() != nil
	})
	if elsewhere.URLs != nil {
		return stationBound{elsewhere: elsewhere, err: ErrElsewhere}
	}
	if err != nil {
		return stationBound{err: err}
	}
	t.Lead(l)
	t.Start()
	return stationBound{tracker: t}
}

// dropBound ends a tracker that nobody waits for any more.
func (s *Station) dropBound(m any) {
	if b, ok := m.(stationBound); ok && b.tracker != nil {
		s.wg.Go(func() { b.tracker.Shutdown(context.Background()) }) // which takes less than a second
	}
}

// bound takes what came of bindToLead.
func (s *Station) bound(now time.Time, b stationBound) {
	h := &s.host
	l := h.wanted
	h.binding, h.wanted = false, nil
	switch {
	case b.tracker != nil:
		h.tracker = b.tracker
		if l == nil { // it is no longer to lead
			h.tracker.MoveTo(h.moved)
			s.offer(now)
			return
		}
		s.serve(now, *l)
	case l == nil:
		h.bindAt = now.Add(s.cfg.Host.Standby)
	case b.err == ErrElsewhere:
		s.emit(LeadFailed{Err: fmt.Errorf("%w, at %s", b.err, b.elsewhere.URLs[0]), Elsewhere: true})
		s.client.Follow(b.elsewhere)
	default:
		s.emit(LeadFailed{Err: b.err})
		h.bindAt = now.Add(bindAgain)
	}
}

// serve has the tracker, which is bound, lead.
func (s *Station) serve(now time.Time, l Lead) {
	h := &s.host
	h.tracker.Lead(l)
	began := !h.leading
	h.leading, h.current = true, l
	if began {
		h.since = now
		s.client.Follow(s.ownTarget())
		s.announceOwn()
	}
	s.offer(now)
	s.emit(Leading{URL: h.tracker.URL(), URLs: s.ownURLs()})
	if began {
		s.replace(now, l.Replaces)
		s.scouting(now)
	}
}

// ownTarget is the own tracker, for the client.
func (s *Station) ownTarget() Target {
	h := &s.host
	return Target{Leader: h.current.Leader, Term: h.current.Term, URLs: []string{h.tracker.URL()}}
}

// isOwn reports whether the tracker that the client is connected to is this peer's own.
func (s *Station) isOwn(ev StateChanged) bool {
	return s.host.leading && ev.Leader == s.self && s.leadsHere(ev.URL)
}

// leadsHere reports whether a URL is one of the own tracker.
func (s *Station) leadsHere(url string) bool {
	h := &s.host
	if h.tracker == nil {
		return false
	}
	_, port := hostOf(url)
	ours := port == strconv.Itoa(h.tracker.port())
	if h.alsoOpen {
		_, also, _ := net.SplitHostPort(h.also) // made here
		ours = ours || port == also
	}
	return ours && onThisMachine(url)
}

// stepDown ends the lead.
func (s *Station) stepDown(now time.Time, t Target) {
	h := &s.host
	h.wanted = nil
	m := Move{Term: t.Term, Leader: t.Leader}
	if len(t.URLs) > 0 {
		m.Tracker = t.URLs[0]
	}
	led := h.leading
	h.leading = false
	if !led {
		s.point(m)
		return
	}
	h.moved = m
	h.tracker.MoveTo(m)
	s.closeAlso()
	s.announceOwn()
	s.scouting(now)
}

// follow goes to another tracker.
func (s *Station) follow(now time.Time, t Target) {
	h := &s.host
	if len(t.URLs) == 0 {
		return
	}
	h.wanted = nil
	if !h.leading {
		s.point(Move{Tracker: t.URLs[0], Term: t.Term, Leader: t.Leader})
	}
	s.client.Follow(t)
	s.scouting(now)
}

// point has the tracker that stands by send people to another.
func (s *Station) point(m Move) {
	h := &s.host
	if h.leading || h.moved == m {
		return
	}
	h.moved = m
	if h.tracker != nil {
		h.tracker.MoveTo(m)
	}
}

// replace takes over the port of a tracker on this machine that is gone, so that those who know only that find this
// one.
func (s *Station) replace(now time.Time, urls []string) {
	h := &s.host
	host, _, _, err := s.cfg.Host.listening()
	if err != nil || h.also != "" {
		return
	}
	for _, u := range urls {
		if _, port := hostOf(u); port != "" && port != strconv.Itoa(h.tracker.port()) && onThisMachine(u) {
			h.also, h.alsoTill = net.JoinHostPort(host, port), now.Add(alsoFor)
			s.also(now)
			return
		}
	}
}

// also tries to open the second address: the dead may hold it for a while.
func (s *Station) also(now time.Time) {
	h := &s.host
	if !h.leading || h.also == "" {
		return
	}
	switch err := h.tracker.Also(h.also); {
	case err == nil:
		h.alsoOpen = true
		s.log.Info("serving at the lost tracker's address, too", "addr", h.also)
	case errors.Is(err, ErrPortTaken) && now.Before(h.alsoTill):
		h.alsoAt = now.Add(alsoEvery)
	default:
		s.log.Debug("the lost tracker's address stays closed", "err", err)
		h.also = ""
	}
}

func (s *Station) closeAlso() {
	h := &s.host
	if h.alsoOpen {
		h.tracker.CloseAlso()
	}
	h.also, h.alsoOpen, h.alsoAt = "", false, time.Time{}
}

// yield gives a port up that a tracker on this machine wants: first the one that was taken over, else the own.
func (s *Station) yield(now time.Time) {
	h := &s.host
	if h.tracker == nil {
		return
	}
	if h.alsoOpen {
		s.log.Info("giving up the lost tracker's address: it is asked for", "addr", h.also)
		s.closeAlso()
		return
	}
	host, first, last, err := s.cfg.Host.listening()
	if err != nil {
		return
	}
	given := h.tracker.port()
	ports := []int{}
	for port := first; port <= last && port != 0; port++ {
		if port != given {
			ports = append(ports, port)
		}
	}
	for _, port := range append(ports, 0) {
		if err = h.tracker.Rebind(net.JoinHostPort(host, strconv.Itoa(port))); err == nil {
			break
		}
	}
	if err != nil {
		s.log.Warn("the port that another program asked for is kept", "port", given, "err", err)
		return
	}
	s.log.Info("gave up a port that another program asked for", "port", given, "now", h.tracker.port())
	s.offer(now)
	if h.leading {
		s.client.Follow(s.ownTarget())
		s.announceOwn()
		s.emit(Leading{URL: h.tracker.URL(), URLs: s.ownURLs()})
	} else if s.state.State == Connected {
		h.dialAt = now
	}
}

// announceOwn has the LAN told of the own tracker while it leads. The port may have changed, so it is told anew.
func (s *Station) announceOwn() {
	if !s.cfg.Host.LAN {
		return
	}
	var t *Tracker
	if s.host.leading {
		t = s.host.tracker
	}
	select {
	case <-s.advert: // it was not taken yet
	default:
	}
	s.advert <- t // only the owner sends, so there is room
}

// announce is the goroutine that announces on the LAN, because beginning and ending that takes time.
func (s *Station) announce() {
	var advert *Advert
	end := func() {
		if advert == nil {
			return
		}
		if err := advert.Close(); err != nil {
			s.log.Debug("ending the announcement on the local network", "err", err)
		}
		advert = nil
	}
	defer end()
	for {
		select {
		case t := <-s.advert:
			end()
			if t == nil {
				continue
			}
			var err error
			if advert, err = AdvertiseLAN(t, s.cfg.Client.Interfaces, s.log); err != nil {
				s.log.Info("the tracker is not announced on the local network", "err", err)
			}
		case <-s.ctx.Done():
			return
		}
	}
}

// dialback has the tracker see whether it reaches the own one.
func (s *Station) dialback(now time.Time) {
	h := &s.host
	if h.tracker == nil {
		if h.binding || !h.bindAt.IsZero() {
			h.dialAt = now.Add(dialbackAfter)
		}
		return
	}
	if s.state.State != Connected || s.state.Hosting || h.leading {
		return
	}
	h.dialAt = now.Add(dialbackEvery)
	s.client.Dialback(uint16(h.tracker.port()))
}

func (s *Station) dialled(now time.Time, ev Dialled) {
	h := &s.host
	switch {
	case h.tracker == nil || int(ev.Port) != h.tracker.port():
	case ev.Err != nil:
		s.log.Debug("dial back", "err", ev.Err)
		h.dialAt = now.Add(dialbackAgain)
	default:
		h.dialable, h.dialled = ev.OK, netip.AddrPort{}
		if a, err := netip.ParseAddrPort(ev.Address); err == nil && ev.OK {
			h.dialled = netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
		}
		s.peers.Store(ev.OK)
		s.unreached.Store(!ev.OK)
		s.offer(now)
	}
}

// ownURLs is where others reach the own tracker, best first: where another tracker reached it, this machine's
// addresses, and last the loopback, for those on this machine.
func (s *Station) ownURLs() []string {
	t := s.host.tracker
	var urls []string
	add := func(ip netip.Addr) {
		if u := t.urlFor(ip.String()); !slices.Contains(urls, u) && len(urls) < MaxAddresses {
			urls = append(urls, u)
		}
	}
	if a := s.host.dialled; a.IsValid() && !a.Addr().IsLoopback() && int(a.Port()) == t.port() {
		add(a.Addr())
	}
	ip, _ := netip.AddrFromSlice(t.Addr().(*net.TCPAddr).IP)
	if ip = ip.Unmap(); ip.IsValid() && !ip.IsUnspecified() {
		add(ip)
		return urls
	}
	for _, a := range ownAddresses(s.cfg.Client.Interfaces) {
		if len(urls) < MaxAddresses-1 {
			add(a)
		}
	}
	return append(urls, t.URL())
}

// offer tells what this peer could host, if that changed. It looks again from time to time, because machines move.
func (s *Station) offer(now time.Time) {
	h := &s.host
	if h.tracker == nil {
		return
	}
	h.tellAt = now.Add(offerEvery)
	urls := s.ownURLs()
	s.where.Store(&urls)
	s.tell(Offered{Candidate: true, Dialable: h.dialable, Port: uint16(h.tracker.port()), Addresses: urls})
}

// offerEvery is how often the own addresses are looked at.
const offerEvery = 15 * time.Second

func (s *Station) tell(o Offered) {
	was := s.host.told
	if was != nil && was.Candidate == o.Candidate && was.Dialable == o.Dialable && was.Port == o.Port && slices.Equal(was.Addresses, o.Addresses) {
		return
	}
	s.host.told = &o
	s.emit(o)
}
