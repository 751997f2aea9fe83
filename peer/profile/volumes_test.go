package profile

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func TestVolumesAreKept(t *testing.T) {
	dir := t.TempDir()
	p := open(t, dir)
	want := func(why string, volumes ...Volume) {
		t.Helper()
		if got, err := p.Volumes(); err != nil || len(got)+len(volumes) > 0 && !reflect.DeepEqual(got, volumes) {
			t.Errorf("%s: the volumes are %v, %v; want %v", why, got, err, volumes)
		}
	}
	save := func(v Volume) {
		t.Helper()
		if err := p.SaveVolume(v); err != nil {
			t.Fatal(err)
		}
	}
	want("a new profile has none")
	bob, carol := Volume{Peer: "bob", DB: -6.5}, Volume{Peer: "carol", Muted: true}
	save(bob)
	save(carol)
	want("the latest comes first", carol, bob)
	bob.DB = 18
	save(bob)
	want("a peer has one volume", bob, carol)
	save(Volume{Peer: "carol"})
	want("what is as usual need not be kept", bob)
	for _, bad := range []Volume{{DB: 1}, {Peer: "Bob"}, {Peer: strings.Repeat("a", 65)}, {Peer: "a", DB: 19}, {Peer: "a", DB: math.NaN()}} {
		if err := p.SaveVolume(bad); err == nil {
			t.Errorf("%v was kept", bad)
		}
	}
	want("what cannot be kept changes nothing", bob)
}

func TestVolumesAreBounded(t *testing.T) {
	dir := t.TempDir()
	p := open(t, dir)
	var list []string
	for i := range MaxVolumes {
		list = append(list, fmt.Sprintf(`{"peer":"%c%c","db":1}`, 'a'+i/26%26, 'a'+i%26))
		if i >= 26*26 {
			list[i] = fmt.Sprintf(`{"peer":"x%c%c","db":1}`, 'a'+i/26%26, 'a'+i%26)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, volumesFile), []byte(`{"volumes":[`+strings.Join(list, ",")+`]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := p.Volumes(); err != nil || len(got) != MaxVolumes {
		t.Fatalf("%d volumes were read (%v), want %d", len(got), err, MaxVolumes)
	}
	if err := p.SaveVolume(Volume{Peer: "newest", DB: 2}); err != nil {
		t.Fatal(err)
	}
	got, err := p.Volumes()
	if err != nil || len(got) != MaxVolumes || got[0].Peer != "newest" {
		t.Errorf("after one more there are %d volumes (%v), the first of %q", len(got), err, got[0].Peer)
	}
}

func TestDamagedVolumesAreBegunAnew(t *testing.T) {
	dir := t.TempDir()
	p := open(t, dir)
	for _, bad := range []string{"", "{", `{"volumes":[{}]}`, `{"volumes":[{"peer":"a","db":99}]}`, `{"volumes":[{"peer":"../a"}]}`,
		`{"volumes":[{"peer":"a"},{"peer":"a"}]}`, `{"volumes":[` + strings.Repeat(" ", maxVolumesFile) + `]}`} {
		if err := os.WriteFile(filepath.Join(dir, volumesFile), []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		var damaged *DamagedError
		if got, err := p.Volumes(); got != nil || !errors.As(err, &damaged) {
			t.Errorf("%.60q was read as %v, %v; want a DamagedError", bad, got, err)
		}
		if err := p.SaveVolume(Volume{Peer: "a", DB: 3}); err != nil {
			t.Errorf("over %.60q: %v", bad, err)
		}
		if got, err := p.Volumes(); len(got) != 1 || err != nil {
			t.Errorf("over %.60q: the volumes are %v, %v", bad, got, err)
		}
	}
}

func FuzzVolumes(f *testing.F) {
	f.Add([]byte(`{"volumes":[{"peer":"abc","db":-3,"muted":true}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		list, err := parseVolumes(data)
		if err != nil && list != nil || len(list) > MaxVolumes {
			t.Fatalf("%d volumes and %v", len(list), err)
		}
		for _, v := range list {
			if v.check() != nil {
				t.Fatalf("%+v was read", v)
			}
		}
	})
}
