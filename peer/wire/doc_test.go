package wire

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"
)

// TestProtocolDocument holds the chapter Link of docs/protocol.md to the code: each block of CBOR in it is a frame, as
// its bytes (the lines of hex digits) and in diagnostic notation (the others), every type of frame is there, and every
// event in it is truly signed.
func TestProtocolDocument(t *testing.T) {
	f, err := os.Open("../../docs/protocol.md")
	if err != nil {
		t.Fatalf("the protocol's document: %v", err)
	}
	defer f.Close()
	hexLine := regexp.MustCompile(`^[0-9a-f]+$`)
	var digits, diagnostic strings.Builder
	seen := make(map[string]bool)
	chapter, block := false, false
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		switch {
		case strings.HasPrefix(line, "## "):
			chapter = line == "## Link"
		case chapter && line == "```cbor":
			block = true
			digits.Reset()
			diagnostic.Reset()
		case block && line == "```":
			block = false
			checkDocumented(t, digits.String(), diagnostic.String(), seen)
		case block && hexLine.MatchString(line):
			digits.WriteString(line)
		case block:
			diagnostic.WriteString(line)
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"wire.Hello", "wire.Presence", "wire.Events", "wire.Digest", "wire.Have", "wire.Want",
		"wire.Bye", "wire.Election", "wire.Signal", "wire.Overlay", "wire.Members", "wire.Holders", "wire.Prune", "wire.Graft", "a batch", "a single event"} {
		if !seen[want] {
			t.Errorf("the chapter Link of docs/protocol.md shows no %s", want)
		}
	}
}

func checkDocumented(t *testing.T, digits, diagnostic string, seen map[string]bool) {
	t.Helper()
	b, err := hex.DecodeString(digits)
	if err != nil {
		t.Errorf("docs/protocol.md: %s is no hex: %v", digits, err)
		return
	}
	frame, err := DecodeFrame(b)
	if err != nil {
		t.Errorf("docs/protocol.md: %s is no frame: %v", digits, err)
		return
	}
	if again, err := AppendFrame(nil, frame); err != nil || !bytes.Equal(again, b) {
		t.Errorf("docs/protocol.md: %s encodes to %x, %v", digits, again, err)
	}
	bare := func(s string) string { return strings.ReplaceAll(s, " ", "") }
	if want, err := cbor.Diagnose(b); err != nil || bare(want) != bare(diagnostic) {
		t.Errorf("docs/protocol.md says %s, the bytes below it are %s (%v)", diagnostic, want, err)
	}
	seen[fmt.Sprintf("%T", frame)] = true
	if events, ok := frame.(Events); ok {
		for i := range events.Events {
			e := &events.Events[i]
			seen[map[bool]string{true: "a single event", false: "a batch"}[e.Proof.Size == 1]] = true
			if err := new(Verifier).Verify(e); err != nil {
				t.Errorf("docs/protocol.md: event %d of the frame %s: %v", e.Seq, digits, err)
			}
		}
	}
}
