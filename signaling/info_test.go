package signaling

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"reflect"
	"runtime"
	"strings"
	"testing"

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

// TestStandbyLeadsAndStepsDown is a tracker's life: it stands by, serves with those that were there before, steps down,
// and serves again.
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

// TestDialbackStaysAtTheObservedAddress has a client that dials from one address of the machine, while its tracker
// listens on another.
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
