package main

import (
	"context"
	"io"
	"net"
	"strings"
	"testing"
)

func TestTheQuestionForANameCanBeInterrupted(t *testing.T) {
	in, typed := io.Pipe()
	defer typed.Close()
	j := &joining{con: console{in: in, out: io.Discard, tty: func() terminal { return terminal{in: true, out: true} }}}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if name, err := j.username(ctx); err == nil {
		t.Errorf("without an answer the name is %q", name)
	}
}

func TestTheQuestionForAName(t *testing.T) {
	for _, c := range []struct{ typed, want string }{
		{"Bob\n", "Bob"}, {"\n", loginName()}, {"a\x1b\nBob\n", "Bob"}, {"Bob", "Bob"}, {"", ""}, {"\x01\n\x01\n\x01\nBob\n", ""},
	} {
		j := &joining{con: console{in: strings.NewReader(c.typed), out: io.Discard, tty: func() terminal { return terminal{in: true, out: true} }}}
		if name, err := j.username(t.Context()); name != c.want || (err == nil) != (c.want != "") {
			t.Errorf("who types %q is called %q, %v; want %q", c.typed, name, err, c.want)
		}
	}
}

func TestAnInterfaceThatIsNotThereIsTold(t *testing.T) {
	all, err := net.Interfaces()
	if err != nil || len(all) == 0 {
		t.Fatalf("this machine has %d network interfaces, %v", len(all), err)
	}
	here := all[0].Name
	if got := missingInterfaces(nil) + missingInterfaces([]string{here}); got != "" {
		t.Errorf("of an interface that is there it is told %q", got)
	}
	if got := missingInterfaces([]string{here, "no such"}); !strings.HasPrefix(got, `there is no network interface "no such", `) || !strings.Contains(got, here) {
		t.Errorf("of one that is not it is told %q", got)
	}
}
