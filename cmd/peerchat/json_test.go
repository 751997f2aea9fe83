package main

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"

	"peerchat/peer"
	"peerchat/peer/history"
	"peerchat/peer/wire"
)

func someone(b byte, name string) peer.Person {
	var id wire.PeerID
	for i := range id {
		id[i] = b
	}
	return peer.Person{Peer: id, Name: name}
}

var noon = time.Date(2026, 1, 2, 12, 4, 5, 6, time.UTC)

// allEvents has one event of each type, with hostile text where somebody else chooses it.
func allEvents() []peer.Event {
	bob := someone(7, "bob")
	evil := someone(9, "evil\x1b[2J\u202e")
	path := peer.Path{Kind: "host", Local: "127.0.0.1:1", Remote: "127.0.0.1:2", RTT: 1500 * time.Microsecond}
	info := peer.PeerInfo{Person: evil, State: "linked", Rooms: []wire.Room{"general"}, Path: path, Since: noon, Voice: wire.Voice{Room: "general", Deaf: true}}
	tracker := peer.TrackerChanged{State: peer.TrackerLost, URL: "ws://h:5000/ws", Term: 3, Leader: bob.Peer, Trying: "h", Err: errors.New("no\x1b")}
	evilURL := "ws://10.0.0.9:5001/\x1b[2J"
	candidates := []peer.CandidateInfo{
		{Person: bob, Place: 1, Dialable: true, Priority: -3, Port: 5000, Addresses: []string{"ws://10.0.0.7:5000/ws", "ws://127.0.0.1:5000/ws"},
			Leader: true, Self: true, Age: time.Second},
		{Person: evil, Place: 2, Port: 5001, Addresses: []string{evilURL}},
		{Person: peer.Person{Peer: someone(5, "").Peer}, Place: 3},
	}
	text := "a\x00b\x1b[31m\n\u202e\U000e0041 \"q\" \\ <&> \u0085 \xff 🙂"
	return []peer.Event{
		peer.VoiceChanged{Room: "general", Person: bob, State: peer.VoiceJoined, Self: true, Members: 1, Muted: true},
		peer.VoiceChanged{Room: "general", Person: bob, State: peer.VoiceMuted, Self: true, Members: 1, Muted: true},
		peer.VoiceChanged{Room: "general", Person: bob, State: peer.VoiceUnmuted, Self: true, Members: 1},
		peer.VoiceChanged{Room: "general", Person: bob, State: peer.VoiceDeafened, Self: true, Members: 1, Muted: true, Deaf: true},
		peer.VoiceChanged{Room: "general", Person: bob, State: peer.VoiceUndeafened, Self: true, Members: 1, Muted: true},
		peer.VoiceChanged{Room: "general", Person: bob, State: peer.VoiceLeft, Self: true},
		peer.VoiceChanged{Room: "general", Person: evil, State: peer.VoiceJoined, Members: 1},
		peer.VoiceChanged{Room: "general", Person: evil, State: peer.VoiceDeafened, Members: 1, Deaf: true},
		peer.VoiceChanged{Room: "general", Person: evil, State: peer.VoiceLeft},
		peer.Ready{Self: bob, Rooms: []wire.Room{"general", "dev"}},
		tracker,
		peer.TrackerChanged{State: peer.TrackerSearching, URL: "a tracker of our own"},
		peer.TrackerChanged{State: peer.TrackerHosting, URL: "ws://127.0.0.1:5000/ws", Self: true},
		peer.TrackerChanged{State: peer.TrackerElecting},
		peer.TrackerChanged{State: peer.TrackerConnected, URL: evilURL, Term: 4, Leader: evil.Peer, Name: evil.Name, InMesh: true},
		peer.TrackerChanged{State: peer.TrackerHosting, URL: "ws://10.0.0.7:5000/ws", Term: 5, Leader: bob.Peer, Name: "bob", Self: true, Solo: true},
		peer.RoomJoined{Room: "dev", Members: []peer.Person{evil}},
		peer.RoomLeft{Room: "dev"},
		peer.MemberJoined{Room: "general", Person: evil, Members: 2},
		peer.MemberLeft{Room: "general", Person: evil, Members: 1},
		peer.MemberRenamed{Room: "general", Person: bob, Was: "evil\x1b", Members: 1},
		peer.LinkChanged{Person: evil, Up: true, Path: path},
		peer.LinkChanged{Person: evil, Reason: "gone\x07"},
		peer.LinkMeasured{Peer: evil.Peer, Path: path},
		peer.Message{Room: "general", Person: evil, ID: uuid.UUID{1}, Seq: 4, Lamport: 5, Kind: wire.KindText, Text: text, Sent: noon, History: true},
		peer.Message{Room: "general", Person: bob, ID: uuid.UUID{2}, Seq: 5, Lamport: 6, Kind: wire.KindAction, Text: "waves", Sent: noon, Self: true},
		peer.Message{Room: "general", Person: bob, ID: uuid.UUID{3}, Seq: 6, Lamport: 7, Kind: wire.KindTopic, Text: "t", Sent: noon},
		peer.Delivered{Room: "general", ID: uuid.UUID{2}, Seq: 5, Peers: 1, Of: 2},
		peer.Synced{Room: "general", Missing: 12},
		peer.Answer{Ref: "older", Value: peer.OlderAnswer{Room: "general", Err: errors.New("no\x1b")}},
		peer.Notice{Room: "general", Code: "c", Text: "n\x1b"},
		peer.Failure{Code: "c", Text: "f\x1b"},
		peer.Answer{Ref: "peers", Value: peer.PeersAnswer{Peers: []peer.PeerInfo{info}}},
		peer.Answer{Ref: wire.Room("general"), Value: peer.PeersAnswer{Peers: []peer.PeerInfo{info}}},
		peer.Answer{Ref: "rooms", Value: peer.RoomsAnswer{Rooms: []peer.RoomInfo{{Room: "general", Members: 2, Joined: true, Topic: "x\x1b"}}}},
		peer.Answer{Ref: "net", Value: peer.NetAnswer{Self: bob, Tracker: tracker, Peers: []peer.PeerInfo{info}, Counters: map[string]uint64{"a": 1},
			Term: 7, Candidates: candidates}},
		peer.Answer{Ref: inviteRef{}, Value: peer.InviteAnswer{Room: "general", Addresses: []string{"ws://10.0.0.7:5000/ws", evilURL, "wss://h:5000/ws"}}},
		peer.Answer{Ref: inviteRef{code: true}, Value: peer.InviteAnswer{Room: "general", Addresses: []string{"ws://127.0.0.1:5000/ws"}}},
		peer.Answer{Ref: inviteRef{}, Value: peer.InviteAnswer{Room: "general", Addresses: []string{evilURL}}},
		peer.Stopped{},
	}
}

// Scripts act on a change of state; what is tried while there is no tracker is for people, and changes several times a
// second.
func TestJSONTellsAChangeOfTheTrackersStateOnce(t *testing.T) {
	ann, refused := someone(7, "ann"), errors.New("refused")
	searching := peer.TrackerChanged{State: peer.TrackerSearching, Trying: "ws://a, try 1"}
	lost := peer.TrackerChanged{State: peer.TrackerLost, URL: "ws://a:5000/ws", Err: errors.New("closed")}
	electing := peer.TrackerChanged{State: peer.TrackerElecting, Term: 1}
	connected := peer.TrackerChanged{State: peer.TrackerConnected, URL: "ws://a:5000/ws"}
	with := func(t peer.TrackerChanged, change func(*peer.TrackerChanged)) peer.TrackerChanged {
		change(&t)
		return t
	}
	trying := func(what string, err error) func(*peer.TrackerChanged) {
		return func(t *peer.TrackerChanged) { t.Trying, t.Err = what, err }
	}
	led := func(term uint64, url, name string) func(*peer.TrackerChanged) {
		return func(t *peer.TrackerChanged) { t.Term, t.Leader, t.URL, t.Name = term, ann.Peer, url, name }
	}
	p := &jsonPrinter{now: func() time.Time { return noon }}
	for _, step := range []struct {
		what string
		news bool
		ev   peer.TrackerChanged
	}{
		{"a search begins", true, searching},
		{"it goes on", false, with(searching, trying("ws://b, try 1", nil))},
		{"it was in vain at first", true, with(searching, trying("again in 1s, try 2", refused))},
		{"it is tried again", false, with(searching, trying("ws://a, try 2", refused))},
		{"and fails otherwise", false, with(searching, trying("again in 2s, try 3", errors.New("busy")))},
		{"there is one", true, connected},
		{"nothing but what was tried last is other", false, with(connected, trying("x", refused))},
		{"it is lost", true, lost},
		{"it is tried", false, with(lost, trying("ws://a, try 1", refused))},
		{"another was elected, and is not reached yet", false, with(lost, led(1, "ws://b:5000/ws", "ann"))},
		{"it is reached", true, with(connected, led(1, "ws://b:5000/ws", ""))},
		{"its name is known", true, with(connected, led(1, "ws://b:5000/ws", "ann"))},
		{"it has moved", true, with(connected, led(1, "ws://c:5000/ws", "ann"))},
		{"it is lost, too", true, lost},
		{"an election", true, electing},
		{"of a later term", false, with(electing, led(2, "", ""))},
		{"which failed", true, lost},
		{"a search begins anew", true, searching},
		{"it was in vain at first, too", true, with(searching, trying("again in 1s, try 2", refused))},
	} {
		if out := p.event(nil, step.ev, &view{}); (len(out) > 0) != step.news {
			t.Errorf("%s: a line is %v, want %v: %s", step.what, len(out) > 0, step.news, out)
		}
	}
}

// wantFields is what the contract of the command line promises for each type of line.
var wantFields = map[string][]string{
	"ready": {"peer", "username", "rooms", "profile"}, "tracker": {"state", "url", "term", "leader", "self"},
	"member": {"room", "peer", "name", "state", "members"}, "link": {"peer", "name", "state", "path", "rtt_ms"},
	"message":   {"room", "peer", "name", "id", "seq", "text", "sent", "self", "history"},
	"delivered": {"room", "id", "peers", "of"}, "notice": {"code", "text"}, "error": {"code", "text"},
	"peers": {"peers"}, "names": {"room", "peers"}, "rooms": {"rooms"}, "net": {"tracker", "term", "candidates", "peers", "counters"},
	"invite": {"room", "url", "addresses", "only_here"}, "help": {"text"},
	"synced": {"room", "missing"}, "search": {"room", "query", "hits", "more"}, "older": {"room", "lines", "end", "text"},
	"room": {"room", "state"}, "voice": {"room", "peer", "name", "state", "members", "self"},
}

func TestJSONLinesKeepTheContract(t *testing.T) {
	p := &jsonPrinter{now: func() time.Time { return noon }, profile: "/p"}
	var out []byte
	for _, ev := range allEvents() {
		out = p.event(out, ev, &view{})
	}
	out = p.found(out, found{query: "q\x1b", res: history.Results{Hits: []history.Hit{{Event: wire.Event{Room: "general", Name: "evil\x1b", Kind: wire.KindText,
		Body: []byte("a\x1b\x7f\u0085\u202e\U000e0041 b"), Time: noon}, Spans: []history.Span{{From: 0, To: 1}}}}}}, &view{})
	out = p.older(p.asking(out, "general"), olderLines{room: "general", lines: []olderLine{{Message: peer.Message{Text: "a\x7f\u0085\u202e"}}}, end: "alone", text: "why"}, &view{})
	out = p.help(p.notice(p.problem(out, "code", "text"), "code", "text"), "")
	seen := map[string]bool{}
	for line := range strings.Lines(string(out)) {
		var fields map[string]any
		if err := json.Unmarshal([]byte(line), &fields); err != nil {
			t.Errorf("not JSON (%v): %s", err, line)
			continue
		}
		kind, _ := fields["type"].(string)
		seen[kind] = true
		if !strings.HasPrefix(line, `{"type":"`) || fields["time"] != "2026-01-02T12:04:05.000000006Z" {
			t.Errorf("the line does not begin with type and time: %s", line)
		}
		for _, name := range wantFields[kind] {
			if _, ok := fields[name]; !ok {
				t.Errorf("a %s line has no %s: %s", kind, name, line)
			}
		}
		for _, r := range strings.TrimSuffix(line, "\n") {
			if unicode.In(r, unicode.Cc, unicode.Cf) || r == utf8.RuneError && !strings.Contains(line, `\ufffd`) {
				t.Errorf("the character %U stands raw in %s", r, line)
			}
		}
	}
	for kind := range wantFields {
		if !seen[kind] {
			t.Errorf("no event makes a line of type %s", kind)
		}
	}
}

func TestJSONTellsOfTheElection(t *testing.T) {
	p := &jsonPrinter{now: func() time.Time { return noon }}
	bob := someone(7, "bob")
	for _, tt := range []struct {
		ev   peer.TrackerChanged
		want string // what follows the time
	}{
		{peer.TrackerChanged{State: peer.TrackerConnected, URL: "ws://h:5000/ws"},
			`"state":"connected","url":"ws://h:5000/ws","term":0,"leader":"","self":false}`},
		{peer.TrackerChanged{State: peer.TrackerLost, Term: 2, Err: errors.New("reset")},
			`"state":"lost","url":"","term":2,"leader":"","self":false,"error":"reset"}`},
		{peer.TrackerChanged{State: peer.TrackerElecting, Term: 2}, `"state":"electing","url":"","term":2,"leader":"","self":false}`},
		{peer.TrackerChanged{State: peer.TrackerHosting, URL: "ws://h:5000/ws", Term: 3, Leader: bob.Peer, Name: "bob", Self: true, InMesh: true, Solo: true},
			`"state":"hosting","url":"ws://h:5000/ws","term":3,"leader":"` + bob.Peer.String() + `","self":true,"name":"bob","in_mesh":true,"solo":true}`},
	} {
		if got := string(p.event(nil, tt.ev, nil)); !strings.HasSuffix(got, tt.want+"\n") {
			t.Errorf("the line is\n%swant at its end\n%s", got, tt.want)
		}
	}
	net := peer.NetAnswer{Term: 9, Candidates: []peer.CandidateInfo{{Person: bob, Place: 1, Dialable: true, Priority: -2, Port: 5003, Leader: true,
		Age: 1500 * time.Microsecond}}}
	want := `"term":9,"candidates":[{"rank":1,"peer":"` + bob.Peer.String() +
		`","name":"bob","dialable":true,"priority":-2,"port":5003,"addresses":[],"leader":true,"self":false,"age_ms":1.5}]`
	if got := string(p.event(nil, peer.Answer{Ref: "net", Value: net}, nil)); !strings.Contains(got, want) {
		t.Errorf("the answer is\n%swant in it\n%s", got, want)
	}
}

func TestJSONKeepsTheText(t *testing.T) {
	p := &jsonPrinter{now: time.Now}
	text := "a\x00b\x1b[31m\r\n\t\u202e\U000e0041\u2028 \"q\" \\ <&> \u0085\x7f 🙂 \ufffd"
	line := p.event(nil, peer.Message{Text: text}, nil)
	var got struct{ Text, Sent string }
	if err := json.Unmarshal(line, &got); err != nil {
		t.Fatal(err)
	}
	if got.Text != text {
		t.Errorf("the text came out as %q, want %q", got.Text, text)
	}
}

// Any string becomes a JSON string that means the same, up to what is not UTF-8.
func FuzzAppendJSONString(f *testing.F) {
	f.Add("plain")
	f.Add("a\x00\x1b\u202e\U000e0041\u2028\xff\"\\")
	f.Fuzz(func(t *testing.T, s string) {
		b := appendJSONString(nil, s)
		var got string
		if err := json.Unmarshal(b, &got); err != nil {
			t.Fatalf("%q became %q, which is not JSON: %v", s, b, err)
		}
		if want := string([]rune(s)); got != want {
			t.Errorf("%q came back as %q", want, got)
		}
		if i := strings.IndexFunc(string(b), unicode.IsControl); i >= 0 {
			t.Errorf("%q holds a raw control character", b)
		}
	})
}

func BenchmarkJSONMessage(b *testing.B) {
	p := &jsonPrinter{now: time.Now}
	m := peer.Message{Room: "general", Person: someone(7, "bob"), Text: "a line of the usual length, more or less", Sent: noon}
	var buf []byte
	for b.Loop() {
		buf = p.event(buf[:0], m, nil)
	}
}
