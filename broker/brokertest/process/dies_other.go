//go:build unix && !linux

package process

import "syscall"

// diesWithUs does nothing on this system: only the test's cleanup ends the
// process.
func diesWithUs() *syscall.SysProcAttr { return nil }
