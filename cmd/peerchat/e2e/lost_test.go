//go:build linux

package e2e

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// loseHistory ends b hard, does something to the file of its history, and starts it again.
func loseHistory(t *testing.T, b *peer, profile string, lose func(file string) error) *peer {
	t.Helper()
	b.signal(syscall.SIGKILL)
	b.wantExit("b dies by SIGKILL", -1, patience)
	if err := lose(filepath.Join(profile, "history.db")); err != nil {
		t.Fatal(err)
	}
	return b.again()
}

// remove removes a history with its journals.
func remove(file string) error {
	for _, suffix := range []string{"", "-wal", "-shm", "-lines"} {
		if err := os.Remove(file + suffix); err != nil && !os.IsNotExist(err) {
			return err
		}
	}
	return nil
}

// Who loses the file of its history, or finds it damaged, and still has its identity, gets everything back from the
// others, its own lines as well, and talks on. Who comes later gets all of it, too.
func TestALostHistoryComesBackWithTheOwnLines(t *testing.T) {
	w := newWorld(t)
	w.tracker()
	profiles := map[string]string{}
	join := func(name string) *peer {
		profiles[name] = filepath.Join(w.dir, "profile-"+name)
		return w.join(name, "--no-host", "--profile", profiles[name])
	}
	a, b, c := join("a"), join("b"), join("c")
	w.wantMesh(a, b, c)
	id := b.id
	said := []string{}
	all := func(what string, people ...*peer) {
		t.Helper()
		w.poll(what, patience, func() error {
			var first []byte
			for _, p := range people {
				log, err := exec.Command(binary, "history", "export", "--format", "json", "--profile", profiles[p.Name]).Output()
				if err != nil {
					return err
				}
				for _, text := range said {
					if n := bytes.Count(log, []byte(fmt.Sprintf("%q", text))); n != 1 {
						return fmt.Errorf("%s holds %q %d times", p.Name, text, n)
					}
				}
				if n := bytes.Count(log, []byte("\n")); n != len(said) {
					return fmt.Errorf("%s holds %d lines of %d", p.Name, n, len(said))
				}
				if first == nil {
					first = log
				}
				if !bytes.Equal(first, log) {
					return fmt.Errorf("%s and %s hold different logs: %s", people[0].Name, p.Name, difference(first, log))
				}
			}
			return nil
		})
	}
	talk := func(when string) {
		t.Helper()
		for _, p := range []*peer{a, b, c} {
			for i := range 3 {
				said = append(said, fmt.Sprintf("%s %d %s", p.Name, i, when))
				p.say(said[len(said)-1])
			}
		}
		for _, p := range []*peer{a, b, c} {
			for _, text := range said[len(said)-9:] {
				p.wantLine(p.Name+" hears "+text, text)
			}
		}
	}
	talk("at first")
	all("three have one log", a, b, c)
	for when, lose := range []func(file string) error{
		remove,
		func(file string) error { // SQLite's journal has all pages that were written since it was opened, and would heal it
			if err := remove(file); err != nil {
				return err
			}
			return os.WriteFile(file, bytes.Repeat([]byte("spoilt "), 4000), 0o600)
		},
	} {
		b = loseHistory(t, b, profiles["b"], lose)
		w.wantMesh(a, b, c)
		if b.id != id {
			t.Fatalf("b comes back as %s: want %s", b.id, id)
		}
		for _, text := range said {
			b.wantLine("b is shown again "+text, text)
		}
		all("b has all again, its own lines as well", a, b, c)
		talk(fmt.Sprintf("after loss %d", when+1))
		all("the talk goes on", a, b, c)
	}
	if kept, err := filepath.Glob(filepath.Join(profiles["b"], "history.db.corrupt-*")); err != nil || len(kept) == 0 {
		t.Errorf("the damaged file was not set aside: %v, %v", kept, err)
	}
	d := join("d")
	w.wantMesh(a, b, c, d)
	for _, text := range said {
		d.wantLine("d, who comes later, gets "+text, text)
	}
	all("all four have one log", a, b, c, d)
}
