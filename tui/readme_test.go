package tui_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"peerchat/tui"
	"peerchat/tui/tuitest"
)

// The screen in README.md is what the program draws.
func TestTheScreenInTheReadme(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(readme), "```\n")
	want, _, found := strings.Cut(rest, "```")
	if !found {
		t.Fatal("README.md has no screen")
	}
	at := time.Date(2026, 11, 21, 23, 35, 0, 0, time.UTC)
	cfg := config()
	cfg.Now = func() time.Time { return at }
	term := tuitest.Start(t, cfg, 92, 19)
	ids := map[string]string{"Ann": bobID, "Bob": aliceID, "Zoë": carolID} // aliceID is oneself
	lamport := uint64(0)
	said := func(name, text string, kind tui.LineKind) tui.Line {
		lamport++
		l := line("general", ids[name], name, text, lamport, 0)
		l.Kind, l.Sent = kind, at
		return l
	}
	self := []tui.Member{{ID: aliceID, Name: "Bob"}}
	term.Post(tui.Self{ID: aliceID, Name: "Bob"}, tui.Tracker{State: tui.TrackerSearching},
		tui.RoomJoined{Room: "general", Members: self}, tui.RoomJoined{Room: "dev", Members: self},
		tui.Tracker{State: tui.TrackerHosting, URL: "ws://127.0.0.1:5000/ws", Self: true, Solo: true},
		tui.Tracker{State: tui.TrackerHosting, URL: "ws://127.0.0.1:5000/ws", LeaderID: aliceID, Leader: "Bob", Term: 1, Self: true})
	for i, name := range []string{"Ann", "Zoë"} {
		term.Post(tui.Link{Peer: ids[name], Name: name, Up: true, Path: "host", RTT: 400 * time.Microsecond},
			tui.MemberJoined{Room: "general", Member: tui.Member{ID: ids[name], Name: name}, Count: 2 + i})
	}
	topic, morning := said("Ann", "Release on Friday", tui.LineTopic), said("Ann", "morning! is the tracker on your machine, Bob?", tui.LineText)
	first := said("Bob", "yes: I came first, so it hosts one", tui.LineText)
	so, sees := said("Zoë", "so if you leave, do we go on?", tui.LineText), said("Ann", "sees it in the status line", tui.LineAction)
	second := said("Bob", "the messages go from peer to peer anyway", tui.LineText)
	term.Post(topic, morning, first, so, sees, second)
	for _, l := range []tui.Line{first, second} {
		term.Post(tui.Delivered{Room: "general", ID: l.ID, Peers: 2, Of: 2})
	}
	term.Type("and what was said is in e")
	term.Want("what is being typed", "> and what was said is in e")
	term.WantThat("the screen in README.md: run the program, and copy what it draws", func(string) bool { return term.Text() == want })
}
