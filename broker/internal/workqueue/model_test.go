package workqueue

import (
	"slices"
	"strings"
)

// model is a naive store of slices, sums and searches. It predicts every offer.
type model struct {
	messages, bytes, queues, total, attempts int
	names                                    map[string]*modelQueue
	offers                                   []offered
}

type modelQueue struct {
	name      string
	waiting   []*modelMessage
	moving    []*modelMessage // on their way to a dead-letter queue
	ready     []*modelConsumer
	consumers []*modelConsumer
	lastSeq   int
}

type modelMessage struct {
	id, seq, size, attempts int
	number                  int // number of its delivery to the consumer that holds it
	refusedBy               *modelConsumer
}

type modelConsumer struct {
	id              int
	queue           *modelQueue
	prefetch, room  int
	auto            bool
	started, parked bool
	closed          bool
	held            []*modelMessage
	numbered        int // deliveries that it held
	latest          int // number of the latest that it answered
}

// offered is one call of Offer.
type offered struct {
	consumer, message, attempt int
	taken                      bool
}

// modelLetter is the dead-letter function of the property test: like
// deadLetters, but it adds a byte.
func modelLetter(queue string, size int) (string, int) {
	name := strings.TrimPrefix(queue, "/queue/")
	if strings.HasPrefix(name, "DLQ.") {
		return "", 0
	}
	return "/queue/DLQ." + name, size + 1
}

func (q *modelQueue) stored() []*modelMessage {
	all := slices.Concat(q.waiting, q.moving)
	for _, k := range q.consumers {
		all = append(all, k.held...)
	}
	return all
}

func sizes(ms []*modelMessage) int {
	sum := 0
	for _, m := range ms {
		sum += m.size
	}
	return sum
}

func (m *model) open(name string) *modelQueue {
	if q := m.names[name]; q != nil {
		return q
	}
	if len(m.names) >= m.queues {
		return nil
	}
	m.names[name] = &modelQueue{name: name}
	return m.names[name]
}

func (m *model) sweep() {
	for name, q := range m.names {
		if len(q.consumers) == 0 && len(q.stored()) == 0 {
			delete(m.names, name)
		}
	}
}

// put returns the limit that refuses the message, or "". paid is the size that
// it replaces in the total.
func (m *model) put(name string, id, size, paid int) string {
	q := m.open(name)
	if q == nil {
		return LimitQueues
	}
	total := -paid
	for _, other := range m.names {
		total += sizes(other.stored())
	}
	limit := ""
	switch stored := q.stored(); {
	case len(stored)+1 > m.messages:
		limit = LimitMessages
	case sizes(stored)+size > m.bytes:
		limit = LimitBytes
	case total+size > m.total:
		limit = LimitTotalBytes
	default:
		q.push(&modelMessage{id: id, size: size})
		m.dispatch(q)
	}
	return limit
}

func (q *modelQueue) push(msg *modelMessage) {
	q.lastSeq++
	msg.seq = q.lastSeq
	q.waiting = append(q.waiting, msg)
}

func (m *model) dispatch(q *modelQueue) {
	for len(q.waiting) > 0 && len(q.ready) > 0 {
		msg, k := q.waiting[0], q.ready[0]
		if msg.refusedBy == k && len(q.ready) > 1 {
			k = q.ready[1]
		}
		m.offers = append(m.offers, offered{k.id, msg.id, msg.attempts + 1, k.room > 0})
		q.ready = slices.DeleteFunc(q.ready, func(r *modelConsumer) bool { return r == k })
		if k.room == 0 {
			k.parked = true
			continue
		}
		k.room--
		msg.attempts++
		q.waiting = q.waiting[1:]
		if !k.auto {
			k.numbered++
			msg.number = k.numbered
			k.held = append(k.held, msg)
		}
		k.join()
	}
}

func (k *modelConsumer) join() {
	credit := k.prefetch == 0 || len(k.held) < k.prefetch
	if credit && k.started && !k.parked && !k.closed && !slices.Contains(k.queue.ready, k) {
		k.queue.ready = append(k.queue.ready, k)
	}
}

func (m *model) start(k *modelConsumer) {
	k.started = true
	k.join()
	m.dispatch(k.queue)
}

func (m *model) resume(k *modelConsumer) {
	k.parked = false
	k.join()
	m.dispatch(k.queue)
}

func (m *model) close(k *modelConsumer) {
	k.closed = true
	q := k.queue
	q.ready = slices.DeleteFunc(q.ready, func(r *modelConsumer) bool { return r == k })
	back := k.held
	k.held = nil
	q.consumers = slices.DeleteFunc(q.consumers, func(r *modelConsumer) bool { return r == k })
	for i, msg := range back {
		msg.refusedBy = nil
		if i > 0 && msg.number > k.latest {
			msg.attempts--
		}
	}
	m.takeBack(q, back)
	m.sweep()
}

// take removes n messages that k holds, from index i on.
func (k *modelConsumer) take(i, n int) []*modelMessage {
	out := slices.Clone(k.held[i : i+n])
	k.latest = max(k.latest, out[n-1].number)
	k.held = slices.Delete(k.held, i, i+n)
	k.join()
	return out
}

func (m *model) nack(k *modelConsumer, back []*modelMessage) {
	for _, msg := range back {
		msg.refusedBy = k
	}
	m.takeBack(k.queue, back)
}

func (m *model) takeBack(q *modelQueue, back []*modelMessage) {
	q.moving = back
	var stuck, home []*modelMessage
	replaced := 0 // sizes that still fill this queue but were taken over, in the total, by dead letters
	for _, msg := range back {
		name := ""
		size := 0
		if msg.attempts >= m.attempts {
			name, size = modelLetter(q.name, msg.size)
		}
		switch {
		case name == "":
			home = append(home, msg)
		case m.put(name, msg.id, size, msg.size+replaced) != "":
			stuck = append(stuck, msg)
		default:
			replaced += msg.size
		}
	}
	q.moving = nil
	q.waiting = append(home, q.waiting...)
	slices.SortFunc(q.waiting, func(a, b *modelMessage) int { return a.seq - b.seq })
	for _, msg := range stuck {
		q.push(msg)
	}
	m.dispatch(q)
}
