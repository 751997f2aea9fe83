package tui

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestSanitize(t *testing.T) {
	same := []string{
		"", "hello, world", "two\nlines", "naïve café", "Ünïcödé", "日本語 テキスト", "한국어", "שלום עולם", "مرحبا بالعالم",
		"می\u200cخواهم", "क्\u200dष हिन्दी", "👩\u200d👩\u200d👧\u200d👦 family", "🏳️\u200d🌈", "👍🏽", "🇩🇪🇫🇷", "1️⃣", "❤️", "🏴\U000E0067\U000E0062\U000E0073\U000E0063\U000E0074\U000E007F flag",
		"👩🏻\u200d❤️\u200d💋\u200d👩🏽", "e\u0301", "ไทยก็ดี", "[red]not a tag[-]", "a　b", "葛\U000E0100", "\uFFFD",
	}
	for _, s := range same {
		if got := Sanitize(s); got != s {
			t.Errorf("honest text %+q must stay as it is, got %+q", s, got)
		}
	}
	for _, c := range []struct{ why, in, want string }{
		{"escape sequences show as text", "\x1b[31mred\x1b]0;title\x07", "␛[31mred␛]0;title␇"},
		{"NUL and DEL are seen", "a\x00b\x7f", "a␀b␡"},
		{"C1 controls, CSI in one byte among them, are seen", "\u009b31m\u0085", "\uFFFD31m\uFFFD"},
		{"invalid UTF-8 is seen", "a\xff\xfeb\xed\xa0\x80", "a\uFFFD\uFFFDb\uFFFD\uFFFD\uFFFD"},
		{"bidi overrides and isolates are seen", "exe.\u202egnp\u202c \u2066x\u2069", "exe.\uFFFDgnp\uFFFD \uFFFDx\uFFFD"},
		{"bidi marks go quietly", "a\u200eb\u200fc\u061c", "abc"},
		{"zero-width characters are seen", "a\u200bb\u2060c\ufeffd", "a\uFFFDb\uFFFDc\uFFFDd"},
		{"a joiner in Latin text is seen", "a\u200db\u200cc", "a\uFFFDb\uFFFDc"},
		{"line separators do not break lines", "a\u2028b\u2029c", "a␤b␤c"},
		{"private use and unassigned are seen", "\ue000\U000F0000\u0378", "\uFFFD\uFFFD\uFFFD"},
		{"tabs are spaces", "a\tb", "a    b"},
		{"CR LF is a line end, a lone CR is not", "a\r\nb\rc", "a\nb␍c"},
		{"odd spaces are spaces", "a\u00a0b\u2003c\u202f", "a b c "},
		{"marks do not pile up", "z" + strings.Repeat("\u0335", 50), "z" + strings.Repeat("\u0335", 4)},
		{"a mark needs a base", "\u0301x \u0301", "◌\u0301x ◌\u0301"},
		{"tags without a flag are seen", "a\U000E0061\U000E007F", "a\uFFFD\uFFFD"},
		{"selectors carry no data", "😀\ufe01\U000E0101", "😀\uFFFD\uFFFD"},
		{"invisible letters are seen", "\u3164\u115f\u2800", "\uFFFD\uFFFD\uFFFD"},
	} {
		if got := Sanitize(c.in); got != c.want {
			t.Errorf("%s: Sanitize(%+q) = %+q, want %+q", c.why, c.in, got, c.want)
		}
	}
	if got := SanitizeLine("a\nb\r\nc"); got != "a b c" {
		t.Errorf("one line stays one line, got %q", got)
	}
}

func FuzzSanitize(f *testing.F) {
	for _, s := range []string{"a\x1b[0m", "👩\u200d👩\u200d👧\u200d👦", "\u202e\u2066", "z\u0335\u0335", "🏴\U000E0067\U000E0062\U000E0073\U000E0063\U000E0074\U000E007F", "می\u200cخ", "1️⃣", "\xff", "☺\u200d\u200f☺", "a\u200e\u0301"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		out := Sanitize(s)
		if !utf8.ValidString(out) {
			t.Fatalf("Sanitize(%+q) = %+q is not valid UTF-8", s, out)
		}
		for i, r := range out {
			switch {
			case r == '\n' || r == 0x200c || r == 0x200d || (r >= 0xe0030 && r <= 0xe007f):
			case unicode.IsControl(r), unicode.Is(unicode.Cf, r), unicode.Is(unicode.Co, r), r == 0x2028, r == 0x2029:
				t.Fatalf("Sanitize(%+q) let %U through at byte %d", s, r, i)
			}
		}
		if again := Sanitize(out); again != out {
			t.Fatalf("Sanitize is not idempotent: %+q, then %+q, then %+q", s, out, again)
		}
		line := SanitizeLine(s)
		if strings.Contains(line, "\n") {
			t.Fatalf("SanitizeLine(%+q) = %+q has a newline", s, line)
		}
		if again := SanitizeLine(line); again != line {
			t.Fatalf("SanitizeLine is not idempotent: %+q, then %+q", line, again)
		}
		if limit := 4*len(s) + 4; len(out) > limit {
			t.Fatalf("Sanitize grew %d bytes to %d", len(s), len(out))
		}
	})
}
