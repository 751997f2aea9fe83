package media

import (
	"context"
	"errors"
	"io"
	"strings"
	"time"
)

// When a device cannot be opened it is tried again after leaseFirst, then after twice that, up to leaseLast.
const (
	leaseFirst = 2 * time.Second
	leaseLast  = time.Minute
)

// leaseLook is the time between two looks for a device that is gone, and at which one is the default.
const leaseLook = 3 * time.Second

// pumpFrames is how many frames of the microphone may wait for the engine: 160 ms.
const pumpFrames = 8

// leaseLife is how long a device must have worked for its loss to be tried to mend at once.
const leaseLife = 5 * time.Second

// stall is how long a device may stand still before it is taken for gone. Some sound systems begin with a pause of 2 s.
const stall = 5 * time.Second

var errStall = errors.New("it has stood still for 5 s")

// lease is the engine's hold on a microphone or a loudspeaker: what the user wants, what there is, and what is done to
// bring the two together. At most one goroutine at a time opens or closes it, so that a device is closed before it is
// opened again. It belongs to the owner.
type lease[D interface {
	Name() string
	io.Closer
}] struct {
	kind    DeviceKind
	open    func(context.Context, string) (D, error)
	opened  func() // there is a device now
	closing func() // it is closed in a moment

	asked string // by the user
	on    bool   // there should be one
	stale bool   // the one that is there, or is being opened, is not the one to have
	busy  bool   // a goroutine opens or closes it

	have   bool
	device D
	since  time.Time // it works
	moved  time.Time // it last did something

	gone    bool          // the one that was asked for has been lost
	instead bool          // so the default one is tried, or in use
	wait    time.Duration // between two tries; 0: the last one went well
	retry   time.Time     // not before

	patience time.Duration // before the device that was lost is looked for; longer if it comes and goes

	look    time.Time // when to look around next
	usual   string    // the default device as it was when this one was opened; "" if that is not known
	changed bool      // it is another now
}

// ask changes what the user wants.
func (l *lease[D]) ask(e *Engine, spec string) {
	l.asked, l.stale = spec, l.have || l.busy
	l.gone, l.instead, l.changed, l.wait, l.retry = false, false, false, 0, time.Time{}
	l.settle(e)
}

// turn says whether there should be a device.
func (l *lease[D]) turn(e *Engine, on bool) {
	if l.on != on {
		l.on, l.wait, l.retry = on, 0, time.Time{}
	}
	l.settle(e)
}

// standIn says that a SOURCE or SINK names no device but a file, a tone or silence. Who asked for one of those must not
// get the microphone instead.
func standIn(spec string) bool {
	return spec == "none" || strings.HasPrefix(spec, "wav:") || strings.HasPrefix(spec, "tone:")
}

// settle starts what there is to do, if nothing is being done.
func (l *lease[D]) settle(e *Engine) {
	drop := l.have && (!l.on || l.stale)
	open := l.on && (drop || !l.have) && !time.Now().Before(l.retry)
	if l.busy || !drop && !open {
		return
	}
	old := l.device
	if drop {
		l.closing()
		var none D
		l.have, l.device = false, none
	}
	spec, instead, followed := l.asked, l.instead, l.changed
	l.busy, l.stale, l.changed = true, false, false
	if instead {
		spec = ""
	}
	e.running.Go(func() {
		if drop {
			_ = old.Close() // it is not needed any more, whatever it says
		}
		var device D
		var err error
		if open {
			device, err = l.open(e.ctx, spec)
		}
		posted := e.post(func() {
			l.busy = false
			switch {
			case open && err != nil && l.on && !l.stale:
				l.failed(e, instead, err)
			case open && err == nil:
				l.take(device, instead)
				if l.on && !l.stale { // else it is closed again
					l.begin(e, DeviceOpened{Instead: instead, Returned: l.gone && !instead, Followed: followed})
				}
			}
			l.settle(e)
		})
		if !posted && open && err == nil {
			_ = device.Close()
		}
	})
}

// take holds a device that was opened.
func (l *lease[D]) take(device D, instead bool) {
	l.have, l.device, l.since, l.moved = true, device, time.Now(), time.Now()
	l.look, l.usual = time.Time{}, ""
	if instead {
		l.look = time.Now().Add(l.patience)
	}
}

// begin uses it.
func (l *lease[D]) begin(e *Engine, ev DeviceOpened) {
	l.gone = ev.Instead
	l.opened()
	ev.Kind, ev.Asked, ev.Name = l.kind, l.asked, l.device.Name()
	e.cfg.Event(ev)
}

// failed notes that a device could not be opened. Only the first time in a row is told.
func (l *lease[D]) failed(e *Engine, instead bool, err error) {
	if l.wait == 0 {
		e.cfg.Event(DeviceFailed{Kind: l.kind, Asked: l.asked, Err: err})
	}
	l.pause()
	l.instead = l.gone && !instead
}

// pause lets some time pass before the next try.
func (l *lease[D]) pause() {
	l.wait = min(max(2*l.wait, leaseFirst), leaseLast)
	l.retry = time.Now().Add(l.wait)
}

// lost notes that the device does not work any more. A real one is replaced by the default one.
func (l *lease[D]) lost(e *Engine, err error) {
	e.cfg.Event(DeviceFailed{Kind: l.kind, Asked: l.asked, Name: l.device.Name(), Err: err})
	if l.asked != "" && l.asked != "default" && !standIn(l.asked) {
		if !l.instead {
			l.patience = min(2*l.patience, leaseLast)
		}
		if !l.instead && time.Since(l.since) > leaseLast || l.patience < leaseLook {
			l.patience = leaseLook
		}
		l.gone, l.instead = true, true
	}
	if time.Since(l.since) < leaseLife {
		l.pause()
	} else {
		l.wait, l.retry = 0, time.Time{}
	}
	l.stale = true
	l.settle(e)
}

// check finds a device that stands still.
func (l *lease[D]) check(e *Engine, now time.Time) {
	if l.have && !l.stale && now.Sub(l.moved) > stall {
		l.lost(e, errStall)
	}
	l.settle(e)
	if l.have && !l.stale && !l.busy && !now.Before(l.look) {
		l.lookAround(e)
	}
}

// lookAround finds out whether the device that the user wants is there again, and whether the default one has become
// another.
func (l *lease[D]) lookAround(e *Engine) {
	l.look = time.Now().Add(leaseLook)
	defaults, knows := e.cfg.Devices.(Defaults)
	knows = knows && (l.instead || l.asked == "" || l.asked == "default")
	instead, spec := l.instead, l.asked
	if !knows && !instead {
		return
	}
	l.busy = true
	held := l.device
	e.running.Go(func() {
		var device D
		var usual string
		err := errors.New("nobody looked")
		if instead {
			device, err = l.open(e.ctx, spec)
		}
		back := err == nil
		if knows && !back {
			// Not to know is no reason to change anything.
			if usual, err = defaults.Default(e.ctx, l.kind); err != nil {
				usual = ""
			}
		}
		posted := e.post(func() {
			l.busy = false
			switch wanted := l.have && l.on && !l.stale; {
			case back && wanted:
				l.exchange(e, device)
			case back:
				l.give(e, device)
			case !wanted || usual == "":
			case l.usual == "":
				l.usual = usual
			case l.usual != usual:
				l.stale, l.changed = true, true
			}
			l.settle(e)
		})
		if !posted { // the engine has ended, and could not close what is held while this went on
			_ = held.Close()
			if back {
				_ = device.Close()
			}
		}
	})
}

// exchange takes the device that the user wants for the one that stands in.
func (l *lease[D]) exchange(e *Engine, device D) {
	l.closing()
	l.give(e, l.device)
	l.instead = false
	l.take(device, false)
	l.begin(e, DeviceOpened{Returned: true})
}

// give closes a device that is not needed any more, whatever it says.
func (l *lease[D]) give(e *Engine, device D) {
	e.running.Go(func() { _ = device.Close() })
}

// pump brings the microphone's frames to the engine. What the engine does not take in time is thrown away, the oldest
// first.
type pump struct {
	frames chan *captured // full
	free   chan *captured // empty; together there are pumpFrames of them
	first  uint32         // number of its first frame on the user's track
}

// captured is a frame of the microphone.
type captured struct {
	Frame
	index uint32 // counts the pump's frames, those that were thrown away too
}

// startPump begins to read from the microphone that was opened.
func (e *Engine) startPump() {
	// The track's clock goes on while there is no microphone, so that listeners do not take what follows for late.
	e.out.frame = max(e.out.frame, uint32(time.Since(e.began)/FrameDuration))
	p := &pump{frames: make(chan *captured, pumpFrames), free: make(chan *captured, pumpFrames), first: e.out.frame}
	for range pumpFrames {
		p.free <- &captured{}
	}
	e.pump = p
	source := e.input.device
	e.running.Go(func() {
		if err := p.run(source); err != nil {
			e.post(func() {
				if e.pump == p {
					e.input.lost(e, err)
				}
			})
		}
	})
}

// run reads until the microphone is closed, nil, or gone.
func (p *pump) run(source Source) error {
	for index := uint32(0); ; index++ {
		var c *captured
		select {
		case c = <-p.free:
		default:
			select { // the owner has at most one in its hands
			case c = <-p.free:
			case c = <-p.frames:
			}
		}
		if err := source.Read(c.Frame[:]); errors.Is(err, ErrClosed) {
			return nil
		} else if err != nil {
			return err
		}
		c.index = index
		p.frames <- c
	}
}

// stopPump forgets the microphone that is about to be closed.
func (e *Engine) stopPump() {
	e.pump = nil
	e.tell(e.out.stop(e.cfg.Gate))
}
