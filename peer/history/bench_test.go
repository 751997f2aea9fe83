//go:build !race

package history

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"peerchat/peer/wire"
)

func BenchmarkAppend(b *testing.B) {
	for _, n := range []int{1, 32, 512} {
		b.Run(map[int]string{1: "one", 32: "batch32", 512: "batch512"}[n], func(b *testing.B) {
			s, err := OpenSQLite(filepath.Join(b.TempDir(), "history.db"), Config{})
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			events := batch(b, "general", 1, 1, 1, n)
			var times []time.Duration
			for b.Loop() {
				start := time.Now()
				if err := s.Append(events); err != nil {
					b.Fatal(err)
				}
				times = append(times, time.Since(start))
				for i := range events { // the store does not look at proofs
					events[i].Seq += uint64(n)
					events[i].Lamport += uint64(n)
				}
			}
			slices.Sort(times)
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/event")
			b.ReportMetric(float64(times[len(times)/2].Nanoseconds()), "ns-median")
		})
	}
}

func BenchmarkRange(b *testing.B) {
	s, err := OpenSQLite(filepath.Join(b.TempDir(), "history.db"), Config{})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	events := batch(b, "general", 1, 1, 1, 5000)
	mustAppend(b, s, events...)
	for b.Loop() {
		if got, err := s.Range("general", events[0].Author, 1000, 2000, 128); err != nil || len(got) != 128 {
			b.Fatal(len(got), err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*128), "ns/event")
}

// speech makes texts of 4 to 15 words, drawn from 30,000 as words are in languages (Zipf), and what is special about
// some of them.
type speech struct {
	words []string
	rand  *rand.Rand
	zipf  *rand.Zipf
}

func newSpeech() *speech {
	r := rand.New(rand.NewPCG(1, 2))
	s := &speech{rand: r, zipf: rand.NewZipf(r, 1.07, 3, 29_999)}
	for range 30_000 {
		b := make([]byte, 2+r.IntN(8))
		for i := range b {
			b[i] = 'a' + byte(r.IntN(26))
		}
		s.words = append(s.words, string(b))
	}
	return s
}

func (s *speech) text() string {
	words := make([]string, 4+s.rand.IntN(12))
	for i := range words {
		words[i] = s.words[s.zipf.Uint64()]
	}
	return strings.Join(words, " ")
}

// BenchmarkMillion stores a million events in 100 rooms, in batches of 32 as they come from the network, puts their
// words into the index, and searches. Beside each stands what bare SQLite does with the same lines in the same run, and
// x-bare, how many times as much CPU this takes (insert and index together, as the bare one does both at once). Run it
// with -benchtime 1x; -short makes it a hundred thousand.
func BenchmarkMillion(b *testing.B) {
	total, rooms := 1_000_000, 100
	if testing.Short() {
		total = 100_000
	}
	path := filepath.Join(b.TempDir(), "history.db")
	cfg := Config{Limits: Limits{Events: -1, Room: -1, File: -1}, now: func() time.Time { return time.UnixMilli(1_800_000_000_000) }} // when all was said
	s := openAt(b, path, cfg)
	talk := newSpeech()
	batches := make([][]wire.Event, 0, total/32)
	for i := range total / 32 {
		room, author := wire.Room(fmt.Sprint("room", i%rooms)), byte(i/rooms%5+1)
		var lines []string
		for range 32 {
			lines = append(lines, talk.text())
		}
		n := uint64(i / rooms)
		batches = append(batches, said(room, author, n/5*32+1, n*32+1, lines...))
	}
	text := 0
	for _, batch := range batches {
		for i := range batch {
			text += len(batch[i].Body)
			batch[i].Proof = wire.Proof{Index: uint8(i), Size: 32, Path: make([][32]byte, 5)}
		}
	}
	run := func(name string, f func(b *testing.B)) {
		b.Run(name, func(b *testing.B) {
			for range b.N { // run with -benchtime 1x: a second time there is nothing to do
				f(b)
			}
		})
	}
	since := func(b *testing.B, start time.Time, cpu time.Duration, n int) { // the second holds while the machine does other things too
		b.ReportMetric(float64(n)/time.Since(start).Seconds(), "events/s")
		b.ReportMetric(float64(n)/(cpuTime()-cpu).Seconds(), "events/cpu-s")
		b.ReportMetric(0, "ns/op")
	}
	plain, plainCPU, ownCPU := openBare(b, filepath.Join(b.TempDir(), "bare.db")), time.Duration(0), time.Duration(0)
	run("bare-insert-and-index", func(b *testing.B) {
		start, cpu := time.Now(), cpuTime()
		for _, batch := range batches {
			plain.insert(b, batch)
		}
		plainCPU = cpuTime() - cpu
		since(b, start, cpu, len(batches)*32)
	})
	run("insert", func(b *testing.B) {
		start, cpu := time.Now(), cpuTime()
		for _, batch := range batches {
			mustAppend(b, s, batch...)
		}
		ownCPU = cpuTime() - cpu
		since(b, start, cpu, len(batches)*32)
	})
	run("index", func(b *testing.B) {
		start, cpu, n, most := time.Now(), cpuTime(), s.waiting, time.Duration(0)
		for s.waiting > 0 {
			before := cpuTime()
			if _, err := s.index(indexBatch); err != nil {
				b.Fatal(err)
			}
			most = max(most, cpuTime()-before)
		}
		b.ReportMetric(float64(most.Milliseconds()), "cpu-ms-max")
		b.ReportMetric((ownCPU+cpuTime()-cpu).Seconds()/plainCPU.Seconds(), "x-bare")
		since(b, start, cpu, n)
	})
	if err := s.query("PRAGMA wal_checkpoint(TRUNCATE)", nil); err != nil {
		b.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		b.Fatal(err)
	}
	counted := int64(0)
	for _, r := range s.rooms {
		counted += r.size()
	}
	b.Logf("file %d MB, counted as %d MB, text %d MB, of %d events", info.Size()>>20, counted>>20, text>>20, total)
	for _, q := range []struct{ name, query string }{
		{"rare-word", talk.words[20_000]}, {"common-word", talk.words[0]}, {"two-words", talk.words[3] + " " + talk.words[500]},
		{"two-common-words", talk.words[0] + " " + talk.words[1]},
		{"phrase", `"` + talk.words[0] + " " + talk.words[1] + `"`}, {"prefix", talk.words[100][:2] + "*"}, {"one-letter", "a*"}, {"every-letter", "a* b* c* d* e* f* g* h* i* j* k* l* m* n* o* p* q* r* s* t* u* v* w* x* y* z*"},
		{"nothing", "doesnotoccur"},
	} {
		for _, room := range []wire.Room{"room7", ""} {
			where := "one-room"
			if room == "" {
				where = "all-rooms"
			}
			var plainCPU time.Duration // of one search
			b.Run("search/"+q.name+"/"+where+"/bare", func(b *testing.B) {
				hits, cpu := 0, cpuTime()
				for b.Loop() {
					hits = plain.search(b, room, q.query, 50)
				}
				plainCPU = (cpuTime() - cpu) / time.Duration(b.N)
				b.ReportMetric(float64(plainCPU.Microseconds()), "cpu-us/op")
				b.ReportMetric(float64(hits), "hits")
			})
			b.Run("search/"+q.name+"/"+where, func(b *testing.B) {
				var times []time.Duration
				hits, cpu := 0, cpuTime()
				for b.Loop() {
					start := time.Now()
					res, err := s.Search(context.Background(), room, q.query, Cursor{}, 50)
					if err != nil {
						b.Fatal(err)
					}
					hits = len(res.Hits)
					times = append(times, time.Since(start))
				}
				slices.Sort(times)
				spent := (cpuTime() - cpu) / time.Duration(b.N)
				b.ReportMetric(float64(spent.Microseconds()), "cpu-us/op")
				b.ReportMetric(spent.Seconds()/max(plainCPU, time.Microsecond).Seconds(), "x-bare")
				b.ReportMetric(float64(times[len(times)/2].Microseconds()), "us-median")
				b.ReportMetric(float64(times[len(times)*99/100].Microseconds()), "us-p99")
				b.ReportMetric(float64(hits), "hits")
			})
		}
	}
	run("page", func(b *testing.B) {
		start := time.Now()
		for i := range 100 {
			if _, err := s.Before("room7", uint64(5000+i), wire.PeerID{}, 100); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(time.Since(start).Microseconds())/100, "us-per-page")
	})
	run("export", func(b *testing.B) {
		start, cpu := time.Now(), cpuTime()
		if err := s.Export(context.Background(), io.Discard, "", FormatJSON); err != nil {
			b.Fatal(err)
		}
		since(b, start, cpu, total)
	})
	for _, what := range []string{"after-close", "after-kill"} {
		run("open/"+what, func(b *testing.B) {
			if what == "after-kill" {
				if err := s.exec(sqlMeta, metaClosed, int64(0)); err != nil {
					b.Fatal(err)
				}
				if err := errors.Join(s.release(), s.lock.Unlock()); err != nil {
					b.Fatal(err)
				}
			} else if err := s.Close(); err != nil {
				b.Fatal(err)
			}
			start, cpu := time.Now(), cpuTime()
			s = openAt(b, path, cfg)
			b.ReportMetric(float64(time.Since(start).Milliseconds()), "ms")
			b.ReportMetric(float64((cpuTime() - cpu).Milliseconds()), "cpu-ms")
		})
	}
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkCatchUp brings one store up to date with 10,000 events of another: what the history does of an anti-entropy,
// in answers of 128 events, as gossip asks for them.
func BenchmarkCatchUp(b *testing.B) {
	const total = 10_000
	talk := newSpeech()
	from := openAt(b, filepath.Join(b.TempDir(), "history.db"), Config{})
	defer from.Close()
	for author := range byte(10) {
		for i := range total / 10 / 20 {
			var lines []string
			for range 20 {
				lines = append(lines, talk.text())
			}
			mustAppend(b, from, said("general", author+1, uint64(i*20+1), uint64((i*10+int(author))*20+1), lines...)...)
		}
	}
	cpu := time.Duration(0)
	for i := 0; b.Loop(); i++ {
		b.StopTimer()
		to := openAt(b, filepath.Join(b.TempDir(), fmt.Sprint(i)), Config{})
		b.StartTimer()
		cpu -= cpuTime()
		heads, _, err := from.Heads("general")
		if err != nil {
			b.Fatal(err)
		}
		for _, h := range heads {
			for seq := uint64(1); seq <= h.Seq; {
				events, err := from.Range("general", h.Author, seq, h.Seq, 128)
				if err != nil || len(events) == 0 {
					b.Fatal(len(events), err)
				}
				mustAppend(b, to, events...)
				seq += uint64(len(events))
			}
		}
		b.StopTimer()
		cpu += cpuTime()
		if st, err := to.Stats("general"); err != nil || st.Events != total {
			b.Fatal(st, err)
		}
		if err := to.Close(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/total, "us/event")
	b.ReportMetric(float64(cpu.Microseconds())/float64(b.N)/total, "cpu-us/event")
}
