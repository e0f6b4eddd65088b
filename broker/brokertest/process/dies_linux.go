package process

import "syscall"

// diesWithUs makes the kernel kill the process when the thread that starts it
// ends: see start.
func diesWithUs() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
