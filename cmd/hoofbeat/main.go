// Command hoofbeat is the STOMP broker and its command line client. Run
// hoofbeat --help for what it can do.
package main

import (
	"os"

	"github.com/hoofbeat/hoofbeat/cmd/hoofbeat/internal/cli"
)

func main() {
	p := &cli.Program{Args: os.Args[1:], Env: os.Environ(), In: os.Stdin, Out: os.Stdout, Err: os.Stderr}
	os.Exit(p.Run(cli.UntilSignal()))
}
