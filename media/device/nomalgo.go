//go:build !cgo

package device

// newMalgo: miniaudio is a C library, and this build has none.
func newMalgo(Config) backend { return nil }
