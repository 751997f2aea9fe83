//go:build !unix

package presence

import "time"

// cpuTime is not known here.
func cpuTime() time.Duration { return 0 }
