package tui

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// This file is how the words behind a command become its Action.

// request is what a command's parser gets: the trimmed rest of the line, and the room in view.
type request struct {
	cmd  *command
	arg  string
	room string
}

func (in request) message() (string, error) {
	if in.arg == "" {
		return "", in.usageError("what?")
	}
	if in.room == "" {
		return "", fmt.Errorf("nothing was sent, you are in no room: enter one with /join ROOM")
	}
	return in.arg, checkText(in.arg)
}

func (in request) oneRoom() (string, error) {
	if in.arg == "" {
		return "", in.usageError("which room?")
	}
	if strings.IndexFunc(in.arg, unicode.IsSpace) >= 0 {
		return "", in.usageError("one room at a time, and no spaces in its name")
	}
	return CleanRoom(in.arg)
}

func (in request) roomOrHere() (string, error) {
	if in.arg != "" {
		return in.oneRoom()
	}
	if in.room == "" {
		return "", in.usageError("which room? You are in none")
	}
	return in.room, nil
}

func (in request) word() (string, error) {
	w := strings.ToLower(in.arg)
	if w == "" {
		return "", nil
	}
	for _, k := range in.cmd.words {
		if k == w {
			return w, nil
		}
	}
	return "", in.usageError(fmt.Sprintf("%q is none of %s", clip(in.arg), strings.Join(in.cmd.words, ", ")))
}

func (in request) usageError(why string) error {
	return fmt.Errorf("/%s: %s; usage: %s", in.cmd.name, why, in.cmd.use())
}

func parseNick(in request) (Action, error) {
	name := strings.TrimSpace(strings.TrimPrefix(in.arg, "@"))
	if name == "" {
		return nil, in.usageError("which name?")
	}
	if n := utf8.RuneCountInString(norm.NFC.String(name)); n > MaxName {
		return nil, in.usageError(fmt.Sprintf("%q is %d characters long, at most %d are allowed", clip(name), n, MaxName))
	}
	if strings.ContainsAny(name, "\n\t") {
		return nil, in.usageError("a name is one line")
	}
	return Nick{Name: name}, nil
}

func parseTopic(in request) (Action, error) {
	if in.room == "" {
		return nil, in.usageError("you are in no room")
	}
	switch {
	case in.arg == "":
		return AskTopic{Room: in.room}, nil
	case in.arg == "-":
		return SetTopic{Room: in.room}, nil
	case len(in.arg) > MaxTopic:
		return nil, in.usageError(fmt.Sprintf("the topic is %d bytes long, at most %d are allowed", len(in.arg), MaxTopic))
	}
	return SetTopic{Room: in.room, Text: strings.Join(strings.Fields(in.arg), " ")}, nil
}

func parseConnect(in request) (Action, error) {
	words := strings.Fields(in.arg)
	switch {
	case len(words) == 1:
		return Connect{Addr: words[0]}, nil
	case len(words) == 2 && isPort(words[1]):
		return Connect{Addr: joinHostPort(words[0], words[1])}, nil
	}
	return nil, in.usageError("where to?")
}

// parseInvite reads "[ROOM] [qr]". A room of the name qr is #qr.
func parseInvite(in request) (Action, error) {
	words := strings.Fields(in.arg)
	invite := Invite{Room: in.room}
	if n := len(words); n > 0 && strings.EqualFold(words[n-1], "qr") {
		invite.Code, words = true, words[:n-1]
	}
	switch {
	case len(words) > 1:
		return nil, in.usageError("one room at a time")
	case len(words) == 1:
		var err error
		if invite.Room, err = CleanRoom(words[0]); err != nil {
			return nil, err
		}
	case in.room == "":
		return nil, in.usageError("into which room? You are in none")
	}
	return invite, nil
}

// parseSearch reads "[-a] WORDS". Where there is no room, all are searched.
func parseSearch(in request) (Action, error) {
	search := Search{Room: in.room, Text: in.arg}
	if rest, ok := strings.CutPrefix(in.arg, "-a"); ok && (rest == "" || unicode.IsSpace(rune(rest[0]))) {
		search.Room, search.Text = "", strings.TrimSpace(rest)
	}
	if len(search.Text) > MaxQuery {
		return nil, in.usageError(fmt.Sprintf("the words are %d bytes long, at most %d are looked at", len(search.Text), MaxQuery))
	}
	return search, nil
}

func parseOlder(in request) (Action, error) {
	if in.room == "" {
		return nil, in.usageError("you are in no room")
	}
	if in.arg == "" {
		return ShowOlder{Room: in.room}, nil
	}
	n, err := strconv.Atoi(in.arg)
	if err != nil || n < 1 || n > MaxOlder {
		return nil, in.usageError(fmt.Sprintf("%q is no number from 1 to %d", clip(in.arg), MaxOlder))
	}
	return ShowOlder{Room: in.room, Lines: n}, nil
}

func isPort(s string) bool {
	n := 0
	for _, r := range s {
		if r < '0' || r > '9' || n > 65535 {
			return false
		}
		n = n*10 + int(r-'0')
	}
	return n >= 1 && n <= 65535
}

func joinHostPort(host, port string) string {
	if strings.Contains(host, ":") && !strings.HasPrefix(host, "[") {
		return "[" + host + "]:" + port
	}
	return host + ":" + port
}
