package media

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestALostDeviceIsReplacedByTheDefault(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, EngineConfig{Input: "headset", Output: "headset", Mode: GateOpen})
		defer r.close()
		r.Join()
		time.Sleep(10 * time.Second)
		r.told()
		r.devices.miss("headset", true)
		close(r.devices.sources[0].gone)
		time.Sleep(100 * time.Millisecond)
		r.expect("the microphone is unplugged", DeviceFailed{Kind: Microphone, Asked: "headset", Name: "mic headset"}, SelfTalking{},
			DeviceOpened{Kind: Microphone, Asked: "headset", Name: "mic ", Instead: true}, SelfTalking{On: true})
		r.devices.miss("", true)
		r.devices.sinks[0].fail(errors.New("unplugged"))
		time.Sleep(time.Second)
		r.expect("the speaker is unplugged, there is no other", DeviceFailed{Kind: Speaker, Asked: "headset", Name: "speaker headset"},
			DeviceFailed{Kind: Speaker, Asked: "headset"})
		time.Sleep(time.Minute)
		r.expect("nothing changes", nil...)
		r.devices.miss("headset", false)
		time.Sleep(time.Minute)
		got := r.told()
		for _, want := range []VoiceEvent{
			DeviceOpened{Kind: Speaker, Asked: "headset", Name: "speaker headset", Returned: true},
			DeviceOpened{Kind: Microphone, Asked: "headset", Name: "mic headset", Returned: true},
		} {
			if !slices.Contains(got, want) {
				t.Errorf("the headset is plugged in again: %+v, want %+v", got, want)
			}
		}
		if n := r.devices.open(); n != 2 {
			t.Errorf("%d devices are open, want a microphone and a speaker", n)
		}
	})
}

func TestADeviceThatStandsStillIsReplaced(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, EngineConfig{Output: "headset"})
		defer r.close()
		r.Join()
		time.Sleep(10 * time.Second)
		r.told()
		opened := func(instead bool) DeviceOpened {
			if instead {
				return DeviceOpened{Kind: Speaker, Asked: "headset", Name: "speaker ", Instead: true}
			}
			return DeviceOpened{Kind: Speaker, Asked: "headset", Name: "speaker headset", Returned: true}
		}
		failed := DeviceFailed{Kind: Speaker, Asked: "headset", Name: "speaker headset"}
		r.devices.sinks[0].freeze()
		time.Sleep(6 * time.Second)
		r.expect("it stands still", failed, opened(true))
		time.Sleep(3 * time.Second)
		r.expect("it can be opened again", opened(false))
		// It stands still each time: it is tried more and more seldom.
		for _, pause := range []time.Duration{6, 12, 24, 48, 60, 60} {
			r.devices.last().freeze()
			time.Sleep(6 * time.Second)
			r.expect("it stands still again", failed, opened(true))
			time.Sleep(pause*time.Second - 3*time.Second)
			r.expect(fmt.Sprintf("too soon after %d s", pause), nil...)
			time.Sleep(3 * time.Second)
			r.expect(fmt.Sprintf("it is tried after %d s", pause), opened(false))
		}
		time.Sleep(2 * time.Minute)
		r.devices.last().freeze()
		time.Sleep(10 * time.Second)
		r.expect("once it has worked for long, it is trusted again", failed, opened(true), opened(false))
	})
}

func TestTheEngineFollowsTheDefaultDevice(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, EngineConfig{Input: "headset", Output: "default"})
		defer r.close()
		r.devices.prefer(Speaker, "built in")
		r.devices.prefer(Microphone, "built in")
		r.Join()
		time.Sleep(10 * time.Second)
		r.told()
		r.devices.prefer(Speaker, "screen")
		r.devices.prefer(Microphone, "screen")
		time.Sleep(4 * time.Second)
		r.expect("another default", DeviceOpened{Kind: Speaker, Asked: "default", Name: "speaker default", Followed: true})
		time.Sleep(time.Minute)
		r.devices.prefer(Speaker, "")
		time.Sleep(10 * time.Second)
		r.expect("nothing is followed without need", nil...)
		r.devices.miss("headset", true)
		close(r.devices.sources[0].gone)
		time.Sleep(10 * time.Second)
		r.devices.prefer(Microphone, "camera")
		time.Sleep(4 * time.Second)
		r.expect("the one that stands in follows too", DeviceFailed{Kind: Microphone, Asked: "headset", Name: "mic headset"},
			DeviceOpened{Kind: Microphone, Asked: "headset", Name: "mic ", Instead: true},
			DeviceOpened{Kind: Microphone, Asked: "headset", Name: "mic ", Instead: true, Followed: true})
		r.Input("webcam")
		r.devices.miss("headset", false)
		time.Sleep(time.Minute)
		r.expect("who has chosen another one keeps it", DeviceOpened{Kind: Microphone, Asked: "webcam", Name: "mic webcam"})
		if n := r.devices.open(); n != 2 {
			t.Errorf("%d devices are open, want a microphone and a speaker", n)
		}
		r.Leave()
		time.Sleep(time.Second)
		looks := r.devices.looked()
		time.Sleep(time.Minute)
		if n := r.devices.looked() - looks; n != 0 || r.devices.open() != 0 {
			t.Errorf("out of voice %d looks are taken at devices, and %d are open", n, r.devices.open())
		}
	})
}

// What the user does while a device is looked for counts.
func TestChoosingWhileTheLostDeviceReturns(t *testing.T) {
	for _, c := range []struct {
		what string
		do   func(r *rig)
		mic  string
	}{
		{"another one", func(r *rig) { r.Input("webcam") }, "mic webcam"},
		{"none", func(r *rig) { r.Leave() }, ""},
		{"the default", func(r *rig) { r.Input("") }, "mic "},
		{"the end", func(r *rig) { r.close() }, ""},
	} {
		bubble(t, func(t *testing.T) {
			r := newRig(t, EngineConfig{Input: "headset"})
			defer r.close()
			r.Join()
			time.Sleep(10 * time.Second)
			r.devices.miss("headset", true)
			close(r.devices.sources[0].gone)
			time.Sleep(time.Second)
			r.devices.miss("headset", false)
			r.devices.wait(time.Second)
			time.Sleep(2500 * time.Millisecond) // it is being opened
			c.do(r)
			time.Sleep(10 * time.Second)
			want := 2
			if s := r.Stats(); s.Input != c.mic {
				t.Errorf("%s: the microphone is %q, want %q", c.what, s.Input, c.mic)
			}
			if c.mic == "" {
				want = 0
			}
			if n := r.devices.open(); n != want {
				t.Errorf("%s: %d devices are open, want %d", c.what, n, want)
			}
		})
	}
}

func TestCloseComesAfterWhatWasAsked(t *testing.T) {
	for range 20 { // the owner, once it looks, finds both waiting
		bubble(t, func(t *testing.T) {
			r := newRig(t, EngineConfig{})
			r.devices.slow = time.Second
			r.Join()
			busy := make(chan struct{})
			r.post(func() { <-busy })
			synctest.Wait()
			r.Leave()
			r.Join()
			time.Sleep(2 * time.Second) // the devices are open by now
			closed := make(chan error)
			go func() { closed <- r.Close() }()
			synctest.Wait()
			close(busy)
			if err := <-closed; err != nil {
				t.Error(err)
			}
			if n := r.devices.open(); n != 0 {
				t.Errorf("%d devices are open after Close", n)
			}
			for _, s := range r.devices.sources { // or a test that fails would not end
				s.Close()
			}
			for _, s := range r.devices.sinks {
				s.Close()
			}
		})
		if t.Failed() {
			return
		}
	}
}

func TestWhoAskedForAFileNeverGetsTheMicrophone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, EngineConfig{Input: "wav:x"})
		defer r.close()
		r.Join()
		time.Sleep(10 * time.Second)
		close(r.devices.sources[0].gone)
		r.devices.miss("wav:x", true)
		time.Sleep(3 * time.Minute)
		if slices.Contains(r.devices.tries(), "source ") {
			t.Errorf("opened: %v", r.devices.tries())
		}
	})
}

func TestChangingADeviceWhileItOpensEndsWithTheLastOne(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, EngineConfig{Mode: GateOpen})
		defer r.close()
		r.devices.slow = time.Second
		r.Join()
		for _, name := range []string{"one", "two", "three"} {
			r.Input(name)
			r.Output(name)
			time.Sleep(100 * time.Millisecond)
		}
		time.Sleep(5 * time.Second)
		if s := r.Stats(); s.Input != "mic three" || s.Output != "speaker three" {
			t.Errorf("%q, %q", s.Input, s.Output)
		}
		open := 0
		for _, s := range r.devices.sources {
			select {
			case <-s.done:
			default:
				open++
			}
		}
		if open != 1 {
			t.Errorf("%d microphones are open", open)
		}
		r.Leave()
		time.Sleep(time.Second)
		if s := r.Stats(); s.Input != "" || s.Output != "" || s.Joined {
			t.Errorf("after Leave: %+v", s)
		}
	})
}
