package store

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/cluster/embedded"
)

// When the engine does not answer, Close waits for the messages of all entries
// together.
func TestClosingManyHistoriesTakesAsLongAsOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &Histories{data: new(link), control: new(link), stop: func() {}}
		for range 5 {
			l := &historyLog{h: h, ended: make(chan struct{})}
			l.changed.L = &l.mu
			l.writer = newWriter(h.data, l, true)
			l.writer.open()
			l.writer.flying = 1
			h.logs = append(h.logs, l)
			go l.writer.run()
			go l.run()
		}
		began := time.Now()
		if err := h.Close(); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took != closeTimeout {
			t.Errorf("closing took %v, want %v", took, closeTimeout)
		}
		if len(h.logs) > 0 {
			t.Errorf("%d entries are still used", len(h.logs))
		}
	})
}

// failing has the store fail while an entry is opened.
type failing struct {
	broker.HistoryFeed
	ready func()
}

func (failing) Begin(broker.HistoryBeginning) {}
func (failing) Kept([]broker.HistoryRecord)   {}
func (f failing) Ready()                      { f.ready() }

func TestAnEntryIsNotOpenedWhenTheEngineFailsMeanwhile(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	engine, err := embedded.Start(ctx, embedded.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer engine.Close()
	conn, err := engine.Connect()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	h, err := OpenHistories(ctx, Options{Data: conn, Control: conn}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	broken := errors.New("broken")
	h.watcher.begin = func(context.Context) error { return broken } // it does not work again
	_, err = h.Open(ctx, broker.History{Destination: "/topic/prices", Messages: 1}, failing{ready: func() { h.fail(broken) }})
	if !errors.Is(err, broken) || errors.Is(err, errClosed) {
		t.Errorf("got %v, want that the store does not work", err)
	}
}
