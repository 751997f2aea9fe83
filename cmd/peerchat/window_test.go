package main

import (
	"testing"
	"time"

	"peerchat/configs"
	"peerchat/peer"
)

func TestTheWindowIsNoLargerThanWhatIsKept(t *testing.T) {
	const day = 24 * time.Hour
	for _, c := range []struct {
		history configs.History
		want    peer.Window
	}{
		{configs.History{Events: 10_000, Age: -1, WindowEvents: 1000, WindowAge: 7 * day}, peer.Window{Events: 1000, Age: 7 * day}},
		{configs.History{Events: 500, Age: day, WindowEvents: 1000, WindowAge: 7 * day}, peer.Window{Events: 500, Age: day}},
		{configs.History{Events: -1, Age: 9 * day, WindowEvents: 1000, WindowAge: -1}, peer.Window{Events: 1000, Age: 9 * day}},
		{configs.History{Events: -1, Age: -1, WindowEvents: 1000, WindowAge: -1}, peer.Window{Events: 1000, Age: -1}},
	} {
		if got := windowOf(c.history); got != c.want {
			t.Errorf("with %+v the window is %+v, want %+v", c.history, got, c.want)
		}
	}
}
