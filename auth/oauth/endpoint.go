package oauth

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

var errMalformedReply = errors.New("the reply is malformed")

// failed wraps an error of a request to p. It returns nil for nil.
func (p *provider) failed(op string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("oauth: provider %s: %s request: %w", p.Name, op, err)
}

// post sends a form to one of p's endpoints, with the client's credentials
// according to AuthStyle, and returns the body of the reply. If the provider
// rejects the request the error is a [*ProviderError].
func (p *provider) post(ctx context.Context, client *http.Client, op, address string, form url.Values) ([]byte, error) {
	switch p.AuthStyle {
	case AuthPost:
		form.Set("client_id", p.ClientID)
		form.Set("client_secret", p.ClientSecret)
	case AuthNone:
		form.Set("client_id", p.ClientID)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, p.failed(op, err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Accept", "application/json")
	if p.AuthStyle == AuthBasic {
		// Both are form-encoded first: RFC 6749 section 2.3.1.
		r.SetBasicAuth(url.QueryEscape(p.ClientID), url.QueryEscape(p.ClientSecret))
	}
	resp, err := client.Do(r)
	if err != nil {
		return nil, p.failed(op, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, p.failed(op, err)
	}
	if code, refused := refusal(resp.StatusCode, body); refused {
		return nil, &ProviderError{Provider: p.Name, Op: op, Status: resp.StatusCode, Code: code}
	}
	return body, nil
}

// refusal reports whether a reply is an error, and its code if the code is
// known. Some providers send errors with status 200.
func refusal(status int, body []byte) (code string, refused bool) {
	var reply struct {
		Error json.RawMessage `json:"error"`
	}
	// A body that is not JSON has no code; its status decides.
	if json.Unmarshal(body, &reply) == nil && len(reply.Error) > 0 && !bytes.Equal(reply.Error, []byte("null")) {
		refused = true
		if json.Unmarshal(reply.Error, &code) != nil {
			code = ""
		}
	}
	return knownCode(code), refused || status < 200 || status > 299
}

// exchange exchanges an authorization code for tokens (RFC 6749 section 4.1.3,
// RFC 7636 section 4.5).
func (p *provider) exchange(ctx context.Context, client *http.Client, m *metadata, code, verifier string) (*reply, error) {
	return p.requestToken(ctx, client, m, url.Values{
		"grant_type":    {"authorization_code"},
		"code":          {code},
		"redirect_uri":  {p.RedirectURL},
		"client_id":     {p.ClientID},
		"code_verifier": {verifier},
	})
}

// refresh exchanges a refresh token for new tokens (RFC 6749 section 6).
func (p *provider) refresh(ctx context.Context, client *http.Client, m *metadata, token string) (*reply, error) {
	return p.requestToken(ctx, client, m, url.Values{
		"grant_type":    {"refresh_token"},
		"refresh_token": {token},
	})
}

func (p *provider) requestToken(ctx context.Context, client *http.Client, m *metadata, form url.Values) (*reply, error) {
	body, err := p.post(ctx, client, "token", m.token, form)
	if err != nil {
		return nil, err
	}
	r, err := parseReply(body)
	return r, p.failed("token", err)
}

// revoke revokes a token at the provider (RFC 7009). It does nothing if the
// provider has no revocation endpoint.
func (p *provider) revoke(ctx context.Context, client *http.Client, m *metadata, t *Token) error {
	if m.revocation == "" {
		return nil
	}
	var errs []error
	for _, one := range []struct{ hint, value string }{{"refresh_token", t.Refresh}, {"access_token", t.Access}} {
		if one.value == "" {
			continue
		}
		_, err := p.post(ctx, client, "revocation", m.revocation, url.Values{"token": {one.value}, "token_type_hint": {one.hint}})
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
