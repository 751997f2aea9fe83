package profile

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"
	"unicode/utf8"
)

// Bounds of the list of known trackers.
const (
	MaxTrackers     = 16
	maxTrackerURL   = 512      // bytes
	maxTrackersFile = 64 << 10 // bytes
)

// Tracker is one that this profile was connected to.
type Tracker struct {
	URL  string    `json:"url"`
	Seen time.Time `json:"seen"`
}

type trackerList struct {
	Trackers []Tracker `json:"trackers"`
}

// KnownTrackers reads the trackers that this profile was connected to, the latest first. Without a file there are none.
func (p *Profile) KnownTrackers() ([]Tracker, error) {
	f, err := os.Open(p.path(trackersFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the known trackers: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxTrackersFile+1))
	if err != nil {
		return nil, fmt.Errorf("read the known trackers: %w", err)
	}
	list, err := parseTrackers(data)
	if err != nil {
		return nil, &DamagedError{File: p.path(trackersFile), Err: err}
	}
	return list, nil
}

// DamagedError says that a file that can be done without does not hold what it should.
type DamagedError struct {
	File string
	Err  error
}

func (e *DamagedError) Error() string { return fmt.Sprintf("%s is damaged: %v", e.File, e.Err) }

func (e *DamagedError) Unwrap() error { return e.Err }

func parseTrackers(data []byte) ([]Tracker, error) {
	if len(data) > maxTrackersFile {
		return nil, fmt.Errorf("longer than %d bytes", maxTrackersFile)
	}
	var list trackerList
	if err := json.Unmarshal(data, &list); err != nil {
		return nil, err
	}
	if len(list.Trackers) > MaxTrackers {
		return nil, fmt.Errorf("%d trackers, at most %d are kept", len(list.Trackers), MaxTrackers)
	}
	for _, t := range list.Trackers {
		if t.URL == "" || len(t.URL) > maxTrackerURL || !utf8.ValidString(t.URL) {
			return nil, errors.New("an entry without a usable url")
		}
	}
	return list.Trackers, nil
}

// SetAside renames the damaged list of known trackers, so that a new one can be begun, and returns the file's new name.
func (p *Profile) SetAside() (string, error) {
	aside := p.path(trackersFile) + ".damaged"
	if err := os.Rename(p.path(trackersFile), aside); err != nil {
		return "", fmt.Errorf("set the damaged list of trackers aside: %w", err)
	}
	return aside, nil
}

// AddTracker puts a tracker at the head of the known ones; the list keeps the latest MaxTrackers.
func (p *Profile) AddTracker(url string, now time.Time) error {
	if url == "" || len(url) > maxTrackerURL || !utf8.ValidString(url) {
		return fmt.Errorf("remember a tracker: its URL is empty, not UTF-8, or longer than %d bytes", maxTrackerURL)
	}
	known, err := p.KnownTrackers()
	if err != nil {
		return err
	}
	list := trackerList{Trackers: []Tracker{{URL: url, Seen: now.UTC().Round(time.Second)}}}
	for _, t := range known {
		if t.URL != url && len(list.Trackers) < MaxTrackers {
			list.Trackers = append(list.Trackers, t)
		}
	}
	data, err := json.MarshalIndent(list, "", "  ")
	if err != nil {
		return fmt.Errorf("remember a tracker: %w", err)
	}
	if err := writeFile(p.path(trackersFile), append(data, '\n')); err != nil {
		return fmt.Errorf("remember a tracker: %w", err)
	}
	return nil
}
