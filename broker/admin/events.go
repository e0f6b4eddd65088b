package admin

import "time"

// EventsState is the state of a back end that gets events.
type EventsState struct {
	Key string `json:"key"` // the section of the configuration, such as events
	URL string `json:"url"` // without secrets
	// Failing is since when the back end does not accept events, nil if it does.
	Failing   *time.Time `json:"failing,omitempty"`
	Waiting   int        `json:"waiting"`   // events that are not accepted yet
	Bytes     int        `json:"bytes"`     // of their memory
	Delivered int64      `json:"delivered"` // events that were accepted
	Dropped   int64      `json:"dropped"`   // events that the back end misses
}
