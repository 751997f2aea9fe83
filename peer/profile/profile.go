// Package profile is the directory of one username on one machine: the identity key, the trackers that were met, the
// election's term, and where history and log are kept.
//
// A Profile is owned by one process, which holds its lock file from Open to Close, and its methods are called by one
// goroutine at a time, but for KnownTrackers, which reads an atomically replaced file and may be called by any, and
// SaveTerm, which one goroutine calls while others call the rest. The package imports nothing of ours; it must never
// import peer, tui or configs.
package profile

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/adrg/xdg"
	"github.com/gofrs/flock"
)

// The files of a profile.
const (
	keyFile      = "identity.pem"
	trackersFile = "trackers.json"
	termFile     = "term"
	lockFile     = "lock"
	historyFile  = "history.db"
	logFile      = "peerchat.log"
)

// Profile is an opened, locked profile.
type Profile struct {
	dir  string
	lock *flock.Flock
}

// InUseError says that another process holds the profile.
type InUseError struct {
	Dir string
	PID int // 0 where it could not be found out
}

func (e *InUseError) Error() string {
	holder := "another process"
	if e.PID != 0 {
		holder = "process " + strconv.Itoa(e.PID)
	}
	return fmt.Sprintf("profile %s is in use by %s: end that one, or give this one another --username or --profile",
		e.Dir, holder)
}

// DefaultDir is where the profile of a username is kept: $XDG_STATE_HOME/peerchat/NAME (XDG Base Directory
// Specification; ~/.local/state where the variable is not set).
func DefaultDir(username string) string {
	return filepath.Join(xdg.StateHome, "peerchat", escape(username))
}

// escape makes one safe path element of a username; different names give different elements. What a path or a
// shell could take for its own becomes %XX, the rest stays readable.
func escape(name string) string {
	var b strings.Builder
	for i, r := range name {
		_, size := utf8.DecodeRuneInString(name[i:])
		switch {
		case r == utf8.RuneError && size == 1, r == '%', r == '/', r == '\\', r == ':', r == 0,
			r == '.' && i == 0, unicode.IsControl(r), unicode.IsSpace(r):
			for _, c := range []byte(name[i : i+size]) {
				fmt.Fprintf(&b, "%%%02X", c)
			}
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// Username is whose profile is kept by DefaultDir in a directory of that name. It undoes escape.
func Username(element string) string {
	name, err := url.PathUnescape(element)
	if err != nil {
		return element
	}
	return name
}

// Open makes the directory where there is none (mode 0700), and locks it. The error is an *InUseError where another
// process has it.
func Open(dir string) (*Profile, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("profile %s: %w", dir, err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, unusable(dir, "cannot be made", err)
	}
	info, err := os.Stat(dir)
	if err != nil {
		return nil, unusable(dir, "cannot be read", err)
	}
	if info.Mode().Perm()&0o002 != 0 {
		return nil, fmt.Errorf("profile %s can be written by everybody, so its key would not be safe: run chmod 700 %s",
			dir, dir)
	}
	p := &Profile{dir: dir, lock: flock.New(filepath.Join(dir, lockFile), flock.SetPermissions(0o600))}
	locked, err := p.lock.TryLock()
	if err != nil {
		return nil, unusable(dir, "cannot be locked", err)
	}
	if !locked {
		return nil, &InUseError{Dir: dir, PID: readPID(p.path(lockFile))}
	}
	// The file is rewritten in place: a new one would not be the one that is locked.
	if err := os.WriteFile(p.path(lockFile), []byte(strconv.Itoa(os.Getpid())+"\n"), 0o600); err != nil {
		_ = p.lock.Unlock()
		return nil, unusable(dir, "cannot be written", err)
	}
	return p, nil
}

// unusable says what to do about a directory that the system refuses.
func unusable(dir, what string, err error) error {
	hint := "choose another directory with --profile DIR"
	if errors.Is(err, fs.ErrPermission) {
		hint = "make it yours (chown, chmod 700), or " + hint
	}
	var pe *fs.PathError
	if errors.As(err, &pe) && pe.Path == dir {
		err = pe.Err // the path is named already
	}
	return fmt.Errorf("profile %s %s: %w; %s", dir, what, err, hint)
}

func readPID(path string) int {
	b, err := os.ReadFile(path)
	if err != nil || len(b) > 32 {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil || pid < 0 {
		return 0
	}
	return pid
}

func (p *Profile) path(name string) string { return filepath.Join(p.dir, name) }

// Dir is the absolute path of the directory.
func (p *Profile) Dir() string { return p.dir }

// HistoryFile is where the history's SQLite file belongs.
func (p *Profile) HistoryFile() string { return HistoryFile(p.dir) }

// HistoryFile is where the history of the profile in a directory is, for those who read it without opening the profile.
func HistoryFile(dir string) string { return filepath.Join(dir, historyFile) }

// LogFile is where the log of a process without a standard error of its own belongs.
func (p *Profile) LogFile() string { return p.path(logFile) }

// Close gives the profile free for other processes.
func (p *Profile) Close() error {
	if err := p.lock.Unlock(); err != nil {
		return fmt.Errorf("profile %s: unlock: %w", p.dir, err)
	}
	return nil
}
