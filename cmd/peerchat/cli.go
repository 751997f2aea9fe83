package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/alecthomas/kong"

	"peerchat/configs"
)

// errHelped says that help was asked for and given.
var errHelped = errors.New("help was given")

// envPrefix begins the environment variable of each flag: --no-host is PEERCHAT_NO_HOST.
const envPrefix = "PEERCHAT_"

// cli is the command line. A flag that was not given is nil, so that settings come from the file or the defaults
// instead.
type cli struct {
	Tracker    trackerFlags    `cmd:"" help:"Be a tracker: introduce peers to each other, by WebSocket and STUN."`
	Join       joinFlags       `cmd:"" help:"Chat: find a tracker, or become one, and join rooms."`
	History    historyFlags    `cmd:"" help:"Export, count and search what was said, while peerchat runs or not."`
	Devices    devicesFlags    `cmd:"" help:"Show microphones and speakers."`
	Version    struct{}        `cmd:"" help:"Show which peerchat this is."`
	Completion completionFlags `cmd:"" help:"Print a completion script for bash, zsh or fish."`
	Help       helpFlags       `cmd:"" help:"Show the help of a command."`
}

type trackerFlags struct {
	Listen     *string `placeholder:"HOST:PORT" help:"Where to listen for peers (${tracker_listen})."`
	STUN       *string `name:"stun" placeholder:"HOST:PORT|off" help:"Where to answer STUN (as --listen)."`
	PublicAddr *string `placeholder:"HOST" help:"Host under which peers reach this machine, if not the one they dial."`
	TLSCert    *string `name:"tls-cert" placeholder:"FILE" help:"Certificate (PEM) for wss://; needs --tls-key."`
	TLSKey     *string `name:"tls-key" placeholder:"FILE" help:"Key (PEM) for wss://; needs --tls-cert."`
	LAN        *bool   `name:"lan" negatable:"" help:"Announce this tracker on the local network by mDNS (on)."`
	Interface  list    `placeholder:"NAME" help:"Announce on this network interface only; repeat for more."`
	LogLevel   *string `placeholder:"LEVEL" help:"Log debug, info, warn or error (${tracker_log_level})."`
	LogFormat  *string `placeholder:"FORMAT" help:"Log as text or json (text)."`
	Config     *string `placeholder:"FILE" help:"Read settings from a YAML file."`
}

type joinFlags struct {
	Invite *string `arg:"" optional:"" help:"The link of an invitation, peerchat://HOST:PORT/ROOM?or=HOST:PORT: its trackers and room come first."`

	Username *string `short:"u" placeholder:"NAME" help:"Your name as others see it."`
	Room     list    `short:"r" placeholder:"NAME" help:"Room to join (general); repeat for more."`
	Tracker  list    `short:"t" placeholder:"ADDR" help:"Tracker to use: HOST, HOST:PORT, ws://, wss:// or an invitation; repeat for more, tried in order."`
	STUN     list    `name:"stun" placeholder:"URL" help:"STUN server beside the tracker's; repeat for more."`
	Listen   *string `placeholder:"HOST:PORT" help:"Where to host a tracker if none is found (${peer_listen}), or the next free port."`
	NoHost   *bool   `name:"no-host" help:"Never host a tracker; keep looking for one."`
	Priority *int16  `placeholder:"N" help:"The higher, the sooner this peer is elected when the tracker is lost: -32768 to 32767 (0)."`
	Plain    *bool   `help:"Print a line an event, without a full screen. So it is when output is no terminal."`
	JSON     *bool   `name:"json" help:"Print a JSON object an event, for programs."`
	Mic      *string `placeholder:"SOURCE" help:"Microphone: number or name of it, none, wav:FILE, wav:FILE?loop or tone:HZ (the default one)."`
	Speaker  *string `placeholder:"SINK" help:"Speaker: number or name of it, none or wav:FILE (the default one)."`
	Voice    *bool   `help:"Join the voice of the first room at once."`
	Muted    *bool   `help:"Begin with the microphone muted."`
	Profile  *string `placeholder:"DIR" help:"Directory of identity and history (one per username)."`

	HistoryEvents       *string `placeholder:"N" help:"Keep so many messages of each room (${history_events})."`
	HistoryRoomSize     *string `placeholder:"SIZE" help:"Keep so much of each room, as in 16MiB (${history_room_size})."`
	HistorySize         *string `placeholder:"SIZE" help:"Keep so much of all rooms, as in 500MB (${history_size})."`
	HistoryAge          *string `placeholder:"AGE" help:"Keep nothing older, as in 30d or 36h (${history_age})."`
	HistoryWindowEvents *int    `placeholder:"N" help:"Fetch so many messages of a room that is new to you (${history_window_events})."`
	HistoryWindowAge    *string `placeholder:"AGE" help:"Fetch nothing older of it (${history_window_age})."`

	LAN       *bool   `name:"lan" negatable:"" help:"Look for trackers on the local network by mDNS (on)."`
	Interface list    `placeholder:"NAME" help:"Use this network interface only; repeat for more."`
	LogLevel  *string `placeholder:"LEVEL" help:"Log debug, info, warn or error (info to the profile's peerchat.log, warn to standard error)."`
	LogFormat *string `placeholder:"FORMAT" help:"Log as text or json (text)."`
	Config    *string `placeholder:"FILE" help:"Read settings from a YAML file."`
}

type devicesFlags struct {
	JSON bool `name:"json" help:"Print a JSON object, for programs."`
}

type completionFlags struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"One of bash, zsh and fish."`
}

type helpFlags struct {
	Command []string `arg:"" optional:"" help:"The command to show the help of."`
}

// action is a command that is ready to run.
type action func(context.Context, console) error

// list is a flag that may be given several times, or once with commas in it.
type list []string

// Decode implements kong.MapperValue. Left to itself kong takes an empty value as if the flag had not been given.
func (l *list) Decode(ctx *kong.DecodeContext) error {
	var value string
	if err := ctx.Scan.PopValueInto("string", &value); err != nil {
		return err
	}
	parts := kong.SplitEscaped(value, ctx.Value.Tag.Sep)
	if len(parts) == 0 {
		return errors.New("it is empty: give it a value, or leave it out")
	}
	*l = append(*l, parts...)
	return nil
}

// helpExit leaves kong after it has printed help.
type helpExit struct{}

// helpOutput is where kong prints help. What goes wrong there is no mistake in the arguments, for which kong would take
// it.
type helpOutput struct {
	io.Writer
	err error // the first
}

func (h *helpOutput) Write(b []byte) (int, error) {
	n, err := h.Writer.Write(b)
	if h.err == nil {
		h.err = err
	}
	return n, err
}

// helped is what to return where help was to be printed: nil if it was not.
func (h *helpOutput) helped() error {
	switch err := unlessClosed(h.err); {
	case err != nil:
		return fmt.Errorf("print help: %w", err)
	case h.err != nil:
		return errHelped
	}
	return nil
}

func newParser(con console) (*kong.Kong, *cli, error) {
	flags := &cli{}
	parser, err := kong.New(flags,
		kong.Name("peerchat"),
		kong.Description("P2P chat in a terminal. Start with: peerchat join --username Bob\n\n"+
			"Each flag has an environment variable, too (--no-host is PEERCHAT_NO_HOST), and a key in the file of --config."),
		kong.Writers(con.out, con.err),
		kong.Exit(func(int) { panic(helpExit{}) }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: true}),
		kong.Resolvers(environment(con.env)),
		kong.Vars{
			"tracker_listen":    configs.DefaultTracker().Listen,
			"tracker_log_level": configs.DefaultTracker().LogLevel,
			"peer_listen":       configs.DefaultPeer().Listen,
			"history_events":    configs.DefaultPeer().HistoryEvents, "history_room_size": configs.DefaultPeer().HistoryRoomSize,
			"history_size": configs.DefaultPeer().HistorySize, "history_age": configs.DefaultPeer().HistoryAge,
			"history_window_events": strconv.Itoa(configs.DefaultPeer().HistoryWindowEvents),
			"history_window_age":    configs.DefaultPeer().HistoryWindowAge,
		},
	)
	return parser, flags, err
}

// parseArgs finds out what to do. The error is errHelped, a *usageError, what went wrong with printing help, or nil.
func parseArgs(args []string, con console) (do action, err error) {
	help := &helpOutput{Writer: con.out}
	con.out = help
	parser, flags, err := newParser(con)
	if err != nil {
		return nil, fmt.Errorf("command line: %w", err)
	}
	defer func() {
		if r := recover(); r != nil {
			if _, ok := r.(helpExit); !ok {
				panic(r)
			}
			do, err = nil, errHelped
		}
		if failed := help.helped(); failed != nil {
			do, err = nil, failed
		}
	}()
	if len(args) == 0 {
		args = []string{"--help"}
	}
	ctx, err := parser.Parse(args)
	if err != nil {
		return nil, &usageError{err}
	}
	if do := flags.History.selected(ctx.Selected()); do != nil {
		return do, nil
	}
	switch ctx.Selected().Name {
	case "tracker":
		return func(ctx context.Context, con console) error { return runTracker(ctx, con, flags.Tracker) }, nil
	case "join":
		return func(ctx context.Context, con console) error { return runJoin(ctx, con, flags.Join) }, nil
	case "devices":
		return func(ctx context.Context, con console) error { return runDevices(ctx, con, flags.Devices) }, nil
	case "version":
		return func(_ context.Context, con console) error { return unlessClosed(printVersion(con.out)) }, nil
	case "completion":
		return func(_ context.Context, con console) error {
			return unlessClosed(printCompletion(con.out, flags.Completion.Shell, parser.Model))
		}, nil
	}
	// help
	if _, err := parser.Parse(append(flags.Help.Command, "--help")); err != nil {
		return nil, &usageError{err}
	}
	return nil, errHelped
}

// envName is the environment variable of a flag.
func envName(flag string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// environment gives each flag that was not given the value of its variable. An empty variable counts as none.
func environment(lookup func(string) (string, bool)) kong.Resolver {
	return kong.ResolverFunc(func(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
		if flag.Name == "help" {
			return nil, nil
		}
		name := envName(flag.Name)
		value, _ := lookup(name)
		if value == "" {
			return nil, nil
		}
		if !flag.IsBool() {
			return value, nil
		}
		switch strings.ToLower(value) {
		case "1", "true", "yes", "on":
			return true, nil
		case "0", "false", "no", "off":
			return false, nil
		}
		return nil, fmt.Errorf("%s=%s: want on or off", name, value)
	})
}

// settings of a tracker: flags and environment over the file over the defaults.
func (f trackerFlags) settings() (configs.Tracker, error) {
	c := configs.DefaultTracker()
	if f.Config != nil {
		var err error
		if c, err = configs.LoadTracker(*f.Config); err != nil {
			return c, &usageError{err}
		}
	}
	over(&c.Listen, f.Listen)
	over(&c.STUN, f.STUN)
	over(&c.PublicAddr, f.PublicAddr)
	over(&c.TLSCert, f.TLSCert)
	over(&c.TLSKey, f.TLSKey)
	over(&c.LAN, f.LAN)
	overList(&c.Interface, f.Interface)
	over(&c.LogLevel, f.LogLevel)
	over(&c.LogFormat, f.LogFormat)
	if err := c.Validate(); err != nil {
		return c, &usageError{err}
	}
	return c, nil
}

// settings of a peer; see trackerFlags.settings.
func (f joinFlags) settings() (configs.Peer, error) {
	c := configs.DefaultPeer()
	if f.Config != nil {
		var err error
		if c, err = configs.LoadPeer(*f.Config); err != nil {
			return c, &usageError{err}
		}
	}
	over(&c.Username, f.Username)
	overList(&c.Room, f.Room)
	c.Tracker = append(f.Tracker, c.Tracker...) // the file's are tried after those of the command line
	if f.Invite != nil {
		if !isInvite(*f.Invite) {
			return c, &usageError{fmt.Errorf("unexpected argument %s: what stands here is an invitation, as in peerchat join "+
				"peerchat://192.168.1.20:5000/general; trackers are given with --tracker, rooms with --room", *f.Invite)}
		}
		c.Tracker = append([]string{*f.Invite}, c.Tracker...)
	}
	trackers, rooms, err := expandInvites(c.Tracker)
	if err != nil {
		return c, &usageError{err}
	}
	c.Tracker = trackers
	if len(rooms) > 0 && len(f.Room) == 0 && slices.Equal(c.Room, configs.DefaultPeer().Room) {
		c.Room = nil // who is invited into a room, and named none, wants into that one
	}
	c.Room = append(rooms, c.Room...)
	overList(&c.STUN, f.STUN)
	over(&c.Listen, f.Listen)
	over(&c.NoHost, f.NoHost)
	over(&c.Priority, f.Priority)
	over(&c.LAN, f.LAN)
	overList(&c.Interface, f.Interface)
	over(&c.Plain, f.Plain)
	over(&c.JSON, f.JSON)
	over(&c.Mic, f.Mic)
	over(&c.Speaker, f.Speaker)
	over(&c.Voice, f.Voice)
	over(&c.Muted, f.Muted)
	over(&c.Profile, f.Profile)
	over(&c.HistoryEvents, f.HistoryEvents)
	over(&c.HistoryRoomSize, f.HistoryRoomSize)
	over(&c.HistorySize, f.HistorySize)
	over(&c.HistoryAge, f.HistoryAge)
	over(&c.HistoryWindowEvents, f.HistoryWindowEvents)
	over(&c.HistoryWindowAge, f.HistoryWindowAge)
	over(&c.LogLevel, f.LogLevel)
	over(&c.LogFormat, f.LogFormat)
	if err := c.Validate(); err != nil {
		return c, &usageError{err}
	}
	if f.Username != nil && *f.Username == "" {
		return c, &usageError{errors.New("username is empty: give one with --username NAME, or leave the flag out")}
	}
	return c, nil
}

func over[T any](setting *T, flag *T) {
	if flag != nil {
		*setting = *flag
	}
}

func overList(setting *[]string, flag []string) {
	if len(flag) > 0 {
		*setting = flag
	}
}
