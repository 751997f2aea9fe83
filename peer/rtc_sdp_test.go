package peer

import (
	"strings"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"
)

// rtcSampleOffer is an offer of ours.
func rtcSampleOffer(t testing.TB) Description {
	t.Helper()
	events := make(chan TransportEvent, 100)
	r, err := NewRTC(rtcTestConfig(), func(ev TransportEvent) { events <- ev })
	if err != nil {
		t.Fatal(err)
	}
	defer r.Stop()
	r.gather = 5 * time.Second // on a busy machine as well
	r.Offer([16]byte{1}, [32]byte{2})
	return rtcWait[Described](t, events, 5e9, "an offer").Description
}

func TestRTCOfferIsWhatItShouldBe(t *testing.T) {
	d := rtcSampleOffer(t)
	told, err := rtcCheckSDP(webrtc.SDPTypeOffer, d)
	if err != nil {
		t.Fatal(err)
	}
	if told.candidates == 0 {
		t.Error("the offer has no candidates, though the interface has an address")
	}
	if !told.fast {
		t.Error("the offer does not say that fast frames are taken over SRTCP")
	}
	for _, want := range []string{"a=sctp-init:", "a=max-message-size:", "m=audio", "m=application", "rtpmap:107 L16/16000"} {
		if !strings.Contains(d.SDP, want) {
			t.Errorf("the offer has no %q:\n%s", want, d.SDP)
		}
	}
	if len(d.SDP) > 2<<10 {
		t.Errorf("the offer is %d bytes long", len(d.SDP))
	}
	d.Fingerprint = strings.ToLower(d.Fingerprint)
	if _, err := rtcCheckSDP(webrtc.SDPTypeOffer, d); err != nil {
		t.Errorf("a fingerprint in lower case: %v", err)
	}
}

// Whatever the check lets pass has nothing but the signed fingerprint in it, as pion will read it.
func FuzzRTCCheckSDP(f *testing.F) {
	d := rtcSampleOffer(f)
	f.Add(d.SDP, d.Fingerprint)
	f.Add(strings.ReplaceAll(d.SDP, "\r\n", "\n"), strings.ToLower(d.Fingerprint))
	f.Add(d.SDP+"a=fingerprint:sha-1 00\r\n", d.Fingerprint)
	f.Add(strings.ReplaceAll(d.SDP, "sha-256", "SHA-256"), d.Fingerprint)
	f.Fuzz(func(t *testing.T, sdp, fingerprint string) {
		d := Description{SDP: sdp, Fingerprint: fingerprint}
		told, err := rtcCheckSDP(webrtc.SDPTypeOffer, d)
		if err != nil {
			return
		}
		if told.candidates > rtcMaxCandidates || len(sdp) > rtcMaxSDP {
			t.Errorf("%d candidates in %d bytes were let pass", told.candidates, len(sdp))
		}
		parsed, err := (&webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: sdp}).Unmarshal()
		if err != nil {
			t.Fatalf("what was let pass cannot be read: %v", err)
		}
		attributes := parsed.Attributes
		for _, m := range parsed.MediaDescriptions {
			attributes = append(attributes, m.Attributes...)
		}
		found := 0
		for _, a := range attributes {
			if a.Key != "fingerprint" {
				continue
			}
			found++
			hash, value, _ := strings.Cut(a.Value, " ")
			if !strings.EqualFold(hash, "sha-256") || !strings.EqualFold(value, fingerprint) {
				t.Errorf("fingerprint %q was let pass, signed was %q", a.Value, fingerprint)
			}
		}
		if found == 0 {
			t.Error("an SDP without a fingerprint was let pass")
		}
	})
}
