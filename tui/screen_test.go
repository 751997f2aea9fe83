package tui_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gdamore/tcell/v2"

	"peerchat/tui"
	"peerchat/tui/tuitest"
)

var update = flag.Bool("update", false, "rewrite the golden screens")

// noon is the clock of the golden screens.
var noon = time.Date(2026, 3, 14, 12, 4, 0, 0, time.UTC)

func config() tui.Config {
	return tui.Config{Now: func() time.Time { return noon }, Location: time.UTC, Color: tui.Color16}
}

// The people of the golden screens, by the first letters of their IDs.
const (
	aliceID = "a1iceaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	bobID   = "k3fdbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
	bob2ID  = "zz77bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
	carolID = "c2azccccccccccccccccccccccccccccccccccccccccccccccccc"
	daveID  = "d4ve4444444444444444444444444444444444444444444444444"
)

func line(room, peer, name, text string, order uint64, ago time.Duration) tui.Line {
	return tui.Line{Room: room, ID: fmt.Sprintf("%s-%d-%s", room, order, peer), Peer: peer, Name: name, Text: text, Order: order,
		Sent: noon.Add(-ago), Self: peer == aliceID}
}

// scene is an ordinary day: three rooms, five people, all kinds of lines.
func scene() []tui.Msg {
	everybody := []tui.Member{{ID: aliceID, Name: "alice"}, {ID: bobID, Name: "bob"}, {ID: carolID, Name: "carol"}}
	action := line("general", carolID, "carol", "waves", 6, 3*time.Minute)
	action.Kind = tui.LineAction
	topic := line("general", bobID, "bob", "peers only, no servers", 2, 22*time.Hour)
	topic.Kind = tui.LineTopic
	return []tui.Msg{
		tui.Self{ID: aliceID, Name: "alice"},
		tui.Tracker{State: tui.TrackerConnected, URL: "ws://127.0.0.1:5000/v1"},
		tui.RoomJoined{Room: "general", Members: everybody},
		tui.RoomJoined{Room: "dev", Members: everybody},
		tui.RoomJoined{Room: "music", Members: everybody[:1]},
		tui.Link{Peer: bobID, Name: "bob", Up: true, Path: "host", RTT: 24 * time.Millisecond},
		tui.Link{Peer: carolID, Name: "carol", Up: true, Path: "relay", RTT: 131 * time.Millisecond},
		old(line("general", aliceID, "alice", "good morning!", 3, 2*time.Hour)),
		old(line("general", carolID, "carol", "see you tomorrow", 1, 23*time.Hour)),
		old(topic),
		line("general", bobID, "bob", "morning. The tracker died an hour ago, carol hosts it now, and nobody noticed.", 4, 5*time.Minute),
		line("general", carolID, "carol", "alice: that is rather the point", 5, 4*time.Minute),
		action,
		line("general", aliceID, "alice", "two\nlines", 7, 2*time.Minute),
		tui.Delivered{Room: "general", ID: "general-3-" + aliceID, Peers: 3, Of: 3},
		tui.Delivered{Room: "general", ID: "general-7-" + aliceID, Peers: 1, Of: 3},
		tui.MemberJoined{Room: "general", Member: tui.Member{ID: daveID, Name: "dave"}, Count: 4},
		line("general", daveID, "dave", "日本語も絵文字も 👩‍👩‍👧‍👦 幅が合います", 8, time.Minute),
		tui.MemberLeft{Room: "general", Member: tui.Member{ID: daveID, Name: "dave"}, Count: 3},
		line("general", aliceID, "alice", "still nobody has this one", 9, 0),
		line("dev", bobID, "bob", "alice, the build is green", 3, time.Minute),
		line("dev", bobID, "bob", "shall I tag it?", 4, time.Minute),
		line("music", bobID, "bob", "new record", 4, time.Minute),
	}
}

func old(l tui.Line) tui.Line {
	l.History = true
	return l
}

// hits are what a search found: in the scene, and in years before it; among them hostile ones.
func hits(ask uint64, more bool) tui.Found {
	found := tui.Found{Ask: ask, More: more}
	add := func(l tui.Line, text string) {
		l.Text, l.History = strings.NewReplacer("<", "", ">", "").Replace(text), true
		h := tui.Hit{Line: l, Text: l.Text}
		for at := 0; ; {
			from := strings.IndexByte(text[at:], '<')
			if from < 0 {
				break
			}
			to := strings.IndexByte(text[at:], '>')
			before := strings.NewReplacer("<", "", ">", "").Replace(text[:at+from])
			h.Spans = append(h.Spans, [2]int{len(before), len(before) + to - from - 1})
			at += to + 1
		}
		found.Hits = append(found.Hits, h)
	}
	add(line("general", bobID, "bob", "", 4, 5*time.Minute), "<morning>. The tracker died an hour ago, carol hosts it now, and nobody noticed.")
	add(line("general", aliceID, "alice", "", 3, 2*time.Hour), "good <morning>!")
	topic := line("dev", carolID, "carol", "", 2, 30*24*time.Hour)
	topic.Kind = tui.LineTopic
	add(topic, "standup every <morning>")
	action := line("general", carolID, "carol\x1b[2J", "", 1, 800*24*time.Hour)
	action.Kind = tui.LineAction
	add(action, "says good \u202e<mor\x07ning>\x1b[31m to all")
	add(line("general", bob2ID, "bob", "", 1, 801*24*time.Hour),
		"a long line that says much before it comes to what is searched for, which is that of a <morning> in May, and a <morning> in June")
	for i := range 7 {
		add(line("dev", bobID, "bob", "", uint64(i), 900*24*time.Hour), fmt.Sprintf("日本語 <morning> %d", i))
	}
	return found
}

// voiceScene puts all but dave into the voice of #general: bob talks, carol is muted, another bob is deaf.
func voiceScene() []tui.Msg {
	bob2 := tui.Member{ID: bob2ID, Name: "bob"}
	msgs := []tui.Msg{
		tui.MemberJoined{Room: "general", Member: bob2, Count: 4}, tui.Voice{Room: "general"},
		tui.MicLevel{Level: -30, Threshold: -45},
	}
	for i, mem := range []tui.Member{{ID: bobID, Name: "bob"}, {ID: carolID, Name: "carol"}, bob2, {ID: aliceID, Name: "alice"}} {
		msgs = append(msgs, tui.VoiceMember{Room: "general", Member: mem, State: tui.VoiceJoined, Count: i + 1})
	}
	return append(msgs,
		tui.VoiceMember{Room: "general", Member: tui.Member{ID: carolID, Name: "carol"}, State: tui.VoiceMuted, Count: 4},
		tui.VoiceMember{Room: "general", Member: bob2, State: tui.VoiceDeafened, Count: 4},
		tui.Talking{Peer: bobID, On: true}, tui.Talking{Peer: aliceID, On: true})
}

// invitation has a code that is too large for any of the screens, and one of 40 by 20 cells.
func invitation() tui.Invitation {
	code := func(w, h int) []string {
		rows := make([]string, h)
		for i := range rows {
			rows[i] = "█" + strings.Repeat("▀▄█ ", (w-1)/4) + strings.Repeat("█", (w-1)%4)
		}
		return rows
	}
	return tui.Invitation{
		Room: "general", Link: "peerchat://10.0.0.3:5000/general?or=10.0.0.4:5000", Note: "a note",
		Codes: [][]string{code(90, 45), code(40, 20)},
	}
}

// golden compares the screen with testdata/NAME.golden.
func golden(t *testing.T, term *tuitest.Term, name string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	got := term.Text()
	if r := tuitest.IsClean(got); r != 0 {
		t.Errorf("%U is on the screen:\n%s", r, got)
	}
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("no golden screen (make it with -update): %v", err)
	}
	if got != string(want) {
		t.Errorf("the screen is not as in %s (-update rewrites it); it is\n%s\nand should be\n%s", path, got, want)
	}
}

// settled posts a last Msg and waits until the screen shows it, so that all before it is shown too.
func settled(t *testing.T, term *tuitest.Term) {
	t.Helper()
	term.Post(tui.Notice{Room: "general", Text: "end of scene"})
	term.Want("all that was posted is shown", "scene")
}

func TestGoldenScreens(t *testing.T) {
	for _, c := range []struct {
		name string
		w, h int
		cfg  func(*tui.Config)
	}{
		{"wide", 120, 40, nil},
		{"normal", 80, 24, nil},
		{"narrow", 60, 16, nil},
		{"small", 40, 10, nil},
		{"mono", 80, 24, func(c *tui.Config) { c.Color = tui.ColorNone }},
		{"ascii", 80, 24, func(c *tui.Config) { c.ASCII = true }},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := config()
			if c.cfg != nil {
				c.cfg(&cfg)
			}
			term := tuitest.Start(t, cfg, c.w, c.h)
			term.Post(scene()...)
			settled(t, term)
			golden(t, term, c.name)
			if c.name != "mono" {
				return
			}
			term.Each(func(x, y int, text string, style tcell.Style) {
				if fg, bg, _ := style.Decompose(); fg != tcell.ColorDefault || bg != tcell.ColorDefault {
					t.Fatalf("without colour, cell %d,%d %q has colours %v on %v", x, y, text, fg, bg)
				}
			})
		})
	}
}

// Where there is nothing but ASCII, who talks, who is muted and who is deaf is seen all the same.
func TestGoldenVoiceInASCII(t *testing.T) {
	cfg := config()
	cfg.ASCII = true
	term := tuitest.Start(t, cfg, 80, 16)
	term.Post(scene()...)
	term.Post(voiceScene()...)
	settled(t, term)
	golden(t, term, "voice-ascii")
}

// state is a golden screen of w by h cells: what it shows after do.
type state struct {
	name string
	w, h int
	do   func(term *tuitest.Term)
}

// goldenStates compares what each shows with testdata.
func goldenStates(t *testing.T, states []state) {
	t.Helper()
	for _, c := range states {
		t.Run(c.name, func(t *testing.T) {
			term := tuitest.Start(t, config(), c.w, c.h)
			c.do(term)
			golden(t, term, c.name)
		})
	}
}

// showScene posts the scene and waits for its last line.
func showScene(term *tuitest.Term) {
	term.Post(scene()...)
	term.Want("the scene", "still nobody")
}

// searchScene shows the scene and has it searched by the command, which finds the hits, and perhaps more.
func searchScene(term *tuitest.Term, command string, more bool) {
	showScene(term)
	term.Type(command)
	term.Want("the search", "search: morning")
	term.Post(hits(1, more))
}

func TestGoldenTrackers(t *testing.T) {
	carol := tui.Tracker{State: tui.TrackerConnected, URL: "ws://10.0.0.3:5000/ws", Leader: "carol", LeaderID: carolID, Term: 3}
	lost, electing := tui.Tracker{State: tui.TrackerLost, Err: "connection reset"}, tui.Tracker{State: tui.TrackerElecting}
	goldenStates(t, []state{
		{"start", 80, 12, func(term *tuitest.Term) {
			term.Post(tui.Self{ID: aliceID, Name: "alice"},
				tui.Tracker{State: tui.TrackerSearching, Trying: "ws://10.0.0.7:5000, attempt 3"})
			term.Want("what is being tried", "attempt 3")
		}},
		{"lost", 100, 12, func(term *tuitest.Term) {
			term.Post(scene()...)
			term.Post(tui.Tracker{State: tui.TrackerLost, URL: "ws://127.0.0.1:5000/v1", Trying: "again in 4 s", Err: "connection refused"})
			term.Want("what is being tried", "again in 4 s]")
		}},
		{"elected", 100, 12, func(term *tuitest.Term) {
			term.Post(scene()...)
			term.Post(tui.Tracker{State: tui.TrackerConnected, URL: "ws://10.0.0.3:5000/v1", Leader: "carol", Term: 3})
			term.Want("who the tracker is", "[tracker: carol, term 3]")
		}},
		{"electing", 80, 14, func(term *tuitest.Term) {
			term.Post(scene()...)
			term.Post(carol, lost, electing)
			term.Want("what goes on", "[tracker: electing…]")
		}},
		{"leading", 80, 14, func(term *tuitest.Term) {
			term.Post(scene()...)
			term.Post(lost, electing, tui.Tracker{State: tui.TrackerHosting, URL: "ws://10.0.0.1:5000/ws", Leader: "alice", LeaderID: aliceID,
				Term: 4, InMesh: true})
			term.Want("that it is me", "[tracker: you, term 4, only in the mesh]")
		}},
		{"home", 80, 14, func(term *tuitest.Term) {
			term.Post(scene()...)
			term.Post(carol, tui.Tracker{State: tui.TrackerConnected, URL: "ws://127.0.0.1:5000/v1", Term: 4})
			term.Want("the home tracker and its term", "[tracker: 127.0.0.1:5000, term 4]")
		}},
	})
}

func TestGoldenLines(t *testing.T) {
	goldenStates(t, []state{
		{"cleared", 60, 12, func(term *tuitest.Term) {
			term.Post(scene()...)
			settled(t, term)
			term.Type("/clear\n")
			term.Want("how they come back", "PgUp brings the lines back.")
		}},
		{"hole", 80, 14, func(term *tuitest.Term) {
			term.Post(scene()...)
			hole := line("general", bob2ID, "bob", "and I am the other bob", 10, 0)
			hole.Seq, hole.Missing = 20, 12
			term.Post(hole)
			term.Want("what is missing", "12 lines of bob#zz77 are missing here")
		}},
		{"hole-small", 40, 10, func(term *tuitest.Term) {
			term.Post(scene()...)
			hole := line("general", bob2ID, "a name that is quite long", "hi", 10, 0)
			hole.Seq, hole.Missing = 20, 12
			term.Post(hole)
			term.Want("what is missing", "missing here")
		}},
		{"hostile", 80, 24, func(term *tuitest.Term) {
			term.Post(scene()[:3]...)
			evil := "\x1b]0;owned\x07[red]evil[-]"
			term.Post(tui.MemberJoined{Room: "general", Member: tui.Member{ID: "evi1", Name: evil}})
			for i, text := range []string{
				"\x1b[31mred\x1b[0m \x1b[2J\u009b2J", "[red]tag[-] [::b]bold[::-] [\"region\"]", "NUL \x00 and BEL \x07 and BS \b\b\b",
				strings.Repeat("w", 400), "bidi \u202eexe.txt\u202c \u2066x\u2069", "invalid \xff\xfe utf-8", "zalgo " + "e" + strings.Repeat("\u0301", 40),
				"wide 👩‍👩‍👧‍👦👍🏽🇩🇪 日本語", "line\u2028sep \u200b zero \ufeff", "שלום مرحبا",
			} {
				term.Post(line("general", "evi1", evil, text, uint64(i+2), time.Minute))
			}
			term.Post(tui.Topic{Room: "general", Text: "topic \x1b[2J [red]red"}, tui.Failure{Text: "failed: \x1b[5m blink\x07"})
			term.Want("all of it", "blink")
		}},
		{"scrolled", 80, 14, func(term *tuitest.Term) {
			showScene(term)
			term.Press(tcell.KeyPgUp, tcell.ModNone)
			term.Want("older lines", "The tracker died")
			term.Post(line("general", bobID, "bob", "one more", 20, 0), line("general", bobID, "bob", "and another", 21, 0))
			term.Want("what is below", "[▼ 2 new]")
		}},
		{"marker", 80, 14, func(term *tuitest.Term) {
			showScene(term)
			term.Alt('2')
			term.Want("the other room", "shall I tag it?")
			term.Post(line("general", bobID, "bob", "said while you were away", 20, 0))
			term.Want("it is unread", "[unread: #general(1)")
			term.Press(tcell.KeyCtrlP, tcell.ModCtrl)
			term.Want("the marker", " new ")
		}},
		{"older", 60, 12, func(term *tuitest.Term) {
			showScene(term)
			term.Press(tcell.KeyHome, tcell.ModCtrl)
			term.Want("the first loaded line", "[▼]")
			page := tui.Page{Ask: 1, Room: "general", First: true}
			for i := range 40 {
				page.Lines = append(page.Lines, old(line("general", daveID, "dave", fmt.Sprint("page ", i), uint64(i), 30*time.Hour)))
			}
			term.Post(page)
			term.Want("the first line", "page 0")
			term.Press(tcell.KeyPgUp, tcell.ModNone)
			term.Want("that older lines are fetched", "fetching older lines…")
		}},
		{"syncing", 80, 12, func(term *tuitest.Term) {
			term.Post(scene()...)
			term.Post(tui.Synced{Room: "general", Missing: 12}, tui.Synced{Room: "dev"},
				tui.Rooms{Rooms: []tui.RoomInfo{{Room: "general", Members: 3, Joined: true}, {Room: "dev", Members: 3, Joined: true}}})
			term.Want("what is missing", "[syncing, 12 missing]")
		}},
		{"bare", 80, 14, func(term *tuitest.Term) {
			showScene(term)
			term.Alt('l')
			term.Want("plain text", "12:04 alice: still nobody has this one")
		}},
	})
}

func TestGoldenVoice(t *testing.T) {
	goldenStates(t, []state{
		{"voice", 80, 16, func(term *tuitest.Term) {
			term.Post(scene()...)
			term.Post(voiceScene()...)
			settled(t, term)
		}},
		{"voice-muted", 100, 14, func(term *tuitest.Term) {
			term.Post(scene()...)
			term.Post(voiceScene()...)
			term.Post(tui.Voice{Room: "general", Muted: true, Mode: tui.VoiceByKey}, tui.MutedTalk{},
				tui.VoiceMember{Room: "general", Member: tui.Member{ID: aliceID, Name: "alice"}, State: tui.VoiceMuted, Count: 4})
			settled(t, term)
		}},
		{"voice-small", 40, 10, func(term *tuitest.Term) {
			term.Post(scene()...)
			term.Post(voiceScene()...)
			settled(t, term)
		}},
	})
}

func TestGoldenSearch(t *testing.T) {
	goldenStates(t, []state{
		{"search", 80, 14, func(term *tuitest.Term) {
			showScene(term)
			term.Press(tcell.KeyCtrlF, tcell.ModCtrl)
			term.Want("how to search", "Words that all have to be there")
			term.Type("morn")
			term.Want("all is typed", "search: morn")
			term.Post(hits(4, true))
			term.Want("what was found", "1 of 12+ in #general")
			term.Press(tcell.KeyDown, tcell.ModNone)
			term.Want("the next hit", "2 of 12+")
		}},
		{"search-wide", 120, 14, func(term *tuitest.Term) {
			searchScene(term, "/search -a morning\n", false)
			term.Want("what was found", "1 of 12 in all rooms")
		}},
		{"search-small", 40, 10, func(term *tuitest.Term) {
			searchScene(term, "/search morning\n", false)
			term.Want("what was found", "1 of 12 in #general")
			term.Press(tcell.KeyPgDn, tcell.ModNone)
			term.Press(tcell.KeyPgDn, tcell.ModNone)
			term.Want("the last but two", "11 of 12")
		}},
		{"found", 80, 14, func(term *tuitest.Term) {
			searchScene(term, "/search morning\n", false)
			term.Want("what was found", "1 of 12 in #general")
			term.Type("\n")
			term.Want("the place of the hit", "11:59>")
		}},
	})
}

func TestGoldenInvitations(t *testing.T) {
	goldenStates(t, []state{
		{"invite", 80, 24, func(term *tuitest.Term) {
			term.Post(scene()...)
			term.Post(invitation())
			term.Want("the code that fits", "1 of 2 addresses")
		}},
		{"invite-small", 40, 10, func(term *tuitest.Term) {
			term.Post(scene()...)
			term.Post(invitation())
			term.Want("why there is no code", "too small")
		}},
		{"invite-link", 80, 24, func(term *tuitest.Term) {
			term.Post(scene()...)
			term.Post(invitation())
			term.Want("the code", "any key closes")
			term.Type("x")
			term.Want("what was typed meanwhile is not lost, and the link is there", "alice> x")
		}},
	})
}

func TestGoldenInput(t *testing.T) {
	goldenStates(t, []state{
		{"help", 80, 24, func(term *tuitest.Term) {
			term.Press(tcell.KeyF1, tcell.ModNone)
			term.Want("the help", "complete names")
		}},
		{"help-small", 40, 10, func(term *tuitest.Term) {
			term.Type("?")
			term.Want("the help", "starts a new line")
		}},
		{"answers", 80, 24, func(term *tuitest.Term) {
			term.Post(scene()...)
			term.Post(tui.Rooms{Rooms: []tui.RoomInfo{{Room: "general", Members: 3, Joined: true, Topic: "peers only"},
				{Room: "games", Members: 12}}})
			term.Want("the rooms", "#games")
			term.Type("/names\n/topic\n/help join\n/jion x\n")
			term.Want("the nearest command", "/join?")
		}},
		{"paste", 80, 8, func(term *tuitest.Term) {
			showScene(term)
			term.Paste("a\nb\nc\nd\ne")
			term.Want("the question", "paste 5 lines")
		}},
		{"paste-small", 40, 10, func(term *tuitest.Term) {
			showScene(term)
			term.Paste("a\nb\nc\nd\ne")
			term.Want("the question and what to press", "Esc or n")
		}},
		{"input", 60, 14, func(term *tuitest.Term) {
			showScene(term)
			term.Type("first line")
			term.Press(tcell.KeyEnter, tcell.ModAlt)
			term.Type("the second line is longer than the screen is wide, so it wraps")
			term.Want("the input has grown", "o it wraps")
		}},
	})
}

// Without colour and without anything but ASCII, the selected hit and the words in the hits are seen all the same.
func TestGoldenSearchInASCII(t *testing.T) {
	cfg := config()
	cfg.ASCII, cfg.Color = true, tui.ColorNone
	term := tuitest.Start(t, cfg, 60, 12)
	searchScene(term, "/search morning\n", true)
	term.Want("what was found", "1 of 12+")
	golden(t, term, "search-ascii")
	marked := 0
	term.Each(func(x, y int, text string, style tcell.Style) {
		fg, bg, attrs := style.Decompose()
		if fg != tcell.ColorDefault || bg != tcell.ColorDefault {
			t.Fatalf("without colour, cell %d,%d %q has colours %v on %v", x, y, text, fg, bg)
		}
		if attrs&tcell.AttrUnderline != 0 {
			marked++
		}
	})
	if want := 7*len("morning") + len("mor?ning") + len("morni"); marked < want {
		t.Errorf("%d cells are underlined, want the %d of the words or more", marked, want)
	}
}
