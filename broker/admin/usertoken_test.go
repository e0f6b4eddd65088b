package admin

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
)

// The answer is the token that a provider granted for a user, or the reason why
// there is none. No log contains it and no cache keeps it.
func TestUserToken(t *testing.T) {
	var log bytes.Buffer
	var fail error
	asked := ""
	h := newHandler(t, brokertest.New(t, broker.Options{}), Options{
		Logger: slog.New(slog.NewJSONHandler(&log, nil)),
		AccessToken: func(_ context.Context, user, provider string) (AccessToken, error) {
			asked = user + " " + provider
			return AccessToken{Token: "s3cret", Expires: time.Unix(1800000000, 0), Scopes: []string{"mail"}}, fail
		},
	})
	get := func() answer {
		return serve(h, request(t, "GET", "http://localhost/api/v1/users/kc:ann/tokens/example", ""))
	}
	a := get()
	want := `{"access_token":"s3cret","token_type":"Bearer","expires":1800000000,"scopes":["mail"]}`
	if a.status != http.StatusOK || strings.TrimSpace(string(a.body)) != want || a.header.Get("Cache-Control") != "no-store" || asked != "kc:ann example" {
		t.Errorf("%d %s %v, of %q", a.status, a.body, a.header, asked)
	}
	for err, status := range map[error]int{
		ErrNoToken: http.StatusNotFound, ErrReconsent: http.StatusConflict, errors.New("refused"): http.StatusBadGateway,
	} {
		fail = err
		if a := get(); a.status != status || strings.Contains(string(a.body), "s3cret") {
			t.Errorf("%v: %d %s", err, a.status, a.body)
		}
	}
	if !strings.Contains(log.String(), `"handed out"`) && !strings.Contains(log.String(), "was handed out") || strings.Contains(log.String(), "s3cret") {
		t.Errorf("the log is %s", &log)
	}
}
