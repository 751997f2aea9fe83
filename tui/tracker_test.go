package tui

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func led(by string, term uint64) Tracker {
	return Tracker{State: TrackerConnected, URL: "ws://10.0.0.3:5000/ws", Leader: by, LeaderID: strings.Repeat(by[:1], 4), Term: term}
}

func alone(url string, term uint64) Tracker {
	return Tracker{State: TrackerConnected, URL: url, Term: term}
}

func mine(term uint64) Tracker {
	return Tracker{State: TrackerHosting, URL: "ws://10.0.0.1:5000/ws", Leader: "alice", LeaderID: "aaaa", Term: term, Self: true}
}

const home = "ws://home.example.org:5000/ws"

var (
	lost     = Tracker{State: TrackerLost}
	electing = Tracker{State: TrackerElecting}
)

// with changes a Tracker for a table.
func with(t Tracker, change func(*Tracker)) Tracker {
	change(&t)
	return t
}

// Every change is told in words: these are the last ones of each story.
func TestTrackerStories(t *testing.T) {
	for _, c := range []struct {
		why   string
		story []Tracker
		says  string
		bar   string
	}{
		{"the first tracker", []Tracker{alone(home, 0)}, "connected to the tracker at home.example.org:5000", "tracker: home.example.org:5000"},
		{"the first tracker is elected already", []Tracker{led("carol", 3)}, "connected to the tracker, carol (term 3)", "tracker: carol, term 3"},
		{"a peer that has no name yet", []Tracker{with(led("carol", 3), func(t *Tracker) { t.Leader = "" })},
			"connected to the tracker, #cccc (term 3)", "tracker: #cccc, term 3"},
		{"nobody was there", []Tracker{with(mine(0), func(t *Tracker) { t.Solo, t.URL = true, "ws://127.0.0.1:5000/ws" })},
			"no tracker answers, so you are the tracker now, alone; it listens at 127.0.0.1:5000, /invite says where others reach it",
			"tracker: you, alone"},
		{"somebody came", []Tracker{with(mine(0), func(t *Tracker) { t.Solo = true }), mine(1)},
			"no tracker answers, so you are the tracker now, alone; others reach it at 10.0.0.1:5000", "tracker: you, term 1"},
		{"somebody went and came: the members tell of that", []Tracker{mine(1), with(mine(1), func(t *Tracker) { t.Solo = true }), mine(1)},
			"you are the tracker now (term 1); others reach it at 10.0.0.1:5000", "tracker: you, term 1"},
		{"the home tracker is lost", []Tracker{alone(home, 2), lost},
			"the tracker at home.example.org:5000 is lost; the chat goes on between the linked peers", "tracker: lost"},
		{"what is tried", []Tracker{alone(home, 2), with(lost, func(t *Tracker) { t.Trying, t.Err = home+" (named by you), try 2", "refused" })},
			"the tracker at home.example.org:5000 is lost; the chat goes on between the linked peers (refused)",
			"tracker: lost, trying home.example.org:5000 (named by you), t…"},
		{"the leader is lost", []Tracker{led("carol", 3), lost}, "the tracker, carol, is lost; the chat goes on between the linked peers", "tracker: lost"},
		{"the peers elect", []Tracker{alone(home, 2), lost, electing}, "the peers are electing a new tracker", "tracker: electing…"},
		{"somebody won", []Tracker{alone(home, 2), lost, electing, led("carol", 3)}, "carol is the tracker now (term 3)", "tracker: carol, term 3"},
		{"I won", []Tracker{alone(home, 2), lost, electing, mine(3)},
			"you are the tracker now (term 3); others reach it at 10.0.0.1:5000", "tracker: you, term 3"},
		{"I won, and nobody can dial me", []Tracker{lost, with(mine(3), func(t *Tracker) { t.InMesh = true })},
			"you are the tracker now (term 3); only inside the mesh: nobody could dial it",
			"tracker: you, term 3, only in the mesh"},
		{"nobody can dial the winner", []Tracker{led("bob", 2), lost, with(led("carol", 3), func(t *Tracker) { t.InMesh = true })},
			"carol is the tracker now (term 3); only inside the mesh: nobody could dial it", "tracker: carol, term 3, only in the mesh"},
		{"it turns out that one can", []Tracker{with(led("carol", 3), func(t *Tracker) { t.InMesh = true }), led("carol", 3)},
			"the tracker, carol, can be reached from outside the mesh now", "tracker: carol, term 3"},
		{"a wire broke only", []Tracker{led("carol", 3), lost, led("carol", 3)}, "connected again to the tracker, carol (term 3)", "tracker: carol, term 3"},
		{"the same one won", []Tracker{led("carol", 3), lost, led("carol", 4)}, "carol is the tracker again (term 4)", "tracker: carol, term 4"},
		{"the leader goes above another", []Tracker{led("carol", 3), led("carol", 9)}, "carol is still the tracker (term 9)", "tracker: carol, term 9"},
		{"it is handed over", []Tracker{led("carol", 3), led("bob", 4)}, "the tracker passed from carol to bob (term 4)", "tracker: bob, term 4"},
		{"it is handed over to me", []Tracker{led("carol", 3), mine(4)},
			"the tracker passed from carol to you (term 4); others reach it at 10.0.0.1:5000", "tracker: you, term 4"},
		{"I hand it over", []Tracker{mine(4), led("carol", 5)}, "the tracker passed from you to carol (term 5)", "tracker: carol, term 5"},
		{"home is back", []Tracker{alone(home, 2), lost, led("carol", 3), alone(home, 4)},
			"the home tracker home.example.org:5000 is back (term 4)", "tracker: home.example.org:5000, term 4"},
		{"home was not there before", []Tracker{mine(3), alone(home, 4)},
			"the home tracker home.example.org:5000 is the tracker now (term 4)", "tracker: home.example.org:5000, term 4"},
		{"home was started again", []Tracker{alone(home, 0), lost, alone(home, 0)},
			"connected again to the tracker at home.example.org:5000", "tracker: home.example.org:5000"},
		{"home is told the term", []Tracker{alone(home, 0), alone(home, 4)},
			"the tracker at home.example.org:5000 goes on (term 4)", "tracker: home.example.org:5000, term 4"},
		{"hostile words", []Tracker{led("carol", 3), with(lost, func(t *Tracker) { t.Err = "\x1b[2J" })},
			"the tracker, carol, is lost; the chat goes on between the linked peers (␛[2J)", "tracker: lost"},
	} {
		t.Run(c.why, func(t *testing.T) {
			m := newTestModel()
			for _, s := range c.story {
				m.Update(start, s)
			}
			if got := m.room().last().text; got != c.says {
				t.Errorf("the timeline says\n%s\nwant\n%s", got, c.says)
			}
			if got := m.trackerSegment().text; got != c.bar {
				t.Errorf("the status line says %q, want %q", got, c.bar)
			}
		})
	}
}

func TestWhatIsNoNewsGetsNoLine(t *testing.T) {
	m := newTestModel()
	same := led("carol", 3)
	same.URL = "ws://192.168.1.3:5000/ws"
	named := with(led("carol", 3), func(t *Tracker) { t.Leader = "" })
	for _, s := range []Tracker{{State: TrackerSearching, Trying: "a"}, named, led("carol", 3), same, led("carol", 3)} {
		m.Update(start, s)
	}
	if n := len(m.room().items); n != 1 {
		t.Errorf("a search, a name that is learned and another address of the same leader are no news, got %d lines: %s", n, texts(m))
	}
	m.Update(start, lost)
	for i := range 10 {
		m.Update(start, with(lost, func(t *Tracker) { t.Trying = fmt.Sprint("try ", i) }))
	}
	if n := len(m.room().items); n != 2 {
		t.Errorf("a loss is told once, however often it is tried again, got %d lines: %s", n, texts(m))
	}
}

// A tracker that comes and goes fills no screen, and the last line is how it stands.
func TestFlappingIsToldInFewLines(t *testing.T) {
	m := newTestModel()
	now := start
	states := []Tracker{lost, electing, led("carol", 0)}
	for i := range 90 {
		s := states[i%3]
		s.Term = uint64(i)
		now = now.Add(500 * time.Millisecond)
		m.Update(now, s)
	}
	r := m.room()
	if n := len(r.items); n > 5 {
		t.Errorf("thirty rounds of flapping are told in %d lines: %s", n, texts(m))
	}
	if got, want := r.last().text, "carol is the tracker again (term 89) (29 times)"; got != want {
		t.Errorf("the last line is %q, want %q", got, want)
	}
	m.Update(now.Add(time.Second), lost)
	if got := r.last().text; !strings.HasPrefix(got, "the tracker, carol, is lost") {
		t.Errorf("the last line is not how it stands: %q", got)
	}
	m.Update(now.Add(2*time.Second), says("general", "bob", "hm", 1))
	m.Update(now.Add(5*time.Minute), led("carol", 90))
	if n := len(r.items); n > 7 || r.last().times != 1 {
		t.Errorf("what comes minutes later is told anew: %d lines, the last one %d times", n, r.last().times)
	}
}

func TestFlappingDoesNotMoveTheView(t *testing.T) {
	m := newTestModel()
	for i := range 60 {
		m.Update(start, says("general", "bob", fmt.Sprint("line ", i), uint64(i+1)))
		if i == 40 {
			m.Update(start, led("carol", 1))
			m.Update(start, lost)
		}
	}
	press(m, "PgUp")
	before := texts(m)
	for range 5 {
		m.Update(start, led("carol", 1))
		m.Update(start, lost)
	}
	if got := texts(m); got != before {
		t.Errorf("the view moved from\n%s\nto\n%s", before, got)
	}
	sum := 0
	for _, it := range m.room().items {
		sum += len(it.text) + 64
	}
	if sum != m.room().bytes {
		t.Errorf("the bytes are counted right: %d, in truth %d", m.room().bytes, sum)
	}
}

func TestInvitations(t *testing.T) {
	m := newTestModel()
	m.Update(start, Invitation{Room: "general", Note: "there is no tracker"})
	if it := m.room().last(); it.kind != itemError || it.text != "no invitation into #general: there is no tracker" {
		t.Errorf("a missing invitation is an error that says why, got %q", it.text)
	}
	m.Update(start, Invitation{Room: "general", Link: "peerchat://h:1/general"})
	if got := texts(m); !strings.Contains(got, "peerchat://h:1/general|") || m.overlay.mode != overlayNone {
		t.Errorf("a link is shown in the timeline, and nothing over it: %s", got)
	}
	m.Update(start, Invitation{Room: "general", Link: "peerchat://h:1/general", Codes: [][]string{{"██", "██"}}})
	if m.overlay.mode != overlayCode {
		t.Fatal("the code is shown")
	}
	m.Resize(1, 1)
	if _, code, why := m.codePage(1, 1); code != nil || !strings.Contains(why, "2 by 3 cells, and there are 1 by 1") {
		t.Errorf("on a screen that is too small it says so, got %q", why)
	}
	m.cfg.ASCII = true
	if _, code, why := m.codePage(80, 24); code != nil || !strings.Contains(why, "no half blocks") {
		t.Errorf("where there are no half blocks it says so, got %q", why)
	}
	press(m, "Esc")
	if m.overlay.mode != overlayNone {
		t.Error("Esc closes the code")
	}
	m.Update(start, Entering{Room: "dev"})
	if m.room().name != "dev" {
		t.Errorf("a room that is entered already comes into view, got %s", m.room().name)
	}
	m.Update(start, Entering{Room: "ops"})
	m.Update(start, RoomJoined{Room: "ops"})
	if m.room().name != "ops" {
		t.Errorf("a room comes into view when it is entered by an invitation, got %s", m.room().name)
	}
}

func TestALeaderIsNamedAsSoonAsItsNameIsKnown(t *testing.T) {
	m := newTestModel()
	nameless := led("carol", 3)
	nameless.Leader = ""
	m.Update(start, nameless)
	m.Resize(120, 24)
	if got := texts(m); !strings.Contains(got, "the tracker, #cccc (term 3)") {
		t.Fatalf("before its name is known it has a tag: got %s", got)
	}
	m.Update(start, says("general", "bob", "who is #cccc?", 1))
	m.Update(start, led("carol", 3))
	if got := texts(m); !strings.Contains(got, "the tracker, carol (term 3)|who is #cccc?") {
		t.Errorf("then the line names it, and no other: got %s", got)
	}
	sum := 0
	for _, it := range m.room().items {
		sum += it.size()
	}
	if sum != m.room().bytes {
		t.Errorf("%d bytes are counted, there are %d", m.room().bytes, sum)
	}
}
