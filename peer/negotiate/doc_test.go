package negotiate

import (
	"bufio"
	"os"
	"strings"
	"testing"

	"peerchat/peer/wire"
)

// TestProtocolDocument holds the chapter Link of docs/protocol.md to the code: each of its lines of JSON is a message,
// and is written again as it is there; all kinds are shown; what is signed is signed by one of the document's two peers
// for the other.
func TestProtocolDocument(t *testing.T) {
	f, err := os.Open("../../docs/protocol.md")
	if err != nil {
		t.Fatalf("the protocol's document: %v", err)
	}
	defer f.Close()
	ann, bob := wire.IDOf(testKey(1)), wire.IDOf(testKey(2))
	seen := map[Kind]bool{}
	chapter, block := false, false
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		line := lines.Text()
		switch {
		case strings.HasPrefix(line, "## "):
			chapter = line == "## Link"
			continue
		case strings.HasPrefix(line, "```"):
			block = line == "```json"
			continue
		case !chapter || !block:
			continue
		}
		m, err := Parse([]byte(line))
		if err != nil {
			t.Errorf("docs/protocol.md: %s: %v", line, err)
			continue
		}
		if again, err := m.Append(nil); err != nil || string(again) != line {
			t.Errorf("docs/protocol.md says %s, the code %s (%v)", line, again, err)
		}
		from, to := ann, bob
		if m.Kind == KindAnswer {
			from, to = bob, ann
		}
		if err := m.Verify(from, to); err != nil {
			t.Errorf("docs/protocol.md: %s: %v", line, err)
		}
		seen[m.Kind] = true
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	for _, kind := range []Kind{KindOffer, KindAnswer, KindCandidate, KindReject} {
		if !seen[kind] {
			t.Errorf("the chapter Link of docs/protocol.md shows no %s", kind)
		}
	}
}
