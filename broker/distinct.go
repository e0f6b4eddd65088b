package broker

import (
	"sync"

	"github.com/hoofbeat/hoofbeat/auth/httpsec"
	"github.com/hoofbeat/hoofbeat/broker/internal/limit"
)

// distinct counts the different subscription texts that slow down the routing
// of all messages: slow patterns, and selectors. A text costs the same for any
// number of subscriptions, so different texts are counted: in total, and per
// user or, for anonymous sessions, per address.
type distinct struct {
	mu     sync.Mutex
	all    map[string]int32 // number of owners per text
	owners map[quotaKey]map[string]int32
}

// distinctBytes is the maximum memory of the maps for a text, without the text
// itself. The maximum occurs if the owner's map holds only this text, just
// after the other maps have grown.
const distinctBytes = 464

// ownerKey returns the owner to whom the session's use is charged. It stays the
// same when the credential is renewed.
func (s *session) ownerKey() quotaKey {
	key := quotaKey{user: s.userName()}
	if key.user == "" {
		key.network = httpsec.Network(s.peer.Addr())
	}
	return key
}

// take counts one subscription with a text, or returns the exceeded limit: each
// is the limit per owner, all the total limit.
func (d *distinct) take(key quotaKey, text string, each, all limit.Exceeded) *limit.Exceeded {
	d.mu.Lock()
	defer d.mu.Unlock()
	mine := d.owners[key]
	if mine[text] == 0 {
		switch {
		case len(mine) >= each.Value:
			return &each
		case d.all[text] == 0 && len(d.all) >= all.Value:
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

// give undoes one take.
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
