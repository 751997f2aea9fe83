//go:build !race

package peer

const RaceDetector = false
