package history

import (
	"path/filepath"
	"strings"
	"testing"
)

// A file that has just been brought to a newer schema has none of its words in the index. What is said meanwhile does
// not wait for all of them, and they get fewer.
func TestABacklogOfWordsHoldsNobodyUp(t *testing.T) {
	const old = maxWaiting + 3*indexBatch
	s := openAt(t, filepath.Join(t.TempDir(), "history.db"), Config{Limits: Limits{Events: 1 << 20}})
	defer s.Close()
	texts := make([]string, old)
	for i := range texts {
		texts[i] = "an old line"
	}
	mustAppend(t, s, said("general", 1, 1, 1, texts...)...)
	if err := s.reindex(); err != nil {
		t.Fatal(err)
	}
	if s.waiting != old {
		t.Fatalf("%d of %d events wait for the index", s.waiting, old)
	}
	batches, lines := 0, uint64(0)
	for s.fresh = 0; s.waiting > maxWaiting; lines++ {
		before := s.waiting
		mustAppend(t, s, said("general", 1, old+1+lines, old+1+lines, "a line")...)
		if s.waiting < before {
			batches++
		}
		if lines > 16*old {
			t.Fatalf("after %d lines %d events wait for the index, want ever fewer", lines, s.waiting)
		}
	}
	if batches == 0 || batches > int(lines)/indexEvery {
		t.Errorf("of %d lines %d waited until a batch of old ones was in the index, want one in %d", lines, batches, indexEvery)
	}
}

// Of long lines a batch holds fewer. Then it comes sooner, or the backlog would grow as long as they come.
func TestABacklogOfLongLinesGetsShorterToo(t *testing.T) {
	s := openAt(t, filepath.Join(t.TempDir(), "history.db"), Config{})
	defer s.Close()
	line := strings.Repeat("a long line ", 2000)
	s.waiting = maxWaiting + 1 // of which the index finds only those below
	for seq := range uint64(2 * indexEvery) {
		mustAppend(t, s, said("general", 1, seq+1, seq+1, line)...)
	}
	if most := maxWaiting + 1 + indexBytes/len(line); s.waiting > most {
		t.Errorf("after %d long lines %d events wait for the index, want %d at most", 2*indexEvery, s.waiting, most)
	}
}
