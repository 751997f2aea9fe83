package signaling

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"peerchat/peer/wire"
)

func TestInfoSurvivesTheWire(t *testing.T) {
	ann, bob := wire.IDOf(testKey(1)), wire.IDOf(testKey(2))
	for _, i := range []Info{
		{}, {Serving: true}, {Peer: ann, Serving: true, Term: 1<<64 - 1, Leader: ann, Proof: bytes.Repeat([]byte{7}, MaxProof)},
		{Peer: ann, Term: 3, Leader: bob, Tracker: "ws://[fd00::1]:5000/ws"},
	} {
		b := i.Append(nil)
		if got, err := DecodeInfo(b); err != nil || !reflect.DeepEqual(got, i) {
			t.Errorf("%s comes back as %+v, error %v; want %+v", b, got, err, i)
		}
		if len(b) > maxInfo {
			t.Errorf("an Info of %d bytes is longer than what is read", len(b))
		}
	}
	for _, g := range []Greeting{{}, {Term: 7, Proof: []byte("p")}} {
		b := g.Append(nil)
		if got, err := DecodeGreeting(b); err != nil || !reflect.DeepEqual(got, g) {
			t.Errorf("%s comes back as %+v, error %v; want %+v", b, got, err, g)
		}
	}
	for in, want := range map[string]string{
		``: "JSON", `{}`: "version 0", `{"v":2,"role":"tracker"}`: "version 2", `{"v":1}`: `"role": missing`, `{"v":1,"role":"boss"}`: "unknown",
		`{"v":1,"role":"tracker","role":"standby"}`: "two members", `{"v":1,"role":"standby","tracker":"http://x"}`: "no tracker's URL",
		`{"v":1,"role":"standby","tracker":"x"}`: "no tracker's URL", `{"v":1,"role":"tracker","peer":"x"}`: "peer ID",
		`{"v":1,"role":"tracker","term":-1}`: "whole number", `{"v":1,"role":"tracker","proof":"*"}`: "base64",
	} {
		if i, err := DecodeInfo([]byte(in)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s is refused with %q, got %+v and %v", in, want, i, err)
		}
	}
}

func FuzzDecodeInfo(f *testing.F) {
	ann := wire.IDOf(testKey(1))
	for _, i := range []Info{{}, {Peer: ann, Serving: true, Term: 4, Leader: ann, Proof: []byte("p")}, {Tracker: "ws://h:5000/ws"}} {
		f.Add(i.Append(nil))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		i, err := DecodeInfo(b)
		if err != nil {
			return
		}
		if again, err := DecodeInfo(i.Append(nil)); err != nil || !reflect.DeepEqual(i, again) {
			t.Fatalf("%q is read as %+v, which comes back as %+v, error %v", b, i, again, err)
		}
	})
}

func FuzzDecodeGreeting(f *testing.F) {
	g := Greeting{Term: 4, Proof: []byte("p")}
	f.Add(g.Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		g, err := DecodeGreeting(b)
		if err != nil {
			return
		}
		if again, err := DecodeGreeting(g.Append(nil)); err != nil || !reflect.DeepEqual(g, again) {
			t.Fatalf("%q is read as %+v, which comes back as %+v, error %v", b, g, again, err)
		}
	})
}

func soon(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// askFor asks a tracker until it says what is wanted: it follows Lead and MoveTo in a moment.
func askFor(t *testing.T, tr *Tracker, want Info) {
	t.Helper()
	ctx := soon(t)
	for {
		got, err := Ask(ctx, nil, tr.URL(), nil)
		if err != nil {
			t.Fatalf("the tracker says what it is: %v", err)
		}
		if reflect.DeepEqual(got, want) && reflect.DeepEqual(tr.Info(), want) {
			return
		}
		if ctx.Err() != nil {
			t.Fatalf("the tracker says %+v, want %+v", got, want)
		}
	}
}

// refusedWith is the bye that a guest gets instead of a WebSocket.
func refusedWith(t *testing.T, tr *Tracker) *ByeNote {
	t.Helper()
	_, resp, err := dialGuest(t, tr, nil)
	if err == nil || resp == nil {
		t.Fatalf("a standby takes no guest, got %v", err)
	}
	b, _ := io.ReadAll(resp.Body)
	m, err := DecodeReply(b)
	bye, ok := m.(*ByeNote)
	if err != nil || !ok || resp.StatusCode != http.StatusServiceUnavailable {
		t.Fatalf("a standby refuses with status 503 and a bye, got %s: %s", resp.Status, b)
	}
	return bye
}

// TestStandbyLeadsAndStepsDown is a tracker's life: it stands by, serves with those that were there before, steps down, and serves
// again.
func TestStandbyLeadsAndStepsDown(t *testing.T) {
	self, other := wire.IDOf(testKey(1)), wire.IDOf(testKey(2))
	peers := make(chan wire.PeerID, 100)
	tr := testTracker(t, func(c *TrackerConfig) {
		c.Self, c.Standby = self, true
		c.OnPeer = func(p wire.PeerID, _ netip.Addr) { peers <- p }
	})
	askFor(t, tr, Info{Peer: self})
	if bye := refusedWith(t, tr); bye.Status != Moved || bye.Tracker != "" {
		t.Errorf("a standby that knows nobody says MOVED and nowhere, got %+v", bye)
	}
	tr.MoveTo(Move{Tracker: "10.0.0.9", Term: 3, Leader: other})
	askFor(t, tr, Info{Peer: self, Tracker: "ws://10.0.0.9:5000/ws", Term: 3, Leader: other})
	if bye := refusedWith(t, tr); bye.Status != Moved || bye.Tracker != "ws://10.0.0.9:5000/ws" || bye.Term != 3 || bye.Leader != other {
		t.Errorf("a standby sends guests on, got %+v", bye)
	}

	tr.Lead(Lead{Term: 4, Leader: self, Proof: []byte("p"), Members: []Restored{{other, "bob", []wire.Room{"general"}}}})
	a := newGuest(t, tr) // who connects after Lead is served
	a.say(a.sign(1))
	if m := want[*HelloAnswer](a, "the tracker leads"); m.Term != 4 || m.Leader != self || string(m.Proof) != "p" {
		t.Errorf("hello is answered with term 4, leader and proof, got %+v", m)
	}
	if p := <-peers; p != self {
		t.Errorf("OnPeer hears of %v, got %v", self, p)
	}
	askFor(t, tr, Info{Peer: self, Serving: true, Term: 4, Leader: self, Proof: []byte("p")})
	a.say(&JoinRequest{newID(), "general"})
	if m := want[*MembersAnswer](a, "a joins"); m.Count != 2 || len(m.Members) != 1 || m.Members[0] != (Member{other, "bob"}) {
		t.Errorf("a finds bob, who is expected, got %+v", m)
	}
	a.say(&SignalRequest{newID(), other, []byte(`"early"`)})
	b := newGuest(t, tr).hello(2)
	if m := want[*SignalNote](b, "bob comes"); string(m.Data) != `"early"` || m.From.Peer != self {
		t.Errorf("bob gets what was kept for him, got %+v", m)
	}
	if m := want[*Answer](a, "the signal is answered"); m.Op != "signal" || m.Status != OK {
		t.Errorf("the signal is answered OK, got %+v", m)
	}

	tr.Lead(Lead{Term: 5, Leader: self})
	if m := want[*TermNote](b, "the term rises"); m.Term != 5 || m.Leader != self {
		t.Errorf("clients hear of term 5, got %+v", m)
	}
	if s := httpGet(t, tr, "/healthz"); !strings.Contains(s, `"term":5`) {
		t.Errorf("healthz has the present term, got %s", s)
	}
	if s := httpGet(t, tr, "/metrics"); !strings.Contains(s, "peerchat_tracker_term 5") || !strings.Contains(s, "peerchat_tracker_serving 1") {
		t.Errorf("metrics have the term, and that it serves; got %s", s)
	}

	mute := newGuest(t, tr) // before hello
	tr.MoveTo(Move{Tracker: "ws://10.0.0.9:5000/ws", Term: 6, Leader: other})
	for _, g := range []*guest{a, b, mute} {
		g.ended("everybody is sent on", Moved)
	}
	refusedWith(t, tr)
	tr.Lead(Lead{Term: 7, Leader: self})
	newGuest(t, tr).hello(3)
	a = newGuest(t, tr).hello(1)
	a.say(&JoinRequest{newID(), "general"})
	if m := want[*MembersAnswer](a, "a joins again"); m.Count != 1 {
		t.Errorf("nobody of before is left, got %+v", m)
	}
}

func TestMoveTellsManyAtOnce(t *testing.T) {
	tr := testTracker(t, nil)
	var guests []*guest
	for n := range 50 {
		guests = append(guests, newGuest(t, tr).hello(n+1))
	}
	tr.MoveTo(Move{Tracker: "ws://10.0.0.9:5000/ws"})
	for _, g := range guests {
		g.ended("each of many is sent on", Moved)
	}
}

func httpGet(t *testing.T, tr *Tracker, path string) string {
	t.Helper()
	status, body := httpDo(t, tr, "GET", path, "", nil)
	if status != http.StatusOK {
		t.Fatalf("GET %s has status 200, got %d: %s", path, status, body)
	}
	return body
}

func httpDo(t *testing.T, tr *Tracker, method, path, body string, head http.Header) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(soon(t), method, "http://"+tr.Addr().String()+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if head != nil {
		req.Header = head.Clone()
	}
	tp := &http.Transport{DisableKeepAlives: true}
	resp, err := tp.RoundTrip(req)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b)
}

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

func TestDialback(t *testing.T) {
	self := wire.IDOf(testKey(1))
	tr := testTracker(t, nil)
	own := testTracker(t, func(c *TrackerConfig) { c.Self, c.Standby = self, true })
	others := testTracker(t, func(c *TrackerConfig) { c.Self, c.Standby = wire.IDOf(testKey(2)), true })
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone.Close()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	var texts []string
	for _, c := range []struct {
		what string
		at   net.Addr
		ok   bool
	}{{"its own tracker", own.Addr(), true}, {"another's", others.Addr(), false}, {"a stand-alone one", tr.Addr(), false},
		{"nobody", gone.Addr(), false}, {"one who says nothing", silent.Addr(), false}} {
		g := newGuest(t, tr).hello(1) // a new connection, so that the rate is no matter
		r := &DialbackRequest{newID(), uint16(c.at.(*net.TCPAddr).Port)}
		g.say(r)
		m := want[*DialbackAnswer](g, c.what)
		if m.OK != c.ok || m.Re != r.ID || m.Address != c.at.String() || (m.Text == "") != c.ok {
			t.Errorf("%s at %v, dialable: %v; got %+v", c.what, c.at, c.ok, m)
		}
		if !c.ok {
			texts = append(texts, strings.ReplaceAll(m.Text, c.at.String(), ""))
		}
	}
	for _, text := range texts {
		if text != texts[0] {
			t.Errorf("what is at the port is not told, got %q", texts)
		}
	}
}

// TestDialbackStaysAtTheObservedAddress has a client that dials from one address of the machine, while its tracker listens on
// another.
func TestDialbackStaysAtTheObservedAddress(t *testing.T) {
	self := wire.IDOf(testKey(1))
	tr := testTracker(t, nil)
	own, err := NewTracker(TrackerConfig{Listen: "127.0.0.2:0", STUN: "off", Self: self, Standby: true})
	if err != nil {
		if runtime.GOOS == "linux" {
			t.Fatalf("listen on 127.0.0.2: %v", err)
		}
		t.Skipf("this machine has no 127.0.0.2: %v", err)
	}
	own.Start()
	defer own.Shutdown(context.Background())
	g := newGuest(t, tr).hello(1)
	g.say(&DialbackRequest{newID(), uint16(own.port())})
	if m := want[*DialbackAnswer](g, "the tracker is at another address"); m.OK || !strings.HasPrefix(m.Address, "127.0.0.1:") {
		t.Errorf("only the observed address is dialled, got %+v", m)
	}
}

func TestAlsoAndRebind(t *testing.T) {
	tr := testTracker(t, nil)
	g := newGuest(t, tr).hello(1)
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := free.Addr().String()
	if err := tr.Also(addr); !errors.Is(err, ErrPortTaken) {
		t.Errorf("a taken port is ErrPortTaken, got %v", err)
	}
	free.Close()
	if err := tr.Also(addr); err != nil {
		t.Fatalf("a free port: %v", err)
	}
	if err := tr.Also("127.0.0.1:0"); err == nil || errors.Is(err, ErrPortTaken) {
		t.Errorf("only one address can be open besides the own, got %v", err)
	}
	if _, err := Ask(soon(t), nil, addr, nil); err != nil {
		t.Errorf("the tracker answers there, too: %v", err)
	}
	tr.CloseAlso()
	tr.CloseAlso()
	if ln, err := net.Listen("tcp", addr); err != nil {
		t.Errorf("the port is free again: %v", err)
	} else {
		ln.Close()
	}

	was := tr.Addr().String()
	if err := tr.Rebind(was); !errors.Is(err, ErrPortTaken) || tr.Addr().String() != was {
		t.Errorf("a taken port changes nothing, got %v", err)
	}
	if err := tr.Rebind("127.0.0.1:0"); err != nil || tr.Addr().String() == was {
		t.Fatalf("the tracker moves to another port, got %v, %v", tr.Addr(), err)
	}
	other, err := NewTracker(TrackerConfig{Listen: was}) // TCP and UDP
	if err != nil {
		t.Fatalf("the old port is free for another tracker: %v", err)
	}
	defer other.Shutdown(context.Background())
	g.say(&RoomsRequest{newID()})
	want[*RoomsAnswer](g, "the connections stay")
	newGuest(t, tr).hello(2)
	if err := tr.Also(addr); err != nil {
		t.Fatalf("also again: %v", err)
	}
	tr.Shutdown(context.Background())
	if _, err := net.Dial("tcp", addr); err == nil {
		t.Errorf("Shutdown closes the other address, too")
	}
	if tr.Also(addr) == nil || tr.Rebind("127.0.0.1:0") == nil {
		t.Errorf("a tracker that was shut down listens nowhere")
	}
}
