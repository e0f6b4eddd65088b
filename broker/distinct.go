package broker

import (
	"sync"

	"github.com/hoofbeat/hoofbeat/auth/httpsec"
)

// distinct counts the different texts that subscriptions bring and that cost
// everybody's messages time: slow patterns, and selectors. A text costs the same
// however many subscriptions have it, so different ones are counted, in all and
// for each user or, of anonymous sessions, each address.
type distinct struct {
	mu     sync.Mutex
	all    map[string]int32 // owners that have it
	owners map[quotaKey]map[string]int32
}

// distinctBytes is what the maps hold for a text, without the text, at most: if
// its owner has no other, so that the owner's map is there for it alone, and just
// after the others have grown.
const distinctBytes = 464

// ownerKey is who a session's share counts for. It stays the same when the
// credential is renewed.
func (s *session) ownerKey() quotaKey {
	key := quotaKey{user: s.userName()}
	if key.user == "" {
		key.network = httpsec.Network(s.peer.Addr())
	}
	return key
}

// take counts one subscription with a text. It returns the limit that forbids it:
// each for the owner, all for everybody together.
func (d *distinct) take(key quotaKey, text string, each, all exceeded) *exceeded {
	d.mu.Lock()
	defer d.mu.Unlock()
	mine := d.owners[key]
	if mine[text] == 0 {
		switch {
		case len(mine) >= each.value:
			return &each
		case d.all[text] == 0 && len(d.all) >= all.value:
			return &all
		}
		if d.all == nil {
			d.all, d.owners = make(map[string]int32), make(map[quotaKey]map[string]int32)
		}
		if mine == nil {
			mine = make(map[string]int32)
			d.owners[key] = mine
		}
		d.all[text]++
	}
	mine[text]++
	return nil
}

// give takes back one take.
func (d *distinct) give(key quotaKey, text string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	mine := d.owners[key]
	if mine[text]--; mine[text] > 0 {
		return
	}
	if delete(mine, text); len(mine) == 0 {
		delete(d.owners, key)
	}
	if d.all[text]--; d.all[text] == 0 {
		delete(d.all, text)
	}
}
