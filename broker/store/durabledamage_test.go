package store_test

import (
	"log/slog"
	"strconv"
	"testing"

	"github.com/nats-io/nats.go/jetstream"
)

// A durable message that cannot be read stays in the store, also when all
// messages around it are removed.
func TestDurableMessageThatCannotBeReadStays(t *testing.T) {
	dir := t.TempDir()
	quiet := func(_ *embeddedOptions, o *storeOptions) { o.Logger = slog.New(slog.DiscardHandler) }
	r := openDurables(t, dir)
	r.load(t, 0)
	several := func(from int) {
		for i := range 8 {
			r.append(t, durablePut(strconv.Itoa(from+i), 1))
		}
	}
	several(0)
	conn, err := r.engine.Connect()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	damaged, err := js.Publish(within(t), "hb.d.damaged", []byte("no message"))
	if err != nil {
		t.Fatal(err)
	}
	several(8)
	conn.Close()
	r.close()

	r = openDurables(t, dir, quiet)
	r.load(t, 0) // nobody wants the others
	r.close()    // removes them

	r = openDurables(t, dir, quiet)
	if got := r.load(t, 0).bodies(); len(got) > 0 {
		t.Errorf("%v were not removed", got)
	}
	if conn, err = r.engine.Connect(); err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if js, err = jetstream.New(conn); err != nil {
		t.Fatal(err)
	}
	s, err := js.Stream(within(t), "HB_DURABLE")
	if err != nil {
		t.Fatal(err)
	}
	m, err := s.GetMsg(within(t), damaged.Sequence)
	if err != nil || string(m.Data) != "no message" {
		t.Errorf("the message that cannot be read: %v, %v", m, err)
	}
}
