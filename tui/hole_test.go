package tui

import (
	"strings"
	"testing"
)

// numbered is a line with its number in its author's log, behind so many missing ones.
func numbered(who string, order, seq, missing uint64, history bool) Line {
	l := says("general", who, who+" "+itoa(int(seq)), order)
	l.Seq, l.Missing, l.History = seq, missing, history
	return l
}

func TestAHoleIsDrawnInItsPlaceUntilItIsFilled(t *testing.T) {
	m := newTestModel()
	want := func(what, want string) {
		t.Helper()
		if got := texts(m); got != want {
			t.Errorf("%s: got %s, want %s", what, got, want)
		}
	}
	add := func(lines ...Line) {
		for _, l := range lines {
			m.Update(start, l)
		}
	}
	add(numbered("bob", 1, 5, 0, true), numbered("carol", 4, 1, 0, true), numbered("bob", 9, 9, 3, false))
	want("bob's log went on", "bob 5|carol 1|3 lines of bob are missing here|bob 9")
	add(numbered("bob", 8, 8, 2, true))
	want("it is filled from its end", "bob 5|carol 1|2 lines of bob are missing here|bob 8|bob 9")
	add(numbered("bob", 3, 7, 1, true))
	want("what comes may belong elsewhere", "bob 5|1 line of bob is missing here|bob 7|carol 1|bob 8|bob 9")
	add(numbered("bob", 2, 6, 0, true))
	want("it is full", "bob 5|bob 6|bob 7|carol 1|bob 8|bob 9")
	add(numbered("carol", 20, 1_760_000_000_000, 1_759_999_999_998, false))
	want("carol has lost her history", "bob 5|bob 6|bob 7|carol 1|bob 8|bob 9|lines of carol may be missing here|carol 1760000000000")
	m.bare = true
	if got := texts(m); !strings.Contains(got, "|12:00 -!- lines of carol may be missing here|") {
		t.Errorf("a copy of the log tells it, too: %s", got)
	}
}

// A line that fills a hole may belong to a part of the log that is not loaded.
func TestAHoleIsFilledByLinesThatAreNotLoaded(t *testing.T) {
	m := newTestModel()
	for seq := uint64(50); seq < 60; seq++ {
		m.Update(start, numbered("carol", seq, seq, 0, true))
	}
	m.Update(start, numbered("bob", 70, 9, 3, true))
	r := m.room()
	r.known, r.from = true, place{50, strings.Repeat("c", 4)}
	for _, seq := range []uint64{6, 7, 8} {
		m.Update(start, numbered("bob", seq, seq, 0, true))
	}
	if got := texts(m); strings.Contains(got, "missing") || strings.Contains(got, "bob 6") {
		t.Errorf("got %s: want no hole, and the lines with their page", got)
	}
}

// The log knows best: pages bring holes, and end them; but what came since they were read counts.
func TestAPageTellsOfHoles(t *testing.T) {
	m, log := newTestModel(), &testLog{}
	log.lines = []Line{numbered("bob", 1, 5, 0, true), numbered("carol", 4, 1, 0, true), numbered("bob", 9, 9, 3, true), numbered("bob", 10, 10, 0, true)}
	for _, l := range log.lines[2:] {
		l.Missing = 0
		m.Update(start, l)
	}
	page := func() {
		m.room().known, m.room().first, m.room().paging = false, false, paging{}
		log.press(m, "PgUp")
		log.answer(m)
	}
	page()
	if got := texts(m); !strings.Contains(got, "bob 5|carol 1|3 lines of bob are missing here|bob 9") {
		t.Errorf("a page tells of it: got %s", got)
	}
	for i, seq := range []uint64{6, 7, 8} {
		m.Update(start, numbered("bob", 5+uint64(i), seq, 0, true))
	}
	page() // it was read before those came
	if got := texts(m); strings.Contains(got, "missing") {
		t.Errorf("a page that is late brings no hole back: got %s", got)
	}
	log.lines[2].Missing = 0
	page()
	if got := texts(m); strings.Contains(got, "missing") || m.room().holed {
		t.Errorf("all is there: got %s", got)
	}
}
