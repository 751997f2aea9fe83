//go:build race

package peer_test

// raceDetector says that the race detector is on, with which everything takes five times as long.
const raceDetector = true
