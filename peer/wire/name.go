package wire

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Room is the canonical name of a room, without the '#' that people write before it.
type Room string

// String is the name as people write it: "#general".
func (r Room) String() string { return "#" + string(r) }

// ParseRoom reads a room's name with or without its '#': 1 to MaxRoomName bytes of letters, digits, '-', '_' and
// '.', brought to NFC and lower case.
func ParseRoom(s string) (Room, error) {
	name := strings.TrimPrefix(s, "#")
	if name == "" {
		return "", fmt.Errorf("room name is empty: want letters, digits, '-', '_' or '.', as in #general")
	}
	if !utf8.ValidString(name) {
		return "", fmt.Errorf("room name %q is not valid UTF-8", clip(s))
	}
	if len(name) > 4*MaxRoomName { // before the work of normalising it
		return "", fmt.Errorf("room name %q is %d bytes long: at most %d are allowed", clip(s), len(name), MaxRoomName)
	}
	name = norm.NFC.String(strings.ToLower(norm.NFC.String(name)))
	if len(name) > MaxRoomName {
		return "", fmt.Errorf("room name %q is %d bytes long: at most %d are allowed", clip(s), len(name), MaxRoomName)
	}
	for _, r := range name {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r) && !strings.ContainsRune("-_.", r) {
			return "", fmt.Errorf("room name %q: %q is not allowed; use letters, digits, '-', '_' or '.'", clip(s), r)
		}
		if invisible(r) || unicode.Is(unicode.Variation_Selector, r) { // two rooms must not look the same
			return "", fmt.Errorf("room name %q: character %U shows nothing; leave it out", clip(s), r)
		}
	}
	return Room(name), nil
}

// ParseName reads a username: 1 to MaxName code points of valid UTF-8, NFC, without control, format, bidi, line
// separating or blank characters, and without white space at its ends.
func ParseName(s string) (string, error) {
	if !utf8.ValidString(s) {
		return "", fmt.Errorf("username %q is not valid UTF-8", clip(s))
	}
	name := strings.TrimSpace(s)
	if len(name) > 32*MaxName { // before the work of normalising it
		return "", fmt.Errorf("username %q is %d bytes long: at most %d characters are allowed", clip(s), len(name), MaxName)
	}
	name = norm.NFC.String(name)
	if name == "" {
		return "", fmt.Errorf("username is empty: give one with --username NAME")
	}
	if n := utf8.RuneCountInString(name); n > MaxName {
		return "", fmt.Errorf("username %q is %d characters long: at most %d are allowed", clip(s), n, MaxName)
	}
	marks := 0
	for i, r := range name {
		if !unicode.IsGraphic(r) || unicode.Is(unicode.Cf, r) || (unicode.IsSpace(r) && r != ' ') {
			return "", fmt.Errorf("username %q: character %U at byte %d cannot be shown; leave it out", clip(s), r, i)
		}
		if invisible(r) {
			return "", fmt.Errorf("username %q: character %U at byte %d shows nothing; leave it out", clip(s), r, i)
		}
		if !unicode.IsMark(r) {
			marks = 0
		} else if marks++; marks > 4 || i == 0 {
			return "", fmt.Errorf("username %q: too many combining marks at byte %d", clip(s), i)
		}
	}
	return name, nil
}

// invisible reports whether a character that counts as a letter, mark or symbol shows nothing by itself: what Unicode
// lets a font ignore (Default_Ignorable_Code_Point, of which the format characters are refused anyway), and the symbols
// that are blank by design. Variation selectors are not among them: they choose how what stands before them looks.
func invisible(r rune) bool {
	const brailleBlank, nullNotehead, khitanFiller = 0x2800, 0x1D159, 0x16FE4
	return r == brailleBlank || r == nullNotehead || r == khitanFiller || unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r)
}
