package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"peerchat/peer"
	"peerchat/peer/wire"
)

// fakeNode answers commands as a Node does, without a network: what is said comes back as a Message, unless hold is
// set.
type fakeNode struct {
	events *peer.Mailbox[peer.Event]

	mu      sync.Mutex
	hold    bool // keep what is said until release
	held    []peer.Say
	done    []peer.Command
	seq     uint64
	deliver bool // tell that everybody has it
	older   func(peer.FetchOlder) peer.OlderAnswer
	stops   int
}

func (n *fakeNode) Do(cmd peer.Command) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.done = append(n.done, cmd)
	if f, ok := cmd.(peer.FetchOlder); ok && n.older != nil {
		n.events.Post(peer.Answer{Ref: f.Ref, Value: n.older(f)})
	}
	say, ok := cmd.(peer.Say)
	switch {
	case !ok:
	case n.hold:
		n.held = append(n.held, say)
	default:
		n.say(say)
	}
}

func (n *fakeNode) say(say peer.Say) {
	n.seq++
	n.events.Post(peer.Message{Room: say.Room, Kind: say.Kind, Text: say.Text, Seq: n.seq, Self: true})
	if n.deliver {
		n.events.Post(peer.Delivered{Room: say.Room, Seq: n.seq, Peers: 1, Of: 1})
	}
}

func (n *fakeNode) release(count int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for range min(count, len(n.held)) {
		n.say(n.held[0])
		n.held = n.held[1:]
	}
}

func (n *fakeNode) said() (texts []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, c := range n.done {
		if s, ok := c.(peer.Say); ok {
			texts = append(texts, fmt.Sprintf("%s %s", s.Room, s.Text))
		}
	}
	return texts
}

func (n *fakeNode) Stop(context.Context) error {
	n.mu.Lock()
	n.stops++
	n.mu.Unlock()
	n.events.Post(peer.Stopped{})
	return nil
}

// newLineMode makes a line mode that reads in and writes to out, inside a bubble.
func newLineMode(t *testing.T, in io.Reader, out io.Writer) (*lineMode, *fakeNode) {
	events := peer.NewMailbox(1<<30, func(peer.Event) int { return 0 })
	node := &fakeNode{events: events}
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	m := &lineMode{
		node: node, events: events, lines: make(chan []inputLine), out: newOutput(out),
		print: &jsonPrinter{now: time.Now}, voice: silentVoice(t, node), dial: func(string) error { return nil },
		view: view{room: "general", rooms: []wire.Room{"general"}},
	}
	go readLines(ctx, in, m.lines)
	return m, node
}

func ready(n *fakeNode, others int) {
	joined := peer.RoomJoined{Room: "general"}
	for i := range others {
		joined.Members = append(joined.Members, someone(byte(i+1), "other"))
	}
	n.events.Post(joined)
	n.events.Post(peer.Ready{Self: someone(99, "me"), Rooms: []wire.Room{"general"}})
}

// Searches are answered in their order, and the end of the input waits for them.
func TestSearchInLineMode(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.db")
	storedIn(t, path, saidIn(t, "general", 100))
	for _, plain := range []bool{false, true} {
		var out strings.Builder
		m, node := newLineMode(t, strings.NewReader("/search 99\n/search -a line\n/search nothing\n/search\n"), &out)
		m.archive = testArchive(t, path)
		if plain {
			m.print = newPlainPrinter(func() time.Time { return noon }, true)
		}
		ready(node, 0)
		if err := m.run(t.Context()); err != nil {
			t.Fatal(err)
		}
		got := out.String()
		want := []string{`"room":"general","query":"99","hits":[{"room":"general",`, `"text":"line 99",`, `"matches":[[5,7]]}],"more":false}`,
			`"room":"","query":"line","hits":[{`, `"more":true}`, `"query":"nothing","hits":[],"more":false}`}
		if plain {
			want = []string{"-!- found in #general for 99, the newest first:\n", "#general <bob#", "> line 99\n",
				"-!- found in all rooms for line, the newest 50:\n", "-!- nothing was found in #general for nothing\n"}
		}
		for _, text := range want {
			i := strings.Index(got, text)
			if i < 0 {
				t.Fatalf("the output does not say %s, or not in its place", text)
			}
			got = got[i+len(text):]
		}
		if !strings.Contains(out.String(), "search for what?") {
			t.Errorf("a search for nothing is not complained about")
		}
	}
}

func TestPlainModeTellsWhatIsMissingIfThatLasts(t *testing.T) {
	now := noon
	p := newPlainPrinter(func() time.Time { return now }, true)
	v := &view{gaps: map[wire.Room]int{}, count: map[wire.Room]int{}}
	bob, carol := someone(2, "bob"), someone(3, "carol")
	link := func(who peer.Person, up bool) { p.event(nil, peer.LinkChanged{Person: who, Up: up}, v) }
	p.event(nil, peer.RoomJoined{Room: "general", Members: []peer.Person{bob}}, v)
	p.event(nil, peer.RoomJoined{Room: "dev"}, v)
	p.event(nil, peer.MemberJoined{Room: "dev", Person: carol, Members: 2}, v)
	link(bob, true)
	now = now.Add(time.Minute)
	p.tick(nil, v) // who is there
	tell := func(missing int) string {
		return string(p.event(nil, peer.Synced{Room: "general", Missing: missing}, v))
	}
	if got := tell(12) + tell(3) + string(p.tick(nil, &view{})) + tell(0); got != "" || p.waits() {
		t.Errorf("what is mended at once is not told, got %q", got)
	}
	tell(12)
	now = now.Add(gapPatience)
	tell(5)
	if got, want := string(p.tick(nil, &view{})), "-!- syncing #general, 5 missing\n"; !p.waits() || !strings.HasSuffix(got, want) {
		t.Errorf("what lasts is told: got %q, want %q", got, want)
	}
	if got := string(p.tick(nil, &view{})); got != "" {
		t.Errorf("it is not told again at once, got %q", got)
	}
	now = now.Add(gapRetold)
	if got := string(p.tick(nil, &view{})); got == "" {
		t.Error("it is told again after a while")
	}
	if got := tell(0); !strings.HasSuffix(got, "-!- #general is synced\n") || p.waits() {
		t.Errorf("that it is over is told, got %q", got)
	}

	link(bob, false)
	link(carol, true) // who is in another room only
	tell(12)
	now = now.Add(gapPatience)
	if got, want := string(p.tick(nil, &view{})), "-!- #general: 12 missing, nobody is linked\n"; !strings.HasSuffix(got, want) {
		t.Errorf("without a link nothing is being synced: got %q, want %q", got, want)
	}
	now = now.Add(10 * gapRetold)
	if got := string(p.tick(nil, &view{})); got != "" {
		t.Errorf("it is not told again as long as nobody is linked, got %q", got)
	}
	link(bob, true)
	if got, want := string(p.tick(nil, &view{})), "-!- syncing #general, 12 missing\n"; !strings.HasSuffix(got, want) {
		t.Errorf("somebody of the room is linked again: got %q, want %q", got, want)
	}
	p.event(nil, peer.MemberLeft{Room: "general", Person: bob, Members: 1}, v)
	now = now.Add(gapRetold)
	if got, want := string(p.tick(nil, &view{})), "-!- #general: 12 missing, nobody is linked\n"; !strings.HasSuffix(got, want) {
		t.Errorf("who has left the room sends nothing of it: got %q, want %q", got, want)
	}
}

func TestLinesGoWhereTheyShould(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out strings.Builder
		m, node := newLineMode(t, strings.NewReader("one\n/me two\nroom dev\nthree\n/switch general\nfour\n/switch nowhere\n//five\n/x\n"), &out)
		ready(node, 0)
		if err := m.run(t.Context()); err != nil {
			t.Fatal(err)
		}
		want := []string{"#general one", "#general two", "#dev three", "#general four", "#general /five"}
		if got := node.said(); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("said %q, want %q", got, want)
		}
		for _, text := range []string{"you are not in #nowhere", "there is no command /x"} {
			if !strings.Contains(out.String(), text) {
				t.Errorf("the output does not say %q:\n%s", text, out.String())
			}
		}
	})
}

// An invitation that is opened names trackers in its order, and the room is entered and written to.
func TestConnectByInvitation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out strings.Builder
		m, node := newLineMode(t, strings.NewReader("/connect peerchat://a:1/dev?or=b:2&or=wss://c:3/ws\nhello\n/connect peerchat://a:1\n/invite qr\n"), &out)
		var dialled []string
		m.dial = func(addr string) error { dialled = append(dialled, addr); return nil }
		ready(node, 0)
		if err := m.run(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got, want := fmt.Sprint(dialled), "[wss://c:3/ws ws://b:2/ws ws://a:1/ws]"; got != want {
			t.Errorf("dialled %s, want %s: the latest is tried first", got, want)
		}
		want := []peer.Command{
			peer.JoinRoom{Room: "dev"}, peer.Reconnect{}, peer.Say{Room: "dev", Kind: wire.KindText, Text: "hello"},
			peer.Invite{Ref: inviteRef{code: true}, Room: "dev"},
		}
		if fmt.Sprint(node.done) != fmt.Sprint(want) {
			t.Errorf("the peer was told %v, want %v", node.done, want)
		}
		if !strings.Contains(out.String(), "it names no room") {
			t.Errorf("a broken invitation is not complained about:\n%s", out.String())
		}
	})
}

// A flood is read no faster than the Node takes it, and nothing of it is lost.
func TestFloodIsHeldBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const lines = 3 * maxUnsaid
		var in strings.Builder
		for i := range lines {
			fmt.Fprintf(&in, "line %d\n", i)
		}
		m, node := newLineMode(t, strings.NewReader(in.String()), io.Discard)
		node.hold = true
		ready(node, 0)
		ended := make(chan error, 1)
		go func() { ended <- m.run(t.Context()) }()
		synctest.Wait()
		if n := len(node.said()); n != maxUnsaid {
			t.Errorf("%d messages were given to a Node that takes none, want %d", n, maxUnsaid)
		}
		for range lines/100 + 1 {
			node.release(100)
			synctest.Wait()
		}
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		got := node.said()
		if len(got) != lines {
			t.Fatalf("%d lines were said of %d", len(got), lines)
		}
		for i, text := range got {
			if want := fmt.Sprintf("#general line %d", i); text != want {
				t.Fatalf("line %d is %q, want %q", i, text, want)
			}
		}
	})
}

// A Node that loses what was said does not stop the input for ever.
func TestLostMessagesDoNotStopTheInput(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, node := newLineMode(t, strings.NewReader(strings.Repeat("x\n", maxUnsaid+1)), io.Discard)
		node.hold = true
		ready(node, 0)
		start := time.Now()
		if err := m.run(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := len(node.said()); n != maxUnsaid+1 {
			t.Errorf("%d lines were said, want %d", n, maxUnsaid+1)
		}
		if d := time.Since(start); d > 15*time.Second {
			t.Errorf("it took %v", d)
		}
	})
}

func TestEndOfInputWaitsForDelivery(t *testing.T) {
	for _, tt := range []struct {
		name     string
		others   int
		deliver  bool
		ready    bool
		min, max time.Duration
	}{
		{"nobody else is there", 0, false, true, 0, 200 * time.Millisecond},
		{"all have it", 1, true, true, 0, 200 * time.Millisecond},
		{"somebody does not take it", 1, false, true, deliverPatience, deliverPatience + time.Second},
		{"there is no tracker", 0, false, false, joinPatience, joinPatience + deliverPatience + time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m, node := newLineMode(t, strings.NewReader("last words"), io.Discard)
				node.deliver = tt.deliver
				if tt.ready {
					ready(node, tt.others)
				}
				start := time.Now()
				if err := m.run(t.Context()); err != nil {
					t.Fatal(err)
				}
				if d := time.Since(start); d < tt.min || d > tt.max {
					t.Errorf("it left after %v, want %v to %v", d, tt.min, tt.max)
				}
				if got := node.said(); len(got) != 1 || node.stops != 1 {
					t.Errorf("said %q and stopped %d times, want the last words and one stop", got, node.stops)
				}
			})
		})
	}
}

func TestLeavingAtOnce(t *testing.T) {
	for name, in := range map[string]string{"exit": "exit\n", "quit": "/quit\n", "signal": ""} {
		synctest.Test(t, func(t *testing.T) {
			r, w := io.Pipe() // stays open: the input has not ended
			defer w.Close()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			m, node := newLineMode(t, r, io.Discard)
			ready(node, 3)
			ended := make(chan error, 1)
			start := time.Now()
			go func() { ended <- m.run(ctx) }()
			if in == "" {
				cancel()
			} else if _, err := io.WriteString(w, in); err != nil {
				t.Fatal(err)
			}
			if err := <-ended; err != nil {
				t.Fatal(err)
			}
			if d := time.Since(start); d > time.Second || node.stops != 1 {
				t.Errorf("%s: it left after %v with %d stops, want at once with one", name, d, node.stops)
			}
		})
	}
}

func TestASignalComesAfterWhatWasRead(t *testing.T) {
	for range 20 { // it finds both waiting
		synctest.Test(t, func(t *testing.T) {
			r, w := io.Pipe() // stays open: the input has not ended
			defer w.Close()
			ctx, cancel := context.WithCancel(t.Context())
			m, node := newLineMode(t, r, io.Discard)
			ready(node, 0)
			if _, err := io.WriteString(w, "last words\n"); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			cancel()
			if err := m.run(ctx); err != nil {
				t.Fatal(err)
			}
			if got := node.said(); len(got) != 1 {
				t.Fatalf("said %q, want what was read before the signal came", got)
			}
		})
	}
}

// brokenPipe is standard output after its reader has gone.
type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, syscall.EPIPE }

// fullDisk is standard output that goes to a file on a full disk.
type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, syscall.ENOSPC }

func TestClosedOutputEndsCleanly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, tt := range []struct {
			out  io.Writer
			want error
		}{{brokenPipe{}, nil}, {fullDisk{}, syscall.ENOSPC}} {
			r, w := io.Pipe()
			m, node := newLineMode(t, r, tt.out)
			ready(node, 1)
			if err := m.run(t.Context()); !errors.Is(err, tt.want) || (tt.want == nil && err != nil) {
				t.Errorf("%T: run says %v, want %v", tt.out, err, tt.want)
			}
			if node.stops != 1 {
				t.Errorf("%T: the peer was stopped %d times, want once", tt.out, node.stops)
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// A reader that does not read stops nothing, and is told what it missed when it reads again.
func TestDeafReaderIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w := io.Pipe()
		in, typed := io.Pipe()
		m, node := newLineMode(t, in, w)
		ready(node, 0)
		ended := make(chan error, 1)
		go func() { ended <- m.run(t.Context()) }()
		text := strings.Repeat("x", 10_000)
		const messages = 2 * maxUnwritten / 10_000
		for range messages {
			node.events.Post(peer.Message{Room: "general", Person: someone(1, "ann"), Kind: wire.KindText, Text: text})
		}
		synctest.Wait()
		if n := len(node.events.TryTake()); n != 0 {
			t.Errorf("%d events wait for a reader that does not read", n)
		}
		got := make(chan string, 1)
		go func() {
			all, _ := io.ReadAll(r)
			got <- string(all)
		}()
		synctest.Wait()
		if err := typed.Close(); err != nil {
			t.Fatal(err)
		}
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		all := <-got
		if n := strings.Count(all, `"type":"message"`); n == 0 || n >= messages {
			t.Errorf("%d of %d messages were read, want some but not all", n, messages)
		}
		if !strings.Contains(all, `"code":"overflow"`) {
			t.Error("nothing says that lines were dropped")
		}
	})
}
