package oauth

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
)

func newFileStore(t *testing.T, path string, key []byte) *FileStore {
	t.Helper()
	s, err := OpenFileStore(path, key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestTokenStores(t *testing.T) {
	for name, s := range map[string]TokenStore{
		"memory": NewMemoryStore(),
		"file":   newFileStore(t, filepath.Join(t.TempDir(), "tokens"), make([]byte, 32)),
	} {
		t.Run(name, func(t *testing.T) {
			ctx := t.Context()
			if _, err := s.Load(ctx, aliceAtIDP); !errors.Is(err, ErrNoToken) {
				t.Error(err)
			}
			var wg sync.WaitGroup
			for range 20 {
				wg.Go(func() {
					err := s.Update(ctx, aliceAtIDP, func(old *Token) *Token {
						if old == nil {
							return &Token{Access: "x"}
						}
						return &Token{Access: old.Access + "x"}
					})
					if err != nil {
						t.Error(err)
					}
				})
			}
			testkit.Wait(t, &wg)
			if token, err := s.Load(ctx, aliceAtIDP); err != nil || len(token.Access) != 20 {
				t.Error("an update was lost:", err)
			}
			if _, err := s.Load(ctx, Key{"alice", "other"}); !errors.Is(err, ErrNoToken) {
				t.Error(err)
			}
			if err := s.Update(ctx, aliceAtIDP, func(*Token) *Token { return nil }); err != nil {
				t.Error(err)
			}
			if _, err := s.Load(ctx, aliceAtIDP); !errors.Is(err, ErrNoToken) {
				t.Error(err)
			}
		})
	}
}

func TestA10FileStoreIsEncryptedAndPrivate(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "tokens")
	key := bytes.Repeat([]byte{7}, 32)
	s := newFileStore(t, path, key)
	want := &Token{Access: "abcdef", Refresh: "0123456789", Expires: time.Now().Round(0), Scopes: []string{"sensor-data"}, Subject: "frank"}
	put := func(s *FileStore, k Key, token *Token) error {
		return s.Update(context.Background(), k, func(*Token) *Token { return token })
	}
	if err := put(s, Key{"alice", "idp"}, want); err != nil {
		t.Fatal(err)
	}
	if err := put(s, Key{"bob", "idp"}, &Token{Reconsent: true}); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{"abcdef", "0123456789", "alice", "idp", "frank"} {
		if bytes.Contains(content, []byte(word)) {
			t.Errorf("%s is in clear", word)
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Error(info.Mode(), err)
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) != 1 {
		t.Error("files left behind:", files, err)
	}
	again := newFileStore(t, path, key)
	got, err := again.Load(t.Context(), Key{"alice", "idp"})
	if err != nil || fmt.Sprint(got) != fmt.Sprint(want) || got.Access != want.Access || got.Refresh != want.Refresh || !got.Expires.Equal(want.Expires) {
		t.Errorf("%v %v", got, err)
	}
	if got, err := again.Load(t.Context(), Key{"bob", "idp"}); err != nil || !got.Reconsent {
		t.Error(got, err)
	}

	for name, damage := range map[string]func() ([]byte, []byte){
		"another key": func() ([]byte, []byte) { return content, bytes.Repeat([]byte{8}, 32) },
		"short key":   func() ([]byte, []byte) { return content, key[:16] },
		"one bit":     func() ([]byte, []byte) { c := bytes.Clone(content); c[len(c)/2] ^= 1; return c, key },
		"truncated":   func() ([]byte, []byte) { return content[:len(content)-1], key },
		"empty":       func() ([]byte, []byte) { return nil, key },
		"plain text":  func() ([]byte, []byte) { return []byte("[]"), key },
	} {
		c, k := damage()
		if err := os.WriteFile(path, c, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := OpenFileStore(path, k); !errors.Is(err, ErrStoreKey) {
			t.Error(name, err)
		}
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenFileStore(path, key); !errors.Is(err, ErrStoreMode) {
		t.Error(err)
	}
}

func TestFileStoreKeepsItsEntryWhenWritingFails(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "sub")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "tokens")
	s := newFileStore(t, path, make([]byte, 32))
	put := func(access string) error {
		return s.Update(t.Context(), aliceAtIDP, func(*Token) *Token { return &Token{Access: access} })
	}
	if err := put("old"); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(dir, dir+"-away"); err != nil {
		t.Fatal(err)
	}
	if err := put("new"); err == nil || strings.Contains(err.Error(), "new") {
		t.Error(err)
	}
	if token, err := s.Load(t.Context(), aliceAtIDP); err != nil || token.Access != "old" {
		t.Error(token, err)
	}
	if err := os.Rename(dir+"-away", dir); err != nil {
		t.Fatal(err)
	}
	if token, err := newFileStore(t, path, make([]byte, 32)).Load(t.Context(), aliceAtIDP); err != nil || token.Access != "old" {
		t.Error(token, err)
	}
}

func TestA10TokenShowsNoSecret(t *testing.T) {
	token := Token{Access: "abcdef", Refresh: "0123456789"}
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "value", token, "pointer", &token)
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "value", token, "pointer", &token)
	text := log.String() + fmt.Sprintf("%v %+v %#v %s %v %+v %#v", token, token, token, token, &token, &token, map[Key]*Token{{}: &token})
	if strings.Contains(text, "abcdef") || strings.Contains(text, "0123456789") {
		t.Error(text)
	}
}
