package signalingtest

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"peerchat/peer/wire"
	"peerchat/signaling"
)

// TestOutageOfTheTracker runs two clients through an outage shorter than the linger, and one that is longer.
func TestOutageOfTheTracker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := New(signaling.HubConfig{Seed: 1})
		defer h.Close()
		heard := map[string][]string{}
		client := func(name string, id byte) *Client {
			return h.NewClient(wire.PeerID{id}, name, func(e signaling.ClientEvent) {
				heard[name] = append(heard[name], fmt.Sprintf("%T", e))
				if s, ok := e.(signaling.StateChanged); ok {
					heard[name] = append(heard[name], fmt.Sprintf("%s resumed=%v", s.State, s.Resumed))
				}
			})
		}
		a, b := client("a", 1), client("b", 2)
		expect := func(who string, want ...string) {
			t.Helper()
			synctest.Wait()
			if got := heard[who]; fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("%s hears %q, want %q", who, got, want)
			}
			heard[who] = nil
		}
		const state = "signaling.StateChanged"
		a.Start()
		a.Join("x")
		expect("a", state, "connected resumed=false", "signaling.Joined")
		b.Join("x")
		b.Start()
		expect("b", state, "connected resumed=false", "signaling.Joined")
		expect("a", "signaling.MemberJoined")
		b.Signal(wire.PeerID{1}, []byte(`{}`))
		expect("a", "signaling.Signaled")

		b.Drop()
		expect("b", state, "lost resumed=false")
		time.Sleep(2 * time.Second)
		b.Redial()
		expect("b", state, "connected resumed=true", "signaling.Joined")
		time.Sleep(10 * time.Second)
		expect("a") // a never noticed

		h.Down()
		expect("a", state, "lost resumed=false")
		a.Signal(wire.PeerID{2}, []byte(`{}`))
		expect("a", "signaling.Refused")
		time.Sleep(10 * time.Second)
		h.Up()
		expect("a", state, "connected resumed=false", "signaling.Joined", "signaling.MemberJoined")

		if err := b.Close(context.Background()); err != nil {
			t.Errorf("b closes: %v", err)
		}
		expect("a", "signaling.MemberLeft")
	})
}
