package broker_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
)

// failingSaves is a store that refuses so many calls of Save as are left, or has
// them wait until held is closed.
type failingSaves struct {
	*brokertest.DurableStore
	left  atomic.Int32
	held  chan struct{}
	waits atomic.Bool
}

func (s *failingSaves) Save(id string, p broker.DurablePosition, done func(error)) {
	if s.waits.Load() {
		go func() {
			<-s.held
			s.DurableStore.Save(id, p, done)
		}()
		return
	}
	if s.left.Add(-1) < 0 {
		s.DurableStore.Save(id, p, done)
		return
	}
	done(errDurableStore)
}

// Close saves at once what could not be saved a moment ago. If it cannot, it says
// so.
func TestStoredDurableIsSavedByClose(t *testing.T) {
	for _, tc := range []struct {
		name   string
		fails  int32
		bodies []string
	}{{"works again", 0, nil}, {"fails", 1 << 20, []string{"1"}}} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				memory := brokertest.NewDurableStore()
				store := &failingSaves{DurableStore: memory}
				var log bytes.Buffer
				o := withDurableStore(broker.Durable{}, memory, nil)
				o.DurableStore, o.Logger = store, slog.New(slog.NewTextHandler(&log, nil))
				b := brokertest.New(t, o)
				ann := attach(t, b, "ann", "ack", "client")
				publish(t, b, "/topic/orders/eu", "1")
				m := expectMessage(t, ann, "1")
				synctest.Wait()
				store.left.Store(1 << 20)
				ann.Send("ACK", "", "id", m.Get("ack"))
				ann.Send("DISCONNECT", "")
				synctest.Wait()
				if theDurable(t, b).Session != "" || store.left.Load() == 1<<20 {
					t.Fatal("the session has not ended, or nothing was saved")
				}
				store.left.Store(tc.fails)
				if err := b.Close(); err != nil {
					t.Fatal(err)
				}
				if got := strings.Contains(log.String(), "could not be saved"); got != (tc.bodies != nil) {
					t.Errorf("logged:\n%s", log.String())
				}
				next := brokertest.New(t, withDurableStore(broker.Durable{}, memory.Crash(), nil))
				wantMessages(t, attach(t, next, "ann"), tc.bodies...)
			})
		})
	}
}

// Every call of Close returns when the broker has ended, not only the first.
func TestCloseWaitsForAnotherClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory := brokertest.NewDurableStore()
		store := &failingSaves{DurableStore: memory, held: make(chan struct{})}
		o := withDurableStore(broker.Durable{}, memory, nil)
		o.DurableStore = store
		b := brokertest.New(t, o)
		ann := attach(t, b, "ann")
		synctest.Wait()
		store.waits.Store(true)
		var ended atomic.Int32
		for range 2 {
			go func() {
				if err := b.Close(); err != nil {
					t.Error(err)
				}
				ended.Add(1)
			}()
		}
		time.Sleep(3 * time.Second) // less than Close waits for the store
		ann.Close()
		synctest.Wait()
		if n := ended.Load(); n != 0 {
			t.Errorf("%d calls of Close have returned before the store has answered", n)
		}
		close(store.held)
		synctest.Wait()
		if n := ended.Load(); n != 2 {
			t.Errorf("%d of 2 calls of Close have returned", n)
		}
	})
}

// closingHistory counts the histories that are in use.
type closingHistory struct {
	broker.HistoryStore
	open atomic.Int32
}

type closingLog struct {
	broker.HistoryLog
	s *closingHistory
}

func (s *closingHistory) Open(ctx context.Context, h broker.History, feed broker.HistoryFeed) (broker.HistoryLog, error) {
	log, err := s.HistoryStore.Open(ctx, h, feed)
	if err != nil {
		return nil, err
	}
	s.open.Add(1)
	return &closingLog{log, s}, nil
}

func (l *closingLog) Close() {
	l.s.open.Add(-1)
	l.HistoryLog.Close()
}

// A broker that cannot be made leaves no history in use.
func TestNewThatFailsClosesTheHistories(t *testing.T) {
	o, histories := overHistory(3)
	s := &closingHistory{HistoryStore: histories}
	durables := brokertest.NewDurableStore()
	durables.Fail(errDurableStore)
	o.HistoryStore, o.DurableStore = s, durables
	o.Durable = []broker.Durable{{Destination: "/topic/orders/**"}}
	if _, err := broker.New(o); !errors.Is(err, errDurableStore) {
		t.Errorf("New: %v", err)
	}
	if n := s.open.Load(); n != 0 {
		t.Errorf("%d histories are in use", n)
	}
}
