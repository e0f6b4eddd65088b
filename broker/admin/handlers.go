package admin

import "time"

// HandlerState is the state of a server outside the program that handles what
// clients send to some destinations.
type HandlerState struct {
	Destination string `json:"destination"` // its pattern
	URL         string `json:"url"`         // without secrets
	// Broken is since when the server does not answer, nil if it does.
	Broken   *time.Time `json:"broken,omitempty"`
	InFlight int        `json:"in_flight"` // requests on their way
	Handled  int64      `json:"handled"`   // requests that were answered
	Failed   int64      `json:"failed"`    // requests that were not, or with an error
}
