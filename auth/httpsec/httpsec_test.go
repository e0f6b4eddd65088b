package httpsec

import (
	"crypto/tls"
	"net/http"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	for text, want := range map[string]string{
		"https://app.example.com":           "https://app.example.com",
		"HTTPS://App.Example.COM:443":       "https://app.example.com",
		"http://a.example:80":               "http://a.example",
		"ws://a.example:80":                 "ws://a.example",
		"http://a.example:443":              "http://a.example:443",
		"http://localhost:5173":             "http://localhost:5173",
		"https://[2001:DB8:0::1]:8443":      "https://[2001:db8::1]:8443",
		"http://[::ffff:127.0.0.1]":         "http://[::ffff:127.0.0.1]",
		"file://":                           "file://",
		"capacitor://localhost":             "capacitor://localhost",
		"app://-":                           "app://-",
		"chrome-extension://abcdef":         "chrome-extension://abcdef",
		"http://my_host":                    "http://my_host",
		"https://BÜCHER.example":            "https://xn--bcher-kva.example",
		"https://münchen.xn--bcher-kva.com": "https://xn--mnchen-3ya.xn--bcher-kva.com",
		"https://例え.テスト":                    "https://xn--r8jz45g.xn--zckzah",
		"https://straße.de":                 "https://xn--strae-oqa.de",
		"https://президент.рф":              "https://xn--d1abbgf6aiiy.xn--p1ai",
	} {
		o, err := Parse(text)
		if err != nil || o.String() != want {
			t.Errorf("%q is %q, %v, want %q", text, o, err, want)
		}
		if again, err := Parse(want); err != nil || again != o {
			t.Errorf("%q is %v, %v", want, again, err)
		}
	}
	for _, text := range []string{
		"", "null", "*", "app.example.com", "//a.example", "https:", "https://", "https://a.example/", "https://a.example/p", "https://a.example?q",
		"https://a.example#f", "https://u@a.example", `https://a.example\@b`, "https://a.example:", "https://a.example:x", "https://a.example:080",
		"https://a.example:65536", "https://a.example:-1", "https://*.example", "https://a.example:*", "https://a b", "https://a%41", "https://[::1", "https://[::1%25lo]",
		"https://[127.0.0.1]", "https://::1", "1http://a", "ht tp://a", "file://:80", "https://bu\u0308cher.example", "https://a。example", "https://a\u200db",
		"https://\xff", "https://" + strings.Repeat("a", 600), "https://" + strings.Repeat("é", 200), "https://a.example, https://b.example", "https://a\x00",
	} {
		if o, err := Parse(text); err == nil || o != (Origin{}) {
			t.Errorf("%q is taken for %q", text, o)
		}
	}
}

func TestList(t *testing.T) {
	for entry, want := range map[string]map[string]bool{
		"https://a.example":             {"https://a.example": true, "https://a.example:8443": false, "http://a.example": false, "null": false},
		"https://*.example":             {"https://a.example": true, "https://a.b.example": true, "https://example": false, "https://.example": false, "https://aexample": false, "https://a.example:8443": false},
		"https://*.example:*":           {"https://a.example": true, "https://a.example:8443": true, "http://a.example:8443": false},
		"https://*.example:8443":        {"https://a.example": false, "https://a.example:8443": true},
		"http://localhost:*":            {"http://localhost": true, "http://localhost:1": true, "http://a.localhost:1": false, "https://localhost": false},
		"https://*.bücher.example":      {"https://a.xn--bcher-kva.example": true},
		"null":                          {"null": true, "file://": false, "https://a.example": false},
		"file://":                       {"file://": true, "null": false},
		"*":                             {"null": true, "https://a.example": true, "file://": true},
		"ionic://localhost":             {"ionic://localhost": true, "http://localhost": false},
		"moz-extension://0-1":           {"moz-extension://0-1": true},
		"https://app.example.com:00443": nil, "https://*": nil, "https://*.": nil, "https://*a.example": nil, "https://a.*.example": nil, "https://**.example": nil,
		"https://*.*.example": nil, "": nil, "a.example": nil, "https://a/": nil, "NULL": nil, "https://a,https://b": nil,
	} {
		l, err := NewList([]string{entry})
		if (err == nil) != (want != nil) || err != nil && !strings.Contains(err.Error(), "origin") {
			t.Errorf("%q: %v", entry, err)
			continue
		}
		for text, allowed := range want {
			o := Null
			if text != "null" {
				if o, err = Parse(text); err != nil {
					t.Fatal(text, err)
				}
			}
			if l.Allow(o) != allowed {
				t.Errorf("%q allows %s: %v", entry, text, !allowed)
			}
		}
		if anybody := entry == "*" || entry == "null" || entry == "file://"; (l.Anybody() != "") != anybody || err == nil && l.Empty() {
			t.Errorf("%q: anybody's %q, empty %v", entry, l.Anybody(), l.Empty())
		}
	}
	if l := (List{}); !l.Empty() || l.Allow(Origin{}) || l.Allow(Null) || l.Any() {
		t.Error("the zero value allows something")
	}
	_, err := NewList([]string{"https://a。example"})
	if err == nil || !strings.Contains(err.Error(), "xn--") {
		t.Errorf("the error does not say what to write: %v", err)
	}
}

func TestSameHost(t *testing.T) {
	for _, c := range []struct {
		host, origin string
		tls          bool
		same, secure bool
	}{
		{"a.example", "http://a.example", false, true, true},
		{"a.example", "https://a.example", false, true, true}, // a proxy ends TLS
		{"a.example:443", "https://a.example", false, true, true},
		{"a.example", "http://a.example", true, true, false},
		{"a.example:8443", "https://a.example:8443", true, true, true},
		{"a.example:8443", "https://a.example", true, false, false},
		{"a.example", "capacitor://a.example", false, false, false},
		{"a.example", "https://b.example", false, false, false},
		{"a.example/x", "https://a.example", false, false, false},
		{"", "https://a.example", false, false, false},
	} {
		o, err := Parse(c.origin)
		if err != nil {
			t.Fatal(err)
		}
		r := &http.Request{Host: c.host}
		if c.tls {
			r.TLS = new(tls.ConnectionState)
		}
		if SameHost(o, r) != c.same || SecureSameHost(o, r) != c.secure {
			t.Errorf("%+v: %v, %v", c, SameHost(o, r), SecureSameHost(o, r))
		}
	}
}
