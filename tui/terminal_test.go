package tui

import (
	"strings"
	"testing"

	"github.com/gdamore/tcell/v2"
)

func TestAnOldTerminalIsNotWaitedFor(t *testing.T) {
	old, err := tcell.LookupTerminfo("vt100")
	if err != nil || old.PadChar == "" || !strings.Contains(old.SetCursor, "$<") {
		t.Fatalf("a vt100 is %+v, %v: no example of a terminal that is waited for", old, err)
	}
	if quick, err := unpadded("vt100"); err != nil || quick.PadChar != "" || quick.SetCursor != old.SetCursor {
		t.Errorf("a vt100 is taken for %+v, %v", quick, err)
	}
	if _, err := unpadded("no such terminal"); err == nil {
		t.Error("there is a terminal of a kind that does not exist")
	}
}
