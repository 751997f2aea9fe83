package main

import (
	"testing"

	"peerchat/peer"
	"peerchat/peer/profile"
)

// silentVoice is a voice on a machine without sound.
func silentVoice(t *testing.T, node *fakeNode) *voice {
	v := newVoice(voiceConfig{
		self: someone(99, "me").Peer, sound: &fakeSound{}, do: node.Do, send: func(peer.VoicePacket) {},
		keep: func(profile.Volume) error { return nil },
	})
	go v.run()
	t.Cleanup(func() {
		if err := v.close(); err != nil {
			t.Error(err)
		}
	})
	return v
}
