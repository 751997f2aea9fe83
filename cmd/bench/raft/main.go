// Command raft is a node of a cluster of hashicorp/raft, which cmd/bench elects leaders in beside peerchat's. It is a
// module of its own, so that peerchat does not depend on what it is compared with.
//
//	raft -self ADDR -nodes ADDR,ADDR,… [-timeout 100ms]
//
// All nodes begin with the same list. A node prints a line whenever what it knows of the leader changes: "leader ADDR",
// or "leader" for nobody. It ends with its standard input. Nothing is written to disk: a node that is killed and
// started again has forgotten its term and its votes, which costs it less than a real node would pay.
//
// It owns its node and nothing else, and imports nothing of peerchat.
package main

import (
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "raft:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	flags := flag.NewFlagSet("raft", flag.ContinueOnError)
	self := flags.String("self", "", "address of this node")
	nodes := flags.String("nodes", "", "addresses of all nodes, this one too")
	timeout := flags.Duration("timeout", 0, "heartbeat, election and lease time-out; 0: the library's defaults (1 s, 1 s, 0.5 s)")
	if err := flags.Parse(args); err != nil {
		return err
	}
	config := raft.DefaultConfig()
	config.LocalID = raft.ServerID(*self)
	config.Logger = hclog.NewNullLogger()
	if *timeout > 0 {
		config.HeartbeatTimeout, config.ElectionTimeout, config.LeaderLeaseTimeout = *timeout, *timeout, *timeout
	}
	address, err := net.ResolveTCPAddr("tcp", *self)
	if err != nil {
		return fmt.Errorf("the address of this node: %w", err)
	}
	transport, err := raft.NewTCPTransport(*self, address, 3, 2*time.Second, io.Discard)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", *self, err)
	}
	store := raft.NewInmemStore()
	snapshots := raft.NewInmemSnapshotStore()
	var cluster raft.Configuration
	for _, a := range strings.Split(*nodes, ",") {
		cluster.Servers = append(cluster.Servers, raft.Server{ID: raft.ServerID(a), Address: raft.ServerAddress(a)})
	}
	if err := raft.BootstrapCluster(config, store, store, snapshots, transport, cluster); err != nil {
		return fmt.Errorf("begin with the nodes %s: %w", *nodes, err)
	}
	node, err := raft.NewRaft(config, nothing{}, store, store, snapshots, transport)
	if err != nil {
		return fmt.Errorf("start the node: %w", err)
	}
	changes := make(chan raft.Observation, 64)
	node.RegisterObserver(raft.NewObserver(changes, true, func(o *raft.Observation) bool {
		_, ok := o.Data.(raft.LeaderObservation)
		return ok
	}))
	go func() {
		for o := range changes {
			if l, ok := o.Data.(raft.LeaderObservation); ok {
				fmt.Println(strings.TrimSpace("leader " + string(l.LeaderAddr)))
			}
		}
	}()
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// nothing is a state machine with no state: only leaders are wanted.
type nothing struct{}

func (nothing) Apply(*raft.Log) any                   { return nil }
func (n nothing) Snapshot() (raft.FSMSnapshot, error) { return n, nil }
func (nothing) Restore(r io.ReadCloser) error         { return r.Close() }
func (nothing) Persist(sink raft.SnapshotSink) error  { return sink.Close() }
func (nothing) Release()                              {}
