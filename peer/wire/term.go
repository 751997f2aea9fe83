package wire

import "time"

// The terms that are believed. Liars can drive the term up to this and no further, so the numbers last for 278,000
// years. It goes by the clock and not by what one believed before, so that those who were lied to, and those who come
// with no term at all, still accept each other's terms.
const (
	termEpoch = 1735689600 // 2025-01-01, in Unix seconds: before there were any
	termPace  = 1 << 10    // for each second since
	termLeast = 1 << 20    // where the clock has lost its time
	termAhead = 16         // above one's own, for those whose clock was once ahead
)

// HighestTerm is the highest term of an election that is believed at the time now by a peer or a tracker that has the
// term own.
func HighestTerm(now time.Time, own uint64) uint64 {
	line := uint64(max(now.Unix()-termEpoch, 0)) * termPace
	return min(max(line, termLeast, own+termAhead), MaxCounter-1)
}
