package broker

import (
	"strconv"

	"github.com/hoofbeat/hoofbeat/frames"
	"github.com/hoofbeat/hoofbeat/topics"
)

// Headers of a dead letter.
const (
	headerOriginal = "original-destination"
	headerAttempts = "delivery-attempts"
)

// deadLetters returns the function that makes the messages for the dead-letter
// queues. A message in such a queue stays there regardless of the number of
// failed deliveries.
func deadLetters(names *topics.Names) func(m *Message, queue string, attempts int) (string, *Message, int) {
	return func(m *Message, queue string, attempts int) (string, *Message, int) {
		name, ok := names.DeadLetters(queue)
		if !ok {
			return "", nil, 0
		}
		dead := deadLetter(m, name, attempts)
		return name, dead, messageSize(dead)
	}
}

func deadLetter(m *Message, queue string, attempts int) *Message {
	c := *m
	c.Destination = queue
	c.Headers = []frames.Header{
		{Name: headerOriginal, Value: m.Destination},
		{Name: headerAttempts, Value: strconv.Itoa(attempts)},
	}
	for _, h := range m.Headers { // drop the sender's headers of the same names
		if h.Name != headerOriginal && h.Name != headerAttempts {
			c.Headers = append(c.Headers, h)
		}
	}
	return &c
}
