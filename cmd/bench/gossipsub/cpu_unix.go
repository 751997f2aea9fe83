//go:build unix

package main

import (
	"syscall"
	"time"
)

// ownTime is the processor time that this process has used.
func ownTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0 // shows as a figure that cannot be
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
