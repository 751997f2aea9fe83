package profile

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func open(t *testing.T, dir string) *Profile {
	t.Helper()
	p, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

func wantError(t *testing.T, what string, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Errorf("%s: no error, want one that speaks of %q", what, words)
		return
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%s: %q does not speak of %q", what, err, w)
		}
	}
}

func TestOneProcessAtATime(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "deep", "bob")
	p := open(t, dir)
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the directory's mode is %v (%v), want 0700", info.Mode(), err)
	}
	_, err := Open(dir)
	var inUse *InUseError
	if !errors.As(err, &inUse) || inUse.PID != os.Getpid() {
		t.Fatalf("a second Open gave %v, want an InUseError with process %d", err, os.Getpid())
	}
	wantError(t, "a second Open", err, fmt.Sprint(os.Getpid()), "--username", "--profile")
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, dir)
}

func TestKeyIsKept(t *testing.T) {
	dir := t.TempDir()
	p := open(t, dir)
	key, created, err := p.Key()
	if err != nil || !created {
		t.Fatalf("the first Key: created %v, %v", created, err)
	}
	again, created, err := p.Key()
	if err != nil || created || !again.Equal(key) {
		t.Fatalf("the second Key: created %v, same %v, %v; want the key that was made first", created, again.Equal(key), err)
	}
	info, err := os.Stat(filepath.Join(dir, keyFile))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key file's mode is %v (%v), want 0600", info.Mode(), err)
	}
	left, err := filepath.Glob(filepath.Join(dir, "*.new-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("temporary files are left: %q", left)
	}
}

func TestKeyIsNeverOverwritten(t *testing.T) {
	for _, tt := range []struct {
		name  string
		spoil func(t *testing.T, path string)
		words []string
	}{
		{"an empty file", func(t *testing.T, path string) { write(t, path, nil) }, []string{"damaged", "backup"}},
		{"a torn file", func(t *testing.T, path string) {
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			write(t, path, data[:len(data)/2])
		}, []string{"damaged"}},
		{"another character", func(t *testing.T, path string) {
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			at := bytes.LastIndex(data, []byte("\n-----END")) - 10
			if data[at] == 'A' { // base64 before and after
				data[at] = 'B'
			} else {
				data[at] = 'A'
			}
			write(t, path, data)
		}, []string{"damaged", "do not agree"}},
		{"another kind of PEM", func(t *testing.T, path string) {
			write(t, path, []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"))
		}, []string{"damaged", "PRIVATE KEY"}},
		{"a huge file", func(t *testing.T, path string) { write(t, path, bytes.Repeat([]byte("x"), 1<<20)) }, []string{"longer than"}},
		{"a key that others can read", func(t *testing.T, path string) {
			if err := os.Chmod(path, 0o644); err != nil {
				t.Fatal(err)
			}
		}, []string{"chmod 600", "0644"}},
		{"a directory in its place", func(t *testing.T, path string) {
			if err := errors.Join(os.Remove(path), os.Mkdir(path, 0o700)); err != nil {
				t.Fatal(err)
			}
		}, []string{"no regular file"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := open(t, t.TempDir())
			if _, _, err := p.Key(); err != nil {
				t.Fatal(err)
			}
			path := p.path(keyFile)
			tt.spoil(t, path)
			before, _ := os.ReadFile(path)
			_, _, err := p.Key()
			wantError(t, tt.name, err, append(tt.words, path)...)
			if after, _ := os.ReadFile(path); !bytes.Equal(before, after) {
				t.Error("the file was changed")
			}
		})
	}
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestUnusableDirectories(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	write(t, file, nil)
	_, err := Open(file)
	wantError(t, "a file in place of the directory", err, file, "--profile")
	_, err = Open(filepath.Join(file, "below"))
	wantError(t, "a directory below a file", err, file, "--profile")
	loose := filepath.Join(dir, "loose")
	if err := errors.Join(os.Mkdir(loose, 0o700), os.Chmod(loose, 0o777)); err != nil {
		t.Fatal(err)
	}
	_, err = Open(loose)
	wantError(t, "a directory that everybody can write", err, "chmod 700")
}

func TestTrackersAreKeptInOrder(t *testing.T) {
	p := open(t, t.TempDir())
	if known, err := p.KnownTrackers(); err != nil || len(known) != 0 {
		t.Fatalf("a new profile knows %v (%v), want nothing", known, err)
	}
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for i := range 20 {
		if err := p.AddTracker(fmt.Sprintf("ws://host%d:5000", i), now.Add(time.Duration(i)*time.Second)); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.AddTracker("ws://host10:5000", now.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	known, err := p.KnownTrackers()
	if err != nil || len(known) != MaxTrackers {
		t.Fatalf("%d trackers (%v), want %d", len(known), err, MaxTrackers)
	}
	if known[0].URL != "ws://host10:5000" || !known[0].Seen.Equal(now.Add(time.Hour)) || known[1].URL != "ws://host19:5000" {
		t.Errorf("the list begins with %v, want the latest first", known[:2])
	}
	for i, a := range known {
		for _, b := range known[i+1:] {
			if a.URL == b.URL {
				t.Errorf("%s is in the list twice", a.URL)
			}
		}
	}
	for _, bad := range []string{"", "ws://" + strings.Repeat("x", 600), "ws://\xff"} {
		if p.AddTracker(bad, now) == nil {
			t.Errorf("the URL %q was kept", bad)
		}
	}
}

func TestDamagedTrackersAreSetAside(t *testing.T) {
	for _, text := range []string{"", "{", `{"trackers":[{"url":""}]}`, `{"trackers":7}`, strings.Repeat(" ", 100_000)} {
		p := open(t, t.TempDir())
		write(t, p.path(trackersFile), []byte(text))
		_, err := p.KnownTrackers()
		var damaged *DamagedError
		if !errors.As(err, &damaged) {
			t.Errorf("reading %.20q gave %v, want a DamagedError", text, err)
			continue
		}
		aside, err := p.SetAside()
		if err != nil {
			t.Fatal(err)
		}
		if kept, err := os.ReadFile(aside); err != nil || string(kept) != text {
			t.Errorf("what was set aside is %.20q (%v), want %.20q", kept, err, text)
		}
		if err := p.AddTracker("ws://a:5000", time.Now()); err != nil {
			t.Errorf("a new list cannot be begun: %v", err)
		}
	}
}

func TestDefaultDirsDiffer(t *testing.T) {
	for name, want := range map[string]string{
		"Bob": "Bob", "../../etc": "%2E./..%2Fetc", ".": "%2E", "..": "%2E.", "a b": "a%20b", "a/b": "a%2Fb", "50%": "50%25",
		"Zoë": "Zoë", "🙂": "🙂",
	} {
		if got := escape(name); name == "../../etc" {
			if strings.Contains(got, "/") || strings.HasPrefix(got, ".") {
				t.Errorf("escape(%q) = %q leads out of its directory", name, got)
			}
		} else if got != want {
			t.Errorf("escape(%q) = %q, want %q", name, got, want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		a, b := rapid.String().Draw(t, "a"), rapid.String().Draw(t, "b")
		ea, eb := escape(a), escape(b)
		if (a == b) != (ea == eb) {
			t.Fatalf("%q and %q become %q and %q", a, b, ea, eb)
		}
		if got := Username(ea); got != a {
			t.Fatalf("%q is kept as %q, which is taken for the profile of %q", a, ea, got)
		}
		if strings.ContainsAny(ea, "/\\\x00") || ea == "." || ea == ".." {
			t.Fatalf("%q becomes %q, which is no single path element", a, ea)
		}
	})
}

func FuzzParseKey(f *testing.F) {
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(encodeKey(key))
	f.Add([]byte("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		key, err := ParseKey(data)
		if err == nil && !bytes.Equal(encodeKey(key), data) {
			t.Errorf("what was read as a key is written as other bytes: %q", data)
		}
	})
}

func FuzzParseTrackers(f *testing.F) {
	f.Add([]byte(`{"trackers":[{"url":"ws://127.0.0.1:5000","seen":"2026-01-02T03:04:05Z"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		list, err := parseTrackers(data)
		if err == nil && len(list) > MaxTrackers {
			t.Errorf("%d trackers were read", len(list))
		}
	})
}
