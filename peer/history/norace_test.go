//go:build !race

package history

const slow = false
