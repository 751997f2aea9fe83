//go:build race

package election

// mostPeers is the size of the largest network that is tried: the race detector makes everything ten times as slow.
const mostPeers = 1000

// usualSchedules is how many random schedules are tried.
const usualSchedules = 60

// floodSeconds is how long each flood lasts, liars how many schedules of lies are tried.
const (
	floodSeconds = 1
	liars        = 6
)
