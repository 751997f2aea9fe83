//go:build !linux

package signaling

import (
	"errors"
	"net"
	"syscall"
)

// canPoll is false where there is no poller; every connection then keeps a goroutine of its own.
const canPoll = false

type poller struct {
	n     int
	mine  bool
	ready chan int
	open  chan struct{}
}

var errNoPoller = errors.New("no poller on this system")

func newPoller() (*poller, error)                    { return nil, errNoPoller }
func (*poller) watch(<-chan struct{})                {}
func (*poller) each(func(fd int, hup bool))          {}
func (*poller) more()                                {}
func (*poller) add(syscall.RawConn) (int, error)     { return 0, errNoPoller }
func (*poller) remove(int) (net.Conn, error)         { return nil, errNoPoller }
func (*poller) write(int, []byte) (int, bool, error) { return 0, false, errNoPoller }
func (*poller) finish(int) error                     { return errNoPoller }
func (*poller) drop(int)                             {}
func (*poller) close()                               {}
