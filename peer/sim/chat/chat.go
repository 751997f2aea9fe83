// Package chat is a simulated room of whole participants: the overlay of peer/overlay, the broadcast of peer/gossip
// over logs of peer/history, and peer/presence, wired as package peer wires them, over the links of peer/sim. All that
// is left out is what makes those links: signaling and pion.
//
// The parts: chat.go is the room and what its people do, participant.go one peer's machines, store.go its log, judge.go
// what must hold of all of them, line.go and measure.go what was said and how it got around.
//
// A Room owns all of it and is one goroutine's. The same seed and the same calls give the same events to the last bit,
// as sim.World.Hash tells. The package must never import more of ours than peer/sim, peer/sim/member, peer/overlay,
// peer/gossip, peer/history, peer/presence and peer/wire.
package chat

import (
	"crypto/ed25519"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"time"

	"peerchat/peer/gossip"
	"peerchat/peer/history"
	"peerchat/peer/overlay"
	"peerchat/peer/presence"
	"peerchat/peer/sim"
	"peerchat/peer/sim/member"
	"peerchat/peer/wire"
)

const name wire.Room = "general"

// Config is what a Room starts with.
type Config struct {
	Seed    uint64
	Network sim.Network
	// Active and Passive are the sizes of the overlay's views; 0: as they follow from the size of the room.
	Active, Passive int
	// Timing of the overlay; zero fields get its defaults.
	Timing overlay.Timing
	// Contacts is how many members a tracker names to who comes, to who knows nobody any more, and now and then to all,
	// so that they see whether they are apart; 0 counts as 3. Alone says that it does so only to who comes.
	Contacts int
	Alone    bool
	// Window is how much of the room newcomers fetch; zero fields are gossip's defaults.
	Window gossip.Window
	// Bare leaves presence out, until Acquaint. In a room of n it keeps n² entries of 32 bytes, which is most of the
	// memory, and its refreshes are most of the time.
	Bare bool

	spoil *spoil // what a test does to the participants; nil: nothing
}

// Room is a room of participants.
type Room struct {
	*member.Room
	Traffic Traffic
	Lines   []*Line

	cfg    Config
	judge  judge
	lines  map[event]*Line
	peers  []peer
	shared *presence.Shared
	proven map[proof]bool
	verify wire.Verifier
	buf    []byte
	calm   bool // nothing is wrong with the network, nor was of late
}

// peer is what outlives a peer's lives.
type peer struct {
	key   ed25519.PrivateKey
	lives int
	born  time.Duration // since the start of the world, in its last life
	store *store        // nil: it has none, or lost it
	run   uint32        // of what it says: how often it lost that
}

// event names one.
type event struct {
	author wire.PeerID
	seq    uint64
}

// proof is an event and its signature.
type proof struct {
	hash [32]byte
	sig  [ed25519.SignatureSize]byte
}

// New makes an empty room.
func New(cfg Config) *Room {
	if cfg.Contacts == 0 {
		cfg.Contacts = 3
	}
	r := &Room{cfg: cfg, lines: make(map[event]*Line), proven: make(map[proof]bool), shared: presence.NewShared(), judge: newJudge()}
	r.Room = member.NewRoom(member.RoomConfig{
		Sim:      sim.Config{Seed: cfg.Seed, Network: cfg.Network, OnSend: r.sent},
		Overlay:  overlay.Config{Active: cfg.Active, Passive: cfg.Passive, Timing: cfg.Timing},
		Contacts: cfg.Contacts,
		Alone:    cfg.Alone,
		Sized:    cfg.Bare && cfg.Active == 0,
		Rider:    func(i int, _ wire.PeerID, seed uint64) member.Rider { return r.born(i, seed) },
		Tune:     r.tune,
	})
	return r
}

// key is that of peer i.
func key(i int) ed25519.PrivateKey {
	seed := make([]byte, ed25519.SeedSize)
	binary.BigEndian.PutUint64(seed, uint64(i))
	return ed25519.NewKeyFromSeed(seed)
}

// Enter lets one more peer join, and returns its number.
func (r *Room) Enter() int {
	k := key(r.Len())
	i := r.Add(wire.IDOf(k))
	r.peers = append(r.peers, peer{key: k})
	r.Begin(i)
	return i
}

// Fill lets n more peers join, one each gap.
func (r *Room) Fill(n int, gap time.Duration) {
	for range n {
		r.Enter()
		r.Run(gap)
	}
}

// born makes a life of peer i.
func (r *Room) born(i int, seed uint64) member.Rider {
	p := &r.peers[i]
	if p.store == nil {
		p.store = &store{Memory: history.NewMemory(), room: r, i: i}
	}
	p.lives++
	p.born = r.Elapsed()
	return newParticipant(r, i, seed)
}

// tune completes what the member that carries a participant starts with.
func (r *Room) tune(_ int, c *member.Config) {
	x := c.Rider.(*participant)
	tracker := c.OnNeed
	c.OnNeed = func() []overlay.Contact {
		var known []overlay.Contact
		if tracker != nil {
			known = tracker()
		}
		return x.help(r.Now(), known)
	}
	if s := r.cfg.spoil; s != nil {
		c.Before, c.After = s.before, s.after
		if s.lonely {
			c.OnNeed = nil
		}
		if s.overlay != nil {
			s.overlay(&c.Overlay)
		}
	}
}

// Acquaint makes a bare room a whole one: all who live know each other from now on, as if they had been there for long.
// So a room of thousands comes about without n² introductions.
func (r *Room) Acquaint() {
	r.cfg.Bare = false
	var machines []*presence.Machine
	var selfs []presence.Self
	for i := range r.Len() {
		if x := r.participant(i); x != nil {
			x.attend(presence.Config{Key: r.peers[i].key, Room: name, Rand: sim.Source(r.Seed()), Shared: r.shared})
			machines = append(machines, x.presence)
			selfs = append(selfs, presence.Self{Name: "p"})
		}
	}
	for i := range r.Len() {
		r.act(i, func(x *participant, m *member.Member, now time.Time, out *sim.Output) {
			x.size = len(machines)
			for _, peer := range m.Overlay().Active() {
				x.stepPresence(now, presence.NeighborUp{Peer: peer}, out)
			}
		})
	}
	r.shared.Acquaint(r.Now(), machines, selfs, r.Rand())
	for i := range r.Len() {
		r.act(i, func(x *participant, _ *member.Member, now time.Time, out *sim.Output) {
			x.stepPresence(now, presence.Tick{}, out)
		})
	}
}

// participant is the life of peer i; nil if it is dead.
func (r *Room) participant(i int) *participant {
	if m := r.Member(i); m != nil {
		return m.Rider().(*participant)
	}
	return nil
}

// act lets f do something in the name of the user of peer i.
func (r *Room) act(i int, f func(x *participant, m *member.Member, now time.Time, out *sim.Output)) {
	r.Do(i, func(p sim.Participant, now time.Time, out *sim.Output) {
		m := p.(*member.Member)
		f(m.Rider().(*participant), m, now, out)
		m.SetWake(out)
	})
}

// Say lets peer i, which lives, say a line.
func (r *Room) Say(i int) *Line { return r.Talk(i, 1)[0] }

// Talk lets peer i, which lives, say n lines at once.
func (r *Room) Talk(i, n int) (lines []*Line) {
	r.act(i, func(x *participant, _ *member.Member, now time.Time, out *sim.Output) { lines = x.say(now, n, out) })
	return lines
}

// CrashSaying ends peer i when it has stored a line, and before anything of it is sent.
func (r *Room) CrashSaying(i int) (line *Line) {
	r.act(i, func(x *participant, _ *member.Member, now time.Time, _ *sim.Output) {
		line = x.say(now, 1, new(sim.Output))[0]
	})
	r.Kill(i)
	return line
}

// Leave lets peer i say goodbye and go.
func (r *Room) Leave(i int) {
	r.act(i, func(x *participant, m *member.Member, now time.Time, out *sim.Output) {
		if x.presence != nil {
			x.stepPresence(now, presence.Leave{}, out)
		}
		m.Input(now, overlay.Leave{}, out)
	})
	r.Kill(i)
}

// Forget takes the log from peer i, which is dead: its next life knows that it had one.
func (r *Room) Forget(i int) {
	p := &r.peers[i]
	p.store = nil
	if s := r.cfg.spoil; s == nil || !s.careless {
		p.run++
	}
}

// proof verifies an event once for all.
func (r *Room) proof(e *wire.Event) error {
	p := proof{e.Hash(), e.Proof.Sig}
	if r.proven[p] {
		return nil
	}
	err := r.verify.Verify(e)
	if err == nil {
		r.proven[p] = true
	}
	return err
}

// living is who lives, with the number of that life.
func (r *Room) living() map[int]int {
	m := make(map[int]int)
	for i := range r.Len() {
		if r.Alive(i) {
			m[i] = r.peers[i].lives
		}
	}
	return m
}

// Random is n living peers by chance.
func (r *Room) Random(n int) []int {
	alive := slices.Sorted(maps.Keys(r.living()))
	list := make([]int, n)
	for k := range list {
		list[k] = alive[r.Rand().IntN(len(alive))]
	}
	return list
}

// Fail ends a part of all peers at once, by chance.
func (r *Room) Fail(part float64) {
	alive := slices.Sorted(maps.Keys(r.living()))
	r.Rand().Shuffle(len(alive), func(i, k int) { alive[i], alive[k] = alive[k], alive[i] })
	for _, i := range alive[:int(part*float64(len(alive)))] {
		r.Kill(i)
	}
}

// Degree is how many neighbours a peer has on the average, of those that are neighbours to each other.
func (r *Room) Degree() float64 {
	n := 0
	for _, out := range r.Graph().Mutual().Out {
		n += len(out)
	}
	return float64(n) / float64(max(r.Living(), 1))
}

// text is what the n-th line of a room says.
func text(n int) []byte { return fmt.Appendf(nil, "this is line %d, of an ordinary length", n) }

// drafts are that for gossip, which returns the lines with what becomes of them.
func drafts(lines []*Line) (list []gossip.Draft) {
	for _, l := range lines {
		list = append(list, gossip.Draft{Kind: wire.KindText, Body: l.text, Ref: l})
	}
	return list
}
