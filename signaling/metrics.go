package signaling

import "github.com/prometheus/client_golang/prometheus"

// metrics are a tracker's figures for Prometheus, in a registry of its own.
type metrics struct {
	registry                                 *prometheus.Registry
	received, sent, refused, cut, slow, stun prometheus.Counter
	dialbacks                                prometheus.Counter
}

func newMetrics(t *Tracker) *metrics {
	m := &metrics{registry: prometheus.NewRegistry()}
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{
			Namespace: "peerchat", Subsystem: "tracker", Name: name, Help: help})
		m.registry.MustRegister(c)
		return c
	}
	gauge := func(name, help string, f func() int64) {
		m.registry.MustRegister(prometheus.NewGaugeFunc(
			prometheus.GaugeOpts{Namespace: "peerchat", Subsystem: "tracker", Name: name, Help: help},
			func() float64 { return float64(f()) }))
	}
	m.received = counter("messages_received_total", "Messages read from clients.")
	m.sent = counter("messages_sent_total", "Messages queued for clients.")
	m.refused = counter("connections_refused_total", "Connections refused before the WebSocket was open.")
	m.cut = counter("connections_cut_total", "Connections ended for the client's fault.")
	m.slow = counter("slow_readers_total", "Connections ended because the client did not read.")
	m.stun = counter("stun_answers_total", "STUN binding requests answered.")
	m.dialbacks = counter("dialbacks_total", "Clients dialled back to see whether their own tracker can be reached.")
	gauge("connections", "Open connections.", t.conns.Load)
	gauge("peers", "Peers present, those included whose connection has just dropped.", t.peers.Load)
	gauge("rooms", "Rooms with a member.", t.rooms.Load)
	gauge("term", "The election's term that the tracker knows.", func() int64 { return int64(t.Info().Term) })
	gauge("serving", "1 while the tracker takes clients, 0 while it stands by.", func() int64 {
		if t.Info().Serving {
			return 1
		}
		return 0
	})
	return m
}
