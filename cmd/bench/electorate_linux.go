package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"peerchat/cmd/peerchat/e2e/lab"
)

// homeTracker stands for a tracker that is no peer, where a leader's ID is expected.
const homeTracker = "home"

// Of electorates.
const (
	look    = 2 * time.Millisecond   // between two looks at what all have printed; figures come from the lines' own times
	quiet   = 700 * time.Millisecond // without news of links and trackers: the world is settled
	settles = 90 * time.Second       // at most
)

// lead is what a peer says of its tracker at a moment.
type lead struct {
	at     time.Time
	State  string `json:"state"`
	Leader string `json:"leader"`
	URL    string `json:"url"`
	Term   uint64 `json:"term"`
}

// voter is a peer that may become the tracker, through all its lives.
type voter struct {
	*lab.Proc
	name    string
	command lab.Command
	net     *lab.Net
	id      string // full peer ID, once it is ready
	dead    bool

	seen  int // lines of its output that are read
	leads []lead
	links map[string]bool
	news  time.Time                       // when a link or the tracker changed last
	heard func(at time.Time, text string) // is given each line of a talk; nil: nobody listens
}

// talkMark begins the text of each line of a talk, and ends it.
const talkMark = "~"

// read takes in what the peer has printed since the last time.
func (v *voter) read() error {
	lines := v.Lines()
	for _, e := range lines[v.seen:] {
		if v.heard != nil {
			if _, rest, ok := strings.Cut(e.Raw, `"text":"`+talkMark); ok && strings.HasPrefix(e.Raw, `{"type":"message"`) {
				if text, _, ok := strings.Cut(rest, talkMark); ok {
					v.heard(e.At, text)
				}
				continue
			}
		}
		switch {
		case strings.HasPrefix(e.Raw, `{"type":"tracker"`):
			l := lead{at: e.At}
			if err := json.Unmarshal([]byte(e.Raw), &l); err != nil {
				return fmt.Errorf("read what %s says of its tracker: %w", v.name, err)
			}
			if l.known() && l.Leader == "" {
				l.Leader = homeTracker
			}
			v.leads, v.news = append(v.leads, l), e.At
		case strings.HasPrefix(e.Raw, `{"type":"link"`):
			e = parsed(e)
			if v.news = e.At; e.State == "up" {
				v.links[e.Peer] = true
			} else {
				delete(v.links, e.Peer)
			}
		case strings.HasPrefix(e.Raw, `{"type":"ready"`):
			v.id = parsed(e).Peer
		}
	}
	v.seen = len(lines)
	return nil
}

// known says that there was a tracker.
func (l lead) known() bool { return l.State == "connected" || l.State == "hosting" }

// follows is the leader that the peer has now, empty for none.
func (v *voter) follows() string {
	if len(v.leads) == 0 || !v.leads[len(v.leads)-1].known() {
		return ""
	}
	return v.leads[len(v.leads)-1].Leader
}

// since is the moment from which on the peer has followed whom it follows now.
func (v *voter) since() time.Time {
	var at time.Time
	now := v.follows()
	for _, l := range slices.Backward(v.leads) {
		if !l.known() || l.Leader != now {
			break
		}
		at = l.at
	}
	return at
}

// doubted is the first moment after t at which the peer had no tracker; zero if it always had one.
func (v *voter) doubted(t time.Time) time.Time {
	for _, l := range v.leads {
		if l.at.After(t) && !l.known() {
			return l.at
		}
	}
	return time.Time{}
}

// electorate is peers that elect their tracker among them.
type electorate struct {
	b      *bench
	home   *lab.Proc // a tracker that is no peer; nil when there is none
	voters []*voter
}

// electorate starts n peers in a network, at a tracker that is no peer.
func (b *bench) electorate(net *lab.Net, n int) (*electorate, error) {
	e := &electorate{b: b}
	var err error
	if e.home, err = b.tracker(net); err != nil {
		return nil, err
	}
	for i := range n {
		err := e.add(net, "127.0.0.1", 5001+i, "--tracker", trackerAddress)
		if err != nil {
			return nil, err
		}
	}
	return e, e.settled()
}

// add starts one more peer, which listens on a port if it becomes the tracker.
func (e *electorate) add(net *lab.Net, host string, port int, args ...string) error {
	name := fmt.Sprintf("p%d", len(e.voters))
	v := &voter{name: name, net: net, command: lab.Command{
		Name: name, Path: e.b.peerchat, Plain: true, Home: filepath.Join(e.b.dir, fmt.Sprintf("voter%d-%d", e.b.homes, len(e.voters))),
		Args: []string{"join", "--json", "--username", name, "--listen", fmt.Sprintf("%s:%d", host, port)},
	}}
	e.voters = append(e.voters, v)
	return e.start(v, args...)
}

// start starts a peer, or starts it again under its old identity.
func (e *electorate) start(v *voter, args ...string) (err error) {
	c := v.command
	c.Args = append(slices.Clone(c.Args), args...)
	v.dead, v.seen, v.leads, v.links, v.news = false, 0, nil, map[string]bool{}, time.Now()
	v.Proc, err = e.b.start(v.net, c)
	return err
}

// kill ends a peer, or the tracker that is none, by SIGKILL, and returns the moment before.
func (e *electorate) kill(leader string) (time.Time, error) {
	if leader == homeTracker {
		p := e.home
		e.home = nil
		at := time.Now()
		return at, p.Signal(syscall.SIGKILL)
	}
	v := e.voter(leader)
	if v == nil {
		return time.Time{}, fmt.Errorf("kill the leader: no peer here has the ID %s", leader)
	}
	v.dead = true
	at := time.Now()
	return at, v.Signal(syscall.SIGKILL)
}

// voter is the peer with that ID, nil for none.
func (e *electorate) voter(id string) *voter {
	for _, v := range e.voters {
		if v.id == id {
			return v
		}
	}
	return nil
}

// living is all peers but those that were killed, and but one; nobody is left out for "".
func (e *electorate) living(but string) (all []*voter) {
	for _, v := range e.voters {
		if !v.dead && (but == "" || v.id != but) {
			all = append(all, v)
		}
	}
	return all
}

// read takes in what some have printed.
func read(voters []*voter) error {
	var all error
	for _, v := range voters {
		all = errors.Join(all, v.read())
	}
	return all
}

// await reads what these peers print until done says so.
func await(voters []*voter, within time.Duration, what string, done func() bool) error {
	deadline := time.Now().Add(within)
	for {
		if err := read(voters); err != nil {
			return err
		}
		if done() {
			return nil
		}
		if time.Now().After(deadline) {
			var state strings.Builder
			for _, v := range voters {
				fmt.Fprintf(&state, "%s (%.8s) has %d links and follows %.8q\n", v.name, v.id, len(v.links), v.follows())
			}
			for _, v := range voters {
				for _, l := range v.leads[max(0, len(v.leads)-6):] {
					fmt.Fprintf(&state, "  %s at %s: %s, leader %.8s, term %d, %s\n", v.name, l.at.Format("05.000"), l.State, l.Leader, l.Term, l.URL)
				}
			}
			return fmt.Errorf("%s: not within %v\n%s", what, within, state.String())
		}
		time.Sleep(look)
	}
}

// agreed awaits that these peers follow one living leader, that is not the one that was, and returns it.
func (e *electorate) agreed(voters []*voter, was string, within time.Duration) (leader string, err error) {
	err = await(voters, within, fmt.Sprintf("%d peers have one leader", len(voters)), func() bool {
		leader = voters[0].follows()
		if leader == "" || leader == was || leader == homeTracker && e.home == nil {
			return false
		}
		if v := e.voter(leader); leader != homeTracker && (v == nil || v.dead) {
			return false
		}
		return !slices.ContainsFunc(voters, func(v *voter) bool { return v.follows() != leader })
	})
	return leader, err
}

// settled awaits that all living peers follow one leader, have links, and have had no news of either for a moment.
func (e *electorate) settled() error {
	all := e.living("")
	err := await(all, settles, "all peers are ready", func() bool {
		return !slices.ContainsFunc(all, func(v *voter) bool { return v.id == "" })
	})
	if err != nil {
		return err
	}
	if _, err := e.agreed(all, "", settles); err != nil {
		return err
	}
	return await(all, settles, "all peers are linked and quiet", func() bool {
		return !slices.ContainsFunc(all, func(v *voter) bool {
			return len(v.links) < min(3, len(all)-1) || v.follows() == "" || time.Since(v.news) < quiet
		})
	})
}

// leader is whom all living peers follow, and the address of its tracker.
func (e *electorate) leader() (id, address string, err error) {
	if id, err = e.agreed(e.living(""), "", settles); err != nil {
		return "", "", err
	}
	for _, v := range e.living("") {
		l := v.leads[len(v.leads)-1]
		if rest, ok := strings.CutPrefix(l.URL, "ws://"); ok && v.id != id { // its own it may call by another name
			address, _, _ = strings.Cut(rest, "/")
			return id, address, nil
		}
	}
	return "", "", fmt.Errorf("find the address of the tracker of %s: nobody tells it", id)
}

// listeners is the addresses of 127.0.0.1 where peers of the network may be trackers: whatever accepts connections
// there.
func (e *electorate) listeners(net *lab.Net) (all []string) {
	for port := 5000; port < 5000+2*len(e.voters)+20; port++ {
		address := "127.0.0.1:" + strconv.Itoa(port)
		if c, err := net.Dial("tcp", address); err == nil {
			_ = c.Close() // nothing was said on it
			all = append(all, address)
		}
	}
	return all
}

// summary writes p50, p99 and the worst of some times in milliseconds.
func summary(all []time.Duration) []string {
	v := msAll(all)
	if len(v) == 0 {
		return []string{"–", "–", "–"}
	}
	return []string{figure(quantile(v, 0.5)), figure(quantile(v, 0.99)), figure(slices.Max(v))}
}

// numbers reads "5,20".
func numbers(list string) (all []int, err error) {
	for f := range strings.SplitSeq(list, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(f))
		if err != nil || n < 3 || n > 50 {
			return nil, fmt.Errorf("read the numbers of peers: %q is none between 3 and 50", f)
		}
		all = append(all, n)
	}
	return all, nil
}
