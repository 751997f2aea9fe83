package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"peerchat/peer"
	"peerchat/peer/wire"
	"peerchat/tui"
)

// The translation between peer and screen: neither knows the other. These functions hold no state.

// toMsgs says what an event means to the screen: no, one or several messages. self is this peer.
func toMsgs(ev peer.Event, self wire.PeerID) []tui.Msg {
	one := func(m tui.Msg) []tui.Msg { return []tui.Msg{m} }
	switch ev := ev.(type) {
	case peer.Ready:
		return one(tui.Self{ID: ev.Self.Peer.String(), Name: ev.Self.Name})
	case peer.TrackerChanged:
		return one(toTracker(ev))
	case peer.RoomJoined:
		joined := tui.RoomJoined{Room: string(ev.Room)}
		for _, p := range ev.Members {
			joined.Members = append(joined.Members, toMember(p))
		}
		return one(joined)
	case peer.RoomLeft:
		return one(tui.RoomLeft{Room: string(ev.Room)})
	case peer.MemberJoined:
		return one(tui.MemberJoined{Room: string(ev.Room), Member: toMember(ev.Person), Count: ev.Members})
	case peer.MemberLeft:
		return one(tui.MemberLeft{Room: string(ev.Room), Member: toMember(ev.Person), Count: ev.Members})
	case peer.MemberRenamed:
		renamed := tui.MemberRenamed{Room: string(ev.Room), Member: toMember(ev.Person), Was: ev.Was, Count: ev.Members}
		if ev.Person.Peer == self {
			return []tui.Msg{tui.Self{ID: self.String(), Name: ev.Person.Name}, renamed}
		}
		return one(renamed)
	case peer.VoiceChanged:
		return one(tui.VoiceMember{Room: string(ev.Room), Member: toMember(ev.Person), State: tui.VoiceState(ev.State), Count: ev.Members})
	case peer.LinkChanged:
		return one(tui.Link{Peer: ev.Person.Peer.String(), Name: ev.Person.Name, Up: ev.Up, Path: ev.Path.Kind, RTT: ev.Path.RTT,
			Reason: ev.Reason})
	case peer.LinkMeasured:
		return one(tui.Link{Peer: ev.Peer.String(), Up: true, Path: ev.Path.Kind, RTT: ev.Path.RTT})
	case peer.Message:
		return one(tui.Line{Room: string(ev.Room), Kind: toLineKind(ev.Kind), ID: ev.ID.String(), Peer: ev.Person.Peer.String(),
			Name: ev.Person.Name, Text: ev.Text, Sent: ev.Sent, Order: ev.Lamport, Seq: ev.Seq, Missing: ev.Missing, Self: ev.Self, History: ev.History})
	case peer.Delivered:
		return one(tui.Delivered{Room: string(ev.Room), ID: ev.ID.String(), Seq: ev.Seq, Peers: ev.Peers, Of: ev.Of})
	case peer.Notice:
		return one(tui.Notice{Room: string(ev.Room), Text: ev.Text})
	case peer.Failure:
		return one(tui.Failure{Room: string(ev.Room), Text: ev.Text, Said: retyped(ev.Said, tui.Parse)})
	case peer.Synced:
		return one(tui.Synced{Room: string(ev.Room), Missing: ev.Missing})
	case peer.Answer:
		return one(toAnswer(ev))
	}
	return nil // Stopped is the end of the screen, which its owner brings about
}

func toTracker(ev peer.TrackerChanged) tui.Tracker {
	t := tui.Tracker{State: tui.TrackerState(ev.State), URL: ev.URL, Term: ev.Term, Leader: ev.Name, Self: ev.Self, Solo: ev.Solo,
		InMesh: ev.InMesh, Trying: ev.Trying}
	if ev.Leader.IsZero() {
		t.Leader = "" // a stand-alone tracker is named by its address
	} else {
		t.LeaderID = ev.Leader.String()
	}
	if ev.Err != nil {
		t.Err = ev.Err.Error()
	}
	return t
}

func toMember(p peer.Person) tui.Member { return tui.Member{ID: p.Peer.String(), Name: p.Name} }

func toLineKind(k wire.Kind) tui.LineKind {
	switch k {
	case wire.KindAction:
		return tui.LineAction
	case wire.KindTopic:
		return tui.LineTopic
	}
	return tui.LineText
}

func toAnswer(a peer.Answer) tui.Msg {
	switch v := a.Value.(type) {
	case peer.RoomsAnswer:
		rooms := make([]tui.RoomInfo, 0, len(v.Rooms))
		for _, r := range v.Rooms {
			rooms = append(rooms, tui.RoomInfo{Room: string(r.Room), Members: r.Members, Joined: r.Joined, Topic: r.Topic})
		}
		return tui.Rooms{Rooms: rooms}
	case peer.NetAnswer:
		return tui.Answer{Title: "the network", Lines: answerLines(a, nil)}
	case peer.InviteAnswer:
		ref, _ := a.Ref.(inviteRef)
		return toInvitation(v, ref)
	case peer.OlderAnswer:
		older := tui.Older{Room: string(v.Room), Lines: v.Events}
		if v.Err != nil {
			older.Why = noOlderText(v)
		}
		return older
	}
	return tui.Answer{Title: "peers", Lines: answerLines(a, nil)}
}

// noOlderText says why no older lines came.
func noOlderText(a peer.OlderAnswer) string {
	return "no older lines: " + strings.TrimPrefix(a.Err.Error(), fmt.Sprintf("fetch older messages of %s: ", a.Room))
}

// toCommand says what an action of the user means to the peer; nil is nothing that a peer can do.
func toCommand(a tui.Action) peer.Command {
	switch a := a.(type) {
	case tui.Say:
		return peer.Say{Room: wire.Room(a.Room), Kind: wire.KindText, Text: a.Text}
	case tui.Me:
		return peer.Say{Room: wire.Room(a.Room), Kind: wire.KindAction, Text: a.Text}
	case tui.SetTopic:
		return peer.Say{Room: wire.Room(a.Room), Kind: wire.KindTopic, Text: a.Text}
	case tui.Join:
		return peer.JoinRoom{Room: wire.Room(a.Room)}
	case tui.Leave:
		return peer.LeaveRoom{Room: wire.Room(a.Room)}
	case tui.List:
		return peer.ListRooms{Ref: "rooms"}
	case tui.Names:
		return peer.ListPeers{Ref: wire.Room(a.Room)}
	case tui.Peers:
		return peer.ListPeers{Ref: "peers"}
	case tui.Net:
		return peer.ShowNet{Ref: "net"}
	case tui.Invite:
		return peer.Invite{Ref: inviteRef{a.Code}, Room: wire.Room(a.Room)}
	case tui.Nick:
		return peer.Rename{Name: a.Name}
	case tui.FetchOlder:
		return peer.FetchOlder{Ref: "older", Room: wire.Room(a.Room), Events: a.Lines}
	case tui.Reconnect:
		return peer.Reconnect{}
	}
	return nil
}

// parser reads what is typed: tui.Parse on the screen, tui.ParsePlain in line mode.
type parser func(line, room string) (tui.Action, error)

// retyped is what to type to say it again.
func retyped(said []peer.Say, parse parser) (lines []string) {
	for _, s := range said {
		switch s.Kind {
		case wire.KindAction:
			lines = append(lines, "/me "+s.Text)
			continue
		case wire.KindTopic:
			lines = append(lines, "/topic "+cmp.Or(s.Text, "-"))
			continue
		}
		as := []string{s.Text, "/" + s.Text, "send " + s.Text} // as it is, unless that is a command
		fits := slices.IndexFunc(as, func(line string) bool {
			a, err := parse(line, string(s.Room))
			return err == nil && a == (tui.Say{Room: string(s.Room), Text: s.Text})
		})
		lines = append(lines, as[max(fits, 0)])
	}
	return lines
}

// shortURL is a tracker's URL as people would type it.
func shortURL(url string) string {
	return strings.TrimSuffix(strings.TrimPrefix(url, "ws://"), "/ws")
}
