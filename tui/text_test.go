package tui

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func sorted(s []string) []string {
	s = slices.Clone(s)
	slices.Sort(s)
	return s
}

func TestWrap(t *testing.T) {
	for _, c := range []struct {
		text  string
		width int
		want  []string
	}{
		{"", 10, []string{""}},
		{"short", 10, []string{"short"}},
		{"exactly ten", 11, []string{"exactly ten"}},
		{"one two three", 7, []string{"one two", "three"}},
		{"one  two", 4, []string{"one", "two"}},
		{"abcdefgh", 3, []string{"abc", "def", "gh"}},
		{"a bcdefgh", 3, []string{"a", "bcd", "efg", "h"}},
		{"two\nlines\n", 10, []string{"two", "lines", ""}},
		{"日本語", 4, []string{"日本", "語"}},
		{"日本語", 1, []string{"日", "本", "語"}},
		{"   indented text here", 12, []string{"   indented", "text here"}},
	} {
		if got := wrap(c.text, c.width); !slices.Equal(got, c.want) {
			t.Errorf("wrap(%q, %d) = %q, want %q", c.text, c.width, got, c.want)
		}
	}
}

func TestWrapLosesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := Sanitize(rapid.StringOfN(rapid.RuneFrom([]rune("ab 日\n👍🏽é\u0301 ")), 0, 80, -1).Draw(t, "text"))
		width := rapid.IntRange(1, 30).Draw(t, "width")
		squeeze := func(s string) string { return strings.Join(strings.Fields(s), "") }
		rows := wrap(text, width)
		if got := squeeze(strings.Join(rows, "")); got != squeeze(text) {
			t.Fatalf("wrap(%q, %d) = %q loses or adds something", text, width, rows)
		}
		for _, row := range rows {
			if w := textWidth(row); w > max(width, 2) {
				t.Fatalf("wrap(%q, %d): row %q takes %d cells", text, width, row, w)
			}
		}
		hard, starts := wrapHard(text, width)
		joined := strings.Builder{}
		for i, row := range hard {
			for joined.Len() < starts[i] {
				joined.WriteByte('\n')
			}
			joined.WriteString(row)
		}
		if joined.String() != text {
			t.Fatalf("wrapHard(%q, %d) = %q at %v does not give the text back", text, width, hard, starts)
		}
	})
}

func TestTruncate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := SanitizeLine(rapid.String().Draw(t, "text"))
		width := rapid.IntRange(0, 20).Draw(t, "width")
		if got := textWidth(truncate(text, width, "…")); got > width {
			t.Fatalf("truncate(%q, %d) takes %d cells", text, width, got)
		}
		if got := textWidth(padRight(text, width, "…")); got != width {
			t.Fatalf("padRight(%q, %d) takes %d cells", text, width, got)
		}
		if got := textWidth(padLeft(text, width, "…")); got != width {
			t.Fatalf("padLeft(%q, %d) takes %d cells", text, width, got)
		}
	})
}

func TestFuzzyPrefersWhatOneMeans(t *testing.T) {
	for _, c := range []struct{ pattern, better, worse string }{
		{"gen", "general", "old-genre-x"}, {"dev", "dev", "devices"}, {"mc", "my-chat", "amcx"}, {"ops", "ops", "o-p-s-things"},
	} {
		if a, b := fuzzy(c.pattern, c.better), fuzzy(c.pattern, c.worse); a <= b {
			t.Errorf("%q means #%s (%d) rather than #%s (%d)", c.pattern, c.better, a, c.worse, b)
		}
	}
	if fuzzy("xyz", "general") >= 0 {
		t.Error("xyz is no part of general")
	}
}

func TestMailboxIsBounded(t *testing.T) {
	b := newMailbox()
	b.put(RoomJoined{Room: "kept"})
	for range 3 * maxMail {
		b.put(Line{})
	}
	mail, lost := b.take()
	if len(mail) > maxMail || len(mail)+lost != 3*maxMail+1 {
		t.Errorf("%d Msgs wait, %d were left out; at most %d may wait, and all are counted", len(mail), lost, maxMail)
	}
	if _, ok := mail[0].(RoomJoined); !ok {
		t.Errorf("what tells how things stand is kept, got %T first", mail[0])
	}
	for range 3 * maxMail {
		b.put(MemberJoined{})
	}
	if mail, _ := b.take(); len(mail) > maxMail {
		t.Errorf("nothing goes beyond the bound, got %d", len(mail))
	}
	b.close()
	b.put(Line{})
	if mail, _ := b.take(); len(mail) != 0 {
		t.Error("a closed box takes no mail")
	}
}
