package main

import (
	"errors"
	"fmt"
	"reflect"
	"testing"

	"peerchat/peer"
	"peerchat/peer/wire"
	"peerchat/tui"
)

func TestEveryEventReachesTheScreen(t *testing.T) {
	self := someone(7, "bob").Peer
	seen := map[reflect.Type]bool{}
	for _, ev := range allEvents() {
		msgs := toMsgs(ev, self)
		if _, last := ev.(peer.Stopped); last != (len(msgs) == 0) {
			t.Errorf("%T becomes %d messages", ev, len(msgs))
		}
		for _, m := range msgs {
			seen[reflect.TypeOf(m)] = true
		}
	}
	for _, m := range []tui.Msg{tui.Self{}, tui.Tracker{}, tui.RoomJoined{}, tui.RoomLeft{}, tui.MemberJoined{}, tui.MemberLeft{},
		tui.MemberRenamed{}, tui.Link{}, tui.Line{}, tui.Delivered{}, tui.Notice{}, tui.Failure{}, tui.Answer{}, tui.Rooms{},
		tui.Invitation{}, tui.Synced{}, tui.Older{}} {
		if !seen[reflect.TypeOf(m)] {
			t.Errorf("no event becomes a %T", m)
		}
	}
}

func TestOwnNewNameIsTheScreensName(t *testing.T) {
	me := someone(7, "robert")
	msgs := toMsgs(peer.MemberRenamed{Room: "general", Person: me, Was: "bob", Members: 1}, me.Peer)
	if len(msgs) != 2 || msgs[0] != (tui.Self{ID: me.Peer.String(), Name: "robert"}) {
		t.Errorf("the own new name becomes %v, want Self first", msgs)
	}
}

func TestActionsBecomeCommands(t *testing.T) {
	for _, tt := range []struct {
		action tui.Action
		want   peer.Command
	}{
		{tui.Say{Room: "r", Text: "t"}, peer.Say{Room: "r", Kind: wire.KindText, Text: "t"}},
		{tui.Me{Room: "r", Text: "t"}, peer.Say{Room: "r", Kind: wire.KindAction, Text: "t"}},
		{tui.SetTopic{Room: "r", Text: "t"}, peer.Say{Room: "r", Kind: wire.KindTopic, Text: "t"}},
		{tui.Join{Room: "r"}, peer.JoinRoom{Room: "r"}},
		{tui.Leave{Room: "r"}, peer.LeaveRoom{Room: "r"}},
		{tui.List{}, peer.ListRooms{Ref: "rooms"}},
		{tui.Names{Room: "r"}, peer.ListPeers{Ref: wire.Room("r")}},
		{tui.Peers{}, peer.ListPeers{Ref: "peers"}},
		{tui.Net{}, peer.ShowNet{Ref: "net"}},
		{tui.Nick{Name: "n"}, peer.Rename{Name: "n"}},
		{tui.Invite{Room: "r"}, peer.Invite{Ref: inviteRef{}, Room: "r"}},
		{tui.Invite{Room: "r", Code: true}, peer.Invite{Ref: inviteRef{code: true}, Room: "r"}},
		{tui.Reconnect{}, peer.Reconnect{}},
		{tui.FetchOlder{Room: "r", Lines: 7}, peer.FetchOlder{Ref: "older", Room: "r", Events: 7}},
		{tui.Clear{}, nil},
		{tui.Quit{}, nil},
	} {
		if got := toCommand(tt.action); got != tt.want {
			t.Errorf("%#v becomes %#v, want %#v", tt.action, got, tt.want)
		}
	}
}

func TestTheTrackerIsNamedOnTheScreen(t *testing.T) {
	bob := someone(7, "bob")
	ev := peer.TrackerChanged{State: peer.TrackerConnected, URL: "u", Term: 3, Leader: bob.Peer, Name: "bob", InMesh: true, Solo: true}
	want := tui.Tracker{State: tui.TrackerConnected, URL: "u", Term: 3, Leader: "bob", LeaderID: bob.Peer.String(), InMesh: true, Solo: true}
	if got := toMsgs(ev, bob.Peer); len(got) != 1 || got[0] != want {
		t.Errorf("an elected tracker becomes %+v, want %+v", got, want)
	}
	ev.Leader, want.Leader, want.LeaderID = wire.PeerID{}, "", ""
	if got := toMsgs(ev, bob.Peer); len(got) != 1 || got[0] != want {
		t.Errorf("a stand-alone tracker becomes %+v, want no name", got)
	}
}

func TestWhyThereIsNothingOlderIsToldInWords(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{fmt.Errorf("fetch older messages of #dev: %w", peer.ErrAlone), "no older lines: nobody is linked who could have any; try again when somebody is"},
		{errors.New("something else"), "no older lines: something else"},
		{nil, ""},
	} {
		got := toAnswer(peer.Answer{Value: peer.OlderAnswer{Room: "dev", Err: c.err}})
		if want := (tui.Older{Room: "dev", Why: c.want}); got != want {
			t.Errorf("%v is told as %+v, want %+v", c.err, got, want)
		}
	}
}

// What was typed in vain says the same when it is typed again.
func TestWhatIsRetypedSaysTheSame(t *testing.T) {
	for mode, parse := range map[string]parser{"the screen": tui.Parse, "line mode": tui.ParsePlain} {
		for _, line := range []string{"hello", "//etc is full", "///", "/me waves", "/topic the plan", "/topic -", "send send me", "send exit", "send peers", "send /quit", " exit ", "two  words"} {
			action, err := parse(line, "dev")
			if err != nil {
				t.Fatalf("%s: %q: %v", mode, line, err)
			}
			say, ok := toCommand(action).(peer.Say)
			if !ok {
				if line != " exit " {
					t.Errorf("%s: %q says nothing", mode, line)
				}
				continue
			}
			again := retyped([]peer.Say{say}, parse)
			if len(again) != 1 {
				t.Errorf("%s: of %q comes back %q", mode, line, again)
			} else if got, err := parse(again[0], "dev"); err != nil || got != action {
				t.Errorf("%s: of %q comes back %q, which means %+v, %v; want %+v", mode, line, again[0], got, err, action)
			}
		}
	}
}
