package admin

import (
	"net/http"
	"time"
)

// stats is [broker.Stats] as JSON.
type stats struct {
	Node    string    `json:"node"`
	Started time.Time `json:"started"`

	Sessions      int   `json:"sessions"`
	Sockets       int   `json:"sockets"`
	Users         int   `json:"users"`
	Subscriptions int   `json:"subscriptions"`
	QueueMessages int   `json:"queue_messages"`
	QueueBytes    int64 `json:"queue_bytes"`

	HistoryDestinations int   `json:"history_destinations"`
	HistoryMessages     int   `json:"history_messages"`
	HistoryBytes        int64 `json:"history_bytes"`
	HistoryDropped      int64 `json:"history_dropped"`

	DurableSubscriptions int   `json:"durable_subscriptions"`
	DurableMessages      int   `json:"durable_messages"`
	DurableBytes         int64 `json:"durable_bytes"`
	DurableDropped       int64 `json:"durable_dropped"`

	Delayed      int   `json:"delayed"`
	DelayedBytes int64 `json:"delayed_bytes"`

	PresenceRooms   int `json:"presence_rooms"`
	PresenceUsers   int `json:"presence_users"`
	PresenceLeaving int `json:"presence_leaving"`

	Opened       int64            `json:"opened"`
	Refused      int64            `json:"refused"`
	AuthFailures int64            `json:"auth_failures"`
	Denied       int64            `json:"denied"`
	Ended        map[string]int64 `json:"ended"`
	Limited      map[string]int64 `json:"limited"`
	FramesIn     int64            `json:"frames_in"`
	BytesIn      int64            `json:"bytes_in"`
	Published    int64            `json:"published"`
	Delivered    int64            `json:"delivered"`
	Expired      int64            `json:"expired"`
	Duplicates   int64            `json:"duplicates"`
	UnknownAcks  int64            `json:"unknown_acks"`
}

// StoreStats is the state of the store on disk. Sizes are in bytes.
type StoreStats struct {
	// Status is "ok", or why no message is stored.
	Status   string `json:"status"`
	Restarts int    `json:"restarts"` // of the engine, after write errors
	Streams  int    `json:"streams"`
	Messages uint64 `json:"messages"`
	Stored   int64  `json:"stored"`
	Limit    int64  `json:"limit"`     // of Stored
	Free     int64  `json:"disk_free"` // -1 if unknown
	Size     int64  `json:"disk_size"` // -1 if unknown
	Reserve  int64  `json:"reserve"`   // with less free, nothing is stored
	// ByStream is what each kind of thing that is kept takes.
	ByStream []StreamStats `json:"by_stream"`
}

// StreamStats is what is kept of one kind, in bytes.
type StreamStats struct {
	Name     string `json:"name"`
	Messages uint64 `json:"messages"`
	Bytes    uint64 `json:"bytes"`
	Limit    int64  `json:"limit"` // of Bytes; -1 without one
}

// fullStats are the statistics of the broker and, if there is one, of its store.
type fullStats struct {
	stats
	Store *StoreStats `json:"store,omitempty"`
}

func (a *api) stats(w http.ResponseWriter, r *http.Request) *problem {
	if _, p := query(r); p != nil {
		return p
	}
	full := fullStats{stats: stats(a.b.Stats())}
	if a.store != nil {
		full.Store = a.store()
	}
	return writeJSON(w, http.StatusOK, full)
}
