package peer

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/interceptor"
	"github.com/pion/logging"
	"github.com/pion/transport/v4/packetio"
	"github.com/pion/webrtc/v4"
)

// rtcL16 is the one audio codec: raw 16-bit samples, big-endian, 16 kHz, mono (RFC 3551 section 4.5.11, RFC 2586).
// The payload type is the one that browser guests will write into their offers.
var rtcL16 = webrtc.RTPCodecParameters{
	RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: "audio/L16", ClockRate: 16000, Channels: 1},
	PayloadType:        107,
}

// What each of these costs when it is otherwise was measured; see docs/decisions/0010-rtc-settings.md.
const (
	// A peer that vanished is closed after the sum of the first two, within one keep-alive.
	rtcDisconnected = 2 * time.Second
	rtcFailed       = 2 * time.Second
	rtcKeepAlive    = time.Second
	// Pion sends connectivity checks every 200 ms; a nudge makes it send them now.
	rtcNudgeFirst = 40 * time.Millisecond
	rtcNudgeLast  = 200 * time.Millisecond
	// With nudges there are many more checks than pion's 7 before an answer may have come.
	rtcMaxChecks = 60
	// DTLS sends a flight again after this, then doubles.
	rtcDTLSFlight = 60 * time.Millisecond
	// SCTP's retransmission timer has a floor of 1 s in pion, but the ceiling wins over it, so that this is its value
	// at all times: about what a lost packet costs at most. It must stay above the longest round trip that has to work
	// well, 300 ms, and the 200 ms for which a peer holds back its acknowledgement of a packet that comes alone: else
	// each of those goes twice, and the window shrinks to rtcMinWindow each time. The rest is for delays that vary.
	rtcRTO = 600 * time.Millisecond
	// How much audio of one source waits to be read: about a second.
	rtcAudioBuffer = 32 << 10
	// How many sources of audio and of reports about it a session may have. Pion keeps each for good.
	rtcAudioSources = 32
	// After a loss, SCTP's window does not fall below this many bytes.
	rtcMinWindow = 32 << 10
)

func newRTCCertificate() (*webrtc.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	return webrtc.GenerateCertificate(key)
}

// rtcMedia knows the one codec.
func rtcMedia() (*webrtc.MediaEngine, error) {
	media := &webrtc.MediaEngine{}
	return media, media.RegisterCodec(rtcL16, webrtc.RTPCodecTypeAudio)
}

// rtcSettings are the settings that all sessions share.
func rtcSettings(cfg RTCConfig) webrtc.SettingEngine {
	var e webrtc.SettingEngine
	e.LoggerFactory = rtcLogs{cfg.Logger}
	e.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	e.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4, webrtc.NetworkTypeUDP6})
	e.DisableActiveTCP(true)
	e.SetIncludeLoopbackCandidate(!cfg.NoLoopback)
	if len(cfg.Interfaces) > 0 {
		e.SetInterfaceFilter(func(name string) bool { return slices.Contains(cfg.Interfaces, name) })
	}
	e.SetICETimeouts(cfg.ICE.Disconnected, cfg.ICE.Failed, cfg.ICE.KeepAlive)
	e.SetICEMaxBindingRequests(rtcMaxChecks)
	// A direct path is taken as soon as it is found. Others wait a little for a better one to turn up.
	e.SetHostAcceptanceMinWait(0)
	e.SetPrflxAcceptanceMinWait(10 * time.Millisecond)
	e.SetSrflxAcceptanceMinWait(50 * time.Millisecond)
	e.SetRelayAcceptanceMinWait(300 * time.Millisecond)
	e.SetSTUNGatherTimeout(2 * time.Second)
	e.SetDTLSRetransmissionInterval(rtcDTLSFlight)
	// The hello-verify round trip of DTLS proves the client's address; ICE has done that already.
	e.SetDTLSInsecureSkipHelloVerify(true)
	// When DTLS ends, pion would close the connection behind our back; see rtcSession.finish.
	e.DisableCloseByDTLS(true)
	// The SCTP handshake travels in the descriptions (draft-hancke-tsvwg-snap): two round trips less to lose.
	e.EnableSctpSnap(true)
	e.SetSCTPRTOMax(cfg.RTOMax)
	e.SetSCTPMinCwnd(rtcMinWindow)
	e.SetSCTPMaxMessageSize(rtcMaxMessage)
	e.SetSCTPMaxReceiveBufferSize(rtcReceiveWindow)
	// DTLS has authenticated each packet (RFC 9653).
	e.EnableSCTPZeroChecksum(true)
	// Pion's own readers keep 64 KiB for each channel; ours begin small.
	e.DetachDataChannels()
	// Else pion has a goroutine wait for the first packet, beside ours.
	e.SetFireOnTrackBeforeFirstRTP(true)
	return e
}

// newAPI is pion's for one session: what differs is who bounds its audio, and who decides on its checks.
func (t *RTC) newAPI(buffer func(packetio.BufferPacketType, uint32) io.ReadWriteCloser, checks *rtcChecks) (*webrtc.API, error) {
	network, err := newRTCNet(t.cfg.Net, checks)
	if err != nil {
		return nil, err
	}
	e := t.settings
	e.BufferFactory = buffer
	e.SetNet(network)
	return webrtc.NewAPI(
		webrtc.WithMediaEngine(t.media),
		webrtc.WithSettingEngine(e),
		webrtc.WithInterceptorRegistry(&interceptor.Registry{}),
	), nil
}

// rtcLogs brings pion's log lines to a slog.Logger, all at debug level: what pion warns of is a remote peer's doing or
// comes back to us as an error.
type rtcLogs struct{ to *slog.Logger }

func (l rtcLogs) NewLogger(scope string) logging.LeveledLogger {
	if l.to == nil || !l.to.Enabled(context.Background(), slog.LevelDebug) {
		return rtcNoLog{}
	}
	return rtcLog{l.to.With("pion", scope)}
}

type rtcLog struct{ to *slog.Logger }

func (l rtcLog) put(level, msg string)     { l.to.Debug(msg, "level", level) }
func (l rtcLog) Trace(string)              {}
func (l rtcLog) Tracef(string, ...any)     {}
func (l rtcLog) Debug(m string)            { l.put("debug", m) }
func (l rtcLog) Debugf(f string, a ...any) { l.put("debug", fmt.Sprintf(f, a...)) }
func (l rtcLog) Info(m string)             { l.put("info", m) }
func (l rtcLog) Infof(f string, a ...any)  { l.put("info", fmt.Sprintf(f, a...)) }
func (l rtcLog) Warn(m string)             { l.put("warn", m) }
func (l rtcLog) Warnf(f string, a ...any)  { l.put("warn", fmt.Sprintf(f, a...)) }
func (l rtcLog) Error(m string)            { l.put("error", m) }
func (l rtcLog) Errorf(f string, a ...any) { l.put("error", fmt.Sprintf(f, a...)) }

type rtcNoLog struct{}

func (rtcNoLog) Trace(string)          {}
func (rtcNoLog) Tracef(string, ...any) {}
func (rtcNoLog) Debug(string)          {}
func (rtcNoLog) Debugf(string, ...any) {}
func (rtcNoLog) Info(string)           {}
func (rtcNoLog) Infof(string, ...any)  {}
func (rtcNoLog) Warn(string)           {}
func (rtcNoLog) Warnf(string, ...any)  {}
func (rtcNoLog) Error(string)          {}
func (rtcNoLog) Errorf(string, ...any) {}
