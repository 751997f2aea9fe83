// Package e2e tests peerchat from the outside: real processes of the real binary, in network namespaces of their own,
// spoken to over standard input and judged by what they print (the JSON mode of the command line is the contract) or by
// what tmux shows of their screen.
//
// There is nothing here but tests, and lab, which runs the processes. A test owns a world: its network, its
// processes, their directories; all of it is gone when the test ends, and the outputs are shown when it failed.
// The tests import nothing of this module but lab: what they know of peerchat is what its users know.
//
//	go test ./cmd/peerchat/e2e                       all of it, under four minutes on two cores
//	go test -short ./cmd/peerchat/e2e                the few that a change should not wait for longer
//	PEERCHAT_E2E_RACE=1 go test ./cmd/peerchat/e2e   the same with a binary that detects data races
package e2e
