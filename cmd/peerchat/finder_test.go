package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"peerchat/configs"
	"peerchat/peer/profile"
)

// newTestFinder makes a finder of a fresh profile.
func newTestFinder(t *testing.T) *finder {
	t.Helper()
	p, err := profile.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	c := configs.DefaultPeer()
	c.LAN, c.Interface = false, []string{"lo"}
	f := newFinder(c, p, slog.New(slog.DiscardHandler))
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

// goneAddr is a loopback address that nobody listens on: it was free a moment ago.
func goneAddr(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

func TestKnownTrackersThatAreGoneCostNoTime(t *testing.T) {
	f := newTestFinder(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	gone := goneAddr(t)
	here := ln.Addr().String()
	for _, a := range []string{gone, here} {
		if err := f.profile.AddTracker("ws://"+a+"/ws", time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for range 20 { // each try has 700 ms, of which a busy machine may have none for it
		if got = f.known(t.Context()); len(got) > 0 {
			break
		}
	}
	if want := []string{"ws://" + here + "/ws"}; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("known are %q, want %q: only who answers", got, want)
	}
}

func TestSourcesAreInTheOrderOfTheContract(t *testing.T) {
	f := newTestFinder(t)
	f.settings.Tracker = []string{"a", "b:1"}
	f.settings.LAN = true
	var labels []string
	for _, s := range f.sources() {
		labels = append(labels, s.Label)
		if s.Named != (s.Label == "named by you") {
			t.Errorf("the source %q is marked as named: %v", s.Label, s.Named)
		}
	}
	want := "named by you, known from before, on this network, on this machine"
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
