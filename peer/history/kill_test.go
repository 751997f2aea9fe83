//go:build !race

package history

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"peerchat/peer/wire"
)

// childEnv names the file that the test binary, run as a child, appends to until it is killed.
const childEnv = "PEERCHAT_TEST_HISTORY"

func TestMain(m *testing.M) {
	if path := os.Getenv(childEnv); path != "" {
		role := appendForEver
		if r := childRoles()[os.Getenv("PEERCHAT_TEST_ROLE")]; r != nil {
			role = r
		}
		if err := role(path); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// appendForEver appends own events and prints each number once Append has returned: from then on it may have been sent.
func appendForEver(path string) error {
	s, err := Open(path)
	if err != nil {
		return err
	}
	key := testKey(1)
	heads, _, err := s.Heads("general")
	if err != nil {
		return err
	}
	seq := uint64(0)
	if len(heads) > 0 {
		seq = heads[0].Seq
	}
	for {
		seq++
		e := []wire.Event{{Room: "general", Author: wire.IDOf(key), Seq: seq, Lamport: seq, Kind: wire.KindText,
			Time: time.UnixMilli(0)}}
		if err := wire.SignBatch(key, e); err != nil {
			return err
		}
		if err := s.Append(e); err != nil {
			return err
		}
		fmt.Println(seq)
		if seq%3 == 0 {
			if err := s.(*SQLite).Settle(); err != nil {
				return err
			}
		}
	}
}

func TestNumbersAreNotReusedAfterSIGKILL(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.db")
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	last := uint64(0)
	for kill := range 10 {
		cmd := exec.Command(exe)
		cmd.Env = append(os.Environ(), childEnv+"="+path)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for n := 0; lines.Scan(); n++ {
			seq, err := strconv.ParseUint(lines.Text(), 10, 64)
			if err != nil {
				break // the line was cut off by the kill
			}
			if seq != last+1 {
				t.Errorf("after kill %d the child used number %d: want %d or more, next to what was stored", kill, seq, last+1)
			}
			last = seq
			if n == 20+37*kill {
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		_ = cmd.Wait() // it was killed
		// What was stored but not printed any more is used up as well.
		s, err := Open(path)
		if err != nil {
			t.Fatalf("after kill %d: %v", kill, err)
		}
		heads, _, err := s.Heads("general")
		if err != nil || len(heads) != 1 || heads[0].Seq < last {
			t.Fatalf("after kill %d the log stands at %v, %v: the child had printed %d", kill, heads, err, last)
		}
		last = heads[0].Seq
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
