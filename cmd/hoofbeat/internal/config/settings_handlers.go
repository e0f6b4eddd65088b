package config

import "time"

// Handler is one item of handlers.
type Handler struct {
	// Destinations of this handler: an Ant pattern below /app, in which {name}
	// is a variable that stands for one segment. No destination has two
	// handlers, and those of the broker itself come first.
	Destination string `key:"destination,must" want:"a pattern below /app such as /app/orders/{id}"`
	// Where requests are posted to: https, or http to this machine.
	URL string `key:"url,must" is:"url"`
	// Accept an http URL to an address other than loopback. Anyone on the
	// network path can read what clients send, and forge the answers.
	AllowHTTP bool `key:"allow_http"`
	// Key that signs the requests, like auth.webhook.secret.
	Secret Secret `key:"secret"`
	// Longest time of one request. A client whose request takes longer gets an
	// ERROR; let work that takes longer be answered at once, and send its result
	// with the admin API.
	Timeout time.Duration `key:"timeout" default:"2s" range:"10ms to 10s"`
	// Requests to this handler at the same time; those of one session are
	// always posted one after another. Further ones wait for their turn.
	InFlight int `key:"in_flight" default:"64" range:"1 to 10000"`
	// Longest body of an answer.
	Answer Bytes `key:"answer" default:"256KiB" range:"1KiB to 16MiB"`
	// Queue in which each SEND is stored, so that it is posted at least once:
	// until the server accepts it. Clients cannot send to this queue. Empty:
	// each SEND is posted at most once.
	Via string `key:"via" want:"a queue such as /queue/orders, or empty"`
}
