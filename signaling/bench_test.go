package signaling

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"peerchat/peer/wire"
)

// The benchmarks run the tracker in a process of its own, so that its memory and CPU are not mixed with those of the
// clients. They read /proc, so they are for Linux.

// TestTrackerProcess is that process, when a benchmark starts it.
func TestTrackerProcess(t *testing.T) {
	if os.Getenv("TRACKER_PROCESS") == "" {
		return // a benchmark's half, not a test
	}
	tr, err := NewTracker(TrackerConfig{Listen: "127.0.0.1:0", Limits: Limits{Rate: -1}})
	if err != nil {
		t.Fatal(err)
	}
	tr.Start()
	fmt.Println("URL", tr.URL())
	io.Copy(io.Discard, os.Stdin)
	tr.Shutdown(context.Background())
}

type trackerProcess struct {
	b   *testing.B
	pid string
	url string
}

func startTracker(b *testing.B) *trackerProcess {
	b.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestTrackerProcess$", "-test.v")
	cmd.Env = append(os.Environ(), "TRACKER_PROCESS=1")
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		in.Close()
		cmd.Wait()
	})
	for s := bufio.NewScanner(out); s.Scan(); {
		if url, ok := strings.CutPrefix(s.Text(), "URL "); ok {
			go io.Copy(io.Discard, out)
			return &trackerProcess{b, strconv.Itoa(cmd.Process.Pid), url}
		}
	}
	b.Fatal("the tracker's process ended at once")
	return nil
}

// rss is the process's resident memory in bytes, cpu the processor time that it has used.
func (p *trackerProcess) rss() float64 {
	f := strings.Fields(p.proc("statm"))
	n, _ := strconv.ParseFloat(f[1], 64)
	return n * float64(os.Getpagesize())
}

func (p *trackerProcess) cpu() time.Duration {
	s := p.proc("stat")
	f := strings.Fields(s[strings.LastIndexByte(s, ')'):])
	user, _ := strconv.Atoi(f[12])
	system, _ := strconv.Atoi(f[13])
	return time.Duration(user+system) * 10 * time.Millisecond
}

func (p *trackerProcess) proc(name string) string {
	s, err := os.ReadFile("/proc/" + p.pid + "/" + name)
	if err != nil {
		p.b.Fatal(err)
	}
	return string(s)
}

// client is the peer number n, connected and greeted.
func (p *trackerProcess) client(n int) (*websocket.Conn, error) {
	d := websocket.Dialer{Subprotocols: []string{Subprotocol}, ReadBufferSize: 4096, WriteBufferSize: 1024}
	o := opening{key: testKey(n), name: "p" + strconv.Itoa(n), agent: "bench", dialer: &d}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	ws, _, err := o.open(ctx, p.url, nil)
	return ws, err
}

// BenchmarkIdleConnection opens 2,000 connections, each in a room of ten, and reports the tracker's growth for each.
func BenchmarkIdleConnection(b *testing.B) {
	const n = 2000
	for b.Loop() {
		p := startTracker(b)
		before := p.rss()
		var wg sync.WaitGroup
		next := make(chan int)
		conns := make([]*websocket.Conn, n)
		for range 8 {
			wg.Go(func() {
				for i := range next {
					ws, err := p.client(i)
					if err != nil {
						b.Errorf("client %d: %v", i, err)
						continue
					}
					conns[i] = ws
					ws.WriteMessage(websocket.TextMessage, (&JoinRequest{newID(), wire.Room(fmt.Sprintf("r%d", i/10))}).Append(nil))
					readReply(ws)
				}
			})
		}
		for i := range n {
			next <- i
		}
		close(next)
		wg.Wait()
		b.ReportMetric((p.rss()-before)/n, "B/conn")
		for _, ws := range conns {
			if ws != nil {
				ws.Close()
			}
		}
	}
}

// BenchmarkRelay has 20 pairs relay signals of 400 bytes, up to 16 under way for each pair.
func BenchmarkRelay(b *testing.B) {
	p := startTracker(b)
	const pairs, window = 20, 16
	data := []byte(`"` + strings.Repeat("x", 400) + `"`)
	var left atomic.Int64
	left.Store(int64(b.N))
	var conns []*websocket.Conn
	for i := range 2 * pairs {
		ws, err := p.client(i)
		if err != nil {
			b.Fatal(err)
		}
		defer ws.Close()
		conns = append(conns, ws)
	}
	var wg sync.WaitGroup
	before := p.cpu()
	b.ResetTimer()
	for i := 0; i < len(conns); i += 2 {
		from, to := conns[i], conns[i+1]
		slots := make(chan bool, window)
		go func() { // the answers
			for {
				if _, _, err := from.NextReader(); err != nil {
					return
				}
			}
		}()
		wg.Go(func() { // the signals that arrive: each frees a slot
			for range slots {
				if _, _, err := to.NextReader(); err != nil {
					b.Errorf("a signal arrives: %v", err)
					return
				}
			}
		})
		wg.Go(func() {
			defer close(slots)
			msg := (&SignalRequest{newID(), wire.IDOf(testKey(i + 1)), data}).Append(nil)
			for left.Add(-1) >= 0 {
				slots <- true
				if err := from.WriteMessage(websocket.TextMessage, msg); err != nil {
					b.Errorf("send a signal: %v", err)
					return
				}
			}
		})
	}
	wg.Wait()
	if used := p.cpu() - before; used > 0 {
		b.ReportMetric(float64(b.N)/used.Seconds(), "relays/cpu-s")
	}
}

// BenchmarkHubSignal is a relay's part in the hub alone.
func BenchmarkHubSignal(b *testing.B) {
	h := NewHub(HubConfig{Limits: Limits{Rate: -1}})
	var out HubOutput
	now := time.Unix(1e9, 0)
	for i := range 2 {
		h.Step(now, HubArrived{Conn: ConnID(i + 1)}, &out)
		h.Step(now, HubHello{Conn: ConnID(i + 1), Req: &HelloRequest{Peer: wire.PeerID{byte(i + 1)}, Name: "x"}}, &out)
	}
	r := &SignalRequest{To: wire.PeerID{2}, Data: []byte("1")}
	b.ReportAllocs()
	for b.Loop() {
		out.Send = out.Send[:0]
		h.Step(now, HubRequest{Conn: 1, Req: r, Size: 500}, &out)
	}
}
