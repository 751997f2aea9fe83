package main

import (
	"fmt"
	"io"
	"log/slog"
	"os"
)

// maxLog bounds a log file, in bytes; one older file of that size is kept beside it.
const maxLog = 5 << 20

// newLogger makes a logger of a level and format that configs has found right.
func newLogger(w io.Writer, level, format string) *slog.Logger {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		l = slog.LevelInfo
	}
	opts := &slog.HandlerOptions{Level: l}
	if format == "json" {
		return slog.New(slog.NewJSONHandler(w, opts))
	}
	return slog.New(slog.NewTextHandler(w, opts))
}

// logFile is a log that does not grow for ever: at maxLog bytes it is renamed to FILE.1, in place of the one before,
// and begun anew. Its Write is called by one goroutine at a time, as slog's handlers do.
type logFile struct {
	path string
	f    *os.File
	size int64
}

func openLog(path string) (*logFile, error) {
	l := &logFile{path: path}
	if err := l.open(); err != nil {
		return nil, fmt.Errorf("open the log: %w", err)
	}
	return l, nil
}

func (l *logFile) open() error {
	f, err := os.OpenFile(l.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		_ = f.Close()
		return err
	}
	l.f, l.size = f, info.Size()
	return nil
}

// Write appends p, whole. A log that cannot be written is nobody's reason to stop.
func (l *logFile) Write(p []byte) (int, error) {
	if l.size > 0 && l.size+int64(len(p)) > maxLog {
		_ = l.f.Close()
		if err := os.Rename(l.path, l.path+".1"); err != nil {
			_ = os.Truncate(l.path, 0)
		}
		if err := l.open(); err != nil {
			return 0, err
		}
	}
	n, err := l.f.Write(p)
	l.size += int64(n)
	return n, err
}

func (l *logFile) Close() error { return l.f.Close() }
