//go:build !unix

package cli

import (
	"context"
	"os/exec"
)

// shell returns a command for the shell. The end of ctx kills the shell.
func shell(ctx context.Context, command string) *exec.Cmd {
	return exec.CommandContext(ctx, "cmd", "/C", command)
}
