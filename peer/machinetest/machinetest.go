// Package machinetest is what the tests of machines have in common: transcripts that are kept in testdata, and the seeds of their
// schedules. It imports nothing of ours and is imported by tests alone; the flags of these are here.
package machinetest

import (
	"flag"
	"os"
	"path/filepath"
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

// Seeds are those of the schedules to try: as many as is usual, or those that the flags ask for. A single one that is asked for is to
// be told in full.
func Seeds(usual uint64) (seeds []uint64, asked, told bool) {
	from, n := uint64(0), usual
	if *schedules > 0 {
		from, n = *firstSeed, *schedules
	}
	for s := range n {
		seeds = append(seeds, from+s)
	}
	return seeds, *schedules > 0, *schedules == 1
}
