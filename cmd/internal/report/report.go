// Package report writes measured figures as tables in Markdown, and puts them into documents, between the marks that
// are there for them. It owns nothing, and must never import anything of ours.
package report

import (
	"fmt"
	"os"
	"strings"
)

// Table is the outcome of one measurement.
type Table struct {
	Head  []string
	Rows  [][]string
	Notes []string
}

// Row adds a row.
func (t *Table) Row(cells ...string) { t.Rows = append(t.Rows, cells) }

// Note adds a sentence that stands below the table.
func (t *Table) Note(format string, args ...any) {
	t.Notes = append(t.Notes, fmt.Sprintf(format, args...))
}

// Markdown is the table with its notes below it.
func (t *Table) Markdown() string {
	var b strings.Builder
	line := func(cells []string) { b.WriteString("| " + strings.Join(cells, " | ") + " |\n") }
	line(t.Head)
	b.WriteString(strings.Repeat("| --- ", len(t.Head)) + "|\n")
	for _, r := range t.Rows {
		line(r)
	}
	for _, n := range t.Notes {
		b.WriteString("\n" + n + "\n")
	}
	return b.String()
}

// Replace puts text between the marks of an item in a document: "<!-- by:item -->" and "<!-- /by:item -->", where by is
// the program that measures. It returns an error if they are not there.
func Replace(document, by, item, text string) (string, error) {
	open, end := "<!-- "+by+":"+item+" -->", "<!-- /"+by+":"+item+" -->"
	from := strings.Index(document, open)
	to := strings.Index(document, end)
	if from < 0 || to < from {
		return "", fmt.Errorf("find the place for %q: no %s … %s there; put them where the table belongs", item, open, end)
	}
	return document[:from+len(open)] + "\n" + strings.TrimSpace(text) + "\n" + document[to:], nil
}

// Write does that in a file.
func Write(file, by, item, text string) error {
	old, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("read the document for the figures: %w", err)
	}
	document, err := Replace(string(old), by, item, text)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return os.WriteFile(file, []byte(document), 0o644)
}
