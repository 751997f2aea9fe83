package main

import (
	"bytes"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/mdp/qrterminal/v3"

	"peerchat/peer"
	"peerchat/peer/wire"
	"peerchat/signaling"
	"peerchat/tui"
)

// Bounds of an invitation.
const (
	inviteScheme = "peerchat://"
	maxInvite    = 1024 // bytes of a link
	maxInvited   = 8    // addresses in it
)

// The largest QR code that plain mode prints if a smaller one names a tracker, too: it fits 80 by 24.
const (
	codeWidth  = 80
	codeHeight = 23
)

// invite is what a link says: a room, and where those who are in it can be met.
//
//	peerchat://HOST:PORT/ROOM?or=HOST:PORT&or=wss://HOST:PORT/PATH
//
// The room stands without its '#', percent-encoded. The first address may be missing where it is no plain one:
// peerchat:///ROOM?or=wss://… .
type invite struct {
	room     wire.Room
	trackers []string // at least one: URLs as signaling.ParseAddr gives them, the best first, none twice
}

// isInvite reports whether s is meant as an invitation, be it a right one or not.
func isInvite(s string) bool {
	s = strings.TrimSpace(s)
	scheme := strings.TrimSuffix(inviteScheme, "//")
	return len(s) >= len(scheme) && strings.EqualFold(s[:len(scheme)], scheme)
}

// parseInvite reads a link. It takes what String writes, and default ports left out; anything else is an error.
func parseInvite(s string) (invite, error) {
	s = strings.TrimSpace(s)
	bad := func(why string) (invite, error) {
		return invite{}, fmt.Errorf("invitation %q: %s; want %sHOST:PORT/ROOM, such as %s192.168.1.20:%d/general", clipText(s), why,
			inviteScheme, inviteScheme, signaling.DefaultPort)
	}
	if len(s) > maxInvite {
		return bad(fmt.Sprintf("it is %d bytes long, at most %d are allowed", len(s), maxInvite))
	}
	if len(s) < len(inviteScheme) || !strings.EqualFold(s[:len(inviteScheme)], inviteScheme) {
		return bad("it does not begin with " + inviteScheme)
	}
	for _, r := range s {
		if r <= ' ' || r > '~' {
			return bad(fmt.Sprintf("character %U has no place in it", r))
		}
	}
	if strings.Contains(s, "#") {
		return bad("a room stands in it without its #")
	}
	rest, query, asked := strings.Cut(s[len(inviteScheme):], "?")
	first, path, _ := strings.Cut(rest, "/")
	name, err := url.PathUnescape(path)
	switch {
	case path == "":
		return bad("it names no room")
	case strings.Contains(path, "/"):
		return bad("after the room comes nothing but ?or=ADDRESS")
	case err != nil:
		return bad("its percent-encoding is malformed")
	case strings.HasPrefix(name, "#"):
		return bad("a room stands in it without its #")
	}
	var inv invite
	if inv.room, err = wire.ParseRoom(name); err != nil {
		return bad(err.Error())
	}
	var addrs []string
	if first != "" {
		addrs = append(addrs, first)
	}
	if asked {
		for _, part := range strings.Split(query, "&") {
			key, value, _ := strings.Cut(part, "=")
			if key != "or" {
				return bad(fmt.Sprintf("this version does not know what %q means in it", clipText(part)))
			}
			if value, err = url.PathUnescape(value); err != nil {
				return bad("its percent-encoding is malformed")
			}
			addrs = append(addrs, value)
		}
	}
	if len(addrs) == 0 {
		return bad("it names no address")
	}
	if len(addrs) > maxInvited {
		return bad(fmt.Sprintf("it names %d addresses, at most %d are allowed", len(addrs), maxInvited))
	}
	for _, a := range addrs {
		tracker, err := signaling.ParseAddr(a)
		if err != nil {
			return invite{}, fmt.Errorf("invitation %q: %w", clipText(s), err)
		}
		if strings.Contains(hostOf(tracker), "%") {
			return bad("an address with a zone means something on one machine only")
		}
		if !slices.Contains(inv.trackers, tracker) {
			inv.trackers = append(inv.trackers, tracker)
		}
	}
	return inv, nil
}

// String is the link. Parsing it gives the same invite.
func (i invite) String() string {
	var b strings.Builder
	b.WriteString(inviteScheme)
	trackers := i.trackers
	if short := shortAddr(trackers[0]); !strings.Contains(short, "/") {
		b.WriteString(short)
		trackers = trackers[1:]
	}
	b.WriteByte('/')
	b.WriteString(url.PathEscape(string(i.room)))
	for n, t := range trackers {
		b.WriteString([]string{"?or=", "&or="}[min(n, 1)])
		escapeQuery(&b, shortAddr(t))
	}
	return b.String()
}

// shortAddr is the shortest that signaling.ParseAddr reads as the URL.
func shortAddr(tracker string) string {
	rest, usual := strings.CutSuffix(tracker, "/ws")
	if usual && strings.Count(rest, "/") == 2 { // the path is no longer than that
		return strings.TrimPrefix(rest, "ws://")
	}
	return tracker
}

// escapeQuery writes s as a value of a query (RFC 3986 section 3.4). Of what may stand there, it leaves what no shell
// and no chat program takes for something else.
func escapeQuery(b *strings.Builder, s string) {
	for i := range len(s) {
		c := s[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', strings.IndexByte("-._~:/", c) >= 0:
			b.WriteByte(c)
		default:
			fmt.Fprintf(b, "%%%02X", c)
		}
	}
}

// newInvite makes an invitation of the addresses that are of use to others, as many as fit. If there are none but of
// this machine, it is one for this machine: onlyHere. The error says why there is none.
func newInvite(room wire.Room, urls []string) (inv invite, onlyHere bool, err error) {
	var far, near []string
	for _, u := range urls {
		tracker, err := signaling.ParseAddr(u)
		if err != nil {
			continue // not even we could use it
		}
		host := hostOf(tracker)
		ip, err := netip.ParseAddr(host)
		switch {
		case err == nil && (ip.Zone() != "" || ip.IsUnspecified()):
		case err == nil && ip.Unmap().IsLoopback(), host == "localhost":
			near = append(near, tracker)
		default:
			far = append(far, tracker)
		}
	}
	inv.room, inv.trackers = room, far
	if len(far) == 0 {
		inv.trackers, onlyHere = near, true
	}
	if len(inv.trackers) == 0 {
		return invite{}, false, fmt.Errorf("no tracker is known that others could use; wait until there is one (/net shows how it stands), or name one with /connect")
	}
	inv.trackers = unique(inv.trackers)
	inv.trackers = inv.trackers[:min(len(inv.trackers), maxInvited)]
	for len(inv.trackers) > 1 && len(inv.String()) > maxInvite {
		inv.trackers = inv.trackers[:len(inv.trackers)-1]
	}
	return inv, onlyHere, nil
}

// unique keeps the first of each.
func unique(list []string) (out []string) {
	for _, s := range list {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

// hostOf is the host of a URL that signaling.ParseAddr gave.
func hostOf(tracker string) string {
	u, err := url.Parse(tracker)
	if err != nil {
		return ""
	}
	return strings.ToLower(u.Hostname())
}

// codes are QR codes of the link, a row of half blocks a string, light on dark: first with all its addresses, then with
// one fewer each, down to the best alone.
func (i invite) codes() [][]string {
	var codes [][]string
	for n := len(i.trackers); n > 0; n-- {
		var b bytes.Buffer
		qrterminal.GenerateWithConfig(invite{i.room, i.trackers[:n]}.String(), qrterminal.Config{
			Level: qrterminal.L, // a screen has no stains
			// Light modules are ink: text is light on dark in most terminals.
			HalfBlocks: true, QuietZone: 2, Writer: &b,
		})
		codes = append(codes, strings.Split(strings.TrimRight(b.String(), "\n"), "\n"))
	}
	return codes
}

// onlyHereText is what is said of an invitation for this machine.
const onlyHereText = "only on this machine: nobody else can use it, because this peer knows no other address of its tracker"

// inviteRef is the Ref of a peer.Invite.
type inviteRef struct{ code bool }

// inviteLines writes an invitation for people; the last text may be a code of several lines.
func inviteLines(a peer.InviteAnswer, ref inviteRef) []string {
	inv, here, err := newInvite(a.Room, a.Addresses)
	if err != nil {
		return []string{fmt.Sprintf("error: no invitation into %s: %v", a.Room, err)}
	}
	lines := []string{
		fmt.Sprintf("invitation into %s: %s", a.Room, inv),
		fmt.Sprintf("others come by it with: peerchat join '%s'", inv),
	}
	if here {
		lines = append(lines, onlyHereText)
	}
	if ref.code {
		lines = append(lines, codeText(inv))
	}
	return lines
}

// codeText is the most complete QR code that fits a usual terminal.
func codeText(inv invite) string {
	codes := inv.codes()
	at := len(codes) - 1
	for i, c := range codes {
		if len(c) <= codeHeight && len([]rune(c[0])) <= codeWidth {
			at = i
			break
		}
	}
	text := "the same as a QR code:"
	if at > 0 {
		text = fmt.Sprintf("the same as a QR code, with the first %d of %d addresses:", len(codes)-at, len(codes))
	}
	return text + "\n" + strings.Join(codes[at], "\n")
}

// toInvitation is an invitation for the screen.
func toInvitation(a peer.InviteAnswer, ref inviteRef) tui.Invitation {
	msg := tui.Invitation{Room: string(a.Room)}
	inv, here, err := newInvite(a.Room, a.Addresses)
	if err != nil {
		msg.Note = err.Error()
		return msg
	}
	msg.Link = inv.String()
	if here {
		msg.Note = onlyHereText
	}
	if ref.code {
		msg.Codes = inv.codes()
	}
	return msg
}

// connect takes the argument of /connect: dial gets each tracker that it names, the best one last, because the latest
// is tried first. The room is that of an invitation, else empty.
func connect(addr string, dial func(addr string) error) (wire.Room, error) {
	if !isInvite(addr) {
		return "", dial(addr)
	}
	inv, err := parseInvite(addr)
	if err != nil {
		return "", err
	}
	for _, t := range slices.Backward(inv.trackers) {
		if err := dial(t); err != nil {
			return "", err
		}
	}
	return inv.room, nil
}

// expandInvites replaces invitations among addresses by the trackers that they name, and returns their rooms.
func expandInvites(addrs []string) (trackers, rooms []string, err error) {
	trackers = make([]string, 0, len(addrs))
	for _, a := range addrs {
		if !isInvite(a) {
			trackers = append(trackers, a)
			continue
		}
		inv, err := parseInvite(a)
		if err != nil {
			return nil, nil, err
		}
		trackers, rooms = append(trackers, inv.trackers...), append(rooms, string(inv.room))
	}
	return trackers, rooms, nil
}

// clipText shortens what a user gave for an error.
func clipText(s string) string {
	if len(s) > 80 {
		s = strings.ToValidUTF8(s[:80], "") + "…"
	}
	return s
}
