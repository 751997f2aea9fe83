package main

import (
	"flag"
	"time"
)

// subcommands are what this program starts itself as: baselines and load.
func subcommands() map[string]func(args []string) error {
	return map[string]func([]string) error{
		"pion-offer":  func([]string) error { return pionPeer(true) },
		"pion-answer": func([]string) error { return pionPeer(false) },
		"pion-connect": func(args []string) error {
			f := flag.NewFlagSet("pion-connect", flag.ContinueOnError)
			n := f.Int("n", 10, "pairs")
			stagger := f.Duration("stagger", 100*time.Millisecond, "time between two")
			if err := f.Parse(args); err != nil {
				return err
			}
			return pionConnect(*n, *stagger)
		},
		"links": func(args []string) error {
			f := flag.NewFlagSet("links", flag.ContinueOnError)
			kind := f.String("kind", "peerchat", "peerchat, tuned or default")
			n := f.Int("n", 100, "links held at the same time")
			if err := f.Parse(args); err != nil {
				return err
			}
			return holdLinks(*kind, *n)
		},
		"voice-loop": func(args []string) error {
			f := flag.NewFlagSet("voice-loop", flag.ContinueOnError)
			mic := f.String("mic", "", "microphone")
			ear := f.String("ear", "", "loudspeaker")
			if err := f.Parse(args); err != nil {
				return err
			}
			return voiceLoop(*mic, *ear)
		},
		"crowd": crowdCommand,
		"load":  loadCommand,
		"busy":  busyCommand,
	}
}
