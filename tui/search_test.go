package tui

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// someHits are n hits in a room, the newest first.
func someHits(room string, n int) (hits []Hit) {
	for i := range n {
		text := fmt.Sprint("tea number ", n-i)
		hits = append(hits, Hit{Line: says(room, "bob", text, uint64(1000+n-i)), Text: text, Spans: [][2]int{{0, 3}}})
	}
	return hits
}

func keys(m *Model, names ...string) (out []Action) {
	for _, n := range names {
		k := Key{Name: n}
		if len(n) == 1 {
			k = Key{Text: n}
		}
		out = append(out, m.Key(start, k).Actions...)
	}
	return out
}

func TestSearchingAsOneTypes(t *testing.T) {
	m := newTestModel()
	got := keys(m, "Ctrl+F", "t", "e", " ", "Backspace", `"`, "a")
	want := []Action{
		Search{Ask: 1, Room: "general", Text: "t*"},
		Search{Ask: 1}, Search{Ask: 2, Room: "general", Text: "te*"},
		Search{Ask: 2}, Search{Ask: 3, Room: "general", Text: "te"}, // the blank says that the word is whole
		Search{Ask: 3}, Search{Ask: 4, Room: "general", Text: "te*"},
		Search{Ask: 4}, Search{Ask: 5, Room: "general", Text: `te"`},
		Search{Ask: 5}, Search{Ask: 6, Room: "general", Text: `te"a`},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("typing asks for\n%+v, want\n%+v", got, want)
	}
	m.Update(start, Found{Ask: 5, Hits: someHits("general", 3)})
	if s := m.overlay.search; len(s.hits) != 0 || !s.busy {
		t.Errorf("the answer to what was typed before is left")
	}
	m.Update(start, Found{Ask: 6, Hits: someHits("general", 3)})
	if title, _ := m.searchTitle(); title != "1 of 3 in #general" {
		t.Errorf("the title says %q", title)
	}
	if got := keys(m, "Tab"); !reflect.DeepEqual(got, []Action{Search{Ask: 7, Text: `te"a`}}) {
		t.Errorf("Tab searches all rooms, got %+v", got)
	}
	if got := keys(m, "Esc"); !reflect.DeepEqual(got, []Action{Search{Ask: 7}}) || m.overlay.mode != overlayNone {
		t.Errorf("Esc ends the search, got %+v", got)
	}
	m.Update(start, Found{Ask: 7, Hits: someHits("general", 3)})
	if m.overlay.mode != overlayNone {
		t.Errorf("what comes after Esc opens nothing")
	}
}

func TestSearchCommand(t *testing.T) {
	m := newTestModel()
	typeText(m, `/search -a green "black tea"`)
	if got := keys(m, "Enter"); !reflect.DeepEqual(got, []Action{Search{Ask: 1, Text: `green "black tea"`}}) {
		t.Errorf("/search -a searches all rooms for just that, got %+v", got)
	}
	m.Update(start, Found{Ask: 1, Err: "the disk\x1b[2J is gone"})
	if title, as := m.searchTitle(); title != "the search failed: the disk␛[2J is gone" || as != roleAlert {
		t.Errorf("the title says %q", title)
	}
}

func TestMoreHitsComeAtTheEndOfTheList(t *testing.T) {
	m := newTestModel()
	typeText(m, "/search tea")
	keys(m, "Enter")
	m.Update(start, Found{Ask: 1, Hits: someHits("general", 50), More: true})
	if got := keys(m, "Down", "PgDn", "PgUp"); got != nil {
		t.Errorf("at the beginning nothing more is asked for, got %+v", got)
	}
	got := keys(m, "Ctrl+End", "Down", "Down")
	if want := []Action{Search{Ask: 1, Room: "general", Text: "tea", More: true}}; !reflect.DeepEqual(got, want) {
		t.Errorf("at the end more is asked for, once: got %+v", got)
	}
	for i := 0; m.overlay.search.more; i++ {
		m.Update(start, Found{Ask: 1, Hits: someHits("general", 50), More: true})
		keys(m, "Ctrl+End")
		if i > maxFound {
			t.Fatal("the list grows without a bound")
		}
	}
	if n := len(m.overlay.search.hits); n != maxFound {
		t.Errorf("%d hits are kept, want %d", n, maxFound)
	}
}

func TestGoingToAHit(t *testing.T) {
	m, log := newTestModel(), newTestLog(3000, 0)
	log.begin(m, 100)
	jump := func(l Line) {
		t.Helper()
		typeText(m, "/search line")
		keys(m, "Enter")
		m.Update(start, Found{Ask: m.asks, Hits: []Hit{{Line: l, Text: l.Text, Spans: [][2]int{{0, 4}}}}})
		log.take(m.Key(start, Key{Name: "Enter"}))
	}
	jump(log.lines[2950])
	if len(log.asked) != 0 || !strings.Contains(texts(m), "line 2950|") || m.room().found != m.room().ids[log.lines[2950].ID] {
		t.Errorf("a line that is loaded is shown at once, got %s", texts(m))
	}
	jump(log.lines[1000])
	log.answer(m)
	log.must(t, m)
	if r := m.room(); !strings.Contains(texts(m), "line 1000|") || r.found == nil || r.found.text != "line 1000" || !r.cut {
		t.Errorf("a line that is not is loaded with those around it, got %s", texts(m))
	}
	if r := m.room(); !reflect.DeepEqual(r.words, []string{"line"}) {
		t.Errorf("the words are marked, got %v", r.words)
	}
	log.press(m, "End")
	log.answer(m)
	if r := m.room(); r.scroll != nil || !strings.HasSuffix(texts(m), "line 2999") || r.found != nil {
		t.Errorf("End in an empty input goes back to the newest line, got %s", texts(m))
	}
	jump(says("dev", "bob", "line in dev", 7))
	if m.room().name != "dev" || len(log.asked) != 1 || log.asked[0].(AskPage).Room != "dev" {
		t.Errorf("a hit in another room shows that room, got %s and %v", m.room().name, log.asked)
	}
	log.asked = nil
	jump(says("left", "bob", "line in a room that was left", 7))
	if m.overlay.mode != overlaySearch || !strings.Contains(m.flash, "/join left") {
		t.Errorf("a hit in a room that was left says how to come there, got %q", m.flash)
	}
}

func TestHitsAreCleaned(t *testing.T) {
	for _, c := range []struct {
		text  string
		spans [][2]int
		want  string
		words string
	}{
		{"a\x1b[2J green\ntea", [][2]int{{6, 11}, {12, 15}}, "a␛[2J green tea", "green tea"},
		{"\u202egreen\u202c", [][2]int{{3, 8}}, "\ufffdgreen\ufffd", "green"},
		{"e\u0301te\u0301", [][2]int{{0, 1}, {1, 3}}, "e\u0301te\u0301", ""}, // the parts are not what the whole is
		{"short", [][2]int{{3, 2}, {0, 99}, {-1, 2}}, "short", ""},
		{"overlap", [][2]int{{0, 4}, {2, 6}}, "overlap", "over"},
	} {
		h := cleanHit(&Hit{Text: c.text, Spans: c.spans})
		if h.text != c.want || strings.Join(h.words(), " ") != c.words {
			t.Errorf("%q is cleaned to %q with %q marked, want %q with %q", c.text, h.text, h.words(), c.want, c.words)
		}
	}
}

// Whatever text and spans come, what is drawn has its spans within the text, and the first of them in view.
func TestHitsFitTheirRow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		raw := rapid.String().Draw(t, "text")
		var spans [][2]int
		for range rapid.IntRange(0, 4).Draw(t, "spans") {
			spans = append(spans, [2]int{rapid.IntRange(-2, len(raw)+2).Draw(t, "from"), rapid.IntRange(-2, len(raw)+2).Draw(t, "to")})
		}
		h := cleanHit(&Hit{Text: raw, Spans: spans})
		width := rapid.IntRange(1, 80).Draw(t, "width")
		text, shown := clipAround(h.text, h.spans, width, "…")
		last := 0
		for i, s := range shown {
			if s[0] < last || s[1] < s[0] || s[1] > len(text) {
				t.Fatalf("span %v is not in %q behind %d", s, text, last)
			}
			if got, want := text[s[0]:s[1]], h.words()[i]; got != want {
				t.Fatalf("span %v of %q is %q, want %q", s, text, got, want)
			}
			last = s[1]
		}
		if len(shown) > 0 && textWidth(text[:shown[0][0]]) > width/3+1 && textWidth(text[:shown[0][1]]) > width {
			t.Fatalf("the first word of %q begins at column %d of %d", text, textWidth(text[:shown[0][0]]), width)
		}
		spansOf(h.text, h.words())
	})
}

func TestFoundWordsAreMarkedWhole(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"tea, steam and Tea teatime", "tea tea"}, // the beginning of teatime was what was searched for, too
		{"no such thing", ""},
		{"東京都", "京"},
	} {
		var got []string
		for _, s := range spansOf(c.text, []string{"tea", "京"}) {
			got = append(got, c.text[s[0]:s[1]])
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("in %q %q is marked, want %s", c.text, got, c.want)
		}
	}
}

func TestTheMouseInTheSearch(t *testing.T) {
	m, log := newTestModel(), newTestLog(300, 0)
	log.begin(m, 300)
	typeText(m, "/search line")
	keys(m, "Enter")
	found := Found{Ask: m.asks}
	for i := 99; i >= 0; i-- {
		found.Hits = append(found.Hits, Hit{Line: log.lines[i], Text: log.lines[i].Text})
	}
	m.Update(start, found)
	m.Wheel(start, 3)
	if got := m.overlay.search.at; got != 3 {
		t.Errorf("the wheel moves in the list: at %d", got)
	}
	l := m.layout.timeline
	m.Click(start, l.x+1, l.y) // the title
	if m.overlay.mode != overlaySearch {
		t.Errorf("a click on the title goes nowhere")
	}
	m.Click(start, l.x+1, l.y+6)
	if m.overlay.mode != overlayNone || m.room().found == nil || m.room().found.text != "line 94" {
		t.Errorf("a click goes to its hit, got %+v", m.room().found)
	}
}
