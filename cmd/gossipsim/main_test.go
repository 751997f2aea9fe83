//go:build !race

package main

import (
	"io"
	"strings"
	"testing"
)

// Every item runs, in a small room, and says the same for the same seed.
func TestItems(t *testing.T) {
	for _, it := range items() {
		one := func() string {
			var out strings.Builder
			if err := run([]string{"-peers", "60", "-rounds", "3", "-rates", "20,80", "-only", it.name}, &out, io.Discard); err != nil {
				t.Fatal(err)
			}
			return out.String()
		}
		got := one()
		if rows := strings.Count(got, "\n| "); rows < 3 {
			t.Errorf("%s printed %d rows:\n%s", it.name, rows, got)
		}
		if again := one(); again != got {
			t.Errorf("%s printed two different tables for one seed:\n%s\n%s", it.name, got, again)
		}
	}
}

func TestWrongFlags(t *testing.T) {
	for _, args := range []string{"-peers 3", "-rounds -1", "-lines 0", "-rates 10,x", "-rates 100", "-only nothing", "-peers 60 -rounds 0 -only graph -write /nonexistent.md"} {
		if err := run(strings.Fields(args), io.Discard, io.Discard); err == nil {
			t.Errorf("%s was taken", args)
		}
	}
}

func TestPercent(t *testing.T) {
	for part, want := range map[float64]string{1: "100", 0.9999: "99.9+", 0.5: "50", 0.1234: "12.3", 0: "0"} {
		if got := percent(part); got != want {
			t.Errorf("%v is %q, want %q", part, got, want)
		}
	}
}
