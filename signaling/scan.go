package signaling

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"
)

// maxFields is the most members that a JSON object of the protocol may have, maxDepth how deep its values may nest.
const (
	maxFields = 16
	maxDepth  = 32
)

// object is a JSON object taken apart: its members, not yet decoded. encoding/json is not used for it because it takes
// several times as long, matches keys whatever their case, and lets the last of two equal keys win; each of these
// lets two readers see two messages in one.
type object struct {
	n    int
	keys [maxFields][]byte // unquoted; they alias the input unless they had escapes
	vals [maxFields][]byte // each a valid JSON value; they alias the input
}

var errJSON = errors.New("not a valid JSON object")

// parse reads b, which must be exactly one JSON object (RFC 8259) in UTF-8, without two members of the same name.
func (o *object) parse(b []byte) error {
	if !utf8.Valid(b) {
		return fmt.Errorf("%w: it is not UTF-8", errJSON)
	}
	o.n = 0
	end, err := o.members(b, space(b, 0))
	if err != nil {
		return err
	}
	if end = space(b, end); end != len(b) {
		return fmt.Errorf("%w: more follows at byte %d", errJSON, end)
	}
	return nil
}

// get is the value of a member, nil if there is none.
func (o *object) get(key string) []byte {
	for i := range o.n {
		if string(o.keys[i]) == key {
			return o.vals[i]
		}
	}
	return nil
}

func (o *object) members(b []byte, i int) (int, error) {
	if i >= len(b) || b[i] != '{' {
		return i, syntax(i)
	}
	i = space(b, i+1)
	if i < len(b) && b[i] == '}' {
		return i + 1, nil
	}
	for {
		start := i
		end, err := skipString(b, i)
		if err != nil {
			return end, err
		}
		key, err := unquoted(b[start:end])
		if err != nil {
			return start, err
		}
		if o.get(string(key)) != nil {
			return start, fmt.Errorf("%w: two members named %q", errJSON, key)
		}
		if o.n == maxFields {
			return start, fmt.Errorf("%w: more than %d members", errJSON, maxFields)
		}
		if i = space(b, end); i >= len(b) || b[i] != ':' {
			return i, syntax(i)
		}
		start = space(b, i+1)
		if end, err = skipValue(b, start, 1); err != nil {
			return end, err
		}
		o.keys[o.n], o.vals[o.n] = key, b[start:end]
		o.n++
		if i = space(b, end); i >= len(b) {
			return i, syntax(i)
		}
		switch b[i] {
		case ',':
			i = space(b, i+1)
		case '}':
			return i + 1, nil
		default:
			return i, syntax(i)
		}
	}
}

// elements calls each for the values of the JSON array b, which parse has checked.
func elements(b []byte, each func([]byte) error) error {
	if len(b) < 2 || b[0] != '[' {
		return errors.New("want an array")
	}
	i := space(b, 1)
	for b[i] != ']' {
		end, err := skipValue(b, i, 1)
		if err != nil {
			return err
		}
		if err := each(b[i:end]); err != nil {
			return err
		}
		if i = space(b, end); b[i] == ',' {
			i = space(b, i+1)
		}
	}
	return nil
}

// unquote decodes a JSON string that skipString has checked.
func unquote(b []byte) (string, error) {
	s, err := unquoted(b)
	return string(s), err
}

// unquoted is unquote without a copy: what it returns may alias b.
func unquoted(b []byte) ([]byte, error) {
	if len(b) < 2 || b[0] != '"' {
		return nil, errors.New("want a string")
	}
	if bytes.IndexByte(b, '\\') >= 0 {
		var s string
		err := json.Unmarshal(b, &s)
		return []byte(s), err
	}
	return b[1 : len(b)-1], nil
}

func syntax(i int) error { return fmt.Errorf("%w: syntax error at byte %d", errJSON, i) }

func space(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\t' || b[i] == '\r') {
		i++
	}
	return i
}

// skipValue returns the index after the value that starts at i.
func skipValue(b []byte, i, depth int) (int, error) {
	if i >= len(b) {
		return i, syntax(i)
	}
	switch c := b[i]; {
	case c == '"':
		return skipString(b, i)
	case c == '{' || c == '[':
		return skipNested(b, i, depth)
	case c == '-' || c >= '0' && c <= '9':
		return skipNumber(b, i)
	}
	for _, word := range [...]string{"true", "false", "null"} {
		if len(b)-i >= len(word) && string(b[i:i+len(word)]) == word {
			return i + len(word), nil
		}
	}
	return i, syntax(i)
}

func skipNested(b []byte, i, depth int) (int, error) {
	if depth >= maxDepth {
		return i, fmt.Errorf("%w: nested deeper than %d", errJSON, maxDepth)
	}
	open, end := b[i], b[i]+2 // in ASCII '}' is '{'+2 and ']' is '['+2
	if i = space(b, i+1); i < len(b) && b[i] == end {
		return i + 1, nil
	}
	for {
		var err error
		if open == '{' {
			if i, err = skipString(b, i); err != nil {
				return i, err
			}
			if i = space(b, i); i >= len(b) || b[i] != ':' {
				return i, syntax(i)
			}
			i = space(b, i+1)
		}
		if i, err = skipValue(b, i, depth+1); err != nil {
			return i, err
		}
		if i = space(b, i); i >= len(b) {
			return i, syntax(i)
		}
		switch b[i] {
		case ',':
			i = space(b, i+1)
		case end:
			return i + 1, nil
		default:
			return i, syntax(i)
		}
	}
}

func skipString(b []byte, i int) (int, error) {
	if i >= len(b) || b[i] != '"' {
		return i, syntax(i)
	}
	for i++; i < len(b); i++ {
		for len(b)-i >= 8 && plain(binary.LittleEndian.Uint64(b[i:])) {
			i += 8
		}
		if i == len(b) {
			break
		}
		switch c := b[i]; {
		case c == '"':
			return i + 1, nil
		case c < 0x20:
			return i, syntax(i)
		case c == '\\':
			if i++; i >= len(b) {
				return i, syntax(i)
			}
			switch b[i] {
			case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
			case 'u':
				for range 4 {
					if i++; i >= len(b) || !isHex(b[i]) {
						return i, syntax(i)
					}
				}
			default:
				return i, syntax(i)
			}
		}
	}
	return i, syntax(i)
}

// plain says that none of the eight bytes of a string ends it, escapes anything, or is a control character.
func plain(x uint64) bool {
	const ones, high = 0x0101010101010101, 0x8080808080808080
	quote, escape := x^ones*'"', x^ones*'\\'
	// A byte below n makes (byte-n)&^byte negative, and so may one right above it, which costs a closer look only.
	return ((x-ones*0x20)&^x|(quote-ones)&^quote|(escape-ones)&^escape)&high == 0
}

func skipNumber(b []byte, i int) (int, error) {
	digits := func() bool {
		from := i
		for i < len(b) && b[i] >= '0' && b[i] <= '9' {
			i++
		}
		return i > from
	}
	if b[i] == '-' {
		i++
	}
	if i < len(b) && b[i] == '0' {
		i++
	} else if !digits() {
		return i, syntax(i)
	}
	if i < len(b) && b[i] == '.' {
		if i++; !digits() {
			return i, syntax(i)
		}
	}
	if i < len(b) && (b[i] == 'e' || b[i] == 'E') {
		if i++; i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		if !digits() {
			return i, syntax(i)
		}
	}
	return i, nil
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}
