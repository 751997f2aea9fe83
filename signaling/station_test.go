package signaling

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"peerchat/peer/wire"
)

// stand is a Station and what it has heard. It leads when it finds no tracker, as a peer does.
type stand struct {
	*player
	*Station
	id wire.PeerID
}

func newStand(t *testing.T, n int, listen string, change func(*StationConfig), sources ...Source) *stand {
	t.Helper()
	s := &stand{id: wire.IDOf(testKey(n))}
	s.player = &player{t: t, id: s.id, more: make(chan struct{}, 1)}
	cfg := StationConfig{Client: ClientConfig{Key: testKey(n), Name: fmt.Sprintf("peer%d", n), Agent: "test/1", Sources: sources, Seed: uint64(n)},
		Host: &HostConfig{Listen: listen, Standby: time.Millisecond}}
	if change != nil {
		change(&cfg)
	}
	cfg.Client.Sink = func(e ClientEvent) {
		if _, none := e.(NoneFound); none {
			s.Station.Lead(Lead{Leader: s.id, Solo: true})
		}
		s.hear(e)
	}
	s.Station = NewStation(cfg)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := s.Station.Close(ctx); err != nil {
			t.Errorf("the station closes: %v", err)
		}
	})
	s.Start()
	return s
}

// Start, Close and the like are the Station's, not the player's client's, of which there is none.
func (s *stand) Start()           { s.Station.Start() }
func (s *stand) Join(r wire.Room) { s.Station.Join(r) }
func (s *stand) Follow(t Target)  { s.Station.Follow(t) }
func (s *stand) Ping()            { s.Station.Ping() }

// freePort is a port of the loopback that was free a moment ago, with room for some after it.
func freePort(t *testing.T) int {
	t.Helper()
	for {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		port := ln.Addr().(*net.TCPAddr).Port
		ln.Close()
		if port < 65000 {
			return port
		}
	}
}

func local(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

func urlAt(port int) string { return "ws://" + local(port) + "/ws" }

func offered(o Offered) bool { return o.Candidate }

// However many start at once on a machine, one hosts, and the others find it.
func TestManyStationsStartAtOnce(t *testing.T) {
	port := freePort(t)
	stands := make([]*stand, 8)
	var wg sync.WaitGroup
	for i := range stands {
		stands[i] = newStand(t, i+1, local(port), nil)
	}
	hosts := make([]bool, len(stands))
	for i, s := range stands {
		wg.Go(func() {
			c := await(s.player, "it has a tracker", connected)
			hosts[i] = c.Hosting
			if c.URL != urlAt(port) {
				t.Errorf("station %d is connected to %s, want %s", i, c.URL, urlAt(port))
			}
		})
	}
	wg.Wait()
	n := 0
	for _, h := range hosts {
		if h {
			n++
		}
	}
	if n != 1 {
		t.Errorf("%d of %d stations host, want one", n, len(stands))
	}
}

// A station takes over where the tracker was, with a tracker that has stood by since it was connected.
func TestTakeOver(t *testing.T) {
	home := testTracker(t, nil)
	a := newStand(t, 1, "127.0.0.1:0", nil, at(home.URL()))
	b := newStand(t, 2, "127.0.0.1:0", nil, at(home.URL()))
	for _, s := range []*stand{a, b} {
		s.Join("x")
		await[Joined](s.player, "in the room", nil)
	}
	oa, ob := await(a.player, "a can host", offered), await(b.player, "b can host", offered)
	// Whoever comes to one that stands by is sent to the tracker.
	stray := newPlayer(t, 3, nil, at(ob.Addresses[0]))
	if s := await(stray, "a stray is sent on", connected); s.URL != home.URL() {
		t.Errorf("one that stands by sends people to %s, but the stray is at %s", home.URL(), s.URL)
	}
	old := home.URL()
	home.Shutdown(context.Background())
	for _, s := range []*stand{a, b} {
		if l := await(s.player, "the loss shows", func(s StateChanged) bool { return s.State == Lost }); !l.Closed || l.Moved {
			t.Errorf("the tracker's end closes the connection, got %+v", l)
		}
	}
	proof := []byte("proof")
	a.Station.Lead(Lead{Term: 1, Leader: a.id, Proof: proof, Replaces: []string{old},
		Members: []Restored{{Peer: b.id, Name: "peer2", Rooms: []wire.Room{"x"}}}})
	if l := await[Leading](a.player, "a leads", nil); l.URL != oa.Addresses[0] || !slices.Equal(l.URLs, oa.Addresses) {
		t.Errorf("a leads at what it offered, %q, but says %+v", oa.Addresses, l)
	}
	if s := await(a.player, "a is at its own tracker", connected); !s.Hosting || s.Leader != a.id || s.Term != 1 {
		t.Errorf("a hosts, got %+v", s)
	}
	if j := await[Joined](a.player, "a is in its room", nil); j.Count != 2 || j.Members[0].Peer != b.id {
		t.Errorf("a finds b, who is expected, got %+v", j)
	}
	b.Follow(Target{Leader: a.id, Term: 1, URLs: oa.Addresses, Jitter: time.Millisecond})
	if s := await(b.player, "b follows", connected); s.Hosting || s.Leader != a.id || string(s.Proof) != "proof" ||
		!slices.Equal(s.Addresses, oa.Addresses) && s.URL != old { // where a serves, too, and b may have been first
		t.Errorf("b is at a's tracker and gets its proof, got %+v", s)
	}
	// Who knows only the old address finds the new tracker there, until a tracker wants it back.
	await(newPlayer(t, 4, nil, at(old)), "the old address serves", func(s StateChanged) bool {
		return s.State == Connected && s.Leader == a.id
	})
	if err := AskYield(t.Context(), home.Addr().String()); err != nil {
		t.Fatalf("the old port is asked for: %v", err)
	}
	testTracker(t, func(c *TrackerConfig) { c.Listen = untilFree(t, home.Addr().String()) })
	if m := await(a.player, "the home tracker is seen", func(m Met) bool { return m.Leader.IsZero() }); !slices.Contains(m.URLs, old) {
		t.Errorf("home is back at %s, got %+v", old, m)
	}
	a.Station.StepDown(Target{Term: 2, URLs: []string{old}})
	for _, s := range []*stand{a, b} {
		if c := await(s.player, "all are sent home", connected); c.URL != old || c.Hosting {
			t.Errorf("home is at %s, but %+v", old, c)
		}
	}
}

// untilFree waits until nobody listens at an address.
func untilFree(t *testing.T, addr string) string {
	t.Helper()
	deadline := time.After(patience)
	for {
		ln, err := net.Listen("tcp", addr)
		if err == nil {
			ln.Close()
			return addr
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-deadline:
			t.Fatalf("%s does not get free: %v", addr, err)
		}
	}
}

// A new term of a tracker that serves is told to its clients, who stay.
func TestLeadAgain(t *testing.T) {
	a := newStand(t, 1, "127.0.0.1:0", nil)
	s := await(a.player, "a hosts", connected)
	b := newStand(t, 2, "127.0.0.1:0", nil, at(s.URL))
	await(b.player, "b is there", connected)
	await(a.player, "another reached a", func(o Offered) bool { return o.Candidate && o.Dialable })
	a.Station.Lead(Lead{Term: 7, Leader: a.id, Proof: []byte("7")})
	for _, p := range []*stand{a, b} {
		if c := await(p.player, "the term is told", connected); c.Term != 7 || c.Leader != a.id || c.Hosting != (p == a) {
			t.Errorf("the term is 7 now, got %+v", c)
		}
	}
	never[StateChanged](b.player, "b stays connected")
	b.Ping()
	await[Pong](b.player, "the tracker gives a sign of life", nil)
	a.Station.StepDown(Target{})
	if l := await(b.player, "nobody takes over", func(s StateChanged) bool { return s.State == Lost }); l.Moved || !l.Closed {
		t.Errorf("a tracker that goes to nobody is lost, got %+v", l)
	}
}

// Dial-back measures whether others reach the own tracker.
func TestDialBack(t *testing.T) {
	home := testTracker(t, nil)
	a := newStand(t, 1, "127.0.0.1:0", nil, at(home.URL()))
	o := await(a.player, "a is reached", func(o Offered) bool { return o.Dialable })
	if want := []string{urlAt(int(o.Port))}; !o.Candidate || !slices.Equal(o.Addresses, want) {
		t.Errorf("a offers %q, got %+v", want, o)
	}
}

func TestLeadTakesTheNextFreePort(t *testing.T) {
	port := freePort(t)
	ln, err := net.Listen("tcp", local(port))
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: http.NotFoundHandler()} // no tracker
	served := make(chan struct{})
	go func() { _ = srv.Serve(ln); close(served) }()
	defer func() { _ = srv.Close(); <-served }()
	a := newStand(t, 1, local(port), nil)
	s := await(a.player, "a hosts", connected)
	if _, text := hostOf(s.URL); !s.Hosting || text == "" {
		t.Errorf("a hosts, got %+v", s)
	} else if got, _ := strconv.Atoi(text); got <= port || got > port+PortsTried {
		t.Errorf("the tracker is at %s, want one of the %d ports after %d", s.URL, PortsTried, port)
	}
}

// What holds the port and says nothing must not keep a peer from hosting for long.
func TestSilentHolderOfThePort(t *testing.T) {
	port := freePort(t)
	ln, err := net.Listen("tcp", local(port)) // accepts in the kernel, answers nothing
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	a := newStand(t, 1, local(port), nil)
	if s := await(a.player, "a hosts beside a silent program", connected); !s.Hosting {
		t.Errorf("a hosts, got %+v", s)
	}
}

func TestLeadFailsOnAnAddressOfOthers(t *testing.T) {
	a := newStand(t, 1, "192.0.2.1:5000", nil) // RFC 5737: nobody's
	f := await[LeadFailed](a.player, "a cannot host", nil)
	if f.Elsewhere || !strings.Contains(f.Err.Error(), "192.0.2.1") || !strings.Contains(f.Err.Error(), "--listen") {
		t.Errorf("the error says where and what to do, got %+v", f)
	}
	b := newStand(t, 2, "", func(c *StationConfig) { c.Host = nil })
	await[LeadFailed](b.player, "who may not host does not", nil)
}

// Close ends what was begun, at any moment.
func TestStationClosesAtAnyMoment(t *testing.T) {
	for i := range 20 {
		s := NewStation(StationConfig{Client: ClientConfig{Key: testKey(1), Name: "x", Sink: func(ClientEvent) {}},
			Host: &HostConfig{Listen: "127.0.0.1:0", LAN: false}})
		if i%4 > 0 {
			s.Start()
		}
		s.Lead(Lead{Term: 1, Leader: wire.IDOf(testKey(1))})
		time.Sleep(time.Duration(i/4) * 200 * time.Microsecond)
		for range 2 {
			if err := s.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// The own tracker's clients are really sent on before Close returns.
func TestStepDownThenClose(t *testing.T) {
	next := testTracker(t, nil)
	a := newStand(t, 1, "127.0.0.1:0", nil)
	s := await(a.player, "a hosts", connected)
	b := newPlayer(t, 2, nil, at(s.URL))
	await(b, "b is there", connected)
	a.Station.StepDown(Target{Term: 1, URLs: []string{next.URL()}})
	if err := a.Station.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if l := await(b, "b is sent on", func(s StateChanged) bool { return s.State == Lost }); !l.Moved {
		t.Errorf("b is told where to go, got %+v", l)
	}
	if c := await(b, "b goes there", connected); c.URL != next.URL() {
		t.Errorf("b goes to %s, got %+v", next.URL(), c)
	}
}
