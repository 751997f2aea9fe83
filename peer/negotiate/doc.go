// Package negotiate brings one pair of peers to one link: who offers, what to do when both do, when to try again, in
// parallel or later, and which of several open sessions is the one to send on.
//
// It is pure: a Machine is a function of its inputs and of the clock and the random source it is given. It owns the
// state of the sessions with one remote peer. A session is one attempt at a connection, named by the UUID that its
// offerer gave it. The Machine tells its caller what to say to the remote peer (Output.Signals), what to ask of the
// transport (Output.Actions), and how the link stands (Output.Changes). It must never import anything of ours but
// peer/wire.
//
// # How two machines agree
//
// Any message may be lost, late or doubled, and both may offer at once. So nothing depends on both having seen the same
// messages, only on both seeing, in the end, the same open sessions:
//
//   - Of all open sessions, the one with the lowest ID is the link. Frames are taken from all.
//   - One second after a session opened, whoever offered a session that is not the link closes it.
//   - Each run of the program has an instance ID, which its offers and answers name under their signature. When a session with a
//     new instance of the remote peer opens, all sessions with the earlier ones are dead and closed at once: it was killed,
//     and is back before anybody noticed. A late one of an earlier instance is closed when it opens.
//   - An offer that comes when the link has been up for long says that the remote peer has lost it.
//     When the new session opens it is the link, and the old ones are closed.
//
// The rest saves work. The side with the higher ID is impolite, the other polite (in the words of the W3C's "perfect
// negotiation"): when offers cross, the impolite one does not take the other's, and the polite one gives up its own.
// After the loss of a link the impolite side offers at once, the polite one after a second without an offer. An attempt
// that does not open soon is not waited for: another is started beside it, the first to open wins.
package negotiate
