package main

import (
	"context"
	"errors"
	"testing"

	"peerchat/signaling"
)

// A peer's tracker gives its port up to one that is started there; a stand-alone one does not.
func TestTrackerAsksForItsPort(t *testing.T) {
	yields := make(chan struct{}, 1)
	holder, err := signaling.NewTracker(signaling.TrackerConfig{Listen: "127.0.0.1:0", OnYield: func() { yields <- struct{}{} }})
	if err != nil {
		t.Fatal(err)
	}
	holder.Start()
	defer holder.Shutdown(context.Background())
	moved := make(chan error, 1)
	at := holder.Addr().String()
	go func() {
		<-yields
		moved <- holder.Rebind("127.0.0.1:0")
	}()
	tracker, err := bindTracker(t.Context(), signaling.TrackerConfig{Listen: at})
	if err != nil {
		t.Fatalf("a tracker at %s, which is given up: %v", at, err)
	}
	tracker.Start()
	defer tracker.Shutdown(context.Background())
	if err := <-moved; err != nil {
		t.Fatal(err)
	}
	if got := tracker.Addr().String(); got != at {
		t.Errorf("the tracker is at %s, want %s", got, at)
	}
	if _, err := bindTracker(t.Context(), signaling.TrackerConfig{Listen: at}); !errors.Is(err, signaling.ErrPortTaken) {
		t.Errorf("a stand-alone tracker keeps its port, got %v", err)
	}
}
