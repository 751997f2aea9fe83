package tui

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/gdamore/tcell/v2"
	"github.com/gdamore/tcell/v2/terminfo"
	"github.com/rivo/tview"
)

// framePause is the least time between two redraws for what was posted: about 60 a second.
const framePause = 16 * time.Millisecond

// quitPatience is how long the program has to answer Quit with Stopped.
const quitPatience = 3 * time.Second

// endPatience is how long the terminal has to take the last output. One that is stopped (a hung ssh) takes none, and
// must not keep the process.
const endPatience = 2 * time.Second

// Config is what an App is made with. The zero value works.
type Config struct {
	Mouse bool
	Color ColorMode
	ASCII bool              // the program itself draws nothing beyond ASCII
	Bell  string            // "off", "mention" (also if empty) or "all"
	Joins string            // "all", "smart" (also if empty) or "none"
	Keys  map[string]string // rebound keys, see ModelConfig

	// Screen is the terminal; nil is the real one. The App initialises and finishes it.
	Screen tcell.Screen
	// OnAction gets what the user wants, in the App's event loop: it must not block. Nil drops it.
	OnAction func(Action)
	// Now is the clock, time.Now if nil; Location is for times of day, time.Local if nil.
	Now      func() time.Time
	Location *time.Location
}

// App is the screen: a Model, and tview to draw it.
//
// Its Model is owned by tview's event loop. Everybody else leaves Msgs in a mailbox; a pump goroutine wakes the loop
// for them, at most once a frame. The pump alone calls QueueUpdate, and the pump alone stops tview, as the last thing
// it does: so nothing waits for a loop that has ended, which QueueUpdate would do for ever.
type App struct {
	cfg   Config
	model *Model
	theme theme
	mail  *mailbox

	stop     chan struct{} // closed once: the App is to end
	stopOnce sync.Once
	leaving  chan struct{} // holds a token once the user wants to leave
	reason   error         // why it ends; written before stop is closed

	tv     *tview.Application // set by Run, used by its event loop and pump only
	wakeAt time.Time          // Model.Wake, written by deliver; the pump reads it when that is done
	screen *guard
}

// New makes an App. Run shows it.
func New(cfg Config) *App {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Location == nil {
		cfg.Location = time.Local
	}
	if cfg.OnAction == nil {
		cfg.OnAction = func(Action) {}
	}
	a := &App{cfg: cfg, mail: newMailbox(), stop: make(chan struct{}), leaving: make(chan struct{}, 1)}
	a.model = NewModel(ModelConfig{
		Location: cfg.Location, ASCII: cfg.ASCII, Mouse: cfg.Mouse, Bell: cfg.Bell, Joins: cfg.Joins, Keys: cfg.Keys,
	})
	return a
}

// Post tells the screen. It never blocks, may be called by anybody at any time, and does nothing after the end.
func (a *App) Post(msg Msg) {
	if stopped, ok := msg.(Stopped); ok {
		var reason error
		if stopped.Reason != "" {
			reason = errors.New(SanitizeLine(stopped.Reason))
		}
		a.end(reason)
		return
	}
	a.mail.put(msg)
}

// Stop ends the App; Run returns soon after. It does not wait, and may be called any number of times.
func (a *App) Stop() { a.end(nil) }

func (a *App) end(reason error) {
	a.stopOnce.Do(func() {
		a.reason = reason
		a.mail.close()
		close(a.stop)
	})
}

// Run shows the screen until Stop, Stopped, or the terminal's end. The error says why it ended, if not because
// somebody wanted it. It can be called once.
func (a *App) Run() error {
	screen := a.cfg.Screen
	if screen == nil {
		var err error
		if screen, err = newScreen(os.Getenv("TERM")); err != nil {
			return fmt.Errorf("cannot use this terminal (TERM=%s): %w; try --plain", os.Getenv("TERM"), err)
		}
	}
	switch err := screen.Init(); {
	case errors.Is(err, tcell.ErrNoCharset):
		return fmt.Errorf("cannot use this terminal: the locale names a character set that is not known here (%s); "+
			"where the terminal shows UTF-8, set LC_ALL=C.UTF-8, else try --plain", locale())
	case err != nil:
		return fmt.Errorf("cannot use this terminal (TERM=%s): %w; try --plain", os.Getenv("TERM"), err)
	}
	color := a.cfg.Color == Color16
	if a.cfg.Color == ColorAuto {
		color = os.Getenv("NO_COLOR") == "" && screen.Colors() >= 8
	}
	a.theme = newTheme(color)
	if !isUTF8(screen.CharacterSet()) {
		a.model.cfg.ASCII = true
	}
	a.screen = &guard{Screen: screen, failed: a.end}
	a.model.Tick(a.cfg.Now())

	a.tv = tview.NewApplication().SetScreen(a.screen).EnableMouse(a.cfg.Mouse).EnablePaste(true)
	a.tv.SetInputCapture(a.key)
	a.tv.SetRoot(newRoot(a), true)

	var running sync.WaitGroup
	running.Go(a.pump)
	running.Go(func() { a.end(a.tv.Run()) })
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		running.Wait()
	}()
	<-a.stop
	patience := time.NewTimer(endPatience)
	defer patience.Stop()
	select {
	case <-ended:
		return a.reason
	case <-patience.C:
		return fmt.Errorf("the terminal takes no output any more, so it is left as it is: `reset` tidies it up")
	}
}

// locale is the variable that tells tcell the character set.
func locale() string {
	for _, name := range []string{"LC_ALL", "LC_CTYPE"} {
		if value := os.Getenv(name); value != "" {
			return name + "=" + value
		}
	}
	return "LANG=" + os.Getenv("LANG")
}

// newScreen is the real terminal.
func newScreen(term string) (tcell.Screen, error) {
	if info, err := unpadded(term); err == nil {
		tty, err := tcell.NewDevTty()
		if err != nil {
			return nil, err
		}
		return screenOn(tty, info)
	}
	return tcell.NewScreen() // knows of more kinds of terminals, or says why not
}

// screenOn is a screen on a terminal.
func screenOn(tty tcell.Tty, info *terminfo.Terminfo) (tcell.Screen, error) {
	clean := &cleanTTY{Tty: tty}
	screen, err := tcell.NewTerminfoScreenFromTtyTerminfo(clean, info)
	if err != nil {
		return nil, err
	}
	clean.utf8 = func() bool { return isUTF8(screen.CharacterSet()) } // which is known when it reads
	return screen, nil
}

// unpadded describes a terminal that needs no time for what it is told. Of old ones, whose names live on (vt100), it is
// known how long they took, and tcell would sleep for that, many times in each redraw.
func unpadded(term string) (*terminfo.Terminfo, error) {
	info, err := tcell.LookupTerminfo(term)
	if err != nil {
		return nil, err
	}
	quick := *info
	quick.PadChar = ""
	return &quick, nil
}

// pump wakes the event loop for mail and for the clock, and ends it.
func (a *App) pump() {
	timer := time.NewTimer(0) // the clock's next minute, or what the Model waits for; at once the first time
	defer timer.Stop()
	var quit <-chan time.Time
	for {
		select {
		case <-a.stop:
			a.tv.QueueUpdate(a.tv.Stop)
			return
		case <-quit:
			a.end(nil)
			continue
		case <-a.leaving:
			t := time.NewTimer(quitPatience)
			defer t.Stop()
			quit = t.C
			continue
		case <-a.mail.wake:
		case <-timer.C:
		}
		a.tv.QueueUpdateDraw(a.deliver)
		now := a.cfg.Now()
		next := max(untilNextMinute(now), time.Second)
		if !a.wakeAt.IsZero() {
			next = min(next, max(a.wakeAt.Sub(now), framePause))
		}
		timer.Reset(next)
		pause := time.NewTimer(framePause)
		select {
		case <-pause.C:
		case <-a.stop:
			pause.Stop()
		}
	}
}

// deliver hands the mail to the Model. It runs in the event loop.
func (a *App) deliver() {
	now := a.cfg.Now()
	a.model.Tick(now)
	mail, lost := a.mail.take()
	var out Effects
	add := func(more Effects) {
		out.Actions = append(out.Actions, more.Actions...)
		out.Bell = out.Bell || more.Bell
	}
	if lost > 0 {
		a.model.missed()
		add(a.model.Update(now, Failure{Text: "the terminal took nothing for a while; left out: " + plural(lost, "line", "lines")}))
	}
	for _, msg := range mail {
		add(a.model.Update(now, msg))
	}
	a.wakeAt = a.model.Wake()
	a.effects(out)
}

// effects carries out what the Model wants. It runs in the event loop.
func (a *App) effects(out Effects) {
	if out.Bell {
		_ = a.screen.Beep() // a terminal without a bell is no failure
	}
	if out.Mouse != nil {
		a.tv.EnableMouse(*out.Mouse)
	}
	if out.Redraw {
		a.screen.Sync()
	}
	for _, action := range out.Actions {
		if _, ok := action.(Quit); ok {
			select {
			case a.leaving <- struct{}{}:
			default:
			}
		}
		a.cfg.OnAction(action)
	}
}

// key gets every stroke before tview does, and keeps it. It runs in the event loop.
func (a *App) key(ev *tcell.EventKey) *tcell.EventKey {
	if k := keyOf(ev); k != (Key{}) {
		a.effects(a.model.Key(a.cfg.Now(), k))
	}
	return nil
}

// keyOf names a stroke as the Model does.
func keyOf(ev *tcell.EventKey) Key {
	mod, key := ev.Modifiers(), ev.Key()
	if key == tcell.KeyRune && mod&(tcell.ModAlt|tcell.ModCtrl) == tcell.ModAlt|tcell.ModCtrl {
		// What Esc and a control character arrive as (tcell, input.go).
		switch ev.Rune() {
		case 'm', 'j':
			key, mod = tcell.KeyEnter, tcell.ModAlt
		case 'i':
			key, mod = tcell.KeyTab, tcell.ModAlt
		case 'h':
			key, mod = tcell.KeyBackspace, tcell.ModAlt
		}
	}
	var name string
	switch {
	case key == tcell.KeyRune:
		if mod&(tcell.ModAlt|tcell.ModCtrl|tcell.ModMeta) == 0 {
			return Key{Text: string(ev.Rune())}
		}
		mod &^= tcell.ModShift
		name = string(ev.Rune())
		if mod&tcell.ModCtrl != 0 {
			name = strings.ToUpper(name)
		}
	case key == tcell.KeyBackspace || key == tcell.KeyBackspace2:
		name = "Backspace"
		mod &^= tcell.ModCtrl
	case key == tcell.KeyTab:
		name = "Tab"
	case key == tcell.KeyBacktab:
		name = "Backtab"
		mod &^= tcell.ModShift
	case key == tcell.KeyEnter:
		name = "Enter"
		mod &^= tcell.ModCtrl
	case key == tcell.KeyEscape:
		return Key{Name: "Esc"}
	case key >= tcell.KeyCtrlA && key <= tcell.KeyCtrlZ:
		name = string(rune('A' + key - tcell.KeyCtrlA))
		mod |= tcell.ModCtrl
		mod &^= tcell.ModShift
	case key >= tcell.KeyF1 && key <= tcell.KeyF12:
		name = fmt.Sprintf("F%d", key-tcell.KeyF1+1)
	case key >= tcell.KeyF13 && key <= tcell.KeyF24:
		name = fmt.Sprintf("F%d", key-tcell.KeyF13+1) // terminals report Shift+F1 so
		mod |= tcell.ModShift
	default:
		switch key {
		case tcell.KeyUp:
			name = "Up"
		case tcell.KeyDown:
			name = "Down"
		case tcell.KeyLeft:
			name = "Left"
		case tcell.KeyRight:
			name = "Right"
		case tcell.KeyHome:
			name = "Home"
		case tcell.KeyEnd:
			name = "End"
		case tcell.KeyPgUp:
			name = "PgUp"
		case tcell.KeyPgDn:
			name = "PgDn"
		case tcell.KeyDelete:
			name = "Delete"
		case tcell.KeyInsert:
			name = "Insert"
		default:
			return Key{}
		}
	}
	if mod&tcell.ModShift != 0 {
		name = "Shift+" + name
	}
	if mod&(tcell.ModAlt|tcell.ModMeta) != 0 {
		name = "Alt+" + name
	}
	if mod&tcell.ModCtrl != 0 {
		name = "Ctrl+" + name
	}
	return Key{Name: name}
}

// guard is the screen as tview gets it. It keeps from tview what would make it end by itself or lose text.
type guard struct {
	tcell.Screen
	failed  func(error)
	pasting bool // of PollEvent's goroutine
}

// Init does nothing: Run did it, and looked at the error, which tview does not.
func (g *guard) Init() error { return nil }

// PollEvent reports the terminal's failure instead of passing it on, and turns line feeds in pasted text into the Enter
// that tview knows.
func (g *guard) PollEvent() tcell.Event {
	for {
		switch ev := g.Screen.PollEvent().(type) {
		case *tcell.EventError:
			g.failed(fmt.Errorf("the terminal is gone: %w", ev))
			continue
		case *tcell.EventPaste:
			g.pasting = ev.Start()
			return ev
		case *tcell.EventKey:
			if g.pasting && ev.Key() == tcell.KeyCtrlJ {
				return tcell.NewEventKey(tcell.KeyEnter, '\r', tcell.ModNone)
			}
			return ev
		default:
			return ev
		}
	}
}
