package signaling

import (
	"context"
	"crypto/ed25519"
	"encoding/binary"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"peerchat/peer/wire"
)

// patience is how long a test awaits what should come at once: a machine may be slow.
const patience = 20 * time.Second

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

func TestResumeWithoutFlapping(t *testing.T) {
	tr := testTracker(t, nil)
	a, b := newPlayer(t, 1, nil, at(tr.URL())), newPlayer(t, 2, nil, at(tr.URL()))
	a.Join("x")
	await[Joined](a, "a joins", nil)
	b.Join("x")
	await[Joined](b, "b joins", nil)
	await[MemberJoined](a, "a hears of b", nil)
	b.Redial()
	if s := await(b, "b comes back", connected); !s.Resumed {
		t.Errorf("b's session is resumed, got %+v", s)
	}
	if j := await[Joined](b, "b is in its room again", nil); j.Count != 2 {
		t.Errorf("b finds a still there, got %+v", j)
	}
	b.Signal(a.id, []byte("1"))
	a.mu.Lock()
	for _, e := range a.all {
		switch e.(type) {
		case MemberLeft, MemberJoined:
			t.Errorf("a sees no flapping, but %+v", e)
		}
	}
	a.mu.Unlock()
	await[Signaled](a, "the link through the tracker works again", nil)
}

// TestTrackerRestarts kills the tracker without a goodbye and starts another on the same port.
func TestTrackerRestarts(t *testing.T) {
	tr := testTracker(t, nil)
	p := newPlayer(t, 1, nil, at(tr.URL()))
	p.Join("x")
	await[Joined](p, "in the room", nil)
	tr.Shutdown(context.Background())
	if s := await(p, "the loss shows", func(s StateChanged) bool { return s.State == Lost }); s.URL != tr.URL() || s.Err == nil {
		t.Errorf("the loss is told with the URL and why, got %+v", s)
	}
	p.Signal(wire.IDOf(testKey(1)), []byte(`"while away"`))
	testTracker(t, func(c *TrackerConfig) { c.Listen = tr.Addr().String() })
	if s := await(p, "the client is back", connected); s.Resumed {
		t.Errorf("the new tracker knows nobody, got %+v", s)
	}
	await[Joined](p, "the room is joined again by itself", nil)
	if m := await[Signaled](p, "what was said meanwhile goes out", nil); string(m.Data) != `"while away"` {
		t.Errorf("the signal waited, got %+v", m)
	}
}

func TestReplacedClientStaysAway(t *testing.T) {
	tr := testTracker(t, nil)
	first := newPlayer(t, 1, nil, at(tr.URL()))
	await(first, "the first connects", connected)
	second := newPlayer(t, 1, nil, at(tr.URL()))
	await(second, "the second connects", connected)
	s := await(first, "the first is replaced", func(s StateChanged) bool { return s.State == Lost })
	if s.Err == nil || !s.Retry.IsZero() || s.Trying != "" {
		t.Errorf("the first says why and tries nothing, got %+v", s)
	}
	first.List("still down")
	if l := await[RoomList](first, "the first is not connected", nil); l.Err == nil {
		t.Errorf("no list without a connection, got %+v", l)
	}
	never[StateChanged](first, "the first stays away")
	first.Redial()
	await(first, "told to, the first comes back", connected)
	await(second, "and replaces the second", func(s StateChanged) bool { return s.State == Lost })
}

func TestMoved(t *testing.T) {
	old, next := testTracker(t, nil), testTracker(t, nil)
	a := newPlayer(t, 1, nil, at(old.URL()))
	a.Join("x")
	await[Joined](a, "in the room", nil)
	old.MoveTo(Move{Tracker: next.URL()})
	if s := await(a, "a moves", connected); s.URL != next.URL() {
		t.Errorf("a goes where it is sent, got %+v", s)
	}
	await[Joined](a, "in the room there", nil)
	b := newPlayer(t, 2, nil, at(old.URL()))
	if s := await(b, "b is sent on at once", connected); s.URL != next.URL() {
		t.Errorf("b goes where it is sent, got %+v", s)
	}
}

// TestHungTrackerIsLeft tries a tracker that accepts and says nothing, one that is not there, and nonsense, before a
// good one.
func TestHungTrackerIsLeft(t *testing.T) {
	tr := testTracker(t, nil)
	hung, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer hung.Close()
	web := httptest.NewServer(http.NotFoundHandler())
	defer web.Close()
	gone := testTracker(t, nil)
	gone.Shutdown(context.Background())
	p := newPlayer(t, 1, func(c *ClientConfig) { c.Handshake = 200 * time.Millisecond },
		at(hung.Addr().String(), web.Listener.Addr().String(), "not an address", gone.URL()), at(tr.URL()))
	if s := await[StateChanged](p, "the first try shows", nil); s.State != Searching || !strings.Contains(s.Trying, "(named), try 1") {
		t.Errorf("people see what is tried, got %+v", s)
	}
	if s := await(p, "the good one is found", connected); s.URL != tr.URL() {
		t.Errorf("the good tracker is %s, got %+v", tr.URL(), s)
	}
}

// TestSilentTrackerIsLost puts a wire between client and tracker that can be cut without anybody being told.
func TestSilentTrackerIsLost(t *testing.T) {
	tr := testTracker(t, nil)
	var cut atomic.Bool
	p := newPlayer(t, 1, func(c *ClientConfig) {
		c.Request = 300 * time.Millisecond
		c.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			nc, err := (&net.Dialer{}).DialContext(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			return &deafConn{nc, &cut}, nil
		}
	}, at(tr.URL()))
	await(p, "connects", connected)
	cut.Store(true)
	p.List("into the void")
	s := await(p, "a tracker that does not answer is lost", func(s StateChanged) bool { return s.State == Lost })
	if !strings.Contains(s.Err.Error(), "did not answer") {
		t.Errorf("the reason is that it did not answer, got %v", s.Err)
	}
	cut.Store(false)
	await(p, "and found again", connected)
}

// deafConn swallows what is written while cut.
type deafConn struct {
	net.Conn
	cut *atomic.Bool
}

func (c *deafConn) Write(b []byte) (int, error) {
	if c.cut.Load() {
		return len(b), nil
	}
	return c.Conn.Write(b)
}

// TestFollow goes from tracker to tracker. Who answers must be led by who is to lead.
func TestFollow(t *testing.T) {
	led := func(n int, term uint64) func(*TrackerConfig) {
		return func(c *TrackerConfig) { c.Leader, c.Term = wire.IDOf(testKey(n)), term }
	}
	home, other, right := testTracker(t, nil), testTracker(t, led(8, 3)), testTracker(t, led(9, 4))
	gone := testTracker(t, nil)
	gone.Shutdown(context.Background())
	p := newPlayer(t, 1, nil, at(home.URL()))
	p.Join("x")
	await[Joined](p, "at home", nil)
	to := Target{Leader: wire.IDOf(testKey(9)), Term: 4, URLs: []string{gone.URL(), other.URL(), "no address", right.URL()}}
	p.Follow(to)
	if s := await(p, "it goes where it is told", connected); s.URL != right.URL() || s.Term != 4 || s.Leader != to.Leader {
		t.Errorf("the right one is at %s, got %+v", right.URL(), s)
	}
	await[Joined](p, "in its room there", nil)
	p.Follow(to)
	// No stand-alone tracker is there: it stays, and says no second hello, which would end its session, before it tries
	// the next.
	next, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer next.Close()
	p.Follow(Target{URLs: []string{right.URL(), "ws://" + next.Addr().String() + "/ws"}})
	if err := next.(*net.TCPListener).SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	tried, err := next.Accept()
	if err != nil {
		t.Fatalf("the next address is not tried: %v", err)
	}
	tried.Close()
	p.List("ref")
	await[RoomList](p, "it did not go away", nil)
	never[StateChanged](p, "who is there already stays")
	right.Lead(Lead{Term: 5, Leader: to.Leader})
	if s := await(p, "the new term is told", connected); s.Term != 5 {
		t.Errorf("the term is 5 now, got %+v", s)
	}
	p.Follow(Target{URLs: []string{home.URL()}, Jitter: time.Millisecond})
	if s := await(p, "it goes home", connected); s.URL != home.URL() || !s.Named {
		t.Errorf("home is at %s, got %+v", home.URL(), s)
	}
	// The one that is wanted has handed over meanwhile, to one of a later term.
	later := testTracker(t, led(7, 6))
	right.MoveTo(Move{Tracker: later.URL(), Term: 6, Leader: wire.IDOf(testKey(7))})
	p.Follow(to)
	if s := await(p, "it goes where the wanted one went", connected); s.URL != later.URL() || s.Term != 6 {
		t.Errorf("the later one is at %s, got %+v", later.URL(), s)
	}
	p.Follow(Target{URLs: []string{home.URL()}, Jitter: time.Millisecond})
	await(p, "it goes home again", connected)
	// The same where both led by one term, and the one that is wanted stands by for the other.
	low, high := testTracker(t, led(5, 7)), testTracker(t, led(6, 7))
	low.MoveTo(Move{Tracker: high.URL(), Term: 7, Leader: wire.IDOf(testKey(6))})
	p.Follow(Target{Leader: wire.IDOf(testKey(5)), Term: 7, URLs: []string{low.URL()}})
	if s := await(p, "it goes where the one of the same term is", connected); s.URL != high.URL() {
		t.Errorf("that one is at %s, got %+v", high.URL(), s)
	}
	p.Follow(Target{URLs: []string{home.URL()}, Jitter: time.Millisecond})
	await(p, "it goes home once more", connected)
	// Nobody is there: it is tried again and again, and counted.
	home.Shutdown(context.Background())
	p.Follow(Target{Leader: to.Leader, URLs: []string{gone.URL()}})
	await(p, "failures are counted", func(s StateChanged) bool { return s.State == Lost && s.Failed == 3 })
}

// TestSourcesWait has the tracker back before the sources are asked, and then not.
func TestSourcesWait(t *testing.T) {
	home, spare := testTracker(t, nil), testTracker(t, nil)
	var asked atomic.Int32
	p := newPlayer(t, 1, func(c *ClientConfig) { c.SeekAfter = 300 * time.Millisecond },
		Source{Label: "first home", Find: func(context.Context) []string {
			if asked.Add(1) == 1 {
				return []string{home.URL()}
			}
			return []string{spare.URL()}
		}})
	await(p, "at home", connected)
	start := time.Now()
	home.Shutdown(context.Background())
	await(p, "nobody is asked at once", func(s StateChanged) bool { return s.State == Lost && s.Failed > 0 })
	if s := await(p, "then another is found", connected); s.URL != spare.URL() {
		t.Errorf("the spare is at %s, got %+v", spare.URL(), s)
	}
	if d := time.Since(start); d < 300*time.Millisecond {
		t.Errorf("the sources were asked after %v, want not before 300 ms", d)
	}
}

// TestNoneFound tells a peer that there is no tracker, each time, until there is one.
func TestNoneFound(t *testing.T) {
	gone := testTracker(t, nil)
	gone.Shutdown(context.Background())
	p := newPlayer(t, 1, nil, at(gone.URL()))
	for range 2 {
		if e := await[NoneFound](p, "none is found", nil); e.Err == nil {
			t.Error("it is said why")
		}
	}
	tr := testTracker(t, nil)
	p.Follow(Target{URLs: []string{tr.URL()}})
	await(p, "it goes where it is told", connected)
	tr.Shutdown(context.Background())
	await(p, "lost", func(s StateChanged) bool { return s.State == Lost && s.Failed > 0 })
	never[NoneFound](p, "who had a tracker looks for it")
}

func TestBadSignals(t *testing.T) {
	p := newPlayer(t, 1, func(c *ClientConfig) { c.SignalWait = 50 * time.Millisecond })
	for data, want := range map[string]Status{"not JSON": RequestError, `"` + strings.Repeat("x", MaxData) + `"`: RequestError, "1": ServerError} {
		p.Signal(p.id, []byte(data))
		if r := await[Refused](p, "without a tracker, or at all", nil); r.Status != want || r.Op != "signal" || r.Peer != p.id {
			t.Errorf("%.20s is refused with %s, got %+v", data, want, r)
		}
	}
	p.SetName("a\nb")
	if r := await[Refused](p, "a bad name", nil); r.Op != "name" || r.Status != RequestError {
		t.Errorf("a bad name is refused, got %+v", r)
	}
	for range maxQueued + 1 {
		p.Signal(p.id, []byte("1"))
	}
	await(p, "signals do not pile up", func(r Refused) bool { return strings.Contains(r.Text, "too many") })
}

// TestRacedDial loses the first SYNs: the third dial connects, and the others are closed.
func TestRacedDial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		var n atomic.Int32
		dial := raced(func(ctx context.Context, _, _ string) (net.Conn, error) {
			if n.Add(1) < 3 {
				<-ctx.Done()
				return nil, ctx.Err()
			}
			a, b := net.Pipe()
			b.Close()
			return a, nil
		})
		c, err := dial(context.Background(), "tcp", "x")
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
		if d := time.Since(start); n.Load() != 3 || d != 500*time.Millisecond {
			t.Errorf("the third dial starts after 500 ms, got %d after %v", n.Load(), d)
		}
	})
}

func TestNeverStarted(t *testing.T) {
	c := NewClient(ClientConfig{Key: testKey(1), Name: "x", Sink: func(e ClientEvent) { t.Errorf("no event, but %+v", e) }})
	c.Follow(Target{URLs: []string{"127.0.0.1:1"}})
	c.Join("x")
	c.Redial()
	if err := c.Close(context.Background()); err != nil {
		t.Errorf("it closes: %v", err)
	}
	c.Join("y") // after the end: nothing happens
	if err := c.Close(context.Background()); err != nil {
		t.Errorf("it closes twice: %v", err)
	}
}
