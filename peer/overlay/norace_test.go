//go:build !race

package overlay_test

// usualSchedules is how many random schedules are tried.
const usualSchedules = 300
