package signaling

import (
	"fmt"
	"net"
	"os"
	"syscall"
)

// canPoll says that a poller can be had.
const canPoll = true

// poller waits for many sockets at once (epoll(7)), so that one goroutine reads and answers all that have something:
// no goroutine is woken for each of them. It hears of a socket once for what has come (edge-triggered).
//
// The epoll instance is itself a file that the runtime's poller watches. While it is quiet it is the watcher's; the
// owner gets it with the first events, and gives it back when there are no more.
type poller struct {
	file   *os.File
	raw    syscall.RawConn
	fd     int
	events [256]syscall.EpollEvent
	n      int           // events that wait
	mine   bool          // the owner has the poller
	ready  chan int      // to the owner: so many events
	again  chan struct{} // to the watcher
	open   chan struct{} // closed: never makes anybody wait
}

const epollET = 1 << 31

func newPoller() (*poller, error) {
	fd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("make an epoll instance: %w", err)
	}
	if err := syscall.SetNonblock(fd, true); err != nil { // so that os.File can wait for it
		syscall.Close(fd)
		return nil, fmt.Errorf("make an epoll instance: %w", err)
	}
	p := &poller{fd: fd, file: os.NewFile(uintptr(fd), "epoll"), ready: make(chan int), again: make(chan struct{}),
		open: make(chan struct{})}
	close(p.open)
	if p.raw, err = p.file.SyscallConn(); err != nil {
		p.file.Close()
		return nil, fmt.Errorf("wait for an epoll instance: %w", err)
	}
	return p, nil
}

// watch is the watcher: it ends when done is closed or the poller is.
func (p *poller) watch(done <-chan struct{}) {
	for {
		n := 0
		err := p.raw.Read(func(uintptr) bool {
			n = p.look()
			return n > 0
		})
		if err != nil {
			return
		}
		select {
		case p.ready <- n:
		case <-done:
			return
		}
		select {
		case <-p.again:
		case <-done:
			return
		}
	}
}

func (p *poller) look() int {
	for {
		n, err := syscall.EpollWait(p.fd, p.events[:], 0)
		if err != syscall.EINTR {
			return max(n, 0)
		}
	}
}

// each calls f for the events that wait, and looks for more: wait says that the watcher will tell of the next. hup says
// that the other side may have ended the connection.
func (p *poller) each(f func(fd int, hup bool)) {
	for i := range p.n {
		e := &p.events[i]
		f(int(e.Fd), e.Events&^syscall.EPOLLIN != 0)
	}
	p.n = 0
}

// more gets more events if there are, or leaves it to the watcher to tell of the next.
func (p *poller) more() {
	if p.n = p.look(); p.n == 0 {
		p.mine = false
		p.again <- struct{}{}
	}
}

// add makes a socket of its own of a connection's, which must then be closed, and listens to it. What has come before
// is told of, too.
func (p *poller) add(raw syscall.RawConn) (fd int, err error) {
	cerr := raw.Control(func(old uintptr) {
		r, _, errno := syscall.Syscall(syscall.SYS_FCNTL, old, syscall.F_DUPFD_CLOEXEC, 0)
		if errno != 0 {
			err = errno
			return
		}
		fd = int(r)
		e := syscall.EpollEvent{Events: syscall.EPOLLIN | syscall.EPOLLRDHUP | epollET, Fd: int32(fd)}
		if err = syscall.EpollCtl(p.fd, syscall.EPOLL_CTL_ADD, fd, &e); err != nil {
			syscall.Close(fd)
		}
	})
	if cerr != nil {
		err = cerr
	}
	return fd, err
}

// remove makes a connection of a socket again; the socket is closed.
func (p *poller) remove(fd int) (net.Conn, error) {
	// The connection shares what epoll knows the socket by, so that closing the socket is not enough.
	err := syscall.EpollCtl(p.fd, syscall.EPOLL_CTL_DEL, fd, nil)
	f := os.NewFile(uintptr(fd), "tcp")
	defer f.Close()
	if err != nil {
		return nil, err
	}
	return net.FileConn(f)
}

// write writes what the socket takes; again says that it took less than all, for now.
func (p *poller) write(fd int, b []byte) (n int, again bool, err error) {
	for n < len(b) {
		k, err := syscall.Write(fd, b[n:])
		switch {
		case err == nil:
			n += k
		case err == syscall.EINTR:
		case err == syscall.EAGAIN:
			return n, true, nil
		default:
			return n, false, err
		}
	}
	return n, false, nil
}

// finish ends our half of the connection.
func (p *poller) finish(fd int) error { return syscall.Shutdown(fd, syscall.SHUT_WR) }

// drop closes the socket.
func (p *poller) drop(fd int) { syscall.Close(fd) }

// close ends the watcher.
func (p *poller) close() { p.file.Close() }
