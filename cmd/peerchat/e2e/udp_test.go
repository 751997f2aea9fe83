//go:build linux

package e2e

import (
	"os"
	"strconv"
	"strings"
)

// udpPorts is every bound UDP port of 127.0.0.1 or any address in the world's network, the tracker's excepted.
func (w *world) udpPorts() ([]string, error) {
	var ports []string
	err := w.net.Do(func() error {
		for _, file := range []string{"/proc/thread-self/net/udp", "/proc/thread-self/net/udp6"} {
			b, err := os.ReadFile(file)
			if err != nil {
				return err
			}
			for line := range strings.Lines(string(b)) {
				f := strings.Fields(line)
				if len(f) < 2 {
					continue
				}
				_, hex, ok := strings.Cut(f[1], ":")
				port, err := strconv.ParseUint(hex, 16, 16)
				if ok && err == nil && port != 5000 {
					ports = append(ports, strconv.FormatUint(port, 10))
				}
			}
		}
		return nil
	})
	return ports, err
}
