//go:build !unix

package signaling

// canRead is false where a socket cannot be read without waiting; connections then read the plain way.
const canRead = false

func readFD(uintptr, []byte) (int, bool, error) { return 0, false, nil }
