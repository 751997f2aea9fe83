package signaling

import (
	"context"
	"crypto/ed25519"
	"encoding/binary"
	"fmt"
	"reflect"
	"sync"
	"testing"
	"time"

	"peerchat/peer/wire"
)

// testKey is the identity number n.
func testKey(n int) ed25519.PrivateKey {
	var seed [ed25519.SeedSize]byte
	binary.BigEndian.PutUint64(seed[:], uint64(n))
	return ed25519.NewKeyFromSeed(seed[:])
}

// testTracker is a tracker on a free port of the loopback.
func testTracker(t *testing.T, change func(*TrackerConfig)) *Tracker {
	t.Helper()
	cfg := TrackerConfig{Listen: "127.0.0.1:0", Seed: 1}
	if change != nil {
		change(&cfg)
	}
	tr, err := NewTracker(cfg)
	if err != nil {
		t.Fatalf("a tracker on a free port: %v", err)
	}
	tr.Start()
	t.Cleanup(func() { tr.Shutdown(context.Background()) })
	return tr
}

// player is a Client and what it has heard.
type player struct {
	*Client
	t    *testing.T
	id   wire.PeerID
	mu   sync.Mutex
	all  []ClientEvent
	more chan struct{}
}

func at(urls ...string) Source {
	return Source{Label: "named", Named: true, Find: func(context.Context) []string { return urls }}
}

func newPlayer(t *testing.T, n int, change func(*ClientConfig), sources ...Source) *player {
	t.Helper()
	p := &player{t: t, id: wire.IDOf(testKey(n)), more: make(chan struct{}, 1)}
	cfg := ClientConfig{Key: testKey(n), Name: fmt.Sprintf("peer%d", n), Agent: "test/1", Sources: sources, Seed: uint64(n),
		Sink: func(e ClientEvent) {
			p.mu.Lock()
			p.all = append(p.all, e)
			p.mu.Unlock()
			select {
			case p.more <- struct{}{}:
			default:
			}
		}}
	if change != nil {
		change(&cfg)
	}
	p.Client = NewClient(cfg)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := p.Close(ctx); err != nil {
			t.Errorf("the client closes within 5 s: %v", err)
		}
	})
	p.Start()
	return p
}

// await takes events of type T off those heard until one satisfies ok; the others before it are dropped.
func await[T ClientEvent](p *player, what string, ok func(T) bool) T {
	p.t.Helper()
	deadline := time.After(10 * time.Second)
	for {
		p.mu.Lock()
		for i, e := range p.all {
			if m, is := e.(T); is && (ok == nil || ok(m)) {
				p.all = p.all[i+1:]
				p.mu.Unlock()
				return m
			}
		}
		seen := fmt.Sprintf("%+v", p.all)
		p.mu.Unlock()
		select {
		case <-p.more:
		case <-deadline:
			var zero T
			p.t.Fatalf("%s: no such %v within 10 s; heard %s", what, reflect.TypeOf(zero), seen)
		}
	}
}

// never fails if an event of type T was heard.
func never[T ClientEvent](p *player, what string) {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range p.all {
		if m, is := e.(T); is {
			p.t.Errorf("%s, but heard %+v", what, m)
		}
	}
}

func connected(s StateChanged) bool { return s.State == Connected }

func TestTwoClientsMeet(t *testing.T) {
	tr := testTracker(t, nil)
	a := newPlayer(t, 1, nil, at(tr.URL()))
	b := newPlayer(t, 2, nil, at(tr.Addr().String()))
	s := await(a, "a connects", connected)
	if s.URL != tr.URL() || s.Observed == "" || len(s.STUN) != 1 || s.Resumed {
		t.Errorf("a is told where it is and where STUN is, got %+v", s)
	}
	a.Join("general")
	if j := await[Joined](a, "a joins", nil); j.Room != "general" || j.Count != 1 || len(j.Members) != 0 {
		t.Errorf("a is alone in #general, got %+v", j)
	}
	b.Join("general")
	if j := await[Joined](b, "b joins", nil); j.Count != 2 || len(j.Members) != 1 || j.Members[0] != (Member{a.id, "peer1"}) {
		t.Errorf("b finds a in #general, got %+v", j)
	}
	if j := await[MemberJoined](a, "a hears of b", nil); j.Member != (Member{b.id, "peer2"}) || j.Count != 2 {
		t.Errorf("a hears that b joined, got %+v", j)
	}
	b.Signal(a.id, []byte(`{"offer":"v=0"}`))
	if m := await[Signaled](a, "a gets b's signal", nil); m.From != b.id || string(m.Data) != `{"offer":"v=0"}` || m.Name != "peer2" {
		t.Errorf("a gets what b sent, got %+v", m)
	}
	b.SetName("Bób")
	if m := await[MemberRenamed](a, "a hears of b's name", nil); m.Member.Name != "Bób" {
		t.Errorf("b's new name arrives, got %+v", m)
	}
	b.List("ref")
	if l := await[RoomList](b, "b lists rooms", nil); l.Ref != "ref" || len(l.Rooms) != 1 || l.Rooms[0] != (Room{"general", 2}) {
		t.Errorf("the list has #general with 2, got %+v", l)
	}
	b.Leave("general")
	if m := await[MemberLeft](a, "a hears that b left", nil); m.Peer != b.id || m.Count != 1 {
		t.Errorf("b leaves, got %+v", m)
	}
	b.Signal(wire.IDOf(testKey(9)), []byte(`1`))
	if m := await[Refused](b, "a signal to a stranger is refused", nil); m.Status != NotFound || m.Op != "signal" {
		t.Errorf("want NOT_FOUND, got %+v", m)
	}
}
