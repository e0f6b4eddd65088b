package auth

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

func TestNilPrincipalIsNobody(t *testing.T) {
	var p *Principal
	if _, ok := p.Claim("sub"); ok || !p.Anonymous() || p.HasRole("") || p.HasScope("") || p.HasClaim("sub", "") ||
		p.Expired(time.Now()) {
		t.Error("a nil principal has something")
	}
}

func TestPrincipalHelpers(t *testing.T) {
	p := &Principal{Name: "alice", Roles: []string{"service"}, Scopes: []string{"stomp"}}
	if p.Anonymous() || !(&Principal{}).Anonymous() {
		t.Error("Anonymous is not about the name")
	}
	if !p.HasRole("service") || p.HasRole("Service") || p.HasRole("stomp") {
		t.Error("HasRole")
	}
	if !p.HasScope("stomp") || p.HasScope("service") {
		t.Error("HasScope")
	}
}

func TestPrincipalExpiresAtTheInstant(t *testing.T) {
	at := time.Unix(1_000_000, 0)
	p := &Principal{Expires: at}
	if p.Expired(at.Add(-time.Nanosecond)) || !p.Expired(at) || !p.Expired(at.Add(time.Second)) {
		t.Error("the boundary is wrong")
	}
	if (&Principal{}).Expired(at) {
		t.Error("a zero Expires expired")
	}
}

func TestPrincipalClaims(t *testing.T) {
	var claims map[string]any
	const token = `{"sub":"a","n":42,"frac":1.5,"huge":9007199254740993,"ok":true,"list":["x",7],"obj":{},"null":null}`
	if err := json.Unmarshal([]byte(token), &claims); err != nil {
		t.Fatal(err)
	}
	claims["int"], claims["int64"], claims["number"] = 3, int64(4), json.Number("5")
	claims["strings"], claims["badnumber"] = []string{"y"}, json.Number("1e3")
	p := &Principal{Claims: claims}
	for name, want := range map[string]string{
		"sub": "a", "n": "42", "ok": "true", "int": "3", "int64": "4", "number": "5",
		"frac": "-", "huge": "-", "list": "-", "obj": "-", "null": "-", "missing": "-", "badnumber": "-",
	} {
		got, ok := p.Claim(name)
		if !ok {
			got = "-"
		}
		if got != want {
			t.Errorf("Claim(%q) = %q, want %q", name, got, want)
		}
		if p.HasClaim(name, want) != ok {
			t.Errorf("HasClaim(%q, %q) = %v", name, want, !ok)
		}
	}
	if !p.HasClaim("list", "x") || !p.HasClaim("list", "7") || p.HasClaim("list", "") || !p.HasClaim("strings", "y") {
		t.Error("HasClaim does not look into lists")
	}
}

func TestValidName(t *testing.T) {
	for name, want := range map[string]error{
		"alice": nil, "a/b%2F": nil, "Ünïcode 名": nil, "topic": nil, strings.Repeat("n", MaxNameBytes): nil,
		"": ErrNameBlank, " \t": ErrNameBlank, "\u00a0": ErrNameBlank,
		"a\nb": ErrNameIllegal, "a\r": ErrNameIllegal, "\x00": ErrNameIllegal, "\n": ErrNameIllegal,
		"a\xff": ErrNameEncoding, strings.Repeat("n", MaxNameBytes+1): ErrNameTooLong,
	} {
		if got := ValidName(name); got != want {
			t.Errorf("ValidName(%.20q) = %v, want %v", name, got, want)
		}
	}
	if MaxNameBytes != 1024 {
		t.Error("ErrNameTooLong names another limit")
	}
}
