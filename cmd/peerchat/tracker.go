package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime/debug"
	"time"

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
	tracker, err := bindTracker(ctx, signaling.TrackerConfig{
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

// A peer that has the tracker's port may have yieldPatience to give it up. It is asked every yieldAsk, because it may
// have taken the port twice, and the port is tried every yieldTry.
const (
	yieldPatience = 2 * time.Second
	yieldAsk      = 300 * time.Millisecond
	yieldTry      = 20 * time.Millisecond
)

// bindTracker makes the tracker. While none was there, a peer on this machine may have taken its place, and its port:
// that peer is asked for it.
func bindTracker(ctx context.Context, cfg signaling.TrackerConfig) (*signaling.Tracker, error) {
	tracker, err := signaling.NewTracker(cfg)
	if !errors.Is(err, signaling.ErrPortTaken) {
		return tracker, err
	}
	taken := err
	_, port, err := net.SplitHostPort(cfg.Listen)
	if err != nil {
		return nil, taken
	}
	ctx, cancel := context.WithTimeout(ctx, yieldPatience)
	defer cancel()
	again := time.NewTicker(yieldTry)
	defer again.Stop()
	var asked time.Time
	for yields := false; ; {
		if time.Since(asked) >= yieldAsk {
			asked = time.Now()
			if err := signaling.AskYield(ctx, net.JoinHostPort("127.0.0.1", port)); err == nil {
				yields = true
			} else if !yields {
				return nil, fmt.Errorf("%w (asked whether it is a peer that would give it up: %w)", taken, err)
			}
		}
		tracker, err := signaling.NewTracker(cfg)
		if !errors.Is(err, signaling.ErrPortTaken) {
			return tracker, err
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return nil, taken
		}
	}
}
