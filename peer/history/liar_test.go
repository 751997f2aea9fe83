//go:build !race

package history

import (
	"flag"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"peerchat/peer/wire"
)

// A page begins behind a Lamport clock and an author, without a number. So of an author whose clock stands still or
// goes back some lines may be passed over where a page ends; of all others each line is on one page, and none on two,
// while lines are said, settled and indexed between two pages.
func TestALyingLamportClockHidesNothingOfOthers(t *testing.T) {
	checks := 0
	rapid.Check(t, func(rt *rapid.T) {
		if checks++; checks > 40 && flag.Lookup("rapid.checks").Value.String() == flag.Lookup("rapid.checks").DefValue {
			return // files are slow; -rapid.checks=1000 does what it says
		}
		path := filepath.Join(t.TempDir(), fmt.Sprint(time.Now().UnixNano()))
		s := openAt(t, path, Config{})
		defer func() { _ = s.Close() }()
		r, err := OpenReader(path)
		if err != nil {
			rt.Fatal(err)
		}
		defer r.Close()
		memory := NewMemory()
		const liar = 2
		clock, next := uint64(0), map[byte]uint64{1: 1, liar: 1, 3: 1}
		talk := func(lines int) {
			for range lines {
				author := rapid.SampledFrom([]byte{1, liar, liar, 3}).Draw(rt, "author")
				lamport := clock + 1
				if author == liar {
					lamport = rapid.Uint64Range(1, clock+2).Draw(rt, "clock")
				}
				clock = max(clock, lamport)
				e := said("general", author, next[author], lamport, "line")
				next[author]++
				mustAppend(t, s, e...)
				mustAppend(t, memory, e...)
				switch rapid.IntRange(0, 5).Draw(rt, "then") {
				case 0:
					err = s.Settle()
				case 1:
					err = s.Tidy()
				}
				if err != nil {
					rt.Fatal(err)
				}
			}
		}
		talk(rapid.IntRange(1, 30).Draw(rt, "lines"))
		for name, v := range map[string]View{"the store": s, "a reader": r, "the memory": memory} {
			for _, back := range []bool{true, false} {
				all, err := v.Recent("general", 1000)
				if err != nil {
					rt.Fatal(err)
				}
				got := map[wire.PeerID][]uint64{}
				lamport, author := uint64(0), wire.PeerID{}
				if back {
					lamport = 1 << 62
				}
				for {
					turn := v.After
					if back {
						turn = v.Before
					}
					page, err := turn("general", lamport, author, rapid.IntRange(1, 4).Draw(rt, "limit"))
					if err != nil {
						rt.Fatal(err)
					}
					if len(page) == 0 {
						break
					}
					if !slices.IsSortedFunc(page, func(a, b wire.Event) int { return order(&a, &b) }) {
						rt.Fatalf("%s gives a page that is not in order", name)
					}
					for _, e := range page {
						got[e.Author] = append(got[e.Author], e.Seq)
					}
					edge := page[len(page)-1]
					if back {
						edge = page[0]
					}
					lamport, author = edge.Lamport, edge.Author
					talk(rapid.IntRange(0, 1).Draw(rt, "meanwhile"))
				}
				for author, seqs := range got {
					slices.Sort(seqs)
					if n := len(seqs); len(slices.Compact(seqs)) < n {
						rt.Fatalf("%s gives lines of %s twice: %v", name, author.Tag(), seqs)
					}
				}
				for _, e := range all {
					if _, ok := slices.BinarySearch(got[e.Author], e.Seq); !ok && e.Author != wire.IDOf(testKey(liar)) {
						rt.Fatalf("%s (back %v) does not give line %d of %s, who does not lie: %v", name, back, e.Seq, e.Author.Tag(), got[e.Author])
					}
				}
			}
		}
	})
}
