//go:build race

package peer

// RaceDetector says that the race detector is on, with which everything takes five times as long.
const RaceDetector = true
