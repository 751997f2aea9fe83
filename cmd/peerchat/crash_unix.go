//go:build unix

package main

import (
	"os"
	"syscall"
)

// deafTo are the signals that must not end the crash monitor before it has brought the terminal back. SIGTTOU is one of
// them: once the shell has the terminal back, the monitor is a background process that sets its mode.
var deafTo = [...]os.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGPIPE, syscall.SIGTTOU}
