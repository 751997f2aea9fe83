package signaling

import (
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/gorilla/websocket"
	"golang.org/x/time/rate"

	"peerchat/peer/wire"
)

// Source is somewhere a tracker's address may come from.
type Source struct {
	Label string // for people: "named", "known", "LAN" …
	// Find returns addresses in any form that ParseAddr takes, best first. It may take its time, until ctx is done, and
	// may be called several times at once.
	Find func(ctx context.Context) []string
	// Named says that the user chose these trackers.
	Named bool
}

// ClientConfig is what a Client is made of. Key, Name and Sink are needed; zero fields get defaults.
type ClientConfig struct {
	Key   ed25519.PrivateKey
	Name  string
	Agent string // program and version
	// Sources are asked in order. While the tracker that was lost may be back, or another take over, they wait.
	Sources []Source
	// Interfaces are those whose addresses others are told where a tracker on this machine is; none: all.
	Interfaces []string
	// Sink receives the events, one at a time. While it blocks, the client and its tracker wait.
	Sink   func(ClientEvent)
	Logger *slog.Logger
	Seed   uint64 // of the jitter; take a random one
	Dial   func(ctx context.Context, network, addr string) (net.Conn, error)
	TLS    *tls.Config // for wss; nil is the system's

	Handshake  time.Duration // for each address, from dial to admission; default 3 s
	Request    time.Duration // for each answer; a tracker that takes longer is given up; default 5 s
	SeekAfter  time.Duration // after a loss, until the sources are asked besides the tracker's own addresses; default 2 s
	SignalWait time.Duration // how long a signal waits for a connection; default 5 s
	BackoffMin time.Duration // default 40 ms
	BackoffMax time.Duration // default 10 s
}

func (c ClientConfig) withDefaults() ClientConfig {
	set := func(d *time.Duration, def time.Duration) {
		if *d == 0 {
			*d = def
		}
	}
	set(&c.Handshake, 3*time.Second)
	set(&c.Request, 5*time.Second)
	set(&c.SeekAfter, 2*time.Second)
	set(&c.SignalWait, 5*time.Second)
	set(&c.BackoffMin, 40*time.Millisecond)
	set(&c.BackoffMax, 10*time.Second)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Dial == nil {
		c.Dial = (&net.Dialer{KeepAlive: -1}).DialContext
	}
	return c
}

// maxQueued bounds the signals that wait for a connection.
const maxQueued = 256

// Client keeps a peer connected to a tracker: it finds one, comes back when the connection is lost, and keeps the
// rooms and the name that it was told. One goroutine owns it; every method only posts, except Close, which waits.
type Client struct {
	// Immutable.
	cfg     ClientConfig
	log     *slog.Logger
	dialer  *websocket.Dialer
	box     *mailbox
	done    chan struct{}
	begin   sync.Once
	ctx     context.Context
	cancel  context.CancelFunc
	wg      sync.WaitGroup
	process uuid.UUID

	// Owned by the owner goroutine.
	rng      *rand.Rand
	name     string
	rooms    []wire.Room // wanted, in the order of joining
	queue    []queuedSignal
	asked    map[uuid.UUID]asked
	order    []uuid.UUID // of asked, oldest first
	session  *session
	ever     bool     // there was a session
	urls     []string // of the tracker that was joined last, best first
	label    string   // the source's of that
	named    []string // what the user's own sources said
	target   *Target  // where to go, until there; nil: nowhere else
	lostAt   time.Time
	closed   bool          // how it was lost: the socket was closed
	moved    bool          // or the tracker sent us on
	failed   int           // rounds since the last session, or Follow to another leader
	terms    *rate.Limiter // of changes of the tracker's term that are told at once
	termAt   time.Time     // when to tell the last one; zero: it was told
	backoff  Backoff
	round    int
	endRound context.CancelFunc // nil unless a round is on
	seeking  string             // where the round began
	retryAt  time.Time          // zero unless the next round waits for it
	stopped  bool               // replaced for good: no redial
	closing  bool
	err      error // of the last attempt
}

type queuedSignal struct {
	to   wire.PeerID
	data []byte
	till time.Time
}

// asked is a request that waits for its answer.
type asked struct {
	op   string
	room wire.Room
	peer wire.PeerID
	port uint16
	ref  any
	till time.Time
}

// What the methods post.
type (
	cmdJoin   struct{ room wire.Room }
	cmdLeave  struct{ room wire.Room }
	cmdName   struct{ name string }
	cmdSignal struct {
		to   wire.PeerID
		data []byte
	}
	cmdList     struct{ ref any }
	cmdRedial   struct{}
	cmdFollow   struct{ to Target }
	cmdPing     struct{}
	cmdDialback struct{ port uint16 }
	cmdClose    struct{}
)

// NewClient makes a Client; nothing happens before Start.
func NewClient(cfg ClientConfig) *Client {
	cfg = cfg.withDefaults()
	c := &Client{
		cfg: cfg, log: cfg.Logger, process: uuid.New(), box: newMailbox(), done: make(chan struct{}), name: cfg.Name,
		rng:     rand.New(rand.NewPCG(cfg.Seed, 0x636c69656e74)),
		asked:   make(map[uuid.UUID]asked),
		terms:   rate.NewLimiter(0.5, 8),
		backoff: Backoff{Min: cfg.BackoffMin, Max: cfg.BackoffMax},
		dialer: &websocket.Dialer{NetDialContext: raced(cfg.Dial), TLSClientConfig: cfg.TLS,
			Subprotocols: []string{Subprotocol}, ReadBufferSize: 4096, WriteBufferSize: 4096},
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	return c
}

// Start begins to look for a tracker.
func (c *Client) Start() { c.begin.Do(func() { go c.own() }) }

// Join enters a room, now and after each reconnection. A Joined follows each time.
func (c *Client) Join(room wire.Room) { c.box.put(cmdJoin{room}) }

// Leave leaves a room.
func (c *Client) Leave(room wire.Room) { c.box.put(cmdLeave{room}) }

// SetName changes the name.
func (c *Client) SetName(name string) { c.box.put(cmdName{name}) }

// Signal has the tracker hand data, a JSON value, to another peer. While there is no connection it waits for a few
// seconds.
func (c *Client) Signal(to wire.PeerID, data []byte) { c.box.put(cmdSignal{to, slices.Clone(data)}) }

// List asks for the tracker's rooms; a RoomList with ref follows.
func (c *Client) List(ref any) { c.box.put(cmdList{ref}) }

// Redial forgets the waiting and tries at once; a connection that is up is made anew.
func (c *Client) Redial() { c.box.put(cmdRedial{}) }

// Follow goes to a tracker, and leaves the present one when that one has admitted us. Who answers there must be the one
// who leads it now; until then it is tried again and again. A Client that is there already only notes the addresses.
func (c *Client) Follow(t Target) {
	t.URLs = slices.Clone(t.URLs)
	c.box.put(cmdFollow{t})
}

// Ping asks the tracker for a sign of life: a Pong follows if it has one.
func (c *Client) Ping() { c.box.put(cmdPing{}) }

// Dialback asks the tracker whether it can reach a tracker of ours at a port of this machine. A Dialled follows if
// there is a connection that lasts.
func (c *Client) Dialback(port uint16) { c.box.put(cmdDialback{port}) }

// Close says goodbye to the tracker, closes everything and waits for it, at most until ctx is done. No event comes
// after it.
func (c *Client) Close(ctx context.Context) error {
	c.box.put(cmdClose{})
	c.Start() // never started: there is still an owner to end
	select {
	case <-c.done:
		return nil
	case <-ctx.Done():
		c.cancel()
		return fmt.Errorf("say goodbye to the tracker: %w", ctx.Err())
	}
}

// own is the owner goroutine.
func (c *Client) own() {
	timer := time.NewTimer(math.MaxInt64)
	defer timer.Stop()
	read := func() {
		for _, m := range c.box.take() {
			c.handle(time.Now(), m)
		}
	}
	read() // what was posted before Start, Close perhaps
	if !c.closing {
		c.seek(time.Now())
	}
	for c.ctx.Err() == nil && !(c.closing && c.session == nil) {
		timer.Reset(c.wake(time.Now()))
		select {
		case <-c.box.wake:
			read()
		case <-timer.C:
		case <-c.ctx.Done():
		}
		c.tick(time.Now())
	}
	c.cancel()
	if c.session != nil {
		c.session.end()
		c.session.wg.Wait()
	}
	c.wg.Wait()
	for _, m := range c.box.close() {
		if d, ok := m.(seekDone); ok && d.s != nil {
			d.s.end()
		}
	}
	close(c.done)
}

// wake is how long nothing needs to be done unless something happens.
func (c *Client) wake(now time.Time) time.Duration {
	at := now.Add(time.Hour)
	if !c.retryAt.IsZero() && c.retryAt.Before(at) {
		at = c.retryAt
	}
	if len(c.order) > 0 && c.asked[c.order[0]].till.Before(at) {
		at = c.asked[c.order[0]].till
	}
	if len(c.queue) > 0 && c.queue[0].till.Before(at) {
		at = c.queue[0].till
	}
	if !c.termAt.IsZero() && c.termAt.Before(at) {
		at = c.termAt
	}
	return max(0, at.Sub(now))
}

func (c *Client) tick(now time.Time) {
	if !c.retryAt.IsZero() && !now.Before(c.retryAt) {
		c.seek(now)
	}
	if !c.termAt.IsZero() && !now.Before(c.termAt) && c.session != nil {
		c.up()
	}
	if len(c.order) > 0 {
		if a := c.asked[c.order[0]]; !now.Before(a.till) {
			c.lost(now, fmt.Errorf("the tracker did not answer %s within %v", a.op, c.cfg.Request))
		}
	}
	for len(c.queue) > 0 && !now.Before(c.queue[0].till) {
		q := c.queue[0]
		c.queue = c.queue[1:]
		c.refuse("signal", "", q.to, ServerError, fmt.Sprintf("not connected to a tracker for %v", c.cfg.SignalWait))
	}
}

func (c *Client) emit(e ClientEvent) {
	if !c.closing {
		c.cfg.Sink(e)
	}
}

func (c *Client) refuse(op string, room wire.Room, peer wire.PeerID, s Status, text string) {
	c.emit(Refused{Op: op, Room: room, Peer: peer, Status: s, Text: text})
}

// down tells that there is no connection.
func (c *Client) down(url, trying string) {
	state := Searching
	if c.ever {
		state = Lost
	}
	c.emit(StateChanged{State: state, URL: url, Closed: c.closed, Moved: c.moved, Replaced: c.stopped, Failed: c.failed,
		Trying: trying, Retry: c.retryAt, Err: c.err})
}

func (c *Client) handle(now time.Time, m any) {
	switch m := m.(type) {
	case cmdJoin:
		if !slices.Contains(c.rooms, m.room) {
			c.rooms = append(c.rooms, m.room)
		}
		c.ask(now, &JoinRequest{ID: newID(), Room: m.room}, asked{room: m.room})
	case cmdLeave:
		if i := slices.Index(c.rooms, m.room); i >= 0 {
			c.rooms = slices.Delete(c.rooms, i, i+1)
			c.ask(now, &LeaveRequest{ID: newID(), Room: m.room}, asked{room: m.room})
		}
	case cmdName:
		name, err := wire.ParseName(m.name)
		if err != nil {
			c.refuse("name", "", wire.PeerID{}, RequestError, err.Error())
			return
		}
		c.name = name
		c.ask(now, &NameRequest{ID: newID(), Name: name}, asked{})
	case cmdSignal:
		c.signal(now, m)
	case cmdList:
		if c.session == nil {
			c.emit(RoomList{Ref: m.ref, Err: errors.New("not connected to a tracker, so its rooms are not known")})
			return
		}
		c.ask(now, &RoomsRequest{ID: newID()}, asked{ref: m.ref})
	case cmdRedial:
		if c.round > 0 { // else Start comes yet
			c.redial(now)
		}
	case cmdFollow:
		c.follow(now, m.to)
	case cmdPing:
		if c.session != nil {
			c.session.ask()
		}
	case cmdDialback:
		c.ask(now, &DialbackRequest{ID: newID(), Port: m.port}, asked{port: m.port})
	case cmdClose:
		c.goodbye(now)
	case seekTrying:
		if m.round == c.round && c.session == nil && !c.stopped {
			c.down(m.url, m.text)
		}
	case seekDone:
		c.sought(now, m)
	case sessionSaid:
		if m.s == c.session {
			c.said(now, m.msg)
		}
	case sessionEnded:
		if m.s == c.session {
			c.lost(now, m.err)
		}
	case sessionPong:
		if m.s == c.session {
			c.emit(Pong{})
		}
	}
}

func (c *Client) signal(now time.Time, m cmdSignal) {
	switch {
	case len(m.data) > MaxData:
		c.refuse("signal", "", m.to, RequestError,
			fmt.Sprintf("signal of %d bytes: at most %d are allowed", len(m.data), MaxData))
	case !json.Valid(m.data):
		c.refuse("signal", "", m.to, RequestError, "a signal must be JSON")
	case c.session != nil:
		c.ask(now, &SignalRequest{ID: newID(), To: m.to, Data: m.data}, asked{peer: m.to})
	case len(c.queue) >= maxQueued:
		c.refuse("signal", "", m.to, ServerError, "not connected to a tracker, and too many signals wait already")
	default:
		c.queue = append(c.queue, queuedSignal{m.to, m.data, now.Add(c.cfg.SignalWait)})
	}
}

// newID is a UUIDv7. Its source of randomness does not fail (crypto/rand).
func newID() uuid.UUID { return uuid.Must(uuid.NewV7()) }

// ask sends a request if there is a connection.
func (c *Client) ask(now time.Time, r Request, a asked) {
	if c.session == nil {
		return
	}
	a.op, a.till = r.Op(), now.Add(c.cfg.Request)
	c.asked[r.ReqID()] = a
	c.order = append(c.order, r.ReqID())
	if !c.session.send(r.Append(nil)) {
		c.lost(now, errors.New("the tracker does not keep up with our requests"))
	}
}

// answered takes a request off the books.
func (c *Client) answered(re uuid.UUID) (asked, bool) {
	a, ok := c.asked[re]
	delete(c.asked, re)
	for len(c.order) > 0 {
		if _, waits := c.asked[c.order[0]]; waits {
			break
		}
		c.order = c.order[1:]
	}
	return a, ok
}

// said handles what the tracker says. What answers nothing that was asked is ignored.
func (c *Client) said(now time.Time, m Message) {
	switch m := m.(type) {
	case *Answer:
		a, ok := c.answered(m.Re)
		switch {
		case !ok || m.Status == OK:
		case a.op == "rooms":
			err := fmt.Errorf("the tracker refused to list its rooms: %s (%s)", m.Text, m.Status)
			c.emit(RoomList{Ref: a.ref, Err: err})
		case a.op == "dialback":
			c.emit(Dialled{Port: a.port, Err: fmt.Errorf("the tracker did not dial back: %s (%s)", m.Text, m.Status)})
		case a.op != "bye":
			c.refuse(a.op, a.room, a.peer, m.Status, m.Text)
		}
	case *MembersAnswer:
		a, ok := c.answered(m.Re)
		if !ok || a.room != m.Room || !slices.Contains(c.rooms, m.Room) {
			return
		}
		self := wire.IDOf(c.cfg.Key)
		others := slices.DeleteFunc(m.Members, func(o Member) bool { return o.Peer == self })
		c.emit(Joined{Room: m.Room, Members: others, Count: m.Count})
	case *RoomsAnswer:
		if a, ok := c.answered(m.Re); ok {
			c.emit(RoomList{Ref: a.ref, Rooms: m.Rooms})
		}
	case *DialbackAnswer:
		if a, ok := c.answered(m.Re); ok && a.op == "dialback" {
			c.emit(Dialled{Port: a.port, OK: m.OK, Address: m.Address})
		}
	case *TermNote:
		h := c.session.hello
		if h.Term != m.Term || h.Leader != m.Leader {
			h.Term, h.Leader, h.Proof, h.Resumed = m.Term, m.Leader, nil, true
			if c.terms.AllowN(now, 1) {
				c.up()
			} else if c.termAt.IsZero() { // it changes too often to be told each time
				c.termAt = now.Add(2 * time.Second)
			}
		}
	case *JoinedNote:
		if slices.Contains(c.rooms, m.Room) {
			c.emit(MemberJoined{Room: m.Room, Member: m.Member, Count: m.Count})
		}
	case *LeftNote:
		if slices.Contains(c.rooms, m.Room) {
			c.emit(MemberLeft{Room: m.Room, Peer: m.Peer, Count: m.Count})
		}
	case *RenamedNote:
		c.emit(MemberRenamed{Member: m.Member})
	case *SignalNote:
		c.emit(Signaled{From: m.From.Peer, Name: m.From.Name, Data: m.Data})
	case *ByeNote:
		c.session.bye = m
		c.lost(now, &dismissed{m})
	}
}
