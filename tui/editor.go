package tui

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxInput bounds the input, in bytes: more than can be sent, so that a text that is too long stays to be split.
const maxInput = 4 * MaxText

// editor is a text with a cursor: pos is a byte offset between two grapheme clusters.
type editor struct {
	text string
	pos  int
}

func (e *editor) set(text string) { e.text, e.pos = text, len(text) }

// insert puts s in at the cursor and reports whether there was room for it.
func (e *editor) insert(s string) bool {
	if len(e.text)+len(s) > maxInput {
		return false
	}
	e.text = e.text[:e.pos] + s + e.text[e.pos:]
	e.pos += len(s)
	return true
}

// cut takes out what is between two offsets and returns it.
func (e *editor) cut(from, to int) string {
	gone := e.text[from:to]
	e.text = e.text[:from] + e.text[to:]
	e.pos = from
	return gone
}

// before is the offset of the cluster before the cursor.
func (e *editor) before() int {
	if e.pos == 0 {
		return 0
	}
	if e.text[e.pos-1] == '\n' {
		return e.pos - 1
	}
	at := strings.LastIndexByte(e.text[:e.pos], '\n') + 1
	for {
		c, _, _ := nextCluster(e.text[at:e.pos])
		if at+len(c) >= e.pos {
			return at
		}
		at += len(c)
	}
}

// after is the offset behind the cluster at the cursor.
func (e *editor) after() int {
	c, _, _ := nextCluster(e.text[e.pos:])
	return e.pos + len(c)
}

func isWordRune(r rune) bool {
	return unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r) || r == '_'
}

// wordBefore is where the word before the cursor starts, wordAfter where the next one ends.
func (e *editor) wordBefore() int {
	at, inWord := e.pos, false
	for at > 0 {
		r, n := utf8.DecodeLastRuneInString(e.text[:at])
		if isWordRune(r) {
			inWord = true
		} else if inWord {
			break
		}
		at -= n
	}
	return at
}

func (e *editor) wordAfter() int {
	at, inWord := e.pos, false
	for at < len(e.text) {
		r, n := utf8.DecodeRuneInString(e.text[at:])
		if isWordRune(r) {
			inWord = true
		} else if inWord {
			break
		}
		at += n
	}
	return at
}

// blankBefore is where the run of non-spaces before the cursor starts: what Ctrl+W takes.
func (e *editor) blankBefore() int {
	s := strings.TrimRightFunc(e.text[:e.pos], unicode.IsSpace)
	i := strings.LastIndexFunc(s, unicode.IsSpace)
	if i < 0 {
		return 0
	}
	_, n := utf8.DecodeRuneInString(s[i:])
	return i + n
}

func (e *editor) lineStart() int { return strings.LastIndexByte(e.text[:e.pos], '\n') + 1 }

func (e *editor) lineEnd() int {
	if i := strings.IndexByte(e.text[e.pos:], '\n'); i >= 0 {
		return e.pos + i
	}
	return len(e.text)
}

// vertical moves the cursor by rows in the text wrapped at width, and reports whether there was such a row.
func (e *editor) vertical(by, width int) bool {
	rows, starts := wrapHard(e.text, width)
	row := rowOf(starts, e.pos)
	column := textWidth(e.text[starts[row]:e.pos])
	if row += by; row < 0 || row >= len(rows) {
		return false
	}
	at, used := starts[row], 0
	for end := at + len(rows[row]); at < end; {
		c, _, w := nextCluster(e.text[at:])
		if used+w > column {
			break
		}
		used += w
		at += len(c)
	}
	e.pos = at
	return true
}

// rowOf is the row that holds an offset, given where the rows start.
func rowOf(starts []int, pos int) int {
	row := 0
	for i, s := range starts {
		if s <= pos {
			row = i
		}
	}
	return row
}

// history is what was typed before, oldest first.
type history struct {
	entries []string
	at      int    // entries[at] is shown; len(entries) is the line being typed
	typed   string // that line, while another is shown
}

const maxHistory = 500

func (h *history) add(line string) {
	if n := len(h.entries); line != "" && (n == 0 || h.entries[n-1] != line) {
		h.entries = append(h.entries, line)
		if len(h.entries) > maxHistory {
			h.entries = append(h.entries[:0], h.entries[len(h.entries)-maxHistory:]...)
		}
	}
	h.at, h.typed = len(h.entries), ""
}

// move goes back (-1) or forth (+1) and returns the line to show.
func (h *history) move(by int, now string) (string, bool) {
	to := h.at + by
	if to < 0 || to > len(h.entries) {
		return "", false
	}
	if h.at == len(h.entries) {
		h.typed = now
	}
	h.at = to
	if to == len(h.entries) {
		return h.typed, true
	}
	return h.entries[to], true
}

// search finds the newest entry before index from that contains s, ignoring case; -1 if there is none.
func (h *history) search(s string, from int) int {
	s = strings.ToLower(s)
	for i := min(from, len(h.entries)) - 1; i >= 0; i-- {
		if strings.Contains(strings.ToLower(h.entries[i]), s) {
			return i
		}
	}
	return -1
}

// killRing keeps what was cut, newest last.
type killRing struct {
	cuts []string
	grow bool // the last key cut too, so the next cut joins that one
}

func (k *killRing) cut(s string, before bool) {
	if s == "" {
		return
	}
	if n := len(k.cuts); k.grow && n > 0 && len(k.cuts[n-1])+len(s) <= maxInput {
		if before {
			k.cuts[n-1] = s + k.cuts[n-1]
		} else {
			k.cuts[n-1] += s
		}
	} else if k.cuts = append(k.cuts, s); len(k.cuts) > 8 {
		k.cuts = append(k.cuts[:0], k.cuts[1:]...)
	}
	k.grow = true
}

func (k *killRing) last() string {
	if len(k.cuts) == 0 {
		return ""
	}
	return k.cuts[len(k.cuts)-1]
}
