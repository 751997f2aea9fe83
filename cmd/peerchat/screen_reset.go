package main

import (
	"os"

	"golang.org/x/term"
)

// resetScreen leaves the alternate screen and undoes what a full-screen program switches on: mouse reports, bracketed
// paste, a hidden cursor, colours (xterm control sequences).
const resetScreen = "\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l\x1b[?1004l\x1b[?2004l\x1b[?7h\x1b[?1l\x1b>\x1b[0m\x1b[?25h\x1b[?1049l\r"

// rememberTerminal returns what brings a terminal back to how it is now.
func rememberTerminal(t *os.File) (restore func()) {
	state, err := term.GetState(int(t.Fd()))
	if err != nil {
		return func() {}
	}
	return func() {
		_ = term.Restore(int(t.Fd()), state)
		_, _ = t.WriteString(resetScreen)
	}
}
