package tui

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The pure files hold no clock, goroutine, lock or screen, and the package imports nothing of ours.
func TestPureFilesStayPure(t *testing.T) {
	shell := []string{"theme.go", "view.go", "viewsearch.go", "app.go", "mailbox.go", "tty.go"}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, imp := range file.Imports {
			path := strings.Trim(imp.Path.Value, `"`)
			if strings.HasPrefix(path, "peerchat/") {
				t.Errorf("%s imports %s: the screen knows nothing of ours", name, path)
			}
			if !slices.Contains(shell, name) && slices.ContainsFunc([]string{"tcell", "tview", "sync", "os", "context", "math/rand"},
				func(bad string) bool { return path == bad || strings.Contains(path, "/"+bad) }) {
				t.Errorf("%s is pure and imports %s", name, path)
			}
		}
		if slices.Contains(shell, name) {
			continue
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt, *ast.ChanType:
				t.Errorf("%s is pure and starts a goroutine or makes a channel", name)
			case *ast.SelectorExpr:
				if x, ok := n.X.(*ast.Ident); ok && x.Name == "time" && slices.Contains([]string{"Now", "Since", "Sleep", "After", "NewTimer"}, n.Sel.Name) {
					t.Errorf("%s is pure and reads the clock: time.%s", name, n.Sel.Name)
				}
			}
			return true
		})
	}
}
