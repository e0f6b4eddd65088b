package httpsec_test

import (
	"errors"
	"testing"

	"github.com/hoofbeat/hoofbeat/auth/httpsec"
)

func TestSecureURL(t *testing.T) {
	for raw, want := range map[string]error{
		"https://x": nil, "https://example.com:8443/a?b=c": nil, "HTTPS://10.0.0.1/": nil,
		"http://localhost:1": nil, "http://LOCALHOST": nil, "http://localhost.": nil, "http://a.localhost": nil,
		"http://127.0.0.1": nil, "http://127.9.9.9:80": nil, "http://[::1]:80/": nil, "http://[::ffff:127.0.0.1]": nil,

		"http://x": httpsec.ErrInsecure, "http://10.0.0.1": httpsec.ErrInsecure, "http://0.0.0.0": httpsec.ErrInsecure,
		"http://[::2]": httpsec.ErrInsecure, "http://[::ffff:10.0.0.1]": httpsec.ErrInsecure, "http://notlocalhost": httpsec.ErrInsecure,
		"http://127.0.0.1.evil.example": httpsec.ErrInsecure, "http://localhost.evil.example": httpsec.ErrInsecure,
		"http://127.1": httpsec.ErrInsecure, "http://2130706433": httpsec.ErrInsecure,

		"": httpsec.ErrURL, "ftp://localhost": httpsec.ErrURL, "//localhost": httpsec.ErrURL, "https:example.com": httpsec.ErrURL,
		"https://": httpsec.ErrURL, "https://:443": httpsec.ErrURL, "https:///keys": httpsec.ErrURL, "https://[": httpsec.ErrURL,
		"http://user@localhost": httpsec.ErrURL, "https://u:p@example.com": httpsec.ErrURL, "https://example.com/#a": httpsec.ErrURL,
	} {
		u, err := httpsec.SecureURL(raw)
		if !errors.Is(err, want) || (u == nil) != (want != nil) {
			t.Errorf("%q: %v, %v; want %v", raw, u, err, want)
		}
		if _, err := httpsec.AbsoluteURL(raw); errors.Is(err, httpsec.ErrURL) != errors.Is(want, httpsec.ErrURL) {
			t.Errorf("%q is no absolute URL: %v", raw, err)
		}
	}
}

func TestLoopback(t *testing.T) {
	for host, want := range map[string]bool{
		"localhost": true, "LocalHost.": true, "a.b.localhost": true, "127.0.0.1": true, "127.1.2.3": true, "::1": true, "[::1]": true,
		"::ffff:127.0.0.1": true,
		"":                 false, "*": false, "*.localhost": false, "localhost.example": false, "0.0.0.0": false, "::": false, "10.0.0.1": false,
		"::ffff:10.0.0.1": false, "localhost:80": false,
	} {
		if got := httpsec.Loopback(host); got != want {
			t.Errorf("%q: %v", host, got)
		}
	}
}
