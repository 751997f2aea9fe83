package main

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"peerchat/peer"
	"peerchat/peer/history"
	"peerchat/peer/wire"
)

// docs/json.md tells of each type and field, and of no others.
func TestJSONIsDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/json.md")
	if err != nil {
		t.Fatal(err)
	}
	told := map[string]map[string]bool{} // of a type its fields, and whether a line had one
	quoted := regexp.MustCompile("`([a-z_]+)`")
	for line := range strings.Lines(string(text)) {
		columns := strings.Split(line, "|")
		if len(columns) != 5 || !strings.HasPrefix(line, "| `") {
			continue
		}
		fields := map[string]bool{}
		for _, f := range quoted.FindAllStringSubmatch(columns[2], -1) {
			fields[f[1]] = false
		}
		told[strings.Trim(columns[1], " `")] = fields
	}

	p := &jsonPrinter{now: func() time.Time { return noon }}
	events := append(allEvents(), peer.Message{Room: "general", Missing: 1}, peer.Failure{Room: "general", Said: []peer.Say{{Room: "general", Kind: wire.KindText, Text: "x"}}},
		peer.Notice{Room: "general"})
	var out []byte
	for _, ev := range events {
		out = p.event(out, ev, &view{})
	}
	out = p.help(p.older(p.found(out, found{res: history.Results{}}, &view{}), olderLines{}, &view{}), "")
	for _, n := range allVoiceNews() {
		out = p.voice(out, n)
	}
	for line := range strings.Lines(string(out)) {
		var fields map[string]any
		if err := json.Unmarshal([]byte(line), &fields); err != nil {
			t.Fatal(err)
		}
		kind, _ := fields["type"].(string)
		for name := range fields {
			switch _, ok := told[kind][name]; {
			case name == "type" || name == "time":
			case !ok:
				t.Errorf("docs/json.md does not tell of %s in a line of type %s", name, kind)
			default:
				told[kind][name] = true
			}
		}
	}
	for kind, fields := range told {
		for name, seen := range fields {
			if !seen {
				t.Errorf("docs/json.md tells of %s in a line of type %s, and none has it", name, kind)
			}
		}
	}
}
