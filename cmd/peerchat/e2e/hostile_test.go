//go:build linux

package e2e

import (
	"bufio"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// A tracker that accepts and then says nothing holds nobody up: the next one is tried.
func TestSilentTracker(t *testing.T) {
	if testing.Short() {
		t.Skip("left out by -short: it waits for a tracker to say nothing")
	}
	w := newWorld(t)
	w.tracker()
	silent, err := w.net.Listen("127.0.0.1:6000")
	if err != nil {
		t.Fatal(err)
	}
	closed := make(chan struct{})
	t.Cleanup(func() {
		if err := silent.Close(); err != nil {
			t.Error(err)
		}
		<-closed
	})
	go func() { // it accepts and keeps, and never answers
		defer close(closed)
		for {
			c, err := silent.Accept()
			if err != nil {
				return
			}
			defer c.Close()
		}
	}()
	a := w.join("a").ready()
	b := w.start(w.net, "b", nil, "join", "--json", "--username", "b",
		"--tracker", "127.0.0.1:6000", "--tracker", address, "--no-host")
	w.wantMesh(a, b)
	b.say("got through")
	a.wantLine("a sees the line of b, whose first tracker is silent", "got through")
}

// Garbage at the tracker's ports, TCP and UDP, before and after the upgrade to WebSocket: it answers the next one as if
// nothing had been.
func TestGarbageAtTheTracker(t *testing.T) {
	w := newWorld(t)
	tracker := w.tracker()
	a, b := w.join("a"), w.join("b")
	w.wantMesh(a, b)

	noise := make([]byte, 64<<10)
	if _, err := rand.Read(noise); err != nil {
		t.Fatal(err)
	}
	upgrade := "GET /ws HTTP/1.1\r\nHost: " + address + "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" +
		"Sec-WebSocket-Protocol: peerchat.v1\r\n\r\n"
	text := func(s string) string { // a masked text frame, mask zero
		n := len(s)
		return string([]byte{0x81, 0x80 | 126, byte(n >> 8), byte(n), 0, 0, 0, 0}) + s
	}
	var held []net.Conn
	for _, garbage := range []string{
		"", string(noise), "GET / HTTP/1.1\r\n", strings.Repeat("A", 1<<20), upgrade, upgrade + string(noise),
		upgrade + text(`{`), upgrade + text(`[]`), upgrade + text(`null`), upgrade + text(`{"type":7}`),
		upgrade + text(`{"type":"join","id":"x","room":"`+strings.Repeat("r", 60_000)+`"}`),
		upgrade + text(strings.Repeat(`{"a":`, 10_000)),
		upgrade + "\x81\xff\x7f\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00", // a frame of 2^63-1 bytes
		upgrade + "\x81\x05naked", // a frame without mask
		upgrade + "\xf1\x80\x00\x00\x00\x00",
	} {
		c, err := w.net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(c, garbage) // the tracker may well hang up in between
		held = append(held, c)
	}
	u, err := w.net.Dial("udp", address)
	if err != nil {
		t.Fatal(err)
	}
	held = append(held, u)
	for n := range 200 {
		_, _ = u.Write(noise[n : n+n*7%1200])
	}
	// STUN headers whose length and attributes lie.
	for _, lie := range []string{
		"\x00\x01\xff\xff\x21\x12\xa4\x42aaaaaaaaaaaa", "\x00\x01\x00\x04\x21\x12\xa4\x42aaaaaaaaaaaa\x80\x22\xff\xff",
		"\x00\x03\x00\x00\x21\x12\xa4\x42aaaaaaaaaaaa",
	} {
		_, _ = io.WriteString(u, lie)
	}

	// A good request in the middle of it is answered, over both. UDP may lose it, so it is repeated as RFC 8489 says.
	answer := make([]byte, 1500)
	w.poll("STUN answers a good request after garbage", patience, func() error {
		if _, err := io.WriteString(u, "\x00\x01\x00\x00\x21\x12\xa4\x42goodrequest!"); err != nil {
			return err
		}
		if err := u.SetReadDeadline(time.Now().Add(500 * time.Millisecond)); err != nil {
			return err
		}
		for {
			n, err := u.Read(answer)
			if err != nil {
				return err
			}
			if n >= 20 && string(answer[8:20]) == "goodrequest!" && string(answer[:2]) == "\x01\x01" {
				return nil
			}
		}
	})
	tracker.wantHealthy(w.net, address)
	chat := newTalk("chat")
	chat.say(3, a, b)
	c := w.join("c")
	w.wantMesh(a, b, c)
	chat.say(3, a, b, c)
	chat.want("the tracker serves newcomers while garbage hangs on its port", a, b, c)
	for _, conn := range held {
		_ = conn.Close()
	}
}

// A browser of a foreign page must not get in: its Origin is refused.
func TestForeignOrigin(t *testing.T) {
	w := newWorld(t)
	w.tracker()
	c, err := w.net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(c, "GET /ws HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"+
		"Sec-WebSocket-Protocol: peerchat.v1\r\nOrigin: https://evil.example\r\n\r\n", address)
	status, err := bufio.NewReader(c).ReadString('\n')
	if err != nil || !strings.Contains(status, "403") {
		t.Errorf("a WebSocket from https://evil.example is answered %q (%v), want 403", status, err)
	}
}

// Traffic at the ports of a peer itself: garbage where its links listen.
func TestGarbageAtAPeer(t *testing.T) {
	w := newWorld(t)
	w.tracker()
	a, b := w.join("a"), w.join("b")
	w.wantMesh(a, b)
	ports, err := w.udpPorts()
	if err != nil || len(ports) == 0 {
		t.Fatalf("find the UDP ports of the peers: %v, %v", ports, err)
	}
	noise := make([]byte, 2048)
	if _, err := rand.Read(noise); err != nil {
		t.Fatal(err)
	}
	for _, port := range ports {
		u, err := w.net.Dial("udp", "127.0.0.1:"+port)
		if err != nil {
			t.Fatal(err)
		}
		for n := range 300 {
			noise[0] = byte(n) // every range that RFC 7983 tells apart: STUN, DTLS, TURN, RTP
			_, _ = u.Write(noise[:n*7%1400])
		}
		_ = u.Close()
	}
	chat := newTalk("chat")
	chat.say(10, a, b)
	chat.want("the peers talk on, as if nothing had been", a, b)
}
