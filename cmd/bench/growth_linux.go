package main

import (
	"bytes"
	"fmt"
	"os/exec"
	"regexp"
	"strings"
)

// quietLine is what cmd/gossipsim says of the memory of one size of room.
var quietLine = regexp.MustCompile(`(\d+) peers are quiet; ([\d.]+) KiB of memory each`)

// growthRow is the beginning of a row of cmd/gossipsim's table: peers, links each, and bytes a second and peer of the
// overlay, the broadcast and the presence.
var growthRow = regexp.MustCompile(`(?m)^\| (\d+) \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|`)

// growth is what a peer costs as its room grows: it has cmd/gossipsim simulate whole participants, because it is the
// same count.
func growth(b *bench) ([]table, error) {
	var out, progress bytes.Buffer
	cmd := exec.Command("go", "run", "peerchat/cmd/gossipsim", "-only", "growth", "-peers", fmt.Sprint(b.simulated))
	cmd.Stdout, cmd.Stderr = &out, &progress
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("simulate rooms of up to %d peers: %w: %s", b.simulated, err, bytes.TrimSpace(progress.Bytes()))
	}
	memory := map[string]string{}
	for _, m := range quietLine.FindAllStringSubmatch(progress.String(), -1) {
		memory[m[1]] = m[2]
	}
	t := table{head: []string{"peers in the room", "links of a peer", "memory of a peer, KiB", "nothing is said, bytes a second and peer: overlay", "broadcast", "presence", "all"}}
	for _, m := range growthRow.FindAllStringSubmatch(out.String(), -1) {
		var all, v float64
		for _, text := range m[3:6] {
			if _, err := fmt.Sscan(text, &v); err != nil {
				return nil, fmt.Errorf("read %q of the simulation: %w", m[0], err)
			}
			all += v
		}
		n := 0
		if _, err := fmt.Sscan(m[1], &n); err != nil {
			return nil, fmt.Errorf("read %q of the simulation: %w", m[0], err)
		}
		t.row(count(n), m[2], memory[m[1]], m[3], m[4], m[5], figure(all))
	}
	if len(t.rows) == 0 {
		return nil, fmt.Errorf("read the output of the simulation: no row has the form %s:\n%s", growthRow, strings.TrimSpace(out.String()))
	}
	t.note("Whole participants in a simulated network (`cmd/gossipsim -only growth`): overlay, broadcast, history in memory and presence, without signaling, WebRTC and " +
		"what those keep alive. The memory is that of the simulation, where a member that all know is kept once for all; a link over WebRTC is 0.2 MiB more.")
	return []table{t}, nil
}
