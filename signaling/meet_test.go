package signaling

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"peerchat/peer/wire"
)

func TestMeetRaisesAStandaloneTerm(t *testing.T) {
	tr := testTracker(t, func(c *TrackerConfig) {
		c.Term = 3
		c.OnMeet = func(Greeting) { panic("only a leader's tracker hears of it") }
	})
	g := newGuest(t, tr).hello(1)
	meet := func(term uint64) (Info, error) { return Ask(soon(t), nil, tr.URL(), &Greeting{Term: term}) }
	for _, c := range []struct{ say, want uint64 }{{2, 3}, {3, 3}, {7, 7}, {7, 7}, {1 << 33, 1 << 33}, {0, 1 << 33}} {
		if i, err := meet(c.say); err != nil || i.Term != c.want || !i.Serving || !i.Leader.IsZero() {
			t.Errorf("a greeting with term %d makes the term %d, got %+v, %v", c.say, c.want, i, err)
		}
	}
	for _, term := range []uint64{7, 1 << 33} {
		if m := want[*TermNote](g, "clients hear of each term"); m.Term != term || !m.Leader.IsZero() {
			t.Errorf("clients hear of term %d, got %+v", term, m)
		}
	}
	rises := 0
	for n := range uint64(100) {
		before := tr.Info().Term
		if i, err := meet(1<<33 + n + 1); err == nil && i.Term > before {
			rises++
		} else if err == nil || !strings.Contains(err.Error(), "429") {
			t.Fatalf("a greeting too many is refused with 429, got %+v, %v", i, err)
		}
	}
	if rises > 20 {
		t.Errorf("the term rises once in 5 s, but 100 greetings raised it %d times", rises)
	}
	if i, err := meet(1); err != nil || i.Term < 7 {
		t.Errorf("what raises nothing is always answered, got %+v, %v", i, err)
	}
}

func TestMeetALeader(t *testing.T) {
	self := wire.IDOf(testKey(1))
	greetings := make(chan Greeting, 100)
	tr := testTracker(t, func(c *TrackerConfig) { c.Self, c.Standby = self, true; c.OnMeet = func(g Greeting) { greetings <- g } })
	if _, err := Ask(soon(t), nil, tr.URL(), &Greeting{Term: 1}); err != nil || len(greetings) != 0 {
		t.Errorf("a standby answers a greeting and does no more, got %v and %d", err, len(greetings))
	}
	tr.Lead(Lead{Term: 4, Leader: self})
	i, err := Ask(soon(t), nil, tr.URL(), &Greeting{Term: 9, Proof: []byte("p")})
	if err != nil || i.Term != 4 || i.Leader != self {
		t.Errorf("a leader's tracker keeps its term, got %+v, %v", i, err)
	}
	if g := <-greetings; g.Term != 9 || string(g.Proof) != "p" {
		t.Errorf("its election hears the greeting, got %+v", g)
	}
	for _, c := range []struct {
		body   string
		head   http.Header
		status int
	}{
		{`{"v":1}`, http.Header{"Origin": {"http://" + tr.Addr().String()}}, 403}, {`{"v":1}`, http.Header{"Origin": {""}}, 403},
		{`{"v":1}`, http.Header{"Sec-Fetch-Site": {"none"}}, 403},
		{``, nil, 400}, {`{"v":2}`, nil, 400}, {strings.Repeat(" ", maxInfo+1), nil, 400}, {`{"v":1}`, nil, 200},
	} {
		if status, body := httpDo(t, tr, "POST", "/meet", c.body, c.head); status != c.status {
			t.Errorf("a greeting %.20q with %v gets status %d, got %d: %s", c.body, c.head, c.status, status, body)
		}
	}
	if status, _ := httpDo(t, tr, "GET", "/meet", "", nil); status != http.StatusMethodNotAllowed {
		t.Errorf("a greeting is a POST, GET got status %d", status)
	}
}

func TestYield(t *testing.T) {
	yields := make(chan struct{}, 100)
	tr := testTracker(t, func(c *TrackerConfig) { c.OnYield = func() { yields <- struct{}{} } })
	for _, head := range []http.Header{
		nil, {yieldHeader: {"please"}}, {yieldHeader: {yieldValue}, "Origin": {"http://" + tr.Addr().String()}},
		{yieldHeader: {yieldValue}, "Origin": {""}}, {yieldHeader: {yieldValue}, "X-Forwarded-For": {"127.0.0.1"}},
	} {
		if status, body := httpDo(t, tr, "POST", "/yield", "", head); status != http.StatusForbidden {
			t.Errorf("/yield with %v gets status 403, got %d: %s", head, status, body)
		}
	}
	if len(yields) != 0 {
		t.Errorf("nobody was asked to yield")
	}
	if err := AskYield(soon(t), tr.Addr().String()); err != nil {
		t.Errorf("a program here may ask: %v", err)
	}
	<-yields
	tr2 := testTracker(t, nil)
	if err := AskYield(soon(t), tr2.Addr().String()); err == nil || !strings.Contains(err.Error(), "409") {
		t.Errorf("a tracker that is nobody's keeps its port, got %v", err)
	}
	if err := AskYield(soon(t), "nonsense"); err == nil {
		t.Errorf("nonsense is no address")
	}
	for from, code := range map[string]int{"127.0.0.1:9": 202, "[::1]:9": 202, "[::ffff:127.0.0.1]:9": 202, "192.168.1.9:9": 403, "[fe80::1%eth0]:9": 403,
		"": 403} {
		r := httptest.NewRequestWithContext(soon(t), "POST", "/yield", nil)
		r.RemoteAddr = from
		r.Header.Set(yieldHeader, yieldValue)
		w := httptest.NewRecorder()
		if tr.serveYield(w, r); w.Code != code {
			t.Errorf("a request to yield from %q gets status %d, got %d", from, code, w.Code)
		}
	}
}

// TestAskAnybody asks servers that are no trackers, or evil ones.
func TestAskAnybody(t *testing.T) {
	head := "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
	forever := func(c net.Conn, s string) {
		for {
			if _, err := io.WriteString(c, s); err != nil {
				return
			}
		}
	}
	for what, c := range map[string]struct {
		serve func(net.Conn)
		want  string
	}{
		"one that says nothing": {func(c net.Conn) { io.Copy(io.Discard, c) }, "in time"},
		"one that closes":       {func(net.Conn) {}, ""},
		"one that drips": {func(c net.Conn) {
			io.WriteString(c, head+"Content-Length: 100\r\n\r\n{")
			io.Copy(io.Discard, c)
		}, "in time"},
		"an endless body": {func(c net.Conn) { io.WriteString(c, head+"\r\n"); forever(c, `{"v":1,`) }, "longer than"},
		"endless chunks": {func(c net.Conn) {
			io.WriteString(c, head+"Transfer-Encoding: chunked\r\n\r\n")
			forever(c, "1\r\n \r\n")
		}, "longer than"},
		"an endless header": {func(c net.Conn) { io.WriteString(c, head); forever(c, "X: y\r\n") }, "longer than"},
		"an endless line":   {func(c net.Conn) { forever(c, "HTTP/1.1 ") }, ""},
		"a long length":     {func(c net.Conn) { io.WriteString(c, head+"Content-Length: 99999999999\r\n\r\n{}") }, ""},
		"a web server":      {func(c net.Conn) { io.WriteString(c, head+"Content-Length: 5\r\n\r\nhello") }, "no tracker"},
		"a redirection":     {func(c net.Conn) { io.WriteString(c, "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n\r\n") }, "302"},
		"a mail server":     {func(c net.Conn) { io.WriteString(c, "220 mail ESMTP\r\n") }, ""},
		"an answer in two halves, the second too late": {func(c net.Conn) {
			io.WriteString(c, head+"Content-Length: 25\r\n\r\n"+`{"v":1,"role":`)
			io.Copy(io.Discard, c)
		}, "in time"},
	} {
		t.Run(what, func(t *testing.T) {
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			done := make(chan struct{})
			go func() {
				defer close(done)
				conn, err := ln.Accept()
				if err != nil {
					return
				}
				defer conn.Close()
				conn.Read(make([]byte, 1000)) // the question
				c.serve(conn)
			}()
			defer func() { ln.Close(); <-done }()
			ctx := soon(t)
			if c.want == "in time" {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, 100*time.Millisecond)
				defer cancel()
			}
			url := "ws://" + ln.Addr().String() + "/ws"
			info, err := Ask(ctx, nil, url, nil)
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), url) {
				t.Errorf("an error with %q, got %+v and %v", c.want, info, err)
			}
			if c.want == "in time" && !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("the error is DeadlineExceeded, got %v", err)
			}
		})
	}
	if _, err := Ask(soon(t), nil, "http://x", nil); err == nil {
		t.Errorf("http://x is no tracker's URL")
	}
	if _, err := Ask(soon(t), func(context.Context, string, string) (net.Conn, error) { return nil, io.ErrClosedPipe }, "x", nil); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("dial's error comes back, got %v", err)
	}
}

func TestAskOverTLS(t *testing.T) {
	cert, key, _ := selfSigned(t)
	tr := testTracker(t, func(c *TrackerConfig) { c.TLSCert, c.TLSKey = cert, key })
	var unknown *tls.CertificateVerificationError
	if _, err := Ask(soon(t), nil, tr.URL(), nil); !errors.As(err, &unknown) {
		t.Errorf("a certificate that the system does not trust is refused, got %v", err)
	}
}
