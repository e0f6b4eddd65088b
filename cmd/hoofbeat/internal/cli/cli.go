// Package cli is the command line of hoofbeat: the commands, their flags and
// help, and what their errors mean as exit codes. It touches nothing of the
// process, so a test can run a whole command in memory.
//
//	p := &cli.Program{Args: []string{"version"}, In: os.Stdin, Out: os.Stdout, Err: os.Stderr}
//	os.Exit(p.Run(ctx))
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hoofbeat/hoofbeat/broker/client"
)

// The exit codes. They are part of the interface: scripts rely on them.
const (
	exitOK      = 0
	exitFailure = 1 // something went wrong: no connection, no receipt, a bad configuration
	exitUsage   = 2 // the command line is wrong, or the configuration of serve; nothing was done
	exitRefused = 3 // the server refused: credential, origin or destination

	exitInterrupted = 130 // Ctrl-C before it was done, as shells have it
)

const exitHelp = `Exit codes: 0 done; 1 it failed, for example without a connection, a receipt or an answer;
2 the command line is wrong, or the configuration; 3 the server refused the credential, the
origin or the destination; 130 interrupted before it was done.`

// Program is one run of hoofbeat.
type Program struct {
	Args []string // without the name of the program
	Env  []string // as os.Environ returns it
	In   io.Reader
	Out  io.Writer
	Err  io.Writer
}

// usageError is a command line that cannot be meant.
type usageError struct{ error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// Run runs the command that Args name and returns the exit code. The end of ctx
// is Ctrl-C.
func (p *Program) Run(ctx context.Context) int {
	root := p.root()
	root.SetArgs(append([]string{}, p.Args...)) // nil would be the arguments of the process
	root.SetIn(p.In)
	root.SetOut(p.Out)
	root.SetErr(p.Err)
	// Whatever fails before a command starts is about the command line.
	started := false
	root.PersistentPreRun = func(*cobra.Command, []string) { started = true }
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitOK
	}
	if !started {
		err = usageError{err}
	}
	code := exitCode(err)
	for line := range strings.Lines(err.Error()) {
		fmt.Fprintf(p.Err, "hoofbeat: %s\n", strings.TrimPrefix(strings.TrimSuffix(line, "\n"), "client: "))
	}
	if code == exitUsage && !errors.As(err, new(configError)) {
		fmt.Fprintf(p.Err, "See %s --help\n", cmd.CommandPath())
	}
	return code
}

func exitCode(err error) int {
	var usage usageError
	var configured configError
	var refused *client.RefusedError
	var handshake *client.HTTPError
	var answered *statusError
	var closed *client.CloseError
	switch {
	case errors.Is(err, errInterrupted):
		return exitInterrupted
	case errors.As(err, &usage), errors.As(err, &configured), errors.Is(err, client.ErrOptions):
		return exitUsage
	case errors.As(err, &refused):
		return exitRefused
	case errors.As(err, &handshake):
		if handshake.Status == http.StatusUnauthorized || handshake.Status == http.StatusForbidden {
			return exitRefused
		}
	case errors.As(err, &answered):
		if answered.status == http.StatusUnauthorized || answered.status == http.StatusForbidden {
			return exitRefused
		}
	case errors.As(err, &closed):
		// 1008: the credential, in Hoofbeat and elsewhere; 4403: the destination.
		if closed.Code == 1008 || closed.Code == 4403 {
			return exitRefused
		}
	}
	return exitFailure
}

func (p *Program) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "hoofbeat",
		Short: "A STOMP broker for WebSocket clients, and its command line client",
		Long: `Hoofbeat is a STOMP broker for WebSocket clients, and a client for any STOMP server.

` + exitHelp,
		Example: `  hoofbeat serve
  hoofbeat sub /topic/greetings
  hoofbeat pub /topic/greetings hello
  hoofbeat config default > hoofbeat.yaml`,
		Version:       version(),
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetVersionTemplate("{{.Version}}\n")
	root.SetUsageFunc(usage)
	root.AddCommand(p.serve(), p.token(), p.ticket(), p.notify(), p.queues(), p.subscriptions(), p.history(), p.pub(), p.sub(), p.request(), p.reply(), p.bench(), p.passwd(), p.config(), p.store(), p.cluster(), p.version())
	teach(root)
	return root
}

// getenv returns the value of a variable, "" when it is not set.
func (p *Program) getenv(name string) string {
	for _, entry := range p.Env {
		if value, ok := strings.CutPrefix(entry, name+"="); ok {
			return value
		}
	}
	return ""
}
