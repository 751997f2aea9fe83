package main

import (
	"bytes"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
)

// scaleLine is what TestMessagesAndTime of peer/election says of one size of group that loses an elected leader.
var scaleLine = regexp.MustCompile(`(\d+) peers, home false: at most +(\d+) messages \(([\d.]+) n, classic Bully (\d+)\), all know after at most (\S+)`)

// messages counts the messages of an election: the pure machines in a simulated network, which the scale test of
// peer/election does. It runs that test, because it is the same count.
func messages(*bench) ([]table, error) {
	out, err := exec.Command("go", "test", "-count=1", "-v", "-run", "^TestMessagesAndTime$", "peerchat/peer/election").CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("run the scale test of peer/election: %w: %s", err, bytes.TrimSpace(out))
	}
	t := table{head: []string{"peers, 6 links each", "messages of an election, at most", "× n", "classic Bully, lowest first", "until all know, at most"}}
	for _, m := range scaleLine.FindAllStringSubmatch(string(out), -1) {
		var cells []string
		for _, i := range []int{1, 2, 4} {
			v, err := strconv.Atoi(m[i])
			if err != nil {
				return nil, fmt.Errorf("read %q of the scale test: %w", m[0], err)
			}
			cells = append(cells, count(v))
		}
		t.row(cells[0], cells[1], m[3], cells[2], m[5])
	}
	if len(t.rows) == 0 {
		return nil, fmt.Errorf("read the output of the scale test of peer/election: no line has the form %s:\n%s", scaleLine, out)
	}
	t.note("The machines of `peer/election` in a simulated network with links of 1 to 2 ms, so the time is virtual. The leader is an elected peer that is killed, which " +
		"its neighbours notice at once. Classic Bully: the lowest of them begins, and everybody asks all better ones.")
	return []table{t}, nil
}
