package main

import (
	"context"
	"path/filepath"

	"peerchat/peer"
	"peerchat/peer/history"
	"peerchat/peer/wire"
	"peerchat/tui"
)

// runScreen is the full-screen mode. The tview loop runs in this goroutine, a second one carries events to it and ends
// it; neither ever waits for the other.
func (j *joining) runScreen(ctx context.Context) error {
	guard, err := guardCrash(filepath.Join(j.profile.Dir(), "crash.txt"))
	if err != nil {
		j.logger.Warn("a crash would leave the terminal in disorder", "err", err)
	}
	quit := make(chan struct{}, 1)
	var app *tui.App
	app = tui.New(tui.Config{Mouse: true, OnAction: func(a tui.Action) { j.act(app, a, quit) }})
	app.Post(tui.Self{ID: j.self.String(), Name: j.name})

	ended := make(chan struct{}) // the screen is closed
	carried := make(chan struct{})
	go func() {
		defer close(carried)
		j.carry(ctx, app, quit, ended)
	}()
	err = app.Run()
	close(ended)
	<-carried
	if guard != nil {
		if gerr := guard.close(); gerr != nil {
			j.logger.Warn("ending the crash monitor", "err", gerr)
		}
	}
	return err
}

// carry brings events to the screen until the user, the system or the screen itself wants to leave; then it stops the
// peer, and the screen after it.
func (j *joining) carry(ctx context.Context, app *tui.App, quit, ended <-chan struct{}) {
	for leaving := false; !leaving; {
		select {
		case <-j.events.Wake():
			for _, ev := range j.events.TryTake() {
				j.remember(ev)
				for _, msg := range toMsgs(ev, j.self) {
					app.Post(msg)
				}
			}
		case <-j.voice.news.Wake():
			for _, n := range j.voice.news.TryTake() {
				app.Post(voiceMsg(n))
			}
		case <-quit:
			leaving = true
		case <-ended:
			leaving = true
		case <-ctx.Done():
			leaving = true
		}
	}
	stop, cancel := context.WithTimeout(context.Background(), leavePatience)
	defer cancel()
	reason := ""
	if err := j.node.Stop(stop); err != nil {
		reason = err.Error()
	}
	app.Post(tui.Stopped{Reason: reason})
}

// act does what the user wants. It runs in the screen's event loop and does not wait.
func (j *joining) act(app *tui.App, a tui.Action, quit chan<- struct{}) {
	switch a := a.(type) {
	case tui.Quit:
		select {
		case quit <- struct{}{}:
		default:
		}
	case tui.Version:
		app.Post(tui.Notice{Text: versionText()})
	case tui.Connect:
		room, err := connect(a.Addr, j.finder.dial)
		if err != nil {
			app.Post(tui.Failure{Text: err.Error()})
			return
		}
		if room != "" {
			app.Post(tui.Entering{Room: string(room)})
			j.node.Do(peer.JoinRoom{Room: room})
		}
		j.node.Do(peer.Reconnect{})
	case tui.AskPage:
		if !j.archive.page(a, func(p tui.Page) { app.Post(p) }) {
			app.Post(tui.Page{Ask: a.Ask, Room: a.Room, Err: "it is being closed"})
		}
	case tui.Search:
		j.search(app, a)
	default:
		if j.voice.do(a) {
			return
		}
		if cmd := toCommand(a); cmd != nil {
			j.node.Do(cmd)
		} else {
			j.logger.Debug("an action that is not for the peer", "action", a)
		}
	}
}

// screenHits is how many hits the screen gets at once.
const screenHits = 50

// search answers the screen's search: a new one ends the one before.
func (j *joining) search(app *tui.App, a tui.Search) {
	if !a.More {
		j.archive.endSearches()
	}
	if a.Text == "" {
		return
	}
	ask := searchAsk{id: a.Ask, room: wire.Room(a.Room), text: a.Text, more: a.More, limit: screenHits}
	if !j.archive.find(ask, func(res history.Results, err error) { app.Post(toFound(a.Ask, res, err, j.self)) }) {
		app.Post(tui.Found{Ask: a.Ask, Err: "the history is being closed"})
	}
}
