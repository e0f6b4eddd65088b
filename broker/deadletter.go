package broker

import (
	"strconv"

	"github.com/hoofbeat/hoofbeat/frames"
	"github.com/hoofbeat/hoofbeat/topics"
)

// Headers that a dead letter carries.
const (
	headerOriginal = "original-destination"
	headerAttempts = "delivery-attempts"
)

// deadLetters returns what makes the messages for the dead-letter queues. What is
// in such a queue stays there however often it is refused.
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
	for _, h := range m.Headers { // what the sender called so is not what we say
		if h.Name != headerOriginal && h.Name != headerAttempts {
			c.Headers = append(c.Headers, h)
		}
	}
	return &c
}
