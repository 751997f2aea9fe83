package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// monitor runs the crash monitor on what comes through its pipe, with a file for a terminal.
func monitor(t *testing.T, pipe string) (status int, shown, kept string) {
	t.Helper()
	dir := t.TempDir()
	terminal, err := os.Create(filepath.Join(dir, "terminal"))
	if err != nil {
		t.Fatal(err)
	}
	defer terminal.Close()
	report := filepath.Join(dir, "crash.txt")
	var ready strings.Builder
	status = watchCrash(strings.NewReader(pipe), &ready, terminal, report)
	if ready.Len() != 1 {
		t.Errorf("the monitor said %q when it was ready, want one byte", ready.String())
	}
	text, err := os.ReadFile(terminal.Name())
	if err != nil {
		t.Fatal(err)
	}
	saved, _ := os.ReadFile(report) // there may be none
	return status, string(text), string(saved)
}

func TestCrashMonitor(t *testing.T) {
	if status, shown, kept := monitor(t, string([]byte{orderly})); status != exitOK || shown != "" || kept != "" {
		t.Errorf("after an orderly end it says %d, %q and keeps %q, want silence", status, shown, kept)
	}
	panicked := "panic: oh\n\ngoroutine 1 [running]:\n" + strings.Repeat("main.f()\n", 1000)
	status, shown, kept := monitor(t, panicked)
	if status != exitFailed || kept != panicked || !strings.Contains(shown, "panic: oh") || !strings.Contains(shown, "crash.txt") {
		t.Errorf("after a panic it says %d, %.200q and keeps %d bytes; want the panic shown, kept, and where", status, shown, len(kept))
	}
	if n := strings.Count(shown, "\n"); n > reportLines+5 {
		t.Errorf("%d lines are shown, want about %d", n, reportLines)
	}
	if status, shown, kept := monitor(t, ""); status != exitFailed || !strings.Contains(shown, "killed") || kept != "" {
		t.Errorf("after SIGKILL it says %d, %q and keeps %q, want a word and no report", status, shown, kept)
	}
}

func TestLogStaysBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "peerchat.log")
	l, err := openLog(path)
	if err != nil {
		t.Fatal(err)
	}
	line := []byte(strings.Repeat("x", 1<<20-1) + "\n")
	for range 3 * maxLog / len(line) {
		if n, err := l.Write(line); err != nil || n != len(line) {
			t.Fatalf("Write: %d, %v", n, err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(path + "*")
	if err != nil || len(files) != 2 {
		t.Errorf("there are %q (%v), want the log and one older", files, err)
	}
	for _, f := range files {
		info, err := os.Stat(f)
		if err != nil || info.Size() > maxLog || info.Mode().Perm() != 0o600 {
			t.Errorf("%s has %d bytes and mode %v (%v), want at most %d and 0600", f, info.Size(), info.Mode(), err, maxLog)
		}
	}
	if l, err = openLog(path); err != nil { // goes on where it was
		t.Fatal(err)
	}
	if l.size == 0 {
		t.Error("an old log was emptied")
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}
