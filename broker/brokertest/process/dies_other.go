//go:build unix && !linux

package process

import "syscall"

// diesWithUs is nothing here: only Cleanup ends the process.
func diesWithUs() *syscall.SysProcAttr { return nil }
