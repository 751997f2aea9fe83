package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// usage is what a process has used by now.
type usage struct {
	cpu time.Duration // of all its threads, the ended ones included
	rss int64         // bytes
}

// usageOf reads /proc/PID (proc(5)). The processor time comes in nanoseconds from each thread's schedstat where that
// adds up to more than the ticks of 10 ms in stat, which it does unless threads have ended.
func usageOf(pid int) (usage, error) {
	dir := "/proc/" + strconv.Itoa(pid)
	var u usage
	stat, err := os.ReadFile(dir + "/stat")
	if err != nil {
		return u, fmt.Errorf("read the processor time of process %d: %w", pid, err)
	}
	// The name in parentheses may hold anything; the fields behind it start with the third.
	_, rest, _ := strings.Cut(string(stat[strings.LastIndexByte(string(stat), ')'):]), " ")
	f := strings.Fields(rest)
	if len(f) < 22 {
		return u, fmt.Errorf("read the processor time of process %d: %d fields in its stat", pid, len(f))
	}
	user, _ := strconv.ParseInt(f[11], 10, 64)
	system, _ := strconv.ParseInt(f[12], 10, 64)
	pages, _ := strconv.ParseInt(f[21], 10, 64)
	u.cpu = time.Duration(user+system) * 10 * time.Millisecond
	u.rss = pages * int64(os.Getpagesize())
	var fine time.Duration
	threads, _ := filepath.Glob(dir + "/task/*/schedstat")
	for _, t := range threads {
		b, err := os.ReadFile(t)
		if err != nil {
			continue // the thread has ended
		}
		ns, _, _ := strings.Cut(string(b), " ")
		n, _ := strconv.ParseInt(ns, 10, 64)
		fine += time.Duration(n)
	}
	if fine > u.cpu {
		u.cpu = fine
	}
	return u, nil
}

// processors is the time that all processors have worked and been idle by now, in ticks (proc(5), /proc/stat).
func processors() (used, idle float64, err error) {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, 0, fmt.Errorf("read the processors' time: %w", err)
	}
	first, _, _ := strings.Cut(string(b), "\n")
	for i, f := range strings.Fields(first)[1:] {
		n, err := strconv.ParseFloat(f, 64)
		if err != nil {
			return 0, 0, fmt.Errorf("read the processors' time in %q: %w", first, err)
		}
		switch i {
		case 3, 4: // idle, and idle while a disk is awaited
			idle += n
		case 8, 9: // of guests: counted already
		default:
			used += n
		}
	}
	return used, idle, nil
}

// busy is the part of all processors' time that is used while something goes on, in percent.
func busy(meanwhile func() error) (float64, error) {
	used, idle, err := processors()
	if err != nil {
		return 0, err
	}
	if err := meanwhile(); err != nil {
		return 0, err
	}
	usedNow, idleNow, err := processors()
	if err != nil {
		return 0, err
	}
	return 100 * (usedNow - used) / (usedNow - used + idleNow - idle), nil
}
