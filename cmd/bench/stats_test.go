package main

import (
	"math"
	"testing"
)

func TestQuantile(t *testing.T) {
	for _, c := range []struct {
		values []float64
		q      float64
		want   float64
	}{
		{[]float64{3}, 0.99, 3},
		{[]float64{4, 1, 3, 2}, 0, 1},
		{[]float64{4, 1, 3, 2}, 1, 4},
		{[]float64{4, 1, 3, 2}, 0.5, 2.5},
		{[]float64{10, 20, 30, 40, 50}, 0.25, 20},
		{[]float64{0, 100}, 0.99, 99},
	} {
		if got := quantile(c.values, c.q); math.Abs(got-c.want) > 1e-9 {
			t.Errorf("the %v quantile of %v is %v, want %v", c.q, c.values, got, c.want)
		}
	}
	if !math.IsNaN(quantile(nil, 0.5)) {
		t.Error("the median of nothing is a number")
	}
}

func TestFigures(t *testing.T) {
	for v, want := range map[float64]string{
		0: "0", 0.1234: "0.123", 1.234: "1.23", 12.34: "12.3", 123.4: "123", 1234: "1,234", 1234567: "1,234,567", -1234: "-1,234",
		-123: "-123", math.Inf(1): "–",
	} {
		if got := figure(v); got != want {
			t.Errorf("%v is written %q, want %q", v, got, want)
		}
	}
	for n, want := range map[int]string{0: "0", 7: "7", 128: "128", 99999999: "99,999,999"} {
		if got := count(n); got != want {
			t.Errorf("%d things are written %q, want %q", n, got, want)
		}
	}
	if got := spread([]float64{3, 1, 2}); got != "2.00 (1.00–3.00)" {
		t.Errorf("the spread of 3, 1, 2 is written %q", got)
	}
}

func TestTableMarkdown(t *testing.T) {
	tab := table{head: []string{"what", "ms"}}
	tab.row("one", "1")
	tab.note("%d rounds", 3)
	if got, want := tab.markdown(), "| what | ms |\n| --- | --- |\n| one | 1 |\n\n3 rounds\n"; got != want {
		t.Errorf("the table is %q, want %q", got, want)
	}
}
