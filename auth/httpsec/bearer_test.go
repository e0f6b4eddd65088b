package httpsec_test

import (
	"net/http"
	"testing"

	"github.com/hoofbeat/hoofbeat/auth/httpsec"
)

func TestRequestToken(t *testing.T) {
	for _, tc := range []struct {
		name   string
		values []string
		token  string
		ok     bool
	}{
		{"none", nil, "", false},
		{"a token", []string{"Bearer s3cret"}, "s3cret", true},
		{"the scheme has no case", []string{"bEARER s3cret"}, "s3cret", true},
		{"more spaces", []string{"Bearer   s3cret "}, "s3cret", true},
		{"no token", []string{"Bearer"}, "", true},
		{"spaces only", []string{"bearer  "}, "", true},
		{"another scheme", []string{"Basic YTpi"}, "", false},
		{"no space", []string{"Bearers3cret"}, "", false},
		{"a longer scheme", []string{"Bearer2 s3cret"}, "", false},
		{"empty", []string{""}, "", false},
		{"the same twice", []string{"Bearer s3cret", "Bearer s3cret"}, "", true},
		{"two schemes", []string{"Basic YTpi", "Bearer s3cret"}, "", true},
		{"an empty one first", []string{"", "Bearer s3cret"}, "", true},
	} {
		token, ok := httpsec.RequestToken(http.Header{"Authorization": tc.values})
		if token != tc.token || ok != tc.ok {
			t.Errorf("%s: %q, %v; want %q, %v", tc.name, token, ok, tc.token, tc.ok)
		}
	}
}
