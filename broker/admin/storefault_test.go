package admin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
)

// brokenStore is a store of queues that fails when it is told to.
type brokenStore struct {
	*brokertest.QueueStore
	broken atomic.Bool
}

var errBroken = errors.New("the disk is gone")

func (s *brokenStore) err() error {
	if s.broken.Load() {
		return errBroken
	}
	return nil
}

func (s *brokenStore) Append(list []broker.QueuePut, done func(error)) {
	if s.err() != nil {
		done(errBroken)
		return
	}
	s.QueueStore.Append(list, done)
}

func (s *brokenStore) Delay(delayed []broker.DelayPut, list []broker.QueuePut, done func(error)) {
	if s.err() != nil {
		done(errBroken)
		return
	}
	s.QueueStore.Delay(delayed, list, done)
}

func (s *brokenStore) CancelDelay(id string, done func(error)) {
	if s.err() != nil {
		done(errBroken)
		return
	}
	s.QueueStore.CancelDelay(id, done)
}

func (s *brokenStore) Browse(ctx context.Context, queue string, after uint64, limit int) ([]broker.StoredMessage, error) {
	if s.err() != nil {
		return nil, errBroken
	}
	return s.QueueStore.Browse(ctx, queue, after, limit)
}

func (s *brokenStore) Purge(ctx context.Context, queue string) (int, error) {
	if s.err() != nil {
		return 0, errBroken
	}
	return s.QueueStore.Purge(ctx, queue)
}

// A request that needs a store which does not work is answered with 503, and the
// log says why: it is no mistake of the caller.
func TestAStoreThatDoesNotWork(t *testing.T) {
	queues, durables := &brokenStore{QueueStore: brokertest.NewQueueStore(broker.Queues{})}, brokertest.NewDurableStore()
	var log bytes.Buffer
	b := brokertest.New(t, broker.Options{QueueStore: queues, DurableStore: durables, Durable: []broker.Durable{{Destination: "/topic/orders/**"}}})
	h := newHandler(t, b, Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	do := func(method, path, body string) answer {
		t.Helper()
		return serve(h, request(t, method, "http://localhost/api/v1"+path, body))
	}
	var delayed published
	do("POST", "/messages", `{"destination":"/queue/a","body":"x"}`).json(t, http.StatusAccepted, new(published))
	do("POST", "/messages", `{"destination":"/queue/a","headers":{"delay":"3600000"}}`).json(t, http.StatusAccepted, &delayed)
	for n := range 3 {
		c := brokertest.Connect(t, b, "login", "ann")
		c.Subscribe(t, "1", "/topic/orders/eu", "durable", fmt.Sprint(n))
		c.Close()
	}

	queues.broken.Store(true)
	durables.Fail(errBroken)
	for _, x := range []struct{ method, path, body, detail string }{
		{"POST", "/messages", `{"destination":"/queue/a","body":"x"}`, "may be stored or not"},
		{"POST", "/messages", `{"destination":"/queue/a","headers":{"delay":"3600000"}}`, "may be stored or not"},
		{"POST", "/messages", `{"destination":"/topic/orders/eu","body":"x"}`, "may be stored or not"},
		{"GET", "/queues/%2Fqueue%2Fa/messages", "", "the store of the queues"},
		{"DELETE", "/queues/%2Fqueue%2Fa/messages?confirm=true", "", "the store of the queues"},
		{"DELETE", "/queues/%2Fqueue%2Fa/messages/1", "", "the store of the queues"},
		{"POST", "/queues/%2Fqueue%2Fa/moves", `{"to":"/queue/b"}`, "the store of the queues"},
		{"DELETE", "/delayed/" + escape(delayed.MessageID), "", "may be cancelled or not"},
		{"DELETE", "/users/ann/subscriptions/0", "", "not from the store yet"},
		{"DELETE", "/users/ann/subscriptions", "", "not from the store yet"},
	} {
		log.Reset()
		do(x.method, x.path, x.body).problem(t, http.StatusServiceUnavailable, x.detail)
		if text := log.String(); !strings.Contains(text, errBroken.Error()) {
			t.Errorf("%s %s: the log does not say why:\n%s", x.method, x.path, text)
		}
	}
}
