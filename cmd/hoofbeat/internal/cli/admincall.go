package cli

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hoofbeat/hoofbeat/cmd/hoofbeat/internal/app"
	"github.com/hoofbeat/hoofbeat/cmd/hoofbeat/internal/config"
)

const defaultAdmin = "http://127.0.0.1:8081"

// maxAdminAnswer limits an answer of the admin API: a message of 16 MiB whose bytes
// are all escaped.
const maxAdminAnswer = 128 << 20

// segment returns a text as one segment of a path. Nothing between here and the
// broker takes "." or ".." for a path.
func segment(text string) string { return strings.ReplaceAll(url.PathEscape(text), ".", "%2E") }

// adminCall is how a command reaches the admin API of a running broker.
type adminCall struct {
	program   *Program
	url       string
	tokenFile string
	timeout   time.Duration
}

const adminHelp = `The broker is --admin or HOOFBEAT_ADMIN_URL. The token of its admin API is
HOOFBEAT_ADMIN_TOKEN, or in --token-file or HOOFBEAT_ADMIN_TOKEN_FILE, or where a broker
of the same user keeps it.`

func (a *adminCall) addFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&a.url, "admin", "", "admin API, default HOOFBEAT_ADMIN_URL or "+defaultAdmin)
	f.StringVar(&a.tokenFile, "token-file", "", "file with the token of the admin API")
	f.DurationVar(&a.timeout, "timeout", 10*time.Second, "maximum time to wait for the answer")
}

// statusError is an answer of the admin API other than a success.
type statusError struct {
	status int
	text   string
	moved  int // messages that were moved before
}

func (e *statusError) Error() string { return e.text }

// post sends a POST to an escaped path and reads the answer into to.
func (a *adminCall) post(ctx context.Context, path string, body, to any) error {
	return a.call(ctx, http.MethodPost, path, nil, body, to)
}

// call sends a request to an escaped path. A nil body sends none. It reads the
// answer into to, unless that is nil.
func (a *adminCall) call(ctx context.Context, method, path string, q url.Values, body, to any) error {
	if a.timeout <= 0 {
		return usagef("--timeout %v is not positive", a.timeout)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, a.timeout, fmt.Errorf("no answer within %v", a.timeout))
	defer cancel()
	res, err := a.do(ctx, method, path, q, body)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, maxAdminAnswer))
	if err != nil {
		return cause(ctx, err)
	}
	if res.StatusCode/100 != 2 {
		return problemOf(res.StatusCode, answer)
	}
	if to == nil {
		return nil
	}
	return json.Unmarshal(answer, to)
}

// open sends a request and returns the body of a long answer.
func (a *adminCall) open(ctx context.Context, method, path string) (io.ReadCloser, error) {
	res, err := a.do(ctx, method, path, nil, nil)
	if err != nil {
		return nil, err
	}
	if res.StatusCode/100 == 2 {
		return res.Body, nil
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		return nil, cause(ctx, err)
	}
	return nil, problemOf(res.StatusCode, answer)
}

// do sends a request to an escaped path. A nil body sends none.
func (a *adminCall) do(ctx context.Context, method, path string, q url.Values, body any) (*http.Response, error) {
	token, err := a.token()
	if err != nil {
		return nil, err
	}
	base, err := url.Parse(cmp.Or(a.url, a.program.getenv(config.EnvAdminURL), defaultAdmin))
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" {
		return nil, usagef("the URL of the admin API: want one such as %s", defaultAdmin)
	}
	var data io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		data = bytes.NewReader(text)
	}
	at := base.JoinPath(path)
	at.RawQuery = q.Encode()
	r, err := http.NewRequestWithContext(ctx, method, at.String(), data)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Authorization", "Bearer "+token)
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	c := &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true}, // no proxy: the token is for nobody else
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	res, err := c.Do(r)
	if err != nil {
		return nil, fmt.Errorf("the admin API at %s cannot be reached: %w", base.Host, cause(ctx, err))
	}
	return res, nil
}

// cause prefers why the context ended to the error of what it interrupted, and
// leaves the address out, which may be long.
func cause(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// problemOf reads an RFC 9457 problem.
func problemOf(status int, body []byte) error {
	var p struct {
		Detail, Title string
		Moved         int
	}
	text := fmt.Sprintf("the admin API answers HTTP %d %s", status, http.StatusText(status))
	if json.Unmarshal(body, &p) == nil && cmp.Or(p.Detail, p.Title) != "" {
		text += ": " + oneLine(cmp.Or(p.Detail, p.Title))
	}
	return &statusError{status, text, p.Moved}
}

func (a *adminCall) token() (string, error) {
	if token := a.program.getenv("HOOFBEAT_ADMIN_TOKEN"); token != "" && a.tokenFile == "" {
		return token, nil
	}
	path := cmp.Or(a.tokenFile, a.program.getenv("HOOFBEAT_ADMIN_TOKEN_FILE"))
	if path == "" {
		dir, err := app.TokenDir(a.program.getenv)
		if err != nil {
			return "", err
		}
		path = filepath.Join(dir, app.TokenName)
	}
	data, err := config.ReadPrivate(path, 64<<10)
	if err != nil {
		return "", fmt.Errorf("the token of the admin API: %w", err)
	}
	token, _, _ := strings.Cut(string(data), "\n")
	return strings.TrimSpace(token), nil
}
