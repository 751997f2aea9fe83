package profile

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
)

const volumesFile = "volumes.json"

// Bounds of the volumes that are kept. MinVolume is silence.
const (
	MaxVolumes     = 1024
	MinVolume      = -96.0 // dB
	MaxVolume      = 18.0  // dB
	maxVolumePeer  = 64    // bytes of a peer's ID
	maxVolumesFile = 256 << 10
)

// Volume is how loud the user of this profile hears somebody.
type Volume struct {
	Peer  string  `json:"peer"`         // full ID
	DB    float64 `json:"db,omitempty"` // 0: as it is sent
	Muted bool    `json:"muted,omitempty"`
}

type volumeList struct {
	Volumes []Volume `json:"volumes"`
}

// Volumes reads the volumes that are kept, the latest first. Without a file there are none. A file that holds something
// else is a DamagedError: it can be done without.
func (p *Profile) Volumes() ([]Volume, error) {
	f, err := os.Open(p.path(volumesFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the volumes: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxVolumesFile+1))
	if err != nil {
		return nil, fmt.Errorf("read the volumes: %w", err)
	}
	list, err := parseVolumes(data)
	if err != nil {
		return nil, &DamagedError{File: p.path(volumesFile), Err: err}
	}
	return list, nil
}

func parseVolumes(data []byte) ([]Volume, error) {
	if len(data) > maxVolumesFile {
		return nil, fmt.Errorf("longer than %d bytes", maxVolumesFile)
	}
	var list volumeList
	if err := json.Unmarshal(data, &list); err != nil {
		return nil, err
	}
	if len(list.Volumes) > MaxVolumes {
		return nil, fmt.Errorf("%d volumes, at most %d are kept", len(list.Volumes), MaxVolumes)
	}
	seen := map[string]bool{}
	for _, v := range list.Volumes {
		if err := v.check(); err != nil {
			return nil, err
		}
		if seen[v.Peer] {
			return nil, errors.New("a peer is there twice")
		}
		seen[v.Peer] = true
	}
	return list.Volumes, nil
}

func (v Volume) check() error {
	if v.Peer == "" || len(v.Peer) > maxVolumePeer {
		return errors.New("a volume without a usable peer")
	}
	for _, c := range []byte(v.Peer) {
		if (c < 'a' || c > 'z') && (c < '2' || c > '7') {
			return errors.New("a peer that is no lower-case base32")
		}
	}
	if math.IsNaN(v.DB) || v.DB < MinVolume || v.DB > MaxVolume {
		return fmt.Errorf("a volume of %v dB: want %v to %v", v.DB, MinVolume, MaxVolume)
	}
	return nil
}

// SaveVolume keeps a volume at the head of the others; one of 0 dB that is not muted is forgotten. The list keeps the
// latest MaxVolumes. A damaged file is begun anew.
func (p *Profile) SaveVolume(v Volume) error {
	if err := v.check(); err != nil {
		return fmt.Errorf("keep a volume: %w", err)
	}
	known, err := p.Volumes()
	var damaged *DamagedError
	if err != nil && !errors.As(err, &damaged) {
		return err
	}
	list := volumeList{Volumes: []Volume{}}
	if v.DB != 0 || v.Muted {
		list.Volumes = append(list.Volumes, v)
	}
	for _, k := range known {
		if k.Peer != v.Peer && len(list.Volumes) < MaxVolumes {
			list.Volumes = append(list.Volumes, k)
		}
	}
	data, err := json.MarshalIndent(list, "", "  ")
	if err != nil {
		return fmt.Errorf("keep a volume: %w", err)
	}
	if err := writeFile(p.path(volumesFile), append(data, '\n')); err != nil {
		return fmt.Errorf("keep a volume: %w", err)
	}
	return nil
}
