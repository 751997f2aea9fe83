package signaling

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/pion/stun/v4"

	"peerchat/peer/wire"
)

// TestMain fails if goroutines are left when all tests are done.
func TestMain(m *testing.M) {
	code := m.Run()
	left := leaked()
	for i := 0; code == 0 && len(left) > 0 && i < 500; i++ {
		time.Sleep(10 * time.Millisecond)
		left = leaked()
	}
	if code == 0 && len(left) > 0 {
		fmt.Fprintf(os.Stderr, "goroutines are left after all tests:\n%s\n", strings.Join(left, "\n\n"))
		code = 1
	}
	os.Exit(code)
}

// leaked are the stacks of all goroutines but this one and the one that the fuzzer has signals delivered by.
func leaked() []string {
	buf := make([]byte, 1<<20)
	stacks := strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n")
	return slices.DeleteFunc(stacks, func(s string) bool {
		return strings.Contains(s, "signaling.TestMain(") || strings.Contains(s, "os/signal.loop(")
	})
}

func TestImpostorsAreRefused(t *testing.T) {
	tr := testTracker(t, nil)
	g := newGuest(t, tr)
	h := g.sign(1)
	h.Peer = wire.IDOf(testKey(2))
	g.say(h)
	if a := want[*Answer](g, "peer 1 says it is peer 2"); a.Status != Unauthorized || a.Re != h.ID {
		t.Errorf("an impostor gets UNAUTHORIZED, got %+v", a)
	}
	g.ended("an impostor", Unauthorized)

	first, second := newGuest(t, tr), newGuest(t, tr)
	second.say(first.sign(1))
	if a := want[*Answer](second, "a hello of another connection is replayed"); a.Status != Unauthorized {
		t.Errorf("a replay gets UNAUTHORIZED, got %+v", a)
	}
	second.ended("a replay", Unauthorized)

	mute := newGuest(t, tr)
	for range 3 {
		r := &RoomsRequest{newID()}
		mute.say(r)
		if a := want[*Answer](mute, "a request before hello"); a.Status != Unauthorized || a.Re != r.ID {
			t.Errorf("a request before hello gets UNAUTHORIZED, got %+v", a)
		}
	}
	mute.ended("three requests before hello", Unauthorized)
}

// Whether the writer is still at work with the answer before is a matter of luck.
func TestCutAfterItsAnswers(t *testing.T) {
	tr := testTracker(t, nil)
	waits := func(writing bool, waiting int) (got []Message) {
		near, far := net.Pipe()
		defer near.Close()
		defer far.Close()
		c := &conn{t: tr, nc: near, writing: writing}
		owner := &Tracker{cfg: tr.cfg, log: tr.log, metrics: tr.metrics} // one that nobody runs
		for range waiting {
			owner.send(c, &Answer{Re: newID(), Op: "rooms", Status: Unauthorized})
		}
		owner.cut(c, nil, &ByeNote{Status: Unauthorized})
		for b := c.pending.b; len(b) > 0; {
			head, size := 2, int(b[1])
			if size == 126 {
				head, size = 4, int(binary.BigEndian.Uint16(b[2:]))
			}
			if b[0] == 0x80|opText {
				m, err := DecodeReply(b[head : head+size])
				if err != nil {
					t.Fatalf("decode what waits for the writer: %v", err)
				}
				got = append(got, m)
			}
			b = b[head+size:]
		}
		return got
	}
	for _, writing := range []bool{false, true} {
		if got := waits(writing, 3); len(got) != 4 {
			t.Errorf("cut with three answers waiting, writer at work %v: want them and a bye, got %v", writing, got)
		}
	}
	if got := waits(true, 1+tr.cfg.Limits.Queue/50); len(got) != 1 {
		t.Errorf("a reader too slow for its queue gets the bye alone, got %d messages", len(got))
	}
}

func TestHandshakeDeadline(t *testing.T) {
	tr := testTracker(t, func(c *TrackerConfig) { c.Handshake = 50 * time.Millisecond })
	newGuest(t, tr).ended("a guest who never says hello", Unauthorized)
}

func TestBadInputHarmsNobodyElse(t *testing.T) {
	tr := testTracker(t, nil)
	other := newGuest(t, tr).hello(100)
	for what, frame := range map[string]struct {
		kind int
		data string
	}{
		"a binary message":     {websocket.BinaryMessage, "{}"},
		"a message too long":   {websocket.TextMessage, `{"type":"` + strings.Repeat("x", MaxMessage) + `"}`},
		"a very long message":  {websocket.TextMessage, strings.Repeat("[", 20*MaxMessage)},
		"an endless bad guest": {},
	} {
		g := newGuest(t, tr).hello(1)
		if frame.kind != 0 {
			g.WriteMessage(frame.kind, []byte(frame.data))
			g.ended(what, RequestError)
			continue
		}
		for _, s := range []string{"nonsense", "{}", "", "\x00", `{"type":"dance","id":"0199a3c4-5b6d-7e8f-9a0b-1c2d3e4f5a6b"}`} {
			g.WriteMessage(websocket.TextMessage, []byte(s))
			if a := want[*Answer](g, what); a.Status != RequestError || a.Text == "" {
				t.Errorf("%s says %q and gets REQUEST_ERROR with a text, got %+v", what, s, a)
			}
		}
		r := &RoomsRequest{newID()}
		g.say(r)
		want[*RoomsAnswer](g, "what follows is answered as ever")
	}
	r := &SignalRequest{newID(), wire.IDOf(testKey(100)), []byte(`"to myself"`)}
	other.say(r)
	if n := want[*SignalNote](other, "the other is still there"); string(n.Data) != `"to myself"` {
		t.Errorf("the other gets its signal, got %+v", n)
	}
}

// TestFramesInPieces sends what gorilla would not: frames cut anywhere, several in one packet, fragments with pings
// between.
func TestFramesInPieces(t *testing.T) {
	tr := testTracker(t, nil)
	g := newGuest(t, tr).hello(1)
	pongs := 0
	g.SetPongHandler(func(s string) error {
		if s == "hey" {
			pongs++
		}
		return nil
	})
	frame := func(b0 byte, payload string) []byte {
		b := appendHeader(nil, 0, len(payload))
		b[0] = b0
		b[1] |= 0x80
		b = append(b, 1, 2, 3, 4)
		for i := range len(payload) {
			b = append(b, payload[i]^byte(1+i%4))
		}
		return b
	}
	r := (&RoomsRequest{newID()}).Append(nil)
	long := (&SignalRequest{newID(), wire.IDOf(testKey(1)), []byte(`"` + strings.Repeat("x", 40000) + `"`)}).Append(nil)
	var stream []byte
	stream = append(stream, frame(0x89, "hey")...)
	stream = append(stream, frame(0x8a, "")...)
	stream = append(stream, frame(0x81, string(r))...)
	stream = append(stream, frame(0x01, string(r[:10]))...)
	stream = append(stream, frame(0x89, "hey")...)
	stream = append(stream, frame(0x80, string(r[10:]))...)
	stream = append(stream, frame(0x81, string(long))...)
	stream = append(stream, frame(0x89, "hey")...)
	nc := g.NetConn()
	for _, size := range []int{1, 3, 7, len(stream)} {
		rest := stream
		if size < 7 {
			// The long message byte by byte would take long.
			rest = bytes.Replace(stream, frame(0x81, string(long)), nil, 1)
		}
		wantLong := size >= 7
		for len(rest) > 0 {
			n := min(size, len(rest))
			if _, err := nc.Write(rest[:n]); err != nil {
				t.Fatalf("pieces of %d: %v", size, err)
			}
			rest = rest[n:]
		}
		want[*RoomsAnswer](g, "the whole request")
		want[*RoomsAnswer](g, "the request in fragments")
		if wantLong {
			want[*SignalNote](g, "the long message")
		}
	}
	r2 := &NameRequest{newID(), "x"}
	g.say(r2)
	for want[*Answer](g, "it goes on as ever").Re != r2.ID { // the others are the signals'
	}
	if pongs != 12 {
		t.Errorf("12 pings are answered, got %d", pongs)
	}
}

func TestLimitsOfTheTracker(t *testing.T) {
	tr := testTracker(t, func(c *TrackerConfig) {
		c.Limits = Limits{PerLoopback: 2, Rate: 1, Burst: 50}
		c.Origins = []string{"https://chat.example.org"}
	})
	g := newGuest(t, tr).hello(1)
	for i := 0; ; i++ {
		g.say(&RoomsRequest{newID()})
		g.SetReadDeadline(time.Now().Add(patience))
		_, b, err := g.ReadMessage()
		if err != nil {
			t.Fatalf("a guest who asks too much is answered: %v", err)
		}
		if strings.Contains(string(b), string(RateLimited)) {
			break
		}
		if i > 3 {
			t.Fatalf("a list costs 20 of 50, so the third is refused; request %d was answered %s", i, b)
		}
	}
	for _, c := range []struct {
		origin string
		ok     bool
	}{{"https://evil.example.org", false}, {"null", false}, {"https://chat.example.org", true}} {
		_, resp, err := dialGuest(t, tr, http.Header{"Origin": {c.origin}})
		if (err == nil) != c.ok {
			t.Errorf("origin %s, allowed: %v; got %v", c.origin, c.ok, err)
		}
		if !c.ok && (resp == nil || resp.StatusCode != http.StatusForbidden) {
			t.Errorf("origin %s gets status 403, got %+v", c.origin, resp)
		}
	}
	_, resp, err := dialGuest(t, tr, nil)
	if err == nil || resp == nil || resp.StatusCode != http.StatusTooManyRequests {
		t.Fatalf("the third connection from one address gets status 429, got %+v, %v", resp, err)
	}
	body, _ := io.ReadAll(resp.Body)
	if m, err := DecodeReply(body); err != nil || m.(*ByeNote).Status != RateLimited {
		t.Errorf("the refusal's body is a bye, got %q, %v", body, err)
	}
	d := websocket.Dialer{}
	if _, resp, err := d.Dial(tr.URL(), nil); err == nil || resp.StatusCode != http.StatusBadRequest {
		t.Errorf("without the subprotocol the answer is 400, got %v", err)
	}
}

// TestSlowReaderIsCutOff floods a guest who does not read. It is cut off; a second pair talks on without waiting.
func TestSlowReaderIsCutOff(t *testing.T) {
	tr := testTracker(t, func(c *TrackerConfig) {
		c.Limits = Limits{Rate: -1, Queue: 256 << 10}
		c.WriteTimeout = 30 * time.Second // so that it is the queue that ends it
	})
	newGuest(t, tr).hello(1) // never reads again
	sender, a, b := newGuest(t, tr).hello(2), newGuest(t, tr).hello(3), newGuest(t, tr).hello(4)
	cut := make(chan error, 1)
	go func() {
		m := (&SignalRequest{newID(), wire.IDOf(testKey(1)), []byte(`"` + strings.Repeat("x", 50000) + `"`)}).Append(nil)
		for {
			if err := sender.WriteMessage(websocket.TextMessage, m); err != nil {
				cut <- err
				return
			}
			_, answer, err := sender.ReadMessage()
			if err != nil || strings.Contains(string(answer), string(NotFound)) {
				cut <- err
				return
			}
		}
	}()
	for done := false; !done; {
		a.say(&SignalRequest{newID(), wire.IDOf(testKey(4)), []byte("1")})
		want[*SignalNote](b, "the others talk on") // want gives up before a write to the slow one does
		want[*Answer](a, "the others talk on")
		select {
		case err := <-cut:
			if err != nil {
				t.Fatalf("the sender is not to blame: %v", err)
			}
			done = true
		default:
		}
	}
}

func TestSilentClientIsPingedThenDropped(t *testing.T) {
	tr := testTracker(t, func(c *TrackerConfig) { c.Ping, c.Linger = 500*time.Millisecond, time.Millisecond })
	a := newGuest(t, tr).hello(1)
	a.say(&JoinRequest{newID(), "x"})
	want[*MembersAnswer](a, "a joins")
	b := newGuest(t, tr).hello(2)
	b.say(&JoinRequest{newID(), "x"})
	want[*MembersAnswer](b, "b joins") // and never reads again, so it answers no ping
	if m := want[*LeftNote](a, "a, who reads and so answers pings, stays; b is gone"); m.Peer != wire.IDOf(testKey(2)) {
		t.Errorf("it is b that is gone, got %+v", m)
	}
}

func TestShutdownTellsAndEndsQuickly(t *testing.T) {
	tr := testTracker(t, func(c *TrackerConfig) { c.Handshake = time.Minute })
	g := newGuest(t, tr).hello(1)
	newGuest(t, tr) // has not said hello
	raw, err := net.Dial("tcp", tr.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close() // has not even said HTTP
	start := time.Now()
	if err := tr.Shutdown(context.Background()); err != nil {
		t.Errorf("the tracker ends: %v", err)
	}
	if d := time.Since(start); d > 10*time.Second { // it takes half a second, and as long as the machine has no time for it
		t.Errorf("the tracker waits for nobody who is on the way in, but took %v", d)
	}
	g.ended("a guest of a tracker that ends", OK)
	if _, err := net.Dial("tcp", tr.Addr().String()); err == nil {
		t.Errorf("nobody listens after Shutdown")
	}
}

func TestShutdownComesAfterWhatWasAsked(t *testing.T) {
	for try := range 20 { // the owner, once it looks, finds both waiting
		tr, err := NewTracker(TrackerConfig{Listen: "127.0.0.1:0", Seed: 1})
		if err != nil {
			t.Fatalf("a tracker on a free port: %v", err)
		}
		next := Move{Tracker: "ws://127.0.0.1:7000/ws", Term: 3}
		tr.MoveTo(next)
		if err := tr.Shutdown(t.Context()); err != nil {
			t.Fatalf("the tracker ends: %v", err)
		}
		if i := tr.Info(); i.Tracker != next.Tracker || i.Term != next.Term {
			t.Fatalf("try %d: a tracker that was told to move everybody, and then to end, has sent them to %s first, got %+v", try, next.Tracker, i)
		}
	}
}

func TestPortTaken(t *testing.T) {
	tr := testTracker(t, nil)
	_, err := NewTracker(TrackerConfig{Listen: tr.Addr().String()})
	if !errors.Is(err, ErrPortTaken) || !strings.Contains(err.Error(), "--listen") {
		t.Errorf("a taken port is ErrPortTaken, with what to do, got %v", err)
	}
	for _, addr := range []string{"x", ":x", ":70000", "127.0.0.1"} {
		if _, err := NewTracker(TrackerConfig{Listen: addr}); err == nil || errors.Is(err, ErrPortTaken) {
			t.Errorf("%q is no address to listen on, got %v", addr, err)
		}
	}
	if _, err := NewTracker(TrackerConfig{Listen: "127.0.0.1:0", TLSCert: "nowhere.pem"}); err == nil || !strings.Contains(err.Error(), "nowhere.pem") {
		t.Errorf("a missing certificate is named, got %v", err)
	}
}

func TestSTUN(t *testing.T) {
	tr := testTracker(t, nil)
	c, err := net.Dial("udp", tr.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	req := stun.MustBuild(stun.TransactionID, stun.BindingRequest)
	buf := make([]byte, 1500)
	for _, junk := range []string{"", "x", strings.Repeat("\x00", 20), string(req.Raw[:19]), "\x01\x01" + string(req.Raw[2:]), strings.Repeat("y", 1400)} {
		c.Write([]byte(junk))
	}
	c.Write(req.Raw)
	c.SetReadDeadline(time.Now().Add(patience))
	n, err := c.Read(buf)
	if err != nil {
		t.Fatalf("STUN answers after junk: %v", err)
	}
	res := &stun.Message{Raw: buf[:n]}
	var x stun.XORMappedAddress
	if err := res.Decode(); err != nil || res.TransactionID != req.TransactionID || x.GetFrom(res) != nil || x.String() != c.LocalAddr().String() {
		t.Errorf("STUN tells %v, got %v, %v", c.LocalAddr(), x, err)
	}
}

func TestTLSAndHTTP(t *testing.T) {
	cert, key, pool := selfSigned(t)
	tr := testTracker(t, func(c *TrackerConfig) { c.TLSCert, c.TLSKey = cert, key })
	if !strings.HasPrefix(tr.URL(), "wss://") {
		t.Errorf("a tracker with a certificate is wss, got %s", tr.URL())
	}
	conf := &tls.Config{RootCAs: pool}
	a := newPlayer(t, 1, func(c *ClientConfig) { c.TLS = conf }, at(tr.URL()))
	b := newPlayer(t, 2, func(c *ClientConfig) { c.TLS = conf }, at(tr.URL()))
	await(a, "a connects over TLS", connected)
	await(b, "b connects over TLS", connected)
	a.Signal(b.id, []byte(`"hi"`))
	await[Signaled](b, "a signal over TLS", nil)

	client := http.Client{Transport: &http.Transport{TLSClientConfig: conf, DisableKeepAlives: true}}
	for path, want := range map[string]string{"/healthz": `"status":"ok"`, "/metrics": "peerchat_tracker_peers 2", "/": "peerchat join"} {
		resp, err := client.Get("https://" + tr.Addr().String() + path)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != 200 || !strings.Contains(string(body), want) {
			t.Errorf("%s has %q, got %s: %s", path, want, resp.Status, body)
		}
	}
}

func selfSigned(t *testing.T) (certFile, keyFile string, pool *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	pk, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name, kind string, b []byte) string {
		f := filepath.Join(dir, name)
		if err := os.WriteFile(f, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b}), 0o600); err != nil {
			t.Fatal(err)
		}
		return f
	}
	cert, _ := x509.ParseCertificate(der)
	pool = x509.NewCertPool()
	pool.AddCert(cert)
	return write("cert.pem", "CERTIFICATE", der), write("key.pem", "PRIVATE KEY", pk), pool
}
