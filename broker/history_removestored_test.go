package broker_test

import (
	"context"
	"sync"
	"testing"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
)

// slowHistory is a store that has found the messages and gives them to the broker
// when it may.
type slowHistory struct {
	*brokertest.HistoryStore
	found, resume chan struct{}
}

type slowLog struct {
	broker.HistoryLog
	s    *slowHistory
	once sync.Once
}

func (s *slowHistory) Open(ctx context.Context, h broker.History, feed broker.HistoryFeed) (broker.HistoryLog, error) {
	log, err := s.HistoryStore.Open(ctx, h, feed)
	return &slowLog{HistoryLog: log, s: s}, err
}

func (l *slowLog) Fetch(ctx context.Context, numbers []uint64) ([]*broker.Message, error) {
	list, err := l.HistoryLog.Fetch(ctx, numbers)
	l.once.Do(func() {
		close(l.s.found)
		<-l.s.resume
	})
	return list, err
}

// What is removed while it is on its way from the store is not delivered after
// the removal.
func TestRemovedOnTheWayFromTheStore(t *testing.T) {
	o, s := overHistory(3)
	b := brokertest.New(t, o)
	publish(t, b, "/topic/prices/a", "a")
	publish(t, b, "/topic/prices/b", "b")
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	slow := &slowHistory{s, make(chan struct{}), make(chan struct{})}
	open := sync.OnceFunc(func() { close(slow.resume) })
	defer open()
	o.HistoryStore = slow
	b = brokertest.New(t, o) // has them in the store only
	c := brokertest.Connect(t, b)
	c.Send("SUBSCRIBE", "", "id", "1", "destination", "/topic/prices/*", "offset", "first", "receipt", "s")
	testkit.Receive(t, slow.found)
	remove(t, b, "/topic/prices/a", 1)
	open()
	wantHeaders(t, c.Expect(t, "RECEIPT"), "recovered", "false")
	if m := c.Expect(t, "MESSAGE"); string(m.Body) != "b" { // which a goroutine delivers
		t.Errorf("received %q, want b", m.Body)
	}
	wantMessages(t, c)
}
