package signaling

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/time/rate"

	"peerchat/peer/wire"
)

// DefaultPort is the tracker's port, for WebSocket (TCP) and STUN (UDP), wherever none is given.
const DefaultPort = 5000

// ErrPortTaken is in the error of NewTracker when another program has the port.
var ErrPortTaken = errors.New("port taken")

// TrackerConfig is what a Tracker is made of. Zero fields get defaults.
type TrackerConfig struct {
	Listen string // "host:port" or ":port"; default ":5000". Port 0 takes a free one.
	// STUN is "same" (the default): answer STUN on the UDP port of the same number; "off"; or a "host:port" to listen
	// on.
	STUN string
	// PublicAddr is the host name or address by which clients reach this tracker, if that is not the one they dialled.
	PublicAddr      string
	TLSCert, TLSKey string // PEM files; both or none
	// Origins are allowed as the Origin of a browser's request besides none and the tracker's own:
	// "https://example.org", or "*".
	Origins []string
	Limits  Limits
	Logger  *slog.Logger
	Seed    uint64
	Term    uint64
	Leader  wire.PeerID // zero for a stand-alone tracker
	// Sample, Linger, RestoreLinger, Ping and PingBudget are the hub's.
	Sample        int
	Linger        time.Duration
	RestoreLinger time.Duration
	Ping          time.Duration
	PingBudget    int
	// Handshake is the time that a connection has until its hello; default 5 s.
	Handshake time.Duration
	// WriteTimeout is how long a client may take to read what is written at once; default 5 s.
	WriteTimeout time.Duration

	// Self is the peer whose tracker this is; zero for a stand-alone one.
	Self wire.PeerID
	// Standby begins without serving: whoever comes is sent on, or away while no tracker is known.
	Standby bool
	// OnPeer hears of every admitted hello and where it came from, OnMeet of every greeting of another tracker, OnYield
	// of a program on this machine that wants the port (nil: it is refused). The owner calls them; they must not block.
	OnPeer  func(wire.PeerID, netip.Addr)
	OnMeet  func(Greeting)
	OnYield func()
}

// Tracker introduces peers to each other: it runs a Hub behind a WebSocket endpoint, and answers STUN.
//
// One goroutine owns the hub and what is said of a connection below; a connection has one goroutine that reads,
// and one that writes while there is something to write. Both only post to the owner.
type Tracker struct {
	// Immutable after NewTracker.
	cfg     TrackerConfig
	log     *slog.Logger
	srv     *http.Server
	tls     *tls.Config // nil without TLS
	secure  bool
	metrics *metrics
	gate    *gate
	pools   pools
	sockets sockets
	ctx     context.Context // ends with the owner's work
	cancel  context.CancelFunc

	inbox chan post
	stop  chan struct{} // closed by Shutdown
	done  chan struct{} // closed when the owner listens no more
	ended chan struct{} // closed when everything has ended
	once  sync.Once
	begin sync.Once
	wg    sync.WaitGroup

	conns, peers, rooms atomic.Int64 // what the owner last counted, for healthz and metrics
	info                atomic.Pointer[Info]

	// Owned by the owner goroutine.
	hub            *Hub
	out            HubOutput
	now            time.Time
	byID           map[ConnID]*conn
	lastID         ConnID
	dirty          []*conn
	later          []HubInput // what happened while the hub's output was being delivered
	parking        parking
	sent, received int // since the metrics were told
	raises, meets  *rate.Limiter
	yields         *rate.Limiter
}

// post is what the owner hears.
type post struct {
	op   postOp
	c    *conn
	in   HubInput
	data []byte
	err  error
	seen time.Time
	note *ByeNote
	ack  chan *ByeNote

	nonce [32]byte
	info  *Info     // what opStep makes of the tracker; nil: nothing new
	greet *Greeting // of opMeet
	met   chan met
}

type postOp uint8

const (
	opStep     postOp = iota // in happened
	opAdmit                  // may c come in? ack answers
	opUpgraded               // c is a WebSocket now; challenge it with nonce
	opPing                   // c is silent: send a ping
	opWrote                  // c's writer is done; err
	opCut                    // cut c off with note; data goes before it
	opEnded                  // c's reader is done; err, seen
	opPark                   // c's reader is done for now: c is idle
	opMeet                   // another tracker says greet; met answers
	opYield                  // a program here wants the port; met answers
)

// NewTracker binds the sockets. Nothing is answered before Start.
func NewTracker(cfg TrackerConfig) (*Tracker, error) {
	if cfg.Listen == "" {
		cfg.Listen = ":" + strconv.Itoa(DefaultPort)
	}
	if cfg.STUN == "" {
		cfg.STUN = "same"
	}
	if cfg.Handshake == 0 {
		cfg.Handshake = 5 * time.Second
	}
	if cfg.WriteTimeout == 0 {
		cfg.WriteTimeout = 5 * time.Second
	}
	if cfg.Ping == 0 {
		cfg.Ping = 1500 * time.Millisecond
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	cfg.Limits = cfg.Limits.withDefaults()
	var conf *tls.Config
	if cfg.TLSCert != "" || cfg.TLSKey != "" {
		cert, err := tls.LoadX509KeyPair(cfg.TLSCert, cfg.TLSKey)
		if err != nil {
			return nil, fmt.Errorf("tracker: load TLS certificate %q and key %q: %w; give both as PEM files",
				cfg.TLSCert, cfg.TLSKey, err)
		}
		conf = &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12,
			NextProtos: []string{"http/1.1"}}
	}
	ln, udp, err := bind(cfg)
	if err != nil {
		return nil, err
	}
	t := &Tracker{
		cfg: cfg, log: cfg.Logger, tls: conf, secure: conf != nil, sockets: sockets{ln: ln, udp: udp},
		inbox: make(chan post, 1024), stop: make(chan struct{}), done: make(chan struct{}), ended: make(chan struct{}),
		byID:   make(map[ConnID]*conn),
		raises: rate.NewLimiter(0.2, 8), meets: rate.NewLimiter(10, 20), yields: rate.NewLimiter(1, 4),
		hub: NewHub(HubConfig{Seed: cfg.Seed, Term: cfg.Term, Leader: cfg.Leader, Limits: cfg.Limits,
			Standby: cfg.Standby, Sample: cfg.Sample, Linger: cfg.Linger, RestoreLinger: cfg.RestoreLinger, Ping: cfg.Ping,
			PingBudget: cfg.PingBudget}),
	}
	t.info.Store(&Info{Peer: cfg.Self, Serving: !cfg.Standby, Term: cfg.Term, Leader: cfg.Leader})
	t.ctx, t.cancel = context.WithCancel(context.Background())
	t.gate = newGate(cfg.Limits)
	t.metrics = newMetrics(t)
	t.srv = newServer(t)
	return t, nil
}

// bind opens the TCP and the UDP socket. With port 0 and STUN "same" both must be free under one number, so it tries
// a few.
func bind(cfg TrackerConfig) (net.Listener, net.PacketConn, error) {
	lc := net.ListenConfig{KeepAlive: -1} // the protocol has its own pings
	host, port, err := net.SplitHostPort(cfg.Listen)
	if n, perr := strconv.ParseUint(port, 10, 16); err == nil && perr == nil {
		port = strconv.FormatUint(n, 10)
	} else {
		return nil, nil, fmt.Errorf(
			"tracker: listen on %q: want host:port or :port with a port from 0 to 65535, as in :%d", cfg.Listen, DefaultPort)
	}
	for try := 0; ; try++ {
		ln, err := lc.Listen(context.Background(), "tcp", net.JoinHostPort(host, port))
		if err != nil {
			return nil, nil, bindError("TCP", cfg.Listen, err)
		}
		addr := cfg.STUN
		switch cfg.STUN {
		case "off":
			return ln, nil, nil
		case "same":
			addr = net.JoinHostPort(host, strconv.Itoa(ln.Addr().(*net.TCPAddr).Port))
		}
		udp, err := lc.ListenPacket(context.Background(), "udp", addr)
		if err == nil {
			return ln, udp, nil
		}
		ln.Close()
		if port != "0" || try == 20 || cfg.STUN != "same" {
			return nil, nil, bindError("UDP (STUN)", addr, err)
		}
	}
}

func bindError(what, addr string, err error) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf(
			"tracker: listen on %s %s: %w by another program; stop that, or choose another port with --listen",
			addr, what, ErrPortTaken)
	}
	return fmt.Errorf("tracker: listen on %s %s: %w; choose another address with --listen", addr, what, err)
}

// Start begins to answer, and returns at once.
func (t *Tracker) Start() {
	t.begin.Do(func() {
		t.sockets.start(t)
		go t.own()
		t.log.Info("tracker is up", "url", t.URL(), "stun", t.cfg.STUN)
	})
}

// Serve starts and returns when ctx is done and everybody has been told, within a second.
func (t *Tracker) Serve(ctx context.Context) error {
	t.Start()
	select {
	case <-ctx.Done():
	case <-t.ended:
	}
	return t.Shutdown(context.Background())
}

// Shutdown tells the clients, closes everything and waits for it, which takes less than a second; ctx may cut it short.
func (t *Tracker) Shutdown(ctx context.Context) error {
	t.begin.Do(func() { go t.own() }) // never started: there is still an owner to end
	t.once.Do(func() { close(t.stop) })
	var err error
	select {
	case <-t.ended:
	case <-ctx.Done():
		err = fmt.Errorf("tracker: shut down: %w", ctx.Err())
	}
	return err
}

// Addr is the address that the tracker listens on.
func (t *Tracker) Addr() net.Addr {
	ln, _ := t.sockets.get()
	return ln.Addr()
}

func (t *Tracker) port() int { return t.Addr().(*net.TCPAddr).Port }

func (t *Tracker) urlFor(host string) string {
	scheme := "ws"
	if t.secure {
		scheme = "wss"
	}
	return scheme + "://" + net.JoinHostPort(host, strconv.Itoa(t.port())) + "/ws"
}

// URL is where a program on this machine reaches the tracker.
func (t *Tracker) URL() string {
	ip, _ := netip.AddrFromSlice(t.Addr().(*net.TCPAddr).IP)
	if ip = ip.Unmap(); !ip.IsValid() || ip.IsUnspecified() {
		return t.urlFor("127.0.0.1")
	}
	return t.urlFor(ip.String())
}

// URLs is where others reach the tracker, best first: PublicAddr, then the addresses of this machine that it listens
// on.
func (t *Tracker) URLs() []string {
	var urls []string
	if t.cfg.PublicAddr != "" {
		urls = append(urls, t.urlFor(t.cfg.PublicAddr))
	}
	ip, _ := netip.AddrFromSlice(t.Addr().(*net.TCPAddr).IP)
	if ip = ip.Unmap(); ip.IsValid() && !ip.IsUnspecified() {
		return append(urls, t.urlFor(ip.String()))
	}
	addrs, _ := net.InterfaceAddrs() // without them there is nothing to add
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && n.IP.IsGlobalUnicast() {
			urls = append(urls, t.urlFor(n.IP.String()))
		}
	}
	return urls
}

// post hands p to the owner. It blocks while the owner is behind, which is how a flood slows down who makes it, and
// returns false after the end.
func (t *Tracker) post(p post) bool {
	select {
	case t.inbox <- p:
		return true
	case <-t.done:
		return false
	}
}
