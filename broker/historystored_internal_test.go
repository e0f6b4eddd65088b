package broker

import (
	"context"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
	"github.com/hoofbeat/hoofbeat/broker/internal/ring"
)

// quietLog is a log that does nothing.
type quietLog struct{}

func (quietLog) Append([]HistoryPut, func(error))                    {}
func (quietLog) Fetch(context.Context, []uint64) ([]*Message, error) { return nil, nil }
func (quietLog) Remove(context.Context, string) error                { return nil }
func (quietLog) SetLimits(History)                                   {}
func (quietLog) Close()                                              {}

// Limits that are set while the history begins anew are those of the new index.
func TestLimitsThatAreSetWhileAHistoryBegins(t *testing.T) {
	for range 200 {
		s := &storedHistory{b: &Broker{started: time.Now()}, a: new(archive), log: quietLog{}, limits: ring.Limits{Messages: 10}}
		s.Begin(HistoryBeginning{Epoch: "one", First: 1})
		s.a.mu.Lock()
		begun := make(chan struct{})
		go func() {
			defer close(begun)
			s.Begin(HistoryBeginning{Epoch: "two", First: 1})
		}()
		for range 10 {
			runtime.Gosched() // it waits for the archive now, or later
		}
		s.SetLimits(History{Destination: "/topic/a", Messages: 1})
		s.a.mu.Unlock()
		testkit.Receive(t, begun)
		for n := range uint64(3) {
			s.index.Load().set.Put(n+1, "/topic/a", struct{}{}, 1, 0)
		}
		if n := s.Stats().Messages; n != 1 {
			t.Fatalf("%d messages are kept, want 1", n)
		}
	}
}

// slowLog takes a second to close.
type slowLog struct{ quietLog }

func (slowLog) Close() { time.Sleep(time.Second) }

func TestHistoriesAreClosedSideBySide(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := new(Broker)
		for range 5 {
			b.archives = append(b.archives, &archive{stored: &storedHistory{log: slowLog{}}})
		}
		began := time.Now()
		b.closeHistories()
		if took := time.Since(began); took != time.Second {
			t.Errorf("closing took %v, want a second", took)
		}
	})
}
