package peer

import (
	"slices"
	"time"

	"peerchat/peer/wire"
	"peerchat/signaling"
)

// This file is the world's trackers, the home one and those of peers, and the client and scout of each peer.

const homeNumber = -1

// simTracker is a tracker. It knows who is in which room; restored members are there until they come, or for 10 s.
type simTracker struct {
	n       int
	url     string
	leader  *simPeer // nil: it stands alone
	up      bool
	hung    bool
	term    uint64
	proof   []byte
	members map[wire.Room][]wire.PeerID
	clients []*simClient
}

// simClient is a peer's signaling client.
type simClient struct {
	p      *simPeer
	rooms  map[wire.Room]bool
	at     *simTracker
	want   wire.PeerID // the leader that is looked for, if there are targets
	target []string
	ever   bool
	failed int
	lostAt time.Time
	dials  int // what was meant for an earlier dial is void
	scout  []string
	offers bool
}

func (w *world) trackers() []*simTracker {
	list := []*simTracker{w.home}
	for _, p := range w.peers {
		if p.own != nil {
			list = append(list, p.own)
		}
	}
	return list
}

func (w *world) tracker(url string) *simTracker {
	list := w.trackers()
	if i := slices.IndexFunc(list, func(t *simTracker) bool { return t.url == url }); i >= 0 {
		return list[i]
	}
	return nil
}

// serves reports whether p gets an answer of t.
func (t *simTracker) serves(p *simPeer) bool {
	return t != nil && t.up && !t.hung && !p.w.cut[pairKey(p.n, t.n)]
}

// dial looks for a tracker after a while: the targets, else the home one, and from 2 s after the loss any that is
// there.
func (c *simClient) dial(wait time.Duration) {
	p := c.p
	c.dials++
	dials, life := c.dials, p.life
	p.w.after(wait+p.w.delay(20), func() {
		if c.dials != dials || p.life != life || p.dead {
			return
		}
		urls := slices.Clone(c.target)
		if len(urls) == 0 || c.at == nil && p.w.now.Sub(c.lostAt) > 2*time.Second {
			urls = append(urls, p.w.home.url)
			for _, t := range p.w.trackers() {
				if t.leader != p || len(c.target) > 0 {
					urls = append(urls, t.url)
				}
			}
		}
		for i, url := range urls {
			t := p.w.tracker(url)
			if i < len(c.target) && t != nil && t.leader != nil && t.leader.id != c.want {
				continue
			}
			if t.serves(p) {
				c.attach(t)
				return
			}
		}
		c.failed++
		if c.at == nil {
			if !c.ever {
				p.step(signaling.NoneFound{})
			} else {
				p.step(signaling.StateChanged{State: signaling.Lost, Failed: c.failed})
			}
		}
		if c.dials == dials {
			c.dial(time.Duration(min(c.failed, 10)) * 100 * time.Millisecond)
		}
	})
}

// attach takes t into use.
func (c *simClient) attach(t *simTracker) {
	p := c.p
	if old := c.at; old != nil && old != t {
		old.clients = slices.DeleteFunc(old.clients, func(o *simClient) bool { return o == c })
		old.forget(p)
	}
	c.at, c.ever, c.failed, c.target = t, true, 0, []string{t.url}
	if t.leader != nil {
		c.want = t.leader.id
	}
	if !slices.Contains(t.clients, c) {
		t.clients = append(t.clients, c)
	}
	c.told()
	if c.at == t {
		for _, room := range c.sortedRooms() {
			t.join(p, room)
		}
	}
	if p.w.hosts && !c.offers {
		c.offers = true
		p.later(5*time.Millisecond, signaling.Offered{Candidate: true, Dialable: true, Port: uint16(5000 + p.n), Addresses: []string{p.own.url}})
	}
}

func (c *simClient) sortedRooms() []wire.Room {
	var rooms []wire.Room
	for r := range c.rooms {
		rooms = append(rooms, r)
	}
	slices.Sort(rooms)
	return rooms
}

// told tells the core of the connection.
func (c *simClient) told() {
	t := c.at
	ev := signaling.StateChanged{State: signaling.Connected, URL: t.url, Term: t.term, Addresses: []string{t.url}, Proof: t.proof}
	if t.leader != nil {
		ev.Leader, ev.Hosting = t.leader.id, t.leader == c.p
	}
	c.p.step(ev)
}

// lose ends the connection.
func (c *simClient) lose(ev signaling.StateChanged) {
	if c.at == nil {
		return
	}
	ev.State, ev.URL = signaling.Lost, c.at.url
	c.at.clients = slices.DeleteFunc(c.at.clients, func(o *simClient) bool { return o == c })
	c.at, c.lostAt, c.failed = nil, c.p.w.now, 0
	c.p.step(ev)
	c.dial(0)
}

// hear has the tracker tell a peer something, within so many milliseconds: what it tells one peer keeps its order.
func (p *simPeer) hear(within int, ev signaling.ClientEvent) {
	at := p.w.now.Add(p.w.delay(within))
	if at.Before(p.heardAt) {
		at = p.heardAt
	}
	p.heardAt = at
	p.later(at.Sub(p.w.now), ev)
}

// vanish ends the connection with its process: the tracker forgets it after a while.
func (c *simClient) vanish() {
	t, p := c.at, c.p
	if t == nil {
		return
	}
	t.clients = slices.DeleteFunc(t.clients, func(o *simClient) bool { return o == c })
	c.at = nil
	life := p.life
	p.w.after(3*time.Second, func() {
		if p.life == life {
			t.forget(p)
		}
	})
}

// look is the scout, and the silence of a tracker that cannot be reached.
func (c *simClient) look() {
	p := c.p
	life := p.life
	p.w.after(400*time.Millisecond+p.w.delay(50), func() {
		if p.life != life || p.dead {
			return
		}
		if t := c.at; t != nil && !t.serves(p) && t.leader != p {
			p.w.after(3*time.Second, func() {
				if p.life == life && !p.dead && c.at == t && !t.serves(p) {
					c.lose(signaling.StateChanged{})
				}
			})
		}
		leads := p.own.up
		for _, t := range p.w.trackers() {
			if t == c.at || t.leader == p || !t.serves(p) || !leads && (!slices.Contains(c.scout, t.url) || c.at == p.w.home) {
				continue
			}
			met := signaling.Met{URLs: []string{t.url}, Term: t.term, Proof: t.proof}
			if t.leader != nil {
				met.Leader = t.leader.id
				if leads && p.own.proof != nil {
					t.leader.later(p.w.delay(10), signaling.Met{URLs: []string{p.own.url}, Term: p.own.term, Leader: p.id, Proof: p.own.proof})
				}
			}
			p.step(met)
		}
		c.look()
	})
}

// carryOut does what the core wants of signaling.
func (c *simClient) carryOut(op Op) {
	p, w := c.p, c.p.w
	switch op := op.(type) {
	case opJoin:
		c.rooms[op.room] = true
		if c.at != nil {
			c.at.join(p, op.room)
		}
	case opLeave:
		delete(c.rooms, op.room)
		if c.at != nil {
			c.at.leave(p, op.room)
		}
	case opSignal:
		to := w.peer(op.to)
		if c.at != nil && c.at.leader != nil && c.at.leader.evil {
			return // its tracker introduces nobody
		}
		if to != nil && c.at != nil && to.client.at == c.at && c.at.serves(p) && c.at.serves(to) {
			to.hear(20, signaling.Signaled{From: p.id, Name: p.name, Data: op.data})
		}
	case opList:
		p.hear(10, signaling.RoomList{Ref: op.ref})
	case opRedial:
		if c.at == nil {
			c.dial(0)
		}
	case opPing:
		if c.at.serves(p) {
			p.later(w.delay(10), signaling.Pong{})
		}
	case opFollow:
		c.target, c.want, c.failed = op.target.URLs, op.target.Leader, 0
		if c.at == nil || !slices.Contains(c.target, c.at.url) {
			c.dial(w.delay(int(op.target.Jitter/time.Millisecond) + 1))
		}
	case opScout:
		c.scout = op.urls
	case opLead:
		p.own.lead(op.lead)
	case opStepDown:
		t := p.own
		t.up = false
		for _, o := range slices.Clone(t.clients) {
			o.target, o.want = op.target.URLs, op.target.Leader
			o.lose(signaling.StateChanged{Moved: len(op.target.URLs) > 0, Closed: true})
		}
	case opTellHome:
		if slices.Contains(op.urls, w.home.url) && w.home.serves(p) && op.term > w.home.term {
			w.home.term = op.term
			for _, o := range slices.Clone(w.home.clients) {
				o.told()
			}
		}
	}
}

// lead makes a peer's own tracker serve.
func (t *simTracker) lead(l signaling.Lead) {
	p := t.leader
	fresh := !t.up
	t.up, t.term, t.proof = true, l.Term, l.Proof
	if !fresh {
		for _, o := range slices.Clone(t.clients) {
			if o.p != p {
				o.told()
			}
		}
		return
	}
	t.members = map[wire.Room][]wire.PeerID{}
	for _, r := range l.Members {
		for _, room := range r.Rooms {
			t.members[room] = append(t.members[room], r.Peer)
		}
	}
	life := p.life
	p.w.after(10*time.Second, func() {
		for _, r := range l.Members {
			if o := p.w.peer(r.Peer); p.life == life && t.up && (o == nil || o.client.at != t) {
				t.forget(o)
			}
		}
	})
	p.client.target, p.client.want = []string{t.url}, p.id
	p.later(time.Millisecond, signaling.Leading{URL: t.url, URLs: []string{t.url}})
	p.client.dial(time.Millisecond)
}

// stop ends a tracker as kill -9 does.
func (t *simTracker) stop() {
	t.up, t.term, t.proof, t.members = false, 0, nil, nil
	for _, c := range slices.Clone(t.clients) {
		p, life := c.p, c.p.life
		p.w.after(p.w.delay(2), func() {
			if p.life == life && !p.dead && c.at == t {
				c.lose(signaling.StateChanged{Closed: true})
			}
		})
	}
}

func (t *simTracker) join(p *simPeer, room wire.Room) {
	if t.members == nil {
		t.members = map[wire.Room][]wire.PeerID{}
	}
	w, list := p.w, t.members[room]
	var sample []signaling.Member
	for _, id := range list {
		if id == p.id {
			continue
		}
		other := w.peer(id)
		sample = append(sample, signaling.Member{Peer: id, Name: other.name})
		if !slices.Contains(list, p.id) && other.client.at == t {
			other.hear(20, signaling.MemberJoined{Room: room, Member: signaling.Member{Peer: p.id, Name: p.name}, Count: len(list) + 1})
		}
	}
	if !slices.Contains(list, p.id) {
		t.members[room] = append(list, p.id)
	}
	p.hear(20, signaling.Joined{Room: room, Members: sample, Count: len(sample) + 1})
}

func (t *simTracker) leave(p *simPeer, room wire.Room) {
	list := t.members[room]
	i := slices.Index(list, p.id)
	if i < 0 {
		return
	}
	list = slices.Delete(slices.Clone(list), i, i+1)
	t.members[room] = list
	for _, id := range list {
		if o := p.w.peer(id); o.client.at == t {
			o.hear(20, signaling.MemberLeft{Room: room, Peer: p.id, Count: len(list)})
		}
	}
}

func (t *simTracker) forget(p *simPeer) {
	if p == nil {
		return
	}
	var rooms []wire.Room
	for r := range t.members {
		rooms = append(rooms, r)
	}
	slices.Sort(rooms)
	for _, room := range rooms {
		t.leave(p, room)
	}
}

// setTracker kills the home tracker, or starts an empty one.
func (w *world) setTracker(up bool) {
	if up {
		w.home.up = true
		return
	}
	w.home.stop()
}
