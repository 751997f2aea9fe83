//go:build netns

package signaling

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// TestLANInNamespaces announces a tracker on one host and finds it on another, both network namespaces on one wire.
// It needs root and ip(8), and its packets never leave the namespaces.
func TestLANInNamespaces(t *testing.T) {
	if os.Getenv("LAN_ROLE") != "" {
		t.Fatal("run alone: this process is one of its hosts")
	}
	ip := func(args ...string) {
		t.Helper()
		if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
			t.Fatalf("ip %s: %v: %s (this test needs root and the ip command)", strings.Join(args, " "), err, out)
		}
	}
	a, b := fmt.Sprintf("pc-a-%d", os.Getpid()), fmt.Sprintf("pc-b-%d", os.Getpid())
	for _, ns := range []string{a, b} {
		ip("netns", "add", ns)
		t.Cleanup(func() { exec.Command("ip", "netns", "del", ns).Run() })
		ip("-n", ns, "link", "set", "lo", "up")
	}
	ip("-n", a, "link", "add", "lan0", "type", "veth", "peer", "name", "lan0", "netns", b)
	for i, ns := range []string{a, b} {
		ip("-n", ns, "addr", "add", fmt.Sprintf("10.77.0.%d/24", i+1), "dev", "lan0")
		ip("-n", ns, "link", "set", "lan0", "up")
	}
	host := func(ns, role string) (*exec.Cmd, *bufio.Scanner, io.Closer) {
		t.Helper()
		cmd := exec.Command("ip", "netns", "exec", ns, os.Args[0], "-test.run=^TestLANHost$", "-test.v")
		cmd.Env = append(os.Environ(), "LAN_ROLE="+role)
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			in.Close()
			cmd.Wait()
		})
		return cmd, bufio.NewScanner(out), in
	}
	says := func(s *bufio.Scanner, prefix string) string {
		t.Helper()
		for s.Scan() {
			if text, ok := strings.CutPrefix(s.Text(), prefix); ok {
				return text
			}
		}
		t.Fatalf("the host ended without saying %q", prefix)
		return ""
	}
	_, nobody, _ := host(b, "browse")
	if got := says(nobody, "FOUND "); !strings.HasPrefix(got, "[] ") {
		t.Errorf("nobody is there yet, but found %s", got)
	}
	_, advertiser, stop := host(a, "advertise")
	says(advertiser, "UP")
	// A search of 400 ms is over before a busy machine has brought the answer, now and then; but not each time.
	finds := func(ns, what string) {
		t.Helper()
		var got string
		for range 20 {
			_, browser, _ := host(ns, "browse")
			got = says(browser, "FOUND ")
			var urls string
			var ms int
			fmt.Sscanf(got, "%s %d", &urls, &ms)
			if urls == "[ws://10.77.0.1:5000/ws]" && ms < 300 {
				return
			}
		}
		t.Errorf("%s, and the answer ends its search early; got %s", what, got)
	}
	finds(b, "b finds a's tracker")
	finds(a, "another process on a's host finds it, too")
	stop.Close()
	says(advertiser, "DOWN")
	_, again, _ := host(b, "browse")
	if got := says(again, "FOUND "); !strings.HasPrefix(got, "[] ") {
		t.Errorf("nobody is there any more, but found %s", got)
	}
}

// TestLANHost is one host of TestLANInNamespaces, in a process and a namespace of its own.
func TestLANHost(t *testing.T) {
	switch os.Getenv("LAN_ROLE") {
	case "advertise":
		tr, err := NewTracker(TrackerConfig{})
		if err != nil {
			t.Fatal(err)
		}
		tr.Start()
		ad, err := AdvertiseLAN(tr, nil, slog.Default())
		if err != nil {
			t.Fatal(err)
		}
		fmt.Println("UP")
		io.Copy(io.Discard, os.Stdin)
		if err := ad.Close(); err != nil {
			t.Error(err)
		}
		tr.Shutdown(context.Background())
		fmt.Println("DOWN")
	case "browse":
		start := time.Now()
		urls := BrowseLAN(context.Background(), []string{"lan0"}, slog.Default())
		fmt.Printf("FOUND %v %d\n", urls, time.Since(start).Milliseconds())
	}
}
