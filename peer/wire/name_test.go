package wire

import (
	"strings"
	"testing"
	"unicode"
)

// Letters, marks and symbols that show nothing make no name, and no difference between two.
func TestBlankNames(t *testing.T) {
	blank := []rune{
		0x115F,  // HANGUL CHOSEONG FILLER
		0x1160,  // HANGUL JUNGSEONG FILLER
		0x3164,  // HANGUL FILLER
		0xFFA0,  // HALFWIDTH HANGUL FILLER
		0x034F,  // COMBINING GRAPHEME JOINER
		0x17B4,  // KHMER VOWEL INHERENT AQ
		0x2800,  // BRAILLE PATTERN BLANK
		0x1D159, // MUSICAL SYMBOL NULL NOTEHEAD
		0x16FE4, // KHITAN SMALL SCRIPT FILLER
	}
	for _, r := range blank {
		for _, name := range []string{string(r), strings.Repeat(string(r), 3), "bob" + string(r), string(r) + "bob", "b" + string(r) + "b"} {
			if got, err := ParseName(name); err == nil {
				t.Errorf("%+q, which has the blank %U, is taken as the username %+q", name, r, got)
			} else if room, err := ParseRoom(name); err == nil {
				t.Errorf("%+q, which has the blank %U, is taken as the room %+q", name, r, string(room))
			}
		}
	}
	for r := range unicode.MaxRune {
		if !unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Cf, unicode.White_Space) {
			continue
		}
		if got, err := ParseName(string(r)); err == nil {
			t.Errorf("%U, which shows nothing, is taken as the username %+q", r, got)
		}
		if room, err := ParseRoom(string(r)); err == nil {
			t.Errorf("%U, which shows nothing, is taken as the room %+q", r, string(room))
		}
	}
	for _, name := range []string{"\ufe0f", "\U000e0100", "general\ufe0f"} {
		if room, err := ParseRoom(name); err == nil {
			t.Errorf("%+q, in which a variation selector chooses nothing, is taken as the room %+q", name, string(room))
		}
	}
	if got, err := ParseName("\ufe0f"); err == nil {
		t.Errorf("a variation selector alone is taken as the username %+q", got)
	}
	for _, name := range []string{"\u2764\ufe0f bob", "\u8fbb\U000e0100", "\u1820\u180b", "\ud55c\uae00", "\u1112\u119e\u11ab", "\u0e19\u0e49\u0e33", "\u2801", "a b"} {
		if got, err := ParseName(name); err != nil || got != name {
			t.Errorf("%+q, which shows, is taken as the username %+q: %v", name, got, err)
		}
	}
	for _, name := range []string{"\ud55c\uae00", "\u1112\u119e\u11ab", "\u0e19\u0e49\u0e33"} {
		if room, err := ParseRoom(name); err != nil || string(room) != name {
			t.Errorf("%+q, which shows, is taken as the room %+q: %v", name, string(room), err)
		}
	}
}
