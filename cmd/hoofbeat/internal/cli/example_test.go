package cli_test

import (
	"context"
	"os"
	"strings"

	"github.com/hoofbeat/hoofbeat/cmd/hoofbeat/internal/cli"
)

func ExampleProgram() {
	p := &cli.Program{Args: []string{"config", "check"}, In: strings.NewReader(""), Out: os.Stdout, Err: os.Stderr}
	p.Run(context.Background()) // returns the exit code
	// Output: configuration: good (development mode: any client on this machine can connect as anyone)
}
