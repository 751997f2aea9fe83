package main

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"strings"

	"peerchat/peer/wire"
)

// agent is the program and its version, as told to others: at most 64 bytes.
func agent() string {
	a := "peerchat/" + version()
	return a[:min(len(a), 64)]
}

// version is the module's version, or the commit it was built from, or "devel".
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "devel"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	commit, dirty := "", ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			commit = s.Value[:min(len(s.Value), 12)]
		case s.Key == "vcs.modified" && s.Value == "true":
			dirty = "+changes"
		}
	}
	if commit == "" {
		return "devel"
	}
	return "devel-" + commit + dirty
}

// versionText is what `peerchat version` and /version say.
func versionText() string {
	cgo := "without cgo"
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "CGO_ENABLED" && s.Value == "1" {
				cgo = "with cgo"
			}
		}
	}
	return fmt.Sprintf("peerchat %s, %s %s/%s %s, link protocol %d, signaling peerchat.v1", version(),
		strings.Replace(runtime.Version(), "go", "Go ", 1), runtime.GOOS, runtime.GOARCH, cgo, wire.Version)
}

func printVersion(w io.Writer) error {
	_, err := fmt.Fprintln(w, versionText())
	return err
}
