package lab

import (
	"errors"
	"fmt"
	"os"
)

// Switch is a LAN of two segments with a cable between them. Segment 0 and 1 are bridges in a network of their own.
type Switch struct {
	net   *Net
	ports map[*Net]string
}

// NewSwitch makes a switch without hosts.
func NewSwitch() (*Switch, error) {
	n, err := NewNet()
	if err != nil {
		return nil, err
	}
	s := &Switch{net: n, ports: map[*Net]string{}}
	for _, step := range [][]string{
		{"link", "add", "segment0", "type", "bridge", "mcast_snooping", "0"},
		{"link", "add", "segment1", "type", "bridge", "mcast_snooping", "0"},
		{"link", "add", "cable0", "type", "veth", "peer", "name", "cable1"},
		{"link", "set", "cable0", "master", "segment0"}, {"link", "set", "cable1", "master", "segment1"},
		{"link", "set", "segment0", "up"}, {"link", "set", "segment1", "up"},
		{"link", "set", "cable0", "up"}, {"link", "set", "cable1", "up"},
	} {
		if err := n.Run(append([]string{"ip"}, step...)...); err != nil {
			return nil, errors.Join(err, n.Close())
		}
	}
	return s, nil
}

// Plug connects a host to a segment, 0 or 1: it gets the interface "eth" with an address such as "10.0.0.1/24".
func (s *Switch) Plug(host *Net, segment int, address string) error {
	port := fmt.Sprintf("port%d", len(s.ports))
	path := fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), host.ns)
	if err := errors.Join(
		s.net.Run("ip", "link", "add", port, "type", "veth", "peer", "name", "eth", "netns", path),
		s.net.Run("ip", "link", "set", port, "master", fmt.Sprint("segment", segment)),
		s.net.Run("ip", "link", "set", port, "up"),
		host.Run("ip", "address", "add", address, "dev", "eth"),
		host.Run("ip", "link", "set", "eth", "up"),
		host.Run("ip", "route", "add", "default", "dev", "eth"),
	); err != nil {
		return err
	}
	s.ports[host] = port
	return nil
}

// Unplug pulls a host's cable: nothing arrives or leaves, and nobody is told. Replug puts it back.
func (s *Switch) Unplug(host *Net) error {
	return s.net.Run("ip", "link", "set", s.ports[host], "nomaster")
}

// Replug undoes Unplug; the host is in segment 0 or 1 then.
func (s *Switch) Replug(host *Net, segment int) error {
	return s.net.Run("ip", "link", "set", s.ports[host], "master", fmt.Sprint("segment", segment))
}

// Cut pulls the cable between the segments, Join puts it back.
func (s *Switch) Cut() error { return s.net.Run("ip", "link", "set", "cable0", "nomaster") }

// Join undoes Cut.
func (s *Switch) Join() error { return s.net.Run("ip", "link", "set", "cable0", "master", "segment0") }

// Close ends the switch.
func (s *Switch) Close() error { return s.net.Close() }
