package main

import (
	"bytes"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"strings"

	"peerchat/cmd/peerchat/e2e/lab"
)

// missed is how many lines a peer has to be brought up to date with.
const missed = 10_000

// historyLine is a line of go test's benchmarks.
var historyLine = regexp.MustCompile(`(?m)^BenchmarkMillion/(\S+?)(?:-\d+)?\s+\d+\s+(.*)$`)

// historyRun stores and searches a million events, which the benchmark of peer/history does, and brings a peer up to
// date.
func historyRun(b *bench) ([]table, error) {
	stored, err := million(b)
	if err != nil {
		return nil, err
	}
	late, err := b.catchUp()
	if err != nil {
		return nil, err
	}
	return []table{stored, late}, nil
}

// million reads the benchmark of a million events.
func million(b *bench) (table, error) {
	out, err := exec.Command("go", "test", "-run", "^$", "-bench", "^BenchmarkMillion$", "-benchtime", "1x", "-timeout", "30m", "peerchat/peer/history").CombinedOutput()
	if err != nil {
		return table{}, fmt.Errorf("run the benchmark of peer/history: %w: %s", err, bytes.TrimSpace(out))
	}
	t := table{head: []string{"a million events", "figures"}}
	for _, m := range historyLine.FindAllStringSubmatch(string(out), -1) {
		var cells []string
		words := strings.Fields(m[2])
		for i := 0; i+1 < len(words); i += 2 {
			v, err := strconv.ParseFloat(words[i], 64)
			if err != nil || words[i+1] == "ns/op" || words[i+1] == "us-p99" { // each is done once
				continue
			}
			cells = append(cells, figure(v)+" "+words[i+1])
		}
		if len(cells) > 0 {
			t.row(m[1], strings.Join(cells, ", "))
		}
	}
	if len(t.rows) == 0 {
		return t, fmt.Errorf("read the output of the benchmark: no line has the form %s:\n%s", historyLine, out)
	}
	t.note("`go test -bench Million -benchtime 1x ./peer/history`: lines of 4 to 15 words in 100 rooms, in batches of 32 as they come from the network, each batch with its proofs; " +
		"searches of one room and of all, for words that are rare, common and together, each done once, 50 hits at most. " +
		"Bare is SQLite by itself in the same run: the same driver, a table and an FTS5 index of external content, both written in transactions of 32, and the newest 50 by rowid; " +
		"x-bare is how many times its CPU ours takes, insert and index together, as the bare one does both at once.")
	return t, nil
}

// catchUp has a peer come back that has missed much, and measures until it has shown all of it.
func (b *bench) catchUp() (table, error) {
	var took, rate []float64
	for range b.rounds {
		net, err := b.net()
		if err != nil {
			return table{}, err
		}
		peers, err := b.mesh(net, 2)
		if err != nil {
			return table{}, err
		}
		if _, err := pour(peers[0], peers[1:], "before", 100); err != nil {
			return table{}, err
		}
		home := fmt.Sprintf("%s/home%d", b.dir, b.homes) // of the last one that was started
		if err := peers[1].CloseInput(); err != nil {
			return table{}, err
		}
		if _, err := peers[1].AwaitExit(patience); err != nil {
			return table{}, err
		}
		if _, err := pour(peers[0], peers[:1], "missed", missed); err != nil {
			return table{}, err
		}
		c := b.joinCommand("p1")
		c.Plain, c.Home = true, home
		p, err := b.start(net, c)
		if err != nil {
			return table{}, err
		}
		got := 0
		e, err := p.Await(0, patience, "the lines that it has missed", func(e lab.Event) bool {
			if strings.Contains(e.Raw, "missed ") {
				got++
			}
			return got == missed
		})
		if err != nil {
			return table{}, fmt.Errorf("%d of %d came: %w", got, missed, err)
		}
		t := e.At.Sub(p.Started)
		took, rate = append(took, ms(t)), append(rate, missed/t.Seconds())
		b.end()
	}
	t := table{head: []string{fmt.Sprintf("brought up to date with %s events", count(missed)), "figure"}}
	t.row("from process start to the last of them shown, ms", spread(took))
	t.row("events a second", spread(rate))
	t.note("Two real processes: one leaves, the other says %s lines, the first is started again. It finds the tracker, makes its link, compares the logs, fetches, verifies, stores and prints. %d rounds.",
		count(missed), len(took))
	return t, nil
}
