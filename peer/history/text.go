package history

import (
	"bytes"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"peerchat/peer/wire"
)

// What is a word, and which words are the same, is defined here, for the index and for the search without one. SQLite's
// index is given words that are folded already. Its own tokenizers do not fit: unicode61 takes a whole clause of
// Chinese for one word, trigram finds nothing shorter than three characters, which most Chinese words are, and is three
// times as big.
//
// A word is a run of letters, digits and marks; where people write without spaces (Chinese, Japanese, Thai ...), and
// for emoji, it is one character, and what is asked for is a sequence of them. Words are compared without case, without
// the marks on Latin, Greek, Cyrillic, Hebrew and Arabic letters, and in compatibility form (ﬁ is fi, ０ is 0).

const (
	maxToken = 64      // bytes of a folded word; what is longer is compared by its beginning
	maxInput = 1 << 10 // bytes of a query
	maxTerms = 32      // of a query
	maxWords = 64      // of a query
	maxSpans = 64      // of a hit
)

// Span is a part of a text, in bytes: text[From:To].
type Span struct{ From, To int }

// spoken is what an event says to people, nil if it is of a kind that says nothing.
func spoken(e *wire.Event) []byte {
	switch e.Kind {
	case wire.KindText, wire.KindAction, wire.KindTopic:
		return e.Body
	}
	return nil
}

// scanner takes the words out of a text.
type scanner struct {
	text   []byte
	at     int
	folded []byte
	form   []byte
}

// next is the next word, folded, and where it stands. The bytes are valid until the call after.
func (s *scanner) next() (word []byte, at Span, ok bool) {
	for s.at < len(s.text) {
		from := s.at
		r, size := s.rune()
		s.at += size
		switch {
		case alone(r):
			for s.at < len(s.text) {
				r, size := s.rune()
				if !unicode.IsMark(r) {
					break
				}
				s.at += size
			}
		case inWord(r):
			for s.at < len(s.text) {
				r, size := s.rune()
				if !inWord(r) || alone(r) {
					break
				}
				s.at += size
			}
		default:
			continue
		}
		if word := s.fold(s.text[from:s.at]); len(word) > 0 {
			return word, Span{from, s.at}, true
		}
	}
	return nil, Span{}, false
}

func (s *scanner) rune() (rune, int) {
	if c := s.text[s.at]; c < utf8.RuneSelf {
		return rune(c), 1
	}
	return utf8.DecodeRune(s.text[s.at:])
}

func inWord(r rune) bool {
	if r < utf8.RuneSelf {
		return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
	}
	return unicode.IsLetter(r) || unicode.IsNumber(r) || unicode.IsMark(r)
}

// alone reports whether a character is a word by itself.
func alone(r rune) bool {
	if r < 0x0e00 || r == utf8.RuneError { // Thai is the first of the scripts without spaces
		return false
	}
	return unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Thai, unicode.Lao, unicode.Khmer, unicode.Myanmar,
		unicode.So) && !unicode.IsMark(r)
}

// fold makes equal what counts as the same word. fold(fold(w)) is fold(w).
func (s *scanner) fold(word []byte) []byte {
	out := s.folded[:0]
	for _, c := range word {
		if c >= utf8.RuneSelf {
			out = s.foldRunes(word)
			break
		}
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		out = append(out, c)
	}
	s.folded = out
	if len(out) > maxToken {
		out = out[:maxToken]
		for len(out) > 0 && !utf8.Valid(out) {
			out = out[:len(out)-1]
		}
	}
	return out
}

func (s *scanner) foldRunes(word []byte) []byte {
	s.form = norm.NFKD.Append(s.form[:0], word...)
	out := s.keep(s.folded[:0], inWord)
	if len(out) == 0 { // or the symbol that it is
		out = s.keep(out, func(r rune) bool { return unicode.Is(unicode.So, r) })
	}
	if norm.NFC.IsNormal(out) {
		return out
	}
	return norm.NFC.Append(nil, out...)
}

// keep appends to out what counts of the decomposed word.
func (s *scanner) keep(out []byte, counts func(rune) bool) []byte {
	for i := 0; i < len(s.form); {
		r, size := utf8.DecodeRune(s.form[i:])
		i += size
		switch {
		case unicode.Is(unicode.Mn, r) && unicode.In(r, unicode.Inherited, unicode.Hebrew) && r != 0x3099 && r != 0x309a:
			// An accent. The voicing marks of Japanese make other letters.
		case r == 'ß' || r == 'ẞ':
			out = append(out, "ss"...)
		case counts(r):
			out = utf8.AppendRune(out, unicode.ToLower(unicode.ToUpper(r))) // by way of upper case: ς is σ
		}
	}
	return out
}

// appendWords appends the folded words of a text to b, each after a space.
func appendWords(b, text []byte) []byte {
	s := scanner{text: text}
	for {
		word, _, ok := s.next()
		if !ok {
			return b
		}
		b = append(append(b, ' '), word...)
	}
}

// term is a sequence of words that a text has to contain.
type term struct {
	words  []string
	prefix bool // the last word is the beginning of one
}

// parseQuery reads what a user typed: words, all of which a text has to contain; "words in quotes", which have to
// follow each other, as do those that make one (don't, 東京); wor* for words that begin so. Everything is a query. One
// without a word in it is empty.
func parseQuery(s string) (terms []term) {
	if len(s) > maxInput {
		s = s[:maxInput]
	}
	words := 0
	for s != "" && len(terms) < maxTerms {
		s = strings.TrimLeftFunc(s, unicode.IsSpace)
		var part string
		if r, size := utf8.DecodeRuneInString(s); isQuote(r) {
			part, s = cut(s[size:], isQuote)
			_, size = utf8.DecodeRuneInString(s)
			s = s[size:]
		} else {
			part, s = cut(s, func(r rune) bool { return isQuote(r) || unicode.IsSpace(r) })
		}
		rest, starred := strings.CutPrefix(s, "*")
		s = rest
		t := term{prefix: starred || strings.HasSuffix(part, "*")}
		for sc := (scanner{text: []byte(part)}); words < maxWords; words++ {
			word, _, ok := sc.next()
			if !ok {
				break
			}
			t.words = append(t.words, string(word))
		}
		if len(t.words) > 0 {
			terms = append(terms, t)
		}
	}
	return terms
}

func isQuote(r rune) bool { return r == '"' || r == '“' || r == '”' || r == '„' }

// cut parts s before the first character that ends it.
func cut(s string, ends func(rune) bool) (part, rest string) {
	if i := strings.IndexFunc(s, ends); i >= 0 {
		return s[:i], s[i:]
	}
	return s, ""
}

// match finds the terms in a text. All of them have to be there; spans are where, in ascending order, at most maxSpans.
func match(terms []term, text []byte) (spans []Span, ok bool) {
	if len(terms) == 0 {
		return nil, false
	}
	var words []byte
	type token struct{ from, to int } // in words
	var tokens []token
	var places []Span
	s := scanner{text: text}
	for {
		word, at, ok := s.next()
		if !ok {
			break
		}
		tokens = append(tokens, token{len(words), len(words) + len(word)})
		words = append(words, word...)
		places = append(places, at)
	}
	for _, t := range terms {
		found := false
		for i := range len(tokens) - len(t.words) + 1 {
			if !t.at(func(j int) []byte { return words[tokens[i+j].from:tokens[i+j].to] }) {
				continue
			}
			found = true
			if len(spans) < maxSpans {
				spans = append(spans, Span{places[i].From, places[i+len(t.words)-1].To})
			} else {
				break
			}
		}
		if !found {
			return nil, false
		}
	}
	return merge(spans), true
}

// at reports whether the words from a place on are those of t.
func (t *term) at(word func(int) []byte) bool {
	for j, w := range t.words {
		if last := j == len(t.words)-1; t.prefix && last {
			if !bytes.HasPrefix(word(j), []byte(w)) {
				return false
			}
		} else if string(word(j)) != w {
			return false
		}
	}
	return true
}

// merge sorts spans and joins those that overlap.
func merge(spans []Span) []Span {
	slices.SortFunc(spans, func(a, b Span) int { return a.From - b.From })
	out := spans[:0]
	for _, s := range spans {
		if n := len(out); n > 0 && s.From <= out[n-1].To {
			out[n-1].To = max(out[n-1].To, s.To)
		} else {
			out = append(out, s)
		}
	}
	return out
}

// snippet cuts text to about limit bytes around the first of the spans. The spans move with it.
func snippet(text []byte, spans []Span, limit int) (string, []Span) {
	from, to := 0, len(text)
	if limit = max(limit, utf8.UTFMax); len(text) > limit {
		if len(spans) > 0 {
			from = max(0, min(spans[0].From-limit/3, len(text)-limit))
		}
		to = from + limit
		for from > 0 && !utf8.RuneStart(text[from]) {
			from--
		}
		for to < len(text) && to > from && !utf8.RuneStart(text[to]) {
			to--
		}
	}
	var b strings.Builder
	if from > 0 {
		b.WriteRune('…')
	}
	shift := b.Len() - from
	b.Write(text[from:to])
	if to < len(text) {
		b.WriteRune('…')
	}
	var moved []Span
	for _, s := range spans {
		if s = (Span{max(s.From, from), min(s.To, to)}); s.From < s.To {
			moved = append(moved, Span{s.From + shift, s.To + shift})
		}
	}
	return b.String(), moved
}
