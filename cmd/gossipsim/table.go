package main

import (
	"fmt"
	"os"
	"strings"
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

// replace puts text between the marks of an item.
func replace(document, name, text string) (string, error) {
	open, end := "<!-- gossipsim:"+name+" -->", "<!-- /gossipsim:"+name+" -->"
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

// percent is a part in per cent: one place after the point, and 100 only for all.
func percent(part float64) string {
	if s := fmt.Sprintf("%.1f", 100*part); part == 1 || s != "100.0" {
		return strings.TrimSuffix(s, ".0")
	}
	return "99.9+"
}
