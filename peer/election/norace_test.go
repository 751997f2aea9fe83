//go:build !race

package election

// mostPeers is the size of the largest network that is tried.
const mostPeers = 10000
