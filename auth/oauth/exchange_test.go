package oauth

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestE14ReusedCodeIsRefusedByTheProvider(t *testing.T) {
	s := newStandin()
	s.tokenReply = refuse("invalid_grant")
	b := newBrowser(t, newClient(t, s, nil))
	if resp := b.callback(s, b.login("")); resp.StatusCode != http.StatusBadRequest || b.sessionCookie() != "" {
		t.Error(resp.StatusCode)
	}
}

func TestA7Exchange(t *testing.T) {
	for style, check := range map[AuthStyle]func(r *http.Request) bool{
		AuthBasic: func(r *http.Request) bool {
			user, pass, _ := r.BasicAuth()
			return user == url.QueryEscape(clientID) && pass == url.QueryEscape(secret) && !r.PostForm.Has("client_secret")
		},
		AuthPost: func(r *http.Request) bool {
			return r.Header.Get("Authorization") == "" && r.PostForm.Get("client_secret") == secret
		},
		AuthNone: func(r *http.Request) bool {
			return r.Header.Get("Authorization") == "" && !r.PostForm.Has("client_secret")
		},
	} {
		t.Run(style.String(), func(t *testing.T) {
			s := newStandin()
			b := newBrowser(t, newClient(t, s, func(o *Options) {
				if o.Providers[0].AuthStyle = style; style == AuthNone {
					o.Providers[0].ClientSecret = ""
				}
			}))
			q := b.login("")
			if resp := b.callback(s, q); resp.StatusCode != http.StatusSeeOther {
				t.Fatal(resp.StatusCode)
			}
			r := s.tokenRequests()[0]
			f := r.PostForm
			if r.Method != http.MethodPost || r.URL.String() != issuer+"/token" || r.Header.Get("Content-Type") != "application/x-www-form-urlencoded" || r.Header.Get("Accept") != "application/json" {
				t.Error(r.Method, r.URL, r.Header)
			}
			challenge := sha256.Sum256([]byte(f.Get("code_verifier")))
			if base64.RawURLEncoding.EncodeToString(challenge[:]) != q.Get("code_challenge") {
				t.Error("code_verifier does not fit code_challenge")
			}
			if !check(r) {
				t.Error("client authentication:", f, r.Header)
			}
			f.Del("code_verifier")
			f.Del("client_secret")
			want := url.Values{"grant_type": {"authorization_code"}, "code": {"code-1"}, "redirect_uri": {"https://app.example/oauth/callback"}, "client_id": {clientID}}
			if f.Encode() != want.Encode() {
				t.Error(f)
			}
		})
	}
}

func TestA7ExchangeIsBounded(t *testing.T) {
	for name, reply := range map[string]func(http.ResponseWriter, *http.Request){
		"silence": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"over 1 MiB": func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, `{"access_token":"a","x":"`+strings.Repeat("x", 1<<20)+`"}`)
		},
		"redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://evil.example/token", http.StatusTemporaryRedirect)
		},
		"no JSON":  func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "access_token=abc") },
		"trailing": func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `{"access_token":"a"}{}`) },
		"error as ok": func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, `{"access_token":"a","error":"invalid_client"}`)
		},
		"500": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStandin()
				s.tokenReply = reply
				b := newBrowser(t, newClient(t, s, nil))
				q, start := b.login(""), time.Now()
				if resp := b.callback(s, q); resp.StatusCode != http.StatusBadGateway || b.sessionCookie() != "" {
					t.Error(resp.StatusCode)
				}
				if n := len(s.tokenRequests()); n != 1 {
					t.Errorf("%d token requests", n)
				}
				if took := time.Since(start); took > 5*time.Second || name == "silence" && took != 5*time.Second {
					t.Error("it took", took)
				}
			})
		})
	}
}

func TestA7NothingGoesOverTheNetworkInClear(t *testing.T) {
	_, err := providerClient(direct{newStandin()}).Get("http://idp.example/token")
	if !errors.Is(err, errNotSecure) {
		t.Error(err)
	}
}

func TestRepliesOfOneMebibyteAreTheLongest(t *testing.T) {
	for size, want := range map[int]error{1 << 20: nil, 1<<20 + 1: errReplyTooLarge} {
		client := providerClient(direct{http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, strings.Repeat("x", size))
		})})
		resp, err := client.Get(issuer)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if body, err := io.ReadAll(resp.Body); !errors.Is(err, want) || len(body) > 1<<20 {
			t.Error(size, len(body), err)
		}
	}
}

// brokenStore cannot keep anything.
type brokenStore struct{ *MemoryStore }

var errDisk = errors.New("disk full")

func (brokenStore) Update(context.Context, Key, func(*Token) *Token) error { return errDisk }
