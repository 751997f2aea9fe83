// Package tuitest runs the screen without a terminal: it types, and reads what is shown. It owns the App that it
// starts, and ends it with the test. Only tests import it.
package tuitest

import (
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/gdamore/tcell/v2"
	"github.com/rivo/uniseg"

	"peerchat/tui"
)

// patience is how long Want waits before it fails.
const patience = 10 * time.Second

// Term is a running App and its simulated terminal.
type Term struct {
	App *tui.App

	t      testing.TB
	screen *screen
	ended  chan struct{}
	err    error // of Run; to be read after ended

	mu      sync.Mutex
	actions []tui.Action
	acted   chan struct{}
}

// screen takes a picture of each frame.
type screen struct {
	tcell.SimulationScreen
	width, height int

	mu     sync.Mutex
	cells  []tcell.SimCell
	w, h   int
	frames int
	beeps  int
	mouse  bool
	shown  chan struct{} // holds a token after a new frame
}

func (s *screen) Init() error {
	if err := s.SimulationScreen.Init(); err != nil {
		return err
	}
	s.SetSize(s.width, s.height)
	return nil
}

func (s *screen) Show() {
	s.SimulationScreen.Show()
	cells, w, h := s.GetContents()
	s.mu.Lock()
	s.cells = append(s.cells[:0], cells...)
	for i := range s.cells {
		s.cells[i].Runes = append([]rune(nil), s.cells[i].Runes...)
	}
	s.w, s.h = w, h
	s.frames++
	s.mu.Unlock()
	select {
	case s.shown <- struct{}{}:
	default:
	}
}

func (s *screen) Beep() error {
	s.mu.Lock()
	s.beeps++
	s.mu.Unlock()
	return nil
}

func (s *screen) EnableMouse(...tcell.MouseFlags) { s.setMouse(true) }
func (s *screen) DisableMouse()                   { s.setMouse(false) }

func (s *screen) setMouse(on bool) {
	s.mu.Lock()
	s.mouse = on
	s.mu.Unlock()
}

// Start runs an App on a screen of w by h cells until the test ends. Screen of cfg is replaced; OnAction gets what the
// Term has taken note of.
func Start(t testing.TB, cfg tui.Config, w, h int) *Term {
	t.Helper()
	s := &screen{SimulationScreen: tcell.NewSimulationScreen("UTF-8"), width: w, height: h, shown: make(chan struct{}, 1)}
	term := &Term{t: t, screen: s, ended: make(chan struct{}), acted: make(chan struct{}, 1)}
	cfg.Screen = s
	next := cfg.OnAction
	cfg.OnAction = func(a tui.Action) {
		term.act(a)
		if next != nil {
			next(a)
		}
	}
	term.App = tui.New(cfg)
	go func() {
		defer close(term.ended)
		term.err = term.App.Run()
	}()
	t.Cleanup(func() {
		term.App.Stop()
		term.WaitEnd("the screen ends when it is told to")
	})
	term.WantThat("a first frame", func(string) bool { return true })
	return term
}

func (term *Term) act(a tui.Action) {
	term.mu.Lock()
	term.actions = append(term.actions, a)
	term.mu.Unlock()
	select {
	case term.acted <- struct{}{}:
	default:
	}
}

// WaitEnd waits for Run to return, and gives its error.
func (term *Term) WaitEnd(sentence string) error {
	term.t.Helper()
	select {
	case <-term.ended:
		return term.err
	case <-time.After(patience):
		term.t.Fatalf("%s: it still runs after %v", sentence, patience)
		return nil
	}
}

// Post posts.
func (term *Term) Post(msgs ...tui.Msg) {
	for _, msg := range msgs {
		term.App.Post(msg)
	}
}

// Type types text, a key for each character; a newline is Enter.
func (term *Term) Type(text string) {
	for _, r := range text {
		if r == '\n' {
			term.Press(tcell.KeyEnter, tcell.ModNone)
			continue
		}
		term.key(tcell.KeyRune, r, tcell.ModNone)
	}
}

// Press strikes keys that are no characters.
func (term *Term) Press(key tcell.Key, mod tcell.ModMask) { term.key(key, 0, mod) }

// Alt strikes a character with Alt.
func (term *Term) Alt(r rune) { term.key(tcell.KeyRune, r, tcell.ModAlt) }

func (term *Term) key(key tcell.Key, r rune, mod tcell.ModMask) {
	term.t.Helper()
	term.post(tcell.NewEventKey(key, r, mod))
}

// post waits for room in the terminal's queue of events, where PostEvent gives up.
func (term *Term) post(ev tcell.Event) {
	term.t.Helper()
	deadline := time.Now().Add(patience)
	for term.screen.PostEvent(ev) != nil {
		if time.Now().After(deadline) {
			term.t.Fatalf("the screen takes no more events; it is\n%s", term.Text())
		}
		select {
		case <-term.screen.shown:
		case <-time.After(time.Millisecond): // while it pastes it shows nothing
		}
	}
}

// Paste pastes text as a terminal with bracketed paste does.
func (term *Term) Paste(text string) {
	term.t.Helper()
	term.post(tcell.NewEventPaste(true))
	for _, r := range text {
		switch r {
		case '\n':
			term.key(tcell.KeyCtrlJ, 0, tcell.ModCtrl)
		case '\t':
			term.key(tcell.KeyTab, 0, tcell.ModNone)
		default:
			term.key(tcell.KeyRune, r, tcell.ModNone)
		}
	}
	term.post(tcell.NewEventPaste(false))
}

// Mouse makes a mouse event.
func (term *Term) Mouse(x, y int, buttons tcell.ButtonMask) {
	term.post(tcell.NewEventMouse(x, y, buttons, tcell.ModNone))
}

// Resize changes the size of the terminal.
func (term *Term) Resize(w, h int) { term.screen.SetSize(w, h) }

// Text is the screen, a line for each row, blanks at the end of rows cut off.
func (term *Term) Text() string {
	term.screen.mu.Lock()
	defer term.screen.mu.Unlock()
	var out strings.Builder
	for y := range term.screen.h {
		var line strings.Builder
		for x := 0; x < term.screen.w; {
			cell := term.screen.cells[y*term.screen.w+x]
			s := string(cell.Runes)
			if s == "" {
				s = " "
			}
			line.WriteString(s)
			x += max(1, min(2, uniseg.StringWidth(s)))
		}
		out.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
	return out.String()
}

// Each calls f with what every cell shows and its style.
func (term *Term) Each(f func(x, y int, text string, style tcell.Style)) {
	term.screen.mu.Lock()
	defer term.screen.mu.Unlock()
	for i, cell := range term.screen.cells {
		f(i%term.screen.w, i/term.screen.w, string(cell.Runes), cell.Style)
	}
}

// Want waits until the screen contains text. The sentence says what is expected.
func (term *Term) Want(sentence, text string) {
	term.t.Helper()
	term.WantThat(sentence+": "+text, func(screen string) bool { return strings.Contains(screen, text) })
}

// WantGone waits until the screen does not contain text.
func (term *Term) WantGone(sentence, text string) {
	term.t.Helper()
	term.WantThat(sentence+": no "+text, func(screen string) bool { return !strings.Contains(screen, text) })
}

// WantThat waits until the screen is as it should be.
func (term *Term) WantThat(sentence string, ok func(screen string) bool) {
	term.t.Helper()
	deadline := time.After(patience)
	for {
		if term.Frames() > 0 && ok(term.Text()) {
			return
		}
		select {
		case <-term.screen.shown:
		case <-term.ended:
			term.t.Fatalf("wanted: %s\nbut the screen ended (%v); it was\n%s", sentence, term.err, term.Text())
		case <-deadline:
			term.t.Fatalf("wanted: %s\nbut the screen is\n%s", sentence, term.Text())
		}
	}
}

// WantAction waits for an action.
func (term *Term) WantAction(sentence string, want tui.Action) {
	term.t.Helper()
	deadline := time.After(patience)
	for {
		term.mu.Lock()
		for _, a := range term.actions {
			if a == want {
				term.mu.Unlock()
				return
			}
		}
		have := append([]tui.Action(nil), term.actions...)
		term.mu.Unlock()
		select {
		case <-term.acted:
		case <-deadline:
			term.t.Fatalf("wanted: %s: %T%+v\nbut the actions are %+v; the screen is\n%s", sentence, want, want, have, term.Text())
		}
	}
}

// Frames is how often the screen was drawn, Beeps how often the bell rang, MouseOn whether the mouse is asked for.
func (term *Term) Frames() int { return read(term, func(s *screen) int { return s.frames }) }

// Beeps is how often the bell rang.
func (term *Term) Beeps() int { return read(term, func(s *screen) int { return s.beeps }) }

// MouseOn is whether the terminal is asked for mouse events.
func (term *Term) MouseOn() bool { return read(term, func(s *screen) bool { return s.mouse }) }

func read[T any](term *Term, f func(*screen) T) T {
	term.screen.mu.Lock()
	defer term.screen.mu.Unlock()
	return f(term.screen)
}

// Cursor is where the cursor is, and whether it shows.
func (term *Term) Cursor() (x, y int, visible bool) { return term.screen.GetCursor() }

// IsClean reports the first character of a screen that could harm a terminal, or zero.
func IsClean(screen string) rune {
	for _, r := range screen {
		switch {
		case r == '\n':
		case r < 0x20, r >= 0x7f && r < 0xa0, r == utf8.RuneError && !strings.ContainsRune(screen, '\uFFFD'):
			return r
		case r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069, r == 0x2028, r == 0x2029, r == 0x200b, r == 0xfeff:
			return r
		}
	}
	return 0
}
