package wire

import (
	"bytes"
	"cmp"
	"time"
)

// The numbers of an author in a room are parted into runs of 1<<RunBits. Each run is a log of its own, and nothing says
// how many numbers of one run were used when another begins: so who has lost what it had said goes on in a run that it
// never used, with no claim about the numbers between, and what it had said before stays what it was. An author that
// has lost nothing says all in run 0.
const RunBits = 21

// LogID names a log of a room: one run of one author. Its events count from Start()+1.
type LogID struct {
	Author PeerID
	Run    uint32
}

// LogOf names the log that an author's number seq belongs to.
func LogOf(author PeerID, seq uint64) LogID {
	return LogID{author, uint32((max(1, min(seq, MaxCounter)) - 1) >> RunBits)}
}

// Start is the number before the log's first.
func (l LogID) Start() uint64 { return uint64(l.Run) << RunBits }

// End is the log's last number.
func (l LogID) End() uint64 { return min(l.Start()+1<<RunBits, MaxCounter) }

// Compare orders logs by author, those of an author by run.
func (l LogID) Compare(o LogID) int {
	return cmp.Or(bytes.Compare(l.Author[:], o.Author[:]), cmp.Compare(l.Run, o.Run))
}

// Log names the log that the head is of.
func (h Head) Log() LogID { return LogOf(h.Author, h.Seq) }

// runEpoch is when runs are counted from, in milliseconds since 1970: the beginning of 2020. runEvery is how long each
// is the present one.
const (
	runEpoch = 1577836800000
	runEvery = 250
)

// RunAt is the run in which an author begins anew that finds at the time t that it has lost what it had said: the
// quarter seconds since 2020, of which there are enough until 2054. It is 0 for a time outside of that.
func RunAt(t time.Time) uint32 {
	if n := (t.UnixMilli() - runEpoch) / runEvery; n > 0 && n < 1<<32 {
		return uint32(n)
	}
	return 0
}

// RunLeft is for how long, from t on, RunAt still gives run: less than 250 ms, and 0 if it does not. Who begins anew in
// that run and says nothing before that is over never shares it with a later loss.
func RunLeft(run uint32, t time.Time) time.Duration {
	if run == 0 || RunAt(t) != run {
		return 0
	}
	return time.UnixMilli(runEpoch + (int64(run)+1)*runEvery).Sub(t)
}
