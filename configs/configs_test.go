package configs

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestSamplesSayTheDefaults(t *testing.T) {
	// Filled with other values first, so that a key missing from the sample shows.
	peer := Peer{Username: "x", Room: []string{"x"}, Tracker: []string{"x"}, STUN: []string{"x"}, Listen: "x", NoHost: true, Priority: 7,
		Interface: []string{"x"}, Plain: true, JSON: true, Profile: "x", LogLevel: "x", LogFormat: "x"}
	if err := parse(PeerSample(), &peer); err != nil {
		t.Fatal(err)
	}
	if want := DefaultPeer(); !reflect.DeepEqual(peer, want) {
		t.Errorf("peer.yaml says\n%+v\nbut the defaults are\n%+v", peer, want)
	}
	tracker := Tracker{Listen: "x", STUN: "x", PublicAddr: "x", TLSCert: "x", TLSKey: "x", Interface: []string{"x"},
		LogLevel: "x", LogFormat: "x"}
	if err := parse(TrackerSample(), &tracker); err != nil {
		t.Fatal(err)
	}
	if want := DefaultTracker(); !reflect.DeepEqual(tracker, want) {
		t.Errorf("tracker.yaml says\n%+v\nbut the defaults are\n%+v", tracker, want)
	}
	if err := DefaultPeer().Validate(); err != nil {
		t.Error(err)
	}
	if err := DefaultTracker().Validate(); err != nil {
		t.Error(err)
	}
}

func TestEveryKeyIsInItsSample(t *testing.T) {
	for name, s := range map[string]struct {
		keys   []string
		sample []byte
	}{"peer.yaml": {Keys(Peer{}), PeerSample()}, "tracker.yaml": {Keys(&Tracker{}), TrackerSample()}} {
		for _, key := range s.keys {
			if !strings.Contains(string(s.sample), "\n"+key+":") {
				t.Errorf("%s does not say %s", name, key)
			}
		}
	}
}

func TestLoad(t *testing.T) {
	file := filepath.Join(t.TempDir(), "peer.yaml")
	for _, tt := range []struct{ name, text, want string }{
		{"keys replace defaults", "username: Bob\nroom: [dev, ops]\nlan: false\n", ""},
		{"an unknown key names its line and the nearest", "username: Bob\ntraker: [a]\n",
			`line 2: there is no setting "traker"; did you mean "tracker"?`},
		{"an underscore is near enough", "no_host: true\n", `did you mean "no-host"?`},
		{"a key that is near nothing lists them all", "zzzzzzzzzzzzzz: 1\n", "interface, json, lan,"},
		{"a repeated key", "lan: true\nlan: false\n", "line 2"},
		{"a wrong kind", "lan: [1]\n", "line 1"},
		{"a priority", "priority: -7\n", ""},
		{"a priority that is too high", "priority: 32768\n", "line 1: 32768 is too much: want a whole number from -32768 to 32767"},
		{"a priority that is no number", "priority: high\n", `line 1: "high" is of the wrong kind: want a whole number`},
		{"a list for a text", "username: [a, b]\n", "line 1"},
		{"a file that is a list", "- a\n- b\n", "line 1"},
		{"broken YAML", "room: [a\nx: }\n", "line "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if err := os.WriteFile(file, []byte(tt.text), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := LoadPeer(file)
			switch {
			case tt.want == "" && err != nil:
				t.Errorf("loading %q failed: %v", tt.text, err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("loading %q: got %v, want an error with %q", tt.text, err, tt.want)
			case err != nil && !strings.Contains(err.Error(), file):
				t.Errorf("%q does not name the file", err)
			}
		})
	}
	if err := os.WriteFile(file, []byte("username: Bob\nroom: [dev, ops]\nlan: false\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := LoadPeer(file)
	if err != nil {
		t.Fatal(err)
	}
	want := DefaultPeer()
	want.Username, want.Room, want.LAN = "Bob", []string{"dev", "ops"}, false
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	for _, nothing := range []string{"", "\n", "# nothing\n", " \t# nothing\r\n---\n", "\ufeff---\n...\n"} {
		if err := os.WriteFile(file, []byte(nothing), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := LoadPeer(file); err != nil || !reflect.DeepEqual(got, DefaultPeer()) {
			t.Errorf("a file that says nothing, %q, changes nothing: got %+v, %v", nothing, got, err)
		}
		if got, err := LoadTracker(file); err != nil || !reflect.DeepEqual(got, DefaultTracker()) {
			t.Errorf("a file that says nothing, %q, changes nothing of a tracker: got %+v, %v", nothing, got, err)
		}
	}
	if _, err := LoadTracker(filepath.Join(t.TempDir(), "none.yaml")); err == nil || !strings.Contains(err.Error(), "none.yaml") {
		t.Errorf("a file that is not there gave %v, want an error that names it", err)
	}
}

func TestValidate(t *testing.T) {
	for _, tt := range []struct {
		name string
		edit func(*Peer)
		want string // empty: fine
	}{
		{"IPv6", func(c *Peer) { c.Listen = "[::1]:0" }, ""},
		{"no port", func(c *Peer) { c.Listen = "localhost" }, "want HOST:PORT"},
		{"a bare port", func(c *Peer) { c.Listen = "5000" }, "want HOST:PORT"},
		{"port too high", func(c *Peer) { c.Listen = ":65536" }, "not a number from 0 to 65535"},
		{"negative port", func(c *Peer) { c.Listen = ":-1" }, "not a number from 0 to 65535"},
		{"empty port", func(c *Peer) { c.Listen = "host:" }, "not a number from 0 to 65535"},
		{"a URL", func(c *Peer) { c.Listen = "ws://host:5000" }, "want HOST:PORT"},
		{"no room", func(c *Peer) { c.Room = nil }, "at least one"},
		{"both modes", func(c *Peer) { c.Plain, c.JSON = true, true }, "exclude each other"},
		{"stun name", func(c *Peer) { c.STUN = []string{"stun:stun.example.org"} }, ""},
		{"stun port", func(c *Peer) { c.STUN = []string{"stun:stun.example.org:19302"} }, ""},
		{"stun IPv6", func(c *Peer) { c.STUN = []string{"stun:[::1]:3478", "stun:[::1]"} }, ""},
		{"stun without scheme", func(c *Peer) { c.STUN = []string{"stun.example.org"} }, "want stun:HOST"},
		{"stun with slashes", func(c *Peer) { c.STUN = []string{"stun://a"} }, "want stun:HOST"},
		{"stun port 0", func(c *Peer) { c.STUN = []string{"stun:a:0"} }, "want stun:HOST"},
		{"level", func(c *Peer) { c.LogLevel = "warning" }, `did you mean "warn"?`},
		{"format", func(c *Peer) { c.LogFormat = "xml" }, "want one of text, json"},
		{"interface", func(c *Peer) { c.Interface = []string{""} }, "empty name"},
		{"no bound", func(c *Peer) {
			c.HistoryEvents, c.HistoryRoomSize, c.HistorySize, c.HistoryWindowAge = "none", "none", "none", "none"
		}, ""},
		{"events", func(c *Peer) { c.HistoryEvents = "0" }, `history-events "0": want a whole number from 1, or none`},
		{"a size without a unit", func(c *Peer) { c.HistorySize = "1048576" }, ""},
		{"a small size", func(c *Peer) { c.HistoryRoomSize = "64KiB" }, `history-room-size "64KiB": want 1MiB or more`},
		{"a wrong unit", func(c *Peer) { c.HistorySize = "64 miles" }, `history-size "64 miles": want a size, as in 64MiB`},
		{"a negative size", func(c *Peer) { c.HistorySize = "-1GiB" }, "want a size"},
		{"a size beyond all", func(c *Peer) { c.HistorySize = "9000000TiB" }, "want a size"},
		{"an age", func(c *Peer) { c.HistoryAge = "36h" }, ""},
		{"a small age", func(c *Peer) { c.HistoryAge = "10m" }, `history-age "10m": want 1h or more`},
		{"an age without a unit", func(c *Peer) { c.HistoryAge = "7" }, `history-age "7": want an age, as in 7d`},
		{"an age beyond all", func(c *Peer) { c.HistoryAge = "300000w" }, "want an age"},
		{"window", func(c *Peer) { c.HistoryWindowEvents = 0 }, "history-window-events 0: want 1 or more"},
		{"window age", func(c *Peer) { c.HistoryWindowAge = "-1d" }, `history-window-age "-1d": want an age`},
	} {
		c := DefaultPeer()
		tt.edit(&c)
		err := c.Validate()
		if tt.want == "" && err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
		if tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: got %v, want an error with %q", tt.name, err, tt.want)
		}
	}
	c := DefaultTracker()
	c.TLSCert, c.PublicAddr, c.STUN = "cert.pem", "http://x", "5000"
	err := c.Validate()
	for _, want := range []string{"belong together", "public-addr", "stun"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an error with %q: all that is wrong is said at once", err, want)
		}
	}
	c = DefaultTracker()
	c.STUN = "off"
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
}

func TestHistory(t *testing.T) {
	c := DefaultPeer()
	c.HistoryAge, c.HistorySize, c.HistoryWindowAge = "1.5d", "500MB", "2w"
	got, err := c.History()
	want := History{Events: 10_000, Room: 64 << 20, File: 500e6, Age: 36 * time.Hour, WindowEvents: 1000, WindowAge: 14 * 24 * time.Hour}
	if err != nil || got != want {
		t.Errorf("got %+v and %v, want %+v", got, err, want)
	}
	c.HistoryEvents, c.HistoryRoomSize, c.HistorySize, c.HistoryAge = "none", "none", "none", "none"
	got, err = c.History()
	want = History{Events: -1, Room: -1, File: -1, Age: -1, WindowEvents: 1000, WindowAge: 14 * 24 * time.Hour}
	if err != nil || got != want {
		t.Errorf("none is %+v and %v, want %+v", got, err, want)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(PeerSample())
	f.Add(TrackerSample())
	f.Add([]byte("a: &a [*a]\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c := DefaultPeer()
		if err := parse(data, &c); err == nil {
			_ = c.Validate()
		}
	})
}
