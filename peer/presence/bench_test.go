package presence

import (
	"crypto/ed25519"
	"testing"
	"time"
)

// What one record costs its receiver, with four neighbours to pass it on to, in a room of 2,000: the signature is most of it.
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
