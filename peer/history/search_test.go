//go:build !race

package history

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"peerchat/peer/wire"
)

func words(text string) string { return strings.TrimSpace(string(appendWords(nil, []byte(text)))) }

func TestWords(t *testing.T) {
	for text, want := range map[string]string{
		"":                            "",
		" ?! -- ":                     "",
		"Hello, World 42x":            "hello world 42x",
		"don't foo_bar a.b@c":         "don t foo bar a b c",
		"Crème BRÛLÉE Ångström":       "creme brulee angstrom",
		"cre\u0300me":                 "creme",
		"Straße STRASSE ẞ":            "strasse strasse ss",
		"ΟΔΟΣ οδός ὀδὸς":              "οδοσ οδοσ οδοσ",
		"Ёлка ёлка Йод":               "елка елка иод",
		"ﬁle ＡＢＣ１２ ①":                 "file abc12 1",
		"东京都 and 東京":                  "东 京 都 and 東 京",
		"がカｶ":                         "が カ カ",
		"か\u3099":                     "が",
		"สวัสดี":                      "ส วั ส ดี",
		"한국어 검색":                      "한국어 검색",
		"हिन्दी":                      "हिन्दी",
		"شُكْراً":                     "شكرا",
		"שָׁלוֹם":                     "שלום",
		"👍🏽 party🎉time 👩\u200d💻":      "👍 party 🎉 time 👩 💻",
		"a\xffb":                      "a b",
		"x\u0000y\u200bz":             "x y z",
		"\u0301 alone":                "alone",
		strings.Repeat("é", 100):      strings.Repeat("e", 64),
		strings.Repeat("語", 3):        "語 語 語",
		"a" + strings.Repeat("й", 99): "a" + strings.Repeat("и", 31),
	} {
		if got := words(text); got != want {
			t.Errorf("the words of %q are %q: want %q", text, got, want)
		}
	}
}

func TestParseQuery(t *testing.T) {
	for query, want := range map[string]string{
		"":                      "",
		"two words":             "[two] [words]",
		`"a phrase here" more`:  "[a phrase here] [more]",
		`"not closed`:           "[not closed]",
		`wor* "to the en"*`:     "[wor*] [to the en*]",
		`"to the en*"`:          "[to the en*]",
		`don't`:                 "[don t]",
		`東京`:                    "[東 京]",
		`foo"bar baz"qux`:       "[foo] [bar baz] [qux]",
		`“curly quotes” „here”`: "[curly quotes] [here]",
		`"" * ** "*" ?`:         "",
		`a AND b OR NOT (c)`:    "[a] [and] [b] [or] [not] [c]",
		`text: ^x NEAR(a b, 5)`: "[text] [x] [near a] [b] [5]",
		`ÜBER*`:                 "[uber*]",
		`*x`:                    "[x]",
	} {
		var got []string
		for _, term := range parseQuery(query) {
			s := strings.Join(term.words, " ")
			if term.prefix {
				s += "*"
			}
			got = append(got, "["+s+"]")
		}
		if g := strings.Join(got, " "); g != want {
			t.Errorf("query %q is %q: want %q", query, g, want)
		}
	}
	long := parseQuery(strings.Repeat("ab ", 10_000))
	if len(long) > maxTerms {
		t.Errorf("a long query has %d terms", len(long))
	}
}

func TestMatch(t *testing.T) {
	for _, c := range []struct{ query, text, want string }{ // want has what matches in brackets; - is no match
		{"world", "hello World!", "hello [World]!"},
		{"hello world", "the world says hello hello", "the [world] says [hello] [hello]"},
		{"hello mars", "hello world", "-"},
		{`"hello world"`, "hello, world; hello big world", "[hello, world]; hello big world"},
		{`wor*`, "word worth swore", "[word] [worth] swore"},
		{`"big wor"*`, "big world, big sword", "[big world], big sword"},
		{"cafe", "Café CAFÉ cafés", "[Café] [CAFÉ] cafés"},
		{"京", "東京都", "東[京]都"},
		{"京都", "東京都 京の都", "東[京都] 京の都"},
		{"strasse", "Die Straße", "Die [Straße]"},
		{"a a", "a", "[a]"},
		{"ab a*", "ab", "[ab]"},
		{`"a b" "b c"`, "a b c", "[a b c]"},
		{"", "anything", "-"},
		{"x", "", "-"},
		{`"a b c d e f"`, "a b c", "-"},
		{"🎉", "party🎉", "party[🎉]"},
	} {
		got := "-"
		if spans, ok := match(parseQuery(c.query), []byte(c.text)); ok {
			got = mark(c.text, spans)
		}
		if got != c.want {
			t.Errorf("%q in %q: %q, want %q", c.query, c.text, got, c.want)
		}
	}
}

func mark(text string, spans []Span) string {
	for i := len(spans) - 1; i >= 0; i-- {
		s := spans[i]
		text = text[:s.From] + "[" + text[s.From:s.To] + "]" + text[s.To:]
	}
	return text
}

func TestSnippet(t *testing.T) {
	long := strings.Repeat("é", 100) + " needle " + strings.Repeat("ü", 100)
	for _, c := range []struct{ text, query, want string }{
		{"a needle", "needle", "a [needle]"},
		{long, "needle", "…éééééé [needle] üüüüüüüü…"},
		{"needle " + long, "needle", "[needle] éééééééééééé…"},
		{long + "needle", "nothing", strings.Repeat("é", 16) + "…"},
	} {
		spans, _ := match(parseQuery(c.query), []byte(c.text))
		h := Hit{Event: wire.Event{Body: []byte(c.text)}, Spans: spans}
		text, moved := h.Snippet(33)
		if got := mark(text, moved); !utf8.ValidString(text) || len(text) > 33+6 || strings.Count(got, "[") > strings.Count(c.want, "[") ||
			strings.Contains(c.want, "[needle]") && !strings.Contains(got, "[needle]") {
			t.Errorf("the snippet is %q: want one like %q", got, c.want)
		}
	}
}

func TestSearch(t *testing.T) {
	everyStore(t, Limits{}, func(t *testing.T, s *subject) {
		a := said("general", 1, 1, 1, "good morning", "Good night", "the goods", "good, good")
		a[1].Kind = wire.KindAction
		topic := said("general", 2, 1, 2, "good topics", "good only to machines")
		topic[0].Kind, topic[1].Kind = wire.KindTopic, 77
		dev := said("dev", 1, 1, 100, "good code", "bad code")
		dev[0].Time = a[1].Time.Add(time.Millisecond)
		mustAppend(t, s, a[:2]...)
		mustAppend(t, s, topic...)
		mustAppend(t, s, dev...)
		if lazy, ok := s.Store.(*SQLite); ok {
			if err := lazy.Tidy(); err != nil { // these are in the index, the others are not
				t.Fatal(err)
			}
		}
		mustAppend(t, s, a[2])
		mustAppend(t, s, a[3])
		second := []string{"Good night", "good topics"}
		if a[0].Author.Less(topic[0].Author) {
			slices.Reverse(second)
		}
		for range 2 {
			for name, v := range s.views() {
				for _, c := range []struct {
					room  wire.Room
					query string
					want  []string
				}{
					{"general", "good", append(append([]string{"good, good"}, second...), "good morning")},
					{"general", "good*", append(append([]string{"good, good", "the goods"}, second...), "good morning")},
					{"general", `"good good"`, []string{"good, good"}},
					{"general", "GÖOD mor*", []string{"good morning"}},
					{"general", "good bad", nil},
					{"general", "", nil},
					{"general", "\x00\"*", nil},
					{"dev", "code", []string{"bad code", "good code"}},
					{"nowhere", "good", nil},
					{"", "code", []string{"bad code", "good code"}},
					{"", "night code", nil},
				} {
					res, err := v.Search(context.Background(), c.room, c.query, Cursor{}, 10)
					var got []string
					for _, h := range res.Hits {
						got = append(got, string(h.Event.Body))
					}
					if err != nil || !slices.Equal(got, c.want) || res.More {
						t.Errorf("%s finds %q in %q: %q, %v, more %v: want %q", name, c.query, c.room, got, err, res.More, c.want)
					}
				}
				ended, end := context.WithCancel(context.Background())
				end()
				if _, err := v.Search(ended, "general", "good", Cursor{}, 10); err == nil {
					t.Errorf("%s searches though it was ended", name)
				}
				if _, err := v.Recent("general", 1); err != nil {
					t.Errorf("%s reads no more after that: %v", name, err)
				}
			}
			s.reopen(t)
		}
	})
}

// TestSearchPages checks that the pages of a search, whatever their size, are what one page has, and that rooms are
// merged by time.
func TestSearchPages(t *testing.T) {
	everyStore(t, Limits{}, func(t *testing.T, s *subject) {
		r := rand.New(rand.NewPCG(5, 1))
		for i := range 4 {
			room := wire.Room(fmt.Sprint("room", i))
			for author := range byte(3) {
				lamport := uint64(1 + r.IntN(5))
				for seq := range uint64(40) {
					e := said(room, author+1, seq+1, lamport, []string{"apple pie", "apple", "nothing"}[r.IntN(3)])
					if i == 3 && seq == 20 {
						e[0].Time = time.UnixMilli(0).UTC() // a clock that is wrong
					}
					mustAppend(t, s, e...)
					lamport += uint64(r.IntN(3)) // some of one author have the same
				}
			}
		}
		for round := range 2 {
			for name, v := range s.views() {
				for _, room := range []wire.Room{"room1", "room3", ""} {
					whole, err := v.Search(context.Background(), room, "apple", Cursor{}, 10_000)
					if err != nil || len(whole.Hits) < 50 || len(whole.Hits) > MaxHits {
						t.Fatalf("%s finds %d in %q, %v", name, len(whole.Hits), room, err)
					}
					if room != "" {
						if !slices.IsSortedFunc(whole.Hits, func(a, b Hit) int { return order(&b.Event, &a.Event) }) {
							t.Errorf("%s gives the hits of %s in another order", name, room)
						}
					}
					var want, got []string
					key := func(h Hit) string { return fmt.Sprint(h.Event.Room, h.Event.Author.Tag(), h.Event.Seq, h.Spans) }
					for _, h := range whole.Hits {
						want = append(want, key(h))
					}
					for _, size := range []int{3, 50} {
						got = got[:0]
						seen := map[string]bool{}
						for from, n := (Cursor{}), 0; len(got) < len(want); n++ {
							page, err := v.Search(context.Background(), room, "apple", from, size)
							if err != nil || n > 10_000 {
								t.Fatal(err)
							}
							for _, h := range page.Hits {
								k := key(h)
								if seen[k] {
									t.Fatalf("%s gives %s twice", name, k)
								}
								seen[k] = true
								got = append(got, k)
							}
							if !page.More {
								break
							}
							from = page.Next
						}
						if !slices.Equal(got, want) {
							t.Errorf("%s gives pages of %d that differ from the whole in %q: %d and %d", name, size, room, len(got), len(want))
						}
					}
				}
			}
			if lazy, ok := s.Store.(*SQLite); ok && round == 0 {
				for lazy.waiting > 0 {
					if err := lazy.Tidy(); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
	})
}

// FuzzQuery checks that no query fails, and that the index finds what a search without one finds.
func FuzzQuery(f *testing.F) {
	for _, q := range []string{"", "hello", `"`, `""`, `"a b"*`, "a*", "*", `a" OR "b`, "NEAR(a b)", "text:a", "a AND NOT b", "-a", "^a", "a + b", "{a b}:c",
		"\x00", "\xff", "東京", "ﬁ", "e\u0301", "a'b", ";DROP TABLE events", strings.Repeat("(", 500), strings.Repeat("a ", 500), "\ue0001",
		"h* he* hel* w* wo* a* b* c* d*", `"hello world a b c"`, `"hello wor*" "a b c*" "b c*" c*`, "hello* hello", "§ §1", "a b c d e f g h i j k l"} {
		f.Add(q, "hello world, a b c 東京都 café "+q)
	}
	m := NewMemory()
	s := openAt(f, f.TempDir()+"/history.db", Config{})
	f.Cleanup(func() { _ = s.Close() })
	seq, rooms := uint64(0), 0
	f.Fuzz(func(t *testing.T, query, text string) {
		if seq == 20 {
			seq, rooms = 0, rooms+1
		}
		room := wire.Room(fmt.Sprint("room", rooms))
		if seq++; utf8.ValidString(text) && len(text) < 1000 && text != "" {
			e := said(room, 1, seq, seq, text)
			mustAppend(t, m, e...)
			mustAppend(t, s, e...)
		} else {
			seq--
		}
		if seq%2 == 0 {
			if err := s.Tidy(); err != nil {
				t.Fatal(err)
			}
		}
		want, err := m.Search(context.Background(), room, query, Cursor{}, 100)
		if err != nil {
			t.Fatal(err)
		}
		got, err := s.Search(context.Background(), room, query, Cursor{}, 100)
		if err != nil {
			t.Fatalf("query %q fails: %v", query, err)
		}
		if len(got.Hits) != len(want.Hits) {
			t.Fatalf("query %q finds %d in SQLite, %d in memory", query, len(got.Hits), len(want.Hits))
		}
		for i := range got.Hits {
			if got.Hits[i].Event.Seq != want.Hits[i].Event.Seq || !slices.Equal(got.Hits[i].Spans, want.Hits[i].Spans) {
				t.Fatalf("query %q: hit %d differs", query, i)
			}
		}
	})
}

// FuzzWords checks that what is folded stays as it is, that words have no space in them, and that spans are parts of
// the text.
func FuzzWords(f *testing.F) {
	for _, s := range []string{"Crème", "東京", "ﷺ", "ẞ", "か\u3099", "\u0345", "ΐ", "İ", "ŉ", "ǰ", "Å"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		sc := scanner{text: []byte(text)}
		end := 0
		for {
			word, at, ok := sc.next()
			if !ok {
				break
			}
			if at.From < end || at.To <= at.From || at.To > len(text) || len(word) == 0 || len(word) > maxToken {
				t.Errorf("word %q of %q is at %v, after one that ends at %d", word, text, at, end)
			}
			var other scanner
			if again := other.fold(slices.Clone(word)); !slices.Equal(again, word) {
				t.Errorf("word %q becomes %q when it is folded again", word, again)
			}
			for _, c := range word {
				if c < utf8.RuneSelf && !inWord(rune(c)) {
					t.Errorf("word %q has something in it that ends one", word)
				}
			}
			end = at.To
		}
	})
}

// TestSearchPagesWhileLinesAreSettled looks for lines of an author whose clock is ahead. They count as said when they
// come into SQLite, which may be between two pages, and later than the reader took them for.
func TestSearchPagesWhileLinesAreSettled(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.db")
	now := time.UnixMilli(1_790_000_000_000)
	clock := func() time.Time { return now }
	s := openAt(t, path, Config{now: clock})
	defer s.Close()
	r, err := OpenReader(path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	r.now = clock
	ahead, other := said("general", 1, 1, 1, "apple", "apple", "apple", "apple", "apple", "apple", "apple"), said("dev", 2, 1, 1, "apple", "apple")
	for i := range ahead {
		ahead[i].Time = now.Add(time.Hour)
	}
	for i := range other {
		other[i].Time = now
	}
	mustAppend(t, s, ahead[0]) // has the log begin
	mustAppend(t, s, other...)
	for i := 1; i < len(ahead); i++ {
		mustAppend(t, s, ahead[i])
	}
	if len(s.journal.lines) == 0 {
		t.Fatal("nothing waits in the journal")
	}
	var got []string
	var from Cursor
	for page := 0; page < 10; page++ {
		res, err := r.Search(context.Background(), "", "apple", from, 2)
		if err != nil {
			t.Fatal(err)
		}
		for _, h := range res.Hits {
			got = append(got, fmt.Sprint(h.Event.Room, h.Event.Seq))
		}
		if from = res.Next; !res.More {
			break
		}
		if page == 1 {
			now = now.Add(5 * time.Second)
			if err := s.Settle(); err != nil {
				t.Fatal(err)
			}
		}
	}
	slices.Sort(got)
	want := []string{"#dev1", "#dev2", "#general1", "#general2", "#general3", "#general4", "#general5", "#general6", "#general7"}
	if !slices.Equal(got, want) {
		t.Errorf("the pages have %q: want %q", got, want)
	}
}
