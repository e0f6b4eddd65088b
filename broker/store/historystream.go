package store

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/hoofbeat/hoofbeat/broker"
)

// historyNames are the streams and subjects of one prefix.
type historyNames struct {
	streams string // <PREFIX>_HISTORY_
	kept    string // <prefix>.r., of what is to be stored
	live    string // <prefix>.h., of what was stored
}

func historyNamesOf(prefix string) historyNames {
	if prefix == "" {
		prefix = defaultPrefix
	}
	return historyNames{streams: strings.ToUpper(prefix) + "_HISTORY_", kept: prefix + ".r.", live: prefix + ".h."}
}

// Metadata of the stream of an entry.
const (
	metaDestination = "hoofbeat.destination"
	metaEpoch       = "hoofbeat.epoch"
	metaFull        = "hoofbeat.full" // the smallest limit of messages that ever was in force
	metaBoot        = "hoofbeat.boot" // the run of the machine
)

// stream returns the name of the stream of an entry, and its token in subjects.
func (n *historyNames) stream(destination string) (name, token string) {
	token = hashed(destination, 10)
	return n.streams + strings.ToUpper(token), token
}

const (
	// expirySlack is how much longer than History.Age the engine keeps a message:
	// the broker decides when it has expired.
	expirySlack = time.Minute
	// historyConsumers is the limit of consumers of a stream, which has none.
	historyConsumers = 16
)

// HistoryBytes returns what the engine reserves for an entry with that
// History.Bytes: a little more, so that the broker decides what is dropped.
func HistoryBytes(bytes int64) int64 { return bytes + bytes/8 + 64<<10 }

// historyConfig returns the stream of an entry.
func (h *Histories) historyConfig(e broker.History, meta map[string]string) jetstream.StreamConfig {
	name, token := h.names.stream(e.Destination)
	c := jetstream.StreamConfig{
		Name:               name,
		Description:        "history",
		Subjects:           []string{h.names.kept + token + ".>"},
		Storage:            jetstream.FileStorage,
		Replicas:           1,
		Discard:            jetstream.DiscardOld,
		MaxMsgsPerSubject:  -1,
		MaxMsgs:            -1,
		MaxBytes:           -1,
		MaxMsgSize:         h.o.maxMessage,
		MaxConsumers:       historyConsumers,
		Duplicates:         duplicates,
		AllowDirect:        true,
		AllowAtomicPublish: true,
		RePublish:          &jetstream.RePublish{Source: h.names.kept + token + ".>", Destination: h.names.live + token + ".>"},
		Metadata:           meta,
	}
	if e.Messages > 0 {
		c.MaxMsgsPerSubject = int64(e.Messages)
	}
	if e.Bytes > 0 {
		c.MaxBytes = HistoryBytes(e.Bytes)
	}
	if e.Age > 0 {
		c.MaxAge = max(e.Age+expirySlack, duplicates+2*idPeriod)
	}
	return c
}

// historyState is what ensure finds.
type historyState struct {
	jetstream.StreamState
	epoch string
	full  int
}

// ensure makes the stream of an entry what it should be. fed is the number of the
// latest message that is known to have been stored, 0 if none is. If the stream
// may have lost messages, it gets another epoch.
func (h *Histories) ensure(ctx context.Context, e broker.History, fed uint64) (historyState, error) {
	js, err := jetstream.New(h.o.Control)
	if err != nil {
		return historyState{}, err
	}
	name, _ := h.names.stream(e.Destination)
	stream, err := js.Stream(ctx, name)
	meta := map[string]string{metaDestination: e.Destination, metaEpoch: newEpoch(), metaFull: strconv.Itoa(max(e.Messages, 0)), metaBoot: boot()}
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		if fed > 0 {
			h.log.Error("the messages of a history are gone; it begins anew", "destination", e.Destination)
		}
	case err != nil:
		return historyState{}, err
	default:
		info := stream.CachedInfo()
		if err := h.inherit(meta, info, e, fed); err != nil {
			return historyState{}, err
		}
		// First what must not be forgotten, then what it is about.
		if now := info.Config; !maps.Equal(ours(now.Metadata), meta) {
			now.Metadata = meta
			if _, err := js.UpdateStream(ctx, now); err != nil {
				return historyState{}, fmt.Errorf("the stream %s: %w", name, err)
			}
		}
	}
	stream, err = js.CreateOrUpdateStream(ctx, h.historyConfig(e, meta))
	if err != nil {
		return historyState{}, fmt.Errorf("the stream %s: %w", name, err)
	}
	full, err := strconv.Atoi(meta[metaFull])
	if err != nil {
		return historyState{}, fmt.Errorf("the stream %s: its metadata is damaged: %s %q", name, metaFull, meta[metaFull])
	}
	return historyState{stream.CachedInfo().State, meta[metaEpoch], full}, nil
}

// inherit takes over what an existing stream says about itself.
func (h *Histories) inherit(meta map[string]string, info *jetstream.StreamInfo, e broker.History, fed uint64) error {
	was := info.Config.Metadata
	if was[metaDestination] != e.Destination || len(was[metaEpoch]) != len(meta[metaEpoch]) {
		return fmt.Errorf("the stream %s is not that of the history of %s", info.Config.Name, e.Destination)
	}
	full, err := strconv.Atoi(was[metaFull])
	if err != nil {
		return fmt.Errorf("the stream %s: its metadata is damaged: %s %q", info.Config.Name, metaFull, was[metaFull])
	}
	for _, limit := range []int{e.Messages, int(info.Config.MaxMsgsPerSubject)} {
		if limit > 0 && (full <= 0 || limit < full) {
			full = limit
		}
	}
	meta[metaFull] = strconv.Itoa(full)
	switch {
	case info.State.LastSeq < fed:
		h.log.Error("a history has lost its latest messages; its offsets begin anew", "destination", e.Destination, "last", info.State.LastSeq, "lost", fed-info.State.LastSeq)
	case !h.o.SyncAlways && fed == 0 && (meta[metaBoot] == "" || was[metaBoot] != meta[metaBoot]):
		h.log.Info("the machine was restarted, so a history may have lost its latest messages; its offsets begin anew", "destination", e.Destination)
	default:
		meta[metaEpoch] = was[metaEpoch]
	}
	return nil
}

// ours returns the metadata that is not the engine's.
func ours(meta map[string]string) map[string]string {
	mine := make(map[string]string)
	for k, v := range meta {
		if strings.HasPrefix(k, "hoofbeat.") {
			mine[k] = v
		}
	}
	return mine
}

func newEpoch() string { return strings.ToLower(rand.Text()[:8]) }

// boot names the run of the machine: after another one, what was not synced is
// gone. It is "" where that is not known.
func boot() string {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(id))
}

// tellForgotten logs the entries of the store that are not in keep.
func (h *Histories) tellForgotten(ctx context.Context, keep []broker.History) error {
	js, err := jetstream.New(h.o.Control)
	if err != nil {
		return err
	}
	list := js.ListStreams(ctx, jetstream.WithStreamListSubject(h.names.kept+">"))
	for info := range list.Info() {
		destination := info.Config.Metadata[metaDestination]
		if !strings.HasPrefix(info.Config.Name, h.names.streams) || slices.ContainsFunc(keep, func(e broker.History) bool { return e.Destination == destination }) {
			continue
		}
		h.log.Warn("the store has a history that is not in the configuration; it stays on the disk", "destination", destination,
			"stream", info.Config.Name, "messages", info.State.Msgs, "bytes", info.State.Bytes)
	}
	return list.Err()
}
