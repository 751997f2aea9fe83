package signaling

import (
	"context"
	"math"
	"net"
	"net/http/httptest"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"peerchat/peer/wire"
)

// This file is what trackers, leaders and strangers can do to those who follow them or stand by.

// liar is a tracker that admits everybody, and then says what a test wants.
func liar(t *testing.T, say func(ws *websocket.Conn, n int)) string {
	t.Helper()
	n := make(chan int, 1)
	n <- 0
	web := httptest.NewServer(admitting(t, HelloAnswer{Observed: "127.0.0.1:1", Ping: 1500}, func(ws *websocket.Conn) {
		i := <-n
		n <- i + 1
		say(ws, i)
	}))
	t.Cleanup(web.Close)
	return "ws://" + web.Listener.Addr().String() + "/ws"
}

// A leader that nobody can reach is found out, however often it says again that it leads, and where.
func TestALeaderThatRepeatsItselfIsFoundOut(t *testing.T) {
	tr := testTracker(t, nil)
	gone := []string{urlAt(freePort(t)), urlAt(freePort(t))}
	p := newPlayer(t, 1, func(c *ClientConfig) { c.BackoffMax = 50 * time.Millisecond }, at(tr.URL()))
	await(p, "it is connected", connected)
	tr.Shutdown(context.Background())
	to := Target{Leader: wire.IDOf(testKey(9)), URLs: gone[:1]}
	for term := range uint64(100) {
		to.Term, to.URLs = term, gone[term%2:][:1]
		p.Follow(to)
		s := await(p, "a round fails", func(s StateChanged) bool { return s.State == Lost && s.Failed > 0 })
		if s.Failed >= 3 {
			return
		}
	}
	t.Error("after 100 rounds that failed, not three in a row were counted")
}

// A tracker that changes its term all the time is not told of each time, but its last word is.
func TestManyTermsAreToldNowAndThen(t *testing.T) {
	const terms = 2000
	url := liar(t, func(ws *websocket.Conn, _ int) {
		for i := range terms {
			ws.WriteMessage(websocket.TextMessage, (&TermNote{Term: uint64(i + 1)}).Append(nil))
		}
		ws.ReadMessage() // until the client goes
	})
	var told atomic.Int64
	p := newPlayer(t, 1, func(c *ClientConfig) {
		hear := c.Sink
		c.Sink = func(e ClientEvent) { told.Add(1); hear(e) }
	}, at(url))
	await(p, "the last term is told", func(s StateChanged) bool { return s.State == Connected && s.Term == terms })
	if n := told.Load(); n > 30 {
		t.Errorf("of %d terms %d were told, want a few", terms, n)
	}
}

// Who was replaced by another process of the same identity says so, because to come back would replace that one.
func TestWhoWasReplacedSaysSo(t *testing.T) {
	tr := testTracker(t, nil)
	first := newPlayer(t, 1, nil, at(tr.URL()))
	await(first, "the first connects", connected)
	second := newPlayer(t, 1, nil, at(tr.URL()))
	await(second, "the second connects", connected)
	if s := await(first, "the first is replaced", func(s StateChanged) bool { return s.State == Lost }); !s.Replaced {
		t.Errorf("the first was replaced, got %+v", s)
	}
	tr.Shutdown(context.Background())
	if s := await(second, "the second loses the tracker", func(s StateChanged) bool { return s.State == Lost }); s.Replaced {
		t.Errorf("nobody replaced the second, got %+v", s)
	}
}

// Two trackers that admit a client and send it to each other do not keep it busy.
func TestTrackersThatSendToEachOther(t *testing.T) {
	urls := make([]string, 2)
	visits := make(chan int, 1000)
	for i := range urls {
		urls[i] = liar(t, func(ws *websocket.Conn, n int) {
			visits <- n
			ws.WriteMessage(websocket.TextMessage, (&ByeNote{Status: Moved, Tracker: urls[1-i], Text: "there"}).Append(nil))
		})
	}
	p := newPlayer(t, 1, func(c *ClientConfig) { c.BackoffMin, c.BackoffMax = time.Minute, time.Hour }, at(urls[0]))
	for range 2 { // the first is at once
		await(p, "it is admitted", connected)
	}
	s := await(p, "then it waits", func(s StateChanged) bool { return s.State == Lost && !s.Retry.IsZero() })
	if len(visits) > 3 {
		t.Errorf("it visited them %d times before it waited, %+v", len(visits), s)
	}
}

// What answers at a port, or that nothing listens there, must not show in how long a dial-back takes: from behind one
// address a client could look at the ports of others, from behind a proxy at those of the tracker's own machine.
func TestADialbackIsNoPortScanner(t *testing.T) {
	tr := testTracker(t, nil)
	for what, addr := range map[string]string{"a closed port": local(freePort(t)), "a tracker": tr.Addr().String()} {
		g := newGuest(t, tr).hello(1)
		to, err := net.ResolveTCPAddr("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		g.say(&DialbackRequest{newID(), uint16(to.Port)})
		if m := want[*DialbackAnswer](g, what); m.OK {
			t.Errorf("%s is no tracker of its own, got %+v", what, m)
		}
		if took := time.Since(start); took < dialTime {
			t.Errorf("%s is told apart after %v, before the %v that a dial-back may take", what, took, dialTime)
		}
	}
}

// Strangers can raise a stand-alone tracker's term, but not use the terms up, nor keep its clients busy.
func TestStrangersDoNotUseTheTermsUp(t *testing.T) {
	tr, err := NewTracker(TrackerConfig{Listen: "127.0.0.1:0", STUN: "off"})
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Shutdown(context.Background())
	rises := 0
	tr.now = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC) // it has no owner yet
	for range 3600 {
		before := tr.Info().Term
		tr.now = tr.now.Add(time.Second)
		tr.meet(&Greeting{Term: math.MaxUint64})
		if tr.Info().Term > before {
			rises++
		}
	}
	if line := wire.HighestTerm(tr.now, 0); tr.Info().Term > line {
		t.Errorf("in an hour strangers raised the term to %d, above the %d that peers believe", tr.Info().Term, line)
	}
	if rises > 800 {
		t.Errorf("in an hour strangers raised the term %d times", rises)
	}
}

// A stand-alone tracker that comes back to peers of a high term gets there at once.
func TestAStandaloneTrackerGetsToAHighTermAtOnce(t *testing.T) {
	tr := testTracker(t, nil)
	term := wire.HighestTerm(time.Now(), 0) - 1
	if i, err := Ask(soon(t), nil, tr.URL(), &Greeting{Term: term}); err != nil || i.Term != term {
		t.Errorf("told term %d, its term is %d (%v)", term, i.Term, err)
	}
}

// One client, or many behind one address, must not keep a tracker so busy with dialling back that it does so for nobody
// else.
func TestOneAddressDoesNotTakeAllDials(t *testing.T) {
	h, now, out := NewHub(HubConfig{Limits: Limits{Rate: -1}}), time.Unix(1000, 0), &HubOutput{}
	conn := ConnID(0)
	dial := func(addr string) bool {
		conn++
		out.Send, out.Dial = nil, nil
		h.Step(now, HubArrived{Conn: conn, Addr: netip.MustParseAddr(addr)}, out)
		h.Step(now, HubHello{Conn: conn, Req: &HelloRequest{ID: newID(), Peer: wire.PeerID{1, byte(conn), byte(conn >> 8)}, Name: "x"}}, out)
		h.Step(now, HubRequest{Conn: conn, Req: &DialbackRequest{newID(), 5000}}, out)
		return len(out.Dial) == 1
	}
	var mine []ConnID
	for range 500 {
		if dial("192.0.2.1") {
			mine = append(mine, conn)
		}
		h.Step(now, HubDropped{Conn: conn}, out) // and comes again
	}
	if !dial("198.51.100.1") {
		t.Errorf("after %d dials to one address there are none left for another", len(mine))
	}
	for _, c := range mine {
		h.Step(now, HubDialled{Conn: c}, out)
	}
	if !dial("192.0.2.1") {
		t.Error("when its dials have ended, an address is dialled again")
	}
	if len(h.dials) > 2 || len(h.dialAddrs) > 2 {
		t.Errorf("%d dials of %d addresses are remembered, want two", len(h.dials), len(h.dialAddrs))
	}
}

// Who was found not to be dialable does not become so because somebody on the same machine gets through.
func TestAPeerOnTheSameMachineProvesNothing(t *testing.T) {
	home := testTracker(t, nil)
	a := newStand(t, 1, "127.0.0.1:0", nil, at(home.URL()))
	o := await(a.player, "a can host", offered)
	await(a.player, "a is dialable from here", func(o Offered) bool { return o.Dialable })
	a.Station.box.put(stationSaid{Dialled{Port: o.Port, OK: false}}) // as a tracker elsewhere says
	await(a.player, "a is not dialable from there", func(o Offered) bool { return !o.Dialable })
	a.Station.Lead(Lead{Term: 1, Leader: a.id})
	await[Leading](a.player, "a leads", nil)
	b := newPlayer(t, 2, nil, at(o.Addresses[0]))
	await(b, "b, on the same machine, is there", connected)
	a.Station.Lead(Lead{Term: 2, Leader: a.id})
	await(b, "and hears of the next term", func(s StateChanged) bool { return s.Term == 2 })
	never[Offered](a.player, "a is still not dialable")
}
