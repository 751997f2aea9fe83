package device

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jfreymuth/pulse/proto"

	"peerchat/media"
)

const (
	pulseReply  = 2 * time.Second // longest wait for an answer, and for room to write a request
	pulseCookie = 256             // bytes: the size of the secret that servers share with their clients
	pulseHeld   = 20              // periods of the microphone that wait to be read, at most: 200 ms
)

// pulse is the backend for PulseAudio and for PipeWire's stand-in for it. Each stream has a connection of its own.
//
// It is built on the protocol half of jfreymuth/pulse. The other half, its Client, changes the state of streams from
// several goroutines, waits for ever in Start when the server dies, and sends on a closed channel when a stream ends
// while the server asks for samples.
type pulse struct {
	server string
	app    string
}

func newPulse(cfg Config) backend { return &pulse{server: cfg.Server, app: cfg.App} }

func (p *pulse) close() {}

// pulseConn is a connection to the server.
type pulseConn struct {
	*proto.Client
	conn net.Conn
	gone chan struct{} // closed when the connection ends, as the last thing that its goroutine does
}

// connect introduces us to the first server that answers; on is called by the connection's goroutine with what the
// server says on its own account, and must not wait. The error wraps media.ErrNoSound where there is no server.
func (p *pulse) connect(ctx context.Context, on func(any)) (*pulseConn, error) {
	addresses := pulseAddresses(p.server)
	if len(addresses) == 0 {
		return nil, fmt.Errorf("find the PulseAudio server: %w", media.ErrNoSound)
	}
	var first error
	for _, a := range addresses {
		c, err := p.dial(ctx, a, on)
		if err == nil {
			return c, nil
		}
		if first == nil {
			first = err
		}
	}
	return nil, first
}

func (p *pulse) dial(ctx context.Context, a pulseAddress, on func(any)) (*pulseConn, error) {
	ctx, cancel := context.WithTimeout(ctx, pulseReply)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, a.network, a.address)
	if err != nil {
		return nil, fmt.Errorf("connect to PulseAudio: %w: %w", err, media.ErrNoSound)
	}
	c := &pulseConn{Client: &proto.Client{}, conn: conn, gone: make(chan struct{})}
	c.SetTimeout(pulseReply)
	c.Callback = func(message any) {
		on(message)
		if _, ok := message.(*proto.ConnectionClosed); ok {
			close(c.gone)
		}
	}
	c.Open(deadlined{conn})
	cookie, err := pulseSecret()
	if err == nil {
		var auth proto.AuthReply
		if err = c.Request(&proto.Auth{Version: c.Version(), Cookie: cookie}, &auth); err == nil {
			c.SetVersion(auth.Version)
			err = c.Request(&proto.SetClientName{Props: proto.PropList{
				"application.name":       proto.PropListString(p.app),
				"application.process.id": proto.PropListString(strconv.Itoa(os.Getpid())),
				"media.role":             proto.PropListString("phone"),
			}}, &proto.SetClientNameReply{})
		}
	}
	if err != nil {
		c.close()
		return nil, fmt.Errorf("introduce ourselves to PulseAudio at %s: %w", a.address, err)
	}
	return c, nil
}

// close ends the connection, and everything on it, and waits for its goroutine.
func (c *pulseConn) close() {
	_ = c.conn.Close()
	<-c.gone
}

// deadlined is a connection whose every error is its end, because proto.Client tells of no other, and on which no write
// waits longer than pulseReply.
type deadlined struct{ net.Conn }

func (d deadlined) Read(b []byte) (int, error) {
	n, err := d.Conn.Read(b)
	if err != nil {
		err = io.EOF
	}
	return n, err
}

func (d deadlined) Write(b []byte) (int, error) {
	if err := d.SetWriteDeadline(time.Now().Add(pulseReply)); err != nil {
		return 0, err
	}
	n, err := d.Conn.Write(b)
	if err != nil {
		_ = d.Conn.Close() // proto.Client does not look at errors of samples that it writes
	}
	return n, err
}

type pulseAddress struct{ network, address string }

// pulseAddresses parses a list of servers:
// https://www.freedesktop.org/wiki/Software/PulseAudio/Documentation/User/ServerStrings/
func pulseAddresses(servers string) []pulseAddress {
	if servers == "" {
		servers = os.Getenv("PULSE_SERVER")
	}
	if servers == "" {
		if runtime.GOOS != "linux" && runtime.GOOS != "freebsd" {
			return nil
		}
		dir := os.Getenv("PULSE_RUNTIME_PATH")
		if dir == "" {
			run := os.Getenv("XDG_RUNTIME_DIR")
			if run == "" {
				run = filepath.Join("/run/user", strconv.Itoa(os.Getuid()))
			}
			dir = filepath.Join(run, "pulse")
		}
		return []pulseAddress{{"unix", filepath.Join(dir, "native")}}
	}
	var list []pulseAddress
	for _, s := range strings.Fields(servers) {
		if rest, ok := strings.CutPrefix(s, "{"); ok { // only for the machine of that name or ID, which we take for ours
			if _, s, ok = strings.Cut(rest, "}"); !ok {
				continue
			}
		}
		scheme, rest, found := strings.Cut(s, ":")
		switch {
		case strings.HasPrefix(s, "/"):
			list = append(list, pulseAddress{"unix", s})
		case found && scheme == "unix":
			list = append(list, pulseAddress{"unix", rest})
		case found && (scheme == "tcp" || scheme == "tcp4" || scheme == "tcp6"):
			if _, _, err := net.SplitHostPort(rest); err != nil {
				rest = net.JoinHostPort(strings.Trim(rest, "[]"), "4713")
			}
			list = append(list, pulseAddress{scheme, rest})
		}
	}
	return list
}

// pulseSecret reads the cookie. Without one it is zeros, which a server that asks for none takes.
func pulseSecret() ([]byte, error) {
	paths := []string{os.Getenv("PULSE_COOKIE")}
	if paths[0] == "" {
		paths = paths[:0]
		if dir, err := os.UserConfigDir(); err == nil {
			paths = append(paths, filepath.Join(dir, "pulse", "cookie"))
		}
		if home, err := os.UserHomeDir(); err == nil {
			paths = append(paths, filepath.Join(home, ".pulse-cookie"))
		}
	}
	cookie := make([]byte, pulseCookie)
	for _, path := range paths {
		f, err := openRegular(path)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		_, err = io.ReadFull(f, cookie)
		_ = f.Close()
		if err != nil {
			return nil, fmt.Errorf("read the cookie %s: %w", path, err)
		}
		break
	}
	return cookie, nil
}

func (p *pulse) list(ctx context.Context) (microphones, speakers []Device, err error) {
	c, err := p.connect(ctx, func(any) {})
	if err != nil {
		return nil, nil, err
	}
	defer c.close()
	var server proto.GetServerInfoReply
	var sources proto.GetSourceInfoListReply
	var sinks proto.GetSinkInfoListReply
	if err := errors.Join(c.Request(&proto.GetServerInfo{}, &server), c.Request(&proto.GetSourceInfoList{}, &sources),
		c.Request(&proto.GetSinkInfoList{}, &sinks)); err != nil {
		return nil, nil, fmt.Errorf("ask PulseAudio for its devices: %w", err)
	}
	for _, s := range sources {
		microphones = append(microphones, Device{ID: s.SourceName, Name: s.Device, Default: s.SourceName == server.DefaultSourceName,
			Monitor: s.MonitorSourceIndex != proto.Undefined, Backend: "pulse"})
	}
	for _, s := range sinks {
		speakers = append(speakers, Device{ID: s.SinkName, Name: s.Device, Default: s.SinkName == server.DefaultSinkName, Backend: "pulse"})
	}
	return microphones, speakers, nil
}

var pulseFormat = proto.SampleSpec{Format: proto.FormatInt16LE, Channels: 1, Rate: media.SampleRate}

// pulseRecorder is a microphone.
type pulseRecorder struct {
	*ring
	conn    *pulseConn
	device  string
	samples [4 * period]int16 // belongs to the connection's goroutine
	once    sync.Once
}

func (p *pulse) record(ctx context.Context, id string) (recorder, error) {
	r := &pulseRecorder{ring: newRing(pulseHeld * period)}
	c, err := p.connect(ctx, r.on)
	if err != nil {
		return nil, err
	}
	r.conn = c
	var reply proto.CreateRecordStreamReply
	err = c.Request(&proto.CreateRecordStream{
		SampleSpec: pulseFormat, ChannelMap: proto.ChannelMap{proto.ChannelMono}, ChannelVolumes: proto.ChannelVolumes{0x10000},
		SourceIndex: proto.Undefined, SourceName: id, DirectOnInputIndex: proto.Undefined,
		BufferMaxLength: proto.Undefined, BufferFragSize: 2 * pulsePeriod, AdjustLatency: true,
		Properties: proto.PropList{"media.name": proto.PropListString("voice")},
	}, &reply)
	if err != nil {
		c.close()
		return nil, pulseRefused("microphone", err)
	}
	r.device = reply.SourceName
	var source proto.GetSourceInfoReply
	if err := c.Request(&proto.GetSourceInfo{SourceIndex: proto.Undefined, SourceName: reply.SourceName}, &source); err == nil {
		r.device = source.Device
	}
	return r, nil
}

// pulseRefused explains why a device did not open. A server without any device says that there is no such entity.
func pulseRefused(what string, err error) error {
	if errors.Is(err, proto.ErrNoSuchEntity) {
		return fmt.Errorf("ask PulseAudio for a %s: %w: %w", what, err, media.ErrNoSound)
	}
	return fmt.Errorf("ask PulseAudio for a %s: %w", what, err)
}

func (r *pulseRecorder) on(message any) {
	switch m := message.(type) {
	case *proto.DataPacket:
		for b := m.Data; len(b) > 1; {
			pcm := asSamples(r.samples[:], b)
			r.put(pcm)
			b = b[2*len(pcm):]
		}
	case *proto.RecordStreamKilled:
		r.fail(errors.New("record: PulseAudio took the microphone away"))
	case *proto.ConnectionClosed:
		r.fail(errors.New("record: the connection to PulseAudio ended"))
	}
}

func (r *pulseRecorder) name() string { return r.device }
func (r *pulseRecorder) lost() uint64 { return r.lostSamples() }

func (r *pulseRecorder) close() error {
	r.once.Do(func() {
		r.fail(media.ErrClosed)
		r.conn.close()
	})
	return nil
}
