package configs

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
)

// Tracker is what `peerchat tracker` can be told.
type Tracker struct {
	Listen     string   `yaml:"listen"`      // host:port, TCP
	STUN       string   `yaml:"stun"`        // host:port, UDP; "off"; empty: as Listen
	PublicAddr string   `yaml:"public-addr"` // host under which peers reach this tracker; empty: as they dialled
	TLSCert    string   `yaml:"tls-cert"`    // PEM file
	TLSKey     string   `yaml:"tls-key"`     // PEM file
	LAN        bool     `yaml:"lan"`         // announce on the LAN by mDNS
	Interface  []string `yaml:"interface"`   // network interfaces to announce on; empty: all
	LogLevel   string   `yaml:"log-level"`   // debug, info, warn or error
	LogFormat  string   `yaml:"log-format"`  // text or json
}

// Peer is what `peerchat join` can be told.
type Peer struct {
	Username  string   `yaml:"username"`  // empty: ask on a terminal, else the system's user name
	Room      []string `yaml:"room"`      // at least one
	Tracker   []string `yaml:"tracker"`   // host, host:port, ws://, wss:// or an invitation, tried in order
	STUN      []string `yaml:"stun"`      // stun: URLs beside those of the tracker
	Listen    string   `yaml:"listen"`    // where to host a tracker if there is none
	NoHost    bool     `yaml:"no-host"`   // never host one
	Priority  int16    `yaml:"priority"`  // the higher, the sooner this peer is elected to be the tracker
	LAN       bool     `yaml:"lan"`       // look for trackers on the LAN by mDNS, and announce a hosted one
	Interface []string `yaml:"interface"` // network interfaces to use; empty: all
	Plain     bool     `yaml:"plain"`     // a line an event
	JSON      bool     `yaml:"json"`      // a JSON object an event
	Mic       string   `yaml:"mic"`       // SOURCE of sound; empty: the system's default microphone
	Speaker   string   `yaml:"speaker"`   // SINK of sound; empty: the system's default speaker
	Voice     bool     `yaml:"voice"`     // join the voice of the first room
	Muted     bool     `yaml:"muted"`     // begin with the microphone shut
	Profile   string   `yaml:"profile"`   // directory; empty: one per username
	// What is kept of each room, and of all: numbers and sizes such as 64MiB, ages such as 7d, or none; see History.
	HistoryEvents   string `yaml:"history-events"`
	HistoryRoomSize string `yaml:"history-room-size"`
	HistorySize     string `yaml:"history-size"`
	HistoryAge      string `yaml:"history-age"`
	// What is fetched of a room that is new here.
	HistoryWindowEvents int    `yaml:"history-window-events"`
	HistoryWindowAge    string `yaml:"history-window-age"`

	LogLevel  string `yaml:"log-level"`  // debug, info, warn or error; empty: info in the log file, else warn
	LogFormat string `yaml:"log-format"` // text or json
}

// DefaultTracker is a tracker that was told nothing.
func DefaultTracker() Tracker {
	return Tracker{Listen: ":5000", LAN: true, Interface: []string{}, LogLevel: "info", LogFormat: "text"}
}

// DefaultPeer is a peer that was told nothing.
func DefaultPeer() Peer {
	return Peer{
		Room: []string{"general"}, Tracker: []string{}, STUN: []string{}, Listen: ":5000", LAN: true,
		Interface: []string{}, LogFormat: "text",
		HistoryEvents: "10000", HistoryRoomSize: "64MiB", HistorySize: "1GiB", HistoryAge: Unbounded,
		HistoryWindowEvents: 1000, HistoryWindowAge: "7d",
	}
}

// Validate says everything that is wrong with the settings, or nil. Usernames, rooms, tracker addresses and sound
// devices are judged by those who know their rules, the packages wire, signaling and device.
func (c Tracker) Validate() error {
	var errs []error
	errs = append(errs, listenAddr("listen", c.Listen))
	if c.STUN != "" && c.STUN != "off" {
		errs = append(errs, listenAddr("stun", c.STUN))
	}
	if (c.TLSCert == "") != (c.TLSKey == "") {
		errs = append(errs, errors.New("tls-cert and tls-key belong together: give both, or none"))
	}
	if strings.ContainsAny(c.PublicAddr, "/ \t") {
		errs = append(errs, fmt.Errorf("public-addr %q: want a host name or an IP address, without a port or scheme", c.PublicAddr))
	}
	errs = append(errs, logging(c.LogLevel, c.LogFormat), interfaces(c.Interface))
	return errors.Join(errs...)
}

// Validate says everything that is wrong with the settings, or nil; see Tracker.Validate.
func (c Peer) Validate() error {
	var errs []error
	if len(c.Room) == 0 {
		errs = append(errs, errors.New("room: at least one is needed, as in [general]"))
	}
	errs = append(errs, listenAddr("listen", c.Listen))
	for _, url := range c.STUN {
		errs = append(errs, stunURL(url))
	}
	if c.Plain && c.JSON {
		errs = append(errs, errors.New("plain and json exclude each other: give one of them"))
	}
	_, err := c.History()
	errs = append(errs, err)
	if c.LogLevel == "" {
		c.LogLevel = "warn"
	}
	errs = append(errs, logging(c.LogLevel, c.LogFormat), interfaces(c.Interface))
	return errors.Join(errs...)
}

// listenAddr checks HOST:PORT, where an empty host is all addresses and port 0 is any free one.
func listenAddr(key, addr string) error {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("%s %q: want HOST:PORT or :PORT, as in :5000, 127.0.0.1:5000 or [::1]:5000", key, addr)
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 || port[0] == '+' {
		return fmt.Errorf("%s %q: port %q is not a number from 0 to 65535", key, addr, port)
	}
	if strings.ContainsAny(host, "/ \t@") {
		return fmt.Errorf("%s %q: %q is neither an IP address nor a host name", key, addr, host)
	}
	return nil
}

// stunURL checks the form of RFC 7064: stun:host or stun:host:port.
func stunURL(url string) error {
	rest, ok := strings.CutPrefix(url, "stun:")
	bad := fmt.Errorf("stun %q: want stun:HOST or stun:HOST:PORT, as in stun:stun.example.org:3478", url)
	if !ok || rest == "" || strings.ContainsAny(rest, "/ \t@?") {
		return bad
	}
	host, port := rest, "3478"
	if strings.Contains(strings.TrimPrefix(rest[strings.LastIndexByte(rest, ']')+1:], "]"), ":") {
		var err error
		if host, port, err = net.SplitHostPort(rest); err != nil {
			return bad
		}
	}
	if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 || host == "" {
		return bad
	}
	return nil
}

func logging(level, format string) error {
	var errs []error
	switch level {
	case "debug", "info", "warn", "error":
	default:
		errs = append(errs, oneOf("log-level", level, "debug", "info", "warn", "error"))
	}
	switch format {
	case "text", "json":
	default:
		errs = append(errs, oneOf("log-format", format, "text", "json"))
	}
	return errors.Join(errs...)
}

func oneOf(key, got string, words ...string) error {
	msg := fmt.Sprintf("%s %q: want one of %s", key, got, strings.Join(words, ", "))
	if near := Nearest(got, words); near != "" {
		msg += fmt.Sprintf("; did you mean %q?", near)
	}
	return errors.New(msg)
}

func interfaces(names []string) error {
	for _, n := range names {
		if n == "" {
			return errors.New("interface: an empty name; want one like eth0, or leave it out")
		}
	}
	return nil
}
