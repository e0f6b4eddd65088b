package store

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go/jetstream"
)

// names are the streams and subjects of one prefix. Subjects do not contain the
// prefix of the streams' names, but its lower-case form.
type names struct {
	stream   string // <PREFIX>_QUEUE
	attempts string // KV_<PREFIX>_QUEUE, a bucket
	subjects string // <prefix>.q.
	delayed  string // <prefix>.w.
	ids      string // <prefix>.i.
	records  string // $KV.<PREFIX>_QUEUE.
}

const defaultPrefix = "hb"

func namesOf(prefix string) names {
	if prefix == "" {
		prefix = defaultPrefix
	}
	upper := strings.ToUpper(prefix)
	return names{
		stream: upper + "_QUEUE", attempts: "KV_" + upper + "_QUEUE",
		subjects: prefix + ".q.", delayed: prefix + ".w.", ids: prefix + ".i.", records: "$KV." + upper + "_QUEUE.",
	}
}

// hashed returns a short name for a text, in lower case.
func hashed(text string, bytes int) string {
	sum := sha256.Sum256([]byte(text))
	return inLetters(sum[:bytes])
}

// inLetters returns bytes as lower-case letters and digits.
func inLetters(b []byte) string {
	return strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(b))
}

// queueToken returns what stands for the name of a queue in its subject,
// <2 hex>.<hash>, and the hash. The two digits are there so that the queues can
// be spread over several streams one day. The stored messages have the name.
func queueToken(name string) (token, hash string) {
	sum := sha256.Sum256([]byte(name))
	hash = inLetters(sum[:20])
	return hex.EncodeToString(sum[20:21]) + "." + hash, hash
}

// subject returns the subject of the messages of a queue.
func (n *names) subject(q *ledgerQueue) string { return n.subjects + q.token }

// replacementSubject returns the subject of a message that takes the place of
// the one with the sequence origin. Only one message is ever put there.
func (n *names) replacementSubject(q *ledgerQueue, origin uint64) string {
	return n.subject(q) + "." + strconv.FormatUint(origin, 10)
}

// isReplacement reports whether a subject is a replacementSubject.
func (n *names) isReplacement(subject string) bool {
	return strings.Count(strings.TrimPrefix(subject, n.subjects), ".") == 2
}

// filters are what the consumer of a queue reads.
func (n *names) filters(q *ledgerQueue, wide bool) []string {
	if !wide {
		return []string{n.subject(q)}
	}
	return []string{n.subject(q), n.subject(q) + ".>"}
}

// consumerKey returns what the names of all consumers of a queue begin with:
// q_<hash>_<id>.
func consumerKey(q *ledgerQueue) string { return "q_" + q.hash }

func consumerKeyOf(name string) string {
	if at := strings.LastIndexByte(name, '_'); at > 1 {
		return name[:at]
	}
	return name
}

// delaySubject returns the subject of a delayed message, which is alone there.
func (n *names) delaySubject(id string) string { return n.delayOf(id) + "m" }

// delayMark returns the subject of the mark that says that it was moved.
func (n *names) delayMark(id string) string { return n.delayOf(id) + "d" }

// delayAll matches both.
func (n *names) delayAll(id string) string { return n.delayOf(id) + "*" }

func (n *names) delayOf(id string) string {
	sum := sha256.Sum256([]byte(id))
	return n.delayed + hex.EncodeToString(sum[:16]) + "."
}

// isDelay reports whether a subject is of a delayed message, or a mark.
func (n *names) isDelay(subject string) (yes, mark bool) {
	return strings.HasPrefix(subject, n.delayed), strings.HasSuffix(subject, ".d")
}

// record returns the subject of the attempts of a message.
func (n *names) record(sequence uint64) string {
	return n.records + "a." + strconv.FormatUint(sequence, 10)
}

// streamConfig returns the stream of all queues. messages is the limit of one
// subject: the engine deletes messages if a lower one is set, so it is never
// less than what the fullest queue holds.
func (n *names) streamConfig(o *Options, messages int) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:        n.stream,
		Description: "work queues, delayed messages and the ids of messages",
		Subjects:    []string{n.subjects + ">", n.delayed + ">", n.ids + ">"},
		Retention:   jetstream.WorkQueuePolicy,
		Storage:     jetstream.FileStorage,
		Replicas:    1,
		Discard:     jetstream.DiscardNew, DiscardNewPerSubject: true,
		MaxMsgsPerSubject:  int64(messages),
		MaxMsgs:            -1,
		MaxBytes:           o.maxBytes(),
		MaxMsgSize:         o.maxMessage,
		MaxConsumers:       maxConsumers(o.Limits.complete().Queues),
		Duplicates:         duplicates,
		AllowDirect:        true,
		AllowAtomicPublish: true,
	}
}

// attemptsConfig returns the bucket of the attempts: a record for each message
// with a failed delivery.
func (n *names) attemptsConfig(o *Options) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:              n.attempts,
		Description:       "failed deliveries of messages in work queues",
		Subjects:          []string{n.records + ">"},
		Storage:           jetstream.FileStorage,
		Replicas:          1,
		Discard:           jetstream.DiscardNew,
		MaxMsgsPerSubject: 1,
		MaxMsgs:           -1,
		MaxBytes:          o.maxAttempts(),
		MaxMsgSize:        attemptsMessage,
		MaxConsumers:      16,
		Duplicates:        duplicates,
		AllowDirect:       true,
		AllowRollup:       true,
	}
}

// maxConsumers leaves room for consumers of queues that are not read any more,
// until they are deleted.
func maxConsumers(queues int) int { return 2 * min(max(queues, 1000), 1<<20) }
