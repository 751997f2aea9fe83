package main

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"peerchat/configs"
	"peerchat/media/device"
	"peerchat/peer"
	"peerchat/peer/history"
	"peerchat/peer/profile"
	"peerchat/peer/wire"
	"peerchat/signaling"
)

// mode is the front end of a peer.
type mode int

const (
	modeScreen mode = iota
	modePlain
	modeJSON
)

// joining is everything that a running peer is made of, in the order in which it is opened.
type joining struct {
	con      console
	settings configs.Peer
	mode     mode
	name     string
	self     wire.PeerID
	rooms    []wire.Room
	profile  *profile.Profile
	logger   *slog.Logger
	finder   *finder
	store    *history.SQLite
	archive  *archive
	window   peer.Window
	events   *peer.Mailbox[peer.Event]
	voice    *voice
	node     *peer.Node
	notes    []peer.Event // told before the first event of the node
}

// runJoin is `peerchat join`.
func runJoin(ctx context.Context, con console, flags joinFlags) (err error) {
	j := &joining{con: con}
	if j.settings, err = flags.settings(); err != nil {
		return err
	}
	if j.rooms, err = parseRooms(j.settings.Room); err != nil {
		return &usageError{err}
	}
	for _, addr := range j.settings.Tracker {
		if _, err := signaling.ParseAddr(addr); err != nil {
			return &usageError{fmt.Errorf("tracker: %w", err)}
		}
	}
	if _, err := device.ParseSource(j.settings.Mic); err != nil {
		return &usageError{err}
	}
	if _, err := device.ParseSink(j.settings.Speaker); err != nil {
		return &usageError{err}
	}
	j.mode = chooseMode(j.settings, con.tty())
	if j.name, err = j.username(ctx); err != nil {
		if ctx.Err() != nil {
			return err
		}
		return &usageError{err}
	}

	dir := j.settings.Profile
	if dir == "" {
		dir = profile.DefaultDir(j.name)
	}
	if j.profile, err = profile.Open(dir); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, j.profile.Close()) }()
	key, created, err := j.profile.Key()
	if err != nil {
		return err
	}

	j.self = wire.IDOf(key)

	closeLog, err := j.openLog()
	if err != nil {
		return err
	}
	defer closeLog()
	j.logger.Info("starting", "version", version(), "peer", j.self, "profile", j.profile.Dir(), "new_identity", created)

	if err := j.openHistory(created); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, j.closeHistory()) }()
	j.archive = openArchive(j.profile.HistoryFile(), j.self)
	defer func() { err = errors.Join(err, j.archive.close()) }()

	if note := missingInterfaces(j.settings.Interface); note != "" {
		j.notes = append(j.notes, peer.Notice{Code: "interface", Text: note})
	}
	j.finder = newFinder(j.settings, j.profile, j.logger)
	if note := j.finder.mendKnown(); note != "" {
		j.notes = append(j.notes, peer.Notice{Code: "profile", Text: note})
	}

	sound := device.New(device.Config{Log: j.logger})
	defer sound.Close()
	var links atomic.Pointer[peer.RTC]
	j.voice = j.newVoice(sound, &links)

	j.events = peer.NewMailbox(1<<30, func(peer.Event) int { return 0 })
	for _, n := range j.notes {
		j.events.Post(n)
	}
	j.node, err = peer.New(peer.Config{
		Key: key, Name: j.name, Rooms: j.rooms, Agent: agent(), Store: j.store, Run: j.store.Run(),
		Window: j.window, Seed: seed(), Logger: j.logger,
		NewTransport: func(sink func(peer.TransportEvent)) (peer.Transport, error) {
			rtc, err := peer.NewRTC(peer.RTCConfig{Interfaces: j.settings.Interface, Logger: j.logger, OnVoice: j.voice.receive}, sink)
			if err != nil {
				return nil, err
			}
			links.Store(rtc)
			if len(j.settings.STUN) == 0 {
				return rtc, nil
			}
			rtc.SetSTUN(j.settings.STUN)
			return withSTUN{rtc, j.settings.STUN}, nil
		},
		NewSignaling: func(sink func(signaling.ClientEvent)) (peer.Signaling, error) {
			return signaling.NewStation(j.station(key, sink)), nil
		},
		OnEvent: func(ev peer.Event) {
			j.voice.see(ev)
			j.events.Post(ev)
		},
		Election: peer.ElectionConfig{Host: !j.settings.NoHost, Priority: j.settings.Priority, Term: j.term()},
		SaveTerm: j.profile.SaveTerm,
	})
	if err != nil {
		return err
	}
	go j.voice.run()
	defer func() { err = errors.Join(err, j.voice.close()) }() // after the node, whose links use it, has stopped
	defer func() {                                             // whatever way the front end ended; a second Stop does nothing
		stop, cancel := context.WithTimeout(context.Background(), leavePatience)
		defer cancel()
		if serr := j.node.Stop(stop); err == nil {
			err = serr
		}
	}()
	if j.mode == modeScreen {
		return j.runScreen(ctx)
	}
	return j.runLines(ctx)
}

// newVoice is this peer's voice. It reaches the node and the links when they are there.
func (j *joining) newVoice(sound soundSystem, links *atomic.Pointer[peer.RTC]) *voice {
	c := voiceConfig{
		self: j.self, sound: sound, mic: j.settings.Mic, speaker: j.settings.Speaker, muted: j.settings.Muted, key: j.mode == modeScreen,
		do: func(cmd peer.Command) { j.node.Do(cmd) }, keep: j.profile.SaveVolume,
		send: func(p peer.VoicePacket) {
			if rtc := links.Load(); rtc != nil {
				rtc.SendVoice(p)
			}
		},
	}
	if j.settings.Voice {
		c.join = j.rooms[0]
	}
	var err error
	if c.volumes, err = j.profile.Volumes(); err != nil {
		j.logger.Warn("reading the volumes", "err", err)
		j.notes = append(j.notes, peer.Notice{Code: "profile", Text: "the volumes that you had set are lost: " + err.Error()})
	}
	return newVoice(c)
}

// term is the election's term that the profile keeps. One that cannot be read is learned again from the others.
func (j *joining) term() uint64 {
	term, err := j.profile.Term()
	if err != nil {
		j.logger.Warn("reading the election's term", "err", err)
	}
	return term
}

// station is how this peer deals with trackers.
func (j *joining) station(key ed25519.PrivateKey, sink func(signaling.ClientEvent)) signaling.StationConfig {
	c := signaling.StationConfig{Client: signaling.ClientConfig{
		Key: key, Name: j.name, Agent: agent(), Sources: j.finder.sources(), Interfaces: j.settings.Interface,
		Sink: sink, Logger: j.logger, Seed: seed(),
	}}
	if !j.settings.NoHost {
		c.Host = &signaling.HostConfig{Listen: j.settings.Listen, LAN: j.settings.LAN}
	}
	return c
}

// runLines is the plain and the JSON mode.
func (j *joining) runLines(ctx context.Context) error {
	reading, stopReading := context.WithCancel(context.Background())
	defer stopReading()
	var print printer = &jsonPrinter{now: time.Now, profile: j.profile.Dir()}
	if j.mode == modePlain {
		print = newPlainPrinter(time.Now, !j.con.tty().in)
	}
	m := &lineMode{
		node: j.node, events: j.events, lines: make(chan []inputLine), out: newOutput(j.con.out), print: print, voice: j.voice,
		dial: j.finder.dial, seen: j.remember, archive: j.archive, view: view{room: j.rooms[0], rooms: j.rooms},
	}
	// A read of standard input cannot be interrupted: this goroutine ends with its input, or with the process.
	go readLines(reading, j.con.in, m.lines)
	return m.run(ctx)
}

// remember keeps the trackers that this peer was connected to, for the next start.
func (j *joining) remember(ev peer.Event) {
	t, ok := ev.(peer.TrackerChanged)
	if !ok || t.State != peer.TrackerConnected || t.URL == "" {
		return
	}
	if err := j.profile.AddTracker(t.URL, time.Now()); err != nil {
		j.logger.Warn("remembering the tracker", "err", err)
	}
}

// openLog sends the log to the profile while the screen is open, else to standard error.
func (j *joining) openLog() (closeLog func(), err error) {
	level := j.settings.LogLevel
	if j.mode != modeScreen {
		if level == "" {
			level = "warn"
		}
		j.logger = newLogger(j.con.err, level, j.settings.LogFormat)
		return func() {}, nil
	}
	if level == "" {
		level = "info"
	}
	file, err := openLog(j.profile.LogFile())
	if err != nil {
		return nil, err
	}
	j.logger = newLogger(file, level, j.settings.LogFormat)
	return func() { _ = file.Close() }, nil
}

// openHistory opens the logs of the rooms. A damaged file is moved away, and a new one is begun, now or when it turns
// out later.
func (j *joining) openHistory(newIdentity bool) (err error) {
	damaged := func(e *history.CorruptError) peer.Notice {
		j.logger.Warn("beginning a new history", "err", e)
		return peer.Notice{Code: "history", Text: fmt.Sprintf(
			"the history was damaged and is begun anew; the others still have what was said, the old file is kept as %s", e.Aside)}
	}
	bounds, err := j.settings.History()
	if err != nil {
		return err
	}
	j.window = windowOf(bounds)
	limits := history.Limits{Events: bounds.Events, Room: bounds.Room, File: bounds.File, Age: bounds.Age}
	cfg := history.Config{Self: j.self, NewIdentity: newIdentity, Limits: limits, OnDamage: func(e *history.CorruptError) { j.events.Post(damaged(e)) }}
	j.store, err = history.OpenSQLite(j.profile.HistoryFile(), cfg)
	var corrupt *history.CorruptError
	if errors.As(err, &corrupt) {
		j.notes = append(j.notes, damaged(corrupt))
		j.store, err = history.OpenSQLite(j.profile.HistoryFile(), cfg)
	}
	if err == nil { // or a history that is lost again at once would begin in the same run, and use its numbers for other lines
		time.Sleep(wire.RunLeft(j.store.Run(), time.Now()))
	}
	return err
}

// windowOf is what is fetched of a new room: no more than is kept, or it would be fetched again and again.
func windowOf(h configs.History) peer.Window {
	w := peer.Window{Events: h.WindowEvents, Age: h.WindowAge}
	if h.Events > 0 {
		w.Events = min(w.Events, h.Events)
	}
	if h.Age > 0 && (w.Age < 0 || w.Age > h.Age) {
		w.Age = h.Age
	}
	return w
}

// closeHistory closes the logs, unless a node that did not end in time may still write to them: they are safe then as
// after any sudden end.
func (j *joining) closeHistory() error {
	if j.node != nil {
		late := time.NewTimer(storePatience)
		defer late.Stop()
		select {
		case <-j.node.Done():
		case <-late.C:
			return nil
		}
	}
	return j.store.Close()
}

// missingInterfaces says which of the network interfaces to be used are not there; empty if all are.
func missingInterfaces(wanted []string) string {
	all, err := net.Interfaces()
	if err != nil || len(wanted) == 0 {
		return "" // what is missing shows by itself
	}
	var there, missing []string
	for _, i := range all {
		there = append(there, i.Name)
	}
	for _, name := range wanted {
		if !slices.Contains(there, name) {
			missing = append(missing, strconv.Quote(name))
		}
	}
	if len(missing) == 0 {
		return ""
	}
	return fmt.Sprintf("there is no network interface %s, so no links go over it; there are: %s", strings.Join(missing, ", "), strings.Join(there, ", "))
}

// chooseMode takes the screen where there is one to take.
func chooseMode(c configs.Peer, t terminal) mode {
	switch {
	case c.JSON:
		return modeJSON
	case c.Plain, !t.in, !t.out, t.dumb:
		return modePlain
	}
	return modeScreen
}

func parseRooms(names []string) ([]wire.Room, error) {
	var rooms []wire.Room
	seen := map[wire.Room]bool{}
	for _, n := range names {
		r, err := wire.ParseRoom(n)
		if err != nil {
			return nil, err
		}
		if !seen[r] {
			seen[r] = true
			rooms = append(rooms, r)
		}
	}
	if len(rooms) > wire.MaxRooms {
		return nil, fmt.Errorf("%d rooms: one can be in at most %d", len(rooms), wire.MaxRooms)
	}
	return rooms, nil
}

// username is what the settings say, or what the user answers, or the system's name for the user.
func (j *joining) username(ctx context.Context) (string, error) {
	if j.settings.Username != "" {
		return wire.ParseName(j.settings.Username)
	}
	login := loginName()
	t := j.con.tty()
	if !t.in || !t.out || j.settings.JSON {
		return login, nil
	}
	var name string
	var err error
	answered := make(chan struct{})
	go func() { // A read of standard input cannot be interrupted: this goroutine ends with its input, or with the process.
		defer close(answered)
		name, err = askName(j.con, login)
	}()
	select {
	case <-answered:
		return name, err
	case <-ctx.Done():
		fmt.Fprintln(j.con.out)
		return "", errors.New("interrupted before a username was given")
	}
}

// askName asks for a name, three times at most. Whoever answers nothing is called login.
func askName(con console, login string) (string, error) {
	// One byte at a time, so that nothing is taken from what comes after the line.
	in := bufio.NewReaderSize(oneByte{con.in}, 16)
	for range 3 {
		fmt.Fprintf(con.out, "Your name [%s]: ", login)
		answer, err := in.ReadString('\n')
		if err != nil && (answer == "" || !errors.Is(err, io.EOF)) {
			return "", errors.New("no username was given: use --username NAME")
		}
		if strings.TrimSpace(answer) == "" {
			return login, nil
		}
		name, err := wire.ParseName(strings.TrimRight(answer, "\r\n"))
		if err == nil {
			return name, nil
		}
		fmt.Fprintln(con.out, err)
	}
	return "", errors.New("no usable username was given: use --username NAME")
}

// oneByte reads no further than it is asked to.
type oneByte struct{ r io.Reader }

func (o oneByte) Read(p []byte) (int, error) { return o.r.Read(p[:min(len(p), 1)]) }

// loginName is the user's name on this system, or "guest".
func loginName() string {
	if u, err := user.Current(); err == nil {
		// Windows says DOMAIN\name.
		if name, err := wire.ParseName(filepath.Base(strings.ReplaceAll(u.Username, `\`, "/"))); err == nil {
			return name
		}
	}
	return "guest"
}

func seed() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return binary.LittleEndian.Uint64(b[:])
}

// withSTUN is a Transport that uses more STUN servers than the tracker offers.
type withSTUN struct {
	peer.Transport
	more []string
}

func (t withSTUN) SetSTUN(urls []string) {
	t.Transport.SetSTUN(append(append([]string{}, t.more...), urls...))
}
