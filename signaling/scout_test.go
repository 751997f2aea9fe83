package signaling

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"

	"peerchat/peer/wire"
)

// Two who lead meet: the one sees the other, which hears of it by that.
func TestLeadersMeet(t *testing.T) {
	a := newStand(t, 1, "127.0.0.1:0", nil)
	b := newStand(t, 2, "127.0.0.1:0", nil)
	at := await(a.player, "a hosts", connected).URL
	await(b.player, "b hosts", connected)
	a.Station.Lead(Lead{Term: 3, Leader: a.id, Proof: []byte("a")})
	b.Station.Lead(Lead{Term: 4, Leader: b.id, Proof: []byte("b")})
	b.Scout([]string{"no address", at})
	if m := await(b.player, "b sees a", func(m Met) bool { return m.Term == 3 }); m.Leader != a.id || string(m.Proof) != "a" || !slices.Equal(m.URLs, []string{at}) {
		t.Errorf("b sees a's tracker at %s, got %+v", at, m)
	}
	if m := await(a.player, "a hears of b", func(m Met) bool { return m.Term == 4 }); string(m.Proof) != "b" {
		t.Errorf("a hears b's announcement, got %+v", m)
	}
}

// Who leads sees others through the sources, and through one that stands by.
func TestLeaderFindsOthersByItself(t *testing.T) {
	home := testTracker(t, nil)
	stands := newStand(t, 1, "127.0.0.1:0", nil, at(home.URL()))
	o := await(stands.player, "it stands by", offered)
	var asked atomic.Int32
	a := newStand(t, 2, "127.0.0.1:0", nil, Source{Label: "known", Find: func(context.Context) []string {
		if asked.Add(1) == 1 {
			return nil // at the start, so that it hosts
		}
		return []string{o.Addresses[0]}
	}})
	await(a.player, "a hosts", connected)
	if m := await[Met](a.player, "home is seen", nil); m.Leader != (wire.PeerID{}) || !slices.Contains(m.URLs, home.URL()) {
		t.Errorf("the only other tracker is at %s, got %+v", home.URL(), m)
	}
	home.Shutdown(context.Background())
	await[HomeGone](a.player, "home is gone", nil)
}

// TellHome raises a tracker's term.
func TestTellHome(t *testing.T) {
	home := testTracker(t, nil)
	gone := testTracker(t, nil)
	gone.Shutdown(context.Background())
	a := newStand(t, 1, "127.0.0.1:0", nil, at(home.URL()))
	await(a.player, "at home", connected)
	a.Station.TellHome(7, []string{gone.URL(), home.URL()})
	if s := await(a.player, "the term is told", connected); s.Term != 7 || !s.Leader.IsZero() {
		t.Errorf("the home tracker's term is 7 now, got %+v", s)
	}
}

// Who follows a leader sees the tracker that the user named come back.
func TestFollowerSeesHomeComeBack(t *testing.T) {
	home := testTracker(t, nil)
	addr := home.Addr().String()
	home.Shutdown(context.Background())
	lead := testTracker(t, func(c *TrackerConfig) { c.Leader = wire.IDOf(testKey(9)) })
	a := newStand(t, 1, "127.0.0.1:0", nil, at(addr), Source{Label: "known", Find: func(context.Context) []string { return []string{lead.URL()} }})
	await(a.player, "it follows", connected)
	testTracker(t, func(c *TrackerConfig) { c.Listen = untilFree(t, addr) })
	if m := await[Met](a.player, "home is back", nil); !m.Leader.IsZero() || !slices.Equal(m.URLs, []string{"ws://" + addr + "/ws"}) {
		t.Errorf("home is at %s, got %+v", addr, m)
	}
}
