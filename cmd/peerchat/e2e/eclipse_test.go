//go:build linux

package e2e

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"peerchat/cmd/peerchat/e2e/lab"
	api "peerchat/peer"
	"peerchat/peer/history"
	"peerchat/peer/wire"
	"peerchat/signaling"
)

// names is how many identities the one who surrounds has.
const names = 25

// surround is a process with many identities at one address, all of whom come into the room, take part in its overlay
// as anybody, and pass on nothing that others say, neither lines nor who is there.
func surround() int {
	var nodes []*api.Node
	for i := range names {
		_, key, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			return 1
		}
		name := fmt.Sprint("mallory", i)
		client := func(sink func(signaling.ClientEvent)) (api.Signaling, error) {
			return signaling.NewStation(signaling.StationConfig{Client: signaling.ClientConfig{Key: key, Name: name, Sink: sink,
				Sources: []signaling.Source{{Label: "named", Named: true, Find: func(context.Context) []string { return []string{trackerAt} }}}}}), nil
		}
		node, err := api.New(api.Config{
			Key: key, Name: name, Rooms: []wire.Room{"general"}, Store: history.NewMemory(), OnEvent: func(api.Event) {}, NewSignaling: client,
			NewTransport: func(sink func(api.TransportEvent)) (api.Transport, error) {
				rtc, err := api.NewRTC(api.RTCConfig{}, sink)
				return hole{rtc}, err
			},
		})
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		nodes = append(nodes, node)
	}
	awaitEnd()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	for _, n := range nodes {
		if n.Stop(ctx) != nil {
			return 1
		}
	}
	return 0
}

// hole is a transport that carries only what links and the overlay need.
type hole struct{ *api.RTC }

func (h hole) Send(session uuid.UUID, frame []byte, fast bool) {
	f, err := wire.DecodeFrame(frame)
	if err != nil {
		return
	}
	switch f.(type) {
	case wire.Events, wire.Have, wire.Digest, wire.Members, wire.Holders:
	default:
		h.RTC.Send(session, frame, fast)
	}
}

// Twenty-five identities at one address, who pass on nothing, come into a room of seven honest people on machines of
// their own, and get links with all of them. What these say comes to all of them all the same, because half of their
// links are for others.
func TestSurroundedByNames(t *testing.T) {
	if testing.Short() {
		t.Skip("left out by -short: it starts thirty-two peers")
	}
	h := newHosts(t, make([]int, 9)...)
	w := h.w
	home := append(h.startTracker(onLAN), "--no-host")
	var honest []*peer
	for i := range 7 {
		honest = append(honest, h.join(1+i, fmt.Sprintf("p%d", i), home...))
	}
	w.wantMesh(honest...)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if self, err = filepath.Abs(self); err != nil {
		t.Fatal(err)
	}
	w.startCommand(h.nets[8], lab.Command{Name: "mallory", Path: self, Env: []string{villainEnv + "=surround"}, Plain: true})
	w.poll("the tracker knows of all names", patience, func() error {
		page, err := get(h.nets[0], "http://"+trackerAt+"/healthz")
		if err == nil && !strings.Contains(page, fmt.Sprintf(`"peers":%d`, len(honest)+names)) {
			err = fmt.Errorf("it says %s", page)
		}
		return err
	})
	w.poll("everybody has links with three of the names", patience, func() error {
		for _, p := range honest {
			n := 0
			for name := range linksNow(p) {
				if strings.HasPrefix(name, "mallory") {
					n++
				}
			}
			if n < 3 {
				return fmt.Errorf("%s has %d", p.Name, n)
			}
		}
		return nil
	})
	chat := newTalk("chat")
	chat.say(10, honest...)
	chat.want("the honest hear each other", honest...)
}
