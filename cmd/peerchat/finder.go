package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"peerchat/configs"
	"peerchat/peer/profile"
	"peerchat/signaling"
)

// Bounds of looking for a tracker and of becoming one.
const (
	// portsTried is how many ports after the first are tried for an own tracker.
	portsTried = 20
	// probePatience is how long what holds a port has to answer as a tracker.
	probePatience = 2 * time.Second
	// knownPatience is how long the trackers of former times have to accept a connection, all together.
	knownPatience = 700 * time.Millisecond
	// maxDialled bounds the addresses that /connect keeps.
	maxDialled = 8
)

// finder says where trackers may be, and becomes one. The signaling client calls it, and so does /connect: mu guards
// the few fields that change, and is never held while something waits.
type finder struct {
	settings configs.Peer
	profile  *profile.Profile
	logger   *slog.Logger

	mu      sync.Mutex
	dialled []string // by /connect, the latest first
	hosted  *hosted
}

// hosted is the tracker in this process.
type hosted struct {
	tracker *signaling.Tracker
	advert  io.Closer // nil where the LAN is not told
	moved   bool      // it sends everybody elsewhere, for good
}

// end stops the tracker and what was told of it.
func (h *hosted) end() error {
	var err error
	if h.advert != nil {
		err = h.advert.Close()
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	return errors.Join(err, h.tracker.Shutdown(ctx))
}

func newFinder(settings configs.Peer, p *profile.Profile, logger *slog.Logger) *finder {
	return &finder{settings: settings, profile: p, logger: logger}
}

// sources are the places to look at, in order.
func (f *finder) sources() []signaling.Source {
	list := []signaling.Source{
		{Label: "named by you", Named: true, Find: f.named},
		{Label: "known from before", Find: f.known},
	}
	if f.settings.LAN {
		list = append(list, signaling.Source{Label: "on this network", Find: func(ctx context.Context) []string {
			return signaling.BrowseLAN(ctx, f.settings.Interface, f.logger)
		}})
	}
	list = append(list, signaling.Source{Label: "on this machine", Find: func(context.Context) []string {
		return []string{fmt.Sprintf("ws://127.0.0.1:%d/ws", signaling.DefaultPort)}
	}})
	if f.settings.LAN {
		list = append(list, signaling.Source{Label: "which is to stay", Named: true, Find: f.givesWayTo})
	}
	return list
}

// named are the trackers that the user gave: by /connect, by flag, by file.
func (f *finder) named(context.Context) []string {
	f.mu.Lock()
	addrs := append([]string(nil), f.dialled...)
	f.mu.Unlock()
	var urls []string
	for _, a := range append(addrs, f.settings.Tracker...) {
		if url, err := signaling.ParseAddr(a); err == nil { // checked before
			urls = append(urls, url)
		}
	}
	return urls
}

// known are the trackers that the profile met.
func (f *finder) known(ctx context.Context) []string {
	list, err := f.profile.KnownTrackers()
	if err != nil {
		f.logger.Warn("reading the known trackers", "err", err)
	}
	urls := make([]string, 0, len(list))
	for _, t := range list {
		if url, err := signaling.ParseAddr(t.URL); err == nil {
			urls = append(urls, url)
		}
	}
	return reachable(ctx, urls)
}

// reachable returns those trackers that accept a connection soon, in their order. They are tried at once, so that a list
// of machines that are long gone does not make the user wait for each.
func reachable(ctx context.Context, urls []string) []string {
	ctx, cancel := context.WithTimeout(ctx, knownPatience)
	defer cancel()
	answers := make([]bool, len(urls))
	var wg sync.WaitGroup
	for i, u := range urls {
		wg.Go(func() {
			parsed, err := url.Parse(u)
			if err != nil {
				return
			}
			conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", parsed.Host)
			if err == nil {
				answers[i] = true
				_ = conn.Close()
			}
		})
	}
	wg.Wait()
	var there []string
	for i, u := range urls {
		if answers[i] {
			there = append(there, u)
		}
	}
	return there
}

// dial adds a tracker that the user names while the program runs.
func (f *finder) dial(addr string) error {
	url, err := signaling.ParseAddr(addr)
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	kept := []string{url}
	for _, a := range f.dialled {
		if a != url && len(kept) < maxDialled {
			kept = append(kept, a)
		}
	}
	f.dialled = kept
	return nil
}

// mendKnown sets a damaged list of known trackers aside, and says so.
func (f *finder) mendKnown() (note string) {
	_, err := f.profile.KnownTrackers()
	var damaged *profile.DamagedError
	if !errors.As(err, &damaged) {
		return ""
	}
	aside, asideErr := f.profile.SetAside()
	if asideErr != nil {
		return fmt.Sprintf("the list of known trackers is not used: %v; %v", err, asideErr)
	}
	return fmt.Sprintf("the list of known trackers is begun anew: %v; the old one is kept as %s", err, aside)
}

// hoster is what the signaling client calls to become the tracker; nil where that is forbidden.
func (f *finder) hoster() func(context.Context) (string, error) {
	if f.settings.NoHost {
		return nil
	}
	return f.host
}

// correct says truly whether the tracker that the client is connected to is in this process: host may have found another one,
// and the client may have come back to this one by its address.
func (f *finder) correct(ev signaling.ClientEvent) signaling.ClientEvent {
	s, ok := ev.(signaling.StateChanged)
	if !ok || s.State != signaling.Connected {
		return ev
	}
	f.mu.Lock()
	h := f.hosted
	f.mu.Unlock()
	s.Hosting = h != nil && h.is(s.URL)
	return s
}

// is reports whether a URL leads to this tracker.
func (h *hosted) is(tracker string) bool {
	own := h.tracker.URL()
	if tracker == own || slices.Contains(h.tracker.URLs(), tracker) {
		return true
	}
	there, err := url.Parse(tracker)
	here, hereErr := url.Parse(own)
	if err != nil || hereErr != nil || there.Port() != here.Port() {
		return false
	}
	loopback := func(u *url.URL) bool {
		ip := net.ParseIP(u.Hostname())
		return ip.IsLoopback() || u.Hostname() == "localhost"
	}
	return loopback(there) && loopback(here)
}

// moved tells those who came to the own tracker, if there is one, that this peer went to another.
func (f *finder) moved(url string) {
	f.mu.Lock()
	h := f.hosted
	if h == nil {
		f.mu.Unlock()
		return
	}
	advert := h.advert
	h.advert, h.moved = nil, true
	f.mu.Unlock()
	if advert != nil {
		if err := advert.Close(); err != nil {
			f.logger.Debug("ending the announcement", "err", err)
		}
	}
	h.tracker.MoveTo(signaling.Move{Tracker: url})
}

// host becomes the tracker: on the address to listen on, or where its port is taken on one of the next. But if a
// tracker has the port, as when many peers start at once, that one is used.
func (f *finder) host(ctx context.Context) (url string, err error) {
	f.mu.Lock()
	h := f.hosted
	moved := h != nil && h.moved
	if moved {
		f.hosted = nil
	}
	f.mu.Unlock()
	switch {
	case h == nil:
	case !moved:
		return h.tracker.URL(), nil
	default:
		// It went on sending people to a tracker that is gone now; its port is needed for one that does not.
		if err := h.end(); err != nil {
			f.logger.Debug("ending the tracker that had moved", "err", err)
		}
	}
	host, portText, err := net.SplitHostPort(f.settings.Listen)
	if err != nil {
		return "", err
	}
	first, err := strconv.Atoi(portText)
	if err != nil {
		return "", err
	}
	last := first
	if first != 0 {
		last = min(first+portsTried, 65535)
	}
	for port := first; port <= last; port++ {
		addr := net.JoinHostPort(host, strconv.Itoa(port))
		tracker, err := signaling.NewTracker(signaling.TrackerConfig{Listen: addr, Logger: f.logger, Seed: seed()})
		if err == nil {
			return f.open(tracker), nil
		}
		if !errors.Is(err, signaling.ErrPortTaken) {
			return "", err
		}
		if url := probe(ctx, host, port); url != "" {
			return url, nil
		}
		if ctx.Err() != nil {
			return "", context.Cause(ctx)
		}
	}
	return "", fmt.Errorf("the ports %d to %d are taken by other programs; choose another with --listen", first, last)
}

// open starts a tracker that is bound, and tells the LAN.
func (f *finder) open(tracker *signaling.Tracker) (url string) {
	tracker.Start()
	h := &hosted{tracker: tracker}
	if f.settings.LAN {
		advert, err := signaling.AdvertiseLAN(tracker, f.settings.Interface, f.logger)
		if err != nil {
			f.logger.Info("the tracker is not announced on the local network", "err", err)
		} else {
			h.advert = advert
		}
	}
	f.mu.Lock()
	f.hosted = h
	f.mu.Unlock()
	return tracker.URL()
}

// close ends the own tracker, if there is one.
func (f *finder) close() error {
	f.mu.Lock()
	h := f.hosted
	f.hosted = nil
	f.mu.Unlock()
	if h == nil {
		return nil
	}
	return h.end()
}

// probe asks what holds a port of this machine whether it is a tracker, and returns its URL if so. A tracker that was
// bound a moment ago answers as soon as it is started, so it is given time.
func probe(ctx context.Context, host string, port int) (url string) {
	if ip := net.ParseIP(host); host == "" || ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	at := net.JoinHostPort(host, strconv.Itoa(port))
	ctx, cancel := context.WithTimeout(ctx, probePatience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+at+"/", nil)
	if err != nil {
		return ""
	}
	client := &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true, Proxy: nil},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	resp, err := client.Do(req)
	if err != nil {
		return ""
	}
	defer resp.Body.Close()
	page, err := io.ReadAll(io.LimitReader(resp.Body, 1024))
	if err != nil || resp.StatusCode != http.StatusOK || !strings.Contains(string(page), "peerchat tracker") {
		return ""
	}
	return "ws://" + at + "/ws"
}
