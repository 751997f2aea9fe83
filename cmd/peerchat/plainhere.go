package main

import (
	"time"

	"peerchat/peer"
	"peerchat/peer/wire"
	"peerchat/tui"
)

// plainRoom is who is in a room, as far as plain mode knows.
type plainRoom struct {
	members  map[wire.PeerID]peer.Person
	count    int
	arrivals tui.Arrivals
}

// entered begins a room with those who are known to be there.
func (p *plainPrinter) entered(ev peer.RoomJoined) {
	r := &plainRoom{members: map[wire.PeerID]peer.Person{}, count: len(ev.Members) + 1}
	for _, m := range ev.Members {
		r.members[m.Peer] = m
	}
	p.members[ev.Room] = r
	r.arrivals.Came(p.now(), len(ev.Members), r.count)
	p.trackArrivals()
}

// trackArrivals takes note that there is a tracker that tells who is in the rooms.
func (p *plainPrinter) trackArrivals() {
	if !p.tracked {
		return
	}
	for _, r := range p.members {
		r.arrivals.Tracked(p.now())
	}
}

// came takes note of somebody, and reports whether that is to be told.
func (p *plainPrinter) came(ev peer.MemberJoined) bool {
	r := p.members[ev.Room]
	if r == nil {
		return true
	}
	r.members[ev.Person.Peer], r.count = ev.Person, ev.Members
	return r.arrivals.Came(p.now(), 1, ev.Members)
}

// went takes note that somebody has left, and reports whether that is to be told.
func (p *plainPrinter) went(ev peer.MemberLeft) bool {
	r := p.members[ev.Room]
	if r == nil {
		return true
	}
	delete(r.members, ev.Person.Peer)
	r.count = ev.Members
	return r.arrivals.Went()
}

// renamed takes note of a new name, and reports whether that is to be told: it comes for each room, and is told for the
// first that somebody is in.
func (p *plainPrinter) renamed(ev peer.MemberRenamed, self wire.PeerID) bool {
	if r := p.members[ev.Room]; r != nil {
		if _, there := r.members[ev.Person.Peer]; there {
			r.members[ev.Person.Peer] = ev.Person
		}
	}
	for _, room := range sortedRooms(p.members) {
		if _, there := p.members[room].members[ev.Person.Peer]; there || ev.Person.Peer == self {
			return room == ev.Room
		}
	}
	return true
}

// awaitsHere reports whether the time will tell who is in a room.
func (p *plainPrinter) awaitsHere() bool {
	for _, r := range p.members {
		if !r.arrivals.Due().IsZero() {
			return true
		}
	}
	return false
}

// tickHere says of rooms who is there, when that is known.
func (p *plainPrinter) tickHere(b []byte, now time.Time) []byte {
	for _, room := range sortedRooms(p.members) {
		r := p.members[room]
		if !r.arrivals.Settle(now) {
			continue
		}
		names := make([]string, 0, len(r.members))
		for _, m := range r.members {
			names = append(names, p.name(m))
		}
		b = line(b, now, "-!- "+tui.HereText(string(room), names, r.count))
	}
	return b
}
