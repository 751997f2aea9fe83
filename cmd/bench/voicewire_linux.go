package main

import (
	"fmt"
	"os"
	"strings"
	"time"

	"peerchat/cmd/peerchat/e2e/lab"
)

// apart makes two networks with a cable between them, a tracker in the first, and a peer in the voice of a room in
// each. How they are joined is up to join; the arguments of the two are added to what is needed.
func (b *bench) apart(join func(x, y *lab.Net, addressX, addressY string) error, ann, bob []string, env ...string) (nets [2]*lab.Net, peers [2]*lab.Proc, err error) {
	for i := range nets {
		if nets[i], err = b.net(); err != nil {
			return nets, peers, err
		}
	}
	if err := join(nets[0], nets[1], "10.0.0.1/24", "10.0.0.2/24"); err != nil {
		return nets, peers, err
	}
	const tracker = "10.0.0.1:5000"
	if _, err := b.start(nets[0], lab.Command{Name: "tracker", Path: b.peerchat, Plain: true, Env: []string{"PEERCHAT_INTERFACE=eth"}, Args: []string{
		"tracker", "--listen", tracker, "--stun", tracker, "--log-level", "warn"}}); err != nil {
		return nets, peers, err
	}
	if err := accepts(nets[0], tracker); err != nil {
		return nets, peers, err
	}
	for i, args := range [][]string{ann, bob} {
		name := []string{"ann", "bob"}[i]
		args = append([]string{"join", "--json", "--username", name, "--no-host", "--tracker", tracker, "--voice"}, args...)
		if peers[i], err = b.startInTime(nets[i], lab.Command{Name: name, Path: b.peerchat, Args: args,
			Env: append([]string{"PEERCHAT_INTERFACE=eth"}, env...)}); err != nil {
			return nets, peers, err
		}
	}
	return nets, peers, awaitVoice(1, peers[0], peers[1])
}

// traffic is what has come in by an interface.
type traffic struct{ packets, bytes float64 }

// received reads the counters of the cable's end in a network (proc(5), /proc/net/dev).
func received(n *lab.Net) (t traffic, err error) {
	err = n.Do(func() error {
		b, err := os.ReadFile("/proc/thread-self/net/dev")
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(b)) {
			if name, rest, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "eth" {
				_, err := fmt.Sscan(rest, &t.bytes, &t.packets)
				return err
			}
		}
		return fmt.Errorf("count packets: there is no interface eth")
	})
	return t, err
}

// voiceWire is what a listener costs a talker, on the wire.
func voiceWire(b *bench) ([]table, error) {
	const (
		long     = 10 * time.Second // a round
		ethernet = 14               // bytes of header, which the counters have in
	)
	nets, peers, err := b.apart(lab.Wire, []string{"--mic", "tone:440", "--speaker", "none"}, []string{"--mic", "none", "--speaker", "none"})
	if err != nil {
		return nil, err
	}
	ann := peers[0]
	states := []struct {
		name           string
		commands       []string
		packets, bytes []float64
	}{
		{"not in voice", []string{"/voice leave"}, nil, nil},
		{"in voice, silent", []string{"/input none", "/vad", "/voice join"}, nil, nil},
		{"speaking", []string{"/vad off", "/input tone:440"}, nil, nil},
		{"speaking, each frame twice", []string{"/voice set redundant on"}, nil, nil},
		{"muted", []string{"/voice set redundant off", "/mute"}, nil, nil},
	}
	for range b.rounds {
		for i := range states {
			s := &states[i]
			for _, c := range s.commands {
				if err := ann.Say(c); err != nil {
					return nil, err
				}
			}
			time.Sleep(time.Second) // for the microphone, and for what is on its way
			before, err := received(nets[1])
			if err != nil {
				return nil, err
			}
			began := time.Now()
			time.Sleep(long)
			after, err := received(nets[1])
			if err != nil {
				return nil, err
			}
			seconds := time.Since(began).Seconds()
			s.packets = append(s.packets, (after.packets-before.packets)/seconds)
			s.bytes = append(s.bytes, (after.bytes-before.bytes-ethernet*(after.packets-before.packets))/seconds)
		}
		if err := ann.Say("/unmute"); err != nil {
			return nil, err
		}
	}
	t := table{head: []string{"a talker to one listener", "packets/s", "bytes/s", "kbit/s"}}
	for _, s := range states {
		kbit := make([]float64, len(s.bytes))
		for i, v := range s.bytes {
			kbit[i] = v * 8 / 1000
		}
		t.row(s.name, spread(s.packets), spread(s.bytes), spread(kbit))
	}
	t.note("What arrives at the listener's interface from IP upwards: text, gossip and ICE too, as the first row shows. %d rounds of %v for each state.", b.rounds, long)
	return []table{t}, nil
}
