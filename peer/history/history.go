// Package history keeps the logs of rooms on disk: one SQLite file per profile, with a memory store of the same
// behaviour for tests and simulations.
//
// A Store is owned by one goroutine, that of its peer. The package imports peer/wire and nothing else of ours.
package history
