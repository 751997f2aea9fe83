package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"

	"peerchat/signaling"
)

// runTracker is `peerchat tracker`: it answers until ctx is done.
func runTracker(ctx context.Context, con console, flags trackerFlags) (err error) {
	settings, err := flags.settings()
	if err != nil {
		return err
	}
	for _, file := range []string{settings.TLSCert, settings.TLSKey} {
		if file == "" {
			continue
		}
		if _, err := os.Stat(file); err != nil {
			return fmt.Errorf("TLS: %w; --tls-cert and --tls-key want the files of a certificate and its key, in PEM form", err)
		}
	}
	// A tracker holds many idle connections and makes little garbage: a third of its memory would be waiting for a
	// collection that costs next to nothing.
	debug.SetGCPercent(25)
	logger := newLogger(con.err, settings.LogLevel, settings.LogFormat)
	tracker, err := signaling.NewTracker(signaling.TrackerConfig{
		Listen: settings.Listen, STUN: settings.STUN, PublicAddr: settings.PublicAddr,
		TLSCert: settings.TLSCert, TLSKey: settings.TLSKey, Logger: logger, Seed: seed(),
	})
	if err != nil {
		return err
	}
	tracker.Start()
	if urls := tracker.URLs(); len(urls) > 0 {
		logger.Info("peers reach it with: peerchat join --tracker " + shortURL(urls[0]))
	}
	if settings.LAN {
		advert, aerr := signaling.AdvertiseLAN(tracker, settings.Interface, logger)
		if aerr != nil {
			logger.Warn("not announced on the local network; peers there need --tracker", "err", aerr)
		} else {
			defer func() { err = errors.Join(err, advert.Close()) }()
		}
	}
	return tracker.Serve(ctx)
}
