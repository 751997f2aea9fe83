package configs

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Unbounded is the word for a bound that is not there.
const Unbounded = "none"

// The least that a history can be told to keep. A message alone can take 130 KiB of it.
const (
	minHistorySize = 1 << 20
	minHistoryAge  = time.Hour // it is looked after once an hour
	minWindowAge   = time.Minute
)

// History is how much is kept and fetched. A negative number is no bound.
type History struct {
	Events     int           // of a room
	Room, File int64         // bytes of a room, of all rooms
	Age        time.Duration // of what is kept
	// How much of a room that is new here is fetched at first.
	WindowEvents int
	WindowAge    time.Duration
}

// History reads the settings of the history, or says everything that is wrong with them.
func (c Peer) History() (History, error) {
	var errs []error
	number := func(key, s string) int {
		n, err := parseCount(s)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s %w", key, err))
		}
		return n
	}
	size := func(key, s string) int64 {
		n, err := parseSize(s)
		if err == nil && n >= 0 && n < minHistorySize {
			err = fmt.Errorf("%q: want 1MiB or more, or %s", s, Unbounded)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s %w", key, err))
		}
		return n
	}
	age := func(key, s string, least time.Duration, text string) time.Duration {
		d, err := parseAge(s)
		if err == nil && d >= 0 && d < least {
			err = fmt.Errorf("%q: want %s or more, or %s", s, text, Unbounded)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s %w", key, err))
		}
		return d
	}
	h := History{
		Events: number("history-events", c.HistoryEvents), Room: size("history-room-size", c.HistoryRoomSize),
		File: size("history-size", c.HistorySize), Age: age("history-age", c.HistoryAge, minHistoryAge, "1h"),
		WindowEvents: c.HistoryWindowEvents, WindowAge: age("history-window-age", c.HistoryWindowAge, minWindowAge, "1m"),
	}
	if c.HistoryWindowEvents < 1 {
		errs = append(errs, fmt.Errorf("history-window-events %d: want 1 or more", c.HistoryWindowEvents))
	}
	return h, errors.Join(errs...)
}

// parseCount reads a number of events, or none, which is -1.
func parseCount(s string) (int, error) {
	if s == Unbounded {
		return -1, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 {
		return 0, fmt.Errorf("%q: want a whole number from 1, or %s", s, Unbounded)
	}
	return n, nil
}

// parseSize reads a number of bytes with a unit, as in 64MiB (2^20 bytes each), 64MB (10^6) or 65536, or none, which is
// -1.
func parseSize(s string) (int64, error) {
	if s == Unbounded {
		return -1, nil
	}
	number := strings.TrimRight(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
	unit, known := map[string]float64{
		"": 1, "b": 1, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "tib": 1 << 40, "kb": 1e3, "mb": 1e6, "gb": 1e9, "tb": 1e12,
	}[strings.ToLower(s[len(number):])]
	n, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if err != nil || !known || !(n >= 0) || n*unit >= math.MaxInt64 {
		return 0, fmt.Errorf("%q: want a size, as in 64MiB, 1GiB or 500MB, or %s", s, Unbounded)
	}
	return int64(n * unit), nil
}

// parseAge reads a span of time with a unit, as in 7d, 2w, 168h or 1h30m, or none, which is -1.
func parseAge(s string) (time.Duration, error) {
	if s == Unbounded {
		return -1, nil
	}
	d, err := time.ParseDuration(s)
	for unit, long := range map[string]time.Duration{"d": 24 * time.Hour, "w": 7 * 24 * time.Hour} {
		if number, ok := strings.CutSuffix(s, unit); ok {
			var n float64
			if n, err = strconv.ParseFloat(number, 64); err == nil && !(math.Abs(n)*float64(long) < math.MaxInt64) {
				err = strconv.ErrRange
			}
			d = time.Duration(n * float64(long))
		}
	}
	if err != nil || d < 0 {
		return 0, fmt.Errorf("%q: want an age, as in 7d, 2w or 36h, or %s", s, Unbounded)
	}
	return d, nil
}
