// Command demo shows the screen with invented people, for looking at it by hand:
//
//	go run ./tui/tuitest/demo [-ascii] [-mono]
package main

import (
	"flag"
	"fmt"
	"os"
	"time"

	"peerchat/tui"
)

func main() {
	ascii := flag.Bool("ascii", false, "draw nothing beyond ASCII")
	mono := flag.Bool("mono", false, "no colours")
	flag.Parse()
	color := tui.ColorAuto
	if *mono {
		color = tui.ColorNone
	}
	var app *tui.App
	lamport := uint64(100)
	app = tui.New(tui.Config{ASCII: *ascii, Color: color, OnAction: func(action tui.Action) {
		lamport++
		switch a := action.(type) {
		case tui.Say:
			app.Post(tui.Line{Room: a.Room, ID: fmt.Sprint(lamport), Peer: "aaaa1", Name: "alice", Text: a.Text,
				Sent: time.Now(), Order: lamport, Self: true})
			app.Post(tui.Delivered{Room: a.Room, ID: fmt.Sprint(lamport), Peers: int(lamport % 5), Of: 4})
		case tui.Me:
			app.Post(tui.Line{Room: a.Room, ID: fmt.Sprint(lamport), Peer: "aaaa1", Name: "alice", Text: a.Text,
				Kind: tui.LineAction, Sent: time.Now(), Order: lamport, Self: true})
		case tui.Join:
			app.Post(tui.RoomJoined{Room: a.Room, Members: []tui.Member{{ID: "aaaa1", Name: "alice"}}})
		case tui.Leave:
			app.Post(tui.RoomLeft(a))
		case tui.Quit:
			app.Post(tui.Stopped{})
		default:
			app.Post(tui.Notice{Text: fmt.Sprintf("%T%+v", action, action)})
		}
	}})
	now := time.Now()
	people := []tui.Member{{ID: "aaaa1", Name: "alice"}, {ID: "k3fdbob", Name: "bob"}, {ID: "c2azcarol", Name: "carol"},
		{ID: "zz77bob", Name: "bob"}, {ID: "d4vedave", Name: "dave"}}
	app.Post(tui.Self{ID: "aaaa1", Name: "alice"})
	app.Post(tui.Tracker{State: tui.TrackerConnected, URL: "ws://127.0.0.1:5000/"})
	for _, room := range []string{"general", "dev", "日本語"} {
		app.Post(tui.RoomJoined{Room: room, Members: people})
	}
	app.Post(tui.Topic{Room: "general", Text: "Peers only, no servers"})
	for i, p := range people[1:4] {
		path := "host"
		if i == 1 {
			path = "relay"
		}
		app.Post(tui.Link{Peer: p.ID, Name: p.Name, Up: true, Path: path, RTT: time.Duration(i*23+1) * time.Millisecond})
	}
	say := func(room string, who int, order uint64, text string) {
		p := people[who]
		app.Post(tui.Line{Room: room, ID: fmt.Sprint(room, order), Peer: p.ID, Name: p.Name, Text: text, Order: order,
			Sent: now.Add(time.Duration(order-50) * 2 * time.Minute), Self: who == 0})
	}
	for i, text := range []string{"hi all", "hello bob", "the tracker moved to carol's machine an hour ago and nobody even noticed, which is rather the point",
		"alice: did you see that?", "I did 👍🏽", "two\nlines", "\x1b[31mnot red\x1b[0m [red]not red[-] \u202eexe.txt", "日本語のテキストも折り返されるはずです。長い行でも大丈夫。"} {
		say("general", (i+1)%4, uint64(i+40), text)
	}
	app.Post(tui.Delivered{Room: "general", ID: "general43", Peers: 2, Of: 4})
	app.Post(tui.Delivered{Room: "general", ID: "general47", Peers: 4, Of: 4})
	say("dev", 1, 3, "alice, the build is green")
	say("日本語", 2, 3, "こんにちは")
	if err := app.Run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
