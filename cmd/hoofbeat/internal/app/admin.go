package app

import (
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"

	"github.com/hoofbeat/hoofbeat/broker/admin"
	"github.com/hoofbeat/hoofbeat/cmd/hoofbeat/internal/config"
)

// maxAdminConnections is the maximum number of connections of the admin
// listener. One address gets at most three quarters of them.
const maxAdminConnections = 512

// newAdminCrowd limits the connections of the admin listener, so that clients
// without a token cannot use up this process's open files. files is the limit
// of open files, 0 for none; half of the files in reserve are for this
// listener.
func newAdminCrowd(files int, log *slog.Logger) *crowd {
	most := maxAdminConnections
	if files > 0 {
		most = min(most, max(files/16, 8))
	}
	c := newCrowd(most, most-most/4, nil, log)
	c.admin = true
	return c
}

// admin returns the listener of the JSON API.
func (a *App) admin(l net.Listener) (*listener, error) {
	token, where, err := a.adminToken()
	if err != nil {
		return nil, err
	}
	h, err := admin.New(a.broker, admin.Options{Token: token, LoopbackOnly: a.o.Config.AdminOnLoopback(), Revocations: a.access.Revocations, Tickets: a.access.Tickets, Flow: a.flow, AccessToken: a.accessToken(), Handlers: a.handlerStates(), Events: a.eventsStates, Cluster: a.clusterNodes, Ready: a.storeReady, Store: a.storeStats, Export: a.exportStore(), Profile: a.o.Config.AdminPprof, Logger: a.o.Logger})
	if err != nil {
		return nil, err
	}
	d := a.web("admin", &plainText{Listener: l, key: "admin", away: a.away}, a.noSocket(h), newAdminCrowd(openFiles(), a.o.Logger))
	d.url = "http://" + l.Addr().String()
	d.note = where
	return d, nil
}

// adminToken returns the token and, for the log, its source.
func (a *App) adminToken() (token string, where []any, err error) {
	c := a.o.Config
	if c.AdminToken != "" {
		return c.AdminToken, []any{"token", "HOOFBEAT_ADMIN_TOKEN"}, nil
	}
	path := c.AdminTokenFile
	if path == "" {
		dir, err := TokenDir(a.o.Getenv)
		if err != nil {
			return "", nil, err
		}
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return "", nil, tokenError(err)
		}
		path = filepath.Join(dir, TokenName)
	}
	token, created, err := admin.LoadOrCreateToken(path)
	if err != nil {
		return "", nil, tokenError(err)
	}
	return token, []any{"token_file", path, "token_created", created}, nil
}

// TokenName is the name of the token file in [TokenDir].
const TokenName = "admin-token"

// TokenDir returns the default directory of the admin API's token: the state
// directory that systemd gives the service, or else the user's configuration
// directory.
func TokenDir(getenv func(string) string) (string, error) {
	if dir := getenv("STATE_DIRECTORY"); dir != "" {
		return filepath.SplitList(dir)[0], nil
	}
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", tokenError(err)
	}
	return filepath.Join(dir, "hoofbeat"), nil
}

func tokenError(err error) error {
	return &config.KeyError{Key: "admin_token_file", Text: fmt.Sprintf("%v (HOOFBEAT_ADMIN_TOKEN would do instead, and so would admin: off)", err)}
}
