package tui_test

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gdamore/tcell/v2"

	"peerchat/tui"
	"peerchat/tui/tuitest"
)

func TestTypedLinesBecomeActions(t *testing.T) {
	term := tuitest.Start(t, config(), 80, 24)
	term.Post(scene()...)
	term.Want("the scene", "still nobody")
	term.Type("hello\n//slash\n/me waves\n/join #Neu\n/nick ally\n/net\n/reconnect\n")
	term.WantAction("a line is said in the room in view", tui.Say{Room: "general", Text: "hello"})
	term.WantAction("two slashes say one", tui.Say{Room: "general", Text: "/slash"})
	term.WantAction("/me is an action", tui.Me{Room: "general", Text: "waves"})
	term.WantAction("a room's name is brought to its canonical form", tui.Join{Room: "neu"})
	term.WantAction("/nick", tui.Nick{Name: "ally"})
	term.WantAction("/net", tui.Net{})
	term.WantAction("/reconnect", tui.Reconnect{})
	term.Post(tui.RoomJoined{Room: "neu"})
	term.Want("the room that was asked for comes into view", "message #neu")
	term.Press(tcell.KeyEscape, tcell.ModNone)
	term.Type("2")
	term.Want("Esc and a digit go to a room", "message #dev")
	term.Press(tcell.KeyCtrlK, tcell.ModCtrl)
	term.Type("mus\n")
	term.Want("Ctrl+K goes to a room by a part of its name", "message #music")
	term.Alt('m')
	term.WantThat("Alt+M turns the mouse on", func(string) bool { return term.MouseOn() })
	term.Mouse(3, 1, tcell.Button1)
	term.Want("a click goes to a room", "message #general")
	term.Type("#de")
	term.Press(tcell.KeyTab, tcell.ModNone)
	term.Want("Tab completes rooms", "> #dev")
}

func TestQuit(t *testing.T) {
	term := tuitest.Start(t, config(), 80, 24)
	term.Post(scene()...)
	term.Want("the scene", "still nobody")
	term.Type("draft")
	term.Press(tcell.KeyCtrlC, tcell.ModCtrl)
	term.Want("Ctrl+C clears and says what comes next", "Ctrl+C again leaves")
	term.Press(tcell.KeyCtrlC, tcell.ModCtrl)
	term.WantAction("the second one leaves", tui.Quit{})
	term.Post(tui.Stopped{})
	if err := term.WaitEnd("the screen ends when the program has stopped"); err != nil {
		t.Fatalf("leaving is no failure, got %v", err)
	}
}

func TestQuitDoesNotNeedTheProgram(t *testing.T) {
	term := tuitest.Start(t, config(), 80, 24)
	term.Type("/quit\n")
	if err := term.WaitEnd("the screen ends though nobody answers /quit"); err != nil {
		t.Fatalf("leaving is no failure, got %v", err)
	}
}

func TestStoppedTellsWhy(t *testing.T) {
	term := tuitest.Start(t, config(), 80, 24)
	term.Post(tui.Stopped{Reason: "the disk is full\x1b[2J"})
	err := term.WaitEnd("the screen ends with the program")
	if err == nil || !strings.Contains(err.Error(), "disk is full") || strings.Contains(err.Error(), "\x1b") {
		t.Fatalf("Run says why it ended, without escapes; got %v", err)
	}
}

func TestPostAndStopAtAnyTime(t *testing.T) {
	before := tui.New(config())
	before.Stop()
	before.Post(tui.Notice{Text: "nobody listens"})

	term := tuitest.Start(t, config(), 80, 24)
	term.Post(scene()...)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 500 {
				term.App.Post(line("general", bobID, "bob", "x", uint64(100+i*1000+j), 0))
				if i == 0 && j == 250 {
					term.App.Stop()
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Fatal("Post blocks though the screen has ended")
	}
	term.WaitEnd("the screen ends while it is being told things")
	term.App.Stop()
	term.Post(tui.Notice{Text: "late"}, tui.Stopped{Reason: "late"})
}

func TestFlood(t *testing.T) {
	term := tuitest.Start(t, config(), 120, 40)
	term.Post(scene()...)
	term.Want("the scene", "still nobody")
	start, frames := time.Now(), term.Frames()
	const lines = 20000
	for i := range lines {
		term.App.Post(line("general", bobID, "bob", fmt.Sprintf("line %d of a flood", i), uint64(100+i), 0))
	}
	posted := time.Since(start)
	term.Want("the last line of a flood", fmt.Sprintf("line %d of", lines-1))
	took := time.Since(start)
	const frame = 16 * time.Millisecond
	if posted > lines*frame/10 {
		t.Errorf("posting %d lines must not wait for the screen, it took %v", lines, posted)
	}
	if drawn, most := term.Frames()-frames, int(took/frame)+10; drawn > most {
		t.Errorf("a flood is drawn at most 60 times a second: %d frames in %v, want at most %d", drawn, took, most)
	}
	t.Logf("%d lines: posted in %v, shown in %v, %d frames", lines, posted, took, term.Frames()-frames)
}

func TestResizeStorm(t *testing.T) {
	term := tuitest.Start(t, config(), 80, 24)
	term.Post(scene()...)
	term.Want("the scene", "still nobody")
	term.Press(tcell.KeyPgUp, tcell.ModNone)
	for i := range 300 {
		w, h := (i*7)%130+1, (i*5)%45+1
		if i%10 == 0 {
			w, h = i%3+1, i%4+1
		}
		term.Resize(w, h)
		term.Post(line("general", bobID, "bob", strings.Repeat("日本 ", i%40)+"end", uint64(100+i), 0))
		switch i % 6 {
		case 0:
			term.Press(tcell.KeyPgUp, tcell.ModNone)
		case 1:
			term.Press(tcell.KeyF1, tcell.ModNone)
		case 2:
			term.Press(tcell.KeyEscape, tcell.ModNone)
		case 3:
			term.Press(tcell.KeyF6, tcell.ModNone)
		case 4:
			term.Type("日x")
		}
	}
	term.Press(tcell.KeyEscape, tcell.ModNone)
	term.Press(tcell.KeyEscape, tcell.ModNone)
	term.Resize(80, 24)
	term.Press(tcell.KeyCtrlC, tcell.ModCtrl)
	term.Press(tcell.KeyEnd, tcell.ModCtrl)
	term.Want("after the storm the screen is whole", "message #general, F1 helps")
	term.Want("the newest line is there", "end")
}

func TestBell(t *testing.T) {
	term := tuitest.Start(t, config(), 80, 24)
	term.Post(scene()...)
	term.Want("the scene", "still nobody")
	rung := term.Beeps()
	if rung == 0 {
		t.Error("the scene names alice: the bell must ring")
	}
	term.Type("/bell off\n")
	term.Want("the bell is off", "never")
	rung = term.Beeps()
	term.Post(line("general", bobID, "bob", "alice!", 50, 0), line("general", bobID, "bob", "last", 51, 0))
	term.Want("the line", "last")
	if term.Beeps() != rung {
		t.Error("the bell is off and rings")
	}
}

func TestPaste(t *testing.T) {
	term := tuitest.Start(t, config(), 80, 24)
	term.Post(scene()...)
	term.Want("the scene", "still nobody")
	term.Paste("one\n\ttwo\x01")
	term.Want("a small paste goes in at once", "    two")
	term.Press(tcell.KeyCtrlC, tcell.ModCtrl)
	term.Paste("a\nb\nc\nd\ne\n")
	term.Want("a big one asks", "paste 5 lines")
	term.Type("n")
	term.Want("no drops it", "message #general")
	term.Paste("a\nb\nc\nd\ne\n")
	term.Want("a big one asks", "paste 5 lines")
	term.Type("y\n")
	term.WantAction("yes keeps it, Enter sends it as one message", tui.Say{Room: "general", Text: "a\nb\nc\nd\ne"})
}

// brokenScreen fails after its first event, as a terminal does whose window was closed.
type brokenScreen struct {
	tcell.SimulationScreen
	broke bool
}

func (s *brokenScreen) PollEvent() tcell.Event {
	if !s.broke {
		s.broke = true
		return tcell.NewEventError(errors.New("input/output error"))
	}
	return s.SimulationScreen.PollEvent()
}

func TestTheTerminalGoesAway(t *testing.T) {
	cfg := config()
	cfg.Screen = &brokenScreen{SimulationScreen: tcell.NewSimulationScreen("UTF-8")}
	app := tui.New(cfg)
	ended := make(chan error, 1)
	go func() { ended <- app.Run() }()
	select {
	case err := <-ended:
		if err == nil || !strings.Contains(err.Error(), "the terminal is gone") {
			t.Fatalf("Run says that the terminal is gone, got %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("Run must end when the terminal is gone")
	}
}

// stalledScreen takes no output from its second frame on, as a terminal does whose ssh hangs.
type stalledScreen struct {
	tcell.SimulationScreen
	frames  int
	stalled chan struct{} // closed when it stalls
	release chan struct{}
}

func (s *stalledScreen) Show() {
	if s.frames++; s.frames == 2 {
		close(s.stalled)
	}
	if s.frames >= 2 {
		<-s.release
	}
	s.SimulationScreen.Show()
}

func TestATerminalThatStallsKeepsNobody(t *testing.T) {
	screen := &stalledScreen{SimulationScreen: tcell.NewSimulationScreen("UTF-8"), stalled: make(chan struct{}), release: make(chan struct{})}
	defer close(screen.release)
	cfg := config()
	cfg.Screen = screen
	app := tui.New(cfg)
	ended := make(chan error, 1)
	go func() { ended <- app.Run() }()
	app.Post(tui.Notice{Text: "x"})
	<-screen.stalled
	for i := range 100000 {
		app.Post(line("general", bobID, "bob", "nobody sees this", uint64(i), 0))
	}
	app.Stop()
	select {
	case err := <-ended:
		if err == nil || !strings.Contains(err.Error(), "takes no output") {
			t.Fatalf("Run says that the terminal stalled, got %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("Run waits for a terminal that takes nothing")
	}
}

func TestNothingLeaks(t *testing.T) {
	before := runtime.NumGoroutine()
	for range 5 {
		cfg := config()
		cfg.Screen = tcell.NewSimulationScreen("UTF-8")
		app := tui.New(cfg)
		ended := make(chan error, 1)
		go func() { ended <- app.Run() }()
		for _, msg := range scene() {
			app.Post(msg)
		}
		app.Stop()
		if err := <-ended; err != nil {
			t.Fatalf("a stopped App has no error, got %v", err)
		}
	}
	deadline := time.Now().Add(30 * time.Second)
	for runtime.NumGoroutine() > before {
		if time.Now().After(deadline) {
			buf := make([]byte, 1<<16)
			t.Fatalf("goroutines leak: %d before, %d after\n%s", before, runtime.NumGoroutine(), buf[:runtime.Stack(buf, true)])
		}
		runtime.Gosched()
	}
}

// Nothing else has to happen for the screen to say, a moment later, who is in the room.
func TestTheScreenTellsByItselfWhoIsHere(t *testing.T) {
	cfg := config()
	cfg.Now = nil
	term := tuitest.Start(t, cfg, 100, 24)
	term.Post(tui.Self{ID: aliceID, Name: "alice"}, tui.Tracker{State: tui.TrackerConnected, URL: "ws://127.0.0.1:5000/ws"}, tui.RoomJoined{Room: "general"},
		tui.MemberJoined{Room: "general", Member: tui.Member{ID: carolID, Name: "carol"}, Count: 2},
		tui.MemberJoined{Room: "general", Member: tui.Member{ID: bobID, Name: "bob"}, Count: 3})
	term.Want("who is there", "in #general are bob, carol (3 here)")
}
