package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"peerchat/peer"
	"peerchat/peer/wire"
	"peerchat/tui"
)

// jsonTime is RFC 3339 with nanoseconds, always of one length.
const jsonTime = "2006-01-02T15:04:05.000000000Z07:00"

// jsonPrinter prints an object per line, as docs/json.md says.
type jsonPrinter struct {
	now     func() time.Time
	profile string              // directory
	tracker peer.TrackerChanged // as printed last
}

// object is a JSON object under construction, appended to b. Keys must need no escaping.
type object struct{ b []byte }

func (p *jsonPrinter) begin(b []byte, kind string) *object {
	o := &object{append(b, `{"type":`...)}
	o.b = appendJSONString(o.b, kind)
	o.b = append(o.b, `,"time":"`...)
	o.b = p.now().UTC().AppendFormat(o.b, jsonTime)
	o.b = append(o.b, '"')
	return o
}

func (o *object) key(key string) {
	o.b = append(o.b, ',', '"')
	o.b = append(o.b, key...)
	o.b = append(o.b, '"', ':')
}

func (o *object) str(key, value string) *object {
	o.key(key)
	o.b = appendJSONString(o.b, value)
	return o
}

func (o *object) int(key string, value int) *object {
	o.key(key)
	o.b = strconv.AppendInt(o.b, int64(value), 10)
	return o
}

func (o *object) uint(key string, value uint64) *object {
	o.key(key)
	o.b = strconv.AppendUint(o.b, value, 10)
	return o
}

func (o *object) bool(key string, value bool) *object {
	o.key(key)
	o.b = strconv.AppendBool(o.b, value)
	return o
}

// any appends a value of package encoding/json.
func (o *object) any(key string, value any) *object {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(value); err != nil {
		panic(fmt.Sprintf("peerchat: %T cannot be JSON: %v", value, err)) // there is no such value here
	}
	o.key(key)
	for _, r := range string(bytes.TrimRight(buf.Bytes(), "\n")) { // which is valid UTF-8, and has what is to be escaped in strings only
		if risky(r) {
			o.b = appendRuneEscape(o.b, r)
		} else {
			o.b = utf8.AppendRune(o.b, r)
		}
	}
	return o
}

func (o *object) end() []byte { return append(o.b, '}', '\n') }

func (o *object) person(p peer.Person) *object {
	return o.str("peer", idString(p.Peer)).str("name", p.Name)
}

// idString is a peer's full ID, or empty for nobody.
func idString(id wire.PeerID) string {
	if id.IsZero() {
		return ""
	}
	return id.String()
}

func (p *jsonPrinter) event(b []byte, ev peer.Event, _ *view) []byte {
	switch ev := ev.(type) {
	case peer.Ready:
		o := p.begin(b, "ready").str("peer", idString(ev.Self.Peer)).str("username", ev.Self.Name)
		return o.any("rooms", ev.Rooms).str("profile", p.profile).end()
	case peer.TrackerChanged:
		if p.trackerNews(ev) {
			return p.trackerChanged(b, ev)
		}
		return b
	case peer.RoomJoined:
		b = p.begin(b, "room").str("room", string(ev.Room)).str("state", "joined").int("members", len(ev.Members)+1).end()
		for _, m := range ev.Members {
			b = p.member(b, ev.Room, m, "joined", len(ev.Members)+1).end()
		}
		return b
	case peer.RoomLeft:
		return p.begin(b, "room").str("room", string(ev.Room)).str("state", "left").end()
	case peer.MemberJoined:
		return p.member(b, ev.Room, ev.Person, "joined", ev.Members).end()
	case peer.MemberLeft:
		return p.member(b, ev.Room, ev.Person, "left", ev.Members).end()
	case peer.MemberRenamed:
		return p.member(b, ev.Room, ev.Person, "renamed", ev.Members).str("was", ev.Was).end()
	case peer.VoiceChanged:
		return p.voiceChanged(b, ev)
	case peer.LinkChanged:
		state := "down"
		if ev.Up {
			state = "up"
		}
		o := p.begin(b, "link").person(ev.Person).str("state", state).str("path", ev.Path.Kind)
		o.any("rtt_ms", milliseconds(ev.Path.RTT))
		if ev.Reason != "" {
			o.str("reason", ev.Reason)
		}
		return o.end()
	case peer.Message:
		o := p.begin(b, "message").str("room", string(ev.Room)).person(ev.Person).str("id", ev.ID.String()).uint("seq", ev.Seq).
			str("kind", kindName(ev.Kind)).str("text", ev.Text)
		o.key("sent")
		o.b = append(o.b, '"')
		o.b = ev.Sent.UTC().AppendFormat(o.b, jsonTime)
		o.b = append(o.b, '"')
		o.bool("self", ev.Self).bool("history", ev.History).uint("lamport", ev.Lamport)
		if ev.Missing > 0 {
			o.uint("missing_before", ev.Missing)
		}
		return o.end()
	case peer.Delivered:
		return p.begin(b, "delivered").str("room", string(ev.Room)).str("id", ev.ID.String()).uint("seq", ev.Seq).
			int("peers", ev.Peers).int("of", ev.Of).end()
	case peer.Synced:
		return p.begin(b, "synced").str("room", string(ev.Room)).int("missing", ev.Missing).end()
	case peer.Notice:
		return p.roomed(p.begin(b, "notice"), ev.Room).str("code", ev.Code).str("text", ev.Text).end()
	case peer.Failure:
		o := p.roomed(p.begin(b, "error"), ev.Room).str("code", ev.Code).str("text", ev.Text)
		if len(ev.Said) > 0 {
			o.any("said", retyped(ev.Said, tui.ParsePlain))
		}
		return o.end()
	case peer.Answer:
		return p.answer(b, ev)
	}
	return b
}

// trackerNews tells whether a script is to hear how things stand with the tracker: of each change of state once, also
// of which tracker it is, and why a search had no success at first. What is tried meanwhile is for people.
func (p *jsonPrinter) trackerNews(t peer.TrackerChanged) bool {
	was := p.tracker
	news := t.State != was.State
	switch t.State {
	case peer.TrackerSearching:
		news = news || was.Err == nil && t.Err != nil
	case peer.TrackerConnected, peer.TrackerHosting:
		t.Trying, t.Err = "", nil
		news = news || t != was
	}
	if news {
		p.tracker = t
	}
	return news
}

func (p *jsonPrinter) trackerChanged(b []byte, ev peer.TrackerChanged) []byte {
	url := ev.URL
	if !strings.Contains(url, "://") { // words for people about what is being tried
		url = ""
	}
	o := p.begin(b, "tracker").str("state", string(ev.State)).str("url", url).uint("term", ev.Term).
		str("leader", idString(ev.Leader)).bool("self", ev.Self)
	if ev.Name != "" {
		o.str("name", ev.Name)
	}
	if ev.InMesh {
		o.bool("in_mesh", true)
	}
	if ev.Solo {
		o.bool("solo", true)
	}
	if ev.Trying != "" {
		o.str("trying", ev.Trying)
	}
	if ev.Err != nil {
		o.str("error", ev.Err.Error())
	}
	return o.end()
}

func (p *jsonPrinter) member(b []byte, room wire.Room, who peer.Person, state string, members int) *object {
	return p.begin(b, "member").str("room", string(room)).person(who).str("state", state).int("members", members)
}

func (p *jsonPrinter) roomed(o *object, room wire.Room) *object {
	if room != "" {
		o.str("room", string(room))
	}
	return o
}

// jsonPeer is one of the peers of an answer.
type jsonPeer struct {
	Peer   string      `json:"peer"`
	Name   string      `json:"name"`
	State  string      `json:"state"`
	Rooms  []wire.Room `json:"rooms"`
	Path   string      `json:"path"`
	Local  string      `json:"local,omitempty"`
	Remote string      `json:"remote,omitempty"`
	RTT    float64     `json:"rtt_ms"`
	Since  string      `json:"since,omitempty"`
	Voice  *jsonVoice  `json:"voice,omitempty"` // in whose voice it is, and how
}

type jsonVoice struct {
	Room  wire.Room `json:"room"`
	Muted bool      `json:"muted"`
	Deaf  bool      `json:"deaf"`
}

func jsonPeers(list []peer.PeerInfo) []jsonPeer {
	out := make([]jsonPeer, 0, len(list))
	for _, i := range list {
		j := jsonPeer{
			Peer: idString(i.Peer), Name: i.Name, State: i.State, Rooms: i.Rooms, Path: i.Path.Kind,
			Local: i.Path.Local, Remote: i.Path.Remote, RTT: milliseconds(i.Path.RTT),
		}
		if j.Rooms == nil {
			j.Rooms = []wire.Room{}
		}
		if !i.Since.IsZero() {
			j.Since = i.Since.UTC().Format(jsonTime)
		}
		if i.Voice.Room != "" {
			v := jsonVoice(i.Voice)
			j.Voice = &v
		}
		out = append(out, j)
	}
	return out
}

func (p *jsonPrinter) answer(b []byte, ev peer.Answer) []byte {
	switch a := ev.Value.(type) {
	case peer.PeersAnswer:
		if room, ok := ev.Ref.(wire.Room); ok {
			var there []peer.PeerInfo
			for _, i := range a.Peers {
				if inRoom(i, room) {
					there = append(there, i)
				}
			}
			return p.begin(b, "names").str("room", string(room)).any("peers", jsonPeers(there)).end()
		}
		return p.begin(b, "peers").any("peers", jsonPeers(a.Peers)).end()
	case peer.RoomsAnswer:
		type jsonRoom struct {
			Room    wire.Room `json:"room"`
			Members int       `json:"members"`
			Joined  bool      `json:"joined"`
			Topic   string    `json:"topic"`
		}
		rooms := make([]jsonRoom, 0, len(a.Rooms))
		for _, r := range a.Rooms {
			rooms = append(rooms, jsonRoom(r))
		}
		return p.begin(b, "rooms").any("rooms", rooms).end()
	case peer.NetAnswer:
		o := p.begin(b, "net").person(a.Self)
		t := a.Tracker
		o.any("tracker", map[string]any{
			"state": t.State, "url": t.URL, "term": t.Term, "leader": idString(t.Leader), "name": t.Name, "self": t.Self,
			"in_mesh": t.InMesh, "solo": t.Solo, "trying": t.Trying,
		})
		o.uint("term", a.Term).any("candidates", jsonCandidates(a.Candidates))
		if a.STUN == nil {
			a.STUN = []string{}
		}
		o.any("stun", a.STUN).str("observed", a.Observed).int("linked", a.Linked).int("known", a.Known)
		return o.any("peers", jsonPeers(a.Peers)).any("counters", a.Counters).end()
	case peer.InviteAnswer:
		return p.invitation(b, a, ev.Ref)
	}
	return b
}

// jsonCandidate is one of the candidates of an answer.
type jsonCandidate struct {
	Rank      int      `json:"rank"` // place in the ranking, from 1
	Peer      string   `json:"peer"`
	Name      string   `json:"name"`
	Dialable  bool     `json:"dialable"`
	Priority  int16    `json:"priority"`
	Port      uint16   `json:"port"`
	Addresses []string `json:"addresses"`
	Leader    bool     `json:"leader"`
	Self      bool     `json:"self"`
	Age       float64  `json:"age_ms"`
}

func jsonCandidates(list []peer.CandidateInfo) []jsonCandidate {
	out := make([]jsonCandidate, 0, len(list))
	for _, c := range list {
		j := jsonCandidate{Rank: c.Place, Peer: idString(c.Peer), Name: c.Name, Dialable: c.Dialable, Priority: c.Priority, Port: c.Port,
			Addresses: c.Addresses, Leader: c.Leader, Self: c.Self, Age: milliseconds(c.Age)}
		if j.Addresses == nil {
			j.Addresses = []string{}
		}
		out = append(out, j)
	}
	return out
}

func (p *jsonPrinter) invitation(b []byte, a peer.InviteAnswer, ref any) []byte {
	inv, here, err := newInvite(a.Room, a.Addresses)
	if err != nil {
		return p.problem(b, "invite", fmt.Sprintf("no invitation into %s: %v", a.Room, err))
	}
	o := p.begin(b, "invite").str("room", string(a.Room)).str("url", inv.String()).any("addresses", inv.trackers).bool("only_here", here)
	if r, _ := ref.(inviteRef); r.code {
		o.any("qr", inv.codes()[0])
	}
	return o.end()
}

func (p *jsonPrinter) problem(b []byte, code, text string) []byte {
	return p.begin(b, "error").str("code", code).str("text", text).end()
}

func (p *jsonPrinter) notice(b []byte, code, text string) []byte {
	return p.begin(b, "notice").str("code", code).str("text", text).end()
}

func (p *jsonPrinter) help(b []byte, topic string) []byte {
	return p.begin(b, "help").str("text", strings.Join(tui.HelpText(topic), "\n")).end()
}

func inRoom(i peer.PeerInfo, room wire.Room) bool {
	for _, r := range i.Rooms {
		if r == room {
			return true
		}
	}
	return false
}

func kindName(k wire.Kind) string {
	switch k {
	case wire.KindAction:
		return "action"
	case wire.KindTopic:
		return "topic"
	}
	return "text"
}

// milliseconds of a duration, to the microsecond.
func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// appendJSONString appends s as a JSON string (RFC 8259 section 7). Besides what must be escaped it escapes what a
// terminal or a reader could stumble over: all control and format characters, and line separators. What is not UTF-8
// becomes U+FFFD.
func appendJSONString(b []byte, s string) []byte {
	b = append(b, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			if c >= 0x20 && c != '"' && c != '\\' && c != 0x7f {
				i++
				continue
			}
			b = append(b, s[start:i]...)
			switch c {
			case '"', '\\':
				b = append(b, '\\', c)
			case '\n':
				b = append(b, '\\', 'n')
			case '\t':
				b = append(b, '\\', 't')
			case '\r':
				b = append(b, '\\', 'r')
			default:
				b = appendEscape(b, uint16(c))
			}
			i++
			start = i
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		if (r == utf8.RuneError && size == 1) || risky(r) {
			b = appendRuneEscape(append(b, s[start:i]...), r)
			start = i + size
		}
		i += size
	}
	b = append(b, s[start:]...)
	return append(b, '"')
}

// risky are all control and format characters, and line separators.
func risky(r rune) bool {
	return r < 0x20 || r >= 0x7f && unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp)
}

func appendRuneEscape(b []byte, r rune) []byte {
	if r > 0xffff { // beyond the basic plane: a surrogate pair
		r -= 0x10000
		return appendEscape(appendEscape(b, uint16(0xd800+r>>10)), uint16(0xdc00+r&0x3ff))
	}
	return appendEscape(b, uint16(r))
}

func appendEscape(b []byte, c uint16) []byte {
	const hex = "0123456789abcdef"
	return append(b, '\\', 'u', hex[c>>12], hex[c>>8&15], hex[c>>4&15], hex[c&15])
}
