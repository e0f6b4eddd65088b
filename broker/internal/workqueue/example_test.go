package workqueue_test

import (
	"fmt"

	"github.com/hoofbeat/hoofbeat/broker/internal/workqueue"
)

// batch is what one call carries along; a broker collects in it the outboxes to
// wake afterwards.
type batch struct{ touched int }

// worker takes every message and remembers the last.
type worker struct {
	last *workqueue.Delivery[string, *batch]
}

func (w *worker) Offer(b *batch, d *workqueue.Delivery[string, *batch]) bool {
	w.last = d
	b.touched++
	return true
}

func Example() {
	store := workqueue.New[string, *batch](workqueue.Limits{}, nil)
	w, b := &worker{}, &batch{}
	consumer, err := store.Consume("/queue/jobs", w, 10, false)
	if err != nil {
		fmt.Println(err)
		return
	}
	consumer.Start(b)
	if err := store.Put(b, "/queue/jobs", "resize 1.png", 12); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(w.last.Message(), w.last.Attempt())
	w.last.Nack(b)
	fmt.Println(w.last.Message(), w.last.Attempt())
	fmt.Println(w.last.Ack(b), w.last.Ack(b), b.touched)
	// Output:
	// resize 1.png 1
	// resize 1.png 2
	// true false 2
}
