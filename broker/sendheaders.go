package broker

import "github.com/hoofbeat/hoofbeat/frames"

// asks are the headers of a SEND that ask for more than a delivery. Almost no
// message has one, so a look at all headers finds out whether there are any.
type asks uint8

const (
	asksTransaction asks = 1 << iota
	asksOnce
)

// asked returns what the headers ask for.
func asked(list []frames.Header) (a asks) {
	for i := range list {
		switch list[i].Name {
		case frames.HeaderTransaction:
			a |= asksTransaction
		case headerDedup:
			a |= asksOnce
		}
	}
	return a
}
