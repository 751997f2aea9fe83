package tui

import (
	"strings"
	"unicode/utf8"

	"github.com/gdamore/tcell/v2"
)

// cleanTTY is a terminal whose input is UTF-8, whatever comes from it. At the first byte that is not, tcell would ask
// its decoder for the same byte for ever: no key would count any more, and a processor would be busy with it. A
// terminal that sends Latin-1 is enough, or a paste of something binary.
type cleanTTY struct {
	tcell.Tty
	utf8 func() bool // whether it is UTF-8 that tcell expects; its decoders of other character sets take any byte
	part []byte      // the first bytes of a character of which the rest is to come
}

// isUTF8 knows the character set as locales spell it: de_DE.UTF-8, de_DE.utf8.
func isUTF8(charset string) bool {
	return strings.EqualFold(charset, "UTF-8") || strings.EqualFold(charset, "UTF8")
}

// Read is called by tcell's input goroutine alone.
func (t *cleanTTY) Read(p []byte) (int, error) {
	if !t.utf8() || len(p) <= utf8.UTFMax {
		return t.Tty.Read(p)
	}
	n := copy(p, t.part)
	m, err := t.Tty.Read(p[n:])
	clean, part := cleanKeys(p[:n+m])
	t.part = append(t.part[:0], part...)
	return len(clean), err
}

// cleanKeys puts a question mark in place of each byte that is not UTF-8, in the same memory. What may become a
// character is left over. U+FFFD is a question mark too, because tcell takes it for a mistake and shows its bytes.
func cleanKeys(b []byte) (clean, part []byte) {
	clean = b[:0]
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		switch {
		case !utf8.FullRune(b):
			return clean, b
		case r == utf8.RuneError:
			clean = append(clean, '?')
		default:
			clean = append(clean, b[:n]...)
		}
		b = b[n:]
	}
	return clean, nil
}
