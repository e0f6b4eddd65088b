package oauth

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
)

// keep stores a token of that many bytes for a user.
func keep(t *testing.T, s TokenStore, user string, access, refresh int) {
	t.Helper()
	token := &Token{
		Access: strings.Repeat("a", access), Refresh: strings.Repeat("r", refresh),
		Scopes: strings.Fields(strings.Repeat("openid ", 3)), Subject: "subject of " + user,
	}
	if err := s.Update(context.Background(), Key{user, "idp"}, func(*Token) *Token { return token }); err != nil {
		t.Fatal(err)
	}
}

// The tokens that are stored hold what they count, and never more than the
// limit: those that have not been used for the longest time make room.
func TestStoredTokensHoldWhatIsDocumented(t *testing.T) {
	const limit = 1 << 20
	for name, test := range map[string]struct{ users, access, refresh int }{
		"small":                 {6_000, 20, 20},
		"large":                 {300, maxTokenBytes, maxTokenBytes},
		"many refreshes of one": {0, 30_000, 30_000},
	} {
		t.Run(name, func(t *testing.T) {
			memory := NewMemoryStore()
			memory.tokens.max = limit
			before := testkit.Heap()
			keep(t, memory, "ann", 100, 100)
			for i := range 300 {
				if test.users == 0 {
					keep(t, memory, "bob", test.access, test.refresh)
				}
				for j := range test.users / 300 {
					keep(t, memory, fmt.Sprintf("user %d.%d", i, j), test.access, test.refresh)
				}
				if _, err := memory.Load(t.Context(), Key{"ann", "idp"}); err != nil {
					t.Fatalf("ann's token, which is in use: %v", err)
				}
			}
			held, counted := testkit.Heap()-before, memory.tokens.bytes
			t.Logf("%d tokens hold %d bytes, %d are counted", len(memory.tokens.entries), held, counted)
			if counted > limit || held > counted*5/4+64<<10 {
				t.Errorf("%d bytes are held, %d are counted, at most %d may be", held, counted, limit)
			}
			runtime.KeepAlive(memory)
		})
	}
}

// A full file drops the oldest tokens too, and stays so when it is read again.
func TestFullTokenFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tokens")
	file := newFileStore(t, path, make([]byte, 32))
	file.tokens.max = 256 << 10
	for i := range 6 {
		keep(t, file, fmt.Sprint("user", i), 60_000, 0)
	}
	for _, s := range []*FileStore{file, newFileStore(t, path, make([]byte, 32))} {
		if _, err := s.Load(t.Context(), Key{"user0", "idp"}); !errors.Is(err, ErrNoToken) {
			t.Errorf("the oldest token: %v", err)
		}
		if _, err := s.Load(t.Context(), Key{"user5", "idp"}); err != nil {
			t.Errorf("the newest token: %v", err)
		}
		if s.tokens.bytes > 256<<10 || len(s.tokens.entries) < 3 {
			t.Errorf("%d tokens of %d bytes", len(s.tokens.entries), s.tokens.bytes)
		}
	}
}

// The log says when a full store has removed tokens, once for all that made
// room.
func TestFullStoreIsLogged(t *testing.T) {
	var log bytes.Buffer
	memory := NewMemoryStore()
	memory.tokens.max = 256 << 10
	c := newClient(t, newStandin(), func(o *Options) {
		o.Store, o.Logger = memory, slog.New(slog.NewTextHandler(&log, nil))
	})
	save := func(user string) {
		token := &Token{Access: strings.Repeat("a", 60_000)}
		if err := c.update(t.Context(), Key{user, "idp"}, func(*Token) *Token { return token }); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 4 {
		save(fmt.Sprint("user", i))
	}
	if log.Len() > 0 {
		t.Errorf("without a removal: %s", &log)
	}
	save("user4")
	if got := log.String(); strings.Count(got, "the store of tokens is full") != 1 || !strings.Contains(got, "removed=1") {
		t.Errorf("the log is %q", got)
	}
	log.Reset()
	save("user4")
	if log.Len() > 0 {
		t.Errorf("it is said again: %s", &log)
	}
}
