package lab

import (
	"container/heap"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// roughQueue is how many packets may be on their way in one direction; more are lost.
const roughQueue = 10_000

// Roughness is what a Rough cable does to packets, in each direction.
type Roughness struct {
	Delay  time.Duration // of every packet
	Jitter time.Duration // up to that much more, uniformly: packets come out of order
	Loss   float64       // share that is lost at random, 0 to 1
}

// Rough is a cable between two networks that delays and loses packets: two TUN interfaces, and this process between
// them.
type Rough struct {
	ends [2]*os.File
	done sync.WaitGroup

	mu    sync.Mutex // guards what follows
	rough Roughness
	rand  *rand.Rand
}

// NewRough joins two networks by a cable named "eth" that is smooth at first. Seed chooses which packets are lost and
// late. It must be closed.
func NewRough(a, b *Net, addressA, addressB string, seed uint64) (*Rough, error) {
	r := &Rough{rand: rand.New(rand.NewPCG(seed, 1))}
	for i, end := range []struct {
		net     *Net
		address string
	}{{a, addressA}, {b, addressB}} {
		err := end.net.Do(func() (err error) { r.ends[i], err = tun("eth"); return err })
		if err == nil {
			err = errors.Join(
				end.net.Run("ip", "address", "add", end.address, "dev", "eth"),
				end.net.Run("ip", "link", "set", "eth", "up"))
		}
		if err == nil {
			err = end.net.Run("ip", "route", "add", "default", "dev", "eth")
		}
		if err != nil {
			return nil, errors.Join(err, r.Close())
		}
	}
	for i := range r.ends {
		arrive := make(chan flying, roughQueue)
		r.done.Go(func() { r.depart(r.ends[i], arrive) })
		r.done.Go(func() { land(r.ends[1-i], arrive) })
	}
	return r, nil
}

// tun makes a TUN interface in the network of the thread that calls it.
func tun(name string) (*os.File, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("make a TUN interface: %w", err)
	}
	request, err := unix.NewIfreq(name)
	if err == nil {
		request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, request)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("make a TUN interface: %w", err), unix.Close(fd))
	}
	return os.NewFile(uintptr(fd), name), nil
}

// Set changes what the cable does from now on.
func (r *Rough) Set(rough Roughness) {
	r.mu.Lock()
	r.rough = rough
	r.mu.Unlock()
}

// Close pulls the cable.
func (r *Rough) Close() error {
	var err error
	for _, end := range r.ends {
		if end != nil {
			err = errors.Join(err, end.Close())
		}
	}
	r.done.Wait()
	return err
}

// flying is a packet on its way.
type flying struct {
	at     time.Time // when it arrives
	number int       // of those with the same time, the first is the first
	packet []byte
}

// depart sends packets on their way until the end is closed.
func (r *Rough) depart(from *os.File, arrive chan<- flying) {
	defer close(arrive)
	buf := make([]byte, 1<<16)
	for number := 0; ; number++ {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		r.mu.Lock()
		lost := r.rand.Float64() < r.rough.Loss
		delay := r.rough.Delay + time.Duration(r.rand.Float64()*float64(r.rough.Jitter))
		r.mu.Unlock()
		if lost {
			continue
		}
		select {
		case arrive <- flying{time.Now().Add(delay), number, append([]byte(nil), buf[:n]...)}:
		default:
		}
	}
}

// land delivers packets when it is their time.
func land(to *os.File, arrive <-chan flying) {
	var air airborne
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		for len(air) > 0 && !time.Now().Before(air[0].at) {
			_, _ = to.Write(heap.Pop(&air).(flying).packet) // a network that is gone hears nothing
		}
		if len(air) > 0 {
			timer.Reset(time.Until(air[0].at))
		} else {
			timer.Reset(time.Hour)
		}
		select {
		case f, more := <-arrive:
			if !more {
				return
			}
			if len(air) < roughQueue {
				heap.Push(&air, f)
			}
		case <-timer.C:
		}
	}
}

// airborne is a heap of packets, the next to arrive on top.
type airborne []flying

func (a airborne) Len() int { return len(a) }
func (a airborne) Less(i, j int) bool {
	return a[i].at.Before(a[j].at) || a[i].at.Equal(a[j].at) && a[i].number < a[j].number
}
func (a airborne) Swap(i, j int) { a[i], a[j] = a[j], a[i] }
func (a *airborne) Push(x any)   { *a = append(*a, x.(flying)) }
func (a *airborne) Pop() any {
	last := (*a)[len(*a)-1]
	*a = (*a)[:len(*a)-1]
	return last
}
