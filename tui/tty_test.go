package tui

import (
	"io"
	"strings"
	"testing"
	"time"

	"github.com/gdamore/tcell/v2"
)

// typist is a terminal at which a test types, in pieces as they are read.
type typist struct {
	typed chan string
	end   chan struct{}
}

func (t *typist) Start() error        { return nil }
func (t *typist) Stop() error         { return nil }
func (t *typist) Drain() error        { close(t.end); return nil }
func (t *typist) NotifyResize(func()) {}
func (t *typist) Close() error        { return nil }
func (t *typist) WindowSize() (tcell.WindowSize, error) {
	return tcell.WindowSize{Width: 80, Height: 24}, nil
}
func (t *typist) Write(p []byte) (int, error) { return len(p), nil }
func (t *typist) Read(p []byte) (int, error) {
	select {
	case s := <-t.typed:
		return copy(p, s), nil
	case <-t.end:
		return 0, io.EOF
	}
}

// What a terminal sends is never the last that is heard of it, whatever the bytes are.
func TestKeysCountAfterBytesThatAreNoText(t *testing.T) {
	for _, locale := range []string{"C.UTF-8", "de_DE.utf8", "de_DE"} {
		t.Run(locale, func(t *testing.T) { keysCount(t, locale) })
	}
}

func keysCount(t *testing.T, locale string) {
	t.Setenv("LC_ALL", locale)
	info, err := unpadded("xterm-256color")
	if err != nil {
		t.Fatal(err)
	}
	tty := &typist{typed: make(chan string), end: make(chan struct{})}
	screen, err := screenOn(tty, info)
	if err != nil {
		t.Fatal(err)
	}
	if err := screen.Init(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if !t.Failed() { // it would wait for a reader that is busy for ever
			screen.Fini()
		}
	}()
	keys, quit := make(chan tcell.Event, 100), make(chan struct{})
	go screen.ChannelEvents(keys, quit)
	defer close(quit)
	deadline := time.After(10 * time.Second)
	for _, c := range []struct{ what, typed, want string }{
		{"text in Latin-1", "caf\xe9 ok.", "caf? ok."},
		{"a lone byte, and then a key", "\xff|.", "?."},
		{"characters in two pieces", "\xc3|\xa9\xe6\xbc|\xa2\xf0|\x9f|\x99\x82.", "é漢🙂."},
		{"a character that never ends", "\xe6\xbc|a.", "??a."},
		{"surrogates, too much, and U+FFFD", "\xed\xa0\x80\xf5\xef\xbf\xbd.", "?????."},
		{"a good line after all that", "grüße 🙂.", "grüße 🙂."},
	} {
		for _, piece := range strings.Split(c.typed, "|") {
			select {
			case tty.typed <- piece:
			case <-deadline:
				t.Fatalf("%s: nothing is read any more", c.what)
			}
		}
		got := ""
		for !strings.HasSuffix(got, ".") {
			select {
			case ev := <-keys:
				if key, ok := ev.(*tcell.EventKey); ok {
					got += string(key.Rune())
				}
			case <-deadline:
				t.Fatalf("%s: %q came of it, and then nothing", c.what, got)
			}
		}
		if got != c.want {
			t.Errorf("%s comes as %q: want %q", c.what, got, c.want)
		}
	}
}

// Where the locale is of no use, what to do is said: a terminal of today shows UTF-8 all the same.
func TestALocaleThatIsNotKnownIsNamed(t *testing.T) {
	t.Setenv("LC_ALL", "")
	t.Setenv("LC_CTYPE", "de_DE.ISO8859-1")
	info, err := unpadded("xterm-256color")
	if err != nil {
		t.Fatal(err)
	}
	screen, err := screenOn(&typist{typed: make(chan string), end: make(chan struct{})}, info)
	if err != nil {
		t.Fatal(err)
	}
	err = New(Config{Screen: screen}).Run()
	if err == nil || !strings.Contains(err.Error(), "LC_CTYPE=de_DE.ISO8859-1") || !strings.Contains(err.Error(), "LC_ALL=C.UTF-8") {
		t.Errorf("a terminal in Latin-1 is refused with %v: want the variable in it, and what to set", err)
	}
}
