package peer

import (
	"crypto/ed25519"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/google/uuid"
	"golang.org/x/time/rate"

	"peerchat/peer/election"
	"peerchat/peer/gossip"
	"peerchat/peer/negotiate"
	"peerchat/peer/overlay"
	"peerchat/peer/wire"
	"peerchat/signaling"
)

// Limits of a Core.
const (
	// MaxLinks bounds the peers that one peer keeps links with.
	MaxLinks = 64
	// maxStrangers bounds the links being made by peers that are in no room of ours as far as we know; a big room's
	// newcomer may be one, because the tracker tells only a sample.
	maxStrangers = 16
	// recentShown is how much of a room's own log is told when the room is joined, in events.
	recentShown = 1000
	// strangerGrace is how long a link may serve no room before it is closed.
	strangerGrace = 15 * time.Second
	// spareGrace is the same for a link with somebody in a large room that needs it no more.
	spareGrace = 5 * time.Second
	// trackerGrace is how long the word of a lost tracker still counts.
	trackerGrace = 15 * time.Second
	// deliveredEvery is the least time between two tellings of partial deliveries.
	deliveredEvery = 100 * time.Millisecond
)

// Store is where a Core keeps the logs of its rooms.
type Store interface {
	gossip.Log
	// Recent returns the newest events of room, at most limit, in display order.
	Recent(room wire.Room, limit int) ([]wire.Event, error)
}

// Window is how much of a room that is new here is fetched at first; what is older, FetchOlder brings.
type Window = gossip.Window

// CoreConfig is what a Core needs to know for its life.
type CoreConfig struct {
	Key   ed25519.PrivateKey
	Name  string
	Rooms []wire.Room // joined from the start
	Agent string      // program and version, told to neighbours
	Store Store
	// Run is the run of own events, which is not 0 if Store lost what it held while Key has been in use before; see
	// gossip.Config.
	Run   uint32
	NewID func() uuid.UUID // UUIDv7
	Seed  uint64
	// Window is how much of a room that is new here is fetched.
	Window Window
	// Election is what this peer brings into elections of the tracker.
	Election ElectionConfig
	// Patience is how long neighbours have at least to acknowledge an event or to answer a Ping; see Config.
	Patience time.Duration
}

// Core is what one peer knows and decides: a function of what happens (Step) and of the time it is given. It is pure
// but for its Store. The Node owns it and does what it puts out.
type Core struct {
	cfg    CoreConfig
	self   wire.PeerID
	run    uuid.UUID // of this process, told in offers and answers
	rand   *rand.Rand
	roster *roster
	gossip *gossip.Machine

	rooms    map[wire.Room]*room
	order    []wire.Room // in the order joined
	awaited  map[wire.Room]bool
	ready    bool
	stopping bool

	links    map[wire.PeerID]*link
	sessions map[uuid.UUID]*session
	resized  uint64    // roster.changes when the meshes were told of them
	wishes   []wish    // of the overlays, in order
	granting bool      // they are being done
	retryAt  time.Time // when to look for links that are lacking; zero: none is, or something else will tell
	lacking  bool      // some link found no place
	pace     negotiate.Pace
	trails   trails // of signals that were passed on

	conduct    map[wire.PeerID]*conduct
	complaints map[cause]*complaint
	voiceFull  time.Time     // when there was no place for a link that only voice needs
	namesTold  time.Time     // when it was told that most links lead to one place
	strangers  *rate.Limiter // signals of peers without a link
	presences  *rate.Limiter // own
	presenceAt time.Time     // when to tell the own presence, again or for the first time; zero: there is nobody to tell
	changed    uint64        // counts the changes of the own presence

	elections elections
	voices    voices
	tracker   TrackerChanged // as told last
	stun      []string
	observed  string
	lostSince time.Time // when the tracker was lost; zero while connected

	drafts     []gossip.Draft // said in this batch, not published yet
	draftRoom  wire.Room
	owedAt     time.Time // when to tell authors who holds what they said; zero: nothing to tell
	owed       time.Time // when they were told last
	unclaimed  bool      // deliveries changed since they were told
	nextTell   time.Time // when deliveries may be told again
	gossipWake time.Time
	counters   map[string]uint64
	encoded    encodedFrame
	gout       gossip.Output
	refs       map[uint64]any // of pending RoomList queries
	nextRef    uint64
	fetches    map[wire.Room][]any // refs of those who wait for older events
	syncAt     time.Time           // when to look again at what is missing
}

// Input is one thing that happened to a Core: a Command, a signaling.ClientEvent, a TransportEvent or a Tick.
type Input any

// Tick is the passing of time, sent at CoreOutput.Wake or later.
type Tick struct{}

// Resign makes a Core hand over the tracker, if it is it: Resigning tells when that is done.
type Resign struct{}

// Shutdown makes a Core say goodbye; the outputs of that Step and Flush are its last.
type Shutdown struct{}

// CoreOutput is what a Step wants done. The caller resets it between uses.
type CoreOutput struct {
	Ops    []Op      // in order
	Events []Event   // for the user, in order
	Wake   time.Time // when to send the next Tick; set by Flush
}

// Reset empties the output and keeps its memory.
func (o *CoreOutput) Reset() {
	clear(o.Ops)
	clear(o.Events)
	*o = CoreOutput{Ops: o.Ops[:0], Events: o.Events[:0]}
}

// Op is one call of the Transport or of Signaling.
type Op interface{ op() }

// The calls of Transport.
type (
	opOffer struct {
		session uuid.UUID
		remote  wire.PeerID
	}
	opAccept struct {
		session uuid.UUID
		remote  wire.PeerID
		offer   Description
	}
	opAnswer struct {
		session uuid.UUID
		answer  Description
	}
	opCandidate struct {
		session   uuid.UUID
		candidate Candidate
	}
	opSend struct {
		session uuid.UUID
		frame   []byte
		fast    bool
	}
	opClose struct{ session uuid.UUID }
	opSpeak struct{ sessions []uuid.UUID }
	opSTUN  struct{ urls []string }
)

// The calls of Signaling.
type (
	opJoin   struct{ room wire.Room }
	opLeave  struct{ room wire.Room }
	opRename struct{ name string }
	opSignal struct {
		to   wire.PeerID
		data []byte
	}
	opList   struct{ ref any }
	opRedial struct{}
	opFollow struct{ target signaling.Target }
	opPing   struct{}
	opLead   struct{ lead signaling.Lead }
	// opStepDown ends the lead; opTellHome tells a stand-alone tracker its term; opScout says where other trackers may
	// be.
	opStepDown struct{ target signaling.Target }
	opTellHome struct {
		term uint64
		urls []string
	}
	opScout struct{ urls []string }
)

// opPersist keeps the election's term; it comes before what is sent because of it.
type opPersist struct{ term uint64 }

func (opOffer) op()     {}
func (opAccept) op()    {}
func (opAnswer) op()    {}
func (opCandidate) op() {}
func (opSend) op()      {}
func (opClose) op()     {}
func (opSpeak) op()     {}
func (opSTUN) op()      {}
func (opJoin) op()      {}
func (opLeave) op()     {}
func (opRename) op()    {}
func (opSignal) op()    {}
func (opList) op()      {}
func (opRedial) op()    {}
func (opFollow) op()    {}
func (opPing) op()      {}
func (opLead) op()      {}
func (opStepDown) op()  {}
func (opTellHome) op()  {}
func (opScout) op()     {}
func (opPersist) op()   {}

// NewCore makes a Core. Its first outputs come with Start.
func NewCore(cfg CoreConfig) (*Core, error) {
	self := wire.IDOf(cfg.Key)
	var seed [32]byte
	binary.LittleEndian.PutUint64(seed[:], cfg.Seed)
	copy(seed[8:], self[:])
	c := &Core{
		cfg:      cfg,
		self:     self,
		run:      cfg.NewID(),
		changed:  1,
		rand:     rand.New(rand.NewChaCha8(seed)),
		roster:   newRoster(Person{Peer: self, Name: cfg.Name}),
		rooms:    map[wire.Room]*room{},
		awaited:  map[wire.Room]bool{},
		links:    map[wire.PeerID]*link{},
		sessions: map[uuid.UUID]*session{},
		tracker:  TrackerChanged{State: TrackerSearching},
		counters: map[string]uint64{},
		refs:     map[uint64]any{},
		fetches:  map[wire.Room][]any{},
		voices:   voices{of: map[wire.PeerID]wire.Voice{}},

		conduct:    map[wire.PeerID]*conduct{},
		complaints: map[cause]*complaint{},
		strangers:  strangerTaken.limiter(),
		presences:  presenceSent.limiter(),
	}
	c.elections = newElections(cfg, c.rand)
	var err error
	c.gossip, err = gossip.New(gossip.Config{Key: cfg.Key, Log: cfg.Store, NewID: cfg.NewID, Run: cfg.Run, Window: cfg.Window,
		Rand: c.rand, Patience: cfg.Patience})
	return c, err
}

// Start joins the first rooms.
func (c *Core) Start(now time.Time, out *CoreOutput) {
	for _, r := range c.cfg.Rooms {
		c.awaited[r] = true
		c.joinRoom(now, r, out)
	}
	c.Flush(now, out)
}

// Step takes one input. Call Flush after the last of a batch.
func (c *Core) Step(now time.Time, in Input, out *CoreOutput) {
	if _, say := in.(Say); !say {
		c.publish(now, out) // keep what was said before this in its place
	}
	switch in := in.(type) {
	case Command:
		c.command(now, in, out)
	case signaling.ClientEvent:
		c.signaled(now, in, out)
	case TransportEvent:
		c.transported(now, in, out)
	case Tick:
		c.tick(now, out)
	case Resign:
		c.stopping = true
		c.elect(now, election.Resign{}, out)
	case Shutdown:
		c.shutdown(now, out)
	}
}

func (c *Core) command(now time.Time, cmd Command, out *CoreOutput) {
	if c.stopping {
		return
	}
	switch cmd := cmd.(type) {
	case JoinRoom:
		c.joinRoom(now, cmd.Room, out)
	case LeaveRoom:
		c.leaveRoom(now, cmd.Room, out)
	case Say:
		c.say(now, cmd, out)
	case Rename:
		c.rename(now, cmd.Name, out)
	case JoinVoice:
		c.joinVoice(now, cmd.Room, out)
	case LeaveVoice:
		c.leaveVoice(now, out)
	case SetVoice:
		c.setVoice(now, cmd, out)
	case ListPeers:
		out.Events = append(out.Events, Answer{Ref: cmd.Ref, Value: PeersAnswer{Peers: c.peers()}})
	case ListRooms:
		c.listRooms(cmd.Ref, out)
	case Invite:
		out.Events = append(out.Events, Answer{Ref: cmd.Ref, Value: c.invitation(cmd.Room)})
	case ShowNet:
		out.Events = append(out.Events, Answer{Ref: cmd.Ref, Value: c.net()})
	case FetchOlder:
		c.fetchOlder(now, cmd, out)
	case Reconnect:
		out.Ops = append(out.Ops, opRedial{})
		for _, id := range c.linkIDs() {
			c.negotiate(now, c.links[id], negotiate.Want{Eager: true}, out)
		}
	}
}

// Flush ends a batch of Steps: what was held back to be sent together is sent, and Wake is set.
func (c *Core) Flush(now time.Time, out *CoreOutput) {
	c.resize(now, out)
	c.publish(now, out)
	c.stepGossip(now, gossip.Flush{}, out)
	c.tellDelivered(now, out)
	c.tellSynced(now, out)
	c.speak(out)
	out.Wake = c.wake()
}

// wake is the earliest time at which something is to be done without any input.
func (c *Core) wake() time.Time {
	wake := c.gossipWake
	earlier := func(t time.Time) {
		if !t.IsZero() && (wake.IsZero() || t.Before(wake)) {
			wake = t
		}
	}
	if c.unclaimed {
		earlier(c.nextTell)
	}
	if !c.lostSince.IsZero() {
		earlier(c.lostSince.Add(trackerGrace))
	}
	earlier(c.meshWake())
	earlier(c.owedAt)
	earlier(c.syncAt)
	earlier(c.retryAt)
	earlier(c.presenceAt)
	earlier(c.elections.wake)
	if !c.elections.meshTold {
		earlier(c.elections.meshAt)
	}
	earlier(c.elections.movedAt)
	for _, l := range c.links {
		earlier(l.wake)
		earlier(l.idleUntil)
		earlier(l.presentAt)
	}
	return wake
}

func (c *Core) tick(now time.Time, out *CoreOutput) {
	if !c.gossipWake.IsZero() && !now.Before(c.gossipWake) {
		c.stepGossip(now, gossip.Tick{}, out)
	}
	c.tickMeshes(now, out)
	c.tellHolders(now, out)
	for _, id := range c.dueLinks(now) {
		l := c.links[id]
		if l == nil { // another one's time-out ended it
			continue
		}
		if !l.wake.IsZero() && !now.Before(l.wake) {
			c.negotiate(now, l, negotiate.Tick{}, out)
		}
		if !l.idleUntil.IsZero() && !now.Before(l.idleUntil) {
			if l.idleUntil = (time.Time{}); !l.up && !c.needed(l.peer) || l.up && !c.useful(l) {
				c.dropLink(now, l, NotNeeded, out)
			}
		}
		if !l.presentAt.IsZero() && !now.Before(l.presentAt) {
			c.present(now, l, l.run, l.presence, out)
		}
	}
	if w := c.elections.wake; !w.IsZero() && !now.Before(w) {
		c.elect(now, election.Tick{}, out)
	}
	if e := &c.elections; !e.meshTold && !e.meshAt.IsZero() && !now.Before(e.meshAt) {
		c.tellTracker(now, out)
	}
	if at := c.elections.movedAt; !at.IsZero() && !now.Before(at) {
		c.tellTracker(now, out)
		c.elections.movedAt = time.Time{}
	}
	if !c.presenceAt.IsZero() && !now.Before(c.presenceAt) {
		c.tellPresence(now, out)
	}
	if !c.retryAt.IsZero() && !now.Before(c.retryAt) {
		c.retryAt = time.Time{}
		c.wantLinks(now, false, out)
	}
	if !c.lostSince.IsZero() && !now.Before(c.lostSince.Add(trackerGrace)) {
		c.lostSince = time.Time{}
		c.roster.trackerGone(now, c.joined, &out.Events)
		c.wantLinks(now, false, out)
	}
}

// dueLinks are the links of which some time has come, in the order of linkIDs: mostly none.
func (c *Core) dueLinks(now time.Time) (ids []wire.PeerID) {
	for id, l := range c.links {
		for _, t := range [...]time.Time{l.wake, l.idleUntil, l.presentAt} {
			if !t.IsZero() && !now.Before(t) {
				ids = append(ids, id)
				break
			}
		}
	}
	slices.SortFunc(ids, comparePeers)
	return ids
}

// shutdown says goodbye to every neighbour; the Node closes transport and signaling after it.
func (c *Core) shutdown(now time.Time, out *CoreOutput) {
	c.stopping = true
	for _, name := range c.order {
		c.leaveMesh(now, c.rooms[name], out)
	}
	for _, id := range c.linkIDs() {
		if l := c.links[id]; l.up {
			c.send(l, wire.Bye{Leaving: true, Reason: "leaving"}, false, out)
		}
	}
}

// joined reports whether this peer is in room.
func (c *Core) joined(room wire.Room) bool { return c.rooms[room] != nil }

func (c *Core) failure(room wire.Room, code, text string, out *CoreOutput) {
	out.Events = append(out.Events, Failure{Room: room, Code: code, Text: text})
}

// stepGossip gives the gossip machine an input and does what it puts out.
func (c *Core) stepGossip(now time.Time, in gossip.Input, out *CoreOutput) {
	o := &c.gout
	*o = gossip.Output{Sends: o.Sends[:0], Delivers: o.Delivers[:0], Held: o.Held[:0], Faults: o.Faults[:0], Refused: o.Refused[:0],
		Fetched: o.Fetched[:0], Lost: o.Lost[:0], Suspicions: o.Suspicions[:0], Looks: o.Looks[:0]}
	err := c.gossip.Step(now, in, o)
	c.gossipWake = o.Wake
	c.encoded = encodedFrame{}
	for _, s := range o.Sends {
		if l := c.links[s.To]; l != nil && l.up {
			c.send(l, s.Frame, s.Fast, out)
		}
	}
	for _, d := range o.Delivers {
		c.deliver(now, d, out)
	}
	for _, h := range o.Held {
		c.held(now, h)
	}
	for _, f := range o.Fetched {
		c.fetched(f, out)
	}
	for _, l := range o.Lost {
		c.lost(now, l, out)
	}
	c.refuse(o.Refused, out)
	doubts, looks := slices.Clone(o.Suspicions), slices.Clone(o.Looks) // to act on them may be another step
	for _, f := range slices.Clone(o.Faults) {
		c.misbehaved(now, misdeed{peer: f.Peer, about: f.Author, room: f.Room, code: f.Code, text: f.Text, drop: f.Drop}, out)
	}
	for _, s := range doubts {
		c.doubt(now, s, out)
	}
	for _, name := range looks {
		if r := c.rooms[name]; r != nil {
			c.stepOverlay(now, r, overlay.Look{}, out)
		}
	}
	if err != nil {
		c.complain(now, wire.PeerID{}, wire.PeerID{}, Failure{Code: "log", Text: "keeping the room's log failed: " + err.Error() + "; free disk space or check the profile directory"}, out)
	}
}
