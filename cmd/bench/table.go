package main

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"

	"peerchat/cmd/internal/report"
)

// table is the outcome of one item.
type table struct {
	head  []string
	rows  [][]string
	notes []string
}

func (t *table) row(cells ...string) { t.rows = append(t.rows, cells) }

// compare is a row of our figures, others' and their ratios, round by round.
func (t *table) compare(what string, ours, theirs []float64, aim string) {
	t.row(what, spread(ours), spread(theirs), spread(ratios(ours, theirs)), aim)
}

func (t *table) note(format string, args ...any) {
	t.notes = append(t.notes, fmt.Sprintf(format, args...))
}

// markdown writes the table with its notes below it.
func (t *table) markdown() string {
	return (&report.Table{Head: t.head, Rows: t.rows, Notes: t.notes}).Markdown()
}

// write puts the text of one item into the file, between its marks.
func write(file, name, text string) error { return report.Write(file, "bench", name, text) }

// machine is a line about where the figures come from.
func machine(now time.Time) string {
	model, memory, kernel := "unknown processor", "", ""
	if b, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for l := range strings.Lines(string(b)) {
			if k, v, ok := strings.Cut(l, ":"); ok && strings.TrimSpace(k) == "model name" {
				model = strings.TrimSpace(v)
				break
			}
		}
	}
	if b, err := os.ReadFile("/proc/meminfo"); err == nil {
		var kib int
		if _, err := fmt.Sscanf(string(b), "MemTotal: %d", &kib); err == nil {
			memory = fmt.Sprintf(", %d GiB", kib>>20)
		}
	}
	if b, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		kernel = ", Linux " + strings.TrimSpace(string(b))
	}
	return fmt.Sprintf("%s, %d cores%s%s, %s, %s.", model, runtime.NumCPU(), memory, kernel, runtime.Version(),
		now.UTC().Format("2006-01-02"))
}
