// Command hoofbeat is the STOMP broker and its command line client. Run
// hoofbeat --help for what it can do.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/hoofbeat/hoofbeat/cmd/hoofbeat/internal/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // the second signal ends the process at once, unless serve listens for it
	p := &cli.Program{Args: os.Args[1:], Env: os.Environ(), In: os.Stdin, Out: os.Stdout, Err: os.Stderr}
	os.Exit(p.Run(ctx))
}
