package main

import (
	"os"
	"syscall"
)

// deafTo are the signals that must not end the crash monitor before it has brought the terminal back.
var deafTo = [...]os.Signal{syscall.SIGINT, syscall.SIGTERM}
