package oauth

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
)

// This file keeps sessions in Options.Records. The table of sessions in memory
// follows them, so that a request with a known cookie reads nothing.

// keepTime limits how long a step waits for the Records.
const keepTime = 5 * time.Second

// sessionRecord is a session as it is kept.
type sessionRecord struct {
	ID                                       digest
	Credential, User, Provider, Subject, SID string
	Roles, Scopes                            []string
	Claims                                   map[string]any
	Issued, Expires, Seen                    time.Time
}

func (s *session) record() sessionRecord {
	return sessionRecord{
		ID: s.id, Credential: s.credential, User: s.user, Provider: s.provider, Subject: s.subject, SID: s.sid,
		Roles: s.roles, Scopes: s.scopes, Claims: s.claims, Issued: s.issued, Expires: s.expires, Seen: s.seen,
	}
}

func (r *sessionRecord) session() *session {
	s := &session{
		id: r.ID, credential: r.Credential, user: r.User, provider: r.Provider, subject: r.Subject, sid: r.SID,
		roles: r.Roles, scopes: r.Scopes, claims: r.Claims, issued: r.Issued, expires: r.Expires, seen: r.Seen,
	}
	s.weigh()
	return s
}

// markRecord is a back-channel logout as it is kept, for logins that end later,
// perhaps in another process.
type markRecord struct {
	Provider, SID, Subject string
	At                     time.Time
}

// startSession adds a session and returns those of the user that it replaced.
func (c *Client) startSession(ctx context.Context, s *session, idIssued time.Time) (pushedOut []*session, err error) {
	pushedOut, err = c.sessions.add(s, idIssued)
	if c.o.Records == nil {
		return pushedOut, err
	}
	ctx, cancel := context.WithTimeout(ctx, keepTime)
	defer cancel()
	for _, old := range pushedOut {
		if failed := c.discard(ctx, old); failed != nil {
			c.o.Logger.Error("a session that a newer one replaced could not be removed", "user", old.user, "error", failed)
		}
	}
	if err != nil {
		return pushedOut, err
	}
	value, err := json.Marshal(s.record())
	var revision uint64
	if err == nil {
		revision, err = c.o.Records.Create(ctx, kindSession, s.id.name(), value, s.expires)
	}
	if err == nil && revision == 0 {
		err = errRecord // the id is random
	}
	if err != nil {
		c.sessions.end(s.id) // nobody gets its cookie
		return pushedOut, &notKept{err}
	}
	c.sessions.saved(s.id, s.issued, revision, true)
	return pushedOut, nil
}

// notKept is the error of a session that may not be stored.
type notKept struct{ err error }

func (e *notKept) Error() string { return "oauth: records: " + e.err.Error() }
func (e *notKept) Unwrap() error { return e.err }

// discard removes the record of a session that has ended here. If it is not
// known whether that was done, the session stays ended in this process.
func (c *Client) discard(ctx context.Context, s *session) error {
	if c.o.Records == nil || s == nil {
		return nil
	}
	for {
		_, revision, err := c.o.Records.Get(ctx, kindSession, s.id.name())
		if err != nil {
			return &notKept{err}
		}
		if revision == 0 {
			return nil
		}
		removed, err := c.o.Records.Remove(ctx, kindSession, s.id.name(), revision)
		switch {
		case err != nil:
			return &notKept{err}
		case removed:
			return nil
		case ctx.Err() != nil:
			return &notKept{ctx.Err()}
		}
		// Its last use was written meanwhile.
	}
}

// finish ends sessions that are out of the table: their records are removed and
// OnLogout is called, also for those that cannot be removed.
func (c *Client) finish(ctx context.Context, list ...*session) error {
	var errs []error
	if c.o.Records != nil && len(list) > 0 {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), keepTime)
		defer cancel()
		for _, s := range list {
			errs = append(errs, c.discard(ctx, s))
		}
	}
	return errors.Join(append(errs, c.ended(list...))...)
}

// end ends a session. A session that could not be removed before is removed
// now.
func (c *Client) end(ctx context.Context, id digest) (*session, error) {
	s := c.sessions.end(id)
	if s == nil && c.o.Records != nil {
		known, err := c.read(ctx, id)
		if err != nil || known == nil {
			return nil, err
		}
		s = known
		c.sessions.bury(id)
	}
	if s == nil {
		return nil, nil
	}
	return s, c.finish(ctx, s)
}

// lookup returns the principal of a session, and counts as a use.
func (c *Client) lookup(ctx context.Context, id digest) (*auth.Principal, bool, error) {
	p, ok := c.sessions.use(id)
	if c.o.Records == nil {
		return p, ok, nil
	}
	if !ok {
		// Another process may have begun it a moment ago.
		s, err := c.read(ctx, id)
		if err != nil || s == nil || !c.sessions.adopt(s) {
			return nil, false, err
		}
		if p, ok = c.sessions.use(id); !ok {
			return nil, false, nil
		}
	}
	c.saveUse(id)
	return p, true, nil
}

// read returns the session that is kept under this id, or nil.
func (c *Client) read(ctx context.Context, id digest) (*session, error) {
	ctx, cancel := context.WithTimeout(ctx, keepTime)
	defer cancel()
	value, revision, err := c.o.Records.Get(ctx, kindSession, id.name())
	if err != nil || revision == 0 {
		return nil, err
	}
	var r sessionRecord
	if json.Unmarshal(value, &r) != nil || r.ID != id {
		return nil, errRecord
	}
	s := r.session()
	s.revision = revision
	return s, nil
}

// saveUse writes the latest use of a session, in the background and seldom: a
// session may end an eighth of SessionIdle early in the next process.
func (c *Client) saveUse(id digest) {
	s, due := c.sessions.unsaved(id)
	if !due {
		return
	}
	save := func(ctx context.Context) {
		value, err := json.Marshal(s.record())
		var revision uint64
		if err == nil {
			revision, err = c.o.Records.Update(ctx, kindSession, id.name(), value, s.revision, s.expires)
		}
		c.sessions.saved(id, s.seen, revision, err == nil && revision > 0)
	}
	if !c.keeping.start(save) {
		c.sessions.saved(id, s.seen, 0, false)
	}
}

// markLogout keeps a back-channel logout for the logins that it affects.
func (c *Client) markLogout(ctx context.Context, provider, sid, subject string, at time.Time) error {
	if c.o.Records == nil {
		return nil
	}
	r := markRecord{provider, sid, subject, at}
	value, err := json.Marshal(r)
	if err != nil {
		return err
	}
	name := provider + "\x00" + sid + "\x00" + subject
	until := time.Now().Add(logoutMemory)
	for {
		revision, err := c.o.Records.Create(ctx, kindLogout, name, value, until)
		if err != nil || revision > 0 {
			return err
		}
		old, revision, err := c.o.Records.Get(ctx, kindLogout, name)
		if err != nil {
			return err
		}
		var present markRecord
		if json.Unmarshal(old, &present) == nil && present.At.After(at) {
			return nil
		}
		if revision, err = c.o.Records.Update(ctx, kindLogout, name, value, revision, until); err != nil || revision > 0 {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}

// follow reads what is kept, and then follows the changes of all processes.
func (c *Client) follow(ctx context.Context) error {
	keys := make(map[string]digest) // of the sessions
	var latest uint64
	reported := make(map[digest]bool)
	if err := c.keeping.follow(ctx, c.o.Records, kindSession, func(key string, value []byte, revision uint64) {
		latest = max(latest, revision)
		if value == nil {
			if id, known := keys[key]; known {
				delete(keys, key)
				c.sessions.remote(id, revision)
			}
			return
		}
		var r sessionRecord
		if json.Unmarshal(value, &r) != nil {
			c.o.Logger.Error("the record of a session is damaged")
			return
		}
		keys[key] = r.ID
		if reported != nil {
			reported[r.ID] = true
		}
		s := r.session()
		s.revision = revision
		c.sessions.adopt(s)
	}, func() {
		c.sessions.forgetOthers(reported, latest)
		reported = nil
	}, func() { latest, reported = 0, make(map[digest]bool) }, c.broke); err != nil {
		return err
	}
	return c.keeping.follow(ctx, c.o.Records, kindLogout, func(_ string, value []byte, _ uint64) {
		var r markRecord
		if value != nil && json.Unmarshal(value, &r) == nil {
			c.sessions.mark(r.Provider, r.SID, r.Subject, r.At)
		}
	}, func() {}, func() {}, c.broke)
}

func (c *Client) broke(err error) {
	c.o.Logger.Error("what is kept of sessions is read again, because reading it broke off", "error", err)
}
