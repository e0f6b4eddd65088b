package access

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/auth/oauth"
	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/cmd/hoofbeat/internal/config"
)

// makeLogin creates the client for auth.oauth. When a login session ends, its
// sockets and tickets end with it.
func (a *Access) makeLogin(c *config.Config) error {
	if len(c.Auth.OAuth) == 0 {
		return nil
	}
	s := &c.Auth.Sessions
	o := oauth.Options{
		SessionTTL: s.TTL, SessionIdle: s.Idle, MaxSessionsPerUser: s.PerUser, Cookie: s.Cookie,
		AfterLogin: s.AfterLogin, AfterLogout: s.AfterLogout, SharedNames: c.Auth.SharedNames,
		OnLogout:      func(credential, _ string) error { return a.revoke(credential, s.TTL) },
		OnReconsent:   a.reconsent,
		Logger:        a.log,
		ClientAddress: a.ClientAddress,
	}
	for i, p := range c.Auth.OAuth {
		provider, err := newProvider(i, p)
		if err != nil {
			return err
		}
		o.Providers = append(o.Providers, provider)
	}
	var err error
	if o.Store, err = a.tokenStore(s); err != nil {
		return err
	}
	o.Records = a.kept.Logins
	client, err := oauth.New(o)
	if err != nil {
		return config.OptionError("auth.oauth, auth.sessions", err)
	}
	a.Login = client
	return nil
}

func newProvider(i int, p config.OAuth) (oauth.Provider, error) {
	secret, err := p.ClientSecret.Read(item("auth.oauth", i, "client_secret"))
	if err != nil {
		return oauth.Provider{}, err
	}
	params := make(map[string]string)
	for _, pair := range p.AuthParams {
		name, value, ok := strings.Cut(pair, "=")
		if !ok {
			return oauth.Provider{}, &config.KeyError{Key: item("auth.oauth", i, "auth_params"), Text: fmt.Sprintf("%q is not accepted: want name=value", pair)}
		}
		params[name] = value
	}
	style := map[string]oauth.AuthStyle{"basic": oauth.AuthBasic, "post": oauth.AuthPost, "none": oauth.AuthNone}[p.AuthStyle]
	return oauth.Provider{
		Name: p.Name, Issuer: p.Issuer, AuthURL: p.AuthURL, TokenURL: p.TokenURL, RevocationURL: p.RevocationURL,
		UserInfoURL: p.UserInfoURL, JWKSURL: p.JWKSURL, ClientID: p.ClientID, ClientSecret: secret, AuthStyle: style,
		Scopes: p.Scopes, RedirectURL: p.RedirectURL, AuthParams: params,
		UserClaim: p.User, UserPrefix: p.UserPrefix, RolesClaim: p.Roles, Claims: p.Claims,
	}, nil
}

// tokenStoreKey is the key that encrypts tokens.
const tokenStoreKey = "auth.sessions.token_store_key"

// readTokenKey returns the key, or nil if there is none.
func readTokenKey(s *config.Sessions) ([]byte, error) {
	if !s.TokenStoreKey.Set() {
		return nil, nil
	}
	text, err := s.TokenStoreKey.Read(tokenStoreKey)
	if err != nil {
		return nil, err
	}
	raw, ok := decodeKey(text)
	if !ok {
		return nil, &config.KeyError{Key: tokenStoreKey, Text: "is not 32 bytes in base64 or hexadecimal"}
	}
	return raw, nil
}

// tokenStore returns where tokens are kept, nil for memory. They are never
// written unencrypted. With a store on disk those of the file move there.
func (a *Access) tokenStore(s *config.Sessions) (oauth.TokenStore, error) {
	key, err := readTokenKey(s)
	if err != nil {
		return nil, err
	}
	var file *oauth.FileStore
	if s.TokenStore != "" {
		if file, err = openTokenFile(s, key); err != nil {
			return nil, err
		}
	}
	if a.kept.Logins == nil || key == nil && !a.kept.Secret {
		if file == nil {
			return nil, nil
		}
		return file, nil
	}
	store, err := oauth.NewRecordTokens(a.kept.Logins, key)
	if err != nil {
		return nil, &config.KeyError{Key: tokenStoreKey, Text: err.Error()}
	}
	return store, a.moveTokens(file, s.TokenStore, store)
}

// moveTime limits how long moving the tokens of a file takes.
const moveTime = 5 * time.Minute

// movedSuffix is added to the name of a file whose tokens are in the store.
const movedSuffix = ".moved"

// moveTokens moves the tokens of a file into the store, once.
func (a *Access) moveTokens(file *oauth.FileStore, path string, to oauth.TokenStore) error {
	if file == nil {
		return nil
	}
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil // moved before
	}
	ctx, cancel := context.WithTimeout(context.Background(), moveTime)
	defer cancel()
	n, err := oauth.MoveTokens(ctx, file, to)
	if err == nil {
		err = os.Rename(path, path+movedSuffix)
	}
	if err != nil {
		return &config.KeyError{Key: "auth.sessions.token_store", Text: "moving its tokens to the store: " + err.Error()}
	}
	a.log.Info("the tokens of auth.sessions.token_store are in the store now", "file", path, "renamed", path+movedSuffix, "moved", n)
	return nil
}

func openTokenFile(s *config.Sessions, key []byte) (*oauth.FileStore, error) {
	store, err := oauth.OpenFileStore(s.TokenStore, key)
	switch {
	case errors.Is(err, oauth.ErrStoreKey):
		return nil, &config.KeyError{Key: tokenStoreKey, Text: "does not decrypt the file of auth.sessions.token_store, " + s.TokenStore}
	case errors.Is(err, oauth.ErrStoreMode):
		return nil, &config.KeyError{Key: "auth.sessions.token_store", Text: s.TokenStore + ": others than its owner can read or write it: chmod it to 0600"}
	case err != nil:
		return nil, &config.KeyError{Key: "auth.sessions.token_store", Text: cmp.Or(errors.Unwrap(err), err).Error()}
	}
	return store, nil
}

func decodeKey(text string) ([]byte, bool) {
	if raw, err := hex.DecodeString(text); err == nil && len(raw) == 32 {
		return raw, true
	}
	for _, e := range []*base64.Encoding{base64.StdEncoding, base64.RawStdEncoding, base64.URLEncoding, base64.RawURLEncoding} {
		if raw, err := e.DecodeString(text); err == nil && len(raw) == 32 {
			return raw, true
		}
	}
	return nil, false
}

// reconsent notifies a user that a provider requires a new sign-in.
func (a *Access) reconsent(user, provider string) {
	a.log.Warn("a user has to sign in again", "user", user, "provider", provider)
	if a.Broker == nil {
		return
	}
	body, err := json.Marshal(map[string]string{"event": "reconsent-needed", "provider": provider})
	if err == nil {
		_, err = a.Broker.PublishToUser(context.Background(), user, &broker.Message{
			Destination: "/topic/session", Headers: []broker.Header{{Name: "content-type", Value: "application/json"}}, Body: body,
		})
	}
	if err != nil {
		a.log.Error("the user could not be notified", "user", user, "error", err)
	}
}

// revoke ends the sockets of a login session, which would have lived for ttl at
// most.
func (a *Access) revoke(credential string, ttl time.Duration) error {
	return a.Revocations.Revoke(context.Background(), auth.Revocation{Credential: credential, Until: time.Now().Add(cmp.Or(ttl, oauth.DefaultSessionTTL))})
}
