//go:build unix

package cli

import (
	"context"
	"os/exec"
	"syscall"
)

// shell returns a command for the shell. At the end of ctx, all processes that
// the command has started are killed.
func shell(ctx context.Context, command string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", command)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	return cmd
}
