package history

import (
	"path/filepath"
	"slices"
	"testing"
	"time"
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
