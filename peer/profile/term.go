package profile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
)

// Term is the highest term of the tracker's election that this profile has seen; 0 if none is kept. A file that does
// not hold a number is a DamagedError: it can be done without, because the other peers know the term.
func (p *Profile) Term() (uint64, error) {
	f, err := os.Open(p.path(termFile))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read the election's term: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, 64))
	if err != nil {
		return 0, fmt.Errorf("read the election's term: %w", err)
	}
	term, err := strconv.ParseUint(strings.TrimSuffix(string(data), "\n"), 10, 64)
	if err != nil {
		return 0, &DamagedError{File: p.path(termFile), Err: errors.New("it does not hold a number")}
	}
	return term, nil
}

// SaveTerm keeps a term. It is written by way of a second file, so a process that ends meanwhile leaves the old or the
// new one. Nothing is forced to the disk: an election waits for this, and what a power failure loses is learned again
// from the others.
func (p *Profile) SaveTerm(term uint64) error {
	fail := func(err error) error { return fmt.Errorf("keep the election's term: %w", err) }
	next := p.path(termFile) + ".new"
	if err := os.WriteFile(next, append(strconv.AppendUint(nil, term, 10), '\n'), 0o600); err != nil {
		return fail(err)
	}
	if err := os.Rename(next, p.path(termFile)); err != nil {
		return fail(err)
	}
	return nil
}
