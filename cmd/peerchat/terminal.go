package main

import (
	"os"

	"github.com/mattn/go-isatty"
)

// terminal says what standard input and output are.
type terminal struct {
	in, out bool // a terminal
	dumb    bool // one that cannot move its cursor
}

func terminalOf(in, out *os.File) terminal {
	kind := os.Getenv("TERM")
	return terminal{in: isatty.IsTerminal(in.Fd()), out: isatty.IsTerminal(out.Fd()), dumb: kind == "" || kind == "dumb"}
}
