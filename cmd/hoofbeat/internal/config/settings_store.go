package config

import (
	"fmt"
	"strings"
	"time"
)

// Store is the section store.
type Store struct {
	// Directory of what survives the end of this process; docs/guarantees.md
	// lists what does. One process can use it at a time. Only the last part of
	// the name is created. Empty: everything is in memory.
	Dir string `key:"store.dir" is:"file" needs:"-"`
	// When what is written must be on the disk. always: before the receipt, so
	// that what has its receipt survives a power failure. A time such as 10s:
	// that often, so that a power failure loses up to that much; the end of
	// this process alone never loses anything. auto is always.
	Sync Sync `key:"store.sync" is:"sync" default:"auto"`
	// Memory of what the store keeps in memory only.
	Memory Bytes `key:"store.memory" default:"256MiB" range:"1MiB to 1TiB"`
	// Bytes of everything that is kept, in store.dir. At the limit a message
	// that would be kept is refused.
	Disk Bytes `key:"store.disk" default:"10GiB" range:"16MiB to 1000TiB"`
	// Free bytes of the disk below which a message that would be kept is
	// refused. Messages are still delivered and acknowledged. auto is 256 MiB
	// or 2 % of the disk, whichever is more. A full disk would stop the store.
	Reserve Reserve `key:"store.reserve,live" is:"reserve" default:"auto"`
	// Key that encrypts the directory: 32 characters or more. Give it from the
	// first start on: what is not encrypted stays so. To change it, see
	// store.old_key.
	Key Secret `key:"store.key"`
	// The key before store.key, while that changes: the next start, or
	// `hoofbeat store rekey`, encrypts the directory with store.key. Remove
	// store.old_key afterwards.
	OldKey Secret `key:"store.old_key"`
}

// Sync is when written data must be on the disk: the interval, or 0 for before
// each receipt. Auto is 0 and written as auto.
type Sync struct {
	Every  time.Duration
	always bool // written as always
}

const (
	minSync  = 10 * time.Millisecond
	maxSync  = 10 * time.Minute
	wantSync = "auto, always, or 10ms to 10m"
)

// UnmarshalText reads auto, always or a duration.
func (s *Sync) UnmarshalText(b []byte) error {
	switch text := string(b); text {
	case "auto", "always":
		*s = Sync{always: text == "always"}
	default:
		d, err := time.ParseDuration(text)
		if err != nil || d < minSync || d > maxSync {
			return fmt.Errorf("%q is not accepted: want %s", text, wantSync)
		}
		*s = Sync{Every: d}
	}
	return nil
}

// MarshalText writes what UnmarshalText reads.
func (s *Sync) MarshalText() ([]byte, error) {
	switch {
	case s.always:
		return []byte("always"), nil
	case s.Every == 0:
		return []byte("auto"), nil
	}
	return []byte(formatDuration(s.Every)), nil
}

// Reserve is a number of bytes, or 0, written auto.
type Reserve Bytes

const (
	minReserve  = 4 * 1024 * 1024
	wantReserve = "auto, or 4MiB or more"
)

// UnmarshalText reads auto or a size.
func (r *Reserve) UnmarshalText(b []byte) error {
	text := string(b)
	if text == "auto" {
		*r = 0
		return nil
	}
	n, err := parseSize(text)
	if err != nil || n < minReserve {
		return fmt.Errorf("%q is not accepted: want %s", text, wantReserve)
	}
	*r = Reserve(n)
	return nil
}

// MarshalText writes what UnmarshalText reads.
func (r *Reserve) MarshalText() ([]byte, error) {
	if *r == 0 {
		return []byte("auto"), nil
	}
	return []byte(formatSize(int64(*r))), nil
}

const minStoreKey = 32

// checkStore finds what cannot work in the section store.
func (c *Config) checkStore(bad func(key, format string, args ...any)) {
	if c.Store.OldKey.Set() && !c.Store.Key.Set() {
		bad("store.old_key", "wants store.key, with which the directory is to be encrypted")
	}
	if c.Store.Dir == "" {
		return
	}
	parts := []string{}
	for _, n := range c.StoreNeeds() {
		if n.Bytes == Off {
			bad(n.Of, "is off, but everything that is kept must fit into store.disk: set a limit")
			return
		}
		parts = append(parts, n.String())
	}
	if sum := c.StoreNeeded(); sum > c.Store.Disk {
		bad("store.disk", "%s is less than the %s that must fit into it: %s. Set store.disk to %s or more, or lower the other keys",
			c.Store.Disk, sum, strings.Join(parts, " + "), c.enoughDisk())
	}
}

// StoreNeeded is the sum of StoreNeeds, none of which is Off.
func (c *Config) StoreNeeded() (sum Bytes) {
	for _, n := range c.StoreNeeds() {
		sum += n.Bytes
	}
	return sum
}

// enoughDisk returns a store.disk into which everything fits, in whole MiB. Some
// of the needs are parts of store.disk, which together are less than a third.
func (c *Config) enoughDisk() Bytes {
	larger := *c
	for {
		enough := (larger.StoreNeeded() + 1<<20 - 1) >> 20 << 20
		if enough <= larger.Store.Disk {
			return larger.Store.Disk
		}
		larger.Store.Disk = enough
	}
}

// StoreNeed is what store.disk must have room for.
type StoreNeed struct {
	Of    string // the key that limits it, or what it is
	Bytes Bytes  // or Off
}

func (n StoreNeed) String() string { return fmt.Sprintf("%s for %s", n.Bytes, n.Of) }

// DurableShare is the part of store.disk for messages that wait in durable
// subscriptions: one of so many.
const DurableShare = 8

// StoreNeeds returns what must fit into store.disk: the sizes of all streams, as
// packages cluster and store make them.
func (c *Config) StoreNeeds() []StoreNeed {
	needs := []StoreNeed{{"waits, tickets and logins, an eighth of store.disk", c.Store.Disk / 8}}
	if c.Queues.Mode == "work" {
		queues := StoreNeed{"queues.total_bytes", Off}
		if total := c.Queues.TotalBytes; total != Off {
			queues.Bytes = total + total/4 + 80<<20
		}
		delayed := StoreNeed{"queues.delayed_bytes", Off}
		if total := c.Queues.DelayedBytes; total != Off {
			delayed.Bytes = total + total/4 + 80<<20
		}
		needs = append(needs, queues, delayed)
	}
	for i, h := range c.History {
		history := StoreNeed{fmt.Sprintf("history[%d].bytes", i), Off}
		if h.Bytes != Off {
			history.Bytes = h.Bytes + h.Bytes/8 + 64<<10
		}
		needs = append(needs, history)
	}
	if len(c.Durable) > 0 {
		messages := c.Store.Disk / DurableShare
		positions := min(256<<20, max(messages/4, 1<<20))
		needs = append(needs, StoreNeed{"messages of durable subscriptions, an eighth of store.disk", messages},
			StoreNeed{"durable subscriptions and what they have acknowledged", positions})
	}
	return needs
}

// StoreKey returns the key of store.dir, "" for none.
func (c *Config) StoreKey() (string, error) { return storeKey("store.key", c.Store.Key) }

// OldStoreKey returns the key before that of StoreKey, "" for none.
func (c *Config) OldStoreKey() (string, error) { return storeKey("store.old_key", c.Store.OldKey) }

func storeKey(name string, s Secret) (string, error) {
	key, err := s.Read(name)
	if err != nil || key == "" {
		return "", err
	}
	if len(key) < minStoreKey {
		return "", &KeyError{Key: name, Text: fmt.Sprintf("has %d characters, want %d or more", len(key), minStoreKey)}
	}
	return key, nil
}
