package admin

import (
	"bytes"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
)

const historyPath = "/api/v1/history/"

// withHistories runs f for histories in memory and over a store.
func withHistories(t *testing.T, f func(t *testing.T, bo broker.Options)) {
	bo := broker.Options{History: []broker.History{{Destination: "/topic/prices/**", Messages: 1}, {Destination: "/topic/chat/*", Messages: 3}}}
	t.Run("memory", func(t *testing.T) { f(t, bo) })
	t.Run("store", func(t *testing.T) {
		bo := bo
		bo.HistoryStore = brokertest.NewHistoryStore()
		f(t, bo)
	})
}

// Histories are listed in pages, sorted, by prefix and by entry.
func TestHistories(t *testing.T) {
	withHistories(t, func(t *testing.T, bo broker.Options) {
		s := start(t, bo, Options{})
		for _, body := range []string{"1", "2", "3", "4"} {
			s.publish(t, "/topic/prices/eu", body)
			s.publish(t, "/topic/chat/a b", strings.Repeat(body, 500))
		}
		s.publish(t, "/topic/prices/us", "1")
		s.publish(t, "/topic/other", "1")
		list := func(parameters string) (names string, p page[history]) {
			t.Helper()
			s.do(t, "GET", "/api/v1/history"+parameters, "").json(t, http.StatusOK, &p)
			var all []string
			for _, h := range p.Items {
				all = append(all, strings.TrimPrefix(h.Destination, "/topic/"))
			}
			return strings.Join(all, ","), p
		}
		for parameters, want := range map[string]string{
			"":                                 "chat/a b,prices/eu,prices/us",
			"?prefix=/topic/prices/":           "prices/eu,prices/us",
			"?prefix=/topic/none":              "",
			"?entry=/topic/chat/*":             "chat/a b",
			"?entry=/topic/chat":               "",
			"?sort=messages":                   "chat/a b,prices/eu,prices/us",
			"?sort=messages&order=asc":         "prices/eu,prices/us,chat/a b",
			"?sort=bytes&limit=1":              "chat/a b",
			"?sort=oldest":                     "chat/a b,prices/eu,prices/us", // kept with 4, 7 and 9 before
			"?sort=oldest&order=asc&offset=2":  "chat/a b",
			"?sort=destination&order=desc":     "prices/us,prices/eu,chat/a b",
			"?limit=1&offset=1":                "prices/eu",
			"?prefix=/topic/prices/&limit=1":   "prices/eu",
			"?offset=3":                        "",
			"?sort=bytes&order=asc&limit=1000": "prices/eu,prices/us,chat/a b",
		} {
			if got, p := list(parameters); got != want || p.Items == nil {
				t.Errorf("%s: %s, want %s", parameters, got, want)
			}
		}
		_, p := list("?limit=2")
		if p.Total != 3 || p.Limit != 2 {
			t.Errorf("the page is %+v", p)
		}
		var one history
		s.do(t, "GET", historyPath+url.PathEscape("/topic/chat/a b"), "").json(t, http.StatusOK, &one)
		if one.Entry != "/topic/chat/*" || one.LastValue || one.Messages != 3 || one.Bytes < 1500 || len(one.Epoch) != 8 || one.OldestOffset != 2 || one.NewestOffset != 4 || one.Oldest < 0 {
			t.Errorf("the history is %+v", one)
		}
		s.do(t, "GET", historyPath+"%2Ftopic%2Fprices%2Feu", "").json(t, http.StatusOK, &one)
		if one.Entry != "/topic/prices/**" || !one.LastValue || one.Messages != 1 || one.OldestOffset != 4 || one.NewestOffset != 4 {
			t.Errorf("the history is %+v", one)
		}
		for _, parameters := range []string{"?sort=age", "?order=up", "?limit=0", "?x=1", "?prefix=a&prefix=b"} {
			s.do(t, "GET", "/api/v1/history"+parameters, "").problem(t, http.StatusBadRequest, "")
		}
		s.do(t, "GET", historyPath+"%2Ftopic%2Fprices%2Feu?x=1", "").problem(t, http.StatusBadRequest, "takes no parameters")
		s.do(t, "GET", historyPath+"%2Ftopic%2Fprices%2Fnone", "").problem(t, http.StatusNotFound, "it has no messages")
		s.do(t, "GET", historyPath+"%2Ftopic%2Fother", "").problem(t, http.StatusNotFound, "it belongs to no entry (history)")
	})
}

// The pages of a long list make the list.
func TestSortPart(t *testing.T) {
	for _, n := range []int{0, 1, 32, 33, 1000} {
		want := make([]int, n)
		for i := range want {
			want[i] = i
		}
		for _, limit := range []int{1, 7, 100, 1000} {
			var got []int
			for from := 0; from < n; from += limit {
				list := rand.Perm(n)
				sortPart(list, from, from+limit, func(x, y *int) int { return *x - *y })
				got = append(got, list[from:min(from+limit, n)]...)
				if slices.Sort(list); !slices.Equal(list, want) {
					t.Fatalf("%d elements from %d: some are lost", n, from)
				}
			}
			if !slices.Equal(got, want) && n > 0 {
				t.Errorf("%d elements in pages of %d: %v", n, limit, got)
			}
		}
	}
}

// A removal must be confirmed and is logged. Then the entry has another epoch.
func TestRemoveHistory(t *testing.T) {
	withHistories(t, func(t *testing.T, bo broker.Options) {
		var log bytes.Buffer
		s := start(t, bo, Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		for range 5 {
			s.publish(t, "/topic/chat/a b", "x")
		}
		s.publish(t, "/topic/chat/other", "x")
		before, err := s.b.History("/topic/chat/other")
		if err != nil {
			t.Fatal(err)
		}
		remove := func(destination, parameters string) answer {
			return s.do(t, "DELETE", historyPath+url.PathEscape(destination)+parameters, "")
		}
		for _, parameters := range []string{"", "?confirm=", "?confirm=yes", "?confirm=false"} {
			remove("/topic/chat/a b", parameters).problem(t, http.StatusBadRequest, "nothing was removed")
		}
		remove("/topic/chat/a b", "?confirm=true&x=1").problem(t, http.StatusBadRequest, "no parameter")
		for _, destination := range []string{"a", "/queue/a", "/topic/", "/topic/chat/*", "/user/ann/queue/a", "/app/a", "/topic/\xff"} {
			remove(destination, "?confirm=true").problem(t, http.StatusBadRequest, "want one topic")
		}
		remove("/topic/chat/none", "?confirm=true").problem(t, http.StatusNotFound, "no history of this destination: it has no messages")
		remove("/topic/none", "?confirm=true").problem(t, http.StatusNotFound, "it belongs to no entry")
		if now, err := s.b.History("/topic/chat/other"); err != nil || now.Epoch != before.Epoch {
			t.Errorf("%+v, %v", now, err)
		}
		if strings.Contains(log.String(), "history removed") {
			t.Errorf("the log says %s", log.String())
		}
		var got removed
		remove("/topic/chat/a b", "?confirm=true").json(t, http.StatusOK, &got)
		if got.Removed != 3 {
			t.Errorf("%d messages were removed, want 3", got.Removed)
		}
		if now, err := s.b.History("/topic/chat/other"); err != nil || now.Epoch == before.Epoch || now.Messages != 1 {
			t.Errorf("%+v, was %+v, %v", now, before, err)
		}
		for _, want := range []string{`msg="history removed" destination="/topic/chat/a b" removed=3 remote=`, `msg="admin request" method=DELETE`} {
			if !strings.Contains(log.String(), want) {
				t.Errorf("the log lacks %s: %s", want, log.String())
			}
		}
		remove("/topic/chat/a b", "?confirm=true").problem(t, http.StatusNotFound, "it has no messages")
		if err := s.b.Close(); err != nil {
			t.Fatal(err)
		}
		remove("/topic/chat/other", "?confirm=true").problem(t, http.StatusServiceUnavailable, "the broker is closed")
	})
}

// A store that does not work is no mistake of the caller.
func TestRemoveHistoryWithoutTheStore(t *testing.T) {
	histories := brokertest.NewHistoryStore()
	var log bytes.Buffer
	s := start(t, broker.Options{History: []broker.History{{Destination: "/topic/chat/*"}}, HistoryStore: histories}, Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	s.publish(t, "/topic/chat/a", "x")
	histories.SetFaults(func(int) brokertest.HistoryFault { return brokertest.HistoryFault{Err: errors.New("the disk is gone")} })
	s.do(t, "DELETE", historyPath+"%2Ftopic%2Fchat%2Fa?confirm=true", "").problem(t, http.StatusServiceUnavailable, "may be removed or not; the log says why")
	if text := log.String(); !strings.Contains(text, "the disk is gone") {
		t.Errorf("the log does not say why: %s", text)
	}
	if _, err := s.b.History("/topic/chat/a"); err != nil {
		t.Error(err)
	}
}
