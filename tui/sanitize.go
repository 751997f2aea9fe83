package tui

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds of what one grapheme cluster may carry. They fit every emoji and every orthography in use, and stop text
// that climbs over its neighbours ("zalgo").
const (
	maxMarks   = 4 // combining marks on one base
	maxJoiners = 6 // zero-width joiners in one emoji
)

// Sanitize makes text from elsewhere fit for a terminal: what could move the cursor, restyle the screen, reorder
// or hide text is replaced by something visible. Newlines stay, tabs become four spaces. Emoji sequences and
// letters of all scripts, right-to-left ones too, stay as they are. Sanitize(Sanitize(s)) == Sanitize(s).
func Sanitize(s string) string { return sanitize(s, false) }

// SanitizeLine is Sanitize for what must be one line: names, topics, errors. Newlines become spaces.
func SanitizeLine(s string) string { return sanitize(s, true) }

func sanitize(s string, oneLine bool) string {
	if plainASCII(s, oneLine) {
		return s
	}
	var out strings.Builder
	out.Grow(len(s))
	var (
		prev    rune // the last rune written
		marks   int  // combining marks since the last base
		joiners int  // zero-width joiners since the last base that no joiner preceded
	)
	write := func(r rune) {
		if !unicode.IsMark(r) && !isSelector(r) {
			marks = 0
		}
		out.WriteRune(r)
		prev = r
	}
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		rest := s[i+size:]
		i += size
		switch {
		case r == '\n' || (r == '\r' && strings.HasPrefix(rest, "\n")):
			if r == '\r' {
				i++ // CR LF is one line end
			}
			if oneLine {
				write(' ')
			} else {
				write('\n')
			}
		case r == '\t':
			for range 4 {
				write(' ')
			}
		case r < 0x20:
			write(0x2400 + r) // control pictures: ␀ … ␟
		case r == 0x7f:
			write(0x2421)
		case r == 0x2028 || r == 0x2029:
			write(0x2424)
		case r == 0x200e || r == 0x200f || r == 0x061c || r == 0x00ad:
			// Direction marks and soft hyphens are honest in prose and show nothing: they go quietly.
		case r == 0x200d || r == 0x200c:
			next, _ := utf8.DecodeRuneInString(rest)
			switch {
			case r == 0x200d && joinsEmoji(prev, next) && joiners < maxJoiners:
				joiners++
				write(r)
				continue
			case joinsLetters(prev, next):
				write(r)
			default:
				write(utf8.RuneError)
			}
		case r == 0x1f3f4:
			write(r)
			if n := flagTags(rest); n > 0 {
				out.WriteString(rest[:n])
				i += n
				prev = utf8.RuneError // what follows belongs to no emoji
			}
		case isSelector(r):
			next, _ := utf8.DecodeRuneInString(rest)
			if !selects(r, prev, next) {
				write(utf8.RuneError)
				break
			}
			write(r)
		case unicode.IsMark(r):
			if isBlankLetter(r) {
				write(utf8.RuneError)
				break
			}
			if prev == 0 || prev == '\n' || prev == ' ' {
				write('◌') // a mark with nothing to sit on would sit on its neighbour
			}
			if marks++; marks <= maxMarks {
				write(r)
			}
		case r != ' ' && r != 0x3000 && unicode.Is(unicode.Zs, r):
			write(' ')
		case isBlankLetter(r) || !unicode.IsGraphic(r):
			write(utf8.RuneError)
		default:
			write(r)
		}
		if prev != 0x200d && !isPictograph(prev) && !isSelector(prev) {
			joiners = 0
		}
	}
	return out.String()
}

func plainASCII(s string, oneLine bool) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; (c < 0x20 && (c != '\n' || oneLine)) || c > 0x7e {
			return false
		}
	}
	return true
}

// isSelector reports a variation selector, which alters the character before it and shows nothing itself.
func isSelector(r rune) bool {
	return (r >= 0xfe00 && r <= 0xfe0f) || (r >= 0xe0100 && r <= 0xe01ef)
}

// selects reports whether a variation selector has something to select. Selectors elsewhere are a way to hide data.
func selects(r, prev, next rune) bool {
	switch {
	case r == 0xfe0e || r == 0xfe0f:
		if prev >= '0' && prev <= '9' || prev == '#' || prev == '*' {
			return r == 0xfe0f && next == 0x20e3 // a keycap
		}
		return isPictograph(prev)
	case r >= 0xe0100:
		return unicode.Is(unicode.Han, prev)
	}
	return false
}

// isPictograph reports a character that emoji sequences are made of (Unicode TS 51, roughly: a wider set does no harm).
func isPictograph(r rune) bool {
	switch {
	case r == 0xa9 || r == 0xae || r == 0x203c || r == 0x2049 || r == 0x2122 || r == 0x2139 || r == 0x3030 || r == 0x303d:
		return true
	case r == 0x3297 || r == 0x3299 || r == 0x20e3:
		return true
	case r >= 0x2190 && r <= 0x21ff, r >= 0x2300 && r <= 0x23ff, r >= 0x2460 && r <= 0x24ff:
		return unicode.IsGraphic(r)
	case r >= 0x25a0 && r <= 0x27bf, r >= 0x2900 && r <= 0x297f, r >= 0x2b00 && r <= 0x2bff:
		return r != '◌' && unicode.IsGraphic(r)
	case r >= 0x1f000 && r <= 0x1faff:
		return unicode.IsGraphic(r)
	}
	return false
}

// joinsEmoji reports whether a zero-width joiner stands between two parts of an emoji.
func joinsEmoji(prev, next rune) bool {
	return (isPictograph(prev) || prev == 0xfe0f) && isPictograph(next)
}

// joinsLetters reports whether a joiner stands where orthography uses it: between letters of Arabic, Indic and kindred
// scripts.
func joinsLetters(prev, next rune) bool {
	shaped := func(r rune) bool {
		return r >= 0x0600 && r <= 0x1cff && (unicode.IsLetter(r) || unicode.IsMark(r)) && !isBlankLetter(r)
	}
	return shaped(prev) && shaped(next)
}

// isBlankLetter reports characters that Unicode counts as letters, marks or symbols and that show nothing.
func isBlankLetter(r rune) bool {
	switch r {
	case 0x034f, 0x115f, 0x1160, 0x17b4, 0x17b5, 0x180b, 0x180c, 0x180d, 0x180f, 0x2800, 0x3164, 0xffa0, 0xfffc:
		return true
	}
	return false
}

// flagTags is the length of the tag sequence that makes a black flag a region's flag (Unicode TS 51, ED-14a), or zero.
func flagTags(s string) int {
	n, length := 0, 0
	for _, r := range s {
		switch {
		case r == 0xe007f && n >= 3:
			return length + utf8.RuneLen(r)
		case n < 6 && (r >= 0xe0030 && r <= 0xe0039 || r >= 0xe0061 && r <= 0xe007a):
			n++
			length += utf8.RuneLen(r)
		default:
			return 0
		}
	}
	return 0
}
