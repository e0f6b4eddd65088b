package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-stomp/stomp/v3"
	"github.com/spf13/cobra"

	"github.com/hoofbeat/hoofbeat/broker/client"
	"github.com/hoofbeat/hoofbeat/cmd/hoofbeat/internal/config"
)

const defaultURL = "ws://127.0.0.1:8080/ws"

const connectHelp = `The server is --url or HOOFBEAT_URL: ws:// and wss:// for WebSocket, tcp:// and tcps://
for plain STOMP. The login is --login or HOOFBEAT_LOGIN. The passcode is HOOFBEAT_PASSCODE;
if it is not set, hoofbeat asks for the passcode of a login on the terminal.
--passcode works too, but other users of the machine can read it in the process list.`

// connection is how the client commands reach their server.
type connection struct {
	program  *Program
	url      string
	login    string
	passcode string
	host     string
	timeout  time.Duration
}

func (c *connection) addFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVarP(&c.url, "url", "u", "", "server to connect to, default HOOFBEAT_URL or "+defaultURL)
	f.StringVar(&c.login, "login", "", "user name, default HOOFBEAT_LOGIN")
	f.StringVar(&c.passcode, "passcode", "", "passcode; better in HOOFBEAT_PASSCODE")
	f.StringVar(&c.host, "host", "", "virtual host (default the host of the URL)")
	f.DurationVar(&c.timeout, "timeout", 10*time.Second, "maximum time to connect, and to wait for each receipt")
}

// grace is how long an answer may be on its way from the network through
// go-stomp after the connection has ended.
const grace = time.Second

var errInterrupted = errors.New("interrupted")

func (c *connection) dial(ctx context.Context) (*client.Conn, error) {
	if c.timeout <= 0 {
		return nil, usagef("--timeout %v is not positive", c.timeout)
	}
	login, passcode, err := c.credential()
	if err != nil {
		return nil, err
	}
	o := client.Options{
		Login: login, Passcode: passcode, Host: c.host,
		Stomp: []func(*stomp.Conn) error{
			stomp.ConnOpt.RcvReceiptTimeout(c.timeout),
			stomp.ConnOpt.DisconnectReceiptTimeout(c.timeout),
			stomp.ConnOpt.MsgSendTimeout(c.timeout),
		},
	}
	limited, cancel := context.WithTimeoutCause(ctx, c.timeout, fmt.Errorf("no answer within %v", c.timeout))
	defer cancel()
	conn, err := client.Dial(limited, c.server(), o)
	if err != nil && ctx.Err() != nil {
		return nil, errInterrupted
	}
	return conn, err
}

// server returns the URL of the server.
func (c *connection) server() string {
	return cmp.Or(c.url, c.program.getenv(config.EnvURL), defaultURL)
}

// credential returns the login and its passcode, asking a person for one that is
// missing.
func (c *connection) credential() (login, passcode string, err error) {
	p := c.program
	login, passcode = cmp.Or(c.login, p.getenv(config.EnvLogin)), cmp.Or(c.passcode, p.getenv(config.EnvPasscode))
	if login == "" || passcode != "" {
		return login, passcode, nil
	}
	if fd, ok := terminal(p.In); ok {
		passcode, err = p.ask(fd, fmt.Sprintf("Passcode of %s: ", login))
	}
	return login, passcode, err
}

// await runs one go-stomp call that may wait, but no longer than the connection
// lives and the user wants.
func await(ctx context.Context, conn *client.Conn, call func() error) error {
	result := make(chan error, 1)
	go func() { result <- call() }()
	select {
	case err := <-result:
		return explain(conn, err)
	case <-ctx.Done():
		return errInterrupted
	case <-conn.Done():
	}
	select {
	case err := <-result:
		return explain(conn, err)
	case <-time.After(grace):
		return lost(conn)
	}
}

// lost is the error of a connection that ended while it was needed.
func lost(conn *client.Conn) error {
	return cmp.Or(conn.Err(), error(stomp.ErrClosedUnexpectedly))
}

// explain says more about an error of go-stomp: why the connection ended, when
// that is the reason.
func explain(conn *client.Conn, err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, stomp.ErrMsgReceiptTimeout) || errors.Is(err, stomp.ErrDisconnectReceiptTimeout) {
		return fmt.Errorf("no receipt from the server: %w", err)
	}
	select {
	case <-conn.Done():
		return cmp.Or(conn.Err(), err)
	case <-time.After(grace):
		return err
	}
}

// leave ends the connection: at once after an error, else with DISCONNECT.
func leave(ctx context.Context, conn *client.Conn, err error) error {
	if err != nil {
		conn.Abort()
		return err
	}
	return await(context.WithoutCancel(ctx), conn, conn.Disconnect)
}

// headers reads name:value arguments; reserved names have a flag of their own or
// belong to the protocol.
func headers(args []string, reserved ...string) ([][2]string, error) {
	var all [][2]string
	for _, arg := range args {
		name, value, ok := strings.Cut(arg, ":")
		if !ok || name == "" {
			return nil, usagef("--header %q: want name:value", arg)
		}
		for _, r := range reserved {
			if name == r {
				return nil, usagef("--header %s is not yours to set", name)
			}
		}
		all = append(all, [2]string{name, value})
	}
	return all, nil
}
