package process

import "syscall"

// diesWithUs makes the kernel kill the process when the thread that started it
// ends; see run.
func diesWithUs() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
