package peer_test

import (
	"crypto/ed25519"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/transport/v4"

	"peerchat/peer"
	"peerchat/peer/history"
	"peerchat/peer/peertest"
	"peerchat/peer/wire"
	"peerchat/signaling"
	"peerchat/signaling/signalingtest"
)

// pace is the time between two lines of one peer while all talk: that of voice frames.
const pace = 20 * time.Millisecond

// electorate is a number of Nodes over real WebRTC on a simulated network, on as many machines. Each may be the
// tracker.
type electorate struct {
	t        *testing.T
	seed     uint64
	named    []string // hosts of home trackers
	links    *peertest.VNet
	trackers *signalingtest.Net
	voters   []*voter

	mu      sync.Mutex // guards what follows, which pion's writers read
	sides   map[string]int
	farther func(from, to string) time.Duration // what a packet takes from one address to another beyond the usual; nil: nothing
}

// voter is one Node, what it told, and when.
type voter struct {
	*member
	host    string
	machine int // its number
	key     ed25519.PrivateKey
	store   *openStore
	dead    atomic.Bool
	rtc     *peer.RTC
	seq     uint16      // of its last packet of voice
	at      []time.Time // of member.events
	term    uint64      // the last that it persisted

	heard []heardPacket
}

// heardPacket is a packet of voice that was heard.
type heardPacket struct {
	from wire.PeerID
	seq  uint16
	at   time.Time
}

// mark is how much a voter had told and heard.
type mark struct{ events, heard int }

// newElectorate makes machines for so many peers; none is started yet.
func newElectorate(t *testing.T, seed uint64, machines int, named ...string) *electorate {
	t.Logf("seed %d", seed)
	return &electorate{t: t, seed: seed, named: named, sides: map[string]int{},
		links: peertest.NewVNet(t, machines, 5*time.Millisecond, seed), trackers: signalingtest.NewNet(seed)}
}

// inElectorates tests worlds of so many machines, whose peers are told of the trackers that are named: these run from
// the start.
func inElectorates(t *testing.T, machines int, test func(t *testing.T, e *electorate), named ...string) {
	t.Helper()
	for seed := range uint64(2) {
		synctest.Test(t, func(t *testing.T) {
			e := newElectorate(t, seed, machines, named...)
			defer e.stop()
			for _, host := range named {
				e.trackers.Start(host)
			}
			test(t, e)
		})
	}
}

// settle starts the first peers, and waits until they follow one tracker and have their links. It returns who leads;
// nil: a home tracker.
func (e *electorate) settle(count int) *voter {
	e.t.Helper()
	forLeader, forMesh := 20*time.Second, 20*time.Second
	if len(e.named) > 0 { // there is nobody to elect
		forLeader, forMesh = 5*time.Second, 10*time.Second
	}
	e.start(count)
	leader, _ := e.wantOneLeader("at the start", forLeader, wire.PeerID{})
	e.wantMesh("at the start", forMesh)
	return leader
}

// start starts the next peers, one after the other.
func (e *electorate) start(count int) {
	e.t.Helper()
	for range count {
		i := len(e.voters)
		name := fmt.Sprintf("p%d", i)
		key := ed25519.NewKeyFromSeed([]byte(fmt.Sprintf("%016d%016d", e.seed, i)))
		v := &voter{member: &member{name: name, id: wire.IDOf(key)}, host: name, machine: i, key: key, store: &openStore{Memory: history.NewMemory()}}
		e.begin(v, 0)
		e.voters = append(e.voters, v)
	}
}

// begin starts the Node of a voter, over the store that it has; run is not 0 if it has lost another.
func (e *electorate) begin(v *voter, run uint32) {
	e.t.Helper()
	var err error
	v.node, err = peer.New(peer.Config{
		Key: v.key, Name: v.name, Rooms: []wire.Room{general}, Store: v.store, Run: run, Seed: 100*e.seed + uint64(v.machine),
		Election: peer.ElectionConfig{Host: true, Term: v.term},
		SaveTerm: func(term uint64) error {
			v.mu.Lock()
			defer v.mu.Unlock()
			if term <= v.term {
				e.t.Errorf("seed %d: %s persists term %d after %d: it only grows", e.seed, v.name, term, v.term)
			}
			v.term = term
			return nil
		},
		NewTransport: func(sink func(peer.TransportEvent)) (peer.Transport, error) {
			var err error
			machine := sidedNet{e.links.Nets[v.machine], e, peertest.HostAddress(v.machine)}
			v.rtc, err = peer.NewRTC(peer.RTCConfig{Net: machine, OnVoice: v.hear}, sink)
			return v.rtc, err
		},
		NewSignaling: func(sink func(signaling.ClientEvent)) (peer.Signaling, error) {
			who := signalingtest.NetPeer{ID: v.id, Name: v.name, Host: v.host, Named: e.named, LAN: true}
			return e.trackers.NewClient(who, sink), nil
		},
		OnEvent: func(ev peer.Event) {
			v.mu.Lock()
			defer v.mu.Unlock()
			v.events, v.at = append(v.events, ev), append(v.at, time.Now())
		},
	})
	if err != nil {
		e.t.Fatalf("start %s: %v", v.name, err)
	}
}

// stop ends everything, the links first; see crowd.stop.
func (e *electorate) stop() {
	for i := range e.links.Nets {
		e.links.SetCut(i, true)
	}
	for _, v := range e.voters {
		v.stop(e.t, 10*time.Second)
	}
	e.trackers.Close()
}

// sidedNet is a machine's network when the whole is broken in parts: what is for another part is lost.
type sidedNet struct {
	transport.Net
	e    *electorate
	host string
}

func (n sidedNet) ListenUDP(network string, at *net.UDPAddr) (transport.UDPConn, error) {
	c, err := n.Net.ListenUDP(network, at)
	if err != nil {
		return nil, err
	}
	return sidedConn{c, n}, nil
}

type sidedConn struct {
	transport.UDPConn
	n sidedNet
}

func (c sidedConn) WriteTo(b []byte, to net.Addr) (int, error) {
	host, _, err := net.SplitHostPort(to.String())
	if err != nil {
		return 0, err
	}
	c.n.e.mu.Lock()
	lost := c.n.e.sides[host] != c.n.e.sides[c.n.host]
	var more time.Duration
	if c.n.e.farther != nil {
		more = c.n.e.farther(c.n.host, host)
	}
	c.n.e.mu.Unlock()
	if lost {
		return len(b), nil
	}
	if more > 0 {
		b = slices.Clone(b)
		time.AfterFunc(more, func() { _, _ = c.UDPConn.WriteTo(b, to) }) // it may be closed by then
		return len(b), nil
	}
	return c.UDPConn.WriteTo(b, to)
}

// part breaks the network: the machines with these numbers are on another side than the rest, for links and trackers.
func (e *electorate) part(machines ...int) {
	var hosts []string
	e.mu.Lock()
	for _, i := range machines {
		e.sides[peertest.HostAddress(i)] = 1
		hosts = append(hosts, fmt.Sprintf("p%d", i))
	}
	e.mu.Unlock()
	e.trackers.Cut(hosts...)
}

func (e *electorate) heal() {
	e.mu.Lock()
	clear(e.sides)
	e.mu.Unlock()
	e.trackers.Heal()
}

// kill ends a peer's process as kill -9 does: its tracker's connections close, its links fall silent.
func (e *electorate) kill(v *voter) {
	v.dead.Store(true)
	e.trackers.Kill(v.host)
	e.links.SetCut(v.machine, true)
}

// living are the voters that are not dead, or those of them that are given.
func (e *electorate) living(of ...*voter) []*voter {
	if len(of) == 0 {
		of = e.voters
	}
	return slices.DeleteFunc(slices.Clone(of), func(v *voter) bool { return v.dead.Load() })
}

func (v *voter) hear(from wire.PeerID, p peer.VoicePacket, _ uint32) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.heard = append(v.heard, heardPacket{from, p.Seq, time.Now()})
}

func (v *voter) say(text string) {
	v.said = append(v.said, text)
	v.node.Do(peer.Say{Room: general, Kind: wire.KindText, Text: text})
}

// talk has everybody who lives say a line and send a packet of voice at the pace, for so long.
func (e *electorate) talk(during time.Duration) {
	for end := time.Now().Add(during); time.Now().Before(end); time.Sleep(pace) {
		for _, v := range e.living() {
			v.say(fmt.Sprintf("line %d of %s", len(v.said), v.name))
			v.seq++
			v.rtc.SendVoice(peer.VoicePacket{Seq: v.seq, Timestamp: 320 * uint32(v.seq), Payload: make([]byte, 640)})
		}
	}
}
