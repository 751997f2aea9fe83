// Package media is the sound of peerchat: what happens to voice between the microphone and the network, and between
// the network and the loudspeaker.
//
//	microphone ─▶ Resampler ─▶ Framer ─▶ AGC ─▶ Gate ─▶ AppendL16 ─▶ RTP, the same packet to every listener
//	RTP ─▶ ParseL16 ─▶ Stream (Jitter, Concealer, Stretcher, Drift), one for each talker ─▶ Mixer ─▶ loudspeaker
//
// Sound is 16-bit linear PCM, one channel, 16,000 samples a second, everywhere in this package; on the wire it is
// audio/L16 (RFC 3551, section 4.5.11), 20 ms a packet. Levels are in dBFS: 0 is a full-scale square wave.
//
// The files frame, jitter, stream, stretch, drift, conceal, mixer, gate, ptt, agc, duck, level, resample and redundancy
// are pure: machines that take samples and the time as arguments and keep no clock, goroutine, file or chance of their
// own. Each value belongs to one goroutine. In steady state they allocate nothing.
//
// The package must not import any other of ours: it knows neither peers nor screens.
package media
