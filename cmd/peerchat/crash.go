package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime/debug"
)

// A panic in any goroutine ends the process on the spot, and so does SIGKILL; the terminal would stay in raw mode on
// its alternate screen. So while the screen is open a second process waits on a pipe. When the pipe ends without the
// mark of an orderly end, it brings the terminal back and prints what the runtime wrote before it died.

const (
	// monitorVar tells a peerchat process that it is the monitor of another; its value is where to keep the report.
	monitorVar = "PEERCHAT_CRASH_MONITOR"
	// orderly is all that comes through the pipe if there was no crash.
	orderly = 0x04
	// reportLines is how much of a report is shown.
	reportLines = 16
	// maxReport bounds a report, in bytes.
	maxReport = 1 << 20
)

// crashGuard is the watched side.
type crashGuard struct {
	pipe *os.File
	cmd  *exec.Cmd
}

// guardCrash starts the monitor. A report is kept in the file of that name.
func guardCrash(report string) (*crashGuard, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("start the crash monitor: %w", err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("start the crash monitor: %w", err)
	}
	defer r.Close()
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), monitorVar+"="+report)
	cmd.Stdin, cmd.Stderr = r, os.Stderr
	if tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0); err == nil {
		cmd.Stderr = tty // standard error may go elsewhere
		defer tty.Close()
	}
	ready, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		_ = w.Close()
		return nil, fmt.Errorf("start the crash monitor: %w", err)
	}
	// The screen must not open before the monitor has seen how the terminal is without it.
	_, _ = ready.Read(make([]byte, 1))
	g := &crashGuard{pipe: w, cmd: cmd}
	if err := debug.SetCrashOutput(w, debug.CrashOptions{}); err != nil {
		return nil, errors.Join(fmt.Errorf("start the crash monitor: %w", err), g.close())
	}
	return g, nil
}

// close tells the monitor that all is well, and waits for it.
func (g *crashGuard) close() error {
	err := debug.SetCrashOutput(nil, debug.CrashOptions{})
	_, werr := g.pipe.Write([]byte{orderly})
	return errors.Join(err, werr, g.pipe.Close(), g.cmd.Wait())
}

// monitorCrash is the monitor: it returns the exit status when the watched process has ended.
func monitorCrash(pipe io.Reader, ready io.Writer, terminal *os.File, report string) int {
	signal.Ignore(deafTo[:]...)
	return watchCrash(pipe, ready, terminal, report)
}

// watchCrash is monitorCrash without its signals.
func watchCrash(pipe io.Reader, ready io.Writer, terminal *os.File, report string) int {
	restore := rememberTerminal(terminal)
	_, _ = ready.Write([]byte{'.'})
	text := make([]byte, 1, 64<<10)
	if n, _ := io.ReadFull(pipe, text); n == 1 && text[0] == orderly {
		return exitOK
	} else if n == 0 {
		text = nil
	}
	// The runtime is about to end the process: the terminal is brought back before the shell looks at it.
	restore()
	rest, _ := io.ReadAll(io.LimitReader(pipe, maxReport))
	text = append(text, rest...)
	_, _ = io.Copy(io.Discard, pipe) // until the watched process has ended
	if len(text) == 0 {
		fmt.Fprintln(terminal, "peerchat was killed.")
		return exitFailed
	}
	shown := bytes.SplitAfterN(text, []byte{'\n'}, reportLines+1)
	if err := os.WriteFile(report, text, 0o600); err == nil {
		shown = shown[:min(len(shown), reportLines)]
		defer fmt.Fprintf(terminal, "\nThe whole report is in %s; please pass it on to the developers.\n", report)
	}
	fmt.Fprintf(terminal, "peerchat crashed, which is a mistake in it. What was said is kept; start it again.\n\n%s", bytes.Join(shown, nil))
	return exitFailed
}
