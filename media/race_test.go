//go:build race

package media_test

// slow makes the long simulations short: the race detector makes them forty times slower, and they have one goroutine.
const slow = true
