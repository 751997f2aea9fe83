package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"sync"
	"time"

	"peerchat/configs"
	"peerchat/peer/profile"
	"peerchat/signaling"
)

const (
	// knownPatience is how long the trackers of former times have to accept a connection, all together.
	knownPatience = 700 * time.Millisecond
	// maxDialled bounds the addresses that /connect keeps.
	maxDialled = 8
)

// finder says where trackers may be. The signaling station asks it, from several goroutines, and /connect adds to it:
// mu guards the one field that changes, and is never held while something waits.
type finder struct {
	settings configs.Peer
	profile  *profile.Profile
	logger   *slog.Logger

	mu      sync.Mutex
	dialled []string // by /connect, the latest first
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
	return append(list, signaling.Source{Label: "on this machine", Find: onThisMachine})
}

// onThisMachine are the places where a tracker of this machine may be: the usual port, and those that the next take.
func onThisMachine(ctx context.Context) []string {
	var urls []string
	for port := signaling.DefaultPort; port <= signaling.DefaultPort+signaling.PortsTried; port++ {
		urls = append(urls, fmt.Sprintf("ws://127.0.0.1:%d/ws", port))
	}
	return reachable(ctx, urls)
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

// reachable returns those trackers that accept a connection soon, in their order. They are tried at once, so that a
// list of machines that are long gone does not make the user wait for each.
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
