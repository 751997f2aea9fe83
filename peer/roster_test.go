package peer

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"peerchat/peer/wire"
	"peerchat/signaling"
)

func testID(n int) wire.PeerID { return wire.PeerID{31: byte(n), 0: byte(n)} }

// TestRosterTellsEveryChangeOnce drives a roster with random words of tracker and mesh, and applies the events that it
// tells to a set of its own: the set and the roster must always agree, and no event may tell what was so already.
func TestRosterTellsEveryChangeOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := newRoster(Person{Peer: testID(200), Name: "self"})
		rooms := []wire.Room{"a", "b"}
		mine := func(room wire.Room) bool { return slices.Contains(rooms, room) }
		shown := map[string]bool{}
		now := time.Unix(1000, 0)
		for step := range rapid.IntRange(1, 60).Draw(t, "steps") {
			now = now.Add(time.Second)
			id := testID(rapid.IntRange(1, 5).Draw(t, "peer"))
			room := rapid.SampledFrom([]wire.Room{"a", "b", "elsewhere"}).Draw(t, "room")
			m := signaling.Member{Peer: id, Name: rapid.SampledFrom([]string{"bob", "eve"}).Draw(t, "name")}
			var events []Event
			switch rapid.IntRange(0, 6).Draw(t, "what") {
			case 0:
				r.trackerJoined(now, room, m, mine, &events)
			case 1:
				r.trackerLeft(now, room, id, mine, &events)
			case 2:
				r.presence(now, id, wire.Presence{Seq: 1, Name: m.Name, Rooms: []wire.Room{room}}, mine, &events)
			case 3:
				r.unlinked(now, id, false, false, mine, &events)
			case 4:
				r.unlinked(now, id, true, true, mine, &events)
			case 5:
				r.trackerRoom(now, room, []signaling.Member{m}, 2, mine, &events)
			case 6:
				r.trackerGone(now, mine, &events)
			}
			for _, ev := range events {
				switch ev := ev.(type) {
				case MemberJoined:
					key := fmt.Sprint(ev.Room, ev.Person.Peer)
					if shown[key] || !mine(ev.Room) {
						t.Fatalf("step %d: %s is told to have joined %s, which was known or is not our room", step, ev.Person.Name, ev.Room)
					}
					shown[key] = true
				case MemberLeft:
					key := fmt.Sprint(ev.Room, ev.Person.Peer)
					if !shown[key] {
						t.Fatalf("step %d: %s is told to have left %s, and was not there", step, ev.Person.Name, ev.Room)
					}
					delete(shown, key)
				case MemberRenamed:
					if ev.Was == ev.Person.Name {
						t.Fatalf("step %d: renamed from %q to the same", step, ev.Was)
					}
				}
			}
			for _, room := range rooms {
				members := r.members(room)
				if got, want := len(members)+1, r.count(room); got != want {
					t.Fatalf("step %d: %s has %d members and counts %d", step, room, got, want)
				}
				for n := 1; n <= 5; n++ {
					in := slices.ContainsFunc(members, func(p Person) bool { return p.Peer == testID(n) })
					if in != shown[fmt.Sprint(room, testID(n))] {
						t.Fatalf("step %d: that peer %d is in %s is %v by the roster and %v by what it told", step, n, room, in, !in)
					}
				}
			}
		}
	})
}

func TestRosterKeepsWhoIsLinkedWhenTheTrackerForgetsThem(t *testing.T) {
	r := newRoster(Person{Peer: testID(9), Name: "self"})
	mine := func(wire.Room) bool { return true }
	var events []Event
	now := time.Unix(0, 0)
	r.trackerJoined(now, "a", signaling.Member{Peer: testID(1), Name: "bob"}, mine, &events)
	r.presence(now, testID(1), wire.Presence{Seq: 1, Name: "bob", Rooms: []wire.Room{"a"}}, mine, &events)
	r.trackerRoom(now, "a", nil, 1, mine, &events) // a tracker that came back empty
	if len(r.members("a")) != 1 {
		t.Error("a linked member vanished because a restarted tracker did not know it")
	}
	r.unlinked(now, testID(1), false, false, mine, &events)
	if len(r.members("a")) != 0 {
		t.Error("a member that is neither linked nor known to the tracker is still shown")
	}
}

func TestRosterForgetsThoseWhoAreLongGone(t *testing.T) {
	r := newRoster(Person{Peer: wire.PeerID{1: 1}, Name: "self"})
	mine := func(wire.Room) bool { return true }
	for n := range 5 * maxGone {
		var events []Event
		id := wire.PeerID{2: byte(n), 3: byte(n >> 8), 4: 1}
		r.trackerJoined(time.Unix(int64(n), 0), "a", signaling.Member{Peer: id, Name: "x"}, mine, &events)
		r.trackerLeft(time.Unix(int64(n), 0), "a", id, mine, &events)
	}
	if len(r.people) > maxGone {
		t.Errorf("the roster remembers %d people who are gone, want at most %d", len(r.people), maxGone)
	}
}
