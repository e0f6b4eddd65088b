package broker

import (
	"fmt"
	"strconv"
	"time"

	"github.com/hoofbeat/hoofbeat/frames"
)

// Headers of a SEND that say when its message is due and when it expires. The
// names are those of RabbitMQ and ActiveMQ; docs/headers.md describes them.
const (
	headerExpires    = "expires"             // milliseconds since 1970, 0 for never
	headerExpiration = "expiration"          // milliseconds
	headerTTL        = "ttl"                 // the same
	headerDelay      = "delay"               // milliseconds
	headerAMQDelay   = "AMQ_SCHEDULED_DELAY" // the same

	headerAMQPeriod = "AMQ_SCHEDULED_PERIOD" // not supported, as the next two
	headerAMQRepeat = "AMQ_SCHEDULED_REPEAT"
	headerAMQCron   = "AMQ_SCHEDULED_CRON"
)

// times say when a message is due and when it expires, in milliseconds since
// 1970. The zero value means at once and never.
type times struct{ due, expires int64 }

// moment is the present in milliseconds since 1970.
func moment() int64 { return time.Now().UnixMilli() }

// expired reports whether a message that expires at a moment has expired.
func expired(at int64) bool { return at != 0 && moment() >= at }

// readTimes reads the times from the headers of a message. Of several headers
// the earliest expiry and the latest due time count. A lifetime begins when the
// message is due. relative reports whether a lifetime was given. The error is a
// text for the sender.
func readTimes(list []frames.Header) (t times, relative bool, _ error) {
	var delay, lifetime, expires int64
	seen := make(map[string]bool, 4)
	for i := range list {
		h := &list[i]
		if seen[h.Name] {
			continue // the first one counts
		}
		seen[h.Name] = true
		switch h.Name {
		case headerDelay, headerAMQDelay:
			n, ok := milliseconds(h.Value)
			if !ok {
				return t, false, badTime(h, "a whole number of milliseconds from 0 to %d", maxMilliseconds)
			}
			delay = max(delay, n)
		case headerExpiration, headerTTL:
			n, ok := milliseconds(h.Value)
			if !ok || n == 0 {
				return t, false, badTime(h, "a whole number of milliseconds from 1 to %d", maxMilliseconds)
			}
			if lifetime == 0 || n < lifetime {
				lifetime = n
			}
		case headerExpires:
			n, ok := milliseconds(h.Value)
			if !ok || n != 0 && n < earliestExpiry {
				return t, false, badTime(h, "a time in milliseconds since 1970, or 0 for never")
			}
			expires = n
		case headerAMQPeriod, headerAMQRepeat, headerAMQCron:
			if h.Value != "" && h.Value != "0" {
				return t, false, fmt.Errorf("%s is not supported: a message is delivered once", h.Name)
			}
		}
	}
	if delay > 0 {
		t.due = moment() + delay
	}
	if lifetime > 0 {
		until := lifetime + max(t.due, moment())
		if expires == 0 || until < expires {
			expires = until
		}
	}
	t.expires = expires
	return t, lifetime > 0, nil
}

const (
	// maxMilliseconds is the largest whole number that JavaScript can write.
	maxMilliseconds = 1<<53 - 1
	// earliestExpiry is in 1973: what is less was meant to be seconds, or a
	// lifetime.
	earliestExpiry = 100_000_000_000
)

// milliseconds reads a whole number without a sign.
func milliseconds(text string) (n int64, ok bool) {
	if text == "" || len(text) > 16 {
		return 0, false
	}
	for _, c := range []byte(text) {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, n <= maxMilliseconds
}

func badTime(h *frames.Header, form string, args ...any) error {
	return fmt.Errorf("%s must be "+form+", not %s", append(append([]any{h.Name}, args...), strconv.QuoteToASCII(brief(h.Value)))...)
}

// honour reads the times from the headers of the publication. Receivers get the
// time of its expiry, even if the sender gave a lifetime, and no header that
// would delay the message again if it is sent on.
func (p *publication) honour() error {
	t, relative, err := readTimes(p.Headers)
	if err != nil {
		return err
	}
	p.times = t
	if t.due == 0 && !relative {
		return nil
	}
	kept := make([]frames.Header, 0, len(p.Headers)+1)
	for _, h := range p.Headers {
		switch h.Name {
		case headerDelay, headerAMQDelay:
			if t.due != 0 {
				continue
			}
		case headerExpires:
			if relative {
				continue
			}
		}
		kept = append(kept, h)
	}
	if relative {
		kept = append(kept, frames.Header{Name: headerExpires, Value: strconv.FormatInt(t.expires, 10)})
	}
	p.Headers = kept
	return nil
}

// expiryOf returns when a message that was accepted expires: [publication.honour]
// has put that into one header.
func expiryOf(list []frames.Header) int64 {
	for i := range list {
		if list[i].Name == headerExpires {
			n, _ := milliseconds(list[i].Value)
			return n
		}
	}
	return 0
}
