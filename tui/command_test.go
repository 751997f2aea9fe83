package tui

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestParse(t *testing.T) {
	for _, c := range []struct {
		line string
		want Action
	}{
		{"hello", Say{"general", "hello"}},
		{"  indented", Say{"general", "  indented"}},
		{"two\nlines", Say{"general", "two\nlines"}},
		{"", nil}, {"   ", nil}, {"\n\n", nil}, {"\x00\x07", nil},
		{"a\x00b\x1b[31mc\x7f", Say{"general", "ab[31mc"}},
		{"a\tb", Say{"general", "a b"}},
		{"bad \xff byte", Say{"general", "bad \uFFFD byte"}},
		{"//join x", Say{"general", "/join x"}},
		{"///", Say{"general", "//"}},
		{"/join dev", Join{"dev"}}, {"/j #Dev", Join{"dev"}}, {"/JOIN dev", Join{"dev"}}, {"/join\tdev ", Join{"dev"}},
		{"/join Café", Join{"café"}}, {"/join Cafe\u0301", Join{"café"}},
		{"/leave", Leave{"general"}}, {"/part #dev", Leave{"dev"}},
		{"/switch dev", Switch{"dev"}}, {"/list", List{}}, {"/rooms", List{}},
		{"/names", Names{"general"}}, {"/names dev", Names{"dev"}}, {"/peers", Peers{}}, {"/net", Net{}},
		{"/nick Bob the Builder", Nick{"Bob the Builder"}}, {"/me waves  twice", Me{"general", "waves  twice"}},
		{"/topic", AskTopic{"general"}}, {"/topic a  b", SetTopic{"general", "a b"}}, {"/topic -", SetTopic{"general", ""}},
		{"/connect example.org:5000", Connect{"example.org:5000"}}, {"/connect ::1 5000", Connect{"[::1]:5000"}},
		{"/connect peerchat://h:1/dev?or=h:2", Connect{"peerchat://h:1/dev?or=h:2"}},
		{"/invite", Invite{"general", false}}, {"/invite qr", Invite{"general", true}}, {"/invite #Dev", Invite{"dev", false}},
		{"/invite dev QR", Invite{"dev", true}}, {"/invite #qr", Invite{"qr", false}}, {"/invite qr qr", Invite{"qr", true}},
		{"/reconnect", Reconnect{}}, {"/quit", Quit{}}, {"/exit", Quit{}}, {"/version", Version{}},
		{"/clear", Clear{}}, {"/help", Help{}}, {"/help /join", Help{"join"}}, {"/bell", Bell{}}, {"/bell ALL", Bell{"all"}},
		{"/mouse on", Mouse{"on"}}, {"/joins none", Joins{"none"}},
		{"/older", ShowOlder{Room: "general"}}, {"/older 50", ShowOlder{Room: "general", Lines: 50}}, {"/find a b", Search{Room: "general", Text: "a b"}},
		{"peers", Say{"general", "peers"}},
		{"/voice", AskVoice{}}, {"/voice join", JoinVoice{"general"}}, {"/voice JOIN #Dev", JoinVoice{"dev"}}, {"/voice leave", LeaveVoice{}},
		{"/voice set Redundant ON", VoiceSet{"redundant", "on"}}, {"/voice set ducking off", VoiceSet{"ducking", "off"}},
		{"/mute", Mute{}}, {"/mute Bob the Builder", Mute{"Bob the Builder"}}, {"/unmute @bob#k3fd", Unmute{"bob#k3fd"}},
		{"/deaf", Deafen{}}, {"/deaf off", Deafen{"off"}}, {"/ptt on", PTT{"on"}},
		{"/vad -45", VAD{"level", -45}}, {"/vad -45.5dB", VAD{"level", -45.5}}, {"/vad OFF", VAD{Mode: "off"}}, {"/vad auto", VAD{Mode: "auto"}},
		{"/devices", ListDevices{}}, {"/input 2", Input{"2"}}, {"/output wav:a b.wav", Output{"wav:a b.wav"}},
		{"/vol bob 100%", Volume{Who: "bob"}}, {"/vol Bob the Builder 0%", Volume{Who: "Bob the Builder", DB: -96}},
		{"/vol bob -6", Volume{Who: "bob", DB: -6}}, {"/vol bob +3.5dB", Volume{Who: "bob", DB: 3.5}}, {"/vol bob 10%", Volume{Who: "bob", DB: -20}},
		{"/audio test", TestAudio{}}, {"/record", Record{}}, {"/record a b.wav", Record{File: "a b.wav"}}, {"/record stop", Record{Stop: true}},
		{"/stats", Stats{}},
	} {
		got, err := Parse(c.line, "general")
		if err != nil || got != c.want {
			t.Errorf("Parse(%q) = %T%+v, %v; want %T%+v", c.line, got, got, err, c.want, c.want)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for _, c := range []struct{ why, line, room, says string }{
		{"a typing error names the nearest command", "/jion dev", "general", "did you mean /join?"},
		{"so does a part of one", "/recon", "general", "did you mean /reconnect?"},
		{"so does a plural", "/topics", "general", "did you mean /topic?"},
		{"what is like nothing gets the help", "/xyzzyplugh", "general", "/help shows them all"},
		{"an unknown command is not sent", "/video join", "general", "nothing was sent"},
		{"no voice without a room", "/voice join", "", "which room?"},
		{"a voice of two rooms", "/voice join a b", "general", "one word too many"},
		{"a word that voice does not know", "/voice of reason", "general", "one word too many"},
		{"nothing to set", "/voice set", "general", "redundant on|off"},
		{"a setting that voice does not have", "/voice set bass on", "general", "redundant on|off"},
		{"a value that a setting does not have", "/voice set redundant maybe", "general", "redundant on|off"},
		{"a wrong word for voice", "/voice on", "general", "none of join, leave"},
		{"a threshold above all sound", "/vad 3", "general", "from -90 to -1 dBFS"},
		{"a threshold that is no number", "/vad nan", "general", "is not a level"},
		{"no threshold", "/vad", "general", "which level?"},
		{"a volume of nobody", "/vol 50%", "general", "who, and how loud?"},
		{"a volume without a unit", "/vol bob 50", "general", "50% or 50dB"},
		{"a volume that deafens", "/vol bob +30dB", "general", "not a loudness"},
		{"a volume below nothing", "/vol bob -5%", "general", "not a loudness"},
		{"an infinite volume", "/vol bob inf%", "general", "not a loudness"},
		{"a microphone without a name", "/input", "general", "/devices shows them"},
		{"a test of nothing", "/audio", "general", "usage: /audio test"},
		{"a path is not sent either", "/etc/passwd", "general", "nothing was sent"},
		{"a lone slash", "/", "general", "// says a slash"},
		{"text without a room", "hello", "", "/join ROOM"},
		{"an action without a room", "/me waves", "", "/join ROOM"},
		{"an action without an action", "/me", "general", "usage: /me TEXT"},
		{"no room", "/join", "general", "usage: /join ROOM"},
		{"two rooms", "/join a b", "general", "one room at a time"},
		{"a bad room", "/join a/b", "general", "'/' is not allowed"},
		{"a long room", "/join " + strings.Repeat("x", 65), "general", "at most 64"},
		{"a room of a sign", "/join #", "general", "is empty"},
		{"nothing to leave", "/leave", "", "which room?"},
		{"an argument too many", "/list all", "general", "takes no argument"},
		{"no name", "/nick", "general", "which name?"},
		{"a long name", "/nick " + strings.Repeat("é", 33), "general", "at most 32"},
		{"a long topic", "/topic " + strings.Repeat("x", 1025), "general", "at most 1024"},
		{"a long text", strings.Repeat("x", MaxText+1), "general", "65537 bytes long, at most 65536"},
		{"a long action", "/me " + strings.Repeat("x", MaxText+1), "general", "at most 65536"},
		{"a wrong word", "/bell loud", "general", "off, mention, all"},
		{"an invitation into nothing", "/invite", "", "into which room?"},
		{"an invitation into two rooms", "/invite a b", "general", "one room at a time"},
		{"an invitation into a bad room", "/invite a/b", "general", "'/' is not allowed"},
		{"older lines of nothing", "/older", "", "you are in no room"},
		{"fewer lines than one", "/older 0", "general", "from 1 to 1000"},
		{"too many lines", "/older 1001", "general", "usage: /older [N]"},
		{"lines without a number", "/older all", "general", "is no number"},
		{"a bad port", "/connect host 70000", "general", "usage: /connect ADDR"},
	} {
		got, err := Parse(c.line, c.room)
		if err == nil || got != nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: Parse(%.40q) = %+v, %v; want an error that says %q", c.why, c.line, got, err, c.says)
		}
	}
	if _, err := Parse(strings.Repeat("x", MaxText), "general"); err != nil {
		t.Errorf("a text of exactly %d bytes is fine, got %v", MaxText, err)
	}
}

func TestParsePlain(t *testing.T) {
	for _, c := range []struct {
		line string
		want Action
	}{
		{"peers", Peers{}}, {" peers ", Peers{}}, {"help", Help{}}, {"exit", Quit{}}, {"room #Dev", Join{"dev"}},
		{"send hello  there", Say{"general", "hello  there"}}, {"send peers", Say{"general", "peers"}},
		{"connect 127.0.0.1 5000", Connect{"127.0.0.1:5000"}}, {"connect ::1 5000", Connect{"[::1]:5000"}},
		{"/peers", Peers{}}, {"//x", Say{"general", "/x"}}, {"", nil},
		{"peers are nice", Say{"general", "peers are nice"}}, {"room service is late", Say{"general", "room service is late"}},
		{"exit now", Say{"general", "exit now"}}, {"connect the dots", Say{"general", "connect the dots"}},
		{"send", Say{"general", "send"}}, {"voice is nice", Say{"general", "voice is nice"}},
		{"voice join", JoinVoice{"general"}}, {"voice leave", LeaveVoice{}}, {"voice mute", Mute{}}, {"voice unmute", Unmute{}},
		{"voice peers", AskVoice{}}, {"voice join dev", Say{"general", "voice join dev"}},
		{"voice over", Say{"general", "voice over"}}, {"Peers", Say{"general", "Peers"}},
	} {
		got, err := ParsePlain(c.line, "general")
		if err != nil || got != c.want {
			t.Errorf("ParsePlain(%q) = %T%+v, %v; want %T%+v", c.line, got, got, err, c.want, c.want)
		}
	}
}

func TestCommandTable(t *testing.T) {
	seen := map[string]string{}
	for _, c := range commands() {
		for _, name := range append([]string{c.name}, c.aliases...) {
			if other, ok := seen[name]; ok {
				t.Errorf("/%s means /%s and /%s", name, other, c.name)
			}
			seen[name] = c.name
		}
		if c.help == "" || c.parse == nil {
			t.Errorf("/%s has no help or no parser", c.name)
		}
		if got := HelpText(c.name); !strings.Contains(got[0], c.help) {
			t.Errorf("the help on /%s tells of something else: %q", c.name, got)
		}
	}
	if got, want := strings.Join(HelpText("/jion"), "|"), "there is no command /jion; did you mean /join?"; got != want {
		t.Errorf("the help on what is no command says %q, want %q", got, want)
	}
	all := strings.Join(HelpText(""), "\n")
	for _, name := range []string{"/join", "/leave", "/list", "/names", "/peers", "/nick", "/me", "/topic", "/net", "/clear", "/help", "/quit"} {
		if !strings.Contains(all, name) {
			t.Errorf("the help does not tell of %s", name)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"hello", "/join #x", "//", "/me x\x00", "/connect a 1", "room x", "send \xff", "/ x", "/\n", "connect a 5000"} {
		f.Add(s, "general")
	}
	f.Add("text", "")
	f.Fuzz(func(t *testing.T, line, room string) {
		for _, parse := range []func(string, string) (Action, error){Parse, ParsePlain} {
			action, err := parse(line, room)
			if err != nil {
				if action != nil {
					t.Fatalf("%q: an action %+v and an error %v", line, action, err)
				}
				if len(err.Error()) > 1000 {
					t.Fatalf("%.40q: the error is %d bytes long", line, len(err.Error()))
				}
				continue
			}
			var text string
			switch a := action.(type) {
			case Say:
				text = a.Text
			case Me:
				text = a.Text
			case Join:
				if clean, err := CleanRoom(a.Room); err != nil || clean != a.Room {
					t.Fatalf("%q: joins %q, which is not canonical: %q, %v", line, a.Room, clean, err)
				}
			}
			if len(text) > MaxText || !utf8.ValidString(text) {
				t.Fatalf("%.40q: a text of %d bytes, valid: %v", line, len(text), utf8.ValidString(text))
			}
			for _, r := range text {
				if unicode.IsControl(r) && r != '\n' {
					t.Fatalf("%q: control character %U in the text", line, r)
				}
			}
		}
	})
}
