//go:build race

package overlay_test

// usualSchedules is how many random schedules are tried: the race detector makes everything ten times as slow.
const usualSchedules = 30
