package lab

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Bounds of what one process may print before it is killed.
const (
	maxLine  = 2 << 20
	maxLines = 400_000
	tailSize = 64 << 10
)

// Event is a line of standard output: an object of the JSON mode, or any other text with only Raw and At set.
type Event struct {
	At  time.Time `json:"-"` // when this process read it
	Raw string    `json:"-"`

	Type     string          `json:"type"`
	Time     time.Time       `json:"time"`
	Peer     string          `json:"peer"`
	Name     string          `json:"name"`
	Username string          `json:"username"`
	Room     string          `json:"room"`
	Rooms    json.RawMessage `json:"rooms"`
	State    string          `json:"state"`
	URL      string          `json:"url"`
	Term     uint64          `json:"term"`
	Leader   string          `json:"leader"`
	Self     bool            `json:"self"`
	Members  json.RawMessage `json:"members"`
	ID       string          `json:"id"`
	Seq      uint64          `json:"seq"`
	Text     string          `json:"text"`
	History  bool            `json:"history"`
	Path     string          `json:"path"`
	Peers    json.RawMessage `json:"peers"`
	Of       int             `json:"of"`
	Code     string          `json:"code"`
}

// Command says what to start.
type Command struct {
	Name  string // for people
	Path  string
	Args  []string
	Env   []string // added to a bare environment: PATH and a private HOME
	Home  string   // directory that serves as home and working directory
	Deaf  bool     // nobody ever reads its standard output
	Plain bool     // its output is not JSON: do not try
}

// Proc is a running process.
type Proc struct {
	Name    string
	Started time.Time // just before the fork

	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stdout *os.File // our end, of a deaf process
	exited chan struct{}

	mu      sync.Mutex
	changed chan struct{} // closed and replaced when a line arrives
	lines   []Event
	ended   bool // no more lines will come
	err     error
	stderr  bytes.Buffer
	cut     bool // stderr was longer than tailSize
	alarm   string
}

// Start starts a process inside the network. It dies with this process at the latest.
func (n *Net) Start(c Command) (*Proc, error) {
	p := &Proc{Name: c.Name, exited: make(chan struct{}), changed: make(chan struct{})}
	p.cmd = exec.Command(c.Path, c.Args...)
	p.cmd.Dir = c.Home
	p.cmd.Env = append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + c.Home, "LANG=C.UTF-8", "TERM=xterm-256color",
		"XDG_STATE_HOME=" + c.Home + "/state", "XDG_CONFIG_HOME=" + c.Home + "/config",
		"XDG_DATA_HOME=" + c.Home + "/data", "XDG_CACHE_HOME=" + c.Home + "/cache", "XDG_RUNTIME_DIR=" + c.Home,
	}, c.Env...)
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var err error
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		return nil, fmt.Errorf("start %s: %w", c.Name, err)
	}
	stdout, childOut, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", c.Name, err)
	}
	p.cmd.Stdout = childOut
	p.cmd.Stderr = (*stderr)(p)
	p.cmd.WaitDelay = time.Second
	p.Started = time.Now()
	err = n.Do(p.cmd.Start)
	_ = childOut.Close() // the child has its own
	if err != nil {
		_ = stdout.Close()
		return nil, fmt.Errorf("start %s: %w", c.Name, err)
	}
	reading := make(chan struct{})
	if c.Deaf {
		p.stdout = stdout
		close(reading)
	} else {
		go p.read(stdout, c.Plain, reading)
	}
	go func() {
		err := p.cmd.Wait()
		if p.stdout != nil {
			_ = p.stdout.Close()
		}
		// What it has printed is in the pipe. A child of its own may hold the other end for ever.
		_ = stdout.SetReadDeadline(time.Now().Add(time.Second))
		<-reading
		p.mu.Lock()
		p.err, p.ended = err, true
		close(p.changed)
		p.mu.Unlock()
		close(p.exited)
	}()
	return p, nil
}

func (p *Proc) read(stdout *os.File, plain bool, reading chan<- struct{}) {
	defer close(reading)
	defer stdout.Close()
	lines := bufio.NewScanner(stdout)
	lines.Buffer(make([]byte, 64<<10), maxLine)
	for lines.Scan() {
		e := Event{At: time.Now(), Raw: lines.Text()}
		if !plain {
			if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
				e.Type = "" // not of the JSON mode; the text is in Raw
			}
		}
		p.mu.Lock()
		p.lines = append(p.lines, e)
		full := len(p.lines) >= maxLines
		close(p.changed)
		p.changed = make(chan struct{})
		p.mu.Unlock()
		if full {
			p.alert(fmt.Sprintf("it printed %d lines and was killed", maxLines))
			_ = p.cmd.Process.Kill()
			return
		}
	}
	if err := lines.Err(); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		p.alert("its standard output could not be read: " + err.Error())
		_ = p.cmd.Process.Kill()
	}
}

func (p *Proc) alert(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.alarm == "" {
		p.alarm = text
	}
}

// stderr keeps the last of a process's standard error and watches for what must never be there.
type stderr Proc

func (s *stderr) Write(b []byte) (int, error) {
	p := (*Proc)(s)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stderr.Write(b)
	if extra := p.stderr.Len() - tailSize; extra > 0 {
		p.stderr.Next(extra)
		p.cut = true
	}
	for _, word := range []string{"panic:", "fatal error:", "DATA RACE"} {
		if p.alarm == "" && bytes.Contains(p.stderr.Bytes(), []byte(word)) {
			p.alarm = "its standard error says " + word
		}
	}
	return len(b), nil
}

// Alarm returns a sentence when the process did what no process may: panic, race, print without end.
func (p *Proc) Alarm() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.alarm
}

// Pid is its process ID.
func (p *Proc) Pid() int { return p.cmd.Process.Pid }

// Write writes to its standard input as is. It fails when the process does not read for ten seconds.
func (p *Proc) Write(b []byte) error {
	if d, ok := p.stdin.(interface{ SetWriteDeadline(time.Time) error }); ok {
		_ = d.SetWriteDeadline(time.Now().Add(10 * time.Second)) // pipes have deadlines here
	}
	if _, err := p.stdin.Write(b); err != nil {
		return fmt.Errorf("write %d bytes to the standard input of %s: %w", len(b), p.Name, err)
	}
	return nil
}

// Say writes a line to its standard input.
func (p *Proc) Say(line string) error { return p.Write([]byte(line + "\n")) }

// CloseInput ends its standard input.
func (p *Proc) CloseInput() error { return p.stdin.Close() }

// CloseOutput closes our end of the standard output of a deaf process.
func (p *Proc) CloseOutput() error { return p.stdout.Close() }

// Signal sends a signal to it and to nobody else.
func (p *Proc) Signal(s syscall.Signal) error { return p.cmd.Process.Signal(s) }

// Mark is the number of lines so far: Await(p.Mark(), …) looks only at what comes after it.
func (p *Proc) Mark() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.lines)
}

// Lines is every line so far.
func (p *Proc) Lines() []Event {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lines[:len(p.lines):len(p.lines)]
}

// Await shows match every line from number from on, in order, as they come, until it returns true, and returns that
// line. The error is a sentence with what was awaited and the last of the output.
func (p *Proc) Await(from int, within time.Duration, what string, match func(Event) bool) (Event, error) {
	deadline := time.NewTimer(within)
	defer deadline.Stop()
	for next := from; ; {
		p.mu.Lock()
		lines, ended, changed := p.lines, p.ended, p.changed
		p.mu.Unlock()
		for ; next < len(lines); next++ {
			if match(lines[next]) {
				return lines[next], nil
			}
		}
		if ended {
			return Event{}, fmt.Errorf("%s: %s ended before that (%v)\n%s", what, p.Name, p.err, p.Tail(15))
		}
		select {
		case <-changed:
		case <-deadline.C:
			return Event{}, fmt.Errorf("%s: not within %v; the last of %s:\n%s", what, within, p.Name, p.Tail(15))
		}
	}
}

// AwaitExit waits for the process's end and returns its exit status; -1 is death by a signal.
func (p *Proc) AwaitExit(within time.Duration) (int, error) {
	select {
	case <-p.exited:
		var exit *exec.ExitError
		if p.err != nil && !errors.As(p.err, &exit) && !errors.Is(p.err, exec.ErrWaitDelay) {
			return -1, p.err
		}
		return p.cmd.ProcessState.ExitCode(), nil
	case <-time.After(within):
		return -1, fmt.Errorf("%s did not end within %v; the last of it:\n%s", p.Name, within, p.Tail(15))
	}
}

// Exited reports whether the process has ended.
func (p *Proc) Exited() bool {
	select {
	case <-p.exited:
		return true
	default:
		return false
	}
}

// Kill ends it the hard way and waits for that.
func (p *Proc) Kill() {
	_ = p.stdin.Close()
	_ = p.cmd.Process.Kill() // an error says that it has ended already
	<-p.exited
}

// Tail is the last lines of its standard output, and the last of its standard error.
func (p *Proc) Tail(n int) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var b strings.Builder
	fmt.Fprintf(&b, "--- %s, standard output (%d lines):\n", p.Name, len(p.lines))
	for _, e := range p.lines[max(0, len(p.lines)-n):] {
		b.WriteString("  " + clip(e.Raw, 300) + "\n")
	}
	errLines := strings.Split(strings.TrimSpace(p.stderr.String()), "\n")
	fmt.Fprintf(&b, "--- %s, standard error:\n", p.Name)
	for _, l := range errLines[max(0, len(errLines)-2*n):] {
		b.WriteString("  " + clip(l, 300) + "\n")
	}
	return b.String()
}

func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return s[:n] + fmt.Sprintf("… (%d bytes)", len(s))
}
