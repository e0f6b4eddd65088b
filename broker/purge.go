package broker

import (
	"errors"
	"fmt"

	"github.com/hoofbeat/hoofbeat/topics"
)

// ErrNoQueue is returned by [Broker.Purge] when the queue does not exist.
var ErrNoQueue = errors.New("broker: no such queue")

// Purge deletes the messages that wait in a work queue, such as "/queue/jobs",
// and returns their number. They are not delivered and do not become dead
// letters. Messages that consumers hold unacknowledged are not affected. The
// error is ErrNoQueue if the queue has neither messages nor consumers, and
// ErrDestination if the name is not that of a work queue. Safe for concurrent
// use.
func (b *Broker) Purge(queue string) (removed int, err error) {
	d, err := topics.Parse(queue)
	if err != nil {
		return 0, fmt.Errorf("%w: %w", ErrDestination, err)
	}
	if d.Pattern || !b.workQueue(d) {
		return 0, fmt.Errorf("%w: %q does not name one work queue", ErrDestination, queue)
	}
	removed, found := b.queues.Purge(d.Path)
	if !found {
		return 0, ErrNoQueue
	}
	return removed, nil
}
