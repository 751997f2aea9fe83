package main

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"
)

// quantile is the q-th quantile (0 to 1) of values, by linear interpolation; NaN of none.
func quantile(values []float64, q float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	s := slices.Sorted(slices.Values(values))
	at := q * float64(len(s)-1)
	low := int(at)
	if low+1 >= len(s) {
		return s[len(s)-1]
	}
	return s[low] + (at-float64(low))*(s[low+1]-s[low])
}

func median(values []float64) float64 { return quantile(values, 0.5) }

// spread writes the median of rounds with the lowest and highest: "1.23 (1.10–1.90)".
func spread(rounds []float64) string {
	if len(rounds) == 0 {
		return "–"
	}
	if len(rounds) == 1 {
		return figure(rounds[0])
	}
	return fmt.Sprintf("%s (%s–%s)", figure(median(rounds)), figure(slices.Min(rounds)), figure(slices.Max(rounds)))
}

// ratios divides two series round by round.
func ratios(ours, baseline []float64) []float64 {
	var out []float64
	for i := range min(len(ours), len(baseline)) {
		out = append(out, ours[i]/baseline[i])
	}
	return out
}

// figure writes a number with three significant digits, and thousands with commas.
func figure(v float64) string {
	switch a := math.Abs(v); {
	case math.IsNaN(v) || math.IsInf(v, 0):
		return "–"
	case a == 0:
		return "0"
	case a < 1:
		return fmt.Sprintf("%.3f", v)
	case a < 10:
		return fmt.Sprintf("%.2f", v)
	case a < 100:
		return fmt.Sprintf("%.1f", v)
	}
	digits := fmt.Sprintf("%.0f", v)
	for i := len(digits) - 3; i > 0 && digits[i-1] != '-'; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// count writes a number of things.
func count(n int) string {
	if n < 1000 {
		return strconv.Itoa(n)
	}
	return figure(float64(n))
}

// ms is a duration in milliseconds.
func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func msAll(all []time.Duration) []float64 {
	out := make([]float64, len(all))
	for i, d := range all {
		out[i] = ms(d)
	}
	return out
}
