package profile

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestTermIsKept(t *testing.T) {
	dir := t.TempDir()
	p, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if term, err := p.Term(); term != 0 || err != nil {
		t.Errorf("a new profile has term %d, %v: want 0", term, err)
	}
	for _, want := range []uint64{1, 7, 1 << 62} {
		if err := p.SaveTerm(want); err != nil {
			t.Fatal(err)
		}
		if term, err := p.Term(); term != want || err != nil {
			t.Errorf("term %d was kept and read as %d, %v", want, term, err)
		}
	}
	for _, bad := range []string{"", "x", "-1", "99999999999999999999999", "1 2"} {
		if err := os.WriteFile(filepath.Join(dir, termFile), []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		var damaged *DamagedError
		if term, err := p.Term(); term != 0 || !errors.As(err, &damaged) {
			t.Errorf("a file that holds %q was read as term %d, %v: want a DamagedError", bad, term, err)
		}
	}
}
