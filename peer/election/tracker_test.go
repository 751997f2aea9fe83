package election

import (
	"slices"
	"strconv"
	"time"

	"peerchat/peer/wire"
)

// act does what a machine asks its process for.
func (n *node) act(a Action) {
	w := n.w
	switch a := a.(type) {
	case Become:
		if !n.offer.Candidate {
			w.fail("%s was told to lead, but is no candidate", n.name)
		}
		w.tell(n, "hosts the tracker, term %d", a.Term)
		if a.Term < n.track.term {
			w.fail("the tracker of %s fell from term %d to %d", n.name, n.track.term, a.Term)
		}
		n.track.up, n.track.term = true, a.Term
		n.leave()
		n.target = nobody
	case StepDown:
		w.tell(n, "steps down")
		n.track.up = false
		to := targetOf(a.Addresses)
		for _, c := range sorted(n.track.clients) {
			c := w.nodes[c]
			c.joined = false
			w.after(w.delay, func() {
				if !c.alive || c.target != n.i {
					return
				}
				if to == nobody {
					c.step(Suspect{Closed: true})
				} else {
					c.follow(to)
					c.before = n.i
				}
			})
		}
		clear(n.track.clients)
	case Follow:
		if a.InMesh && !a.Home && w.nodes[targetOf(a.Addresses)].offer.Dialable {
			w.fail("%s was told that a dialable leader is not", n.name)
		}
		n.follow(targetOf(a.Addresses))
	case Reconnect:
		w.tell(n, "only reconnects")
		n.follow(n.target)
	case Probe:
		if n.joined && w.answers(n.i, n.target) {
			life, target := n.life, n.target
			w.after(2*w.delay, func() {
				if n.life == life && n.joined && n.target == target {
					n.step(Heard{})
				}
			})
		}
	case TellHome:
		if w.home.up && w.reach(n.i, homeTarget) {
			if a.Term > w.home.term {
				w.home.term = a.Term
				for _, c := range sorted(w.home.clients) {
					c, dial := w.nodes[c], w.nodes[c].dial
					w.after(w.delay, func() {
						if c.dial == dial && c.joined && c.alive {
							c.step(Connected{Term: w.home.term, Addresses: []string{"home"}})
						}
					})
				}
			}
		}
	}
}

func sorted(set map[int]bool) []int {
	var list []int
	for i := range set {
		list = append(list, i)
	}
	slices.Sort(list)
	return list
}

func targetOf(addresses []string) int {
	if len(addresses) == 0 {
		return nobody
	}
	if addresses[0] == "home" {
		return homeTarget
	}
	i, err := strconv.Atoi(addresses[0][1:])
	if err != nil {
		panic(err)
	}
	return i
}

func (w *world) trackerOf(target int) *tracker {
	if target == homeTarget {
		return w.home
	}
	return &w.nodes[target].track
}

func (w *world) reach(from, target int) bool { return !w.cut(from, target) }

// answers reports whether the tracker of target would answer from.
func (w *world) answers(from, target int) bool {
	if target == nobody || !w.reach(from, target) {
		return false
	}
	t := w.trackerOf(target)
	return t.up && !t.hung && (target == homeTarget || w.nodes[target].alive)
}

func (n *node) leave() {
	if n.target != nobody {
		delete(n.w.trackerOf(n.target).clients, n.i)
	}
	n.joined = false
	n.dial++
}

// follow is the tracker client: it dials the target until it gets through, and tells when it does not.
func (n *node) follow(target int) {
	n.leave()
	if target == n.i {
		target = nobody
	}
	n.target, n.before = target, nobody
	n.try(n.dial, n.life, 0)
}

func (n *node) try(dial, life, attempt int) {
	w := n.w
	w.after(2*w.delay, func() {
		if n.dial != dial || n.life != life || !n.alive || n.target == nobody {
			return
		}
		if n.before != nobody && n.before != n.i && !w.answers(n.i, n.target) && w.answers(n.i, n.before) {
			n.target = n.before
		}
		if w.answers(n.i, n.target) {
			t := w.trackerOf(n.target)
			t.clients[n.i] = true
			n.joined = true
			in := Connected{Term: t.term, Addresses: []string{"home"}}
			if n.target != homeTarget {
				in.Leader, in.Addresses = w.nodes[n.target].id, w.nodes[n.target].offer.Addresses
			}
			n.step(in)
			return
		}
		if attempt == 2 {
			n.step(Suspect{})
		}
		if n.dial == dial {
			w.after(500*time.Millisecond, func() { n.try(dial, life, attempt+1) })
		}
	})
}

// lose tells the clients of a tracker that it is gone: at once where the socket closes.
func (w *world) lose(target int, closed bool, only func(int) bool) {
	t := w.trackerOf(target)
	for _, i := range sorted(t.clients) {
		if only != nil && !only(i) {
			continue
		}
		n := w.nodes[i]
		wait := w.silence + time.Duration(w.rand.Int64N(int64(w.silence)/2))
		if closed {
			wait = time.Duration(w.rand.Int64N(int64(time.Millisecond)))
		}
		dial, life := n.dial, n.life
		w.after(wait, func() {
			if n.dial == dial && n.life == life && n.alive && (closed || !w.answers(i, target)) {
				delete(t.clients, i)
				n.joined = false
				n.step(Suspect{Closed: closed})
				if n.dial == dial && !n.joined {
					n.try(dial, life, 0)
				}
			}
		})
	}
}

// kill ends a process at once: sockets to its tracker close, links to it show it after a while.
func (w *world) kill(n *node) {
	w.note("%s is killed", n.name)
	w.lose(n.i, true, nil)
	n.leave()
	n.alive, n.track.up, n.target = false, false, nobody
	n.track.term = 0
	n.track.clients = map[int]bool{}
	n.life++
	n.wakeAt = time.Time{}
	links := slices.Clone(n.links)
	n.links = nil
	for _, o := range links {
		o := w.nodes[o]
		life, mine := o.life, n.life
		w.after(w.linkOut, func() {
			if o.life == life && n.life == mine || o.life == life && !slices.Contains(n.links, o.i) {
				if i := slices.Index(o.links, n.i); i >= 0 {
					o.links = slices.Delete(o.links, i, i+1)
					o.step(NeighbourDown{Peer: n.id})
				}
			}
		})
	}
}

// restart brings a killed peer back, with its persisted term.
func (w *world) restart(n *node) {
	w.note("%s is started again", n.name)
	for _, o := range w.nodes {
		if i := slices.Index(o.links, n.i); i >= 0 {
			o.links = slices.Delete(o.links, i, i+1)
			o.step(NeighbourDown{Peer: n.id})
		}
	}
	n.maxTerm = 0
	n.run()
	for _, o := range w.nodes {
		if o != n && o.alive && o.track.up && w.reach(n.i, o.i) {
			n.follow(o.i)
			return
		}
	}
	if w.home.up && w.reach(n.i, homeTarget) {
		n.follow(homeTarget)
	} else if n.offer.Candidate {
		n.step(Host{})
	} else {
		n.follow(homeTarget) // it keeps trying
	}
}

// block cuts the network from a to b, in this direction; links that do not work show after a while.
func (w *world) block(a, b int) {
	w.blocked[[2]int{a, b}] = true
	if a >= 0 && b >= 0 {
		x, y := w.nodes[a], w.nodes[b]
		w.after(w.linkOut, func() {
			if w.cut(a, b) {
				w.unlink(x, y)
			}
		})
	}
	for _, target := range []int{a, b} {
		if target == nobody {
			continue
		}
		w.lose(target, false, func(i int) bool { return i == a || i == b })
	}
}

// split cuts a group off from all others, and from the home tracker.
func (w *world) split(group ...*node) {
	for _, a := range w.nodes {
		for _, b := range w.nodes {
			if slices.Contains(group, a) && !slices.Contains(group, b) {
				w.block(a.i, b.i)
				w.block(b.i, a.i)
			}
		}
	}
	for _, a := range group {
		w.block(a.i, homeTarget)
	}
}

// heal takes all cuts away; graph says which links come back.
func (w *world) heal(graph [][2]int) {
	w.note("the network is whole again")
	clear(w.blocked)
	for _, e := range graph {
		a, b := w.nodes[e[0]], w.nodes[e[1]]
		w.after(time.Duration(w.rand.Int64N(int64(50*time.Millisecond))), func() { w.link(a, b) })
	}
}

// leaders are the running peers that lead.
func (w *world) leaders() (list []*node) {
	for _, n := range w.nodes {
		if n.alive && n.m.leading {
			list = append(list, n)
		}
	}
	return list
}

// startHome starts the home tracker; those who know it notice.
func (w *world) startHome() {
	w.note("the home tracker is up")
	w.home.up = true
	for _, n := range w.nodes {
		if n.knows && n.alive && w.reach(n.i, homeTarget) && n.target != homeTarget {
			w.after(time.Duration(w.rand.Int64N(int64(time.Second))), func() {
				if w.home.up && n.alive && n.target != homeTarget && w.reach(n.i, homeTarget) {
					n.step(HomeBack{Addresses: []string{"home"}})
				}
			})
		}
	}
}

// poll looks for the home tracker now and then.
func (n *node) poll(life int) {
	w := n.w
	w.after(time.Second+time.Duration(w.rand.Int64N(int64(time.Second))), func() {
		if n.life != life || !n.alive {
			return
		}
		switch {
		case n.target == homeTarget:
		case w.answers(n.i, homeTarget):
			n.step(HomeBack{Addresses: []string{"home"}})
		default:
			n.step(HomeGone{})
		}
		n.poll(life)
	})
}

func (w *world) killHome() {
	w.note("the home tracker is killed")
	w.lose(homeTarget, true, nil)
	w.home.up, w.home.term = false, 0
	w.home.clients = map[int]bool{}
	for _, n := range w.nodes {
		if n.alive && n.knows && n.target != homeTarget {
			n.step(HomeGone{})
		}
	}
}

// agreed says what is not as it should be: everybody who runs and is connected, over links, follows one leader.
func (w *world) agreed() string {
	for _, group := range w.components() {
		if why := w.agreedIn(group); why != "" {
			return why
		}
	}
	return ""
}

func (w *world) components() (groups [][]*node) {
	seen := map[int]bool{}
	for _, n := range w.nodes {
		if !n.alive || seen[n.i] {
			continue
		}
		group := []*node{n}
		seen[n.i] = true
		for at := 0; at < len(group); at++ {
			for _, o := range group[at].links {
				if o := w.nodes[o]; !seen[o.i] && o.alive {
					seen[o.i] = true
					group = append(group, o)
				}
			}
		}
		groups = append(groups, group)
	}
	return groups
}

// introduce does what trackers are for: it links those who are connected to a peer's tracker, and have no links to that
// peer by any way, with it. A machine may follow a leader by its tracker's word alone, but cannot pass that word on to
// its neighbours, because it is not signed: they hear who leads when there is a link to the leader's group.
func (w *world) introduce() {
	for _, group := range w.components() {
		for _, n := range group {
			if n.joined && n.target >= 0 && !slices.Contains(group, w.nodes[n.target]) && w.reach(n.i, n.target) {
				w.link(n, w.nodes[n.target])
			}
		}
	}
}

func (w *world) agreedIn(group []*node) string {
	var best *node
	var lead []*node
	for _, n := range group {
		if n.m.leading != n.track.up {
			return n.name + " leads without hosting, or hosts without leading"
		}
		if n.m.leading {
			lead = append(lead, n)
		}
		own := n.m.rank()
		if best == nil && n.offer.Candidate {
			best = n
		} else if n.offer.Candidate {
			if b := best.m.rank(); own.Compare(&b) > 0 {
				best = n
			}
		}
	}
	home := false
	for _, n := range group {
		home = home || n.target == homeTarget && n.joined
	}
	switch {
	case home && len(lead) > 0:
		return lead[0].name + " leads although the home tracker is there"
	case home || best == nil:
	case len(lead) != 1:
		return strconv.Itoa(len(lead)) + " peers lead in the group of " + group[0].name
	case lead[0] != best:
		return lead[0].name + " leads, but " + best.name + " is the best candidate"
	}
	for _, n := range group {
		var leader wire.PeerID
		if !home && best != nil {
			leader = best.id
		}
		if best == nil && !home {
			continue
		}
		if n.m.reign.leader() != leader || n.m.suspect {
			return n.name + " follows " + w.name(n.m.reign.leader()) + " instead of " + w.name(leader) + ": " + string(n.m.State().Phase)
		}
		if !n.m.leading && !n.joined {
			return n.name + " is not connected to the tracker"
		}
	}
	return ""
}
