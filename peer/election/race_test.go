//go:build race

package election

// mostPeers is the size of the largest network that is tried: the race detector makes everything ten times as slow.
const mostPeers = 1000

// usualSchedules is how many random schedules are tried.
const usualSchedules = 60
