//go:build race

package history

// slow tells that the race detector is on, which makes SQLite, being Go, many times slower: the long tests run shorter.
const slow = true
