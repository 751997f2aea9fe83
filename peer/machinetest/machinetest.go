// Package machinetest is what the tests of machines have in common: transcripts that are kept in testdata, schedules
// that follow from seeds, what is to come in a simulated world, and messages on their way. It imports nothing of ours
// and is imported by tests alone; the flags of these are here.
package machinetest

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var (
	update    = flag.Bool("update", false, "rewrite the transcripts in testdata")
	firstSeed = flag.Uint64("from", 0, "the seed of the first schedule")
	schedules = flag.Uint64("schedules", 0, "try this many schedules instead of the usual ones, one for each seed; one is told in full")
)

// Transcript compares what was told of a play with what testdata has under its name, or writes it there under -update.
func Transcript(t testing.TB, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", strings.ReplaceAll(name, " ", "_")+".txt")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal("rewrite the transcript of a play:", err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal("read the transcript of a play (-update writes it):", err)
	}
	if got != string(want) {
		t.Errorf("the play differs from %s (read it, and rewrite that with -update if it is meant):\n%s", file, got)
	}
}

// Plans are the schedules to try: those that failed once and as many drawn ones as is usual, or, drawn, those that the
// flags ask for. A single one that is asked for is to be told in full.
func Plans[P any](usual uint64, once []P, draw func(seed uint64) P) (plans []P, told bool) {
	from, n := uint64(0), usual
	if *schedules > 0 {
		from, n, once = *firstSeed, *schedules, nil
	}
	plans = slices.Clone(once)
	for s := range n {
		plans = append(plans, draw(from+s))
	}
	return plans, *schedules == 1
}

// Searching reports whether the flags ask for many schedules: what fails among them is to be kept.
func Searching() bool { return *schedules > 1 }
