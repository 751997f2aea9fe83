package lab

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// entered marks a process that Enter has put into a user namespace of its own.
const entered = "PEERCHAT_LAB_ENTERED"

// Enter makes sure that this process may make network namespaces. Where it may not (it is not root), it runs the same
// program again as root of a new user namespace, waits for it, and returns its exit status and true: the caller
// should exit with it. An error says that this machine allows neither.
func Enter() (status int, again bool, err error) {
	n, err := NewNet()
	if err == nil {
		return 0, false, n.Close()
	}
	if os.Getenv(entered) != "" {
		return 0, false, err
	}
	self, selfErr := os.Executable()
	if selfErr != nil {
		return 0, false, selfErr
	}
	cmd := exec.Command(self, os.Args[1:]...)
	cmd.Env = append(os.Environ(), entered+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	var exit *exec.ExitError
	switch runErr := cmd.Run(); {
	case runErr == nil:
		return 0, true, nil
	case errors.As(runErr, &exit):
		return exit.ExitCode(), true, nil
	}
	return 0, false, fmt.Errorf("%w; run this as root, or allow unprivileged user namespaces", err)
}

// Net is a network of its own with a loopback interface.
type Net struct {
	work chan func()
	done chan struct{}
	ns   int // file descriptor of the namespace
	once sync.Once
}

// NewNet makes a network namespace with lo up and nothing else in it.
func NewNet() (*Net, error) {
	n := &Net{work: make(chan func()), done: make(chan struct{})}
	born := make(chan error)
	go n.live(born)
	if err := <-born; err != nil {
		return nil, err
	}
	if err := n.Run("ip", "link", "set", "lo", "up"); err != nil {
		return nil, errors.Join(err, n.Close())
	}
	return n, nil
}

// live is the thread inside the namespace. It never unlocks: the thread dies with the goroutine, and with it the
// processes that it started.
func (n *Net) live(born chan<- error) {
	runtime.LockOSThread()
	defer close(n.done)
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		born <- fmt.Errorf("make a network namespace: %w", err)
		return
	}
	fd, err := unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		born <- fmt.Errorf("open the new network namespace: %w", err)
		return
	}
	n.ns = fd
	born <- nil
	for f := range n.work {
		f()
	}
	_ = unix.Close(fd) // nothing can be done about it, and the namespace goes with the thread anyway
}

// Do runs f on the thread inside the network: sockets that f makes and processes that it starts are there.
func (n *Net) Do(f func() error) error {
	result := make(chan error, 1)
	n.work <- func() { result <- f() }
	return <-result
}

// Close leaves the network; processes that were started in it are killed by the kernel.
func (n *Net) Close() error {
	n.once.Do(func() { close(n.work) })
	<-n.done
	return nil
}

// Run runs a short command inside the network, and returns its output as the error when it fails.
func (n *Net) Run(args ...string) error {
	return n.Do(func() error {
		out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
		if err != nil {
			return fmt.Errorf("run %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
		}
		return nil
	})
}

// Listen listens on a TCP address inside the network.
func (n *Net) Listen(address string) (l net.Listener, err error) {
	err = n.Do(func() error { l, err = net.Listen("tcp", address); return err })
	return l, err
}

// Dial connects to an address inside the network. The address must be literal.
func (n *Net) Dial(network, address string) (c net.Conn, err error) {
	err = n.Do(func() error { c, err = net.Dial(network, address); return err })
	return c, err
}

// FreePort returns a port of 127.0.0.1 that is free for both TCP and UDP.
func (n *Net) FreePort() (string, error) {
	for range 50 {
		l, err := n.Listen("127.0.0.1:0")
		if err != nil {
			return "", err
		}
		port := l.Addr().(*net.TCPAddr).Port
		var u net.PacketConn
		err = n.Do(func() error {
			u, err = net.ListenPacket("udp", "127.0.0.1:"+strconv.Itoa(port))
			return err
		})
		_ = l.Close()
		if err == nil {
			_ = u.Close()
			return strconv.Itoa(port), nil
		}
	}
	return "", errors.New("find a free port on 127.0.0.1: every one of 50 was taken for UDP; run again")
}

// Drop loses a share of the packets that arrive here, at random, from now on: percent of those that match, where
// match is an nft expression such as "meta l4proto udp" or empty for every packet. 100 cuts the links.
func (n *Net) Drop(percent int, match string) error {
	rule := match
	if percent < 100 {
		rule += fmt.Sprintf(" numgen random mod 100 < %d", percent)
	}
	if err := n.Heal(); err != nil {
		return err
	}
	return n.Run("nft", "add table inet lab; "+
		"add chain inet lab in { type filter hook input priority 0; }; "+
		"add rule inet lab in "+rule+" drop")
}

// Heal ends what Drop did.
func (n *Net) Heal() error {
	return n.Run("nft", "add table inet lab; delete table inet lab")
}

// Wire joins two networks by a cable (a veth pair named "eth") and gives each end its address, such as "10.0.0.1/24".
func Wire(a, b *Net, addressA, addressB string) error {
	path := fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), b.ns)
	if err := a.Run("ip", "link", "add", "eth", "type", "veth", "peer", "name", "eth", "netns", path); err != nil {
		return err
	}
	for _, end := range []struct {
		net     *Net
		address string
	}{{a, addressA}, {b, addressB}} {
		err := errors.Join(
			end.net.Run("ip", "address", "add", end.address, "dev", "eth"),
			end.net.Run("ip", "link", "set", "eth", "up"),
		)
		if err == nil {
			err = end.net.Run("ip", "route", "add", "default", "dev", "eth")
		}
		if err != nil {
			return err
		}
	}
	return nil
}
