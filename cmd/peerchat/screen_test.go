package main

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/gdamore/tcell/v2"

	"peerchat/peer/wire"
	"peerchat/tui"
	"peerchat/tui/tuitest"
)

// The screen, the archive and a history on disk together: scrolling, searching as one types, and back.
func TestTheScreenReadsTheHistory(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.db")
	storedIn(t, path, saidIn(t, "general", 4000))
	j := &joining{self: wire.IDOf(keyOf(1)), archive: testArchive(t, path)}
	apps := make(chan *tui.App, 1) // the App, as soon as it is there
	term := tuitest.Start(t, tui.Config{
		Now: func() time.Time { return noon }, Location: time.UTC,
		OnAction: func(a tui.Action) {
			app := <-apps
			defer func() { apps <- app }()
			switch a := a.(type) {
			case tui.AskPage:
				j.archive.page(a, func(p tui.Page) { app.Post(p) })
			case tui.Search:
				j.search(app, a)
			case tui.FetchOlder:
				app.Post(tui.Older{Room: a.Room})
			}
		},
	}, 100, 24)
	apps <- term.App
	term.Post(tui.Self{ID: j.self.String(), Name: "bob"}, tui.RoomJoined{Room: "general"})
	for _, l := range pageOf(t, j.archive, tui.AskPage{Ask: 1, Room: "general", Lines: 1000}).Lines {
		term.Post(l)
	}
	term.Want("the newest line", "line 3999")
	term.Press(tcell.KeyPgUp, tcell.ModNone)
	term.Want("that there is more below", "more]")
	term.Press(tcell.KeyHome, tcell.ModCtrl)
	term.Want("the first line", "line 0")
	term.Press(tcell.KeyPgUp, tcell.ModNone)
	term.Want("that there is no more", "this is the beginning of #general")
	term.Press(tcell.KeyCtrlF, tcell.ModCtrl)
	term.Type("line 2001") // each key ends the search before
	term.Want("what was found", "1 of 1 in #general")
	term.Type("\n")
	term.Want("the line and those around it", "line 1999")
	term.Want("the lines after it", "line 2002")
	term.Press(tcell.KeyEnd, tcell.ModCtrl)
	term.Want("the newest line again", "line 3999")
	term.Type("/clear\n")
	term.WantGone("an empty screen", "line 3999")
	term.Press(tcell.KeyPgUp, tcell.ModNone)
	term.Want("what was cleared", "line 3999")
}
