package httpsec

import (
	"strings"
	"testing"
)

func TestHosts(t *testing.T) {
	for entry, want := range map[string]map[string]bool{
		"broker.example.com": {
			"broker.example.com": true, "BROKER.Example.com": true, "broker.example.com:8443": true, "broker.example.com.": true, "broker.example.com.:80": true,
			"evil.example": false, "example.com": false, "a.broker.example.com": false, "broker.example.com.evil.example": false, "broker.example.com..": false,
			"": false, ":80": false, "broker.example.com:": false, "broker.example.com:x": false, "broker.example.com:080": false, "broker.example.com:65536": false,
			"broker.example.com/": false, "u@broker.example.com": false, "broker.example.com broker.example.com": false, "broker.example.com:*": false, "*": false,
			"broker.example.com\x00": false, "broker%2eexample.com": false, "https://broker.example.com": false,
		},
		"Broker.Example.COM.":     {"broker.example.com": true, "broker.example.com.": true},
		"broker.example.com:8443": {"broker.example.com:8443": true, "broker.example.com.:8443": true, "broker.example.com": false, "broker.example.com:443": false},
		"broker.example.com:443":  {"broker.example.com": true, "broker.example.com:443": true, "broker.example.com:80": false},
		"broker.example.com:80":   {"broker.example.com": true, "broker.example.com:80": true, "broker.example.com:8080": false},
		"broker.example.com:*":    {"broker.example.com": true, "broker.example.com:8080": true},
		"*.example.com": {
			"a.example.com": true, "a.b.example.com:8080": true, "A.EXAMPLE.COM.": true, "example.com": false, ".example.com": false, "aexample.com": false,
			"a.example.com.evil.example": false, "*.example.com": false,
		},
		"*.example.com:8443": {"a.example.com:8443": true, "a.example.com": false},
		"broker":             {"broker": true, "broker.": true, "broker.evil.example": false},
		"my_broker":          {"my_broker:8080": true},
		"bücher.example":     {"xn--bcher-kva.example": true, "XN--BCHER-KVA.example": true, "bücher.example": true, "bucher.example": false},
		"BÜCHER.example":     {"xn--bcher-kva.example": true},
		"*.例え.テスト":           {"a.xn--r8jz45g.xn--zckzah": true},
		"[2001:DB8:0::1]":    {"[2001:db8::1]:8080": true, "[2001:db8::2]": false, "2001:db8::1": false},
		"192.0.2.1:8080":     {"192.0.2.1:8080": true, "192.0.2.1": false},
		"*":                  {"evil.example": false, "": false}, // it is Any, and no name
		"":                   nil, " ": nil, ".": nil, "*.": nil, "**": nil, "*a.example": nil, "a.*.example": nil, "*.*.example": nil, "*:8080": nil, "a:": nil, "a:x": nil, "a:0x50": nil,
		"https://a.example": nil, "//a.example": nil, "a.example/ws": nil, "a.example,b.example": nil, "a b": nil, "u@a.example": nil, "[::1": nil, "::1": nil, "[fe80::1%25lo]": nil,
		"a。example": nil, "bu\u0308cher.example": nil, "\xff": nil, strings.Repeat("a", 600): nil, strings.Repeat("é", 200): nil,
	} {
		h, err := NewHosts([]string{entry})
		if (err == nil) != (want != nil) || err != nil && (!strings.Contains(err.Error(), "host") || !h.Empty()) {
			t.Errorf("%q: %v", entry, err)
			continue
		}
		for header, named := range want {
			if h.Name(header) != named {
				t.Errorf("%q names %q: %v", entry, header, !named)
			}
		}
		if err == nil && (h.Empty() || h.Any() != (entry == "*")) {
			t.Errorf("%q: empty %v, any %v", entry, h.Empty(), h.Any())
		}
	}
	if h := (Hosts{}); !h.Empty() || h.Any() || h.Name("") || h.Name("a.example") {
		t.Error("the zero value names something")
	}
	h, err := NewHosts([]string{"a.example", "*.b.example", "c.example:1"})
	if err != nil || !h.Name("a.example") || !h.Name("x.b.example") || !h.Name("c.example:1") || h.Name("c.example") {
		t.Errorf("several: %v", err)
	}
	for entry, want := range map[string]string{"a。example": "xn--", "https://a.example": "leave out the scheme", "a.example/ws": "such as broker.example.com"} {
		if _, err := NewHosts([]string{"b.example", entry}); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), entry) {
			t.Errorf("%q: %v, want %s", entry, err, want)
		}
	}
}

func TestAddressHost(t *testing.T) {
	for header, want := range map[string]bool{
		"192.0.2.1": true, "192.0.2.1:8080": true, "192.0.2.1.": true, "[2001:db8::1]": true, "[2001:DB8::1]:8080": true, "[::ffff:192.0.2.1]": true, "0.0.0.0:1": true,
		"": false, "2001:db8::1": false, "[192.0.2.1]": false, "[::1": false, "192.0.2.1.evil.example": false, "192.0.2": false, "192.0.2.1:x": false,
		"192.0.2.01": false, "0x7f.1": false, "[fe80::1%25lo]": false, "localhost": false, "evil.example": false, "192.0.2.256": false, "192.0.2.1..": false,
	} {
		if AddressHost(header) != want {
			t.Errorf("%q: %v", header, !want)
		}
	}
}

// A dot at the end of a name has no meaning, in the list and in the header.
func TestNamesHost(t *testing.T) {
	l, err := NewList([]string{"http://dev.test:3000", "https://absolute.test.", "https://*.below.test", "*"})
	if err != nil {
		t.Fatal(err)
	}
	for header, want := range map[string]bool{
		"dev.test": true, "DEV.test.:8080": true, "absolute.test": true, "absolute.test.": true, "a.below.test.": true,
		"below.test": false, "evil.example": false, "": false, ".": false,
	} {
		if l.NamesHost(header) != want {
			t.Errorf("%q: %v", header, !want)
		}
	}
}
