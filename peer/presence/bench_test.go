package presence

import (
	"crypto/ed25519"
	"fmt"
	"testing"
	"time"
)

// What one record costs its receiver, with four neighbours to pass it on to, in a room of 2,000: the signature is most
// of it.
func BenchmarkTakeRecord(b *testing.B) {
	for what, check := range map[string]func(ed25519.PublicKey, []byte, []byte) bool{
		"checked": ed25519.Verify, "unchecked": func(ed25519.PublicKey, []byte, []byte) bool { return true }} {
		b.Run(what, func(b *testing.B) {
			l := alone(b, 2, 3, 4, 5, 6)
			l.m.check = func(ed25519.PublicKey, []byte, []byte) bool { return true }
			l.hear(2, &summary{count: MaxMembers})
			for i := range 2000 {
				l.hearRecords(2, invented(i))
				l.advance(2 * time.Millisecond)
			}
			l.m.check = check
			const many = 400
			var data [many][]byte
			for i := range data {
				data[i] = appendMessage(nil, &records{records: []aged{{0, person(7, 1, uint64(i))}}})
			}
			taken, cpu := l.m.stats.News, cpuTime()
			i := 0
			b.ReportAllocs()
			for b.Loop() {
				if i%many == 0 { // start again
					b.StopTimer()
					l.m.drop(person(7, 1, 0).peer)
					l.reset()
					b.StartTimer()
				}
				l.now = l.now.Add(2 * time.Second)
				l.step(Receive{From: l.m.neighbours[0].id, Data: data[i%many]})
				i++
			}
			b.ReportMetric(float64(l.m.stats.News-taken)/float64(b.N), "taken/op")
			b.ReportMetric(float64(cpuTime()-cpu)/float64(b.N), "cpu-ns/op") // where the machine is shared, this tells more
		})
	}
}

// What a refresh costs its receiver, in messages of so many, with four neighbours to pass it on to, in a room of 2,000.
func BenchmarkTakeBeat(b *testing.B) {
	for _, size := range []int{1, 32} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			l := alone(b, 2, 3, 4, 5, 6)
			l.m.check = func(ed25519.PublicKey, []byte, []byte) bool { return true }
			l.hear(2, &summary{count: MaxMembers})
			for i := range 2000 {
				l.hearRecords(2, invented(i))
				l.advance(2 * time.Millisecond)
			}
			var first, last []record
			var data [chainLength][]byte
			for i := range size {
				r := person(10+i, 1, 0)
				first, last = append(first, r), append(last, r)
			}
			for k := range data {
				m := &records{}
				for i := range last {
					next, _ := last[i].next(keyFor(10+i), room)
					last[i] = *next
					m.beats = append(m.beats, told(last[i]))
				}
				data[k] = appendMessage(nil, m)
			}
			news, cpu := l.m.stats.News, cpuTime()
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if i%chainLength == 0 { // start again
					b.StopTimer()
					for _, r := range first {
						l.m.drop(r.peer)
					}
					l.hearRecords(2, first...)
					l.reset()
					news += len(first)
					b.StartTimer()
				}
				l.now = l.now.Add(2 * time.Second)
				l.step(Receive{From: l.m.neighbours[0].id, Data: data[i%chainLength]})
			}
			b.ReportMetric(float64(l.m.stats.News-news)/float64(b.N*size), "taken/op")
			b.ReportMetric(float64(cpuTime()-cpu)/float64(b.N*size), "cpu-ns/beat")
		})
	}
}
