package store

import (
	"strings"

	"github.com/nats-io/nats.go/jetstream"
)

// durableNames are the streams and subjects of one prefix.
type durableNames struct {
	stream   string // <PREFIX>_DURABLE
	records  string // KV_<PREFIX>_DURABLE, a bucket
	subjects string // <prefix>.d
	keys     string // $KV.<PREFIX>_DURABLE.
}

func durableNamesOf(prefix string) durableNames {
	if prefix == "" {
		prefix = defaultPrefix
	}
	upper := strings.ToUpper(prefix)
	return durableNames{
		stream: upper + "_DURABLE", records: "KV_" + upper + "_DURABLE",
		subjects: prefix + ".d", keys: "$KV." + upper + "_DURABLE.",
	}
}

// maxTopicSubject is the length of a destination's subject from which all such
// destinations share one.
const maxTopicSubject = 512

// subject returns the subject of the messages to a destination. Its segments are
// tokens, so that a consumer can read what a pattern matches; the stored messages
// have the destination.
func (n *durableNames) subject(destination string) string {
	var b strings.Builder
	b.WriteString(n.subjects)
	for segment := range strings.SplitSeq(destination, "/") {
		if segment == "" {
			continue
		}
		b.WriteByte('.')
		for i := range len(segment) {
			c := segment[i]
			if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || c == '-' {
				b.WriteByte(c)
				continue
			}
			const digits = "0123456789ABCDEF"
			b.WriteByte('=')
			b.WriteByte(digits[c>>4])
			b.WriteByte(digits[c&15])
		}
		if b.Len() > maxTopicSubject {
			return n.subjects + ".="
		}
	}
	return b.String()
}

// definition returns the key of a subscription, of which there is one for each
// user and name.
func (n *durableNames) definition(user, name string) string {
	return n.keys + "d." + hashed(user+"\x00"+name, 20)
}

// position returns the key of the position of a subscription.
func (n *durableNames) position(id string) string { return n.keys + "p." + id }

func (n *durableNames) isDefinition(subject string) bool {
	return strings.HasPrefix(subject, n.keys+"d.")
}

// positionOf returns the ID of the subscription that a position is of.
func (n *durableNames) positionOf(subject string) (string, bool) {
	return strings.CutPrefix(subject, n.keys+"p.")
}

// streamConfig returns the stream of all messages. Who wants them is known to the
// node, which removes what nobody wants.
func (n *durableNames) streamConfig(o *Options) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:               n.stream,
		Description:        "messages that durable subscriptions wait for",
		Subjects:           []string{n.subjects + ".>"},
		Storage:            jetstream.FileStorage,
		Replicas:           1,
		Discard:            jetstream.DiscardNew,
		MaxMsgs:            -1,
		MaxBytes:           noneAsMinus(o.MaxBytes),
		MaxMsgsPerSubject:  -1,
		MaxMsgSize:         o.maxMessage,
		MaxConsumers:       16,
		Duplicates:         duplicates,
		AllowDirect:        true,
		AllowAtomicPublish: true,
	}
}

// recordsBytes limits the bucket of the records. One of a subscription that has
// settled half of 10,000 messages in no order has about 50 KiB.
const recordsBytes = 256 << 20

// maxRecords is the limit of that bucket.
func (o *Options) maxRecords() int64 {
	if o.MaxBytes <= 0 {
		return recordsBytes
	}
	return min(recordsBytes, max(o.MaxBytes/4, 1<<20))
}

func (n *durableNames) recordsConfig(o *Options) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:               n.records,
		Description:        "durable subscriptions and their positions",
		Subjects:           []string{n.keys + ">"},
		Storage:            jetstream.FileStorage,
		Replicas:           1,
		Discard:            jetstream.DiscardNew,
		MaxMsgsPerSubject:  1,
		MaxMsgs:            -1,
		MaxBytes:           o.maxRecords(),
		MaxMsgSize:         o.maxMessage,
		MaxConsumers:       16,
		Duplicates:         duplicates,
		AllowDirect:        true,
		AllowRollup:        true,
		AllowAtomicPublish: true,
	}
}

func noneAsMinus(bytes int64) int64 {
	if bytes <= 0 {
		return -1
	}
	return bytes
}
