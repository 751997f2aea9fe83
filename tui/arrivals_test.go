package tui

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// Whoever comes into a room is told once who is there, however long that takes to become known; who comes after that
// has joined.
func TestWhoIsHere(t *testing.T) {
	type step struct {
		after time.Duration
		msg   Msg
	}
	came := func(name string, count int) Msg {
		return MemberJoined{Room: "general", Member: Member{ID: strings.Repeat(name[:1], 4), Name: name}, Count: count}
	}
	went := func(name string, count int) Msg {
		return MemberLeft{Room: "general", Member: Member{ID: strings.Repeat(name[:1], 4), Name: name}, Count: count}
	}
	connected := Tracker{State: TrackerConnected, URL: "ws://h:5000/ws"}
	alone := RoomJoined{Room: "general"}
	for _, c := range []struct {
		what  string
		steps []step
		want  string
	}{
		{"a tracker tells of two", []step{{0, alone}, {0, connected}, {0, came("carol", 2)}, {0, came("bob", 3)}},
			"in #general are bob, carol (3 here)"},
		{"a third comes later", []step{{0, alone}, {0, connected}, {0, came("carol", 2)}, {0, came("bob", 3)}, {5 * time.Second, came("dave", 4)}},
			"in #general are bob, carol (3 here)|dave joined"},
		{"neighbours tell of the rest", []step{{0, alone}, {0, connected}, {0, came("carol", 9)}, {3 * time.Second, came("bob", 9)}},
			"in #general are bob, carol and 6 others (9 here)"},
		{"nobody is there, and then somebody comes", []step{{0, alone}, {time.Second, connected}, {time.Minute, came("bob", 2)}, {time.Second, went("bob", 1)}, {time.Second, came("bob", 2)}},
			"nobody else is in #general|bob joined"},
		{"there is no tracker, and a neighbour tells", []step{{0, alone}, {time.Minute, came("bob", 2)}, {time.Minute, came("carol", 3)}},
			"in #general is bob (2 here)|carol joined"},
		{"one leaves before the others are known", []step{{0, alone}, {0, connected}, {0, came("carol", 2)}, {0, came("bob", 3)}, {0, went("bob", 2)}},
			"in #general is carol (2 here)"},
		{"they are known from another room", []step{{0, connected}, {0, RoomJoined{Room: "general", Members: []Member{{"aaaa", "alice"}, {"bbbb", "bob"}}}}, {0, came("carol", 3)}},
			"in #general are bob, carol (3 here)"},
	} {
		m := NewModel(ModelConfig{Joins: "all"})
		m.Resize(160, 24)
		now := start
		m.Update(now, Self{ID: "aaaa", Name: "alice"})
		pass := func(d time.Duration) {
			for end := now.Add(d); ; {
				at := m.Wake()
				if at.IsZero() || at.After(end) {
					now = end
					return
				}
				now = at
				m.Tick(now)
			}
		}
		for _, s := range c.steps {
			pass(s.after)
			m.Update(now, s.msg)
		}
		pass(time.Minute)
		if got := strings.ReplaceAll(texts(m), "connected to the tracker at h:5000|", ""); got != c.want {
			t.Errorf("%s: it says %q, want %q", c.what, got, c.want)
		}
		if at := m.Wake(); !at.IsZero() {
			t.Errorf("%s: it wants to be woken at %v, and has told all", c.what, at)
		}
	}
}

// A room that never stops filling is told of in time, and in one line.
func TestWhoIsHereInALargeRoom(t *testing.T) {
	m := NewModel(ModelConfig{})
	m.Update(start, Self{ID: "aaaa", Name: "alice"})
	m.Update(start, RoomJoined{Room: "general"})
	now := start
	for i := range 30 {
		now = now.Add(500 * time.Millisecond)
		m.Update(now, MemberJoined{Room: "general", Member: Member{ID: fmt.Sprintf("b%03d", i), Name: fmt.Sprintf("bob%02d", i)}, Count: 5000})
	}
	got := strings.ReplaceAll(texts(m), "|", " ")
	if want := "in #general are bob00, bob01,"; !strings.HasPrefix(got, want) || !strings.Contains(got, "bob19 and 4979 others (5000 here)") || strings.Contains(got, "bob20") {
		t.Errorf("it says %q", got)
	}
	m = NewModel(ModelConfig{Joins: "none"})
	m.Update(start, Tracker{State: TrackerHosting})
	m.Update(start, RoomJoined{Room: "general"})
	if m.Tick(start.Add(time.Minute)); strings.Contains(texts(m), "nobody else") {
		t.Errorf("whoever wants to hear nothing of joins is told %q", texts(m))
	}
}
