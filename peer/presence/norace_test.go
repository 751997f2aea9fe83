//go:build !race

package presence

// usualSchedules is how many random schedules are tried.
const usualSchedules = 60
