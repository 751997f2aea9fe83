//go:build linux

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"peerchat/cmd/peerchat/e2e/lab"
)

// screen is a terminal: a private tmux server with one window, in which a shell runs, and in it a peerchat.
type screen struct {
	w      *world
	name   string
	socket string
}

// screen opens a terminal of 100×30 in the world's network.
func (w *world) screen(name string) *screen {
	w.t.Helper()
	dir, err := os.MkdirTemp("", "tm") // the path of a socket must be short
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			w.t.Error(err)
		}
	})
	s := &screen{w: w, name: name, socket: filepath.Join(dir, "s")}
	w.startCommand(w.net, lab.Command{
		Name: "tmux of " + name, Path: "tmux", Args: []string{"-D", "-S", s.socket, "-f", "/dev/null"}, Plain: true,
	})
	w.t.Cleanup(func() { _, _ = s.tmux("kill-server") }) // else it dies with the world
	w.poll("the terminal of "+name+" opens", patience, func() error {
		_, err := s.tmux("show-options", "-s")
		return err
	})
	home := filepath.Join(w.t.TempDir(), "home")
	if err := os.MkdirAll(home, 0o700); err != nil {
		w.t.Fatal(err)
	}
	s.must("new-session", "-d", "-s", "main", "-x", "100", "-y", "30", "-e", "HOME="+home, "-e", "XDG_STATE_HOME="+home,
		"-e", "PEERCHAT_LAN=off", "-e", "PEERCHAT_INTERFACE=lo", "-e", "LANG=C.UTF-8",
		"-e", "LC_ALL=C.UTF-8", "sh")
	s.line("PS1=pro'mpt> '")
	s.want("a prompt", "prompt>")
	return s
}

// tmux runs a tmux command against the screen's own server. It never starts another one, and runs inside the network.
func (s *screen) tmux(args ...string) (string, error) {
	var out []byte
	err := s.w.net.Do(func() (err error) {
		out, err = exec.Command("tmux", append([]string{"-N", "-S", s.socket, "-f", "/dev/null"}, args...)...).CombinedOutput()
		return err
	})
	if err != nil {
		return "", fmt.Errorf("tmux %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return string(out), nil
}

func (s *screen) must(args ...string) string {
	s.w.t.Helper()
	out, err := s.tmux(args...)
	if err != nil {
		s.w.t.Fatal(err)
	}
	return out
}

// text types text as it is, press presses keys by tmux's names.
func (s *screen) text(text string) { s.w.t.Helper(); s.must("send-keys", "-t", "main", "-l", text) }

func (s *screen) press(keys ...string) {
	s.w.t.Helper()
	s.must(append([]string{"send-keys", "-t", "main"}, keys...)...)
}

// line types a line and presses Enter.
func (s *screen) line(text string) { s.w.t.Helper(); s.text(text); s.press("Enter") }

func (s *screen) show() string { s.w.t.Helper(); return s.must("capture-pane", "-p", "-t", "main") }

// until awaits that the screen is as wanted; what is wrong with it comes as an error.
func (s *screen) until(what string, right func(screen string) error) {
	s.w.t.Helper()
	var last string
	deadline := time.Now().Add(patience)
	tick := time.NewTicker(30 * time.Millisecond)
	defer tick.Stop()
	for {
		last = s.show()
		err := right(last)
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			s.w.t.Fatalf("the screen of %s, %s: %v. It shows:\n%s", s.name, what, err, last)
		}
		<-tick.C
	}
}

// want awaits that the screen shows all of the texts.
func (s *screen) want(what string, texts ...string) {
	s.w.t.Helper()
	s.until(what, func(shown string) error {
		for _, text := range texts {
			if !strings.Contains(shown, text) {
				return fmt.Errorf("%q is not there", text)
			}
		}
		return nil
	})
}

// gone awaits that the screen does not show a text any more.
func (s *screen) gone(what, text string) {
	s.w.t.Helper()
	s.until(what, func(shown string) error {
		if strings.Contains(shown, text) {
			return fmt.Errorf("%q is still there", text)
		}
		return nil
	})
}

// The real binary on a real terminal: two people talk, switch rooms, see what is unread, resize, meet hostile text, and
// leave the terminal as it was.
func TestScreen(t *testing.T) {
	w := newWorld(t)
	w.tracker()
	ann, bob := w.screen("ann"), w.screen("bob")
	for _, s := range []*screen{ann, bob} {
		s.line(binary + " join --username " + s.name + " --tracker " + address)
		s.want("the chat opens in the default room", "#general", s.name)
	}
	ann.want("bob is in the list of members", "bob")
	bob.want("ann is in the list of members", "ann")

	ann.line("hello bob")
	ann.want("her own line", "hello bob")
	bob.want("the line of the other", "hello bob")
	bob.line("hello ann, how are you?")
	ann.want("the answer", "hello ann, how are you?")

	// Rooms: ann goes to another one; what is said meanwhile in the first counts as unread.
	ann.line("/join dev")
	ann.gone("the other room is empty", "how are you?")
	ann.want("the other room is in the list", "#dev", "dev", "general")
	bob.line("are you there?")
	ann.want("what is unread", "unread: #general(1)")
	bob.line("ann: please answer")
	ann.want("a sign that her name was called", "unread: #general(2!)")
	ann.press("M-1")
	ann.want("back in the first room, with what was said", "are you there?", "how are you?")
	ann.gone("nothing is unread any more", "unread:")

	// A draft stays with its room.
	ann.text("half a thought")
	ann.press("C-n")
	ann.gone("the draft stays behind in its room", "half a thought")
	ann.press("C-p")
	ann.want("the draft is there again", "half a thought")
	ann.press("C-u")
	ann.gone("Ctrl+U clears the line", "half a thought")

	// Hostile text from a peer that does not clean what it says.
	eve := w.join("eve").ready()
	ann.want("eve is in the list of members", "eve")
	eve.want("eve is linked to both", linked(2))
	hostile := []string{
		"\x1b[2J\x1b[H wiped?", "\x1b]0;owned\x07 title?", "[red]red?[-] [::b]bold?", "\u202Eeveil esrever", "bell\x07?",
		"tab\there", strings.Repeat("W", 400), strings.Repeat("e\u0301\u0302\u0303", 50), "zero\u200Bwidth \uFEFF", "\x9b31mcsi?",
	}
	for i, text := range hostile {
		eve.say(text)
		eve.say(fmt.Sprintf("harmless %d", i))
	}
	last := fmt.Sprintf("harmless %d", len(hostile)-1)
	for _, s := range []*screen{ann, bob} {
		s.want("what comes after hostile text", last, "#general", s.name)
		if title := s.must("display-message", "-p", "-t", "main", "#{pane_title}"); strings.Contains(title, "owned") {
			t.Errorf("hostile text has set the title of %s's terminal: %q", s.name, title)
		}
	}
	ann.line("[red]brackets[-] stay")
	bob.want("brackets are text", "[red]brackets[-] stay")

	// The smallest screen, and back.
	ann.must("resize-window", "-t", "main", "-x", "40", "-y", "10")
	bob.line("can you read this on your phone?")
	ann.want("40×10 shows a new line", "phone?")
	ann.line("yes I can")
	ann.want("40×10 takes input", "yes I can")
	bob.want("what is typed at 40×10 arrives", "yes I can")
	ann.must("resize-window", "-t", "main", "-x", "100", "-y", "30")
	ann.want("the full screen again", "#general", "bob", "yes I can")

	// Help opens and closes.
	ann.press("F1")
	ann.want("the help", "/join")
	ann.press("Escape")
	ann.want("the chat behind the help", "yes I can")

	// Quit leaves a sane terminal and tells the others; so does SIGTERM.
	ann.line("/quit")
	ann.wantShell()
	eve.want("the others are told that ann left", member("general", "ann", "left"))

	bob.text("never mind")
	bob.press("C-c")
	bob.gone("Ctrl+C clears the line", "never mind")
	bob.want("and says what a second one would do", "Ctrl+C again leaves")
	eve.say("bob did not go by mistake")
	bob.want("he is still there", "bob did not go by mistake")
	bob.terminate()
	bob.wantShell()
	eve.want("the others are told that bob left", member("general", "bob", "left"))
}

// wantShell awaits the shell's prompt, on a terminal as it was before.
func (s *screen) wantShell() {
	s.w.t.Helper()
	s.want("the shell's prompt again", "prompt>")
	s.line("stty -a | grep -q ' icanon ' && stty -a | grep -q ' echo ' && echo sa''ne")
	s.want("the terminal echoes and reads lines", "sane")
	modes := s.must("display-message", "-p", "-t", "main", "#{alternate_on} #{mouse_any_flag} #{cursor_flag} #{keypad_flag}")
	if strings.TrimSpace(modes) != "0 0 1 0" {
		s.w.t.Errorf("the terminal of %s is left with (alternate screen, mouse, cursor, keypad) %q, want 0 0 1 0", s.name, modes)
	}
}

// terminate sends SIGTERM to the program that the screen's shell runs.
func (s *screen) terminate() {
	s.w.t.Helper()
	shell := strings.TrimSpace(s.must("display-message", "-p", "-t", "main", "#{pane_pid}"))
	b, err := os.ReadFile("/proc/" + shell + "/task/" + shell + "/children")
	if err != nil {
		s.w.t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		s.w.t.Fatalf("the shell of %s should run one program, but runs %q", s.name, b)
	}
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		s.w.t.Fatal(err)
	}
}
