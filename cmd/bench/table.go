package main

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"
)

// table is the outcome of one item.
type table struct {
	head  []string
	rows  [][]string
	notes []string
}

func (t *table) row(cells ...string) { t.rows = append(t.rows, cells) }

func (t *table) note(format string, args ...any) {
	t.notes = append(t.notes, fmt.Sprintf(format, args...))
}

// markdown writes the table with its notes below it.
func (t *table) markdown() string {
	var b strings.Builder
	line := func(cells []string) { b.WriteString("| " + strings.Join(cells, " | ") + " |\n") }
	line(t.head)
	b.WriteString(strings.Repeat("| --- ", len(t.head)) + "|\n")
	for _, r := range t.rows {
		line(r)
	}
	for _, n := range t.notes {
		b.WriteString("\n" + n + "\n")
	}
	return b.String()
}

// replace puts text between the markers of an item: "<!-- bench:NAME -->" and "<!-- /bench:NAME -->".
func replace(document, name, text string) (string, error) {
	open, end := "<!-- bench:"+name+" -->", "<!-- /bench:"+name+" -->"
	from := strings.Index(document, open)
	to := strings.Index(document, end)
	if from < 0 || to < from {
		return "", fmt.Errorf("find the place for %q: no %s … %s there; put them where the table belongs", name, open, end)
	}
	return document[:from+len(open)] + "\n" + strings.TrimSpace(text) + "\n" + document[to:], nil
}

// write puts the text of one item into the file.
func write(file, name, text string) error {
	old, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("read the document for the figures: %w", err)
	}
	document, err := replace(string(old), name, text)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return os.WriteFile(file, []byte(document), 0o644)
}

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
