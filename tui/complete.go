package tui

import (
	"sort"
	"strings"
	"unicode/utf8"
)

// completion is a Tab cycle that is under way: the word from start on is one of options.
type completion struct {
	options []string // with what follows them: "bob: ", "/join "
	at      int
	start   int // where the word starts in the input
	end     int // where the inserted option ends
}

// complete starts a cycle, or moves the one under way by +1 or -1.
func (m *Model) complete(by int) {
	if c := m.completing; c != nil && len(c.options) > 0 {
		c.at = (c.at + by + len(c.options)) % len(c.options)
		m.applyCompletion()
		return
	}
	start := m.input.blankBefore()
	if m.input.pos > 0 && strings.HasSuffix(m.input.text[:m.input.pos], " ") {
		start = m.input.pos
	}
	options := m.options(start, m.input.text[start:m.input.pos])
	if len(options) == 0 {
		return
	}
	m.completing = &completion{options: options, start: start, end: m.input.pos}
	if by < 0 {
		m.completing.at = len(options) - 1
	}
	m.applyCompletion()
}

func (m *Model) applyCompletion() {
	c := m.completing
	option := c.options[c.at]
	text := m.input.text[:c.start] + option + strings.TrimPrefix(m.input.text[c.end:], " ")
	if len(text) > maxInput {
		return
	}
	m.input.text, m.input.pos = text, c.start+len(option)
	c.end = m.input.pos
	m.flash = ""
	if len(c.options) > 1 {
		words := make([]string, 0, len(c.options))
		for i := range min(len(c.options), 12) {
			word := strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(c.options[i]), ":"))
			if i == c.at {
				word = "[" + word + "]"
			}
			words = append(words, word)
		}
		m.flash = strings.Join(words, " ")
	}
}

// options are the completions of a word that starts at an offset of the input, best first.
func (m *Model) options(start int, word string) []string {
	line := m.input.text
	if start == 0 && strings.HasPrefix(word, "/") && !strings.HasPrefix(word, "//") {
		return matching(commandNames(), word[1:], "/", " ")
	}
	if strings.HasPrefix(word, "#") {
		return matching(m.roomNames(), word[1:], "#", " ")
	}
	if strings.HasPrefix(line, "/") && !strings.HasPrefix(line, "//") && start > 0 {
		name, _, _ := strings.Cut(line[1:], " ")
		if cmd := findCommand(name); cmd != nil {
			switch cmd.arg {
			case argRoom:
				return matching(m.roomNames(), word, "#", " ")
			case argCommand:
				return matching(commandNames(), strings.TrimPrefix(word, "/"), "", " ")
			case argWord:
				return matching(cmd.words, word, "", " ")
			case argNone:
				return nil
			}
		}
	}
	if word == "" {
		return nil
	}
	end := " "
	if start == 0 {
		end = ": "
	}
	at := ""
	if strings.HasPrefix(word, "@") {
		at, word = "@", word[1:]
	}
	return matching(m.nicks(), word, at, end)
}

// matching keeps the words that start with prefix, ignoring case, and dresses them up.
func matching(words []string, prefix, before, after string) []string {
	var out []string
	prefix = strings.ToLower(prefix)
	for _, w := range words {
		if strings.HasPrefix(strings.ToLower(w), prefix) {
			out = append(out, before+w+after)
		}
	}
	return out
}

func commandNames() []string {
	var names []string
	for _, c := range commands() {
		names = append(names, c.name)
	}
	sort.Strings(names)
	return names
}

// roomNames are the rooms that are entered, then those that are known of.
func (m *Model) roomNames() []string {
	var names []string
	seen := map[string]bool{}
	for _, r := range m.rooms {
		names = append(names, r.name)
		seen[r.name] = true
	}
	for _, k := range m.known {
		if !seen[k.Room] {
			names = append(names, k.Room)
		}
	}
	return names
}

// nicks are the names of the others in the room in view: who spoke last comes first, the silent by name.
func (m *Model) nicks() []string {
	r := m.room()
	type nick struct {
		name  string
		spoke uint64
	}
	var list []nick
	for _, mem := range r.members {
		if mem.ID != m.self.ID {
			list = append(list, nick{mem.Name, r.spoke[mem.ID].order})
		}
	}
	sort.SliceStable(list, func(i, j int) bool {
		if list[i].spoke != list[j].spoke {
			return list[i].spoke > list[j].spoke
		}
		return strings.ToLower(list[i].name) < strings.ToLower(list[j].name)
	})
	var names []string
	seen := map[string]bool{}
	for _, n := range list {
		if !seen[n.name] {
			seen[n.name] = true
			names = append(names, n.name)
		}
	}
	return names
}

// mentions reports whether text names somebody: name as a word of its own, in any case.
func mentions(text, name string) bool {
	if name == "" {
		return false
	}
	text, name = strings.ToLower(text), strings.ToLower(name)
	for from := 0; ; {
		i := strings.Index(text[from:], name)
		if i < 0 {
			return false
		}
		i += from
		if !wordAt(text[:i], true) && !wordAt(text[i+len(name):], false) {
			return true
		}
		from = i + len(name)
	}
}

// wordAt reports whether s touches a word at its end or at its start.
func wordAt(s string, end bool) bool {
	if s == "" {
		return false
	}
	r, _ := utf8.DecodeRuneInString(s)
	if end {
		r, _ = utf8.DecodeLastRuneInString(s)
	}
	return isWordRune(r)
}

// fuzzy scores how well a pattern fits a name: its letters in order, better when they are together and at the
// start. Negative is no fit.
func fuzzy(pattern, name string) int {
	p, n := []rune(strings.ToLower(pattern)), []rune(strings.ToLower(name))
	score, at, last := 0, 0, -1
	for i := 0; i < len(n) && at < len(p); i++ {
		if n[i] != p[at] {
			continue
		}
		score++
		switch {
		case i == 0:
			score += 5
		case last == i-1 && at > 0:
			score += 4
		case !isWordRune(n[i-1]):
			score += 3
		}
		last = i
		at++
	}
	if at < len(p) {
		return -1
	}
	return score*8 - min(len(n), 7)
}
