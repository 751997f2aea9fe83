package report

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestMarkdown(t *testing.T) {
	x := Table{Head: []string{"", "here"}}
	x.Row("a", "1")
	x.Row("b", "2")
	x.Note("%d rows.", 2)
	if got, want := x.Markdown(), "|  | here |\n| --- | --- |\n| a | 1 |\n| b | 2 |\n\n2 rows.\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestReplaceOnlyBetweenMarkers(t *testing.T) {
	document := "a\n<!-- bench:x -->\nold\n<!-- /bench:x -->\nb\n<!-- bench:y -->\n<!-- /bench:y -->\n"
	got, err := Replace(document, "bench", "x", "| new |\n")
	want := "a\n<!-- bench:x -->\n| new |\n<!-- /bench:x -->\nb\n<!-- bench:y -->\n<!-- /bench:y -->\n"
	if err != nil || got != want {
		t.Errorf("the document becomes %q, %v, want %q", got, err, want)
	}
	if again, err := Replace(got, "bench", "x", "| new |"); err != nil || again != got {
		t.Errorf("replacing by the same text changes the document to %q, %v", again, err)
	}
	if _, err := Replace(document, "bench", "z", ""); err == nil || !strings.Contains(err.Error(), "bench:z") {
		t.Errorf("an item without a place gives %v, want an error that names its marker", err)
	}
}

func TestWrite(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a.md")
	if err := Write(file, "sim", "x", "new"); err == nil {
		t.Error("a document that is not there was written")
	}
	if err := os.WriteFile(file, []byte("<!-- sim:x --><!-- /sim:x -->"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := Write(file, "sim", "x", "new"); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(file); err != nil || string(got) != "<!-- sim:x -->\nnew\n<!-- /sim:x -->" {
		t.Errorf("the file holds %q (%v)", got, err)
	}
	if err := Write(file, "sim", "y", "new"); err == nil {
		t.Error("a document without a place for the table was written")
	}
}
