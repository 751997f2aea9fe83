package tui

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Limits of what may be typed. The wire has the same ones; here they make an error before anything is sent.
const (
	MaxText  = 64 << 10 // bytes of UTF-8 in a message
	MaxTopic = 1024     // bytes of UTF-8 in a topic
	MaxName  = 32       // characters in a username
	MaxRoom  = 64       // bytes of UTF-8 in a room's name
	MaxQuery = 1 << 10  // bytes of UTF-8 in what is searched for
	MaxOlder = 1000     // lines of one /older
)

// argument says what a command's argument is, for completion.
type argument uint8

const (
	argNone argument = iota
	argText
	argRoom
	argRoomOrText // an optional #room, then text
	argCommand
	argWord // one of command.words
)

// command is one row of the table that feeds Parse, the help and completion.
type command struct {
	name    string
	aliases []string
	usage   string // arguments only
	help    string // one line
	arg     argument
	words   []string
	parse   func(in request) (Action, error)
}

// commands is the table, in the order of the help. It is a function because the package keeps no variables.
func commands() []command {
	return slices.Concat(textCommands(), voiceCommands(), screenCommands())
}

func textCommands() []command {
	return []command{
		{name: "join", aliases: []string{"j"}, usage: "ROOM", help: "enter a room, or go to it", arg: argRoom,
			parse: func(in request) (Action, error) {
				room, err := in.oneRoom()
				return Join{Room: room}, err
			}},
		{name: "leave", aliases: []string{"part"}, usage: "[ROOM]", help: "leave a room", arg: argRoom,
			parse: func(in request) (Action, error) {
				room, err := in.roomOrHere()
				return Leave{Room: room}, err
			}},
		{name: "switch", aliases: []string{"room", "go"}, usage: "ROOM", help: "go to a room you are in (Ctrl+K)", arg: argRoom,
			parse: func(in request) (Action, error) {
				room, err := in.oneRoom()
				return Switch{Room: room}, err
			}},
		{name: "list", aliases: []string{"rooms"}, help: "show the rooms there are", parse: in0(List{})},
		{name: "names", usage: "[ROOM]", help: "show who is in a room", arg: argRoom,
			parse: func(in request) (Action, error) {
				room, err := in.roomOrHere()
				return Names{Room: room}, err
			}},
		{name: "peers", help: "show who is linked, known and gone, and how", parse: in0(Peers{})},
		{name: "me", usage: "TEXT", help: "say what you do: * bob waves", arg: argText,
			parse: func(in request) (Action, error) {
				text, err := in.message()
				return Me{Room: in.room, Text: text}, err
			}},
		{name: "nick", aliases: []string{"name"}, usage: "NAME", help: "change your name", arg: argText, parse: parseNick},
		{name: "topic", usage: "[TEXT | -]", help: "show the room's topic, set it, or clear it with -", arg: argText,
			parse: parseTopic},
		{name: "search", aliases: []string{"find"}, usage: "[-a] WORDS", help: "find what was said in this room (Ctrl+F), with -a in all",
			arg: argText, parse: parseSearch},
		{name: "older", usage: "[N]", help: "show N older lines (PgUp): first what is held here, then what others have",
			parse: parseOlder},
		{name: "net", help: "show how the network stands: tracker, links, addresses", parse: in0(Net{})},
		{name: "invite", usage: "[ROOM] [qr]", help: "make a link for others to come by, and its QR code", arg: argRoom, parse: parseInvite},
		{name: "connect", usage: "ADDR", help: "use a tracker: host:port, or an invite link", arg: argText, parse: parseConnect},
		{name: "reconnect", help: "try the tracker and every lost link again, now", parse: in0(Reconnect{})},
	}
}

// screenCommands are about the screen and the program.
func screenCommands() []command {
	return []command{
		{name: "joins", usage: "[all|smart|none]", help: "which joins and leaves are shown; smart: of those who spoke lately",
			arg: argWord, words: []string{"all", "smart", "none"},
			parse: func(in request) (Action, error) { w, err := in.word(); return Joins{Mode: w}, err }},
		{name: "bell", usage: "[off|mention|all]", help: "when the terminal rings", arg: argWord, words: []string{"off", "mention", "all"},
			parse: func(in request) (Action, error) { w, err := in.word(); return Bell{Mode: w}, err }},
		{name: "mouse", usage: "[on|off]", help: "mouse on or off (Alt+M); off lets the terminal select text", arg: argWord,
			words: []string{"on", "off"},
			parse: func(in request) (Action, error) { w, err := in.word(); return Mouse{Mode: w}, err }},
		{name: "clear", help: "empty this room's timeline on the screen; PgUp brings it back", parse: in0(Clear{})},
		{name: "help", aliases: []string{"h"}, usage: "[COMMAND]", help: "show commands and keys (F1)", arg: argCommand,
			parse: func(in request) (Action, error) { return Help{Topic: strings.TrimPrefix(in.arg, "/")}, nil }},
		{name: "version", help: "show which peerchat this is", parse: in0(Version{})},
		{name: "quit", aliases: []string{"exit", "q"}, help: "leave", parse: in0(Quit{})},
	}
}

// in0 parses a command without arguments.
func in0(a Action) func(request) (Action, error) {
	return func(in request) (Action, error) {
		if in.arg != "" {
			return nil, fmt.Errorf("/%s takes no argument, got %q", in.cmd.name, clip(in.arg))
		}
		return a, nil
	}
}

// Parse reads a line that was typed in room (a canonical name, or empty where there is none). A line that starts with
// '/' is a command, '//' says a literal slash, anything else is said in the room. An empty line is nil, nil. An unknown
// command is an error, never a message; so is a text that is too long.
func Parse(line, room string) (Action, error) {
	line = cleanInput(line)
	if strings.TrimSpace(line) == "" {
		return nil, nil
	}
	if !strings.HasPrefix(line, "/") {
		return say(line, room)
	}
	if strings.HasPrefix(line, "//") {
		return say(line[1:], room)
	}
	name, arg := line[1:], ""
	if i := strings.IndexFunc(name, unicode.IsSpace); i >= 0 {
		name, arg = name[:i], strings.TrimSpace(name[i:])
	}
	if name == "" {
		return nil, fmt.Errorf("a lone slash is no command: /help shows them, // says a slash")
	}
	cmd := findCommand(name)
	if cmd == nil {
		return nil, fmt.Errorf("nothing was sent: %w", unknownCommand(name))
	}
	action, err := cmd.parse(request{cmd: cmd, arg: arg, room: room})
	if err != nil {
		return nil, err
	}
	return action, nil
}

// ParsePlain is Parse for plain mode, where the bare words of the command line's contract work too if the whole line
// is such a command: peers, room NAME, send TEXT, help, exit, connect HOST PORT, voice ….
func ParsePlain(line, room string) (Action, error) {
	words := strings.Fields(cleanInput(line))
	if len(words) == 0 {
		return nil, nil
	}
	switch {
	case len(words) == 1 && words[0] == "peers":
		return Peers{}, nil
	case len(words) == 1 && words[0] == "help":
		return Help{}, nil
	case len(words) == 1 && words[0] == "exit":
		return Quit{}, nil
	case len(words) == 2 && words[0] == "room":
		name, err := CleanRoom(words[1])
		if err != nil {
			return nil, err
		}
		return Join{Room: name}, nil
	case len(words) > 1 && words[0] == "send":
		return say(strings.TrimSpace(strings.TrimSpace(cleanInput(line))[len("send"):]), room)
	case len(words) == 3 && words[0] == "connect" && isPort(words[2]):
		return Connect{Addr: joinHostPort(words[1], words[2])}, nil
	case len(words) == 2 && words[0] == "voice" && slices.Contains(voiceWords(), words[1]):
		return Parse("/voice "+words[1], room)
	}
	return Parse(line, room)
}

func say(text, room string) (Action, error) {
	if room == "" {
		return nil, fmt.Errorf("nothing was sent, you are in no room: enter one with /join ROOM")
	}
	if err := checkText(text); err != nil {
		return nil, err
	}
	return Say{Room: room, Text: text}, nil
}

func checkText(text string) error {
	if len(text) > MaxText {
		return fmt.Errorf("nothing was sent: the message is %d bytes long, at most %d are allowed; split it", len(text), MaxText)
	}
	return nil
}

func (c *command) use() string {
	if c.usage == "" {
		return "/" + c.name
	}
	return "/" + c.name + " " + c.usage
}

// CleanRoom brings a room's name as people write it ("#Général") to its canonical form, or says what is wrong with it.
func CleanRoom(s string) (string, error) {
	name := strings.TrimPrefix(s, "#")
	if name == "" {
		return "", fmt.Errorf("room name is empty: want letters, digits, '-', '_' or '.', as in #general")
	}
	if !utf8.ValidString(name) {
		return "", fmt.Errorf("room name %q is not valid UTF-8", clip(s))
	}
	name = norm.NFC.String(strings.ToLower(norm.NFC.String(name)))
	if len(name) > MaxRoom {
		return "", fmt.Errorf("room name %q is %d bytes long: at most %d are allowed", clip(s), len(name), MaxRoom)
	}
	for _, r := range name {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r) && !strings.ContainsRune("-_.", r) {
			return "", fmt.Errorf("room name %q: %q is not allowed; use letters, digits, '-', '_' or '.'", clip(s), r)
		}
	}
	return name, nil
}

func findCommand(name string) *command {
	name = strings.ToLower(name)
	all := commands()
	for i := range all {
		if all[i].name == name {
			return &all[i]
		}
		for _, alias := range all[i].aliases {
			if alias == name {
				return &all[i]
			}
		}
	}
	return nil
}

func unknownCommand(name string) error {
	best, distance := "", 3 // further away than two edits is no likeness
	for _, c := range commands() {
		for _, known := range append([]string{c.name}, c.aliases...) {
			if len(known) == 1 {
				continue // everything is near a single letter
			}
			d := editDistance(strings.ToLower(name), known)
			if strings.HasPrefix(known, strings.ToLower(name)) {
				d = min(d, 1)
			}
			if d < distance {
				best, distance = known, d
			}
		}
	}
	if best == "" {
		return fmt.Errorf("there is no command /%s; /help shows them all, //%s says it", clip(name), clip(name))
	}
	return fmt.Errorf("there is no command /%s; did you mean /%s?", clip(name), best)
}

// editDistance is the Damerau-Levenshtein distance (optimal string alignment) in code points. Long input is cut: only
// likeness to a short word matters.
func editDistance(a, b string) int {
	s, t := []rune(a), []rune(b)
	if len(s) > 32 {
		s = s[:32]
	}
	if len(t) > 32 {
		t = t[:32]
	}
	var before, prev, row []int
	for j := 0; j <= len(t); j++ {
		prev = append(prev, j)
	}
	for i := 1; i <= len(s); i++ {
		row = append(make([]int, 0, len(t)+1), i)
		for j := 1; j <= len(t); j++ {
			cost := 1
			if s[i-1] == t[j-1] {
				cost = 0
			}
			d := min(prev[j]+1, row[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && s[i-1] == t[j-2] && s[i-2] == t[j-1] {
				d = min(d, before[j-2]+1)
			}
			row = append(row, d)
		}
		before, prev = prev, row
	}
	return prev[len(t)]
}

// HelpText is the help on topic, a line each: all commands when it is empty, one when it names one.
func HelpText(topic string) []string {
	if topic = strings.TrimPrefix(topic, "/"); topic != "" {
		c := findCommand(topic)
		if c == nil {
			return []string{unknownCommand(topic).Error()}
		}
		lines := []string{c.use() + "  " + c.help}
		if len(c.aliases) > 0 {
			lines = append(lines, "also: /"+strings.Join(c.aliases, ", /"))
		}
		return lines
	}
	lines := make([]string, 0, 32)
	for _, c := range commands() {
		lines = append(lines, fmt.Sprintf("%-24s %s", c.use(), c.help))
	}
	return append(lines, fmt.Sprintf("%-24s %s", "//text", "say a text that starts with a slash"))
}

// cleanInput takes out of own input what cannot be meant: control characters but newline, and what is not UTF-8. A tab
// becomes a space.
func cleanInput(s string) string {
	clean := true
	for _, r := range s {
		if r == utf8.RuneError || (unicode.IsControl(r) && r != '\n') {
			clean = false
			break
		}
	}
	if clean {
		return s
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t':
			return ' '
		case r == '\n':
			return r
		case unicode.IsControl(r):
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
}

// clip shortens what was typed for an error text.
func clip(s string) string {
	if len(s) > 60 {
		s = strings.ToValidUTF8(s[:60], "") + "…"
	}
	return s
}
