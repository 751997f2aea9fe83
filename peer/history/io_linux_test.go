//go:build !race

package history

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"peerchat/peer/wire"
)

// failing runs f on a thread of its own, which the kernel gives an error for these system calls.
func failing(t *testing.T, errno syscall.Errno, calls []uintptr, f func()) {
	t.Helper()
	type instruction struct {
		code   uint16
		jt, jf uint8
		k      uint32
	}
	// seccomp(2): the number of the call is the first word of what a filter looks at.
	filter := []instruction{{code: 0x20}} // load a word
	for _, call := range calls {
		filter = append(filter, instruction{code: 0x15, jt: 0, jf: 1, k: uint32(call)}, instruction{code: 0x06, k: 0x00050000 | uint32(errno)}) // if it is that: return the error
	}
	filter = append(filter, instruction{code: 0x06, k: 0x7fff0000}) // return: allowed
	program := struct {
		n      uint16
		filter *instruction
	}{uint16(len(filter)), &filter[0]}
	t.Run("failing", func(t *testing.T) {
		runtime.LockOSThread() // and never unlocked, so the thread ends with this test
		const setNoNewPrivs, setSeccomp, modeFilter = 38, 22, 2
		_, _, e1 := syscall.RawSyscall6(syscall.SYS_PRCTL, setNoNewPrivs, 1, 0, 0, 0, 0)
		_, _, e2 := syscall.RawSyscall(syscall.SYS_PRCTL, setSeccomp, modeFilter, uintptr(unsafe.Pointer(&program)))
		if e1 != 0 || e2 != 0 {
			t.Fatalf("have system calls fail: %v, %v", e1, e2)
		}
		f()
	})
	runtime.KeepAlive(filter)
}

// trouble are the system calls that a disk can fail at.
var trouble = map[string][]uintptr{
	"writing":    {syscall.SYS_PWRITE64},
	"reading":    {syscall.SYS_PREAD64, syscall.SYS_READ},
	"syncing":    {syscall.SYS_FSYNC, syscall.SYS_FDATASYNC},
	"truncating": {syscall.SYS_FTRUNCATE},
	"all of it":  {syscall.SYS_PWRITE64, syscall.SYS_PREAD64, syscall.SYS_READ, syscall.SYS_FSYNC, syscall.SYS_FDATASYNC, syscall.SYS_FTRUNCATE},
}

// A disk that fails for a while loses nothing that was stored, keeps nothing that was refused, and is not taken for a
// damaged file.
func TestADiskThatFailsForAWhile(t *testing.T) {
	for what, calls := range trouble {
		t.Run(what, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "history.db")
			cfg := Config{OnDamage: func(e *CorruptError) { t.Errorf("it is told %v", e) }, Limits: Limits{Events: 400}}
			chance := rand.New(rand.NewPCG(uint64(len(what)), 1))
			s := openAt(t, path, cfg)
			defer func() { _ = s.Close() }()
			head, refused := uint64(0), 0
			step := func() {
				n := 1 + chance.IntN(3)/2*chance.IntN(20)
				lines := make([]string, n)
				for i := range lines {
					lines[i] = fmt.Sprintf("line %d %s", head+uint64(i)+1, strings.Repeat("and more ", chance.IntN(50)))
				}
				if err := s.Append(said("general", 1, head+1, head+1, lines...)); err == nil {
					head += uint64(n)
				} else if refused++; !strings.Contains(err.Error(), "check the disk") {
					t.Errorf("the error is %v: want one that says what to do", err)
				}
				for _, do := range []func() error{s.Settle, s.Tidy, func() error { return s.query("PRAGMA wal_checkpoint(TRUNCATE)", nil) }} {
					if chance.IntN(3) == 0 {
						_ = do() // may fail as well
					}
				}
				if chance.IntN(5) == 0 {
					_, _ = s.Recent("general", 50)
				}
			}
			for range 40 {
				for range chance.IntN(20) {
					step()
				}
				failing(t, syscall.EIO, calls, func() {
					for range 1 + chance.IntN(5) {
						step()
					}
				})
				n, had := refused, head
				for range 3 {
					step()
				}
				if head == had || refused > n {
					t.Fatal("with a disk that works again the history takes nothing")
				}
				switch chance.IntN(8) {
				case 0:
					if err := s.Close(); err != nil {
						t.Fatal(err)
					}
					s = openAt(t, path, cfg)
				case 1:
					s.dies()
					s = openAt(t, path, cfg)
				}
				heads, lamport, err := s.Heads("general")
				if err != nil || len(heads) != 1 || heads[0].Seq != head || lamport != head {
					t.Fatalf("the log stands at %v, %v: want %d", heads, err, head)
				}
				got, err := s.Range("general", wire.IDOf(testKey(1)), heads[0].Base+1, head, 1000)
				if err != nil || uint64(len(got)) != head-heads[0].Base || len(got) < 300 && heads[0].Base > 0 {
					t.Fatalf("%d events are held, %v: want %d to %d", len(got), err, heads[0].Base+1, head)
				}
				for i, e := range got {
					if e.Seq != heads[0].Base+1+uint64(i) || !strings.HasPrefix(string(e.Body), fmt.Sprintf("line %d ", e.Seq)) {
						t.Fatalf("event %d is %q", e.Seq, e.Body)
					}
				}
			}
			if refused == 0 && (what == "writing" || what == "all of it") {
				t.Error("nothing has failed")
			}
			wantAside(t, path, 0)
		})
	}
}

// A disk that cannot be read for a while makes no damaged file either when that is opened.
func TestAFileThatCannotBeReadIsNotSetAside(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.db")
	filled(t, path)
	for what, calls := range trouble {
		failing(t, syscall.EIO, calls, func() {
			s, err := OpenSQLite(path, Config{})
			var corrupt *CorruptError
			switch {
			case err == nil:
				s.dies()
			case errors.As(err, &corrupt) || !strings.Contains(err.Error(), "check the disk"):
				t.Errorf("%s fails, and to open gives %v: want an error that says what to do", what, err)
			}
			r, err := OpenReader(path)
			if err == nil {
				_, err = r.Recent("general", 1000)
				_ = r.Close()
			}
			if errors.As(err, &corrupt) || err != nil && !strings.Contains(err.Error(), "check the disk") {
				t.Errorf("%s fails, and to read gives %v: want an error that says what to do", what, err)
			}
		})
		wantAside(t, path, 0)
	}
	s := openAt(t, path, Config{})
	wantHead(t, s, "general", 1, 0, 150, 170)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
