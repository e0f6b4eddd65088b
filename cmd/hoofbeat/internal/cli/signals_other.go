//go:build !unix

package cli

import "os"

// dumpSignals ask for all goroutines in the log: there is no such signal here.
func dumpSignals() []os.Signal { return nil }
