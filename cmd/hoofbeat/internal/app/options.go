package app

import (
	"cmp"
	"log/slog"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/selector"
	"github.com/hoofbeat/hoofbeat/cmd/hoofbeat/internal/config"
	"github.com/hoofbeat/hoofbeat/frames"
	"github.com/hoofbeat/hoofbeat/topics"
)

// sessionLevel returns the level of the records about sessions.
func sessionLevel(c *config.Config) slog.Level {
	switch c.Log.Sessions {
	case "debug":
		return slog.LevelDebug
	case "off":
		return broker.LogOff
	}
	return slog.LevelInfo
}

// nulModes are the values of limits.nul.
var nulModes = map[string]broker.NULMode{
	"replace": broker.NULReplace, "refuse": broker.NULRefuse, "pass": broker.NULPass,
}

func historyEntries(c *config.Config) []broker.History {
	history := make([]broker.History, len(c.History))
	for i, h := range c.History {
		history[i] = broker.History{Destination: h.Destination, Messages: h.Messages, Age: h.Age, Bytes: int64(h.Bytes)}
	}
	return history
}

// brokerOptions copies the values. [config.Off] also means off to the broker.
func brokerOptions(c *config.Config) broker.Options {
	mode := broker.QueueWork
	if c.Queues.Mode == "broadcast" {
		mode = broker.QueueBroadcast
	}
	expired := broker.ExpiredDrop
	if c.Queues.Expired == "dead_letter" {
		expired = broker.ExpiredDeadLetter
	}
	l := c.Limits
	nodes := make([]broker.Node, len(c.Nodes))
	for i, n := range c.Nodes {
		nodes[i] = broker.Node(n)
	}
	durable := make([]broker.Durable, len(c.Durable))
	for i, d := range c.Durable {
		durable[i] = broker.Durable{Destination: d.Destination, Messages: d.Messages, Bytes: int64(d.Bytes), Age: d.Age, Unused: d.Unused}
	}
	var selectors broker.SelectorFunc
	if c.Selectors {
		selectors = selector.Compile
	}
	return broker.Options{
		Selector:         selectors,
		Destinations:     c.Prefixes(),
		Node:             c.NodeName(),
		Nodes:            nodes,
		History:          historyEntries(c),
		HistoryBytes:     int64(c.HistoryBytes),
		Presence:         c.Presence,
		Durable:          durable,
		SoftDenial:       c.Auth.SoftDenial,
		ExpiryNotice:     c.Auth.ExpiryNotice,
		Origins:          c.WebSocket.Origins,
		Hosts:            c.WebSocket.Hosts,
		LoopbackOnly:     c.Development(),
		DrainDelay:       c.Drain.Delay,
		DrainSpread:      cmp.Or(c.Drain.Spread, -1),
		Compression:      c.WebSocket.Compression,
		TrustedProxies:   c.Auth.TrustedProxies.Networks,
		TrustUnixSockets: c.Auth.TrustedProxies.Unix,
		HeartBeat:        frames.HeartBeat{Send: c.HeartBeat.Send, Receive: c.HeartBeat.Expect},
		PingInterval:     c.HeartBeat.Ping,
		ConnectDeadline:  l.ConnectDeadline,
		WriteDeadline:    l.WriteDeadline,
		FailureWait:      l.FailureWait,
		FailureDecay:     l.FailureDecay,

		HeartBeatPatience: c.HeartBeat.Patience,
		Limits: broker.Limits{
			Frame:                     int(l.Frame),
			UnauthenticatedFrame:      int(l.UnauthenticatedFrame),
			Headers:                   l.Headers,
			HeaderBytes:               int(l.HeaderBytes),
			Subscriptions:             l.Subscriptions,
			Transactions:              l.Transactions,
			TransactionFrames:         l.TransactionFrames,
			TransactionBytes:          int(l.TransactionBytes),
			SubscriptionBytes:         int(l.SubscriptionBytes),
			ReplyDestinations:         l.ReplyDestinations,
			SlowPatterns:              l.SlowPatterns,
			SlowPatternsPerUser:       l.SlowPatternsPerUser,
			SelectorsPerUser:          l.SelectorsPerUser,
			Durable:                   l.Durable,
			DurablePerUser:            l.DurablePerUser,
			InFlight:                  l.InFlight,
			InFlightBytes:             int(l.InFlightBytes),
			Unacknowledged:            l.Unacknowledged,
			DedupIDs:                  l.DedupIDs,
			DedupIDsPerUser:           l.DedupIDsPerUser,
			PresenceLeaving:           l.PresenceLeaving,
			Outbox:                    int(l.Outbox),
			ReplayBytes:               int(l.ReplayBytes),
			Unauthenticated:           l.Unauthenticated,
			UnauthenticatedPerAddress: l.UnauthenticatedPerAddress,
			NUL:                       nulModes[l.NUL],
			Sessions:                  l.Sessions,
			SessionsPerUser:           l.SessionsPerUser,
			SessionsPerAddress:        l.SessionsPerAddress,
			LoginFailures:             l.LoginFailures,
			AddressFailures:           l.AddressFailures,
		},
		Queues: broker.Queues{
			Mode:       mode,
			Messages:   c.Queues.Messages,
			Bytes:      int64(c.Queues.Bytes),
			Queues:     c.Queues.Queues,
			TotalBytes: int64(c.Queues.TotalBytes),

			QueuesPerUser: c.Queues.QueuesPerUser,
			BytesPerUser:  int64(c.Queues.BytesPerUser),

			Expired: expired,

			Delayed:             c.Queues.Delayed,
			DelayedBytes:        int64(c.Queues.DelayedBytes),
			DelayedPerUser:      c.Queues.DelayedPerUser,
			DelayedBytesPerUser: int64(c.Queues.DelayedBytesPerUser),

			Attempts:  c.Queues.Attempts,
			Prefetch:  c.Queues.Prefetch,
			Transient: c.Queues.Transient,
		},
	}
}

// destinationNames returns the names of destinations with the configured
// prefixes.
func destinationNames(c *config.Config) (*topics.Names, error) {
	names, err := topics.NewNames(c.Prefixes())
	return names, config.OptionError("destinations", err)
}
