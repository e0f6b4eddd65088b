package cli

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"
	"golang.org/x/crypto/bcrypt"

	"github.com/hoofbeat/hoofbeat/cmd/hoofbeat/internal/config"
)

// maxPasscode is what bcrypt can tell apart; it would ignore the rest.
const maxPasscode = 72

func (p *Program) passwd() *cobra.Command {
	var roles []string
	var cost int
	cmd := &cobra.Command{
		Use:   "passwd [flags] [NAME]",
		Short: "Make an entry for the users file",
		Long: `Read a passcode and print an entry for the users file (auth.users.file) with its bcrypt
hash. On a terminal it asks twice; otherwise it reads the first line of standard input.
Without a NAME it prints only the hash.

` + exitHelp,
		Example: `  hoofbeat passwd ann --role admin >> users.yaml
  pwgen 20 1 | tee passcode.txt | hoofbeat passwd robot >> users.yaml`,
		RunE: func(_ *cobra.Command, args []string) error {
			if cost < bcrypt.DefaultCost || cost > 16 {
				return usagef("--cost %d: want %d to 16", cost, bcrypt.DefaultCost)
			}
			if len(args) == 1 {
				if err := config.CheckName(args[0]); err != nil {
					return usagef("NAME %w", err)
				}
			} else if len(roles) > 0 {
				return usagef("--role wants a NAME")
			}
			passcode, err := p.newPasscode()
			if err != nil {
				return err
			}
			hash, err := bcrypt.GenerateFromPassword(passcode, cost)
			if err != nil {
				return err
			}
			if len(args) == 0 {
				_, err = fmt.Fprintf(p.Out, "%s\n", hash)
				return err
			}
			entry, err := yaml.Marshal([]config.User{{Name: args[0], Hash: string(hash), Roles: append([]string{}, roles...)}})
			if err != nil {
				return err
			}
			_, err = p.Out.Write(entry)
			return err
		},
	}
	cmd.Flags().StringArrayVar(&roles, "role", nil, "role of the user; may be repeated")
	cmd.Flags().IntVar(&cost, "cost", bcrypt.DefaultCost, "work factor of bcrypt: one more doubles the time of each login")
	return cmd
}

func (p *Program) newPasscode() ([]byte, error) {
	var passcode string
	if fd, ok := terminal(p.In); ok {
		var err error
		if passcode, err = p.ask(fd, "New passcode: "); err != nil {
			return nil, err
		}
		again, err := p.ask(fd, "Once more: ")
		if err != nil {
			return nil, err
		}
		if passcode != again {
			return nil, errors.New("the passcodes differ")
		}
	} else {
		line, err := bufio.NewReader(p.In).ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("reading standard input: %w", err)
		}
		passcode = strings.TrimRight(line, "\r\n")
	}
	switch {
	case passcode == "":
		return nil, errors.New("the passcode is empty")
	case len(passcode) > maxPasscode:
		return nil, fmt.Errorf("the passcode has %d bytes, bcrypt takes %d", len(passcode), maxPasscode)
	case strings.ContainsAny(passcode, "\r\n\x00"):
		return nil, errors.New("the passcode has a line end or NUL, which no STOMP header carries")
	}
	return []byte(passcode), nil
}
