package peer

import (
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"peerchat/peer/history"
	"peerchat/peer/machinetest"
	"peerchat/peer/wire"
)

const general = wire.Room("general")

// world runs Cores in virtual time on an event heap: a tracker, links with delay and loss, peers that die and come
// back. It has no goroutine and no clock, so a seed repeats a run exactly.
type world struct {
	seed  uint64
	rand  *rand.Rand
	now   time.Time
	queue machinetest.Queue[func()]
	peers []*simPeer

	home     *simTracker
	hosts    bool // the peers may be trackers
	sessions map[uuid.UUID]*simSession
	cut      map[[2]int]bool // pairs whose packets are lost; the home tracker is number homeNumber
	fastLoss float64
	mute     bool // frames with events are lost
	line     int  // the number of the last line by sayNext
}

type simPeer struct {
	w       *world
	n       int
	key     ed25519.PrivateKey
	id      wire.PeerID
	name    string
	store   *history.Memory
	full    error // of the store's disk
	window  Window
	core    *Core
	life    int // counts restarts: what was meant for an earlier life is lost
	dead    bool
	client  simClient
	heardAt time.Time // when the last that the tracker told arrives
	own     *simTracker
	term    uint64 // as kept
	wake    uint64
	ticked  time.Time // the last Tick
	stuck   int       // Ticks since, at the same time
	ids     uint64
	said    map[wire.Room][]string
	events  []Event // told in this life

	address string              // where its links lead, as the others see it
	evil    bool                // it is not judged by what it was shown, nor are others by what they were shown of it
	meddle  func(f opSend) bool // which frames it sends; nil: all
	late    time.Duration       // the longest that a line of an honest peer took to be shown here
}

// simSession is one attempt at a connection, with its two ends.
type simSession struct {
	ends    [2]*simPeer
	life    [2]int
	opened  bool
	closed  [2]bool
	arrives [2][2]time.Time // [sender][channel]: when the last frame arrives, to keep the order
}

func newWorld(seed uint64, peers int, rooms ...wire.Room) *world {
	w := &world{
		seed: seed, rand: rand.New(rand.NewPCG(seed, 1)), now: time.Unix(1_700_000_000, 0),
		home: &simTracker{n: homeNumber, url: "ws://home/ws", up: true}, sessions: map[uuid.UUID]*simSession{}, cut: map[[2]int]bool{},
	}
	for range peers {
		p := w.addPeer()
		w.after(w.delay(100), func() { p.start(rooms...) })
	}
	return w
}

// addPeer adds a peer that has not started.
func (w *world) addPeer() *simPeer {
	n := len(w.peers)
	var keySeed [32]byte
	binary.LittleEndian.PutUint64(keySeed[:], w.seed)
	keySeed[31] = byte(n)
	p := &simPeer{w: w, n: n, key: ed25519.NewKeyFromSeed(keySeed[:]), name: fmt.Sprintf("p%d", n), dead: true,
		store: history.NewMemory(), said: map[wire.Room][]string{}, address: fmt.Sprintf("198.51.%d.%d:1000", 100+n/250, 1+n%250)}
	p.id = wire.IDOf(p.key)
	w.peers = append(w.peers, p)
	return p
}

func (w *world) after(d time.Duration, do func()) {
	w.queue.Push(w.now.Add(d), do)
}

// delay is a random one of up to ms milliseconds.
func (w *world) delay(ms int) time.Duration {
	return time.Duration(w.rand.Int64N(int64(ms)*1000)+1) * time.Microsecond
}

// run lets d pass.
func (w *world) run(d time.Duration) {
	end := w.now.Add(d)
	for {
		at, do, ok := w.queue.Pop(end)
		if !ok {
			break
		}
		w.now = at
		do()
	}
	w.now = end
}

// peer is the one with an ID; nil if that is nobody of this world.
func (w *world) peer(id wire.PeerID) *simPeer {
	if i := slices.IndexFunc(w.peers, func(p *simPeer) bool { return p.id == id }); i >= 0 {
		return w.peers[i]
	}
	return nil
}

func (w *world) evil(id wire.PeerID) bool { p := w.peer(id); return p == nil || p.evil }

func pairKey(a, b int) [2]int { return [2]int{min(a, b), max(a, b)} }

// simStore is a peer's store on a disk that may be full.
type simStore struct {
	*history.Memory
	p *simPeer
}

func (s simStore) Append(events []wire.Event) error {
	if s.p.full != nil {
		return s.p.full
	}
	return s.Memory.Append(events)
}

// start brings a peer to life, with the store that it had.
func (p *simPeer) start(rooms ...wire.Room) {
	p.life++
	p.dead, p.wake, p.events = false, 0, nil
	p.client = simClient{p: p, rooms: map[wire.Room]bool{}}
	p.own = &simTracker{n: p.n, url: fmt.Sprintf("ws://p%d/ws", p.n), leader: p}
	core, err := NewCore(CoreConfig{Key: p.key, Name: p.name, Rooms: rooms, Store: simStore{p.store, p}, Window: p.window, Seed: uint64(p.n), NewID: p.newID,
		Election: ElectionConfig{Host: p.w.hosts, Term: p.term}})
	if err != nil {
		panic(err)
	}
	p.core = core
	var out CoreOutput
	core.Start(p.w.now, &out)
	p.carryOut(&out)
	p.client.dial(0)
	p.client.look()
}

// kill ends a peer without a word; the tracker and the neighbours notice after their time-outs.
func (p *simPeer) kill() {
	p.dead = true
	p.client.vanish()
	p.own.stop()
	for _, id := range p.w.sessionIDs() {
		if s := p.w.sessions[id]; s.ends[0] == p || s.ends[1] == p {
			p.w.breakSession(id, s, 5*time.Second)
		}
	}
}

// killForgetting kills p, and has it lose its history.
func (p *simPeer) killForgetting() {
	p.kill()
	p.store = history.NewMemory()
}

// sayNext says a line that nobody has said yet.
func (p *simPeer) sayNext() {
	p.w.line++
	p.say(general, fmt.Sprint("line ", p.w.line))
}

// revive starts all who are dead.
func (w *world) revive() {
	for _, p := range w.peers {
		if p.dead {
			p.start(general)
		}
	}
}

// happens has happen to peer a what is named so; b is the other end of a link.
func (w *world) happens(what string, a, b int) {
	switch p := w.peers[a]; what {
	case "say":
		if !p.dead {
			p.sayNext()
		}
	case "kill":
		if !p.dead {
			p.kill()
		}
	case "return":
		if p.dead {
			p.start(general)
		}
	case "cut":
		w.cutLink(a, b, true)
	case "heal":
		w.cutLink(a, b, false)
	case "tracker":
		w.setTracker(!w.home.up)
	default:
		panic("nothing is known that is named " + what)
	}
}

func (p *simPeer) newID() uuid.UUID {
	p.ids++
	var id uuid.UUID
	binary.BigEndian.PutUint64(id[:8], uint64(p.w.now.UnixMilli())<<16|0x7000)
	binary.BigEndian.PutUint64(id[8:], 1<<63|uint64(p.n)<<48|uint64(p.life)<<40|p.ids)
	return id
}

// step gives the core inputs as one batch.
func (p *simPeer) step(ins ...Input) {
	if p.dead {
		return
	}
	var out CoreOutput
	for _, in := range ins {
		p.core.Step(p.w.now, in, &out)
	}
	p.core.Flush(p.w.now, &out)
	p.carryOut(&out)
	if out.Wake.IsZero() {
		return
	}
	p.wake++
	wake, life := p.wake, p.life
	p.w.after(max(0, out.Wake.Sub(p.w.now)), func() {
		if p.wake != wake || p.life != life {
			return
		}
		if p.stuck++; p.w.now.After(p.ticked) {
			p.stuck, p.ticked = 0, p.w.now
		}
		if p.stuck > 100 {
			panic(fmt.Sprintf("%s asks for a Tick again and again, and no time passes: a hot loop", p.name))
		}
		p.step(Tick{})
	})
}

// later gives the core an input after a time, if it is still the same life by then.
func (p *simPeer) later(d time.Duration, in Input) {
	life := p.life
	p.w.after(d, func() {
		if p.life == life && !p.dead {
			p.step(in)
		}
	})
}

func (p *simPeer) say(room wire.Room, text string) {
	p.said[room] = append(p.said[room], text)
	p.step(Say{Room: room, Kind: wire.KindText, Text: text})
}

func (p *simPeer) carryOut(out *CoreOutput) {
	w := p.w
	p.events = append(p.events, out.Events...)
	for _, ev := range out.Events {
		if m, ok := ev.(Message); ok && !w.evil(m.Person.Peer) {
			p.late = max(p.late, w.now.Sub(m.Sent))
		}
	}
	for _, op := range out.Ops {
		switch op := op.(type) {
		case opOffer:
			if w.peer(op.remote) == nil {
				continue // it comes to nothing
			}
			w.sessions[op.session] = &simSession{ends: [2]*simPeer{p, w.peer(op.remote)}, life: [2]int{p.life, 0}}
			p.later(w.delay(3), Described{Session: op.session, Description: Description{SDP: "offer", Fingerprint: fingerprint(p)}})
		case opAccept:
			if s := w.sessions[op.session]; s != nil {
				s.life[1] = p.life
			}
			p.later(w.delay(3), Described{Session: op.session, Description: Description{SDP: "answer", Fingerprint: fingerprint(p)}})
		case opAnswer:
			w.open(op.session)
		case opSend:
			if p.meddle == nil || p.meddle(op) {
				w.send(p, op)
			}
		case opClose:
			if s := w.sessions[op.session]; s != nil {
				w.breakSession(op.session, s, w.delay(5))
			}
		case opPersist:
			p.term = op.term
		default:
			p.client.carryOut(op)
		}
	}
}

func fingerprint(p *simPeer) string {
	var parts []string
	for _, b := range p.id {
		parts = append(parts, fmt.Sprintf("%02X", b))
	}
	return strings.Join(parts, ":")
}

// open brings a session up at both ends, unless one of them is gone or cannot reach the other.
func (w *world) open(id uuid.UUID) {
	s := w.sessions[id]
	if s == nil || s.opened {
		return
	}
	if s.gone() || w.cut[pairKey(s.ends[0].n, s.ends[1].n)] {
		w.breakSession(id, s, 15*time.Second)
		return
	}
	s.opened = true
	for i, end := range s.ends {
		end.later(w.delay(10), Opened{Session: id, Path: Path{Kind: "host", Remote: s.ends[1-i].address}})
	}
}

func (s *simSession) gone() bool {
	return s.ends[0].dead || s.ends[1].dead || s.ends[0].life != s.life[0] || s.ends[1].life != s.life[1]
}

// breakSession ends a session at both ends after a time.
func (w *world) breakSession(id uuid.UUID, s *simSession, d time.Duration) {
	for i, end := range s.ends {
		if s.closed[i] {
			continue
		}
		s.closed[i] = true
		if s.life[i] == end.life {
			end.later(d, Closed{Session: id, Err: errors.New("gone")})
		}
	}
	w.after(d, func() { delete(w.sessions, id) })
}

func (w *world) sessionIDs() []uuid.UUID {
	return slices.SortedFunc(maps.Keys(w.sessions), compareIDs)
}

// cutLink makes a pair lose all packets; the sessions notice after 5 s.
func (w *world) cutLink(a, b int, cut bool) {
	w.cut[pairKey(a, b)] = cut
	if !cut {
		return
	}
	for _, id := range w.sessionIDs() {
		s := w.sessions[id]
		if pairKey(s.ends[0].n, s.ends[1].n) == pairKey(a, b) {
			w.breakSession(id, s, 5*time.Second)
		}
	}
}

func (w *world) send(p *simPeer, op opSend) {
	s := w.sessions[op.session]
	if s == nil || !s.opened || s.gone() || s.closed[0] || w.cut[pairKey(s.ends[0].n, s.ends[1].n)] {
		return
	}
	if f, err := wire.DecodeFrame(op.frame); w.mute && err == nil {
		if _, events := f.(wire.Events); events {
			return
		}
	}
	from, channel := 0, 0
	if s.ends[1] == p {
		from = 1
	}
	if op.fast {
		channel = 1
		if w.rand.Float64() < w.fastLoss {
			return
		}
	}
	at := w.now.Add(w.delay(10))
	if last := s.arrives[from][0]; channel == 0 && at.Before(last) {
		at = last // the reliable channel keeps its order
	}
	s.arrives[from][channel] = at
	s.ends[1-from].later(at.Sub(w.now), Received{Session: op.session, Data: op.frame})
}

// messages are the texts that p was shown in room in this life, by author, as a screen shows them.
func (p *simPeer) messages(room wire.Room) map[wire.PeerID][]string {
	told := map[wire.PeerID][]Message{}
	for _, ev := range p.events {
		if m, ok := ev.(Message); ok && m.Room == room {
			told[m.Person.Peer] = append(told[m.Person.Peer], m)
		}
	}
	shown := map[wire.PeerID][]string{}
	for author, messages := range told {
		shown[author] = Shown(messages)
	}
	return shown
}
