// Package configs holds the settings of the two things that peerchat can be, a tracker and a peer: their defaults,
// how they are read from a YAML file, and what makes them wrong.
//
// It owns no state and is pure but for reading the file it is told to. It imports nothing of ours and must never
// import anything of ours. Each key has the name of its flag, so that what works on the command line works in a file.
package configs

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"sort"
	"strings"

	"github.com/goccy/go-yaml"
)

// The annotated samples. They say the defaults, which a test holds them to.
var (
	//go:embed tracker.yaml
	trackerSample []byte
	//go:embed peer.yaml
	peerSample []byte
)

// TrackerSample is the annotated tracker.yaml.
func TrackerSample() []byte { return bytes.Clone(trackerSample) }

// PeerSample is the annotated peer.yaml.
func PeerSample() []byte { return bytes.Clone(peerSample) }

// MaxFile bounds a settings file, in bytes.
const MaxFile = 1 << 20

// LoadTracker reads a tracker's settings: the defaults, and what the file says instead.
func LoadTracker(file string) (Tracker, error) {
	c := DefaultTracker()
	if err := load(file, &c); err != nil {
		return DefaultTracker(), err
	}
	return c, nil
}

// LoadPeer reads a peer's settings: the defaults, and what the file says instead.
func LoadPeer(file string) (Peer, error) {
	c := DefaultPeer()
	if err := load(file, &c); err != nil {
		return DefaultPeer(), err
	}
	return c, nil
}

func load(file string, into any) error {
	f, err := os.Open(file)
	if err != nil {
		return fmt.Errorf("read the settings: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, MaxFile+1))
	if err != nil {
		return fmt.Errorf("read the settings: %w", err)
	}
	if err := parse(data, into); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return nil
}

// parse decodes over what into holds already. Unknown and repeated keys are errors.
func parse(data []byte, into any) error {
	if len(data) > MaxFile {
		return fmt.Errorf("longer than %d bytes", MaxFile)
	}
	if empty(data) { // of which the decoder would make settings that are all zero
		return nil
	}
	err := yaml.NewDecoder(bytes.NewReader(data), yaml.Strict()).Decode(into)
	if err == nil {
		return nil
	}
	var at yaml.Error
	if !errors.As(err, &at) || at.GetToken() == nil {
		return err
	}
	token := at.GetToken()
	line := 0
	if token.Position != nil {
		line = token.Position.Line
	}
	var unknown *yaml.UnknownFieldError
	var mistyped *yaml.TypeError
	var high *yaml.OverflowError
	switch {
	case errors.As(err, &unknown):
		keys := Keys(into)
		if near := Nearest(token.Value, keys); near != "" {
			return fmt.Errorf("line %d: there is no setting %q; did you mean %q?", line, token.Value, near)
		}
		return fmt.Errorf("line %d: there is no setting %q; there are: %s", line, token.Value, strings.Join(keys, ", "))
	case errors.As(err, &mistyped):
		return fmt.Errorf("line %d: %q is of the wrong kind: want %s", line, token.Value, kind(mistyped.DstType))
	case errors.As(err, &high):
		return fmt.Errorf("line %d: %s is too much: want %s", line, high.SrcNum, kind(high.DstType))
	}
	return fmt.Errorf("line %d: %s", line, at.GetMessage())
}

// empty reports whether a file says nothing: each line of it is blank, a comment, or the mark where YAML begins or
// ends.
func empty(data []byte) bool {
	for line := range bytes.Lines(bytes.TrimPrefix(data, []byte("\ufeff"))) {
		text, _, _ := bytes.Cut(line, []byte("#"))
		switch string(bytes.TrimSpace(text)) {
		case "", "---", "...":
		default:
			return false
		}
	}
	return true
}

// kind names a type of setting for people.
func kind(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Slice:
		return "a list, as in [a, b]"
	case reflect.Int:
		return "a whole number"
	case reflect.Int16:
		return "a whole number from -32768 to 32767"
	case reflect.Struct:
		return "settings, one 'key: value' a line"
	}
	return "a text"
}

// Keys lists the settings of a struct (or a pointer to one), sorted.
func Keys(settings any) []string {
	t := reflect.TypeOf(settings)
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	keys := make([]string, 0, t.NumField())
	for i := range t.NumField() {
		keys = append(keys, t.Field(i).Tag.Get("yaml"))
	}
	sort.Strings(keys)
	return keys
}

// Nearest is the word of words that word was probably meant to be, or empty where none is near.
func Nearest(word string, words []string) string {
	word = strings.ToLower(strings.ReplaceAll(word, "_", "-"))
	best, bestAt := "", len(word)/3+2 // at most a third of it, and one letter, may be wrong
	for _, w := range words {
		if d := distance(word, w); d < bestAt {
			best, bestAt = w, d
		}
	}
	return best
}

// distance is the Levenshtein distance of two words, in bytes.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
