// Package lab runs real processes in private networks and reads what they print: the ground that the end-to-end
// tests and the benchmark stand on.
//
// A Net is a network namespace with nothing but a loopback interface, owned by one goroutine that is locked to a thread
// inside it. A Proc is a process that was started from such a thread; its standard output is kept line by line, and
// everything that waits for a line has a deadline. The kernel kills every Proc when this process dies, however it
// dies, and a namespace goes when nobody is left in it, so that nothing outlives a run.
//
// It works on Linux only, as root or where unprivileged user namespaces are allowed (see Enter). It must never import
// anything of this module: it knows peerchat only as a program.
package lab
