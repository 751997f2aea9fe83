// Command peerchat is P2P chat in a terminal: a tracker that introduces peers, and a peer that joins rooms.
//
// This package wires the others together and holds no logic that they could hold: it reads flags and settings, opens
// the profile, starts tracker or peer, and carries events to the screen or to standard output, and what is typed back.
// Each front end (line mode and the screen) owns its state in one goroutine. Nothing may import this package.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// The exit statuses of the command line.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

// usageError is a mistake in what the user asked for, as opposed to something that went wrong.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }

func (e *usageError) Unwrap() error { return e.err }

// console is where a command reads and writes. Tests have their own.
type console struct {
	in  io.Reader
	out io.Writer
	err io.Writer
	env func(string) (string, bool)
	tty func() terminal // what kind of terminal in and out are
}

func main() {
	if monitor := os.Getenv(monitorVar); monitor != "" {
		os.Exit(monitorCrash(os.Stdin, os.Stdout, os.Stderr, monitor))
	}
	// A reader of standard output that is gone shows as an error of Write, not as a death by signal.
	signal.Ignore(syscall.SIGPIPE)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	// What leaving waits for may hang, such as a read of a file that is a pipe: another one ends the process. Not so a
	// SIGHUP, which often comes twice, from the terminal and from the shell.
	context.AfterFunc(ctx, func() { signal.Reset(syscall.SIGINT, syscall.SIGTERM) })
	os.Exit(run(ctx, os.Args[1:], console{
		in: os.Stdin, out: os.Stdout, err: os.Stderr, env: os.LookupEnv,
		tty: func() terminal { return terminalOf(os.Stdin, os.Stdout) },
	}))
}

// run is the whole program: it does what args say and returns the exit status.
func run(ctx context.Context, args []string, con console) int {
	command, err := parseArgs(args, con)
	if err == nil {
		err = command(ctx, con)
	}
	var usage *usageError
	switch {
	case err == nil, errors.Is(err, errHelped):
		return exitOK
	case errors.As(err, &usage):
		fmt.Fprintf(con.err, "peerchat: %v\nTry peerchat --help.\n", err)
		return exitUsage
	default:
		fmt.Fprintf(con.err, "peerchat: %v\n", err)
		return exitFailed
	}
}
