package tui

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// testLog is a room's log as the program reads it for the Model, and what the neighbours have beyond.
type testLog struct {
	lines   []Line // in order
	older   []Line // the neighbours'
	asked   []Action
	asks    int // of the log
	fetches int
}

// newTestLog makes a log of n lines behind older ones that only the neighbours have.
func newTestLog(n, older int) *testLog {
	l := &testLog{}
	for i := range n + older {
		line := says("general", []string{"bob", "carol"}[i%2], fmt.Sprint("line ", i), uint64(10+i))
		if i < older {
			l.older = append(l.older, line)
		} else {
			l.lines = append(l.lines, line)
		}
	}
	return l
}

// scatter leaves to the neighbours, too, every third line of the first half: other authors' logs begin later here.
func (l *testLog) scatter() *testLog {
	all := l.lines
	l.lines = nil
	for i, line := range all {
		if i < len(all)/2 && i%3 == 1 {
			l.older = append(l.older, line)
		} else {
			l.lines = append(l.lines, line)
		}
	}
	return l
}

// say appends a line and tells the Model.
func (l *testLog) say(m *Model, who, text string) {
	line := says("general", who, text, uint64(10+len(l.lines)+len(l.older)))
	l.lines = append(l.lines, line)
	l.take(m.Update(start, line))
}

// begin tells the Model the newest lines, as a peer does that enters a room.
func (l *testLog) begin(m *Model, n int) {
	for _, line := range l.lines[max(0, len(l.lines)-n):] {
		line.History = true
		l.take(m.Update(start, line))
	}
}

func (l *testLog) press(m *Model, keys ...string) {
	for _, k := range keys {
		l.take(m.Key(start, Key{Name: k}))
	}
}

func (l *testLog) take(out Effects) {
	for _, a := range out.Actions {
		switch a.(type) {
		case AskPage, FetchOlder:
			l.asked = append(l.asked, a)
		}
	}
}

// answer answers what was asked until nothing is.
func (l *testLog) answer(m *Model) {
	for len(l.asked) > 0 {
		a := l.asked[0]
		l.asked = l.asked[1:]
		l.take(m.Update(start, l.answerTo(a)))
	}
}

func (l *testLog) answerTo(a Action) Msg {
	if f, ok := a.(FetchOlder); ok {
		l.fetches++
		n := min(f.Lines, len(l.older))
		l.lines = append(slices.Clone(l.older[len(l.older)-n:]), l.lines...)
		slices.SortStableFunc(l.lines, func(a, b Line) int { return cmp.Compare(a.Order, b.Order) })
		l.older = l.older[:len(l.older)-n]
		if n == 0 {
			return Older{Room: f.Room, Why: "nobody has older lines"}
		}
		return Older{Room: f.Room, Lines: n}
	}
	ask := a.(AskPage)
	l.asks++
	at := slices.IndexFunc(l.lines, func(x Line) bool { return !(place{x.Order, x.Peer}).before(place{ask.Order, ask.Peer}) })
	if at < 0 {
		at = len(l.lines)
	}
	from, to := 0, len(l.lines)
	switch ask.From {
	case PageNewest:
		from = to - ask.Lines
	case PageOldest:
		to = ask.Lines
	case PageBefore:
		from, to = at-ask.Lines, at
	case PageAfter:
		from, to = at+1, at+1+ask.Lines
	case PageAround:
		from, to = at-ask.Lines/2, at+ask.Lines/2
	}
	from, to = max(0, from), min(to, len(l.lines))
	from = min(from, to)
	return Page{Ask: ask.Ask, Room: ask.Room, Lines: slices.Clone(l.lines[from:to]), First: from == 0, Last: to == len(l.lines)}
}

// check says what is wrong with what is loaded.
func (l *testLog) check(m *Model) error {
	r := m.rooms[0]
	var loaded []string
	for _, it := range r.items {
		if it.isMessage() {
			loaded = append(loaded, it.id)
		}
	}
	at := func(id string) int { return slices.IndexFunc(l.lines, func(x Line) bool { return x.ID == id }) }
	if len(r.items) > maxLines+maxLines/10 || len(r.tail) > maxTail {
		return fmt.Errorf("%d lines and %d in the tail are more than may be", len(r.items), len(r.tail))
	}
	sum := 0
	for i, it := range r.items {
		sum += it.size()
		if i > 0 && !r.items[i-1].less(it) {
			return fmt.Errorf("line %d (%q) is not behind %q", i, it.text, r.items[i-1].text)
		}
	}
	if sum != r.bytes {
		return fmt.Errorf("%d bytes are counted, there are %d", r.bytes, sum)
	}
	if len(loaded) == 0 {
		return nil
	}
	for i, first := 0, at(loaded[0]); i < len(loaded) && r.known; i++ {
		if first+i >= len(l.lines) || l.lines[first+i].ID != loaded[i] {
			return fmt.Errorf("behind %d loaded lines, one is missing", i)
		}
	}
	if last := l.lines[len(l.lines)-1].ID; !r.cut && loaded[len(loaded)-1] != last {
		return fmt.Errorf("the newest line is not loaded, and that is not known")
	}
	if r.known && r.first && loaded[0] != l.lines[0].ID {
		return fmt.Errorf("the first line that is loaded is taken for the first of the log")
	}
	return nil
}

func (l *testLog) must(t interface{ Fatalf(string, ...any) }, m *Model) {
	if err := l.check(m); err != nil {
		t.Fatalf("%v", err)
	}
}

func TestPagingBackToTheFirstLine(t *testing.T) {
	m, log := newTestModel(), newTestLog(6000, 1200)
	log.begin(m, 1000)
	seen := 0
	for range 20_000 {
		if !strings.HasPrefix(texts(m), "line 0|") && !strings.Contains(texts(m), "nobody has older lines|line 0|") {
			log.press(m, "PgUp")
			log.answer(m)
			log.must(t, m)
			seen = max(seen, len(m.room().items))
			continue
		}
		break
	}
	if !strings.Contains(texts(m), "line 0|line 1|") {
		t.Fatalf("paging up arrives at the first line, got %s", texts(m))
	}
	if log.fetches < 3 {
		t.Errorf("the neighbours were asked %d times for 1200 lines, at most %d at once", log.fetches, fetchLines)
	}
	m.Update(start, says("general", "bob", "said meanwhile", 1<<20))
	if r := m.room(); !r.cut || r.below != 1 || len(r.tail) == 0 {
		t.Errorf("what is said meanwhile is counted: cut %v, %d new", r.cut, r.below)
	}
	for range 3 {
		m.now = m.now.Add(fetchPause)
		m.room().paging.told = start.Add(-fetchPause)
		log.press(m, "PgUp")
		log.answer(m)
	}
	if got := texts(m); !strings.HasPrefix(got, "nobody has older lines|line 0|") {
		t.Errorf("at the top it says why there is no more, got %s", got)
	}
	log.lines = append(log.lines, says("general", "bob", "said meanwhile", 1<<20))
	log.press(m, "Ctrl+End")
	log.answer(m)
	log.must(t, m)
	if r := m.room(); r.cut || r.scroll != nil || !strings.HasSuffix(texts(m), "|line 7199|said meanwhile") {
		t.Errorf("Ctrl+End is at the newest line again, got %s", texts(m))
	}
}

func TestCtrlHomeGoesToTheFirstLineAndBackDown(t *testing.T) {
	m, log := newTestModel(), newTestLog(3000, 0)
	log.begin(m, 1000)
	log.press(m, "Ctrl+Home")
	log.answer(m)
	log.must(t, m)
	if got := texts(m); !strings.HasPrefix(got, "line 0|") {
		t.Fatalf("Ctrl+Home is at the first line, got %s", got)
	}
	for i := 0; m.room().scroll != nil; i++ {
		log.press(m, "PgDn")
		log.answer(m)
		log.must(t, m)
		if i > 3000 {
			t.Fatal("PgDn does not arrive at the newest line")
		}
	}
	if got := texts(m); !strings.HasSuffix(got, "|line 2999") {
		t.Errorf("PgDn arrives at the newest line, got %s", got)
	}
}

// As in irssi and weechat, /clear hides lines, and scrolling up finds them again.
func TestClearedLinesComeBack(t *testing.T) {
	m, log := newTestModel(), newTestLog(50, 0)
	log.begin(m, 1000)
	m.act(Clear{})
	if got := texts(m); got != "" {
		t.Fatalf("the screen is empty, got %s", got)
	}
	log.say(m, "bob", "after it")
	if got := texts(m); got != "after it" || len(log.asked) > 0 {
		t.Fatalf("nothing but the new line is there, got %s and %v", got, log.asked)
	}
	log.press(m, "PgUp")
	log.answer(m)
	log.must(t, m)
	if got := texts(m); !strings.HasSuffix(got, "line 48|line 49|after it") {
		t.Errorf("the lines are back, got %s", got)
	}
}

func TestTheStoreCannotBeRead(t *testing.T) {
	m, log := newTestModel(), newTestLog(1000, 0)
	log.begin(m, 200)
	log.press(m, "Ctrl+Home", "PgUp")
	ask := log.asked[0].(AskPage)
	log.asked = nil
	log.take(m.Update(start, Page{Ask: ask.Ask, Room: "general", Err: "disk\x1b[2J on fire"}))
	log.press(m, "Ctrl+End")
	if got := strings.ReplaceAll(texts(m), "|", " "); !strings.HasSuffix(got, "could not be read: disk␛[2J on fire") || len(log.asked) != 0 {
		t.Errorf("the reader is told why, and what is loaded stays; got %s, asked %v", got, log.asked)
	}
	log.press(m, "Ctrl+Home")
	log.answer(m)
	if got := texts(m); !strings.HasPrefix(got, "line 0|") {
		t.Errorf("it is tried again, got %s", got)
	}
}

func TestPagesForOtherQuestionsAreLeft(t *testing.T) {
	m, log := newTestModel(), newTestLog(1000, 0)
	log.begin(m, 200)
	before := texts(m)
	m.Update(start, Page{Ask: 7, Room: "general", Lines: log.lines[:10], First: true})
	m.Update(start, Page{Ask: 0, Room: "general", Lines: log.lines[:10], First: true})
	m.Update(start, Page{Ask: 1, Room: "nowhere"})
	m.Update(start, Older{Room: "nowhere", Lines: 3})
	if texts(m) != before || len(m.room().items) != 200 {
		t.Errorf("what nobody asked for changes nothing")
	}
}

// Whatever the reader and the room do, what is loaded is a part of the log without holes, within its bounds, and lines
// that come in above or below do not move the view.
func TestAnyPagingInAnyOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newTestModel()
		m.Resize(rapid.IntRange(20, 100).Draw(t, "width"), rapid.IntRange(5, 40).Draw(t, "height"))
		log := newTestLog(rapid.SampledFrom([]int{1, 5, 300, 1500, 7000}).Draw(t, "lines"), rapid.SampledFrom([]int{0, 40, 700}).Draw(t, "older"))
		if rapid.Bool().Draw(t, "scattered") {
			log.scatter()
		}
		log.begin(m, rapid.SampledFrom([]int{3, 200, 1000, 6000}).Draw(t, "shown"))
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			r := m.room()
			switch rapid.IntRange(0, 9).Draw(t, "what") {
			case 0:
				for i := range rapid.SampledFrom([]int{1, 3, 600}).Draw(t, "said") {
					log.say(m, "bob", fmt.Sprint("live ", i))
				}
			case 1:
				log.say(m, "alice", "mine")
				if r.scroll != nil {
					t.Fatalf("who speaks is at the newest line")
				}
			case 2:
				log.press(m, rapid.SampledFrom([]string{"Ctrl+Home", "Ctrl+End", "Shift+Up", "Shift+Down"}).Draw(t, "key"))
			case 3, 4:
				for range rapid.SampledFrom([]int{1, 2, 30}).Draw(t, "pages") {
					log.press(m, rapid.SampledFrom([]string{"PgUp", "PgDn"}).Draw(t, "key"))
				}
			case 5:
				line := log.lines[rapid.IntRange(0, len(log.lines)-1).Draw(t, "hit")]
				m.out = Effects{}
				m.goTo(r, &line, nil)
				log.take(m.out)
			case 6:
				m.act(Clear{})
			case 7:
				log.take(m.Update(start, Failure{Room: "general", Text: "some failure"}))
			default:
				if len(log.asked) == 0 {
					continue
				}
				ask, _ := log.asked[0].(AskPage)
				moves := r.paging.owed != 0 || ask.From == PageNewest && r.scroll == nil || ask.From == PageOldest || ask.From == PageAround
				before := lastRow(m)
				a := log.asked[0]
				log.asked = log.asked[1:]
				log.take(m.Update(start, log.answerTo(a)))
				if after := lastRow(m); !moves && r.scroll != nil && before != "" && after != "" && after != before {
					t.Fatalf("lines that are loaded do not move the view: at its bottom was %q and is %q", before, after)
				}
			}
			log.must(t, m)
		}
		log.press(m, "Ctrl+End")
		log.answer(m)
		log.press(m, "Ctrl+End")
		log.answer(m)
		log.must(t, m)
		if r := m.room(); r.cut || r.scroll != nil {
			t.Fatalf("Ctrl+End is at the newest line")
		}
	})
}

// lastRow is the row at the bottom of a view that is full of lines; empty if it is not.
func lastRow(m *Model) string {
	_, width := m.columns()
	rows := m.viewRows(m.room(), width, m.layout.timeline.h)
	if len(rows) < m.layout.timeline.h || slices.ContainsFunc(rows, func(r row) bool { return r.kind == rowEdge }) {
		return ""
	}
	last := rows[len(rows)-1]
	return fmt.Sprint(last.item.id, last.kind, last.text)
}

func TestAShortRoomIsFilledFromTheNeighbours(t *testing.T) {
	m, log := newTestModel(), newTestLog(3, 2)
	log.begin(m, 10)
	log.press(m, "PgUp")
	log.answer(m)
	log.must(t, m)
	if got := texts(m); got != "line 0|line 1|line 2|line 3|line 4" || log.fetches != 1 {
		t.Fatalf("one PgUp brings what the neighbours have: got %s after %d fetches", got, log.fetches)
	}
	log.press(m, "PgUp")
	log.asked = nil
	m.Update(start, Older{Room: "general"})
	if got := texts(m); got != "this is the beginning of #general|line 0|line 1|line 2|line 3|line 4" {
		t.Errorf("it says that there is no more: got %s", got)
	}
	log.press(m, "PgUp")
	if len(log.asked) != 0 {
		t.Errorf("it is not asked again at once, got %v", log.asked)
	}
	m.Key(start.Add(fetchPause), Key{Name: "PgUp"})
	if got := texts(m); !strings.HasPrefix(got, "fetching older lines…|") {
		t.Errorf("it is asked again after a while, got %s", got)
	}
}

func TestFetchedLinesThatBelongBetweenOthersAreThere(t *testing.T) {
	for _, lines := range []int{30, 1200, 6600} {
		m, log := newTestModel(), newTestLog(lines, 0).scatter()
		log.begin(m, 1000)
		for range 40 {
			log.press(m, "Ctrl+Home")
			log.answer(m)
			m.now = m.now.Add(fetchPause)
			log.press(m, "PgUp")
			log.answer(m)
			log.must(t, m)
		}
		if got := texts(m); len(log.older) > 0 || !strings.Contains(got, "line 0|line 1|line 2|line 3|") {
			t.Errorf("of %d lines, %d are still with the others, and the first ones are %s", lines, len(log.older), got)
		}
	}
}

func TestALateAnswerDoesNotTakeOneAway(t *testing.T) {
	m, log := newTestModel(), newTestLog(3000, 0)
	log.begin(m, 1000)
	log.press(m, "Ctrl+Home", "Ctrl+End")
	log.answer(m)
	if m.room().scroll != nil || !strings.HasSuffix(texts(m), "line 2999") {
		t.Errorf("who went back to the newest line stays there, got %s", texts(m))
	}
}

// A terminal that takes nothing for a while loses lines; paging brings them.
func TestLinesThatWereLeftOutComeWithAPage(t *testing.T) {
	m, log := newTestModel(), newTestLog(30, 0)
	log.begin(m, 10)
	for i := range 5 {
		line := says("general", "bob", fmt.Sprint("left out ", i), uint64(100+i))
		log.lines = append(log.lines, line)
	}
	m.missed()
	line := says("general", "bob", "shown", 200)
	log.lines = append(log.lines, line)
	m.Update(start, line)
	for range 3 {
		log.press(m, "PgUp")
		log.answer(m)
	}
	log.must(t, m)
	if r := m.room(); !r.known || len(r.items) != 36 {
		t.Errorf("all lines are there, got %d", len(r.items))
	}
}

// Who wanted to scroll up where nothing more was loaded gets there when the others' lines have come, unless turned back
// meanwhile.
func TestFetchedLinesComeIntoView(t *testing.T) {
	for _, back := range []bool{false, true} {
		m, log := newTestModel(), newTestLog(100, 700)
		log.begin(m, 100)
		log.press(m, "Ctrl+Home")
		log.answer(m)
		log.press(m, "PgUp")
		if back {
			log.press(m, "PgDn")
		}
		log.answer(m)
		log.must(t, m)
		want := "|line 690|" // of those that came, a few rows up
		if got := texts(m); strings.Contains(got, want) == back {
			t.Errorf("turned back %v: got %s", back, got)
		}
	}
}
