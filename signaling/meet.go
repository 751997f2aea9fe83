package signaling

import (
	"encoding/json"
	"io"
	"net/http"
	"net/netip"

	"peerchat/peer/wire"
)

// This file is what a tracker answers to other trackers, and to programs on its own machine.

const (
	yieldHeader = "X-Peerchat"
	yieldValue  = "yield"
)

// met is the owner's answer to what came in by HTTP.
type met struct {
	code int
	info Info
}

// fromPage says that a browser sent the request for a page: nothing here is for pages.
func fromPage(r *http.Request) bool {
	return len(r.Header.Values("Origin")) > 0 || len(r.Header.Values("Sec-Fetch-Site")) > 0
}

func refused(w http.ResponseWriter, code int, why string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	json.NewEncoder(w).Encode(map[string]string{"error": why}) // the reader's trouble
}

func (t *Tracker) answerInfo(w http.ResponseWriter, i Info) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Write(append(i.Append(nil), '\n')) // the reader's trouble
}

func (t *Tracker) serveInfo(w http.ResponseWriter, _ *http.Request) { t.answerInfo(w, t.Info()) }

// serveMeet lets another tracker introduce itself.
func (t *Tracker) serveMeet(w http.ResponseWriter, r *http.Request) {
	if fromPage(r) {
		refused(w, http.StatusForbidden, "pages may not use this")
		return
	}
	b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxInfo))
	if err != nil {
		refused(w, http.StatusBadRequest, "the greeting could not be read; it may have at most 8 KiB")
		return
	}
	g, err := DecodeGreeting(b)
	if err != nil {
		refused(w, http.StatusBadRequest, err.Error())
		return
	}
	if m, ok := t.consult(post{op: opMeet, greet: &g}); !ok {
		refused(w, http.StatusServiceUnavailable, errTrackerClosed.Error())
	} else if m.code != http.StatusOK {
		refused(w, m.code, "too many greetings; try later")
	} else {
		t.answerInfo(w, m.info)
	}
}

// serveYield lets a program on this machine ask for the port.
func (t *Tracker) serveYield(w http.ResponseWriter, r *http.Request) {
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	// What a proxy on this machine passes on comes from elsewhere.
	proxied := len(r.Header.Values("Forwarded"))+len(r.Header.Values("X-Forwarded-For"))+len(r.Header.Values("Via")) > 0
	if err != nil || !from.Addr().Unmap().IsLoopback() || proxied || fromPage(r) || r.Header.Get(yieldHeader) != yieldValue {
		refused(w, http.StatusForbidden, "only programs on this machine may ask for the port")
		return
	}
	switch m, ok := t.consult(post{op: opYield}); {
	case !ok:
		refused(w, http.StatusServiceUnavailable, errTrackerClosed.Error())
	case m.code == http.StatusAccepted:
		w.WriteHeader(m.code)
	case m.code == http.StatusConflict:
		refused(w, m.code, "this tracker keeps its port")
	default:
		refused(w, m.code, "asked too often; try later")
	}
}

// consult has the owner answer.
func (t *Tracker) consult(p post) (met, bool) {
	p.met = make(chan met, 1)
	if !t.post(p) {
		return met{}, false
	}
	select {
	case m := <-p.met:
		return m, true
	case <-t.done:
		return met{}, false
	}
}

// ---- The owner's part.

// meet takes a greeting: a stand-alone tracker's term rises above those of elections that were held without it, so that
// all see it come back; a leader's election has to decide.
func (t *Tracker) meet(g *Greeting) met {
	info := t.Info()
	switch {
	case !info.Serving:
	case !info.Leader.IsZero():
		if t.cfg.OnMeet == nil {
			break
		}
		if !t.meets.AllowN(t.now, 1) {
			return met{code: http.StatusTooManyRequests}
		}
		t.cfg.OnMeet(*g)
	case g.Term > info.Term:
		term := min(g.Term, wire.HighestTerm(t.now, info.Term))
		if term <= info.Term {
			break
		}
		if !t.raises.AllowN(t.now, 1) {
			return met{code: http.StatusTooManyRequests}
		}
		info.Term = term
		t.log.Info("another tracker served meanwhile: term raised", "term", info.Term)
		t.step(HubServe{Term: info.Term})
		t.info.Store(&info)
	}
	return met{http.StatusOK, info}
}

// yield tells whoever owns the tracker that a program wants its port.
func (t *Tracker) yield() met {
	switch {
	case t.cfg.OnYield == nil:
		return met{code: http.StatusConflict}
	case !t.yields.AllowN(t.now, 1):
		return met{code: http.StatusTooManyRequests}
	}
	t.cfg.OnYield()
	return met{code: http.StatusAccepted}
}
