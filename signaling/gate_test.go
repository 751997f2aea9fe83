package signaling

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"testing"
	"time"
)

// One address takes connections and says nothing on them: it gets twice what it may have as WebSockets, and not all the
// files that the tracker may open. It also asks for pages as fast as it can, and is told to wait. Who has a WebSocket
// is served on.
func TestOneAddressAtTheGate(t *testing.T) {
	tr := testTracker(t, func(c *TrackerConfig) {
		c.Limits, c.Handshake = Limits{PerLoopback: 4, Rate: 1, Burst: 20}, time.Minute
	})
	member := newGuest(t, tr).hello(1)
	var open []net.Conn
	for range 8 {
		nc, err := net.Dial("tcp", tr.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		open = append(open, nc)
	}
	for range 4 {
		extra, err := net.Dial("tcp", tr.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer extra.Close()
		if err := extra.SetReadDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		if n, err := extra.Read(make([]byte, 1)); err == nil || isTimeout(err) {
			t.Fatalf("a connection beyond the eight is not closed: %d, %v", n, err)
		}
	}
	// The eight are good: one after the other asks, until its address has asked too much.
	ask := func(nc net.Conn) (int, error) {
		if err := nc.SetDeadline(time.Now().Add(patience)); err != nil {
			return 0, err
		}
		if _, err := io.WriteString(nc, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			return 0, err
		}
		resp, err := http.ReadResponse(bufio.NewReader(nc), nil)
		if err != nil {
			return 0, err
		}
		defer resp.Body.Close()
		_, err = io.Copy(io.Discard, resp.Body)
		return resp.StatusCode, err
	}
	answers := map[int]int{}
	for i := range 40 {
		status, err := ask(open[0])
		if err != nil {
			t.Fatalf("request %d: %v", i, err)
		}
		if answers[status]++; status == http.StatusTooManyRequests {
			if i < 15 {
				t.Errorf("the request %d of a burst of 20 is refused", i)
			}
			break
		}
	}
	if answers[http.StatusTooManyRequests] != 1 {
		t.Errorf("40 requests of an address that may make 20 at once are answered %v", answers)
	}
	member.say(&RoomsRequest{newID()})
	want[*RoomsAnswer](member, "who has a WebSocket is served beside it")

	// The one that was refused is closed, and its place is free.
	if _, err := open[0].Read(make([]byte, 1)); err == nil || isTimeout(err) {
		t.Errorf("a connection that asked too much is kept open: %v", err)
	}
	for deadline := time.Now().Add(patience); ; { // the server says that it is closed a little after it is
		again, err := net.Dial("tcp", tr.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_, err = ask(again)
		again.Close()
		if err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the place of a connection that was closed is not free again: %v", err)
		}
	}
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}

// The gate forgets those who went, also a crowd that came at once.
func TestTheGateForgets(t *testing.T) {
	g := newGate(Limits{}.withDefaults())
	now := time.Unix(1000, 0)
	for i := range 3 * sweepCallers {
		if !g.request(net.JoinHostPort("10."+strconv.Itoa(i>>16)+"."+strconv.Itoa(i>>8&255)+"."+strconv.Itoa(i&255), "1"), now) {
			t.Fatalf("the first request of caller %d is refused", i)
		}
	}
	now = now.Add(time.Minute)
	for i := range 3 * sweepCallers {
		g.request(net.JoinHostPort("11."+strconv.Itoa(i>>16)+"."+strconv.Itoa(i>>8&255)+"."+strconv.Itoa(i&255), "1"), now)
	}
	if n := len(g.from); n > 6*sweepCallers {
		t.Errorf("%d callers are remembered", n)
	}
	now = now.Add(time.Minute)
	for i := range 6 * sweepCallers {
		g.request(net.JoinHostPort("12."+strconv.Itoa(i>>16)+"."+strconv.Itoa(i>>8&255)+"."+strconv.Itoa(i&255), "1"), now)
	}
	for a := range g.from {
		if a.As4()[0] == 10 {
			t.Fatalf("%v is remembered after two minutes", a)
		}
	}
	// A /64 is one.
	for range g.limits.Burst {
		g.request("[2001:db8::1]:1", now)
	}
	if g.request("[2001:db8::2]:1", now) {
		t.Error("each address of an IPv6 /64 may do as much as an IPv4 address")
	}
	if !g.request("[2001:db8:0:1::2]:1", now) {
		t.Error("another /64 pays for it")
	}
}
