//go:build race

package chat

// raceEnabled says that the tests are slower than they look.
const raceEnabled = true
