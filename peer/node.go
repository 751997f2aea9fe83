package peer

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"runtime"
	"slices"
	"time"

	"github.com/google/uuid"

	"peerchat/peer/wire"
	"peerchat/signaling"
)

// inboxBound is how many bytes of frames and of the tracker's words may wait for a Node. Beyond it their readers wait,
// so that their senders are slowed down.
const inboxBound = 4 << 20

// maxServed is how many inputs are taken between two Flushes: enough that a flood is cheap, and so few that
// acknowledgements and what was said do not wait for its end.
const maxServed = 128

// Signaling is a Node's way to its tracker, and its own tracker. Every method returns at once; what comes of it is
// posted to the sink that it was made with, as a signaling.ClientEvent. signaling.Station is one, signalingtest has one
// in memory.
type Signaling interface {
	Start()
	Join(wire.Room)
	Leave(wire.Room)
	SetName(string)
	Signal(to wire.PeerID, data []byte)
	List(ref any)
	Redial()
	// Follow goes to a tracker, Ping asks the present one for a sign of life.
	Follow(signaling.Target)
	Ping()
	// Lead and StepDown begin and end the own tracker, TellHome tells a stand-alone tracker its term, Scout says where
	// others may be.
	Lead(signaling.Lead)
	StepDown(signaling.Target)
	TellHome(term uint64, urls []string)
	Scout(urls []string)
	Close(context.Context) error
}

// Config is what a Node is made of.
type Config struct {
	Key          ed25519.PrivateKey
	Name         string
	Rooms        []wire.Room // joined from the start
	Agent        string      // program and version, told to neighbours
	Store        Store       // used by the Node's goroutine alone; closed by the caller after Done
	Run          uint32      // of own events; see CoreConfig
	NewTransport func(sink func(TransportEvent)) (Transport, error)
	NewSignaling func(sink func(signaling.ClientEvent)) (Signaling, error)
	Window       Window // how much of a room that is new here is fetched
	// OnEvent is called from the Node's goroutine and must not block.
	OnEvent func(Event)
	Logger  *slog.Logger
	Seed    uint64 // of jitter and choices; any value
	// Election is what this peer brings into elections of the tracker; SaveTerm keeps the highest term that it has
	// seen, for Election.Term of its next life. Nil keeps nothing.
	Election ElectionConfig
	SaveTerm func(term uint64) error
	// Patience is how long neighbours have at least to acknowledge a line before it is sent again, and to answer when
	// they are asked for a sign of life. Zero is right for peers with a processor each, which answer when they are
	// asked: 25 or 80 ms.
	Patience time.Duration
}

// LazyStore is a Store that puts work off. A Node calls Settle when what came of a batch of inputs has left, and Tidy,
// which may take longer, when nothing has happened for a while. What they fail with, Append fails with too, if it
// lasts.
type LazyStore interface {
	Store
	Settle() error
	Tidy() error
}

// quiet is how long nothing has to happen before the store is tidied.
const quiet = 500 * time.Millisecond

// Node is the shell of a Core: it owns it in one goroutine, serves its Wake with one timer, and carries out what it
// puts out. Everything else posts to its mailbox.
type Node struct {
	cfg       Config
	core      *Core
	inbox     *Mailbox[Input]
	out       CoreOutput // reused; its Wake is that of the last Flush
	transport Transport
	signaling Signaling
	lazy      LazyStore // the Store, if it is one
	refused   struct {  // what the Store last said against what it had put off, and when that was logged
		text string
		at   time.Time
	}
	busy     time.Time     // when there was an input
	stop     chan struct{} // closed by Stop
	stopOnce chan struct{} // holds the token of the first Stop
	done     chan struct{}
}

// New makes a Node and starts it.
func New(cfg Config) (*Node, error) {
	if _, err := wire.ParseName(cfg.Name); err != nil {
		return nil, err
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	core, err := NewCore(CoreConfig{
		Key: cfg.Key, Name: cfg.Name, Rooms: cfg.Rooms, Agent: cfg.Agent, Store: cfg.Store, Run: cfg.Run, Seed: cfg.Seed,
		Window: cfg.Window, Election: cfg.Election, Patience: cfg.Patience,
		NewID: func() uuid.UUID { return uuid.Must(uuid.NewV7()) },
	})
	if err != nil {
		return nil, fmt.Errorf("starting the peer: %w", err)
	}
	n := &Node{
		cfg: cfg, core: core, stop: make(chan struct{}), stopOnce: make(chan struct{}, 1), done: make(chan struct{}),
		inbox: NewMailbox(inboxBound, func(in Input) int {
			switch in := in.(type) {
			case Received:
				return len(in.Data) + 64
			case signaling.Signaled:
				return len(in.Data) + 64
			case signaling.StateChanged:
				return 512 + len(in.Proof)
			case signaling.Met:
				return 512 + len(in.Proof)
			case signaling.Joined:
				return 128 * (len(in.Members) + 1)
			case signaling.ClientEvent:
				return 128
			}
			return 0
		}),
	}
	n.lazy, _ = cfg.Store.(LazyStore)
	n.stopOnce <- struct{}{}
	if n.transport, err = cfg.NewTransport(n.fromTransport); err != nil {
		return nil, fmt.Errorf("starting WebRTC: %w", err)
	}
	if n.signaling, err = cfg.NewSignaling(n.fromSignaling); err != nil {
		n.transport.Stop()
		return nil, fmt.Errorf("starting signaling: %w", err)
	}
	go n.run()
	return n, nil
}

// fromTransport is the transport's sink.
func (n *Node) fromTransport(ev TransportEvent) {
	if _, frame := ev.(Received); frame {
		n.inbox.PostWait(ev, n.stop)
		return
	}
	n.inbox.Post(ev)
}

// fromSignaling is the sink of signaling. A tracker that says more than this peer can take in waits, as a peer does.
func (n *Node) fromSignaling(ev signaling.ClientEvent) { n.inbox.PostWait(ev, n.stop) }

// Do gives the Node a command and returns at once. After Stop it does nothing.
func (n *Node) Do(cmd Command) { n.inbox.Post(cmd) }

// Done is closed when the Node has stopped and everything that it started is closed.
func (n *Node) Done() <-chan struct{} { return n.done }

// Stop leaves: the neighbours and the tracker are told, everything is closed. It waits for that as long as ctx allows.
func (n *Node) Stop(ctx context.Context) error {
	select {
	case <-n.stopOnce:
		close(n.stop)
	default:
	}
	select {
	case <-n.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("leaving took too long: %w", context.Cause(ctx))
	}
}

// run is the Node's goroutine: the only one that touches the Core.
func (n *Node) run() {
	defer close(n.done)
	n.core.Start(time.Now(), &n.out)
	n.carryOut()
	n.signaling.Start()

	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		n.arm(timer)
		select {
		case <-n.inbox.Wake():
			n.busy = time.Now()
			for batch := range slices.Chunk(n.inbox.TryTake(), maxServed) {
				n.serve(batch...)
			}
		case <-timer.C:
			n.serve(Tick{})
			if n.lazy != nil && time.Since(n.busy) > quiet {
				n.stored(n.lazy.Tidy())
			}
		case <-n.stop:
			n.finish()
			return
		}
	}
}

// serve gives the Core a batch of inputs and carries out what comes of it.
func (n *Node) serve(batch ...Input) {
	now := time.Now()
	for _, in := range batch {
		n.core.Step(now, in, &n.out)
	}
	if len(n.out.Events) > 0 {
		n.carryOut()
		runtime.Gosched() // let it be printed: Flush proves and stores what was received, which takes longer
	}
	n.core.Flush(now, &n.out)
	n.carryOut()
	if n.lazy != nil {
		runtime.Gosched() // as above
		n.stored(n.lazy.Settle())
	}
}

// stored logs why the store could not do what it had put off; the same once a minute at most, for it is tried again and
// again.
func (n *Node) stored(err error) {
	if err == nil || n.refused.text == err.Error() && time.Since(n.refused.at) < time.Minute {
		return
	}
	n.refused.text, n.refused.at = err.Error(), time.Now()
	n.cfg.Logger.Warn("keeping the history", "err", err)
}

// arm sets the one timer to the Core's Wake, or far away.
func (n *Node) arm(timer *time.Timer) {
	wait := time.Hour
	if wake := n.out.Wake; !wake.IsZero() {
		wait = max(0, time.Until(wake))
	}
	timer.Reset(wait)
}

// count adds what the transport has counted to an answer about the network.
func (n *Node) count(a Answer) {
	if net, ok := a.Value.(NetAnswer); ok {
		if t, ok := n.transport.(interface{ Counters() map[string]uint64 }); ok {
			maps.Copy(net.Counters, t.Counters())
		}
	}
}

// govern carries out what the election wants.
func (n *Node) govern(op Op) {
	switch op := op.(type) {
	case opFollow:
		n.signaling.Follow(op.target)
	case opPing:
		n.signaling.Ping()
	case opLead:
		n.signaling.Lead(op.lead)
	case opStepDown:
		n.signaling.StepDown(op.target)
	case opTellHome:
		n.signaling.TellHome(op.term, op.urls)
	case opScout:
		n.signaling.Scout(op.urls)
	}
}

// saveTerm keeps the election's term. A term that is lost costs a question of the peers at the next start, so a failure
// is no reason to fall silent.
func (n *Node) saveTerm(term uint64) {
	if n.cfg.SaveTerm == nil {
		return
	}
	if err := n.cfg.SaveTerm(term); err != nil {
		n.cfg.Logger.Warn("keeping the election's term", "term", term, "err", err)
	}
}

// handOverPatience is how long a leader that goes waits for another to take over.
const handOverPatience = 2 * time.Second

// handOver has another peer take the lead, if this one has it.
func (n *Node) handOver() {
	n.serve(append(slices.Clone(n.inbox.TryTake()), Resign{})...)
	late := time.NewTimer(handOverPatience)
	defer late.Stop()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for n.core.Resigning() {
		n.arm(timer)
		select {
		case <-n.inbox.Wake():
			n.serve(n.inbox.TryTake()...)
		case <-timer.C:
			n.serve(Tick{})
		case <-late.C:
			n.cfg.Logger.Warn("nobody took over the tracker in time", "waited", handOverPatience)
			return
		}
	}
}

// finish says goodbye and closes everything.
func (n *Node) finish() {
	n.handOver()
	n.serve(Shutdown{})
	n.inbox.Close()
	closed := make(chan error, 1)
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	go func() { closed <- n.signaling.Close(ctx) }()
	n.transport.Stop()
	if err := <-closed; err != nil && !errors.Is(err, context.DeadlineExceeded) {
		n.cfg.Logger.Debug("closing signaling", "err", err)
	}
	n.cfg.OnEvent(Stopped{})
}

// carryOut does what the Core put out, and keeps its Wake.
func (n *Node) carryOut() {
	for _, op := range n.out.Ops {
		switch op := op.(type) {
		case opSend:
			n.transport.Send(op.session, op.frame, op.fast)
		case opOffer:
			n.transport.Offer(op.session, op.remote)
		case opAccept:
			n.transport.Accept(op.session, op.remote, op.offer)
		case opAnswer:
			n.transport.Answer(op.session, op.answer)
		case opCandidate:
			n.transport.Candidate(op.session, op.candidate)
		case opClose:
			n.transport.Close(op.session)
		case opSpeak:
			n.transport.Speak(op.sessions)
		case opSTUN:
			n.transport.SetSTUN(op.urls)
		case opJoin:
			n.signaling.Join(op.room)
		case opLeave:
			n.signaling.Leave(op.room)
		case opRename:
			n.signaling.SetName(op.name)
		case opSignal:
			n.signaling.Signal(op.to, op.data)
		case opList:
			n.signaling.List(op.ref)
		case opRedial:
			n.signaling.Redial()
		case opPersist:
			n.saveTerm(op.term)
		default:
			n.govern(op)
		}
	}
	if len(n.out.Ops) > 0 && len(n.out.Events) > 0 {
		runtime.Gosched() // let what was sent leave before it is shown here: the others' wait is longer
	}
	for _, ev := range n.out.Events {
		if a, ok := ev.(Answer); ok {
			n.count(a)
		}
		n.cfg.OnEvent(ev)
	}
	wake := n.out.Wake
	n.out.Reset()
	n.out.Wake = wake
}
