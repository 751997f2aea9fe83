// Command gossipsim repeats the experiments of the papers with our own code, in the simulator, and writes the tables of
// the documents.
//
//	go run ./cmd/gossipsim [-peers 10000] [-seed 1] [-only graph,failures] [-write docs/overlay.md]
//
// Each item prints a table in Markdown; with -write it goes between the marks "<!-- gossipsim:NAME -->" and "<!--
// /gossipsim:NAME -->" of a document. The same seed prints the same table on every machine of one kind.
//
// The program owns nothing but its memory; it must never be imported, and touches neither the network nor the clock,
// but to say how long it took.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/pprof"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"peerchat/cmd/internal/report"
)

// item is one experiment.
type item struct {
	name string
	what string
	run  func(*settings) (report.Table, error)
}

func items() []item {
	return []item{
		{"graph", "the overlay as a graph", graph},
		{"failures", "many peers fail at once: who is reached, and how soon all are again", failures},
		{"repair", "many peers fail at once: the overlay afterwards", repair},
		{"arrivals", "many come at once: the links that are made, and those that stay", arrivals},
		{"churn", "peers come and go, and what the overlay costs", churn},
		{"stable", "the broadcast when nothing goes wrong", stable},
		{"deaths", "many die at once: who gets the first line, and the next ones", deaths},
		{"trouble", "packets are lost, peers come and go, the network is parted", trouble},
		{"turnover", "the whole participant as peers come and go", turnover},
		{"growth", "the whole participant as the room grows", growth},
	}
}

// settings are what the user asked for.
type settings struct {
	peers    int
	seed     uint64
	rounds   int
	lines    int
	rates    []int // of failures, in per cent
	mu       sync.Mutex
	progress io.Writer
	outcomes []outcome // of failures, by rate; nil: they are not known yet
}

// say tells how far it is. It may be called by several goroutines.
func (s *settings) say(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintf(s.progress, format+"\n", args...)
}

func main() {
	if err := run(os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "gossipsim:", err)
		os.Exit(1)
	}
}

func run(args []string, out, progress io.Writer) error {
	flags := flag.NewFlagSet("gossipsim", flag.ContinueOnError)
	flags.SetOutput(progress)
	s := &settings{progress: progress}
	flags.IntVar(&s.peers, "peers", 10000, "how many peers")
	flags.Uint64Var(&s.seed, "seed", 1, "everything follows from it")
	flags.IntVar(&s.rounds, "rounds", 50, "shuffles of each peer before anything is measured")
	flags.IntVar(&s.lines, "lines", 10, "messages behind each figure")
	rates := flags.String("rates", "10,20,30,40,50,60,70,80,90,95", "how many per cent fail")
	only := flags.String("only", "", "comma-separated items to run (default: all)")
	file := flags.String("write", "", "document whose tables are rewritten; empty: they are only printed")
	profile := flags.String("profile", "", "file for a profile of the processor time (go tool pprof); empty: none")
	flags.Usage = func() {
		fmt.Fprintln(progress, "usage: gossipsim [flags]")
		flags.PrintDefaults()
		for _, it := range items() {
			fmt.Fprintf(progress, "  %-10s %s\n", it.name, it.what)
		}
	}
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil
		}
		return err
	}
	for text := range strings.SplitSeq(*rates, ",") {
		rate, err := strconv.Atoi(text)
		if err != nil || rate < 0 || rate > 99 {
			return fmt.Errorf("-rates %s: want numbers from 0 to 99, with commas between them", *rates)
		}
		s.rates = append(s.rates, rate)
	}
	if s.lines < 1 {
		return fmt.Errorf("-lines %d: want one at least", s.lines)
	}
	if s.peers < 10 || s.peers > 100_000 || s.rounds < 0 {
		return fmt.Errorf("-peers %d -rounds %d: want 10 to 100,000 peers, and no negative number of rounds", s.peers, s.rounds)
	}
	chosen, err := choose(*only)
	if err != nil {
		return err
	}
	if *profile != "" {
		f, err := os.Create(*profile)
		if err != nil {
			return fmt.Errorf("-profile: %w", err)
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return fmt.Errorf("-profile: %w", err)
		}
		defer pprof.StopCPUProfile()
	}
	for _, it := range chosen {
		start := time.Now()
		t, err := it.run(s)
		if err != nil {
			return fmt.Errorf("%s: %w", it.name, err)
		}
		text := t.Markdown()
		fmt.Fprintf(out, "### %s\n\n%s\n", it.what, text)
		var mem runtime.MemStats
		runtime.ReadMemStats(&mem)
		s.say("%s: %v, %d MiB from the system", it.name, time.Since(start).Round(time.Second), mem.Sys>>20)
		if *file != "" {
			if err := report.Write(*file, "gossipsim", it.name, text); err != nil {
				return err
			}
		}
	}
	return nil
}

// choose is the items that a list names; all for an empty one.
func choose(only string) ([]item, error) {
	if only == "" {
		return items(), nil
	}
	var list []item
	for name := range strings.SplitSeq(only, ",") {
		i := slices.IndexFunc(items(), func(it item) bool { return it.name == name })
		if i < 0 {
			return nil, fmt.Errorf("-only %s: there is no item %q; see -help", only, name)
		}
		list = append(list, items()[i])
	}
	return list, nil
}
