//go:build !race

package history

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"peerchat/peer/wire"
)

func child(t *testing.T, role, path string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), childEnv+"="+path, "PEERCHAT_TEST_ROLE="+role)
	cmd.Stderr = os.Stderr
	return cmd
}

// childRoles are what the test binary does as a child of itself, for what needs a process of its own.
func childRoles() map[string]func(path string) error {
	return map[string]func(string) error{"full": onAFullDisk, "nobody": withoutPermission, "busy": appendAndTidy}
}

// TestAFullDisk runs onAFullDisk on a disk of its own.
func TestAFullDisk(t *testing.T) {
	cmd := child(t, "full", t.TempDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}, GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}}
	out, err := cmd.Output()
	if errors.Is(err, syscall.EPERM) || strings.HasPrefix(string(out), "no mount") {
		if os.Getenv("CI") != "" {
			t.Fatalf("mount a file system in a namespace: %v %s", err, out)
		}
		t.Skipf("this machine lets nobody mount a file system in a namespace: %v %s", err, out)
	}
	if err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

func onAFullDisk(dir string) error {
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=3m"); err != nil {
		fmt.Println("no mount:", err)
		os.Exit(1)
	}
	filler := filepath.Join(dir, "filler")
	fill := func(left int64) error {
		f, err := os.Create(filler)
		if err != nil {
			return err
		}
		n, err := io.Copy(f, io.LimitReader(zeros{}, 4<<20))
		if !errors.Is(err, syscall.ENOSPC) {
			return fmt.Errorf("the disk is not full: %v", err)
		}
		return errors.Join(f.Truncate(max(0, n-left)), f.Close())
	}
	path := filepath.Join(dir, "history.db")
	if err := fill(0); err != nil {
		return err
	}
	var corrupt *CorruptError
	if s, err := OpenSQLite(path, Config{}); s != nil || errors.As(err, &corrupt) || !strings.Contains(fmt.Sprint(err), "free some space") {
		return fmt.Errorf("a new history on a full disk gives %v, %v", s != nil, err)
	}
	if err := os.Remove(filler); err != nil {
		return err
	}
	s, err := OpenSQLite(path, Config{OnDamage: func(e *CorruptError) { fmt.Println("damage:", e) }})
	if err != nil {
		return fmt.Errorf("with space again: %w", err)
	}
	seq := uint64(0)
	for round := range 6 {
		if err := fill(100_000 * int64(round)); err != nil {
			return err
		}
		for n := 0; ; n++ {
			events := said("general", 1, seq+1, seq+1, strings.Repeat("some words ", 50), "more")
			if round%2 == 0 {
				events = events[:1] // by way of the journal
			}
			if err := s.Append(events); err != nil {
				if !strings.Contains(err.Error(), "free some space") || errors.As(err, &corrupt) {
					return fmt.Errorf("round %d: an append on a full disk gives %w", round, err)
				}
				break
			}
			if seq += uint64(len(events)); n > 100_000 {
				return errors.New("the disk is never full")
			}
			if n%10 == 0 {
				_ = s.Tidy() // may fail as well
			}
		}
		if heads, _, err := s.Heads("general"); err != nil || len(heads) > 0 && heads[0].Seq != seq {
			return fmt.Errorf("round %d: the log stands at %v, %v: want %d", round, heads, err, seq)
		}
		if err := os.Remove(filler); err != nil {
			return err
		}
		events := said("general", 1, seq+1, seq+1, "with space again")
		if err := s.Append(events); err != nil {
			return fmt.Errorf("round %d: with space again: %w", round, err)
		}
		seq++
		if round%3 == 2 {
			if err := s.Close(); err != nil {
				return fmt.Errorf("round %d: %w", round, err)
			}
			if s, err = OpenSQLite(path, Config{}); err != nil {
				return fmt.Errorf("round %d: %w", round, err)
			}
		}
		got, err := s.Range("general", wire.IDOf(testKey(1)), 1, seq, 1<<20)
		if err != nil || uint64(len(got)) != seq {
			return fmt.Errorf("round %d: %d events are left, %w: want %d", round, len(got), err, seq)
		}
	}
	return s.Close()
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}

// TestNoPermission tries to open what belongs to another user.
func TestNoPermission(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "theirs")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "history.db")
	filled(t, path)
	if os.Getuid() != 0 { // what root takes from nobody, everybody else can take from himself
		if err := os.Chmod(dir, 0); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.Chmod(dir, 0o700) })
	}
	cmd := child(t, "nobody", path)
	if os.Getuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534, NoSetGroups: true}}
		exe, err := os.ReadFile("/proc/self/exe") // where the child may not go
		if err != nil {
			t.Fatal(err)
		}
		public, err := os.MkdirTemp("", "history")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.RemoveAll(public) })
		cmd.Path = filepath.Join(public, "child")
		if err := errors.Join(os.Chmod(public, 0o755), os.WriteFile(cmd.Path, exe, 0o755)); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := cmd.Output(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	wantAside(t, path, 0)
}

func withoutPermission(path string) error {
	var corrupt *CorruptError
	if _, err := OpenSQLite(path, Config{}); !errors.Is(err, fs.ErrPermission) || errors.As(err, &corrupt) {
		return fmt.Errorf("to open what belongs to another gives %w", err)
	}
	if _, err := OpenReader(path); !errors.Is(err, fs.ErrPermission) && !strings.Contains(fmt.Sprint(err), "unable to open") {
		return fmt.Errorf("to read what belongs to another gives %w", err)
	}
	return nil
}

// appendAndTidy appends, prunes, puts words into the index and gives pages back until it is killed. It prints how far
// it is.
func appendAndTidy(path string) error {
	s, err := OpenSQLite(path, Config{Limits: Limits{Events: 300}})
	if err != nil {
		return err
	}
	seqs := [2]uint64{}
	heads, _, err := s.Heads("general")
	if err != nil {
		return err
	}
	for _, h := range heads {
		for i := range seqs {
			if h.Author == wire.IDOf(testKey(byte(i+1))) {
				seqs[i] = h.Seq
			}
		}
	}
	lamport := seqs[0] + seqs[1]
	for n := 0; ; n++ {
		i := n % 2
		lines := []string{fmt.Sprintf("line %d of %d", seqs[i]+1, i+1), "more", "and more"}[:1+2*(n%3/2)]
		if err := s.Append(said("general", byte(i+1), seqs[i]+1, lamport+1, lines...)); err != nil {
			return err
		}
		seqs[i] += uint64(len(lines))
		lamport += uint64(len(lines))
		fmt.Println(seqs[0], seqs[1])
		if n%3 == 0 {
			err = s.Settle()
		} else if n%7 == 0 {
			err = s.Tidy()
		}
		if err != nil {
			return err
		}
	}
}

// TestTwoProcesses reads and searches a history and tries to open it, while another process writes it and is killed.
func TestTwoProcesses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.db")
	for round := range 5 {
		cmd := child(t, "busy", path)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		if !lines.Scan() {
			t.Fatal("the child says nothing")
		}
		var inUse *InUseError
		if _, err := OpenSQLite(path, Config{}); !errors.As(err, &inUse) || inUse.Path != path {
			t.Errorf("to open what another process has gives %v: want an InUseError", err)
		}
		r, err := OpenReader(path)
		if err != nil {
			t.Fatal(err)
		}
		var seqs [2]uint64
		for n := range 40 {
			for range 10 {
				if !lines.Scan() {
					t.Fatal("the child has ended")
				}
			}
			seqs = progress(t, lines.Text())
			events, err := r.Recent("general", 1000)
			if err != nil {
				t.Fatal(err)
			}
			wantWhole(t, fmt.Sprintf("round %d, look %d", round, n), events, seqs)
			if _, err := r.Search(context.Background(), "general", "line", Cursor{}, 20); err != nil {
				t.Fatal(err)
			}
			if n%10 == 0 {
				var b strings.Builder
				if err := r.Export(context.Background(), &b, "general", FormatJSON); err != nil || strings.Count(b.String(), "\n") < len(events)/2 {
					t.Fatalf("the export has %d lines, %v", strings.Count(b.String(), "\n"), err)
				}
			}
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		for lines.Scan() {
			if strings.Count(lines.Text(), " ") == 1 {
				seqs = progress(t, lines.Text())
			}
		}
		_ = cmd.Wait() // it was killed
		events, err := r.Recent("general", 1000)
		if err != nil {
			t.Fatalf("after the kill: %v", err)
		}
		wantWhole(t, fmt.Sprintf("round %d, after the kill", round), events, seqs)
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func progress(t *testing.T, line string) (seqs [2]uint64) {
	t.Helper()
	for i, f := range strings.Fields(line) {
		var err error
		if seqs[i], err = strconv.ParseUint(f, 10, 64); err != nil {
			t.Fatalf("the child says %q", line)
		}
	}
	return seqs
}

// wantWhole fails unless each log of events is without gaps and goes at least up to seqs.
func wantWhole(t *testing.T, what string, events []wire.Event, seqs [2]uint64) {
	t.Helper()
	last := map[wire.PeerID]uint64{}
	for _, e := range events {
		if was := last[e.Author]; was != 0 && e.Seq != was+1 {
			t.Fatalf("%s: after event %d of %s comes %d", what, was, e.Author.Tag(), e.Seq)
		}
		last[e.Author] = e.Seq
	}
	for i, seq := range seqs {
		if got := last[wire.IDOf(testKey(byte(i+1)))]; got < seq {
			t.Fatalf("%s: the log of %d goes up to %d: the writer had said %d", what, i+1, got, seq)
		}
	}
}

// cpuTime is what this process has used of the processors.
func cpuTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // cannot fail
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
