package report

import (
	"os"
	"path/filepath"
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

func TestReplace(t *testing.T) {
	got, err := Replace("a\n<!-- sim:x -->\nold\n<!-- /sim:x -->\nb", "sim", "x", "new\n")
	if want := "a\n<!-- sim:x -->\nnew\n<!-- /sim:x -->\nb"; got != want || err != nil {
		t.Errorf("got %q (%v), want %q", got, err, want)
	}
	if _, err := Replace("a", "sim", "x", "new"); err == nil {
		t.Error("a document without a place for the table was taken")
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
