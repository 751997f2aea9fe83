//go:build !race

package media_test

const slow = false
