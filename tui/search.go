package tui

import (
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// The search in all that was said: a list of hits over the timeline, the newest first, which grows when its end is
// reached. The program searches (Search), and answers (Found).

const (
	searchAhead = 10   // hits that are left when more are asked for
	maxFound    = 2000 // hits that are kept
)

// searching is what the open search knows.
type searching struct {
	ask    uint64
	home   string // the room that was in view; empty: none
	all    bool   // in all rooms
	typing bool   // the last word may not be complete: its beginning is searched for
	hits   []hit
	at     int  // the selected one
	top    int  // the first in view
	busy   bool // an answer is awaited
	more   bool // there may be more hits
	err    string
	asked  string // what is searched for
}

// hit is a Hit, cleaned.
type hit struct {
	line  Line
	name  string
	room  string
	text  string
	spans [][2]int
}

// openSearch opens the search, with what was typed already.
func (m *Model) openSearch(s Search) {
	m.closeOverlay()
	m.overlay = overlay{mode: overlaySearch, search: &searching{home: m.room().name, all: s.Room == "" || m.room().name == ""}}
	m.focus = paneInput
	if s.Text != "" {
		m.overlay.query.set(s.Text)
		m.startSearch()
	}
}

// endSearch ends what is being searched.
func (m *Model) endSearch() {
	if s := m.overlay.search; s.busy {
		m.out.Actions = append(m.out.Actions, Search{Ask: s.ask})
	}
}

// startSearch searches for what is typed now.
func (m *Model) startSearch() {
	s := m.overlay.search
	text := strings.TrimSpace(m.overlay.query.text)
	if s.typing && incomplete(m.overlay.query.text) {
		text += "*"
	}
	m.endSearch()
	s.hits, s.at, s.top, s.more, s.err, s.busy = nil, 0, 0, false, "", false
	if text == "" {
		return
	}
	m.asks++
	s.ask, s.busy, s.asked = m.asks, true, text
	m.out.Actions = append(m.out.Actions, Search{Ask: s.ask, Room: s.room(), Text: text})
}

// room is where is searched; empty: in all.
func (s *searching) room() string {
	if s.all {
		return ""
	}
	return s.home
}

// incomplete reports whether a query ends in a word that may go on: a blank, a quote or a star ends it.
func incomplete(query string) bool {
	last, _ := utf8.DecodeLastRuneInString(query)
	return (unicode.IsLetter(last) || unicode.IsNumber(last) || unicode.IsMark(last)) && strings.Count(query, `"`)%2 == 0
}

// searchFound takes hits.
func (m *Model) searchFound(msg Found) {
	s := m.overlay.search
	if m.overlay.mode != overlaySearch || msg.Ask != s.ask || !s.busy {
		return
	}
	s.busy, s.more, s.err = false, msg.More && msg.Err == "", SanitizeLine(msg.Err)
	for i := range msg.Hits[:min(len(msg.Hits), maxFound-len(s.hits))] {
		s.hits = append(s.hits, cleanHit(&msg.Hits[i]))
	}
	s.more = s.more && len(s.hits) < maxFound
}

// cleanHit cleans a hit. Where its parts do not fit together when they are clean, the words are not marked.
func cleanHit(h *Hit) hit {
	out := hit{line: h.Line, name: SanitizeLine(h.Line.Name), room: SanitizeLine(h.Line.Room)}
	var b strings.Builder
	from := 0
	for _, span := range h.Spans {
		if span[0] < from || span[1] <= span[0] || span[1] > len(h.Text) {
			continue
		}
		b.WriteString(SanitizeLine(h.Text[from:span[0]]))
		at := b.Len()
		b.WriteString(SanitizeLine(h.Text[span[0]:span[1]]))
		out.spans = append(out.spans, [2]int{at, b.Len()})
		from = span[1]
	}
	b.WriteString(SanitizeLine(h.Text[from:]))
	if out.text = SanitizeLine(h.Text); out.text != b.String() {
		out.spans = nil
	}
	return out
}

// words are what was found in the text, as it stands there.
func (h *hit) words() (words []string) {
	for _, s := range h.spans {
		words = append(words, h.text[s[0]:s[1]])
	}
	return words
}

// searchKey moves in the list, or changes where is searched. It reports whether the key meant that.
func (m *Model) searchKey(op string) bool {
	page := max(1, m.layout.timeline.h-2)
	switch op {
	case "up", "line-up":
		m.searchMove(-1)
	case "down", "line-down":
		m.searchMove(1)
	case "page-up":
		m.searchMove(-page)
	case "page-down":
		m.searchMove(page)
	case "top":
		m.searchMove(-maxFound)
	case "bottom":
		m.searchMove(maxFound)
	case "find", "complete", "complete-back":
		if s := m.overlay.search; s.home != "" {
			s.all = !s.all
			m.startSearch()
		}
	default:
		return false
	}
	return true
}

// searchMove moves the selection, and asks for more hits when the last ones come near.
func (m *Model) searchMove(by int) {
	s := m.overlay.search
	s.at = max(0, min(s.at+by, len(s.hits)-1))
	if s.more && !s.busy && s.at+searchAhead >= len(s.hits) && len(s.hits) < maxFound {
		s.busy = true
		m.out.Actions = append(m.out.Actions, Search{Ask: s.ask, Room: s.room(), Text: s.asked, More: true})
	}
}

// searchClick chooses what is in a row of the list.
func (m *Model) searchClick(y int) {
	s := m.overlay.search
	if i := s.top + y - 1; y >= 1 && i < len(s.hits) {
		s.at = i
		m.searchEnter()
	}
}

// searchEnter goes to the selected line.
func (m *Model) searchEnter() {
	s := m.overlay.search
	if s.at >= len(s.hits) {
		m.flash = "nothing to go to"
		if s.busy {
			m.flash = "still searching" + m.sign("…", "...")
		}
		return
	}
	h := s.hits[s.at]
	if m.find(h.line.Room) == nil {
		m.flash = "you are not in #" + h.room + ": /join " + h.room + " first"
		return
	}
	m.closeOverlay()
	m.act(Switch{Room: h.line.Room})
	m.goTo(m.room(), &h.line, h.words())
}

// searchTitle says what is in the list.
func (m *Model) searchTitle() (text string, as role) {
	s := m.overlay.search
	where := "all rooms"
	if !s.all {
		where = "#" + s.home
	}
	more := ""
	if s.more {
		more = "+"
	}
	switch {
	case s.err != "":
		return "the search failed: " + s.err, roleAlert
	case m.overlay.query.text == "":
		return "search in " + where, rolePlain
	case s.busy && len(s.hits) == 0:
		return "searching " + where + m.sign("…", "..."), rolePlain
	case len(s.hits) == 0:
		return "nothing in " + where, rolePlain
	}
	return itoa(s.at+1) + " of " + itoa(len(s.hits)) + more + " in " + where, rolePlain
}

// searchHelp is what stands where there are no hits yet.
func (m *Model) searchHelp() []string {
	if m.overlay.query.text != "" {
		return nil
	}
	return []string{
		"Words that all have to be there.",
		"\"In quotes\" they follow each other.",
		"A word that ends in * goes on.",
		m.sign("↑ ↓ choose, Enter goes there, Tab searches all rooms, Esc goes back.",
			"Up Down choose, Enter goes there, Tab searches all rooms, Esc goes back."),
	}
}

// hitRow is a hit in a row of width cells: when, where and who, what, and the words in that.
func (m *Model) hitRow(h *hit, width int) (head, name, text string, spans [][2]int) {
	at, now := h.line.Sent.In(m.cfg.Location), m.now.In(m.cfg.Location)
	switch {
	case width >= 60:
		head = at.Format("2006-01-02 15:04")
	case sameDay(at, now):
		head = padRight(at.Format("15:04"), 6, "")
	case now.Sub(at).Abs() < 300*24*time.Hour:
		head = padRight(at.Format("2 Jan"), 6, "")
	default:
		head = padRight(at.Format("2006"), 6, "")
	}
	more := m.sign("…", "~")
	if m.overlay.search.all {
		head += " " + padRight("#"+h.room, max(6, min(14, width/6)), more)
	}
	name = h.name
	switch h.line.Kind {
	case LineAction:
		name = "* " + name
	case LineTopic:
		name = "-!- " + name
	}
	name = padLeft(truncate(name, max(6, min(14, width/6)), more), max(6, min(14, width/6)), "")
	left := max(1, width-textWidth(head)-textWidth(name)-2)
	text, spans = clipAround(h.text, h.spans, left, more)
	return head, name, text, spans
}

// clipAround cuts a text at its beginning, so that its first span is seen in width cells.
func clipAround(text string, spans [][2]int, width int, more string) (string, [][2]int) {
	if len(spans) == 0 || textWidth(text[:spans[0][1]]) <= width {
		return text, spans
	}
	from := 0
	for textWidth(text[from:spans[0][0]]) > width/3 {
		cluster, _, _ := nextCluster(text[from:])
		from += len(cluster)
	}
	var moved [][2]int
	for _, s := range spans {
		moved = append(moved, [2]int{s[0] - from + len(more), s[1] - from + len(more)})
	}
	return more + text[from:], moved
}

// spansOf are the places in text where one of words stands, not within a longer one.
func spansOf(text string, words []string) (spans [][2]int) {
	var prev rune
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRuneInString(text[i:])
		end := i
		if !(spaced(prev) && spaced(r)) {
			for _, w := range words {
				if strings.HasPrefix(text[i:], w) {
					end = max(end, i+len(w))
				}
			}
		}
		if end > i {
			spans = append(spans, [2]int{i, end})
			r, size = utf8.DecodeLastRuneInString(text[i:end])
			i = end - size
		}
		prev = r
		i += size
	}
	return spans
}

// spaced reports whether a letter is of a script that puts blanks between words. Thai is the first of the others.
func spaced(r rune) bool { return r < 0x0e00 && (unicode.IsLetter(r) || unicode.IsNumber(r)) }
