//go:build !race

package election

// mostPeers is the size of the largest network that is tried.
const mostPeers = 10000

// usualSchedules is how many random schedules are tried.
const usualSchedules = 150

// floodSeconds is how long each flood lasts, liars how many schedules of lies are tried.
const (
	floodSeconds = 6
	liars        = 40
)
