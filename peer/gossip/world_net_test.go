package gossip

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"peerchat/peer/wire"
)

// This file is the network of a world: its links, and the frames that are on their way.

type packet struct {
	at       time.Time
	n        int
	from, to *node
	era      int // of the link: packets of a link that went down are lost
	data     []byte
	fast     bool
}

type wireLink struct {
	era     int
	arrives time.Time // of the last reliable packet
	trouble time.Time // until when something was lost, late or held back
}

func (w *world) send(n *node, s Send) {
	w.t.Helper()
	to := w.nodes[slices.IndexFunc(w.nodes, func(x *node) bool { return x.id == s.To })]
	data, err := wire.AppendFrame(nil, s.Frame)
	if err != nil {
		w.t.Fatalf("%s sends what cannot be encoded: %v", n.name, err)
	}
	if s.Fast && len(data) > wire.MaxFastFrame {
		w.t.Fatalf("%s sends a frame of %d bytes on the fast channel", n.name, len(data))
	}
	l := n.links[to]
	if l == nil {
		w.t.Fatalf("%s sends to %s, to which it has no link", n.name, to.name)
		return
	}
	note := ""
	p := packet{at: w.now.Add(w.delay()), n: w.sent, from: n, to: to, era: l.era, data: data, fast: s.Fast}
	w.sent++
	lost := w.rand.Float64() < w.loss
	switch {
	case s.Fast && lost:
		note = ", which is lost"
	case s.Fast:
		if w.rand.Float64() < w.repeat {
			w.push(p)
			p.at = p.at.Add(w.delay())
		}
	default:
		if lost {
			p.at = p.at.Add(w.rto)
		}
		if p.at.Before(l.arrives) {
			p.at = l.arrives // in order
		}
		l.arrives = p.at
	}
	if lost || p.at.Sub(w.now) > inTime {
		l.troubled(p.at)
	}
	w.logf("%s → %s  %s%s%s", n.name, to.name, w.describe(s.Frame), map[bool]string{true: ", fast"}[s.Fast], note)
	if s.Fast && lost {
		return
	}
	w.push(p)
}

func (w *world) push(p packet) {
	at, _ := slices.BinarySearchFunc(w.queue, p, func(a, b packet) int {
		return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.n, b.n), -1)
	})
	w.queue = slices.Insert(w.queue, at, p)
}

// link links two nodes, or unlinks them.
func (w *world) link(a, b *node) {
	w.logf("— %s and %s are linked —", a.name, b.name)
	for _, p := range [][2]*node{{a, b}, {b, a}} {
		era := 0
		if l := p[0].links[p[1]]; l != nil {
			era = l.era
		}
		p[0].links[p[1]] = &wireLink{era: era + w.sent + 1}
	}
	b.links[a].era = a.links[b].era
	w.step(a, LinkUp{Peer: b.id, Rooms: []wire.Room{general}})
	w.step(b, LinkUp{Peer: a.id, Rooms: []wire.Room{general}})
}

func (w *world) unlink(a, b *node) {
	if a.links[b] == nil {
		return
	}
	w.logf("— the link of %s and %s is cut —", a.name, b.name)
	delete(a.links, b)
	delete(b.links, a)
	w.step(a, LinkDown{b.id})
	w.step(b, LinkDown{a.id})
}

// sparse adds n nodes and links each with about degree random others, all of them connected.
func (w *world) sparse(n, degree int) {
	for i := range n {
		key, _ := w.identity(1000 + i)
		w.addKey(fmt.Sprintf("p%d", i), key)
	}
	order := w.rand.Perm(n)
	for i, k := range order {
		w.link(w.nodes[k], w.nodes[order[(i+1)%n]])
	}
	for range n * (degree - 2) / 2 {
		for range 20 {
			a, b := w.nodes[w.rand.IntN(n)], w.nodes[w.rand.IntN(n)]
			if a != b && a.links[b] == nil && len(a.links) < degree && len(b.links) < degree {
				w.link(a, b)
				break
			}
		}
	}
}

// mesh links everybody who is not.
func (w *world) mesh() {
	for i, a := range w.nodes {
		for _, b := range w.nodes[:i] {
			if a.links[b] == nil {
				w.link(b, a)
			}
		}
	}
}

func (w *world) arrive(p packet) {
	w.t.Helper()
	if l := p.from.links[p.to]; l == nil || l.era != p.era {
		return
	}
	f, err := wire.DecodeFrame(p.data)
	if err != nil {
		w.t.Fatalf("%s cannot decode what %s sent: %v", p.to.name, p.from.name, err)
	}
	if w.drop != nil && (p.fast || !w.dropFast) && w.drop(p.from, p.to, f) {
		return
	}
	if e, ok := f.(wire.Events); ok {
		for i := range e.Events {
			if !p.to.compares(p.from, &e.Events[i]) {
				w.payloads[p.to.id][e.Events[i].ID]++
			}
		}
	}
	w.step(p.to, Receive{p.from.id, f})
	if w.busy == 0 || w.rand.Float64() >= w.busy {
		w.step(p.to, Flush{})
	}
}
