package cli

import (
	"fmt"
	"os"

	"golang.org/x/term"
)

// terminal returns the descriptor of a stream when there is a person at it.
func terminal(stream any) (int, bool) {
	f, ok := stream.(*os.File)
	if !ok {
		return 0, false
	}
	fd := int(f.Fd())
	return fd, term.IsTerminal(fd)
}

// ask reads a line from a terminal without showing it.
func (p *Program) ask(fd int, prompt string) (string, error) {
	fmt.Fprint(p.Err, prompt)
	secret, err := term.ReadPassword(fd)
	fmt.Fprintln(p.Err)
	if err != nil {
		return "", fmt.Errorf("reading from the terminal: %w", err)
	}
	return string(secret), nil
}
