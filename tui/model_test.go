package tui

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var start = time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)

// newTestModel is alice in #general and #dev with bob and carol.
func newTestModel() *Model {
	m := NewModel(ModelConfig{})
	m.Update(start, Self{ID: "aaaa", Name: "alice"})
	everybody := []Member{{ID: "aaaa", Name: "alice"}, {ID: "bbbb", Name: "bob"}, {ID: "cccc", Name: "carol"}}
	m.Update(start, RoomJoined{Room: "general", Members: everybody})
	m.Update(start, RoomJoined{Room: "dev", Members: everybody})
	for _, r := range m.rooms {
		r.arrivals.settled = true // TestWhoIsHere looks at what is before
	}
	return m
}

func says(room, who, text string, order uint64) Line {
	return Line{Room: room, Peer: strings.Repeat(who[:1], 4), Name: who, Text: text, Order: order, ID: fmt.Sprint(room, who, order),
		Sent: start.Add(time.Duration(order) * time.Second), Self: who == "alice"}
}

func press(m *Model, names ...string) (out []Action) {
	for _, n := range names {
		out = append(out, m.Key(start, Key{Name: n}).Actions...)
	}
	return out
}

func typeText(m *Model, text string) {
	for _, r := range text {
		m.Key(start, Key{Text: string(r)})
	}
}

// texts is what the view shows, as one string.
func texts(m *Model) string {
	_, w := m.columns()
	var out []string
	for _, row := range m.viewRows(m.room(), w, m.layout.timeline.h) {
		if row.kind != rowDay {
			out = append(out, row.text)
		}
	}
	return strings.Join(out, "|")
}

func TestUnreadAndMentions(t *testing.T) {
	m := newTestModel()
	if out := m.Update(start, says("general", "bob", "alice, hi", 1)); !out.Bell || m.rooms[0].unread != 0 {
		t.Errorf("what is in view rings when it names me, and is not unread: bell %v, unread %d", out.Bell, m.rooms[0].unread)
	}
	m.Update(start, says("dev", "bob", "hello", 1))
	out := m.Update(start, says("dev", "bob", "ALICE?", 2))
	if r := m.rooms[1]; r.unread != 2 || r.mentions != 1 || !out.Bell {
		t.Errorf("two unread, one of them for me, with the bell: unread %d, mentions %d, bell %v", r.unread, r.mentions, out.Bell)
	}
	m.Update(start, says("dev", "alice", "I said alice myself", 3))
	if r := m.rooms[1]; r.unread != 2 {
		t.Errorf("my own lines are not unread, got %d", r.unread)
	}
	old := says("dev", "bob", "alice was here", 4)
	old.History, old.Sent = true, start.Add(-time.Hour)
	if out := m.Update(start, old); out.Bell || m.rooms[1].unread != 2 {
		t.Errorf("what was said before I came neither rings nor is unread: bell %v, unread %d", out.Bell, m.rooms[1].unread)
	}
	missed := says("dev", "bob", "while you were cut off", 5)
	missed.History = true
	if out := m.Update(start, missed); out.Bell || m.rooms[1].unread != 3 {
		t.Errorf("what I missed is unread and does not ring: bell %v, unread %d", out.Bell, m.rooms[1].unread)
	}
	press(m, "Alt+a")
	if r := m.rooms[1]; m.current != 1 || r.unread != 0 || r.mentions != 0 {
		t.Errorf("Alt+A goes to what is unread, which is read then: room %d, unread %d", m.current, r.unread)
	}
}

// What could not be said is not lost.
func TestWhatWasTypedInVainComesBack(t *testing.T) {
	m := newTestModel()
	typeText(m, "in vain")
	press(m, "Enter")
	m.Update(start, Failure{Room: "general", Text: "not said: the disk is full", Said: []string{"in vain"}})
	if m.input.text != "in vain" || m.input.pos != len("in vain") || texts(m) != "not said: the disk is full" {
		t.Errorf("the input is %q, and the screen says %q", m.input.text, texts(m))
	}
	typeText(m, " again")
	m.Update(start, Failure{Room: "general", Text: "not said", Said: []string{"in vain"}})
	m.Update(start, Failure{Room: "dev", Text: "not said", Said: []string{"one", "/me waves"}})
	if m.input.text != "in vain again" {
		t.Errorf("what is being typed stays: the input is %q", m.input.text)
	}
	press(m, "Alt+2")
	if m.input.text != "/me waves" {
		t.Errorf("in the other room it is %q", m.input.text)
	}
}

func TestMentions(t *testing.T) {
	for _, c := range []struct {
		text string
		want bool
	}{
		{"alice", true}, {"hi Alice!", true}, {"@alice: x", true}, {"malice", false}, {"alices", false}, {"malice alice", true},
		{"alice_", false}, {"日本alice", false}, {"(alice)", true}, {"", false}, {"al ice", false},
	} {
		if got := mentions(c.text, "alice"); got != c.want {
			t.Errorf("mentions(%q, alice) = %v, want %v", c.text, got, c.want)
		}
	}
	if mentions("anything", "") {
		t.Error("nobody is called nothing")
	}
}

func TestLinesAreShownInOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newTestModel()
		n := rapid.IntRange(1, 30).Draw(t, "lines")
		order := rapid.Permutation(seq(n)).Draw(t, "arrival")
		for i, k := range order {
			l := says("general", []string{"bob", "carol"}[k%2], fmt.Sprintf("%03d", k), uint64(k/2+1))
			l.Peer = fmt.Sprintf("%04d", k%2)
			l.History = rapid.Bool().Draw(t, "history")
			m.Update(start.Add(time.Duration(i)*time.Minute), l)
			if rapid.IntRange(0, 9).Draw(t, "notice") == 0 {
				m.Update(start.Add(time.Duration(i)*time.Minute), Notice{Room: "general", Text: "-"})
			}
			m.Update(start, l) // a second time makes no difference
		}
		var got []string
		items := m.rooms[0].items
		for i, it := range items {
			if it.isMessage() {
				got = append(got, it.text)
			}
			if i > 0 && it.less(items[i-1]) {
				t.Fatalf("item %d sorts before the one above it", i)
			}
		}
		var want []string
		for k := range n {
			want = append(want, fmt.Sprintf("%03d", k))
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("lines stand by lamport clock and author, each once, whenever they came: got %v, want %v", got, want)
		}
	})
}

func seq(n int) []int {
	s := make([]int, n)
	for i := range s {
		s[i] = i
	}
	return s
}

func TestTheSameTextTwiceShowsTwice(t *testing.T) {
	m := newTestModel()
	m.Update(start, says("general", "bob", "same", 1))
	m.Update(start, says("general", "bob", "same", 2))
	if got := texts(m); got != "same|same" {
		t.Errorf("a text that is said twice shows twice, got %q", got)
	}
}

func TestTheViewStaysWhileScrolledUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newTestModel()
		m.Resize(rapid.IntRange(20, 120).Draw(t, "width"), rapid.IntRange(6, 30).Draw(t, "height"))
		n := rapid.IntRange(40, 80).Draw(t, "lines")
		for i := range n {
			m.Update(start, says("general", "bob", strings.Repeat("word ", i%17)+fmt.Sprint("#", i), uint64(100+i)))
		}
		for range rapid.IntRange(1, 8).Draw(t, "pages") {
			press(m, "PgUp")
		}
		before := texts(m)
		r := m.room()
		if r.scroll == nil {
			t.Fatalf("PgUp scrolls up")
		}
		for i := range 10 {
			m.Update(start, says("general", "carol", "below", uint64(1000+i)))
		}
		if got := texts(m); got != before {
			t.Fatalf("new lines below do not move the view: it was\n%s\nand is\n%s", before, got)
		}
		if r.below != 10 {
			t.Fatalf("ten new lines below are counted, got %d", r.below)
		}
		bottom := r.scroll.item
		for i := range 3 {
			l := says("general", "carol", "far above", uint64(10+i))
			l.History = true
			m.Update(start, l)
		}
		if r.scroll.item != bottom {
			t.Fatalf("history that comes in above does not move the bottom of the view")
		}
		press(m, "Ctrl+Home")
		_, textColumn := m.columns()
		if rows := m.viewRows(r, textColumn, m.layout.timeline.h); len(rows) != m.layout.timeline.h {
			t.Fatalf("at the top the view is full, got %d rows", len(rows))
		}
		for i := 0; i < 1000*n && r.scroll != nil; i++ {
			press(m, "PgDn")
		}
		if r.scroll != nil || r.below != 0 {
			t.Fatalf("PgDn arrives at the newest line and follows again")
		}
		press(m, "PgUp")
		m.Update(start, says("general", "alice", "me", 2000))
		if r.scroll != nil {
			t.Fatalf("saying something goes to the newest line")
		}
	})
}

func TestScrollingBackAndForthIsExact(t *testing.T) {
	m := newTestModel()
	for i := range 60 {
		m.Update(start, says("general", "bob", strings.Repeat("word ", i%23)+fmt.Sprint("#", i), uint64(100+i)))
	}
	var up []string
	for range 50 {
		up = append(up, texts(m))
		m.scrollBy(-1)
	}
	for i := len(up) - 1; i >= 0; i-- {
		m.scrollBy(1)
		if got := texts(m); got != up[i] {
			t.Fatalf("a row up and a row down is where it was; %d rows up it was\n%s\nand is\n%s", i, up[i], got)
		}
	}
}

func TestTimelineIsBounded(t *testing.T) {
	m := newTestModel()
	for i := range 3 * maxLines {
		m.Update(start, says("general", "bob", "x", uint64(i+1)))
	}
	r := m.rooms[0]
	if n := len(r.items); n > maxLines+maxLines/10 || len(r.ids) != n {
		t.Errorf("a timeline keeps about %d lines, got %d and %d IDs", maxLines, n, len(r.ids))
	}
	if r.last().order != 3*maxLines {
		t.Errorf("the newest line stays, got %d", r.last().order)
	}
	for i := range 100 {
		m.Update(start, says("general", "bob", strings.Repeat("y", MaxText), uint64(4*maxLines+i)))
	}
	if r.bytes > maxLineBytes {
		t.Errorf("a timeline keeps at most %d bytes, got %d", maxLineBytes, r.bytes)
	}
	sum := 0
	for _, it := range r.items {
		sum += len(it.text) + 64
	}
	if sum != r.bytes {
		t.Errorf("the bytes are counted right: %d, in truth %d", r.bytes, sum)
	}
}

func TestDrafts(t *testing.T) {
	m := newTestModel()
	typeText(m, "for general")
	press(m, "Left", "Left", "Ctrl+N")
	if m.input.text != "" {
		t.Errorf("another room has its own draft, got %q", m.input.text)
	}
	typeText(m, "for dev")
	press(m, "Ctrl+P")
	if m.input.text != "for general" || m.input.pos != len("for gener") {
		t.Errorf("a draft waits with its cursor, got %q at %d", m.input.text, m.input.pos)
	}
	m.Update(start, RoomLeft{Room: "general"})
	if m.room().name != "dev" || m.input.text != "for dev" {
		t.Errorf("when a room goes, the next one's draft comes: #%s, %q", m.room().name, m.input.text)
	}
	m.Update(start, RoomLeft{Room: "dev"})
	if m.room() != m.lobby {
		t.Error("without a room there is the lobby")
	}
	m.Update(start, RoomLeft{Room: "dev"})
	m.Update(start, RoomJoined{Room: "dev"})
	if m.room().name != "dev" {
		t.Error("a room can be entered again")
	}
}

func TestOneIsAlwaysAmongTheMembers(t *testing.T) {
	m := newTestModel()
	m.Update(start, RoomJoined{Room: "new", Members: []Member{{ID: "bbbb", Name: "bob"}}})
	r := m.find("new")
	if linked, others := m.others(r); len(r.members) != 2 || linked != 0 || others != 1 {
		t.Errorf("a room that was told of bob alone holds bob and me: %v, %d of %d others linked", r.members, linked, others)
	}
	m.Update(start, Link{Peer: "bbbb", Name: "bob", Up: true, Path: "host"})
	if linked, others := m.others(r); linked != 1 || others != 1 {
		t.Errorf("the link to bob counts, got %d of %d", linked, others)
	}
	m.Update(start, Self{ID: "aaaa", Name: "alicia"})
	if got := r.members["aaaa"].Name; got != "alicia" {
		t.Errorf("my new name is in the list, got %q", got)
	}
	m.Update(start, MembersAre{Room: "new", Count: 9})
	if _, others := m.others(r); others != 8 {
		t.Errorf("the count is of everybody, known or not: got %d others, want 8", others)
	}
}

func TestTwoOfOneNameAreToldApart(t *testing.T) {
	m := newTestModel()
	m.Update(start, says("general", "bob", "first", 1))
	r := m.room()
	if got := m.shownName(r, "bbbb", "bob"); got != "bob" {
		t.Errorf("one bob is bob, got %q", got)
	}
	m.Update(start, MemberJoined{Room: "general", Member: Member{ID: "k3fdxx", Name: "Bob"}, Count: 4})
	if a, b := m.shownName(r, "bbbb", "bob"), m.shownName(r, "k3fdxx", "Bob"); a != "bob#bbbb" || b != "Bob#k3fd" {
		t.Errorf("two bobs have tags, got %q and %q", a, b)
	}
	if got := m.shownName(r, "zzzz", ""); got != "#zzzz" {
		t.Errorf("who has no name is called by the tag, got %q", got)
	}
}

func TestPresence(t *testing.T) {
	m := newTestModel()
	dave := Member{ID: "dddd", Name: "dave"}
	come := func() { m.Update(start, MemberJoined{Room: "general", Member: dave, Count: 4}) }
	leave := func() { m.Update(start, MemberLeft{Room: "general", Member: dave, Count: 3}) }
	come()
	if got := texts(m); got != "" {
		t.Errorf("by default nobody is told of somebody who said nothing, got %q", got)
	}
	m.Resize(120, 24)
	m.joins = "all"
	leave()
	come()
	leave()
	if got := texts(m); got != "dave came and went" || len(m.room().items) != 1 {
		t.Errorf("a flapping peer is one line, got %q", got)
	}
	m.Update(start, MemberLeft{Room: "general", Member: Member{ID: "bbbb", Name: "bob"}, Count: 2})
	if got := texts(m); got != "bob left · dave came and went" {
		t.Errorf("joins and leaves in a row are one line, got %q", got)
	}
	m.Update(start, MemberJoined{Room: "general", Member: Member{ID: "bbbb", Name: "bob"}, Count: 3})
	if got := texts(m); got != "bob left and came back · dave came and went" {
		t.Errorf("who is back is told from who is not, got %q", got)
	}
	m.Update(start, MemberLeft{Room: "general", Member: Member{ID: "bbbb", Name: "bob"}, Count: 2})
	m.joins = "smart"
	m.Update(start, says("general", "carol", "hi", 1))
	m.Update(start.Add(time.Minute), MemberLeft{Room: "general", Member: Member{ID: "cccc", Name: "carol"}, Count: 1})
	if got := texts(m); got != "hi|carol left" {
		t.Errorf("who spoke lately is told of, got %q", got)
	}
	if _, others := m.others(m.room()); others != 0 {
		t.Errorf("all have left, but %d others are counted", others)
	}
}

func TestCompletion(t *testing.T) {
	m := newTestModel()
	m.Update(start, MemberJoined{Room: "general", Member: Member{ID: "b2b2", Name: "boris"}})
	m.Update(start, says("general", "bob", "x", 1))
	l := says("general", "boris", "y", 2)
	l.Peer = "b2b2"
	m.Update(start, l)
	m.Update(start, Rooms{Rooms: []RoomInfo{{Room: "games"}}})
	for _, c := range []struct {
		why, text string
		keys      []string
		want      string
	}{
		{"who spoke last comes first", "bo", []string{"Tab"}, "boris: "},
		{"Tab goes on", "bo", []string{"Tab", "Tab"}, "bob: "},
		{"and round", "bo", []string{"Tab", "Tab", "Tab"}, "boris: "},
		{"Shift+Tab goes back", "bo", []string{"Tab", "Backtab"}, "bob: "},
		{"inside a line no colon follows", "hi ca", []string{"Tab"}, "hi carol "},
		{"an @ stays", "hi @ca", []string{"Tab"}, "hi @carol "},
		{"commands", "/rec", []string{"Tab"}, "/reconnect "},
		{"rooms", "see #g", []string{"Tab"}, "see #general "},
		{"rooms that are only known of", "see #ga", []string{"Tab"}, "see #games "},
		{"rooms after /join need no sign", "/join ga", []string{"Tab"}, "/join #games "},
		{"words of a command", "/bell m", []string{"Tab"}, "/bell mention "},
		{"commands after /help", "/help rec", []string{"Tab"}, "/help reconnect "},
		{"nothing fits", "xyz", []string{"Tab"}, "xyz"},
		{"nothing to complete", "", []string{"Tab"}, ""},
		{"in the middle", "bo how", []string{"Ctrl+A", "Right", "Right", "Tab"}, "boris: how"},
	} {
		m.input = editor{}
		typeText(m, c.text)
		press(m, c.keys...)
		if m.input.text != c.want {
			t.Errorf("%s: %q and %v make %q, want %q", c.why, c.text, c.keys, m.input.text, c.want)
		}
		m.completing = nil
	}
}

func TestEditing(t *testing.T) {
	for _, c := range []struct {
		why  string
		do   func(m *Model)
		want string // '|' is the cursor
	}{
		{"Ctrl+W cuts a word, Ctrl+Y puts it back", func(m *Model) { typeText(m, "a b-c "); press(m, "Ctrl+W", "Ctrl+A", "Ctrl+Y") }, "b-c |a "},
		{"cuts in a row are one", func(m *Model) { typeText(m, "a b c"); press(m, "Ctrl+W", "Ctrl+W", "Ctrl+W", "Ctrl+Y") }, "a b c|"},
		{"Ctrl+U cuts to the start of the line", func(m *Model) {
			typeText(m, "x")
			press(m, "Alt+Enter")
			typeText(m, "abc")
			press(m, "Left", "Ctrl+U")
		}, "x\n|c"},
		{"Alt+B, Alt+F, Alt+D go by words", func(m *Model) { typeText(m, "one two three"); press(m, "Alt+b", "Alt+b", "Alt+d") }, "one | three"},
		{"Backspace takes a whole emoji", func(m *Model) { m.Paste(start, "a👩‍👩‍👧‍👦"); press(m, "Backspace") }, "a|"},
		{"← and → go by what is seen", func(m *Model) { m.Paste(start, "e\u0301👍🏽x"); press(m, "Left", "Left", "Delete") }, "e\u0301|x"},
		{"↑ goes a row up before it goes to the history", func(m *Model) { typeText(m, "ab"); press(m, "Alt+Enter"); typeText(m, "cd"); press(m, "Up") }, "ab|\ncd"},
		{"↑ brings what was said, ↓ what was being typed", func(m *Model) {
			typeText(m, "said")
			press(m, "Enter")
			typeText(m, "new")
			press(m, "Up", "Down")
		}, "new|"},
		{"Ctrl+R finds what was said", func(m *Model) {
			typeText(m, "the first")
			press(m, "Enter")
			typeText(m, "second")
			press(m, "Enter", "Ctrl+R")
			typeText(m, "fir")
			press(m, "Enter")
		}, "the first|"},
		{"Esc and a key is Alt and that key", func(m *Model) { typeText(m, "one two"); press(m, "Esc"); typeText(m, "b") }, "one |two"},
		{"? opens the help in an empty input only", func(m *Model) { typeText(m, "a?") }, "a?|"},
		{"Ctrl+C clears", func(m *Model) { typeText(m, "abc"); press(m, "Ctrl+C") }, "|"},
		{"what cannot be said stays", func(m *Model) { typeText(m, "/jion x"); press(m, "Enter") }, "/jion x|"},
		{"what is too long stays", func(m *Model) { m.Paste(start, strings.Repeat("x", MaxText+1)); press(m, "Enter") }, strings.Repeat("x", MaxText+1) + "|"},
	} {
		m := newTestModel()
		c.do(m)
		if got := m.input.text[:m.input.pos] + "|" + m.input.text[m.input.pos:]; got != c.want {
			t.Errorf("%s: got %.80q, want %.80q", c.why, got, c.want)
		}
	}
}

func TestKeysCanBeRebound(t *testing.T) {
	m := NewModel(ModelConfig{Keys: map[string]string{"Ctrl+T": "help", "F1": ""}})
	if press(m, "F1"); m.overlay.mode != overlayNone {
		t.Error("F1 was bound to nothing")
	}
	if press(m, "Ctrl+T"); m.overlay.mode != overlayHelp {
		t.Error("Ctrl+T was bound to the help")
	}
}

func TestAnyKeysInAnyOrder(t *testing.T) {
	names := []string{"Esc", "Enter", "Ctrl+C"}
	for name := range bindings() {
		names = append(names, name)
	}
	rapid.Check(t, func(t *rapid.T) {
		m := newTestModel()
		for i := range rapid.IntRange(1, 150).Draw(t, "steps") {
			switch rapid.IntRange(0, 5).Draw(t, "what") {
			case 0:
				m.Update(start, says("general", "bob", rapid.String().Draw(t, "text"), uint64(i+1)))
			case 1:
				m.Key(start, Key{Text: rapid.StringN(1, 1, -1).Draw(t, "typed")})
			case 2:
				m.Resize(rapid.IntRange(-1, 130).Draw(t, "width"), rapid.IntRange(-1, 40).Draw(t, "height"))
			case 3:
				m.Click(start, rapid.IntRange(0, 130).Draw(t, "x"), rapid.IntRange(0, 40).Draw(t, "y"))
			default:
				m.Key(start, Key{Name: rapid.SampledFrom(sorted(names)).Draw(t, "key")})
			}
			if m.input.pos < 0 || m.input.pos > len(m.input.text) {
				t.Fatalf("the cursor is at %d of %d", m.input.pos, len(m.input.text))
			}
			_, w := m.columns()
			m.viewRows(m.room(), w, m.layout.timeline.h)
			used := 0
			for _, s := range m.statusLine(max(0, m.width)) {
				used += textWidth(s.text) + 1
			}
			if m.width >= 80 && used > m.width+1 {
				t.Fatalf("the status line takes %d of %d cells", used, m.width)
			}
		}
	})
}

func TestNothingIsBeingSyncedWithoutALink(t *testing.T) {
	m := newTestModel()
	m.Update(start, Synced{Room: "general", Missing: 12})
	status := func() string {
		var out []string
		for _, s := range m.statusLine(80) {
			out = append(out, s.text)
		}
		return strings.Join(out, " ")
	}
	want := func(what, in, not string) {
		t.Helper()
		if got := status(); !strings.Contains(got, in) || not != "" && strings.Contains(got, not) {
			t.Errorf("%s: the status line is %q: want %q in it", what, got, in)
		}
	}
	want("nobody is linked", "[12 missing]", "syncing")
	m.Update(start, Link{Peer: "bbbb", Up: true})
	want("bob is linked", "[syncing, 12 missing]", "")
	m.Update(start, MemberLeft{Room: "general", Member: Member{ID: "bbbb", Name: "bob"}, Count: 2})
	want("bob is linked, but in another room", "[12 missing]", "syncing")
}
