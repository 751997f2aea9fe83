package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"peerchat/configs"
	"peerchat/peer/history"
	"peerchat/peer/profile"
	"peerchat/peer/wire"
	"peerchat/tui"
)

// historyFlags are the commands that read a profile's history. They take no lock, so they work while peerchat runs.
type historyFlags struct {
	Export historyExport `cmd:"" help:"Write what was said, in order, as text or JSON."`
	Stats  historyStats  `cmd:"" help:"Show how much of each room is kept."`
	Search historySearch `cmd:"" help:"Find what was said, the newest first."`
}

// historyPlace names a profile.
type historyPlace struct {
	Username *string `short:"u" placeholder:"NAME" help:"Whose history (your login name's)."`
	Profile  *string `placeholder:"DIR" help:"Directory of the profile, instead of a username."`
	Config   *string `placeholder:"FILE" help:"Read username and profile from a YAML file."`
}

type historyExport struct {
	historyPlace
	Room   list   `short:"r" placeholder:"NAME" help:"Room to write (all); repeat for more."`
	Format string `placeholder:"FORMAT" default:"text" help:"Write text, a line a message, or json, an object a line (text)."`
	Output string `short:"o" placeholder:"FILE" help:"Write into a file, not to standard output."`
}

type historyStats struct {
	historyPlace
	JSON bool `name:"json" help:"Print a JSON object a room, for programs."`
}

type historySearch struct {
	historyPlace
	Query []string `arg:"" help:"Words, all of which have to be there; wor* for their beginnings; in double quotes what follows each other."`
	Room  *string  `short:"r" placeholder:"NAME" help:"Search this room only (all)."`
	Limit int      `placeholder:"N" default:"50" help:"Show at most so many (50)."`
	JSON  bool     `name:"json" help:"Print a JSON object, for programs."`
}

// selected is what to run where one of these commands was chosen, else nil.
func (f *historyFlags) selected(node *kong.Node) action {
	if node.Parent == nil || node.Parent.Name != "history" {
		return nil
	}
	switch node.Name {
	case "export":
		return func(ctx context.Context, con console) error { return runHistoryExport(ctx, con, f.Export) }
	case "stats":
		return func(_ context.Context, con console) error { return runHistoryStats(con, f.Stats) }
	}
	return func(ctx context.Context, con console) error { return runHistorySearch(ctx, con, f.Search) }
}

// dir is the directory of the profile, and what to call it.
func (f historyPlace) dir() (dir, whose string, err error) {
	c := configs.DefaultPeer()
	if f.Config != nil {
		if c, err = configs.LoadPeer(*f.Config); err != nil {
			return "", "", &usageError{err}
		}
	}
	if f.Profile == nil && f.Username != nil {
		c.Profile = "" // who names a user does not mean the file's directory
	}
	over(&c.Username, f.Username)
	over(&c.Profile, f.Profile)
	if c.Profile != "" {
		return c.Profile, c.Profile, nil
	}
	name := loginName()
	if c.Username != "" {
		if name, err = wire.ParseName(c.Username); err != nil {
			return "", "", &usageError{err}
		}
	}
	return profile.DefaultDir(name), "of " + name, nil
}

// read calls f with the history, and says what to do where there is none.
func (f historyPlace) read(do func(history.View) error) error {
	dir, whose, err := f.dir()
	if err != nil {
		return err
	}
	opened := false
	err = history.ReadHistory(profile.HistoryFile(dir), func(v history.View) error {
		opened = true
		return do(v)
	})
	var corrupt *history.CorruptError
	switch {
	case errors.As(err, &corrupt):
		return fmt.Errorf("%w; `peerchat join` with this profile sets the file aside and fetches from the others what they still have", err)
	case opened || !errors.Is(err, fs.ErrNotExist):
		return err
	}
	if _, serr := os.Stat(dir); serr == nil {
		return fmt.Errorf("there is no history in the profile %s: nothing was said or heard with it yet", dir)
	}
	return fmt.Errorf("there is no profile %s%s", whose, otherProfiles(dir))
}

// otherProfiles says which profiles are beside the one that is not there.
func otherProfiles(dir string) string {
	var names []string
	named := filepath.Dir(dir) == filepath.Dir(profile.DefaultDir(loginName())) // by --username, not by --profile
	entries, _ := os.ReadDir(filepath.Dir(dir))                                 // sorted; none is an answer, too
	for _, e := range entries {
		if _, err := os.Stat(profile.HistoryFile(filepath.Join(filepath.Dir(dir), e.Name()))); err == nil && len(names) < 20 {
			name := e.Name()
			if named {
				name = profile.Username(name)
			}
			names = append(names, tui.SanitizeLine(name))
		}
	}
	if len(names) == 0 {
		return ": name one with --username NAME or --profile DIR"
	}
	how := "--profile DIR"
	if named {
		how = "--username NAME"
	}
	return "; there are, in " + filepath.Dir(dir) + ": " + strings.Join(names, ", ") + "; name one with " + how
}

// knownRooms reads names of rooms, and refuses those that the history does not know.
func knownRooms(v history.View, names []string) ([]wire.Room, error) {
	var rooms []wire.Room
	known, err := v.Rooms()
	if err != nil {
		return nil, err
	}
	for _, n := range names {
		room, err := wire.ParseRoom(n)
		if err != nil {
			return nil, &usageError{err}
		}
		switch {
		case slices.Contains(rooms, room):
		case slices.Contains(known, room):
			rooms = append(rooms, room)
		case len(known) == 0:
			return nil, fmt.Errorf("there is nothing of %s in this history: it is empty", room)
		default:
			return nil, fmt.Errorf("there is nothing of %s in this history; there is of: %s", room, roomList(known[:min(len(known), 50)]))
		}
	}
	return rooms, nil
}

// runHistoryExport is `peerchat history export`.
func runHistoryExport(ctx context.Context, con console, flags historyExport) error {
	format, err := history.ParseFormat(flags.Format)
	if err != nil {
		return &usageError{err}
	}
	return flags.read(func(v history.View) error {
		rooms, err := knownRooms(v, flags.Room)
		if err != nil {
			return err
		}
		if len(rooms) == 0 {
			rooms = []wire.Room{""} // all, as they are at one moment
		}
		write := func(w io.Writer) error {
			for _, room := range rooms {
				if err := v.Export(ctx, w, room, format); err != nil {
					return err
				}
			}
			return nil
		}
		if flags.Output == "" || flags.Output == "-" {
			return unlessClosed(write(con.out))
		}
		dir, _, err := flags.dir()
		if err != nil {
			return err
		}
		return writeFile(flags.Output, profile.HistoryFile(dir), write)
	})
}

// unlessClosed is no error where the reader of standard output has seen enough, as head does.
func unlessClosed(err error) error {
	if errors.Is(err, syscall.EPIPE) {
		return nil
	}
	return err
}

// writeFile makes a file, readable by its owner only, by way of a second one, so that a failure leaves what was there.
// The file that is being read is refused.
func writeFile(path, source string, write func(io.Writer) error) (err error) {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	info, err := os.Stat(path)
	if err == nil {
		if from, err := os.Stat(source); err == nil && os.SameFile(info, from) {
			return &usageError{fmt.Errorf("%s is the history itself: name another file", path)}
		}
	}
	if err == nil && !info.Mode().IsRegular() { // a pipe or a terminal is written as it is
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return fmt.Errorf("export: %w", err)
		}
		return errors.Join(write(f), f.Close())
	}
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".part-*")
	if err != nil {
		return fmt.Errorf("export: %w", err)
	}
	if err := errors.Join(write(f), f.Close()); err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return errors.Join(fmt.Errorf("export: %w", err), os.Remove(f.Name()))
	}
	return nil
}

// runHistoryStats is `peerchat history stats`.
func runHistoryStats(con console, flags historyStats) error {
	return flags.read(func(v history.View) error {
		rooms, err := v.Rooms()
		if err != nil {
			return err
		}
		var b []byte
		if !flags.JSON {
			b = fmt.Appendf(b, "%-24s %8s %8s %7s  %-16s  %s\n", "room", "events", "size", "authors", "oldest", "newest")
		}
		for _, room := range rooms {
			st, err := v.Stats(room)
			if err != nil {
				return err
			}
			if flags.JSON {
				b = jsonStats(b, room, st)
				continue
			}
			b = fmt.Appendf(b, "%-24s %8d %8s %7d  %-16s  %s\n", room, st.Events, sizeText(st.Bytes), st.Authors, dayTime(st.Oldest), dayTime(st.Newest))
		}
		_, err = con.out.Write(b)
		return unlessClosed(err)
	})
}

// jsonStats appends what is kept of a room.
func jsonStats(b []byte, room wire.Room, st history.Stats) []byte {
	o := (&jsonPrinter{now: time.Now}).begin(b, "stats").str("room", string(room)).int("events", st.Events).any("bytes", st.Bytes).
		int("authors", st.Authors)
	if st.Events > 0 {
		o.str("oldest", st.Oldest.UTC().Format(jsonTime)).str("newest", st.Newest.UTC().Format(jsonTime))
	}
	return o.end()
}

// dayTime is a time of an event for people: local, and with its day.
func dayTime(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Local().Format("2006-01-02 15:04")
}

// sizeText is a number of bytes for people.
func sizeText(n int64) string {
	for _, unit := range []struct {
		size int64
		name string
	}{{1 << 30, "GiB"}, {1 << 20, "MiB"}, {1 << 10, "KiB"}} {
		if n >= unit.size {
			return fmt.Sprintf("%.1f %s", float64(n)/float64(unit.size), unit.name)
		}
	}
	return fmt.Sprintf("%d B", n)
}

// runHistorySearch is `peerchat history search`.
func runHistorySearch(ctx context.Context, con console, flags historySearch) error {
	query := strings.Join(flags.Query, " ")
	if flags.Limit < 1 {
		return &usageError{fmt.Errorf("limit %d: want 1 or more", flags.Limit)}
	}
	return flags.read(func(v history.View) error {
		var room wire.Room
		if flags.Room != nil {
			rooms, err := knownRooms(v, []string{*flags.Room})
			if err != nil {
				return err
			}
			room = rooms[0]
		}
		var all history.Results
		for more := true; more && len(all.Hits) < flags.Limit; more = all.More {
			res, err := v.Search(ctx, room, query, all.Next, min(flags.Limit-len(all.Hits), history.MaxHits))
			if err != nil {
				return err
			}
			all.Hits = append(all.Hits, res.Hits...)
			all.Next, all.More = res.Next, res.More
		}
		var b []byte
		if flags.JSON {
			b = jsonSearch((&jsonPrinter{now: time.Now}).begin(nil, "search"), room, query, all).end()
		}
		for i := range all.Hits {
			if !flags.JSON {
				b = append(append(b, hitText(&all.Hits[i])...), '\n')
			}
		}
		_, err := con.out.Write(b)
		switch {
		case flags.JSON || err != nil:
		case len(all.Hits) == 0:
			fmt.Fprintf(con.err, "peerchat: nothing was found for %s\n", tui.SanitizeLine(query))
		case all.More:
			fmt.Fprintf(con.err, "peerchat: these are the newest %d; --limit N shows more\n", len(all.Hits))
		}
		return unlessClosed(err)
	})
}

// hitText is a hit for people, in one line.
func hitText(h *history.Hit) string {
	e := &h.Event
	at := dayTime(e.Time) + " " + e.Room.String() + " "
	who := tui.SanitizeLine(e.Name) + "#" + e.Author.Tag()
	text := tui.SanitizeLine(string(e.Body))
	switch e.Kind {
	case wire.KindAction:
		return at + "* " + who + " " + text
	case wire.KindTopic:
		return at + who + " set the topic to: " + text
	}
	return at + "<" + who + "> " + text
}

// jsonHit is a hit as programs get it.
type jsonHit struct {
	Room    wire.Room   `json:"room"`
	Peer    wire.PeerID `json:"peer"`
	Name    string      `json:"name"`
	ID      string      `json:"id"`
	Seq     uint64      `json:"seq"`
	Kind    string      `json:"kind"`
	Text    string      `json:"text"`
	Sent    string      `json:"sent"`
	Matches [][2]int    `json:"matches"` // where the words are in text: from and to, in bytes
}

// jsonSearch appends hits to an object.
func jsonSearch(o *object, room wire.Room, query string, res history.Results) *object {
	hits := make([]jsonHit, 0, len(res.Hits))
	for i := range res.Hits {
		e := &res.Hits[i].Event
		h := jsonHit{Room: e.Room, Peer: e.Author, Name: e.Name, ID: e.ID.String(), Seq: e.Seq, Kind: kindName(e.Kind),
			Text: string(e.Body), Sent: e.Time.UTC().Format(jsonTime), Matches: [][2]int{}}
		for _, s := range res.Hits[i].Spans {
			h.Matches = append(h.Matches, [2]int{s.From, s.To})
		}
		hits = append(hits, h)
	}
	return o.str("room", string(room)).str("query", query).any("hits", hits).bool("more", res.More)
}
