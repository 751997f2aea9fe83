package signaling

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"peerchat/peer/wire"
)

// Info is what a tracker says of itself to anybody who asks.
type Info struct {
	Peer    wire.PeerID // whose tracker it is; zero for a stand-alone one
	Serving bool        // it takes clients; else it stands by, and sends them on
	Term    uint64
	Leader  wire.PeerID
	Tracker string // where it sends people while it stands by; may be empty
	Proof   []byte // the leader's signed announcement, opaque here
}

// Greeting is how the tracker of one group introduces itself to another.
type Greeting struct {
	Term  uint64
	Proof []byte
}

// Move says where a tracker sends its clients. An empty Tracker: nobody is known.
type Move struct {
	Tracker string
	Term    uint64
	Leader  wire.PeerID
}

// maxInfo is the most that is read of another tracker's answer, its head included, and of a request's body; in bytes.
const maxInfo = 8 << 10

// Append adds the JSON encoding of i to b.
func (i *Info) Append(b []byte) []byte {
	role := "standby"
	if i.Serving {
		role = "tracker"
	}
	b = append(append(append(b, `{"v":1,"role":"`...), role...), '"')
	if !i.Peer.IsZero() {
		b = appendPeer(append(b, `,"peer":`...), i.Peer)
	}
	b = appendLeader(appendTerm(b, i.Term), i.Leader)
	if i.Tracker != "" {
		b = appendString(append(b, `,"tracker":`...), i.Tracker)
	}
	return append(appendProof(b, i.Proof), '}')
}

// DecodeInfo reads what Info's Append writes. It does not alias b.
func DecodeInfo(b []byte) (Info, error) {
	var d decoder
	d.open(b)
	var i Info
	if v := d.uint("v"); d.err == nil && v != 1 {
		d.fail("v", fmt.Errorf("version %d is unknown", v))
	}
	switch role := d.string("role", false); {
	case d.err != nil:
	case role == "tracker":
		i.Serving = true
	case role != "standby":
		d.fail("role", fmt.Errorf("%q is unknown", clip(role)))
	}
	if d.value("peer", true) != nil {
		i.Peer = d.peer("peer")
	}
	i.Term, i.Leader, i.Proof = d.uint("term"), d.leader(), d.proof()
	if i.Tracker = d.string("tracker", true); i.Tracker != "" && d.err == nil {
		if u, err := ParseAddr(i.Tracker); err != nil || u != i.Tracker {
			d.fail("tracker", fmt.Errorf("%q is no tracker's URL", clip(i.Tracker)))
		}
	}
	if d.err != nil {
		return Info{}, d.err
	}
	return i, nil
}

// Append adds the JSON encoding of g to b.
func (g *Greeting) Append(b []byte) []byte {
	b = append(b, `{"v":1`...)
	return append(appendProof(appendTerm(b, g.Term), g.Proof), '}')
}

// DecodeGreeting reads what Greeting's Append writes. It does not alias b.
func DecodeGreeting(b []byte) (Greeting, error) {
	var d decoder
	d.open(b)
	if v := d.uint("v"); d.err == nil && v != 1 {
		d.fail("v", fmt.Errorf("version %d is unknown", v))
	}
	g := Greeting{Term: d.uint("term"), Proof: d.proof()}
	if d.err != nil {
		return Greeting{}, d.err
	}
	return g, nil
}

// Ask asks the tracker at a URL, as ParseAddr gives it, what it is; with a greeting it introduces the own tracker to
// it. It reads at most 8 KiB, follows no redirection, and ends with ctx, which should have a deadline. dial is like
// net.Dialer.DialContext; nil is that.
func Ask(ctx context.Context, dial func(ctx context.Context, network, addr string) (net.Conn, error), url string, g *Greeting) (Info, error) {
	to, err := targetOf(url)
	if err != nil {
		return Info{}, err
	}
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	to.path = "/info"
	if g != nil {
		to.path = "/meet"
	}
	info, err := ask(ctx, dial, to, g)
	if err != nil {
		return Info{}, fmt.Errorf("ask %s: %w", url, err)
	}
	return info, nil
}

// AskYield asks the program that has the port of addr ("host:port", on this machine) to give it up, which is only done
// for a peer's tracker. It returns nil if the program will.
func AskYield(ctx context.Context, addr string) error {
	host, port, err := net.SplitHostPort(addr)
	if err == nil {
		_, err = exchange(ctx, new(net.Dialer).DialContext, target{host: host, port: port, path: "/yield"}, http.MethodPost,
			http.Header{yieldHeader: {yieldValue}}, nil, http.StatusAccepted)
	}
	if err != nil {
		return fmt.Errorf("ask the program on %s for its port: %w", addr, err)
	}
	return nil
}

// target is where a question goes.
type target struct {
	host, port string
	path       string
	tls        bool
}

func targetOf(tracker string) (target, error) {
	canonical, err := ParseAddr(tracker)
	if err != nil {
		return target{}, err
	}
	u, err := url.Parse(canonical)
	if err != nil {
		return target{}, fmt.Errorf("tracker address %q: %w", canonical, err)
	}
	return target{host: u.Hostname(), port: u.Port(), tls: u.Scheme == "wss"}, nil
}

func ask(ctx context.Context, dial dialFunc, to target, g *Greeting) (Info, error) {
	method, body := http.MethodGet, []byte(nil)
	if g != nil {
		method, body = http.MethodPost, g.Append(nil)
	}
	b, err := exchange(ctx, dial, to, method, http.Header{}, body, http.StatusOK)
	if err != nil {
		return Info{}, err
	}
	info, err := DecodeInfo(b)
	if err != nil {
		return Info{}, fmt.Errorf("no tracker that speaks of itself: %w", err)
	}
	return info, nil
}

// exchange sends one HTTP request on a connection of its own and reads the answer. It is no http.Client because what
// answers may be anybody: here all of the answer together has a bound, one deadline holds for everything, and nothing
// (a proxy, a redirection, a connection that is kept) leads elsewhere.
func exchange(ctx context.Context, dial dialFunc, to target, method string, head http.Header, body []byte, want int) ([]byte, error) {
	addr := net.JoinHostPort(to.host, to.port)
	conn, err := dial(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	raw := conn
	stop := context.AfterFunc(ctx, func() { raw.SetDeadline(time.Unix(1, 0)) }) // which fails what is under way
	defer stop()
	if to.tls {
		conn = tls.Client(conn, &tls.Config{ServerName: to.host, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}})
	}
	head.Set("User-Agent", "peerchat")
	req := &http.Request{Method: method, URL: &url.URL{Scheme: "http", Host: addr, Path: to.path}, Host: addr,
		ProtoMajor: 1, ProtoMinor: 1, Header: head, Close: true}
	if body != nil {
		head.Set("Content-Type", "application/json")
		req.Body, req.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	}
	if err := req.Write(conn); err != nil {
		return nil, orEnd(ctx, err)
	}
	// ReadResponse bounds nothing, so its input is bounded.
	answer := &io.LimitedReader{R: conn, N: maxInfo}
	resp, err := http.ReadResponse(bufio.NewReader(answer), req)
	var b []byte
	if err == nil {
		b, err = io.ReadAll(resp.Body)
		resp.Body.Close() // all that there is has been read
	}
	switch {
	case answer.N <= 0:
		return nil, fmt.Errorf("the answer is longer than %d bytes", maxInfo-1)
	case err != nil:
		return nil, orEnd(ctx, err)
	case resp.StatusCode != want:
		return nil, fmt.Errorf("it answered %q", clip(resp.Status))
	}
	return b, nil
}

// orEnd is ctx's error if that has ended, because it made the other.
func orEnd(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return errors.Join(errors.New("no answer in time"), ctx.Err())
	}
	return err
}
