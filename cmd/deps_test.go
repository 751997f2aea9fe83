// Package cmd holds nothing but the test of the module's architecture: who may import whom, which code is pure,
// and what every package must have. It owns no state and may be imported by nobody.
package cmd

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

const (
	module  = "peerchat"
	maxFile = 600 // lines; a longer file is usually two
	// maxComment is in columns, of which an indentation takes tab.
	maxComment, tab = 120, 4
)

// mayImport says which packages of ours each package may import, tests aside. A package that is not in the list is
// an error, so that a new one is thought about.
var mayImport = map[string][]string{
	"configs":                 {},
	"media/l16":               {"media"},
	"media/device":            {"media", "media/l16", "media/wav"},
	"media/wav":               {},
	"tui":                     {},
	"tui/tuitest/demo":        {"tui", "tui/tuitest"},
	"tui/tuitest":             {"tui"},
	"peer/cbor":               {},
	"peer/cbor/cbortest":      {},
	"peer/machinetest":        {},
	"peer/wire":               {"peer/cbor"},
	"peer/profile":            {},
	"peer/gossip":             {"peer/wire"},
	"peer/election":           {"peer/wire"},
	"peer/negotiate":          {"peer/wire"},
	"peer/presence":           {"peer/cbor", "peer/wire"},
	"peer/history":            {"peer/wire"},
	"peer/overlay":            {"peer/wire"},
	"peer/sim":                {"peer/wire"},
	"peer/sim/member":         {"peer/wire", "peer/overlay", "peer/sim"},
	"peer/sim/chat":           {"peer/wire", "peer/overlay", "peer/gossip", "peer/history", "peer/presence", "peer/sim", "peer/sim/member"},
	"signaling":               {"peer/wire"},
	"signaling/signalingtest": {"peer/wire", "signaling"},
	"peer":                    {"peer/wire", "peer/gossip", "peer/negotiate", "peer/election", "peer/overlay", "peer/presence", "signaling"},
	"peer/peertest":           {"peer", "peer/wire", "peer/gossip", "peer/negotiate", "peer/history", "signaling"},
	"media":                   {},
	"media/mediatest":         {"media"},
	"cmd":                     {},
	"cmd/peerchat":            {"configs", "tui", "peer", "peer/wire", "peer/history", "peer/profile", "signaling", "media", "media/device", "media/wav"},
	"cmd/peerchat/e2e":        {"cmd/peerchat/e2e/lab"}, // its tests take media, mediatest and wav, to make and to judge sound
	"cmd/peerchat/e2e/lab":    {},
	"cmd/bench":               {"cmd/internal/report", "cmd/peerchat/e2e/lab", "peer", "peer/history", "peer/wire", "signaling", "signaling/signalingtest", "media", "media/device", "media/mediatest", "media/wav"},
	"cmd/bench/raft":          {}, // a module of its own, as is
	"cmd/bench/gossipsub":     {},
	"cmd/gossipsim":           {"cmd/internal/report", "peer/wire", "peer/overlay", "peer/sim", "peer/sim/member", "peer/sim/chat"},
	"cmd/internal/report":     {},
}

// pure lists the packages and files that are functions of their arguments: they read no clock, start no goroutine,
// use no shared source of chance, and touch no file or socket.
var pure = []string{
	"peer/cbor", "peer/wire", "peer/gossip", "peer/negotiate", "peer/election", "peer/presence", "peer/sim/member", "peer/sim/chat", "peer/sim", "peer/overlay",
	"signaling/hub*.go", "signaling/message.go", "signaling/encode.go", "signaling/decode.go", "signaling/scan.go",
	"signaling/backoff.go", "signaling/limit.go",
	"peer/core*.go", "peer/roster.go", "peer/rtc_voice_reception.go",
	"tui/msg.go", "tui/command.go", "tui/request.go", "tui/sanitize.go", "tui/text.go", "tui/timeline.go", "tui/item.go", "tui/rows.go", "tui/page.go", "tui/search.go", "tui/editor.go", "tui/complete.go",
	"media/frame.go", "media/jitter*.go", "media/stream.go", "media/stretch.go", "media/drift.go", "media/conceal.go", "media/mixer.go",
	"media/gate.go", "media/ptt.go", "media/agc.go", "media/level.go", "media/resample.go", "media/redundancy.go", "media/duck.go", "media/mediatest",
	"tui/model.go", "tui/members.go", "tui/keys.go", "tui/layout.go", "tui/act.go", "tui/status.go", "tui/tracker.go", "tui/invite.go", "tui/voice.go", "tui/voicecommand.go",
}

// impure are the calls that a pure package must not make: they read or wait for the machine's clock, or draw from a
// source of chance that no seed controls.
var impure = map[string][]string{
	"time":                   {"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker"},
	"github.com/google/uuid": {"New", "NewString", "NewRandom", "NewUUID", "NewV6", "NewV7"},
	"math/rand": {"Int", "Intn", "Int31", "Int31n", "Int63", "Int63n", "Uint32", "Uint64", "Float32", "Float64", "Perm", "Shuffle",
		"Read", "Seed", "NormFloat64", "ExpFloat64"},
	"math/rand/v2": {"Int", "IntN", "Int32", "Int32N", "Int64", "Int64N", "Uint", "UintN", "Uint32", "Uint32N", "Uint64", "Uint64N",
		"N", "Float32", "Float64", "Perm", "Shuffle", "NormFloat64", "ExpFloat64"},
}

// clocked are the methods of a rate.Limiter that read the machine's clock; beside each is one that takes the time.
var clocked = []string{"Allow", "Reserve", "Tokens", "SetLimit", "SetBurst"}

// worldly are the imports that a pure package must not have.
var worldly = []string{"os", "net", "net/http", "crypto/rand", "io/ioutil", "os/exec", "syscall", "context", "log", "log/slog"}

// source is one parsed file of the module.
type source struct {
	dir, path string // slash-separated, from the module's root
	test      bool
	lines     []string
	ast       *ast.File
}

func parseModule(t *testing.T) (files []source, fset *token.FileSet) {
	t.Helper()
	fset = token.NewFileSet()
	root := ".."
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name := d.Name(); d.IsDir() && p != root && (strings.HasPrefix(name, ".") || name == "testdata" || name == "dist" || name == "bin") {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(p, ".go") {
			return nil
		}
		text, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, p)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		parsed, err := parser.ParseFile(fset, rel, text, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		files = append(files, source{dir: path.Dir(rel), path: rel, test: strings.HasSuffix(rel, "_test.go"),
			lines: strings.Split(strings.TrimSuffix(string(text), "\n"), "\n"), ast: parsed})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 20 {
		t.Fatalf("only %d Go files were found: is this the module's root?", len(files))
	}
	return files, fset
}

// imports of ours, without the module's name; and those of others.
func (s source) imports() (ours, others []string) {
	for _, spec := range s.ast.Imports {
		p, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			panic(err) // the parser has checked it
		}
		if rest, ok := strings.CutPrefix(p, module+"/"); ok {
			ours = append(ours, rest)
		} else {
			others = append(others, p)
		}
	}
	return ours, others
}

// TestArchitecture reads the module once, and holds it to the rules.
func TestArchitecture(t *testing.T) {
	files, fset := parseModule(t)
	for _, rule := range []struct {
		name  string
		check func(t *testing.T, files []source, fset *token.FileSet)
	}{
		{"packages import whom they may", checkImports},
		{"every package has a comment", checkComments},
		{"pure code is pure", checkPurity},
		{"what is tested without the race detector starts no goroutines", checkUnraced},
		{"there is no init", checkNoInit},
		{"files stay small", checkSizes},
		{"comments stay narrow", checkWidths},
		{"go.mod is tidy", checkTidy},
	} {
		t.Run(rule.name, func(t *testing.T) { rule.check(t, files, fset) })
	}
}

func isTestPackage(dir string) bool { return strings.HasSuffix(path.Base(dir), "test") }

func checkImports(t *testing.T, files []source, _ *token.FileSet) {
	for _, f := range files {
		allowed, known := mayImport[f.dir]
		if !known {
			t.Errorf("%s: package %s is not in the list of who may import whom; give it a line there", f.path, f.dir)
			continue
		}
		if f.test {
			continue
		}
		ours, _ := f.imports()
		for _, p := range ours {
			if !slices.Contains(allowed, p) {
				t.Errorf("%s imports %s; package %s may import %v of ours", f.path, p, f.dir, allowed)
			}
			if isTestPackage(p) && !isTestPackage(f.dir) && f.dir != "cmd/bench" { // which measures, as tests do
				t.Errorf("%s imports %s, which is for tests only", f.path, p)
			}
		}
	}
}

func checkComments(t *testing.T, files []source, _ *token.FileSet) {
	comments := map[string]string{}
	for _, f := range files {
		if f.test && f.dir != "cmd" && f.dir != "cmd/peerchat/e2e" { // these two hold nothing but tests
			continue
		}
		comments[f.dir] += f.ast.Doc.Text()
	}
	for dir, comment := range comments {
		if !strings.HasPrefix(comment, "Package ") && !strings.HasPrefix(comment, "Command ") {
			t.Errorf("package %s has no package comment: it says what the package is, who owns its state, what it must never import", dir)
		}
	}
}

func checkPurity(t *testing.T, files []source, fset *token.FileSet) {
	matched := map[string]bool{}
	for _, f := range files {
		if f.test {
			continue
		}
		for _, pattern := range pure {
			hit := pattern == f.dir
			if strings.HasSuffix(pattern, ".go") {
				var err error
				if hit, err = path.Match(pattern, f.path); err != nil {
					t.Fatal(err)
				}
			}
			if !hit {
				continue
			}
			matched[pattern] = true
			checkPure(t, f, fset)
		}
	}
	for _, pattern := range pure {
		if !matched[pattern] {
			t.Errorf("the list of pure code names %s, which does not exist", pattern)
		}
	}
}

func checkPure(t *testing.T, f source, fset *token.FileSet) {
	t.Helper()
	_, others := f.imports()
	for _, p := range others {
		if slices.Contains(worldly, p) {
			t.Errorf("%s imports %s, but is pure", f.path, p)
		}
	}
	names := map[string]string{} // of imported packages in this file
	for _, spec := range f.ast.Imports {
		p, _ := strconv.Unquote(spec.Path.Value)
		name := path.Base(p)
		if name == "v2" {
			name = path.Base(path.Dir(p))
		}
		if spec.Name != nil {
			name = spec.Name.Name
		}
		names[name] = p
	}
	ast.Inspect(f.ast, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			t.Errorf("%s starts a goroutine, but is pure", fset.Position(n.Pos()))
		case *ast.SelectStmt:
			t.Errorf("%s waits on channels, but is pure", fset.Position(n.Pos()))
		case *ast.SelectorExpr:
			if slices.Contains(clocked, n.Sel.Name) {
				t.Errorf("%s uses %s, which reads the clock, but is pure: take the one that is given the time", fset.Position(n.Pos()), n.Sel.Name)
			}
			if pkg, ok := n.X.(*ast.Ident); ok && slices.Contains(impure[names[pkg.Name]], n.Sel.Name) {
				t.Errorf("%s uses %s.%s, but is pure: clock and chance are arguments", fset.Position(n.Pos()), pkg.Name, n.Sel.Name)
			}
		}
		return true
	})
}

// checkUnraced looks at what the Makefile has tested without the race detector: PURE, which are the packages that are
// pure as a whole, and the files of tests that say !race. Tests may be beside each other there, but each keeps to
// itself.
func checkUnraced(t *testing.T, files []source, fset *token.FileSet) {
	makefile, err := os.ReadFile("../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	var unraced []string
	if m := regexp.MustCompile(`(?m)^PURE +=((?:.*\\\n)*.*)$`).FindSubmatch(makefile); m != nil {
		for _, p := range strings.Fields(strings.ReplaceAll(string(m[1]), "\\", " ")) {
			unraced = append(unraced, strings.TrimPrefix(p, "./"))
		}
	}
	for _, p := range pure {
		if !strings.HasSuffix(p, ".go") && !slices.Contains(unraced, p) {
			t.Errorf("package %s is pure: let the Makefile have it in PURE", p)
		}
	}
	for _, p := range unraced {
		if !slices.Contains(pure, p) {
			t.Errorf("the Makefile has %s in PURE, which is not in the list of pure packages", p)
		}
	}
	tagged := 0
	for _, f := range files {
		is := f.test && len(f.ast.Comments) > 0 && f.ast.Comments[0].Pos() < f.ast.Package && f.ast.Comments[0].List[0].Text == "//go:build !race"
		if is {
			tagged++
		}
		if !f.test || !is && !slices.Contains(unraced, f.dir) {
			continue
		}
		_, others := f.imports()
		for _, p := range others {
			if p == "sync" || p == "sync/atomic" || p == "testing/synctest" {
				t.Errorf("%s imports %s, but is tested without the race detector", f.path, p)
			}
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			switch n.(type) {
			case *ast.GoStmt, *ast.SelectStmt, *ast.ChanType:
				t.Errorf("%s has to do with goroutines, but is tested without the race detector", fset.Position(n.Pos()))
			}
			return true
		})
	}
	if tagged == 0 {
		t.Error("no file of tests says !race: is it written otherwise now?")
	}
}

func checkNoInit(t *testing.T, files []source, fset *token.FileSet) {
	for _, f := range files {
		for _, d := range f.ast.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
				t.Errorf("%s: an init function runs before anybody asked for it", fset.Position(fn.Pos()))
			}
		}
	}
}

func checkSizes(t *testing.T, files []source, _ *token.FileSet) {
	for _, f := range files {
		if n := len(f.lines); n > maxFile {
			t.Errorf("%s has %d lines, more than %d: it is usually two files", f.path, n, maxFile)
		}
	}
}

// checkWidths looks at comments on lines of their own, but for what is set apart in them.
func checkWidths(t *testing.T, files []source, _ *token.FileSet) {
	for _, f := range files {
		for i, line := range f.lines {
			text := strings.TrimLeft(line, "\t")
			if !strings.HasPrefix(text, "// ") || strings.HasPrefix(text, "//  ") {
				continue
			}
			if n := utf8.RuneCountInString(text) + tab*(len(line)-len(text)); n > maxComment {
				t.Errorf("%s:%d: the comment is %d columns wide, more than %d", f.path, i+1, n, maxComment)
			}
		}
	}
}

// Every module that go.mod requires has a reason in docs/dependencies.md, and nothing else has.
func TestDependenciesHaveReasons(t *testing.T) {
	mod, err := os.ReadFile("../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := os.ReadFile("../docs/dependencies.md")
	if err != nil {
		t.Fatal(err)
	}
	required := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^\t(\S+) (v\S+)$`).FindAllStringSubmatch(string(mod), -1) {
		required[m[1]] = m[2]
	}
	reasons := map[string]string{}
	said := 0
	for _, m := range regexp.MustCompile("(?m)^\\| `([^` ]+) ([^` ]+)` \\| (.+) \\|$").FindAllStringSubmatch(string(doc), -1) {
		reasons[m[1]] = m[2]
		said++
		if len(strings.TrimSpace(m[3])) < 10 {
			t.Errorf("docs/dependencies.md gives no reason for %s", m[1])
		}
	}
	if len(required) < 10 {
		t.Fatalf("only %d direct requirements were found in go.mod", len(required))
	}
	if said != len(reasons) {
		t.Errorf("docs/dependencies.md gives %d reasons for %d modules: want one for each", said, len(reasons))
	}
	for name, version := range required {
		if reasons[name] != version {
			t.Errorf("go.mod requires %s %s; docs/dependencies.md says %q", name, version, reasons[name])
		}
	}
	for name := range reasons {
		if _, ok := required[name]; !ok {
			t.Errorf("docs/dependencies.md explains %s, which go.mod does not require directly", name)
		}
	}
}

// What is imported is required directly, and what is required directly is imported.
func checkTidy(t *testing.T, files []source, _ *token.FileSet) {
	mod, err := os.ReadFile("../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	used := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^\t(\S+) v\S+( // indirect)?$`).FindAllStringSubmatch(string(mod), -1) {
		name, direct := m[1], m[2] == ""
		for _, f := range files {
			_, others := f.imports()
			for _, p := range others {
				if p == name || strings.HasPrefix(p, name+"/") {
					used[name] = true
				}
			}
		}
		if direct != used[name] {
			t.Errorf("go.mod: %s", fmt.Sprintf("%s is imported: %v, required directly: %v; run go mod tidy", name, used[name], direct))
		}
	}
}
