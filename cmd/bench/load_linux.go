package main

import (
	"bufio"
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"peerchat/peer/wire"
	"peerchat/signaling"
)

// loadConfig is what a load process does: n clients of a tracker, either idle or relaying to each other in pairs, with
// the same number of messages always under way in each direction of a pair.
type loadConfig struct {
	kind    string // peerchat or peerjs
	address string
	from    string // local address, for more ports
	n       int
	first   int // number of the first client, so that several processes make different ones
	relay   bool
	burst   int // messages under way in each direction of a pair
}

// loadCommand runs a load: it prints "connected", then the number of messages relayed so far for each line of input;
// the lines "go" and "stop" start and stop the relaying.
func loadCommand(args []string) error {
	var c loadConfig
	f := flag.NewFlagSet("load", flag.ContinueOnError)
	f.StringVar(&c.kind, "kind", "peerchat", "peerchat or peerjs")
	f.StringVar(&c.address, "address", trackerAddress, "server")
	f.StringVar(&c.from, "from", "127.0.0.1", "local address")
	f.IntVar(&c.n, "n", 100, "clients")
	f.IntVar(&c.first, "first", 0, "number of the first client")
	f.BoolVar(&c.relay, "relay", false, "relay in pairs")
	f.IntVar(&c.burst, "burst", 1, "messages under way in each direction of a pair")
	if err := f.Parse(args); err != nil {
		return err
	}
	l := &load{loadConfig: c, clients: make([]*loadClient, c.n)}
	if err := l.connect(); err != nil {
		return err
	}
	go l.keepAlive()
	fmt.Println("connected")
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		switch in.Text() {
		case "go":
			l.going.Store(true)
			for _, c := range l.clients {
				l.onWay.Add(int64(l.burst))
				c.send(bytes.Repeat(c.first, l.burst))
			}
		case "stop":
			l.going.Store(false)
			for began := time.Now(); l.onWay.Load() > 0 && time.Since(began) < 5*time.Second; {
				time.Sleep(look)
			}
			l.onWay.Store(0) // of connections that ended
		}
		fmt.Printf("relayed %d lost %d\n", l.relayed.Load(), l.lost.Load())
	}
	return in.Err()
}

type load struct {
	loadConfig
	clients []*loadClient
	going   atomic.Bool  // relayed messages are answered
	onWay   atomic.Int64 // relayed messages that have not come yet
	relayed atomic.Int64
	lost    atomic.Int64 // connections that ended
}

// loadClient is one connection: WebSocket by hand, because 19,000 of them share a machine with what they measure.
type loadClient struct {
	load  *load
	key   ed25519.PrivateKey
	name  string
	in    *bufio.Reader
	first []byte // the message that starts the relaying

	mu   sync.Mutex // a message is written by one at a time
	conn net.Conn
	buf  []byte // the frame that was read last
}

func (l *load) client(i int) *loadClient {
	i += l.first
	var seed [8]byte
	binary.BigEndian.PutUint64(seed[:], uint64(i))
	sum := sha256.Sum256(append([]byte("bench"), seed[:]...))
	return &loadClient{load: l, key: ed25519.NewKeyFromSeed(sum[:]), name: fmt.Sprintf("load%d", i)}
}

func (l *load) connect() error {
	var next atomic.Int64
	var workers sync.WaitGroup
	failed := make(chan error, 1)
	for range 32 {
		workers.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= l.n {
					return
				}
				c := l.client(i)
				if err := c.open(i + l.first); err != nil {
					select {
					case failed <- fmt.Errorf("connect client %d: %w", i, err):
					default:
					}
					return
				}
				l.clients[i] = c
			}
		})
	}
	workers.Wait()
	select {
	case err := <-failed:
		return err
	default:
	}
	for i, c := range l.clients {
		if l.relay {
			c.first = c.message(l.clients[i^1])
		}
		go c.read()
	}
	return nil
}

// keepAlive sends what real clients send while they are idle: to peerchat a WebSocket ping every 1.5 s, to peerjs its
// heartbeat every 5 s, spread over that time.
func (l *load) keepAlive() {
	every, frame := 1500*time.Millisecond, []byte{0x89, 0x80, 0, 0, 0, 0}
	if l.kind == "peerjs" {
		every, frame = 5*time.Second, appendText(nil, []byte(`{"type":"HEARTBEAT"}`))
	}
	const steps = 100
	tick := time.NewTicker(every / steps)
	for step := 0; ; step = (step + 1) % steps {
		<-tick.C
		for i := step; i < len(l.clients); i += steps {
			l.clients[i].send(frame)
		}
	}
}

func (c *loadClient) send(frame []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, err := c.conn.Write(frame); err != nil && !errors.Is(err, net.ErrClosed) {
		c.load.lost.Add(1)
		_ = c.conn.Close()
	}
}

// appendText appends a masked text frame (RFC 6455 section 5.2) with a mask of zeros.
func appendText(b, text []byte) []byte {
	b = append(b, 0x81)
	if n := len(text); n < 126 {
		b = append(b, 0x80|byte(n))
	} else {
		b = append(b, 0x80|126, byte(n>>8), byte(n))
	}
	return append(append(b, 0, 0, 0, 0), text...)
}

// next reads one frame's payload; it must be used before the next call.
func (c *loadClient) next() ([]byte, error) {
	var head [2]byte
	if _, err := io.ReadFull(c.in, head[:]); err != nil {
		return nil, err
	}
	n := int(head[1] & 0x7f)
	if n >= 126 {
		var long [8]byte
		size := 2
		if n == 127 {
			size = 8
		}
		if _, err := io.ReadFull(c.in, long[8-size:]); err != nil {
			return nil, err
		}
		n = int(binary.BigEndian.Uint64(long[:]))
	}
	if n > signaling.MaxMessage {
		return nil, fmt.Errorf("a frame of %d bytes came", n)
	}
	if cap(c.buf) < n {
		c.buf = make([]byte, n)
	}
	c.buf = c.buf[:n]
	_, err := io.ReadFull(c.in, c.buf)
	return c.buf, err
}

var loadData = json.RawMessage(`{"session":"0198c0de-0000-7000-8000-000000000000","candidate":{"candidate":"candidate:842163049 1 udp ` +
	`1677729535 203.0.113.77 46154 typ srflx raddr 192.168.1.20 rport 46154 generation 0 ufrag EsAw network-cost 999",` +
	`"sdpMid":"0","sdpMLineIndex":0}}`)

// message is the frame that carries loadData to another client.
func (c *loadClient) message(to *loadClient) []byte {
	if c.load.kind == "peerjs" {
		return appendText(nil, fmt.Appendf(nil, `{"type":"CANDIDATE","dst":%q,"payload":%s}`, to.name, loadData))
	}
	r := signaling.SignalRequest{ID: uuid.New(), To: wire.IDOf(to.key), Data: loadData}
	return appendText(nil, r.Append(nil))
}

// read reads until the connection ends. A relayed message is answered with one of the same size.
func (c *loadClient) read() {
	isRelay := []byte(`"data":`)
	if c.load.kind == "peerjs" {
		isRelay = []byte(`"payload":`)
	}
	for {
		b, err := c.next()
		if err != nil {
			c.load.lost.Add(1)
			_ = c.conn.Close()
			return
		}
		if c.load.relay && bytes.Contains(b, isRelay) {
			c.load.relayed.Add(1)
			if c.load.going.Load() {
				c.send(c.first) // it takes the place of the one that came
			} else {
				c.load.onWay.Add(-1)
			}
		}
	}
}

// open connects, upgrades and joins.
func (c *loadClient) open(i int) error {
	from := &net.TCPAddr{IP: net.ParseIP(c.load.from)}
	var err error
	dialer := net.Dialer{LocalAddr: from, Timeout: 20 * time.Second}
	for began := time.Now(); ; time.Sleep(look) { // a backlog may be full, and nobody tells when it is not any more
		if c.conn, err = dialer.Dial("tcp", c.load.address); err == nil {
			break
		}
		if time.Since(began) > 5*time.Second {
			return err
		}
	}
	if err := c.conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		return err
	}
	path, sub := "/ws", "Sec-WebSocket-Protocol: "+signaling.Subprotocol+"\r\n"
	if c.load.kind == "peerjs" {
		path, sub = fmt.Sprintf("/peerjs?key=peerjs&id=%s&token=t%d&version=1.5.4", c.name, i), ""
	}
	_, err = io.WriteString(c.conn, "GET "+path+" HTTP/1.1\r\nHost: "+c.load.address+"\r\nConnection: Upgrade\r\n"+
		"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"+sub+"\r\n")
	if err != nil {
		return err
	}
	c.in = bufio.NewReaderSize(c.conn, 1024)
	status, err := c.in.ReadString('\n')
	if err != nil || !strings.Contains(status, " 101 ") {
		return fmt.Errorf("upgrade to WebSocket: %q, %v", status, err)
	}
	for line := status; line != "\r\n"; {
		if line, err = c.in.ReadString('\n'); err != nil {
			return err
		}
	}
	if c.load.kind == "peerjs" {
		b, err := c.next()
		if err == nil && !bytes.Contains(b, []byte("OPEN")) {
			err = fmt.Errorf("peerjs answers %s", b)
		}
		return errors.Join(err, c.conn.SetDeadline(time.Time{}))
	}
	return errors.Join(c.join(i), c.conn.SetDeadline(time.Time{}))
}

// join does what a peer does first: hello, and a room, ten peers to each.
func (c *loadClient) join(i int) error {
	b, err := c.next()
	if err != nil {
		return fmt.Errorf("await the challenge: %w", err)
	}
	m, err := signaling.DecodeReply(b)
	if err != nil {
		return err
	}
	challenge, ok := m.(*signaling.Challenge)
	if !ok {
		return fmt.Errorf("await the challenge: %s came", b)
	}
	self := wire.IDOf(c.key)
	hello := signaling.HelloRequest{ID: uuid.New(), Peer: self, Name: c.name, Agent: "bench",
		Sig: [64]byte(ed25519.Sign(c.key, signaling.HelloText(challenge.Nonce, self)))}
	c.send(appendText(nil, hello.Append(nil)))
	if err := c.admitted("hello"); err != nil {
		return err
	}
	join := signaling.JoinRequest{ID: uuid.New(), Room: wire.Room(fmt.Sprintf("room%d", i/10))}
	c.send(appendText(nil, join.Append(nil)))
	return c.admitted("join")
}

// admitted awaits the good answer to a request.
func (c *loadClient) admitted(op string) error {
	for {
		b, err := c.next()
		if err != nil {
			return fmt.Errorf("await the answer to %s: %w", op, err)
		}
		if !bytes.Contains(b, []byte(`"re":`)) {
			continue // a notification
		}
		if !bytes.Contains(b, []byte(`"status":"OK"`)) {
			return fmt.Errorf("%s is refused: %s", op, b)
		}
		return nil
	}
}
