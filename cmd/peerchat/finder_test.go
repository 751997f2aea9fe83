package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"peerchat/configs"
	"peerchat/peer/profile"
	"peerchat/signaling"
)

// newTestFinder makes a finder of a fresh profile that would host on an address of this machine.
func newTestFinder(t *testing.T, listen string) *finder {
	t.Helper()
	p, err := profile.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	c := configs.DefaultPeer()
	c.Listen, c.LAN, c.Interface = listen, false, []string{"lo"}
	f := newFinder(c, p, slog.New(slog.DiscardHandler))
	t.Cleanup(func() {
		if err := f.close(); err != nil {
			t.Error(err)
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

// freeAddr is a loopback address that was free a moment ago, with room for some ports after it.
func freeAddr(t *testing.T) (addr string, port int) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	port = ln.Addr().(*net.TCPAddr).Port
	if port > 65000 {
		return freeAddr(t)
	}
	return ln.Addr().String(), port
}

// However many start at once, one hosts, and the others find it.
func TestRacingFindersEndWithOneTracker(t *testing.T) {
	addr, _ := freeAddr(t)
	const many = 10
	finders := make([]*finder, many)
	for i := range finders {
		finders[i] = newTestFinder(t, addr)
	}
	urls := make([]string, many)
	errs := make([]error, many)
	var wg sync.WaitGroup
	for i, f := range finders {
		wg.Go(func() { urls[i], errs[i] = f.host(t.Context()) })
	}
	wg.Wait()
	hosts := 0
	for i, f := range finders {
		if errs[i] != nil {
			t.Errorf("finder %d failed: %v", i, errs[i])
		}
		if urls[i] != "ws://"+addr+"/ws" {
			t.Errorf("finder %d is sent to %s, want %s", i, urls[i], addr)
		}
		state := signaling.StateChanged{State: signaling.Connected, URL: urls[i], Hosting: true}
		own := f.correct(state).(signaling.StateChanged).Hosting
		if own != (f.hosted != nil) {
			t.Errorf("finder %d believes that it hosts: %v", i, own)
		}
		if own {
			hosts++
		}
	}
	if hosts != 1 {
		t.Errorf("%d of %d host a tracker, want one", hosts, many)
	}
}

// Whoever comes back to its own tracker by another of its addresses must not take it for another's, and send everybody away.
func TestOwnTrackerIsKnownByAllItsAddresses(t *testing.T) {
	f := newTestFinder(t, "127.0.0.1:0")
	own, err := f.host(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := strings.Cut(strings.TrimPrefix(own, "ws://"), ":")
	for url, want := range map[string]bool{
		own: true, "ws://localhost:" + port: true, "ws://[::1]:" + port: true,
		"ws://192.0.2.1:" + port: false, "ws://127.0.0.1:1/ws": false, "wss://example.org/ws": false,
	} {
		state := signaling.StateChanged{State: signaling.Connected, URL: url}
		if got := f.correct(state).(signaling.StateChanged).Hosting; got != want {
			t.Errorf("%s is taken for the own tracker %s: %v, want %v", url, own, got, want)
		}
	}
}

func TestHostTakesTheNextFreePort(t *testing.T) {
	addr, port := freeAddr(t)
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: http.NotFoundHandler()} // no tracker
	served := make(chan struct{})
	go func() { _ = srv.Serve(ln); close(served) }()
	defer func() { _ = srv.Close(); <-served }()
	f := newTestFinder(t, addr)
	url, err := f.host(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	host, after, _ := strings.Cut(strings.TrimSuffix(strings.TrimPrefix(url, "ws://"), "/ws"), ":")
	got, err := strconv.Atoi(after)
	if err != nil || host != "127.0.0.1" || got <= port || got > port+portsTried {
		t.Errorf("the tracker is at %s, want one of the %d ports after %d", url, portsTried, port)
	}
	again, err := f.host(t.Context())
	if err != nil || again != url {
		t.Errorf("asked again it hosts at %s (%v), want the same tracker", again, err)
	}
}

// What holds the port and says nothing must not keep a peer from hosting for long.
func TestSilentHolderOfThePort(t *testing.T) {
	addr, _ := freeAddr(t)
	ln, err := net.Listen("tcp", addr) // accepts in the kernel, answers nothing
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	f := newTestFinder(t, addr)
	start := time.Now()
	if _, err := f.host(t.Context()); err != nil {
		t.Fatal(err)
	}
	if d := time.Since(start); d > probePatience+3*time.Second {
		t.Errorf("it took %v to host beside a silent program", d)
	}
}

func TestHostFailsOnAnAddressOfOthers(t *testing.T) {
	f := newTestFinder(t, "192.0.2.1:5000") // RFC 5737: nobody's
	_, err := f.host(t.Context())
	if err == nil || !strings.Contains(err.Error(), "192.0.2.1") || !strings.Contains(err.Error(), "--listen") {
		t.Errorf("hosting on another machine's address gave %v, want an error that says where and what to do", err)
	}
}

func TestKnownTrackersThatAreGoneCostNoTime(t *testing.T) {
	f := newTestFinder(t, "127.0.0.1:0")
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	gone, _ := freeAddr(t)
	here := ln.Addr().String()
	for _, a := range []string{gone, here} {
		if err := f.profile.AddTracker("ws://"+a+"/ws", time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	got := f.known(t.Context())
	if want := []string{"ws://" + here + "/ws"}; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("known are %q, want %q: only who answers", got, want)
	}
}

func TestSourcesAreInTheOrderOfTheContract(t *testing.T) {
	f := newTestFinder(t, "127.0.0.1:0")
	f.settings.Tracker = []string{"a", "b:1"}
	f.settings.LAN = true
	var labels []string
	for _, s := range f.sources() {
		labels = append(labels, s.Label)
		if s.Named != (s.Label == "named by you" || s.Label == "which is to stay") {
			t.Errorf("the source %q is marked as named: %v", s.Label, s.Named)
		}
	}
	want := "named by you, known from before, on this network, on this machine, which is to stay"
	if got := strings.Join(labels, ", "); got != want {
		t.Errorf("trackers are looked for %s; want %s", got, want)
	}
	for i := range 12 {
		if err := f.dial(fmt.Sprintf("h%d", i)); err != nil {
			t.Fatal(err)
		}
	}
	named := f.named(context.Background())
	if len(named) != maxDialled+2 || named[0] != "ws://h11:5000/ws" || named[len(named)-1] != "ws://b:1/ws" {
		t.Errorf("named are %q, want what was dialled last first, at most %d of it, then the settings", named, maxDialled)
	}
	if err := f.dial("a:b:c"); err == nil {
		t.Error("a wrong address was dialled")
	}
}
