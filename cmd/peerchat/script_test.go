package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"peerchat": main})
}

// The command line as its users meet it: testdata/script/*.txtar, each in a directory of its own. Everything stays on
// the loopback interface: PEERCHAT_INTERFACE and PEERCHAT_LAN see to that, and every script names its ports.
func TestCommandLine(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("XDG_STATE_HOME", filepath.Join(env.WorkDir, "state"))
			env.Setenv("HOME", env.WorkDir)
			env.Setenv("PEERCHAT_INTERFACE", "lo")
			env.Setenv("PEERCHAT_LAN", "off")
			env.Setenv("NO_COLOR", "1")
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"freeport": freePort, "stranger": stranger, "damage": damage, "root": needRoot,
		},
	})
}

// freePort sets a variable to a port of the loopback interface that was free a moment ago: freeport NAME.
func freePort(ts *testscript.TestScript, _ bool, args []string) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Setenv(args[0], fmt.Sprint(ln.Addr().(*net.TCPAddr).Port))
	ts.Check(ln.Close())
}

// stranger holds a port with a server that is no tracker, until the script ends: stranger NAME.
func stranger(ts *testscript.TestScript, _ bool, args []string) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	srv := &http.Server{Handler: http.NotFoundHandler()}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = srv.Serve(ln)
	}()
	ts.Defer(func() { _ = srv.Close(); <-done })
	ts.Setenv(args[0], fmt.Sprint(ln.Addr().(*net.TCPAddr).Port))
}

// damage overwrites the middle of a file: damage FILE.
func damage(ts *testscript.TestScript, _ bool, args []string) {
	path := ts.MkAbs(args[0])
	data, err := os.ReadFile(path)
	ts.Check(err)
	copy(data[len(data)/2:], "DAMAGED")
	ts.Check(os.WriteFile(path, data, 0o600))
}

// needRoot is not used to skip: a script that needs another user says so.
func needRoot(ts *testscript.TestScript, neg bool, _ []string) {
	if (os.Getuid() == 0) == neg {
		ts.Fatalf("this script is for another user")
	}
}
