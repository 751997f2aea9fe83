package peer

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"golang.org/x/time/rate"

	"peerchat/peer/gossip"
	"peerchat/peer/wire"
)

// maxUnclaimed bounds the own messages of a room whose delivery is still followed.
const maxUnclaimed = 1 << 16

// room is what a Core knows of a room that it is in.
type room struct {
	name  wire.Room
	topic topic
	mesh
	debts debts
	// held is up to which own event each peer is known to hold the log.
	held map[wire.PeerID]uint64
	said uint64 // the last own event that was shown
	// lines are what was said of late.
	lines *rate.Limiter
	// unclaimed are own messages that not all members are known to hold yet, by Seq.
	unclaimed []unclaimed
	syncing   syncing
}

type unclaimed struct {
	id   uuid.UUID
	seq  uint64
	told int // the last Delivered.Peers
	of   int // the last Delivered.Of
}

// topic is the room's topic and the place in the log that set it.
type topic struct {
	text    string
	lamport uint64
	author  wire.PeerID
}

func (t topic) before(e *wire.Event) bool {
	if t.lamport != e.Lamport {
		return t.lamport < e.Lamport
	}
	return t.author.Less(e.Author)
}

func (c *Core) joinRoom(now time.Time, name wire.Room, out *CoreOutput) {
	if c.joined(name) {
		return
	}
	if len(c.rooms) >= wire.MaxRooms {
		c.failure(name, "rooms", fmt.Sprintf("joining %s: you are in %d rooms, which is the most there can be; /leave one first", name, len(c.rooms)), out)
		return
	}
	mesh, err := c.newMesh(name)
	if err != nil {
		c.failure(name, "room", fmt.Sprintf("joining %s: %v", name, err), out)
		return
	}
	r := &room{name: name, mesh: mesh, debts: debts{}, held: map[wire.PeerID]uint64{}, lines: linesSaid.limiter()}
	for _, p := range c.roster.members(name) {
		r.untold = append(r.untold, p.Peer)
	}
	c.rooms[name] = r
	c.resized-- // it is to be told of everybody
	c.order = append(c.order, name)
	out.Ops = append(out.Ops, opJoin{room: name})
	out.Events = append(out.Events, RoomJoined{Room: name, Members: c.roster.members(name)})
	recent, err := c.cfg.Store.Recent(name, recentShown)
	if err != nil {
		c.failure(name, "log", fmt.Sprintf("reading the log of %s: %v", name, err), out)
	}
	for i := range recent {
		e := &recent[i]
		c.show(r, &gossip.Deliver{Event: *e}, true, out)
		if e.Author == c.self && e.Seq == r.said { // whoever has the last has those before it
			r.unclaimed = []unclaimed{{id: e.ID, seq: e.Seq}}
		}
	}
	c.joinedVoices(now, out)
	c.stepGossip(now, gossip.Subscribe{Room: name}, out)
	c.presenceChanged(now, out)
	c.shareAll(now, out)
	c.wantLinks(now, true, out)
}

func (c *Core) leaveRoom(now time.Time, name wire.Room, out *CoreOutput) {
	if !c.joined(name) {
		c.failure(name, "room", fmt.Sprintf("leaving %s: you are not in it", name), out)
		return
	}
	c.leftVoices(name, out)
	c.leaveMesh(now, c.rooms[name], out)
	delete(c.rooms, name)
	delete(c.awaited, name)
	c.order = slices.DeleteFunc(c.order, func(r wire.Room) bool { return r == name })
	out.Ops = append(out.Ops, opLeave{room: name})
	c.roster.forget(now, name)
	c.stepGossip(now, gossip.Unsubscribe{Room: name}, out)
	out.Events = append(out.Events, RoomLeft{Room: name})
	c.presenceChanged(now, out)
	c.shareAll(now, out)
	c.wantLinks(now, false, out)
	c.checkReady(out)
}

// shareAll tells gossip anew which rooms each link serves.
func (c *Core) shareAll(now time.Time, out *CoreOutput) {
	for _, id := range c.linkIDs() {
		if l := c.links[id]; l != nil && l.up {
			c.meet(now, l, out)
			c.share(now, l, out)
		}
	}
}

func (c *Core) rename(now time.Time, name string, out *CoreOutput) {
	clean, err := wire.ParseName(name)
	if err != nil {
		c.failure("", "name", "changing your name: "+err.Error(), out)
		return
	}
	was := c.roster.self.Name
	if clean == was {
		return
	}
	c.roster.self.Name = clean
	out.Ops = append(out.Ops, opRename{name: clean})
	c.presenceChanged(now, out)
	for _, room := range c.order {
		out.Events = append(out.Events, MemberRenamed{Room: room, Person: c.roster.self, Was: was, Members: c.roster.count(room)})
	}
}

// say takes what the user says. It is published with what else is said in the same batch.
func (c *Core) say(now time.Time, s Say, out *CoreOutput) {
	limit := wire.MaxText
	if s.Kind == wire.KindTopic {
		limit = wire.MaxTopic
	}
	switch {
	case !c.joined(s.Room):
		c.failure(s.Room, "room", fmt.Sprintf("not said: you are not in %s; /join it first", s.Room), out)
		return
	case len(s.Text) > limit:
		c.failure(s.Room, "too-long", fmt.Sprintf("not said: the text is %d bytes long, at most %d fit; shorten it or say it in parts", len(s.Text), limit), out)
		return
	case !utf8.ValidString(s.Text):
		c.failure(s.Room, "encoding", "not said: the text is not valid UTF-8", out)
		return
	case s.Text == "" && s.Kind != wire.KindTopic:
		return
	}
	if len(c.drafts) > 0 && c.draftRoom != s.Room {
		c.publish(now, out)
	}
	c.draftRoom = s.Room
	c.drafts = append(c.drafts, gossip.Draft{Kind: s.Kind, Body: []byte(s.Text), Ref: s})
}

// refuse tells what of that was not said: all for one reason, as it was to be said together.
func (c *Core) refuse(refused []gossip.Refused, out *CoreOutput) {
	if len(refused) == 0 {
		return
	}
	f := Failure{Room: refused[0].Room, Code: "log"}
	for _, r := range refused {
		if s, ok := r.Ref.(Say); ok {
			f.Said = append(f.Said, s)
		}
	}
	f.Text = fmt.Sprintf("not said: %v", refused[0].Err)
	if len(refused) > 1 {
		f.Text = fmt.Sprintf("%d lines were not said: %v", len(refused), refused[0].Err)
	}
	if errors.Is(refused[0].Err, gossip.ErrNotStored) {
		f.Text += "; then say it again"
	}
	out.Events = append(out.Events, f)
}

// publish hands what was said to gossip.
func (c *Core) publish(now time.Time, out *CoreOutput) {
	if len(c.drafts) == 0 {
		return
	}
	drafts := c.drafts
	c.drafts = nil
	c.stepGossip(now, gossip.Publish{Room: c.draftRoom, Name: c.roster.self.Name, Drafts: drafts}, out)
}

// deliver takes an event that gossip hands to its room.
func (c *Core) deliver(now time.Time, d gossip.Deliver, out *CoreOutput) {
	r := c.rooms[d.Event.Room]
	if r == nil {
		return
	}
	if d.Older {
		c.older(r, d, out)
		return
	}
	c.show(r, &d, d.History, out)
	c.owe(now, r, d)
	if !d.History {
		c.heed(now, r, d.Event.Author, out)
	}
	if d.Event.Author != c.self || d.History {
		return
	}
	if len(r.unclaimed) >= maxUnclaimed {
		r.unclaimed = slices.Delete(r.unclaimed, 0, maxUnclaimed/4)
	}
	r.unclaimed = append(r.unclaimed, unclaimed{id: d.Event.ID, seq: d.Event.Seq})
	c.unclaimed = true
}

// show tells the user of an event, if it is of a kind that is shown.
func (c *Core) show(r *room, d *gossip.Deliver, history bool, out *CoreOutput) {
	e := &d.Event
	if e.Author == c.self {
		r.said = max(r.said, e.Seq)
	}
	switch e.Kind {
	case wire.KindTopic, wire.KindText, wire.KindAction:
		r.retitle(e)
	default:
		c.counters["events.unknown"]++
		return
	}
	out.Events = append(out.Events, Message{
		Room: e.Room, Person: Person{Peer: e.Author, Name: cmp.Or(e.Name, c.roster.name(e.Author))},
		ID: e.ID, Seq: e.Seq, Lamport: e.Lamport, Kind: e.Kind, Text: string(e.Body), Sent: e.Time,
		Self: e.Author == c.self, History: history, Missing: max(c.missingBefore(e), d.Missing),
	})
}

// held takes the news that a peer holds own events.
func (c *Core) held(now time.Time, h gossip.Held) {
	r := c.rooms[h.Room]
	if r == nil || r.held[h.Peer] >= h.Seq {
		return
	}
	r.held[h.Peer] = h.Seq
	c.unclaimed = true
	if len(r.held) > 2*c.roster.count(h.Room)+64 { // many have left since
		maps.DeleteFunc(r.held, func(id wire.PeerID, _ uint64) bool {
			p := c.roster.people[id]
			return p == nil || !p.in(h.Room)
		})
	}
}

// tellDelivered tells how many members hold the own messages. A message that all hold is told at once and then
// forgotten; partial figures are told a few times a second.
func (c *Core) tellDelivered(now time.Time, out *CoreOutput) {
	if !c.unclaimed {
		return
	}
	partial := !now.Before(c.nextTell)
	again := false
	for _, name := range c.order {
		r := c.rooms[name]
		if len(r.unclaimed) == 0 {
			continue
		}
		seqs := c.heldBy(r)
		keep := r.unclaimed[:0]
		for _, u := range r.unclaimed {
			// seqs is sorted: the peers that hold u are those from the first that reaches it.
			i, _ := slices.BinarySearch(seqs, u.seq)
			peers, of := len(seqs)-i, len(seqs)
			complete := peers == of && of > 0
			if changed := peers != u.told || (of != u.of && peers > 0); changed {
				if complete || partial {
					u.told, u.of = peers, of
					out.Events = append(out.Events, Delivered{Room: name, ID: u.id, Seq: u.seq, Peers: peers, Of: of})
				} else {
					again = true
				}
			}
			if !complete {
				keep = append(keep, u)
			}
		}
		clear(r.unclaimed[len(keep):])
		r.unclaimed = keep
	}
	c.unclaimed = again
	if partial {
		c.nextTell = now.Add(deliveredEvery)
	}
}

// heldBy are the highest own events that each other member of a room is known to hold, sorted; in a large room that
// each neighbour is known to hold.
func (c *Core) heldBy(r *room) []uint64 {
	var seqs []uint64
	if r.size > maxAccounted {
		for id := range r.near {
			seqs = append(seqs, r.held[id])
		}
	} else {
		for id, p := range c.roster.people {
			if p.in(r.name) {
				seqs = append(seqs, r.held[id])
			}
		}
	}
	slices.Sort(seqs)
	return seqs
}
