package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"peerchat/media"
	"peerchat/media/device"
	"peerchat/tui"
)

// runDevices is `peerchat devices`. A machine without sound is no failure: it has no devices.
func runDevices(ctx context.Context, con console, flags devicesFlags) error {
	sound := device.New(device.Config{})
	defer sound.Close()
	return showDevices(ctx, con, flags.JSON, sound)
}

func showDevices(ctx context.Context, con console, asJSON bool, sound soundSystem) error {
	ctx, cancel := context.WithTimeout(ctx, devicePatience)
	defer cancel()
	mics, speakers, err := sound.List(ctx)
	if err != nil && !errors.Is(err, media.ErrNoSound) {
		return err
	}
	var b []byte
	if asJSON {
		p := &jsonPrinter{now: time.Now}
		b = jsonDevices(p.begin(nil, "devices"), mics, speakers).end()
	} else {
		for _, l := range deviceLines(mics, speakers, "", "") {
			b = append(append(b, l...), '\n')
		}
	}
	_, err = con.out.Write(b)
	return unlessClosed(err)
}

// deviceLines lists devices for people, and marks those that are in use.
func deviceLines(mics, speakers []device.Device, hears, plays string) []string {
	if len(mics)+len(speakers) == 0 {
		return []string{"there is no sound device here; text works as ever, and none, wav:FILE and tone:HZ do in place of one"}
	}
	var lines []string
	for _, kind := range []struct {
		title, used string
		list        []device.Device
	}{{"microphones", hears, mics}, {"speakers", plays, speakers}} {
		lines = append(lines, kind.title)
		if len(kind.list) == 0 {
			lines = append(lines, "   there are none")
		}
		count := map[string]int{}
		for _, d := range kind.list {
			count[d.Name]++
		}
		for _, d := range kind.list {
			mark := " "
			if d.Default {
				mark = "*"
			}
			l := fmt.Sprintf(" %s%2d  %s", mark, d.Number, tui.SanitizeLine(d.Name))
			if count[d.Name] > 1 { // then the sound system's own word tells them apart
				l += " [" + tui.SanitizeLine(d.ID) + "]"
			}
			for _, sign := range []struct {
				is   bool
				text string
			}{{d.Default, "default"}, {d.Monitor, "what a speaker plays"}, {d.Name == kind.used && count[d.Name] == 1, "in use"}} {
				if sign.is {
					l += " (" + sign.text + ")"
				}
			}
			lines = append(lines, l)
		}
	}
	return lines
}

// jsonDevices appends devices to an object.
func jsonDevices(o *object, mics, speakers []device.Device) *object {
	type jsonDevice struct {
		Number  int    `json:"number"`
		ID      string `json:"id"`
		Name    string `json:"name"`
		Default bool   `json:"default"`
		Monitor bool   `json:"monitor"`
		Backend string `json:"backend"`
	}
	list := func(devices []device.Device) []jsonDevice {
		out := make([]jsonDevice, 0, len(devices))
		for _, d := range devices {
			out = append(out, jsonDevice(d))
		}
		return out
	}
	return o.any("microphones", list(mics)).any("speakers", list(speakers))
}
