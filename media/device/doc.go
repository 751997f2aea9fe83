// Package device opens microphones and loudspeakers, and files that stand for them. Everything is 16 kHz, one channel,
// 16 bits, in periods of 10 ms; what a device has else is converted by the sound system or here.
//
//	SOURCE ─▶ backend ─▶ driver registered with mediadevices ─▶ GetUserMedia ─▶ AudioTrack ─▶ media.Source
//	media.Sink ─▶ backend ─▶ SINK
//
// There are two backends for real devices, tried in this order: a PulseAudio client in pure Go, which also talks to
// PipeWire and is in every build, and malgo (miniaudio) for ALSA, Core Audio and WASAPI, in builds with cgo. The stock
// microphone driver of mediadevices must not be imported, by anything: its init panics on machines without sound.
//
// Nothing is touched before a System is asked: no socket, no driver, no C library. Callbacks from a backend copy their
// samples and signal, and never wait. The package imports media, media/l16 and media/wav of ours.
package device
