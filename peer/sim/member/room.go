package member

import (
	"fmt"
	"time"

	"peerchat/peer/overlay"
	"peerchat/peer/sim"
	"peerchat/peer/wire"
)

// RoomConfig is what a Room starts with.
type RoomConfig struct {
	Sim sim.Config
	// Overlay is every member's; Self and Rand are set for each.
	Overlay overlay.Config
	// Contacts is how many random members a newcomer is told of, as a tracker would; 0 counts as 1.
	Contacts int
	// Alone says that nobody helps a member that has run out of contacts.
	Alone bool
	// Roster is how many random members, dead or alive, a member that has run out of contacts is told of, as one that
	// knows by its presence who was in the room before many died. It goes before Alone.
	Roster int
	// Sized lets the members know how many they are, when they come and with each Resize. Without it Overlay.RoomSize
	// holds.
	Sized bool
	// Origin tells where a link with peer i leads; nil: nobody knows.
	Origin func(i int) string
	// Rider makes what rides on member i, for each of its lives; nil: nothing does.
	Rider func(i int, id wire.PeerID, seed uint64) Rider
	// Tune may change what a member starts with; nil: nothing is changed.
	Tune func(i int, c *Config)
}

// Room is a World in which all are members of one room.
type Room struct {
	*sim.World
	cfg RoomConfig
}

// NewRoom makes an empty room.
func NewRoom(cfg RoomConfig) *Room {
	return &Room{World: sim.New(cfg.Sim), cfg: cfg}
}

// Join adds a peer, which asks contacts to be let in. It returns its number.
func (r *Room) Join() int {
	i := r.Add(sim.ID(r.Len()))
	r.Begin(i)
	return i
}

// Build lets n peers join, one each gap.
func (r *Room) Build(n int, gap time.Duration) {
	for range n {
		r.Join()
		r.Run(gap)
	}
}

// Begin starts a life of peer i, which is dead.
func (r *Room) Begin(i int) { r.Start(i, r.Born(i)) }

// Born makes a new life for peer i, which is dead. It is what sim.World.Churn wants.
func (r *Room) Born(i int) sim.Participant {
	cfg := Config{Overlay: r.cfg.Overlay, Contacts: r.Sample(i)}
	cfg.Overlay.Self, cfg.Overlay.Rand = r.ID(i), sim.Source(r.Seed())
	if r.cfg.Sized {
		cfg.Overlay.RoomSize = r.Living() + 1
	}
	if r.cfg.Origin != nil {
		cfg.Origin = func(id wire.PeerID) string {
			k, _ := r.Index(id)
			return r.cfg.Origin(k)
		}
	}
	if r.cfg.Roster > 0 {
		cfg.OnNeed = func() []overlay.Contact { return r.roster(i) }
	} else if !r.cfg.Alone {
		cfg.OnNeed = func() []overlay.Contact { return r.Sample(i) }
	}
	if r.cfg.Rider != nil {
		cfg.Rider = r.cfg.Rider(i, r.ID(i), r.Seed())
	}
	if r.cfg.Tune != nil {
		r.cfg.Tune(i, &cfg)
	}
	return New(cfg)
}

// Sample is what a tracker tells peer i: some random living members, without itself.
func (r *Room) Sample(i int) []overlay.Contact {
	var list []overlay.Contact
	taken := map[int]bool{i: true}
	for range 20 * max(r.cfg.Contacts, 1) {
		if len(list) >= max(r.cfg.Contacts, 1) || r.Len() == 0 {
			break
		}
		if k := r.Rand().IntN(r.Len()); !taken[k] && r.Alive(k) {
			taken[k] = true
			list = append(list, overlay.Contact{Peer: r.ID(k)})
		}
	}
	return list
}

// roster are random members that peer i knows by name, of which many may be dead.
func (r *Room) roster(i int) (list []overlay.Contact) {
	for range r.cfg.Roster {
		if k := r.Rand().IntN(r.Len()); k != i {
			list = append(list, overlay.Contact{Peer: r.ID(k)})
		}
	}
	return list
}

// Input gives the overlay of member i an input.
func (r *Room) Input(i int, in overlay.Input) {
	r.Do(i, func(p sim.Participant, now time.Time, out *sim.Output) {
		p.(*Member).Input(now, in, out)
		p.(*Member).SetWake(out)
	})
}

// Resize tells all how many they are.
func (r *Room) Resize() {
	for i := range r.Len() {
		r.Input(i, overlay.RoomSize{N: r.Living()})
	}
}

// Member is the life of peer i; nil if it is dead.
func (r *Room) Member(i int) *Member {
	m, _ := r.Participant(i).(*Member)
	return m
}

// Graph is who has whom in the active view, at this moment. The dead have nobody, and are no nodes of it.
func (r *Room) Graph() *Graph {
	g := &Graph{Out: make([][]int, r.Len()), Node: make([]bool, r.Len())}
	for i := range g.Out {
		m := r.Member(i)
		if m == nil {
			continue
		}
		g.Node[i] = true
		for _, id := range m.m.Active() {
			k, ok := r.Index(id)
			if !ok {
				panic(fmt.Sprintf("sim: peer %d has a neighbour that never was", i))
			}
			g.Out[i] = append(g.Out[i], k)
		}
	}
	return g
}

// Connected is the largest group of the living of whom each knows another, or is known by it, in an active or a passive
// view, at this moment. Whoever is not in it can be reached by nobody else's help but a tracker's, or that of who
// remembers more than views.
func (r *Room) Connected() []int {
	near := make([][]int, r.Len())
	for i := range near {
		m := r.Member(i)
		if m == nil {
			continue
		}
		for _, id := range append(m.m.Active(), m.m.Passive()...) {
			if k, ok := r.Index(id); ok && r.Alive(k) {
				near[i] = append(near[i], k)
				near[k] = append(near[k], i)
			}
		}
	}
	var largest []int
	seen := make([]bool, len(near))
	for i := range near {
		if seen[i] || !r.Alive(i) {
			continue
		}
		seen[i] = true
		group := []int{i}
		for at := 0; at < len(group); at++ {
			for _, k := range near[group[at]] {
				if !seen[k] {
					seen[k] = true
					group = append(group, k)
				}
			}
		}
		if len(group) > len(largest) {
			largest = group
		}
	}
	return largest
}
